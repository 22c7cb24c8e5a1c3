//! The part of a plan that is the gateways' own fate: how they end, and begin again.

use serde::{Deserialize, Serialize};

/// Something that happens to one gateway's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// SIGTERM: readiness fails, it takes no more, finishes what it has, and ends.
    Stop,
    /// SIGKILL: its kernel closes what it had open.
    Kill,
    /// The machine dies without a word.
    PowerOff,
    /// A process begins, as soon as the one before has ended.
    Start,
    /// SIGSTOP: the kernel goes on, the process does not.
    Pause,
    /// SIGCONT.
    Resume,
}

impl Event {
    /// Something that operators mean to happen.
    pub fn is_planned(self) -> bool {
        matches!(self, Self::Stop | Self::Start | Self::Resume)
    }
}
