//! The life of an endpoint, and what it makes of health.
//!
//! ```text
//!            Ready                Withdrawn                Idle, or the deadline
//! joining ───────────▶ active ───────────────▶ draining ───────────────────────▶ gone
//!    │                   ▲      Announced         │                               ▲
//!    │                   └────────────────────────┘                               │
//!    └───────────────────────────── Withdrawn ────────────────────────────────────┘
//! ```
//!
//! Usable for new work = active × active health × passive ejection, with a floor under ejection alone: a probe that the
//! operator configured is believed, even about all servers; ejection is a guess from traffic, and is ignored where it would
//! leave too few.

use std::time::Duration;

/// Where an endpoint is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// Known, not yet to be given work.
    Joining,
    Active,
    /// No new work; requests and sessions that it has go on.
    Draining,
    /// For ever: an endpoint that comes back is another one.
    Gone,
}

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It may be given work: its desired state is running, and it is reachable as far as is known.
    Ready,
    /// The configuration or orchestrator wants it again.
    Announced,
    /// Its desired state has left running, or it is no longer configured.
    Withdrawn {
        /// Requests that it has now.
        in_flight: usize,
        /// Sticky clients may still come: it stays until the deadline even without requests.
        keeps_sessions: bool,
        /// After this time what is left is cut off.
        grace: Duration,
    },
    /// Its last request has ended.
    Idle,
    /// Time has passed.
    Tick,
}

/// What the caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is in the pick set from now on.
    Admit,
    /// It is out of the pick set from now on.
    Withdraw,
    /// Send a [`Event::Tick`] at this time.
    Arm(Duration),
    /// Cut off the requests that it still has.
    Abort,
    /// Close its idle connections, stop its probes, drop its counters.
    Forget,
}

/// One endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    life: Life,
    drain: Option<Drain>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Drain {
    deadline: Duration,
    keeps_sessions: bool,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Endpoint {
    /// Joining.
    pub fn new() -> Self {
        Self { life: Life::Joining, drain: None }
    }

    /// Where it is in its life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Moves along the machine. What does not apply does nothing.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match (self.life, event) {
            (Life::Joining, Event::Ready) => {
                self.life = Life::Active;
                vec![Action::Admit]
            }
            (Life::Joining, Event::Withdrawn { .. }) => self.end(false),
            (Life::Active, Event::Withdrawn { in_flight: 0, keeps_sessions: false, .. }) => {
                let mut actions = vec![Action::Withdraw];
                actions.extend(self.end(false));
                actions
            }
            (Life::Active, Event::Withdrawn { keeps_sessions, grace, .. }) => {
                let deadline = now.saturating_add(grace);
                self.life = Life::Draining;
                self.drain = Some(Drain { deadline, keeps_sessions });
                vec![Action::Withdraw, Action::Arm(deadline)]
            }
            (Life::Draining, Event::Announced) => {
                self.life = Life::Active;
                self.drain = None;
                vec![Action::Admit]
            }
            (Life::Draining, Event::Idle) if self.drain.is_none_or(|drain| !drain.keeps_sessions) => self.end(false),
            (Life::Draining, Event::Tick) if self.drain.is_none_or(|drain| drain.deadline <= now) => self.end(true),
            // An early tick, as when the time was armed for a drain that was called off and began anew.
            (Life::Draining, Event::Tick) => self.drain.map(|drain| Action::Arm(drain.deadline)).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn end(&mut self, cuts: bool) -> Vec<Action> {
        self.life = Life::Gone;
        self.drain = None;
        if cuts { vec![Action::Abort, Action::Forget] } else { vec![Action::Forget] }
    }
}

/// All that speaks for or against an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub life: Life,
    /// The active health check's word; true without one.
    pub probe_up: bool,
    /// The outlier detection's word; false without one.
    pub ejected: bool,
}

impl Standing {
    /// May be given new work if ejection counts.
    pub fn takes_new(self) -> bool {
        self.may_be_ejected() && !self.ejected
    }

    /// May be given a request of a client that is bound to it.
    pub fn serves_sessions(self) -> bool {
        matches!(self.life, Life::Active | Life::Draining) && self.probe_up && !self.ejected
    }

    fn may_be_ejected(self) -> bool {
        self.life == Life::Active && self.probe_up
    }
}

/// How many of the endpoints that would be usable may be ejected at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanicFloor {
    /// Above this share ejections are ignored, all of them: most likely it is not the servers that fail.
    pub max_ejected_percent: u8,
}

impl Default for PanicFloor {
    fn default() -> Self {
        // Two of three may go, as in a partition that leaves one.
        Self { max_ejected_percent: 70 }
    }
}

impl PanicFloor {
    /// Whether one more endpoint may be ejected, of `candidates` that are active and up and of which `ejected` are out.
    pub fn allows_ejection(self, candidates: usize, ejected: usize) -> bool {
        ejected + 1 < candidates && !self.is_crossed(candidates, ejected + 1)
    }

    /// Which endpoints may be given new work, in order. Some are whenever some are active and up.
    pub fn usable(self, standings: &[Standing]) -> Vec<bool> {
        let candidates = standings.iter().filter(|standing| standing.may_be_ejected()).count();
        let ejected = standings.iter().filter(|standing| standing.may_be_ejected() && standing.ejected).count();
        let ignores_ejection = ejected == candidates || self.is_crossed(candidates, ejected);
        standings.iter().map(|standing| standing.takes_new() || (ignores_ejection && standing.may_be_ejected())).collect()
    }

    fn is_crossed(self, candidates: usize, ejected: usize) -> bool {
        ejected * 100 > candidates * usize::from(self.max_ejected_percent)
    }
}
