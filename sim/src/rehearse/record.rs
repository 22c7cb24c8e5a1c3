//! What happened to requests, as clients saw it.

use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Index into the blueprint's probes.
    pub probe: usize,
    pub repeatable: bool,
    pub why: Why,
    /// ms after the gateway was ready.
    pub at: u64,
    pub took: u64,
    /// It came to a server.
    pub arrived: bool,
    pub ended: Ended,
}

/// Why it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The load that is always there.
    Load,
    /// One of many at once.
    Burst,
    /// One that takes long, while the gateway goes down.
    Long,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A server's answer, whole.
    Server { key: String, status: u16 },
    /// The gateway's own.
    Gateway { status: u16, reason: String },
    /// No connection, or no TLS.
    Refused(String),
    /// Broken off. `begun`: in the middle of a server's answer.
    Cut { begun: bool, how: String },
    /// The client gave up.
    Patience,
}

impl Asked {
    /// ms after the gateway was ready.
    pub fn until(&self) -> u64 {
        self.at + self.took
    }
}

impl Ended {
    /// In one word, for counting.
    pub fn word(&self) -> String {
        match self {
            Self::Server { status, .. } => format!("server said {status}"),
            Self::Gateway { status, reason } if reason.is_empty() => format!("status {status}"),
            Self::Gateway { reason, .. } => reason.clone(),
            Self::Refused(_) => "connection refused".into(),
            Self::Cut { begun: true, .. } => "cut in the middle of the answer".into(),
            Self::Cut { .. } => "cut before the answer".into(),
            Self::Patience => "no answer".into(),
        }
    }
}

/// One router's requests in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub asked: u64,
    pub failed: u64,
    /// Failed in a way that no configuration prevents: what must not be repeated was under way at a server that died.
    pub unavoidable: u64,
    pub slowest_ms: u64,
}

impl Tally {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.failed += other.failed;
        self.unavoidable += other.unavoidable;
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
    }
}
