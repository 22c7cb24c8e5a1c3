//! Which of the bugs that this build may hold is the one to be met: for the simulator, which core does not know.
//!
//! A planted bug stands in the code behind a cfg of its own and asks here whether it was chosen, so that one build serves all of them.
//! The list is `sim/src/planted.rs`. No build for production has this module, and none has the bugs.

/// Whether this bug is to be met. `false`, and nothing else, in builds that do not plant it.
macro_rules! planted {
    ($bug:tt) => {{
        let planted = false;
        #[cfg(planted = $bug)]
        let planted = planted || crate::planted::is($bug);
        planted
    }};
}

pub(crate) use planted;

#[cfg(planted = "half_open_off_by_one")]
mod chosen {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A digest of the name; 0: none.
    static CHOSEN: AtomicU64 = AtomicU64::new(0);

    /// Chooses a bug for this process, in place of the one before.
    pub fn plant(name: &str) {
        CHOSEN.store(digest(name), Ordering::Relaxed);
    }

    /// Whether this bug was chosen.
    pub fn is(name: &str) -> bool {
        CHOSEN.load(Ordering::Relaxed) == digest(name)
    }

    /// FNV-1a.
    fn digest(name: &str) -> u64 {
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

#[cfg(planted = "half_open_off_by_one")]
pub use chosen::{is, plant};
