//! HTTP/1.0 and HTTP/1.1 on both sides of a gateway: strict in what is accepted, exact in what is written.
//!
//! Two layers. Without I/O: [`RequestParser`], [`ResponseParser`], [`Chunked`] and the head writers, which can be fed any split of
//! the bytes and give the same answer. Over a stream: [`ServerConn`] (the client's side) and [`ClientConn`] (the server's side),
//! which implement the traits of [`crate::http`].
//!
//! Nothing is forwarded as bytes: what was read is decided on once (RFC 9112 section 6) and written anew, so no peer behind
//! Fairlead can see another message boundary than Fairlead saw. Where the RFC lets a recipient be lenient (bare LF, folded lines,
//! repeated lengths), this one refuses.
//!
//! Deliberately absent: time-outs, host and path policy, header policy, the decision whether to retry. The caller holds those.

mod body;
pub(crate) mod buffer;
mod chunked;
mod client;
mod encode;
mod framing;
mod limits;
mod parse;
mod request;
mod response;
mod server;
mod token;
mod wire;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "both ends of a pipe in memory run as tasks of the test's own runtime")]
mod tests;

pub use chunked::{Chunked, Step};
pub use client::ClientConn;
pub use encode::{Persist, Put, Tell, write_request, write_response};
pub use limits::{Bad, Limits};
pub use request::RequestParser;
pub use response::{Asked, ResponseParser};
pub use server::ServerConn;
