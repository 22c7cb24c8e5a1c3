//! How a gateway ends.
//!
//! ```text
//! running ──Terminate──▶ lame duck ──its time is over──▶ draining ──Idle, or the deadline──▶ done
//! ```
//!
//! Readiness fails at once; until balancers and peers before this gateway have noticed, it goes on accepting (lame duck).
//! Then it closes its listeners, sends GOAWAY, lets connections end after their request, and waits for the last. A second
//! `Terminate` skips what is left of a phase.

use crate::planted::planted;
use std::time::Duration;

/// How long the phases last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Accepting while readiness fails.
    pub lame_duck: Duration,
    /// For requests to end once the listeners are closed.
    pub grace: Duration,
}

/// Where the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Running,
    /// Readiness fails, all else goes on.
    LameDuck,
    /// No new connection; those that there are end with their requests.
    Draining,
    Done,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM, SIGINT, or the admin asked.
    Terminate,
    /// The last connection, and all that hangs on it, has ended.
    Idle,
    /// Time has passed.
    Tick,
}

/// What the caller does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `/ready` answers 503 from now on.
    FailReadiness,
    /// Send a [`Event::Tick`] at this time.
    Arm(Duration),
    /// Close the listeners.
    StopAccepting,
    /// Send GOAWAY, end idle connections, and let each other one end after its request. Report [`Event::Idle`], at once
    /// if there is none.
    FinishConnections,
    /// Cut off what is left.
    Abort,
    Exit(Outcome),
}

/// How it ended, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request was finished.
    Clean,
    /// Some were cut off.
    DeadlinePassed,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Drain {
    periods: Periods,
    phase: Phase,
    /// When the present phase began.
    since: Duration,
}

impl Drain {
    /// Running.
    pub fn new(periods: Periods) -> Self {
        Self { periods, phase: Phase::Running, since: Duration::ZERO }
    }

