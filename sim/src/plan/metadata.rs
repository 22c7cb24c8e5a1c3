//! Rancher's metadata service: how a gateway asks it, and what goes wrong there.

use serde::{Deserialize, Serialize};

/// How it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Again and again, instead of waiting for another version.
    pub interval_poll: bool,
    /// Seconds: between two questions, or the longest wait.
    pub refresh: u64,
    /// It answers with a list of stacks that name their services, as its first version did.
    pub apart: bool,
}

/// What is wrong with it from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is well again.
    None,
    /// It reads questions and answers none.
    Hangs,
    /// It lists nothing.
    Empty,
    /// It knows no such path.
    Missing,
    /// Its version stands still, whatever changes.
    Stale,
    /// Answers end in their middle.
    Cut,
}
