//! actors

pub mod telemetry;
//! Actors, data plane and providers.

pub mod config_watch;
pub mod provider;
