//! The end of a gateway, with its connections and timers.
//!
//! The model knows the declared machine and the two periods. What it holds the machine to: each phase ends at its time or by a second
//! signal; nothing is cut off before; and a gateway without connections is done at once.

use super::Judge;
use crate::oracle::{Oracle, Verdict};
use fairlead_core::drain::{Action, Drain, Event, Outcome, Periods, Phase};
use std::{collections::BTreeSet, time::Duration};

pub(super) struct Gateway {
    drain: Drain,
    periods: Periods,
    since: Duration,
    connections: usize,
    /// Timers that are set.
    armed: BTreeSet<Duration>,
    accepts: bool,
    ready: bool,
    exit: Option<Outcome>,
}

impl Gateway {
    pub(super) fn new(lame_duck: Duration, grace: Duration) -> Self {
        let periods = Periods { lame_duck, grace };
        Self {
            drain: Drain::new(periods),
            periods,
            since: Duration::ZERO,
            connections: 0,
            armed: BTreeSet::new(),
            accepts: true,
            ready: true,
            exit: None,
        }
    }

    /// After one is done, the next one begins.
    pub(super) fn renew(&mut self) {
        if self.drain.phase() == Phase::Done {
            *self = Self::new(self.periods.lame_duck, self.periods.grace);
        }
    }

    pub(super) fn connect(&mut self) {
        self.connections += usize::from(self.accepts);
    }

    pub(super) fn disconnect(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        if self.connections == 0 {
            return Ok(());
        }
        self.connections -= 1;
        if self.connections == 0 && !self.accepts { self.handle(now, Event::Idle, judge) } else { Ok(()) }
    }

    pub(super) fn terminate(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        self.handle(now, Event::Terminate, judge)
    }

    pub(super) fn tick(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        self.handle(now, Event::Tick, judge)
    }

    /// Serves the timers that are due by now. They fire late, and never too early.
    pub(super) fn pass(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        while let Some(at) = self.armed.first().copied().filter(|at| *at <= now) {
            self.armed.remove(&at);
            self.handle(now, Event::Tick, judge)?;
        }
        let end = self.end();
        judge.holds(Oracle::Liveness, end.is_none_or(|end| end > now), || {
            format!("{:?} since {:?} is not over at {now:?}: {:?}", self.drain.phase(), self.since, self.periods)
        })
    }

    pub(super) fn answer(&mut self, now: Duration, random: u64, judge: &mut Judge) -> Verdict {
        let ends = self.drain.ends_connection(now, random);
        judge.notes(ends.into());
        let end = self.end().unwrap_or(now);
        let right = match self.drain.phase() {
            Phase::Running => !ends,
            // Once it would be ended, it would be at any later time, and by all at the end.
            Phase::LameDuck => {
                judge.moved(if ends { "connection ended in the lame duck" } else { "connection kept in the lame duck" })?;
                let later = self.drain.ends_connection(now + (end - now) / 2, random);
                (later || !ends) && self.drain.ends_connection(end, random)
            }
            Phase::Draining | Phase::Done => ends,
        };
        judge.holds(Oracle::Baseline, right, || format!("in {:?}, a connection ends: {ends}", self.drain.phase()))
    }

    /// When the present phase has to be over.
    fn end(&self) -> Option<Duration> {
        match self.drain.phase() {
            Phase::LameDuck => Some(self.since + self.periods.lame_duck),
            Phase::Draining => Some(self.since + self.periods.grace),
            Phase::Running | Phase::Done => None,
        }
    }

    fn handle(&mut self, now: Duration, event: Event, judge: &mut Judge) -> Verdict {
        let (before, end, waiting) = (self.drain.phase(), self.end(), self.connections);
        let in_time = end.is_some_and(|end| end <= now);
        let actions = self.drain.handle(now, event);
        let after = self.drain.phase();
        if before != after {
            self.since = now;
            let transition = match (before, after, event) {
                (Phase::Running, Phase::LameDuck, Event::Terminate) => "running→lame duck",
                (Phase::Running, Phase::Draining, Event::Terminate) if self.periods.lame_duck.is_zero() => "running→draining",
                (Phase::LameDuck, Phase::Draining, Event::Tick) if in_time => "lame duck→draining",
                (Phase::LameDuck, Phase::Draining, Event::Terminate) => "lame duck→draining by a second signal",
                (Phase::Draining, Phase::Done, Event::Idle) => "draining→done, all finished",
                (Phase::Draining, Phase::Done, Event::Tick) if in_time => "draining→done at the deadline",
                (Phase::Draining, Phase::Done, Event::Terminate) => "draining→done by a second signal",
                _ => "none of them",
            };
            judge.moved(transition)?;
        }
        let told = || format!("{event:?} in {before:?} at {now:?}, with {waiting} connections: {after:?}, {actions:?}");
        let stays = before == after && (event == Event::Terminate && before < Phase::Done || in_time && event == Event::Tick);
        judge.holds(Oracle::Liveness, !stays, || format!("{}; it should move on", told()))?;
        let mut finishes = false;
        for action in &actions {
            let right = match action {
                Action::FailReadiness => std::mem::replace(&mut self.ready, false),
                Action::Arm(at) => {
                    self.armed.insert(*at);
                    true
                }
                Action::StopAccepting => !self.ready && std::mem::replace(&mut self.accepts, false),
                Action::FinishConnections => {
                    finishes = true;
                    !self.accepts
                }
                Action::Abort => in_time || event == Event::Terminate,
                Action::Exit(outcome) => {
                    let clean = *outcome == Outcome::Clean;
                    self.exit.replace(*outcome).is_none() && clean == (event == Event::Idle) && (!clean || waiting == 0)
                }
            };
            judge.holds(Oracle::Baseline, right, || format!("{}: {action:?} is out of place", told()))?;
        }
        judge.holds(Oracle::Baseline, (after == Phase::Done) == self.exit.is_some(), told)?;
        // Somebody must wake it.
        let armed = self.end().is_none_or(|end| self.armed.contains(&end));
        judge.holds(Oracle::Liveness, armed, || format!("{}; no timer is set", told()))?;
        if after == Phase::Done {
            (self.connections, self.accepts) = (0, false);
        }
        if finishes && self.connections == 0 { self.handle(now, Event::Idle, judge) } else { Ok(()) }
    }
}
