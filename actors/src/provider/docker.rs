//! Providers `docker` and `swarm`: labels of containers and of Swarm services, over the Docker Engine's API.
//!
//! Owns what both have in common: the client, which can only read; the stream of events; the round of endpoints; where this
//! gateway itself is. What the answers mean is decided by modules that do no I/O ([`swarm`], [`plain`]).
//!
//! Deliberately absent: the meaning of labels (`fairlead_core::discovery`), and the pause between rounds (`config_watch`).

mod api;
mod client;
mod events;
mod list;
mod place;
pub mod plain;
mod round;
pub mod swarm;
mod tell;

#[cfg(test)]
mod fake;

pub use plain::PlainProvider;
pub use swarm::SwarmProvider;
