//! What routing means. Pure: no I/O, no async, no clock, no randomness; time and random numbers come in as arguments.
//!
//! - [`config`]: decoding of files, labels, KV trees, flags and environment; `resolve(raw) -> (Config, Vec<Rejection>)`.
//! - [`discovery`]: from what an orchestrator runs, and its labels, to configuration.
//! - [`rule`]: the grammar of rules, and their evaluation.
//! - [`http`]: what a request is when it is decided on: normalised host, canonical path, field hygiene.
//! - [`snapshot`]: everything served, compiled and immutable: routers behind their index, services, TLS options by server name.
//! - [`explain`]: why a request goes where it goes, from the same evaluation.
//! - [`middleware`]: what happens to a request between its router and its service.
//! - [`balance`], [`endpoint`], [`health`], [`outlier`]: which server, and which servers may be asked at all.
//! - [`retry`], [`race`], [`bucket`], [`drain`]: further attempts, attempts side by side, rates, and the end of a gateway.
//! - [`explain`]: why a request goes where it goes, from the same evaluation.
//! - [`map`], [`slots`]: an ordered map that is cheap to copy and to compare, and an array that is cheap to copy.
//! - [`reason`], [`response`]: the closed list of responses that Fairlead makes by itself.

#![forbid(unsafe_code)]

pub mod balance;
pub mod bucket;
pub mod config;
pub mod discovery;
pub mod drain;
pub mod endpoint;
pub mod explain;
pub mod health;
pub mod http;
pub mod map;
pub mod middleware;
mod name;
pub mod outlier;
pub mod pace;
pub mod planted;
pub mod race;
pub mod reason;
pub mod response;
pub mod retry;
pub mod route;
pub mod rule;
pub mod slots;
pub mod snapshot;

pub use name::Name;
pub use reason::Reason;
pub use snapshot::Snapshot;
