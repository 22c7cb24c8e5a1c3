//! What a peer may make us hold, and the answer it gets when it asks for more.

use crate::http::{Error, Kind, Side};

/// Bounds of one HTTP/1 connection. Sizes are in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A whole head: start line, field lines and the empty line. Beyond it: 431.
    pub head_bytes: usize,
    /// Field lines in a head, and again in a trailer section. Beyond it: 431.
    pub fields: usize,
    /// The request target. Beyond it: 414. RFC 9112 section 3 asks for at least 8000.
    pub target: usize,
    /// One chunk-size line with its extensions. Beyond it: 400.
    pub chunk_line: usize,
    /// The extensions of all chunks of one body together. Beyond it: 400.
    pub chunk_extensions: usize,
    /// The whole trailer section. Beyond it: 431.
    pub trailer_bytes: usize,
    /// Interim responses to one request. Beyond it the server's answer is malformed.
    pub informational: usize,
    /// What is read away of a request body that nobody read, to keep the connection. With more to come the response says that the
    /// connection ends.
    pub unread_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            fields: 100,
            target: 8192,
            chunk_line: 256,
            chunk_extensions: 16 * 1024,
            trailer_bytes: 8 * 1024,
            informational: 8,
            unread_bytes: 64 * 1024,
        }
    }
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Bad {
    /// The status a client is owed for it. A server's bad response is always worth 502.
    pub status: u16,
    /// For the operator; holds nothing the peer chose.
    pub what: &'static str,
}

impl Bad {
    pub(crate) const fn new(status: u16, what: &'static str) -> Self {
        Self { status, what }
    }

    /// As a failure of an exchange on this side.
    pub fn on(self, side: Side) -> Error {
        let status = if side == Side::Upstream { 502 } else { self.status };
        Error::new(side, Kind::Malformed(status), self.what)
    }
}
