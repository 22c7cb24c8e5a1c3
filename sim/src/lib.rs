//! The simulated world around the real actors. Only there under `cfg(madsim)`.
#![cfg(madsim)]

pub mod store;
