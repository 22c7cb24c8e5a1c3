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
//! Usable for new work = active × reachable × active health × passive ejection, with a floor under ejection alone: a probe that the
//! operator configured is believed, even about all servers; ejection is a guess from traffic, and is ignored where it would
//! leave too few.

use crate::planted::planted;
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
            (Life::Active, Event::Withdrawn { in_flight, keeps_sessions: false, .. })
                if in_flight == 0 || planted!("drain_skipped") =>
            {
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
    /// Discovery's word; true where it says nothing.
    pub reachable: bool,
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
        matches!(self.life, Life::Active | Life::Draining) && self.reachable && self.probe_up && !self.ejected
    }

    fn may_be_ejected(self) -> bool {
        self.life == Life::Active && self.reachable && self.probe_up
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
        let leaves_one = ejected + 1 < candidates || planted!("ejects_last");
        leaves_one && !self.is_crossed(candidates, ejected + usize::from(!planted!("ejects_last")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn withdrawn(in_flight: usize, keeps_sessions: bool) -> Event {
        Event::Withdrawn { in_flight, keeps_sessions, grace: GRACE }
    }

    fn active() -> Endpoint {
        let mut endpoint = Endpoint::new();
        assert_eq!(endpoint.handle(Duration::ZERO, Event::Ready), [Action::Admit]);
        endpoint
    }

    #[test]
    fn requests_in_flight_end_before_the_endpoint_does() {
        let mut endpoint = active();
        let now = Duration::from_secs(5);
        assert_eq!(endpoint.handle(now, withdrawn(2, false)), [Action::Withdraw, Action::Arm(now + GRACE)]);
        assert_eq!(endpoint.handle(now, Event::Tick), [Action::Arm(now + GRACE)]);
        assert_eq!(endpoint.life(), Life::Draining);
        assert_eq!(endpoint.handle(now, Event::Idle), [Action::Forget]);
        assert_eq!(endpoint.handle(now, Event::Ready), []);
        assert_eq!(endpoint.life(), Life::Gone);
    }

    #[test]
    fn without_requests_it_goes_at_once() {
        assert_eq!(active().handle(GRACE, withdrawn(0, false)), [Action::Withdraw, Action::Forget]);
        assert_eq!(Endpoint::new().handle(GRACE, withdrawn(0, true)), [Action::Forget]);
    }

    #[test]
    fn sessions_are_kept_to_the_deadline_and_no_longer() {
        let mut endpoint = active();
        endpoint.handle(Duration::ZERO, withdrawn(0, true));
        assert_eq!(endpoint.handle(GRACE / 2, Event::Idle), []);
        assert_eq!(endpoint.handle(GRACE, Event::Tick), [Action::Abort, Action::Forget]);
    }

    #[test]
    fn what_is_wanted_again_comes_back() {
        let mut endpoint = active();
        endpoint.handle(Duration::ZERO, withdrawn(1, false));
        assert_eq!(endpoint.handle(GRACE, Event::Announced), [Action::Admit]);
        assert_eq!(endpoint.handle(GRACE, Event::Tick), [], "the deadline was called off");
        assert_eq!(endpoint.life(), Life::Active);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Ready),
            Just(Event::Announced),
            Just(Event::Idle),
            Just(Event::Tick),
            (0_usize..3, any::<bool>(), 0_u64..20).prop_map(|(in_flight, keeps_sessions, grace)| Event::Withdrawn {
                in_flight,
                keeps_sessions,
                grace: Duration::from_secs(grace),
            }),
        ]
    }

    fn standing() -> impl Strategy<Value = Standing> {
        let life =
            prop_oneof![Just(Life::Joining), Just(Life::Active), Just(Life::Active), Just(Life::Draining), Just(Life::Gone)];
        (life, any::<[bool; 3]>()).prop_map(|(life, [reachable, probe_up, ejected])| Standing {
            life,
            reachable,
            probe_up,
            ejected,
        })
    }

    proptest! {
        /// Only along the arrows; what the caller is told adds up; nothing drains beyond its deadline.
        #[test]
        fn transitions_are_the_drawn_ones(events in prop::collection::vec((event(), 0_u64..8), 1..40)) {
            let mut endpoint = Endpoint::new();
            let (mut now, mut admitted, mut armed) = (Duration::ZERO, false, None);
            for (event, passed) in events {
                now += Duration::from_secs(passed);
                let before = endpoint.life();
                let actions = endpoint.handle(now, event);
                let legal = match (before, endpoint.life()) {
                    (Life::Joining, Life::Active) => event == Event::Ready,
                    (Life::Active, Life::Draining) | (Life::Joining | Life::Active, Life::Gone) => matches!(event, Event::Withdrawn { .. }),
                    (Life::Draining, Life::Active) => event == Event::Announced,
                    (Life::Draining, Life::Gone) => matches!(event, Event::Idle | Event::Tick),
                    (before, after) => before == after,
                };
                prop_assert!(legal, "{before:?} to {:?} on {event:?}", endpoint.life());
                for action in actions {
                    match action {
                        Action::Admit => admitted = true,
                        Action::Withdraw => admitted = false,
                        Action::Arm(at) => armed = Some(at),
                        Action::Abort | Action::Forget => prop_assert_eq!(endpoint.life(), Life::Gone),
                    }
                }
                prop_assert_eq!(admitted, endpoint.life() == Life::Active);
                if endpoint.life() == Life::Draining {
                    let deadline = armed.expect("a drain has its deadline");
                    let late = endpoint.clone().handle(deadline, Event::Tick);
                    prop_assert_eq!(late, vec![Action::Abort, Action::Forget]);
                }
            }
        }

        /// While some endpoint is active and up, some is usable; whatever is usable is active and up.
        #[test]
        fn ejection_never_leaves_nothing(standings in prop::collection::vec(standing(), 0..9), max_ejected_percent in 0_u8..=100) {
            let floor = PanicFloor { max_ejected_percent };
            let usable = floor.usable(&standings);
            let candidate = |standing: &Standing| standing.life == Life::Active && standing.reachable && standing.probe_up;
            prop_assert_eq!(usable.iter().any(|usable| *usable), standings.iter().any(candidate));
            prop_assert!(usable.iter().zip(&standings).all(|(usable, standing)| !usable || candidate(standing)));
            prop_assert!(standings.iter().zip(&usable).all(|(standing, usable)| !standing.takes_new() || *usable));
        }

        /// What the floor allows to be ejected it does not ignore afterwards, and it never allows the last.
        #[test]
        fn the_floor_is_consistent(candidates in 0_usize..30, max_ejected_percent in 0_u8..=100) {
            let floor = PanicFloor { max_ejected_percent };
            let mut standings = vec![Standing { life: Life::Active, reachable: true, probe_up: true, ejected: false }; candidates];
            let mut ejected = 0;
            while floor.allows_ejection(candidates, ejected) {
                standings[ejected].ejected = true;
                ejected += 1;
            }
            prop_assert!(ejected < candidates || candidates == 0);
            prop_assert_eq!(floor.usable(&standings).iter().filter(|usable| **usable).count(), candidates - ejected);
        }
    }

    #[test]
    fn two_of_three_may_go_but_not_the_last() {
        let floor = PanicFloor::default();
        assert!(floor.allows_ejection(2, 0) && floor.allows_ejection(3, 1));
        assert!(!floor.allows_ejection(1, 0) && !floor.allows_ejection(2, 1) && !floor.allows_ejection(3, 2));
    }

    #[test]
    fn when_all_are_ejected_none_is() {
        let ejected = Standing { life: Life::Active, reachable: true, probe_up: true, ejected: true };
        assert_eq!(PanicFloor { max_ejected_percent: 100 }.usable(&[ejected, ejected]), [true, true]);
        // As when the others have left meanwhile.
        assert_eq!(PanicFloor::default().usable(&[ejected, Standing { life: Life::Gone, ..ejected }]), [true, false]);
    }

    #[test]
    fn a_draining_endpoint_serves_its_own() {
        let standing = Standing { life: Life::Draining, reachable: true, probe_up: true, ejected: false };
        assert!(standing.serves_sessions() && !standing.takes_new());
        assert!(!Standing { probe_up: false, ..standing }.serves_sessions());
        assert!(!Standing { reachable: false, ..standing }.serves_sessions());
    }
}
