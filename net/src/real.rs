//! The arm that touches the operating system, through tokio.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the arm that others are to go through")]

pub(crate) mod clock;
pub(crate) mod dns;
pub(crate) mod fs;
pub(crate) mod memory;
pub(crate) mod random;
pub(crate) mod task;
pub(crate) mod tcp;
pub(crate) mod time;
pub(crate) mod udp;
pub(crate) mod unix;
