//! What an event means, beside its line: for whoever draws a run instead of reading it.
//!
//! Marks are no part of the hash, and are kept only when asked for, so a run with them is the same run. Deliberately absent: how
//! they are drawn (`timeline`).

use crate::fault::{Fault, Phase};
use serde::Serialize;
use std::collections::BTreeSet;

/// See the head of this file. Nodes are meant by their names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Mark {
    /// The node is in this state from now on.
    State { state: State },
    /// A cluster knows the node by this identity from now on.
    Bears { identity: String },
    /// A gateway admits requests by this configuration from now on, and may send them to these nodes: names, or identities.
    Configuration { number: u64, picks: BTreeSet<String> },
    /// A client begins a request.
    Asked { id: u64, gateway: String, method: String, service: usize },
    /// The request is at a server.
    Arrived { id: u64 },
    /// The server's response has left it.
    Replied { id: u64 },
    /// The client has a whole response: a server's, or, with a reason, the gateway's own.
    Answered { id: u64, status: u16, reason: Option<String> },
    /// The client's connection ended instead.
    Lost { id: u64 },
    /// The client went away.
    Aborted { id: u64 },
    /// A fault strikes, begins or ends, at these nodes if at some in particular.
    Fault { fault: &'static str, phase: &'static str, what: String, nodes: Vec<String> },
    /// A phase of the run begins.
    Phase { name: &'static str },
    /// Something that is no fault.
    Happens { what: String },
    /// An invariant does not hold.
    Violation { oracle: &'static str, detail: String },
}

/// What a node is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starts,
    Serves,
    Drains,
    /// It ended, and its kernel said so.
    Ended,
    /// It is gone without a word.
    Dark,
}

/// A mark, when and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Marked {
    /// Microseconds of virtual time.
    pub at: u64,
    /// Lines of the trace that came before.
    pub line: u64,
    pub node: String,
    #[serde(flatten)]
    pub mark: Mark,
}

impl Mark {
    /// A fault, in the words of its step or of its kind.
    pub fn fault(fault: Fault, phase: Phase, what: String, nodes: Vec<String>) -> Self {
        let phase = match phase {
            Phase::Once => "once",
            Phase::Begins => "begins",
            Phase::Ends => "ends",
        };
        Self::Fault { fault: fault.id(), phase, what, nodes }
    }
}
