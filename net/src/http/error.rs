//! What can go wrong on an HTTP connection: the kind, and whose side it was on.

use std::io;

/// Whose side failed, as seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Fairlead,
    Upstream,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The peer ended the connection before the message was whole.
    Closed,
    /// The peer reset the connection, or the transport failed otherwise.
    Io(io::ErrorKind),
    /// A deadline passed.
    TimedOut,
    /// The message breaks the protocol; the status is the answer that a client is owed for it.
    Malformed(u16),
    /// HTTP/2: the peer refused the stream unprocessed (REFUSED_STREAM, or GOAWAY below its number).
    Refused,
    /// HTTP/2: the peer reset the stream.
    Reset,
}

/// A failure of one exchange or of its connection.
#[derive(Debug, thiserror::Error)]
#[error("{side:?}: {kind:?}: {detail}")]
pub struct Error {
    pub side: Side,
    pub kind: Kind,
    /// For the operator's log: what was seen, without values a client chose beyond 64 bytes.
    pub detail: String,
}

impl Error {
    /// Builds an error.
    pub fn new(side: Side, kind: Kind, detail: impl Into<String>) -> Self {
        Self { side, kind, detail: detail.into() }
    }

    /// A transport error on this side.
    pub fn io(side: Side, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => Kind::Closed,
            io::ErrorKind::TimedOut => Kind::TimedOut,
            other => Kind::Io(other),
        };
        Self::new(side, kind, error.to_string())
    }
}
