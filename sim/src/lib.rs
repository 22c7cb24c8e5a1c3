//! The simulated world around the real actors. Only there under `cfg(madsim)`.

#![forbid(unsafe_code)]
#![cfg(madsim)]

pub mod store;
