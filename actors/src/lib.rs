//! actors

pub mod admin;
pub mod telemetry;
