//! Memory that lies free.

/// Lets the allocator look for what this thread has freed, and give back to the system whatever lies free in the process. It does so by itself
/// as it is used; of what a burst leaves behind on a thread that is quiet from then on, it keeps all. Of no effect in the simulator.
pub fn give_back() {
    crate::arm::memory::give_back();
}
