//! A gateway's second entry point, with TLS: certificate files, what becomes of them, and clients that ask for names.

use serde::{Deserialize, Serialize};

/// See the head of this file. Only with a file as the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tls {
    /// No default certificate: a name without one of its own is refused.
    pub strict: bool,
    /// Pairs of files on every gateway, with what they hold at first.
    pub files: Vec<File>,
    /// Changes of files, in the order of their times.
    pub changes: Vec<Change>,
    pub visits: Vec<Visit>,
}

/// A certificate file and its key file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Names that its certificates stand for. None: it is the default certificate.
    pub names: Vec<String>,
    pub first: Validity,
}

/// From when to when, in seconds of true time since the gateways were ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    pub from: i64,
    pub until: i64,
}

/// Something is written to a pair of files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub at: u64,
    pub file: usize,
    pub manner: Manner,
    pub validity: Validity,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// The one file, and so many milliseconds later the other.
    Rotated { pause: u64, key_first: bool },
    /// A certificate whose key stays away.
    Mismatched,
    /// The beginning of a certificate.
    Cut,
    /// Both files go.
    Removed,
}

/// A client begins a handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    pub at: u64,
    #[serde(default)]
    pub gateway: usize,
    /// The name that it asks for.
    pub name: String,
    /// It speaks HTTP without TLS to that port.
    pub clear: bool,
}

impl Tls {
    /// When certificates begin to be valid or run out, those that nobody comes to see any more aside. In milliseconds, in order.
    pub fn turns(&self) -> Vec<u64> {
        let last = self.visits.iter().map(|visit| visit.at).max().unwrap_or(0);
        let first = self.files.iter().map(|file| (0, file.first));
        let all = first.chain(self.changes.iter().map(|change| (change.at, change.validity)));
        let of = |(since, validity): (u64, Validity)| [validity.from, validity.until].map(|at| (since, at));
        let within =
            |(since, seconds)| u64::try_from(seconds).ok().map(|at: u64| at * 1_000).filter(|at| (since..last).contains(at));
        let mut turns: Vec<_> = all.flat_map(of).filter_map(within).collect();
        turns.sort_unstable();
        turns
    }

    pub(super) fn is_sound(&self, gateways: usize) -> bool {
        self.changes.iter().all(|change| change.file < self.files.len())
            && self.visits.iter().all(|visit| visit.gateway < gateways)
    }
}
