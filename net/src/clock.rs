//! The wall clock. For certificates, cookies, logs and tokens; durations are measured with [`crate::time`].
//!
//! Simulated: every run starts at an instant in 2022 drawn from its seed, and each host may run ahead or behind
//! (`sim::Net::skew`). The wall clock may jump; nothing here promises order.

use std::time::{SystemTime, UNIX_EPOCH};

/// This host's idea of the present.
pub fn now() -> SystemTime {
    crate::arm::clock::now()
}

/// Milliseconds since 1970; 0 for an instant before it.
pub fn unix_millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// Whole seconds since 1970; 0 for an instant before it.
pub fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
