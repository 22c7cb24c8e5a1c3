//! actors

pub mod telemetry;
