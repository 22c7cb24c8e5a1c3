//! HTTP/2 over any byte stream: a server and a client whose streams are the [`http`](crate::http) traits.
//!
//! Owns the mapping between `h2`'s messages, windows and errors and this crate's heads, [`Source`](crate::http::Source) and
//! [`Sink`](crate::http::Sink), and the strictness that `h2` leaves to its user (RFC 9113 section 8).
//!
//! Deliberately absent: tasks and timers. A connection goes forward only while it is polled; whoever spawns the driver, and whoever
//! waits for a deadline, stands above. Server push, priorities and extended CONNECT are not offered.

pub mod client;
mod error;
mod fields;
mod keep_alive;
mod receive;
mod send;
pub mod server;

pub use keep_alive::KeepAlive;
pub(crate) use receive::ReceiveHalf;
pub(crate) use send::SendHalf;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "both ends of a pipe in memory run as tasks of the test's own runtime")]
mod tests;
