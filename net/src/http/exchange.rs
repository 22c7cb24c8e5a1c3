//! One request and its response, seen from the gateway: the client's side and the server's side.

use super::{Error, RequestHead, ResponseHead, Sink, Source};
use std::task::{Context, Poll};

/// The client's side of one exchange whose request head was read: its [`Source`] is the request body, its [`Sink`] the response body.
pub trait Downstream: Source + Sink + Send {
    /// Queues an interim response (1xx). Ignored where the client's protocol has none.
    fn send_informational(&mut self, head: &ResponseHead);

    /// Nobody is going to read what is left of the request's body. To be said before the response head.
    fn leave_body_unread(&mut self) {}

    /// Queues the final response head; `head.framing` says how the body will end. Called once, before any body byte.
    ///
    /// Writes hop-by-hop fields of its own version (`Connection`, `Transfer-Encoding`, `Content-Length`); those in `head.fields` are
    /// not written.
    fn send_head(&mut self, head: &ResponseHead);

    /// No request is to follow this one, and the response says so if its head was not given yet. Where exchanges share a connection
    /// (HTTP/2) this means nothing.
    fn end_after(&mut self) {}

    /// Ready once the client can no longer receive a response. To be polled while waiting for a server.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error>;

    /// Breaks the exchange off so that the client cannot mistake it for a complete one: the connection is closed (HTTP/1), or the
    /// stream reset (HTTP/2).
    fn abort(&mut self);
}

/// The server's side of one exchange: its [`Sink`] is the request body, its [`Source`] the response body.
pub trait Upstream: Source + Sink + Send {
    /// Queues the request head; `head.framing` says how the body will end.
    ///
    /// # Errors
    /// The connection is no longer usable; nothing of the request has been sent.
    fn send_head(&mut self, head: &RequestHead) -> Result<(), Error>;

    /// The next response head: interim ones (1xx) first, one by one, then the final one.
    ///
    /// # Errors
    /// The server closed, reset or broke the protocol.
    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>>;

    /// Whether any byte of a response to this exchange has arrived.
    fn response_started(&self) -> bool;

    /// Gives the exchange up: the server is told (HTTP/2), or the connection dropped (HTTP/1).
    fn abort(&mut self);
}
