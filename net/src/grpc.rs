//! gRPC over [`http2`](crate::http2), as far as a client of etcd needs it, and the server's end of the same.
//!
//! Owns the framing of messages (a flag and a length before each), the status in the trailers, and the bounds on both. Messages are
//! bytes: encoding them is the caller's. Nothing is compressed, and nothing compressed is taken.
//!
//! Deliberately absent: deadlines, retries and choosing a server; the caller wraps a call in its own time-out.

mod client;
mod message;
mod server;
mod status;

pub use client::{Channel, Receiver, Sender};
pub use server::{Call, Requests, Responses, serve_connection};
pub use status::{Code, Status};

/// Bytes of one message at most.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "both ends of a pipe in memory run as tasks of the test's own runtime")]
mod tests;