    /// Where the gateway is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Moves along the machine. What does not apply does nothing.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match (self.phase, event) {
            (Phase::Running, Event::Terminate) => {
                self.enter(Phase::LameDuck, now);
                let mut actions = vec![Action::FailReadiness];
                if self.periods.lame_duck.is_zero() {
                    actions.extend(self.drain(now));
                } else {
                    actions.push(Action::Arm(self.end()));
                }
                actions
            }
            (Phase::LameDuck, Event::Terminate) => self.drain(now),
            (Phase::LameDuck, Event::Tick) if self.end() <= now => self.drain(now),
            (Phase::Draining, Event::Idle) => {
                self.enter(Phase::Done, now);
                vec![Action::Exit(Outcome::Clean)]
            }
            (Phase::Draining, Event::Terminate) => self.abort(now),
            (Phase::Draining, Event::Tick) if self.end() <= now && !planted!("drain_deadline_ignored") => self.abort(now),
            // Armed for an earlier phase.
            (Phase::LameDuck | Phase::Draining, Event::Tick) => vec![Action::Arm(self.end())],
            (Phase::Running, Event::Idle | Event::Tick) | (Phase::LameDuck, Event::Idle) | (Phase::Done, _) => Vec::new(),
        }
    }

    /// Whether a connection that has just answered a request should end with it, by `Connection: close`. Spread over the
    /// lame-duck period, so that clients do not all come back to the next gateway at once; every one while draining.
    pub fn ends_connection(&self, now: Duration, random: u64) -> bool {
        match self.phase {
            Phase::Running => false,
            Phase::LameDuck => {
                let passed = now.saturating_sub(self.since).as_nanos();
                // Rising from none to all.
                (u128::from(random) * self.periods.lame_duck.as_nanos()) >> 64 < passed
            }
            Phase::Draining | Phase::Done => true,
        }
    }

    fn drain(&mut self, now: Duration) -> Vec<Action> {
        self.enter(Phase::Draining, now);
        vec![Action::StopAccepting, Action::Arm(self.end()), Action::FinishConnections]
    }

    fn abort(&mut self, now: Duration) -> Vec<Action> {
        self.enter(Phase::Done, now);
        vec![Action::Abort, Action::Exit(Outcome::DeadlinePassed)]
    }

    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.since = now;
    }

    fn end(&self) -> Duration {
        let period = if self.phase == Phase::LameDuck { self.periods.lame_duck } else { self.periods.grace };
        self.since.saturating_add(period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PERIODS: Periods = Periods { lame_duck: Duration::from_secs(5), grace: Duration::from_secs(30) };
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_whole_way() {
        let mut drain = Drain::new(PERIODS);
        assert_eq!(drain.handle(SECOND, Event::Terminate), [Action::FailReadiness, Action::Arm(SECOND * 6)]);
        assert_eq!(drain.handle(SECOND * 2, Event::Idle), [], "new work may still come");
        assert_eq!(
            drain.handle(SECOND * 6, Event::Tick),
            [Action::StopAccepting, Action::Arm(SECOND * 36), Action::FinishConnections]
        );
        assert_eq!(drain.handle(SECOND * 7, Event::Tick), [Action::Arm(SECOND * 36)]);
        assert_eq!(drain.handle(SECOND * 9, Event::Idle), [Action::Exit(Outcome::Clean)]);
        assert_eq!(drain.handle(SECOND * 36, Event::Tick), []);
    }

    #[test]
    fn the_deadline_cuts() {
        let mut drain = Drain::new(Periods { lame_duck: Duration::ZERO, ..PERIODS });
        assert_eq!(
            drain.handle(SECOND, Event::Terminate),
            [Action::FailReadiness, Action::StopAccepting, Action::Arm(SECOND * 31), Action::FinishConnections]
        );
        assert_eq!(drain.handle(SECOND * 31, Event::Tick), [Action::Abort, Action::Exit(Outcome::DeadlinePassed)]);
    }

    #[test]
    fn a_second_signal_hurries() {
        let mut drain = Drain::new(PERIODS);
        drain.handle(SECOND, Event::Terminate);
        drain.handle(SECOND, Event::Terminate);
        assert_eq!(drain.phase(), Phase::Draining);
        assert_eq!(drain.handle(SECOND, Event::Terminate), [Action::Abort, Action::Exit(Outcome::DeadlinePassed)]);
    }

    #[test]
    fn connections_end_more_and_more() {
        let mut drain = Drain::new(PERIODS);
        assert!(!drain.ends_connection(SECOND, 0));
        drain.handle(SECOND, Event::Terminate);
        let share = |now: Duration| (0..100_u64).filter(|part| drain.ends_connection(now, part * (u64::MAX / 100))).count();
        assert_eq!((share(SECOND), share(SECOND * 6)), (0, 100));
        assert!((19..=21).contains(&share(SECOND * 2)) && (49..=51).contains(&share(SECOND * 3 + SECOND / 2)));
    }

    proptest! {
        /// Phases only go on, each action comes once, and the gateway always ends by its deadline once asked to.
        #[test]
        fn it_ends(events in prop::collection::vec((0_u8..3, 0_u64..20), 1..40), lame_duck in 0_u64..10, grace in 0_u64..40) {
            let periods = Periods { lame_duck: SECOND * lame_duck as u32, grace: SECOND * grace as u32 };
            let mut drain = Drain::new(periods);
            let (mut now, mut done, mut asked) = (Duration::ZERO, Vec::new(), None);
            for (event, passed) in events {
                now += SECOND * passed as u32;
                let event = [Event::Terminate, Event::Idle, Event::Tick][usize::from(event)];
                if event == Event::Terminate {
                    asked = asked.or(Some(now));
                }
                let before = drain.phase();
                done.extend(drain.handle(now, event).into_iter().filter(|action| !matches!(action, Action::Arm(_))));
                prop_assert!(drain.phase() >= before);
            }
            let count = |wanted: fn(&Action) -> bool| done.iter().filter(|action| wanted(action)).count();
            prop_assert!(count(|action| *action == Action::FailReadiness) == usize::from(asked.is_some()));
            prop_assert!(count(|action| *action == Action::StopAccepting) == usize::from(drain.phase() >= Phase::Draining));
            prop_assert!(count(|action| matches!(action, Action::Exit(_))) == usize::from(drain.phase() == Phase::Done));
            if asked.is_some() {
                drain.handle(now + periods.lame_duck, Event::Tick);
                drain.handle(now + periods.lame_duck + periods.grace, Event::Tick);
                prop_assert_eq!(drain.phase(), Phase::Done);
            }
        }
    }
}
