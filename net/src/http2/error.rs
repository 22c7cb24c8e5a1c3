//! What `h2` reports, in the words of [`http::Error`](crate::http::Error).

use crate::http::{Error, Kind, Side};
use h2::Reason;
use std::io;

/// Translates an error of a stream or of its connection. `side` is who is at the other end.
pub(super) fn translate(side: Side, error: &h2::Error) -> Error {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            // What h2 makes of a transport that ended under an open stream.
            io::ErrorKind::BrokenPipe => Error::new(side, Kind::Closed, io.to_string()),
            _ => Error::io(side, io),
        };
    }
    let kind = match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_remote() => Kind::Refused,
        // h2 reports a remote GOAWAY only to streams that the peer has not processed, and to new ones.
        _ if error.is_go_away() && error.is_remote() => Kind::Refused,
        // We found the peer at fault.
        _ if error.is_library() => Kind::Malformed(fault(side)),
        _ => Kind::Reset,
    };
    Error::new(side, kind, error.to_string())
}

/// Our own caller broke the rules of an exchange (or the other side's body was cut): the peer is not to blame.
pub(super) fn misuse(detail: &str) -> Error {
    Error::new(Side::Fairlead, Kind::Malformed(500), detail)
}

/// Translates a reset that was polled for.
pub(super) fn reset(side: Side, reason: Reason) -> Error {
    let kind = if reason == Reason::REFUSED_STREAM { Kind::Refused } else { Kind::Reset };
    Error::new(side, kind, format!("the stream was reset: {reason}"))
}

/// The status that a client is owed when this side breaks the protocol.
pub(super) fn fault(side: Side) -> u16 {
    match side {
        Side::Client => 400,
        Side::Fairlead => 500,
        Side::Upstream => 502,
    }
}
