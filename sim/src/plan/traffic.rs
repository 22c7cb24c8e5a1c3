//! The part of a plan that is traffic: how servers misbehave, and how clients ask.
//!
//! Which of a server's habits a request meets follows from its identifier and the server, so that the same request always meets
//! the same one. Sizes are bytes, times milliseconds.

use super::Server;
use crate::chance::mix;
use serde::{Deserialize, Serialize};

/// What a server does to a share of its requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habit {
    /// Thousandths.
    pub share: u32,
    pub quirk: Quirk,
}

/// A way to answer, other than at once and as the protocol wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// The head comes late.
    SlowHead(u64),
    /// The body comes in pieces, each of them flushed.
    Trickle { piece: u64, pause: u64 },
    /// As many events, without a length, each of them flushed when it is there.
    Stream { events: u64, pause: u64 },
    /// Nothing is answered.
    HangHead,
    /// After so much of the body nothing comes for a while, and then a RST.
    HangBody { after: u64, lasts: u64 },
    /// A status of its own.
    Status(u16),
    /// So many interim responses before the answer.
    Interims(u32),
    /// RST after so much of the body.
    ResetBody { after: u64 },
    /// More bytes than the length said.
    Surplus(u64),
    /// The connection ends before the length is reached.
    Deficit(u64),
    /// A chunked body without its end.
    Unfinished { after: u64 },
    /// What comes is no HTTP.
    Garbage,
    /// A connection that carried a request before is closed when the next one comes on it.
    Forgetful { reset: bool },
    /// Answers before it reads the body. Either closes, or reads on.
    Early { closes: bool },
    /// The body is read slowly.
    SlowRead { piece: u64, pause: u64 },
    /// The body ends with the connection.
    UntilClose,
}

/// How a client's requests follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// One after the other.
    #[default]
    Orderly,
    /// HTTP/1.1 byte by byte; so many requests are sent before the first answer is read.
    Pipelined { depth: usize },
    /// HTTP/2 over TLS, with so many streams at once on one connection.
    Http2 { streams: usize },
    /// Asks nothing: opens so many connections, says something on some of them, and holds them.
    Crowd { connections: usize, holds: u64 },
}

/// What a client does with one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    #[default]
    Plain,
    /// Waits for `100 Continue` with its body.
    Expect,
    /// The request comes in pieces, from its head on or from its body on.
    Trickle { head: bool, piece: u64, pause: u64 },
    /// The response is read in pieces, with a receive buffer of a few KiB.
    SlowRead { piece: u64, pause: u64 },
    /// Leaves after so many bytes of its request, with a RST or with a FIN.
    CutRequest { after: u64, reset: bool },
    /// Leaves after so many bytes of the response.
    CutResponse { after: u64, reset: bool },
    /// Tries to hide a second request in this one, in one of several ways.
    Smuggle(u32),
    /// Upgrades, sends so many messages while it reads what comes back, and closes its direction first.
    WebSocket { messages: u32, bytes: u64, pause: u64 },
}

/// The cookie that binds a client to a server.
pub const COOKIE: &str = "bound";

/// The cookie that a request brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cookie {
    #[default]
    None,
    /// The one that the client was given last by this service, if any.
    Kept,
    /// One that nobody gave.
    Forged,
}

impl Quirk {
    /// More interim responses than this are too many for a gateway with its defaults.
    pub const INTERIMS: u32 = 8;

    /// What comes of it is no response, or none that is whole: a fault, and no mere slowness.
    pub fn is_broken(&self) -> bool {
        self.cuts() || matches!(self, Self::HangHead | Self::Garbage | Self::Forgetful { .. }) || self.floods()
    }

    /// The head is fine and the body does not come to its end.
    pub fn cuts(&self) -> bool {
        matches!(self, Self::HangBody { .. } | Self::ResetBody { .. } | Self::Deficit(_) | Self::Unfinished { .. })
    }

    /// Interim responses without an end that anybody would wait for.
    pub fn floods(&self) -> bool {
        matches!(self, Self::Interims(n) if *n > Self::INTERIMS)
    }
}

impl Server {
    /// What this server, which has this index, does to this request.
    pub fn quirk(&self, index: usize, id: u64) -> Option<&Quirk> {
        let mut left = (mix(id ^ mix(index as u64 ^ 0xbad)) % 1000) as u32;
        self.habits.iter().flatten().find_map(|habit| {
            let met = left < habit.share;
            left = left.saturating_sub(habit.share);
            met.then_some(&habit.quirk)
        })
    }
}

impl Act {
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

impl Conduct {
    pub(super) fn is_orderly(&self) -> bool {
        *self == Self::Orderly
    }
}

impl Cookie {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }
}
