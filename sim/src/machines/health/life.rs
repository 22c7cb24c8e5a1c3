//! One server's life, held to the diagram at the head of `core/src/endpoint.rs`.

use super::Judge;
use crate::oracle::{Oracle, Verdict, broken};
use fairlead_core::endpoint::{Action, Endpoint, Event, Life};
use std::{collections::BTreeSet, time::Duration};

pub(super) struct Server {
    endpoint: Endpoint,
    pub(super) model: Life,
    pub(super) in_flight: usize,
    deadline: Duration,
    keeps_sessions: bool,
    /// Timers that are set.
    armed: BTreeSet<Duration>,
}

impl Server {
    pub(super) fn new() -> Self {
        Self {
            endpoint: Endpoint::new(),
            model: Life::Joining,
            in_flight: 0,
            deadline: Duration::ZERO,
            keeps_sessions: false,
            armed: BTreeSet::new(),
        }
    }

    pub(super) fn life(&self) -> Life {
        self.endpoint.life()
    }

    /// Serves the timers that are due by now.
    pub(super) fn pass(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        while let Some(at) = self.armed.first().copied().filter(|at| *at <= now) {
            self.armed.remove(&at);
            self.handle(now, Event::Tick, judge)?;
        }
        judge.holds(Oracle::Liveness, self.life() != Life::Draining || self.deadline > now, || {
            format!("a drain that was to end at {:?} lasts at {now:?}", self.deadline)
        })
    }

    pub(super) fn handle(&mut self, now: Duration, event: Event, judge: &mut Judge) -> Verdict {
        let before = self.model;
        let actions = self.endpoint.handle(now, event);
        let (in_time, busy, kept) = (self.deadline <= now, self.in_flight > 0, self.keeps_sessions);
        // Where it goes, what is to be done, and the name of the move.
        let (after, expected, transition): (Life, Vec<Action>, &str) = match (before, event) {
            (Life::Joining, Event::Ready) => (Life::Active, vec![Action::Admit], "joining→active"),
            (Life::Joining, Event::Withdrawn { .. }) => (Life::Gone, vec![Action::Forget], "joining→gone"),
            (Life::Active, Event::Withdrawn { keeps_sessions, grace, .. }) if busy || keeps_sessions => {
                self.deadline = now + grace;
                self.keeps_sessions = keeps_sessions;
                (Life::Draining, vec![Action::Withdraw, Action::Arm(self.deadline)], "active→draining")
            }
            (Life::Active, Event::Withdrawn { .. }) => (Life::Gone, vec![Action::Withdraw, Action::Forget], "active→gone"),
            (Life::Draining, Event::Announced) => (Life::Active, vec![Action::Admit], "draining→active"),
            (Life::Draining, Event::Idle) if !kept => (Life::Gone, vec![Action::Forget], "draining→gone, idle"),
            (Life::Draining, Event::Idle) => (before, Vec::new(), "idle, and kept for sessions"),
            (Life::Draining, Event::Tick) if in_time => {
                (Life::Gone, vec![Action::Abort, Action::Forget], "draining→gone at the deadline")
            }
            (Life::Draining, Event::Tick) => (before, vec![Action::Arm(self.deadline)], ""),
            _ => (before, Vec::new(), ""),
        };
        if !transition.is_empty() {
            judge.moved(transition)?;
        }
        let told = || format!("{before:?}, {event:?} with {} in flight: {:?}, {actions:?}", self.in_flight, self.endpoint.life());
        judge.holds(Oracle::Legality, self.endpoint.life() == after, || format!("{}, and {after:?} is right", told()))?;
        judge.holds(Oracle::Legality, actions == expected, || format!("{}, and {expected:?} is right", told()))?;
        if after == Life::Gone && busy && !actions.contains(&Action::Abort) {
            return broken(Oracle::Baseline, format!("{}: forgotten with requests in flight", told()));
        }
        self.model = after;
        for action in actions {
            match action {
                Action::Arm(at) => drop(self.armed.insert(at)),
                Action::Abort => self.in_flight = 0,
                Action::Admit | Action::Withdraw | Action::Forget => {}
            }
        }
        Ok(())
    }
}
