//! A manager: what it answers, given what is wrong with it. Pure.
//!
//! Owns the manager's fault and its count of answers, from which follows which of them a fault meets: two runs of a plan meet the same.

use super::{Cluster, View};
use crate::{chance::mix, plan::swarm::Fault};
use std::sync::Arc;

/// A manager's state.
#[derive(Clone, Debug)]
pub struct Manager {
    pub index: usize,
    pub fault: Fault,
    /// Tells no events.
    pub silent: bool,
    /// Counts the times that event streams were cut, and that all connections were.
    pub cuts: u64,
    pub breaks: u64,
    answers: u64,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The list, from this view, after so many milliseconds.
    View { view: Arc<View>, after: u64 },
    /// So many milliseconds later an error with this status and message.
    Error { status: u16, message: &'static str, after: u64 },
    /// The connection is cut after so many thousandths of the answer.
    Cut { view: Arc<View>, after_part: u64 },
    /// Nothing, ever.
    Nothing,
}

/// What a request to a cluster that has no leader, or a manager that lost its peers, waits for.
const DEADLINE: u64 = 20_000;

const PREPARING: &str =
    "This node is not a swarm manager. Either the manager is being prepared or it cannot reach the swarm cluster.";
const WORKER: &str = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.";
const NO_LEADER: &str = "rpc error: code = Unknown desc = The swarm does not have a leader.";
const NO_QUORUM: &str = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";

impl Manager {
    /// A manager that is well.
    pub fn new(index: usize) -> Self {
        Self { index, fault: Fault::None, silent: false, cuts: 0, breaks: 0, answers: 0 }
    }

    /// Breaks it, or mends it.
    pub fn set(&mut self, fault: Fault) {
        // Another state is another process, or another connection to the leader.
        let of_its_own = |fault: &Fault| matches!(fault, Fault::Stale { .. } | Fault::Empty);
        let changes = self.fault != fault && [self.fault, fault].iter().any(of_its_own);
        self.breaks += u64::from(changes);
        self.fault = fault;
    }

    /// Whether it answers what is true, soon.
    pub fn is_well(&self) -> bool {
        self.fault == Fault::None && !self.silent
    }

    /// What becomes of the next request for something of the cluster.
    pub(super) fn answer(&mut self, now: u64, cluster: &Cluster, leader: bool) -> Answer {
        self.answers += 1;
        let drawn = mix(self.answers ^ (self.index as u64) << 32);
        let hit = |share: u32| drawn % 1_000 < u64::from(share);
        let view = || Arc::new(cluster.view().clone());
        let fresh = |after| Answer::View { view: view(), after };
        match self.fault {
            Fault::Hang => Answer::Nothing,
            Fault::Preparing => Answer::Error { status: 503, message: PREPARING, after: 0 },
            Fault::Worker => Answer::Error { status: 503, message: WORKER, after: 0 },
            Fault::NoQuorum => Answer::Error { status: 500, message: NO_QUORUM, after: DEADLINE },
            _ if !leader => Answer::Error { status: 503, message: NO_LEADER, after: 0 },
            Fault::Empty => Answer::View { view: Arc::new(View { index: cluster.view().index, ..View::default() }), after: 0 },
            Fault::Stale { by } => Answer::View { view: cluster.view_at(now.saturating_sub(by)), after: 0 },
            Fault::Lost { share } if hit(share) => Answer::Cut { view: view(), after_part: 0 },
            Fault::Truncated { share } if hit(share) => Answer::Cut { view: view(), after_part: 1 + drawn / 1_000 % 999 },
            Fault::Slow { least, most } => fresh(least + drawn % (most.max(least) - least + 1)),
            _ => fresh(0),
        }
    }
}
