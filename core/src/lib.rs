//! What routing means. Pure: no I/O, no async, no clock, no randomness; time and random numbers come in as arguments.
//!
//! - [`config`]: decoding of files, labels, KV trees, flags and environment; `resolve(raw) -> (Config, Vec<Rejection>)`.
//! - [`rule`]: the grammar of rules, and their evaluation.
//! - [`http`]: what a request is when it is decided on: normalised host, canonical path, field hygiene.
//! - [`snapshot`]: everything served, compiled and immutable: routers behind their index, services, TLS options by server name.
//! - [`explain`]: why a request goes where it goes, from the same evaluation.
//! - [`reason`]: the closed list of responses that Fairlead makes by itself.

pub mod config;
pub mod explain;
pub mod http;
mod name;
pub mod reason;
pub mod route;
pub mod rule;
pub mod snapshot;

pub use name::Name;
pub use reason::Reason;
pub use snapshot::Snapshot;
