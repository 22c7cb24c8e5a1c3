//! Memory that lies free.

/// Gives back to the system what this thread has freed. An allocator does so by itself as it is used; of what a burst leaves behind on a
/// thread that is quiet from then on, it keeps all. Of no effect in the simulator.
pub fn give_back() {
    crate::arm::memory::give_back();
}
