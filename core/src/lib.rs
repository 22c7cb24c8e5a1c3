//! What routing means. Pure: no I/O, no async, no clock, no randomness; time and random numbers come in as arguments.
//!
//! - [`config`]: decoding of files, labels, KV trees, flags and environment; `resolve(raw) -> (Config, Vec<Rejection>)`.
//! - [`http`]: what a request is when it is decided on: normalised host, canonical path, field hygiene.
//! - [`reason`]: the closed list of responses that Fairlead makes by itself.

pub mod config;
pub mod http;
mod name;
pub mod pace;
pub mod reason;
pub mod rule;

pub use name::Name;
