//! The seed's random numbers, for choices and secrets alike: a run repeats itself to the byte.

use madsim::rand::{RngCore, thread_rng};

pub(crate) fn u64() -> u64 {
    thread_rng().next_u64()
}

pub(crate) fn secret(buf: &mut [u8]) {
    thread_rng().fill_bytes(buf);
}
