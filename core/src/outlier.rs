//! Passive health: what requests say of a server.
//!
//! ```text
//! clear ──failures──▶ ejected ──its time is over──▶ probation ──success──▶ clear
//!                        ▲                              │
//!                        └──────────failure─────────────┘   (each time twice as long, up to a cap)
//! ```
//!
//! Two signs eject: failures in a row, and a low share of successes in a window. Whether an ejection is allowed is the
//! caller's answer ([`crate::endpoint::PanicFloor`]): the last endpoint is never ejected.

use crate::{config::dynamic::PassiveHealthCheck, planted::planted};
use std::{collections::VecDeque, sync::Arc, time::Duration};

const SLOTS: usize = 10;
/// More failures than these are not told apart.
const MOST_FAILURES: usize = 1_024;

/// What counts, and for how long a server stays away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutlierPolicy {
    /// Fairlead's own, for services without `passiveHealthCheck`. Responses do not count as failures, whatever their
    /// status: a server that answers 500 to one path may serve all others.
    Adaptive {
        /// Failures in a row that eject.
        consecutive: u32,
        /// The span over which successes are counted.
        window: Duration,
        /// Fewer requests in the window tell nothing.
        min_requests: u32,
        /// Below this share of successes a server is ejected.
        min_success_percent: u8,
        /// The first ejection lasts this long; each further one twice as long.
        base: Duration,
        /// No ejection lasts longer.
        max: Duration,
    },
    /// Traefik's `passiveHealthCheck`: `max_failed_attempts` failures, 5xx included, without a success between them and
    /// within the window, eject for the length of the window.
    Traefik {
        window: Duration,
        max_failed_attempts: u32,
        /// An active check is configured too: only [`Outlier::restore`] brings the server back.
        restored_by_probe: bool,
    },
}

/// How a request to a server went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response below 500.
    Success,
    /// A response of 500 or above.
    ServerError,
    /// No connection, or no whole response head. A client that went away, or a response that breaks off later, is not
    /// reported.
    Failure,
}

/// What an outcome, or the time, changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// Out of the pick set; send [`Outlier::tick`] at this time, if any.
    Ejected {
        until: Option<Duration>,
    },
    /// Back in the pick set.
    Restored,
}

/// One server's record.
#[derive(Clone, Debug)]
pub struct Outlier {
    /// Shared by most.
    policy: Arc<OutlierPolicy>,
    /// `None`: nothing was ever counted. Most servers never fail.
    record: Option<Box<Record>>,
}

#[derive(Clone, Debug, Default)]
struct Record {
    state: State,
    streak: u32,
    /// Times of the failures since the last success (Traefik's policy).
    failures: VecDeque<Duration>,
    window: Window,
    /// Ejections without a clear spell of the longest ejection's length between them.
    ejections: u32,
    cleared_at: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Clear,
    Ejected {
        until: Option<Duration>,
    },
    Probation,
}

impl Default for OutlierPolicy {
    fn default() -> Self {
        Self::Adaptive {
            consecutive: 5,
            window: Duration::from_secs(10),
            min_requests: 20,
            min_success_percent: 50,
            base: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}

impl OutlierPolicy {
    /// The policy of a service.
    pub fn of(configured: Option<&PassiveHealthCheck>, has_active_check: bool) -> Self {
        configured.map_or_else(Self::default, |check| Self::Traefik {
            window: check.failure_window,
            max_failed_attempts: check.max_failed_attempts,
            restored_by_probe: has_active_check,
        })
    }
}

impl Outlier {
    /// Nothing against it.
    pub fn new(policy: impl Into<Arc<OutlierPolicy>>) -> Self {
        Self { policy: policy.into(), record: None }
    }

    /// Takes over a changed policy; under the same one the record stays.
    pub fn update(&mut self, policy: impl Into<Arc<OutlierPolicy>>) {
        let policy = policy.into();
        if self.policy != policy {
            *self = Self::new(policy);
        }
    }

    /// Whether it is ejected now.
    pub fn is_ejected(&self) -> bool {
        matches!(self.state(), State::Ejected { .. })
    }

    /// When its ejection ends; `None`: it is not ejected, or until a probe passes.
    pub fn ejected_until(&self) -> Option<Duration> {
        match self.state() {
            State::Ejected { until } => until,
            State::Clear | State::Probation => None,
        }
    }

    fn state(&self) -> State {
        self.record.as_ref().map_or(State::Clear, |record| record.state)
    }

    /// Takes how a request went that ended at `now`. Ejects only if `may_eject`.
    pub fn observe(&mut self, now: Duration, outcome: Outcome, may_eject: bool) -> Change {
        // What was under way when it was ejected proves nothing new.
        if self.is_ejected() {
            return Change::None;
        }
        if !self.counts_against(now, outcome) || !may_eject {
            return Change::None;
        }
        self.eject(now)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) -> Change {
        match self.state() {
            State::Ejected { until: Some(until) } if until <= now => self.readmit(now),
            _ => Change::None,
        }
    }

    /// An active probe passed: under Traefik's policy with an active check that is what brings a server back.
    pub fn restore(&mut self, now: Duration) -> Change {
        match self.state() {
            State::Ejected { until: None } => self.readmit(now),
            _ => Change::None,
        }
    }

    /// Notes the outcome and tells whether the record now speaks for ejection.
    fn counts_against(&mut self, now: Duration, outcome: Outcome) -> bool {
        let Self { policy, record } = self;
        match &**policy {
            OutlierPolicy::Adaptive { consecutive, window, min_requests, min_success_percent, max, .. } => {
                let failed = outcome == Outcome::Failure;
                let record = record.get_or_insert_default();
                record.window.add(now, *window, failed);
                // By the clock alone: whether anything succeeded meanwhile need not be reported.
                if record.state == State::Clear && now.saturating_sub(record.cleared_at) >= *max {
                    record.ejections = 0;
                }
                if !failed {
                    record.streak = 0;
                    if record.state == State::Probation {
                        record.state = State::Clear;
                        record.cleared_at = now;
                    }
                    return false;
                }
                record.streak = record.streak.saturating_add(1);
                let (requests, failures) = record.window.count();
                let too_few_succeed = requests >= u64::from((*min_requests).max(1))
                    && (requests - failures) * 100 < requests * u64::from(*min_success_percent);
                let on_probation = record.state == State::Probation && !(planted!("half_open_off_by_one") && record.streak < 2);
                on_probation || record.streak >= (*consecutive).max(1) || too_few_succeed
            }
            OutlierPolicy::Traefik { window, max_failed_attempts, .. } => {
                if outcome == Outcome::Success {
                    if let Some(record) = record {
                        record.failures.clear();
                    }
                    return false;
                }
                let failures = &mut record.get_or_insert_default().failures;
                let most = (*max_failed_attempts as usize).clamp(1, MOST_FAILURES);
                failures.push_back(now);
                while failures.len() > most || failures.front().is_some_and(|failure| now.saturating_sub(*failure) > *window) {
                    failures.pop_front();
                }
                failures.len() >= most
            }
        }
    }

    fn eject(&mut self, now: Duration) -> Change {
        let record = self.record.get_or_insert_default();
        let until = match &*self.policy {
            OutlierPolicy::Adaptive { base, max, .. } => {
                let before = if planted!("backoff_forgotten") { 0 } else { record.ejections };
                let factor = 2_u32.checked_pow(before).unwrap_or(u32::MAX);
                Some(now.saturating_add(base.saturating_mul(factor).min(*max)))
            }
            OutlierPolicy::Traefik { restored_by_probe: true, .. } => None,
            OutlierPolicy::Traefik { window, .. } => Some(now.saturating_add(*window)),
        };
        record.ejections = record.ejections.saturating_add(1);
        record.state = State::Ejected { until };
        Change::Ejected { until }
    }

    fn readmit(&mut self, now: Duration) -> Change {
        let record = self.record.get_or_insert_default();
        let state = match *self.policy {
            OutlierPolicy::Adaptive { .. } => State::Probation,
            OutlierPolicy::Traefik { .. } => State::Clear,
        };
        **record = Record { state, ejections: record.ejections, cleared_at: now, ..Record::default() };
        Change::Restored
    }
}

/// Requests and failures in a sliding span, to a tenth of it.
#[derive(Clone, Debug, Default)]
struct Window {
    slots: [(u64, u64); SLOTS],
    /// Number of the newest slot since the epoch.
    newest: u64,
}

impl Window {
    fn add(&mut self, now: Duration, span: Duration, failed: bool) {
        let length = (span.as_nanos() / SLOTS as u128).max(1);
        let slot = u64::try_from(now.as_nanos() / length).unwrap_or(u64::MAX).max(self.newest);
        for passed in 0..(slot - self.newest).min(SLOTS as u64) {
            self.slots[((slot - passed) % SLOTS as u64) as usize] = (0, 0);
        }
        self.newest = slot;
        let (requests, failures) = &mut self.slots[(slot % SLOTS as u64) as usize];
        *requests += 1;
        *failures += u64::from(failed);
    }

    fn count(&self) -> (u64, u64) {
        self.slots.iter().fold((0, 0), |(requests, failures), slot| (requests + slot.0, failures + slot.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn traefik(max_failed_attempts: u32, restored_by_probe: bool) -> Outlier {
        let check = PassiveHealthCheck { failure_window: SECOND * 10, max_failed_attempts };
        Outlier::new(OutlierPolicy::of(Some(&check), restored_by_probe))
    }

    fn fail(outlier: &mut Outlier, now: Duration, times: u32) -> Change {
        (0..times).map(|_| outlier.observe(now, Outcome::Failure, true)).last().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_eject_and_each_time_for_longer() {
        let mut outlier = Outlier::new(OutlierPolicy::default());
        assert_eq!(fail(&mut outlier, SECOND, 4), Change::None);
        assert_eq!(outlier.observe(SECOND, Outcome::ServerError, true), Change::None, "an answer is an answer");
        assert_eq!(fail(&mut outlier, SECOND, 4), Change::None);
        let mut now = SECOND;
        assert_eq!(fail(&mut outlier, now, 1), Change::Ejected { until: Some(now + SECOND) });
        for length in [2, 4, 8, 16, 32, 60, 60] {
            let Change::Ejected { until: Some(until) } = (match outlier.state() {
                State::Ejected { until } => Change::Ejected { until },
                _ => Change::None,
            }) else {
                panic!("not ejected")
            };
            assert_eq!(outlier.tick(until - Duration::from_nanos(1)), Change::None);
            assert_eq!(outlier.tick(until), Change::Restored);
            now = until;
            // On probation one failure is enough.
            assert_eq!(fail(&mut outlier, now, 1), Change::Ejected { until: Some(now + SECOND * length) });
        }
        assert_eq!(outlier.tick(now + SECOND * 60), Change::Restored);
        now += SECOND * 60;
        assert_eq!(outlier.observe(now, Outcome::Success, true), Change::None);
        assert_eq!(fail(&mut outlier, now, 4), Change::None, "a success ends probation");
        // A minute without trouble forgets the past.
        outlier.observe(now, Outcome::Success, true);
        now += SECOND * 60;
        outlier.observe(now, Outcome::Success, true);
        assert_eq!(fail(&mut outlier, now, 5), Change::Ejected { until: Some(now + SECOND) });
    }

    #[test]
    fn a_quiet_spell_forgets_ejections_whether_or_not_its_successes_are_told() {
        let mut outlier = Outlier::new(OutlierPolicy::default());
        let mut now = SECOND;
        for length in [1, 2, 4] {
            while !outlier.is_ejected() {
                fail(&mut outlier, now, 1);
            }
            now += SECOND * length;
            assert_eq!(outlier.tick(now), Change::Restored);
        }
        outlier.observe(now, Outcome::Success, true);
        now += SECOND * 3_600;
        assert_eq!(fail(&mut outlier, now, 5), Change::Ejected { until: Some(now + SECOND) });
    }

    #[test]
    fn a_low_share_of_successes_ejects_too() {
        let run = |failures_of_three: u32| {
            let mut outlier = Outlier::new(OutlierPolicy::default());
            (0..60_u32).any(|number| {
                let outcome = if number % 3 < failures_of_three { Outcome::Failure } else { Outcome::Success };
                outlier.observe(SECOND + SECOND / 10 * number, outcome, true) != Change::None
            })
        };
        assert!(run(2) && !run(1));
    }

    #[test]
    fn what_lies_behind_the_window_is_forgotten() {
        let mut outlier = Outlier::new(OutlierPolicy::default());
        for number in 0..15 {
            let outcome = if number % 4 == 3 { Outcome::Success } else { Outcome::Failure };
            assert_eq!(outlier.observe(SECOND, outcome, true), Change::None);
        }
        let later = SECOND * 12;
        for _ in 0..6 {
            outlier.observe(later, Outcome::Success, true);
        }
        assert_eq!(fail(&mut outlier, later, 2), Change::None);
    }

    #[test]
    fn traefik_counts_failures_within_a_window_and_restores_by_time() {
        let mut outlier = traefik(3, false);
        assert_eq!(outlier.observe(SECOND, Outcome::ServerError, true), Change::None);
        assert_eq!(outlier.observe(SECOND * 2, Outcome::Failure, true), Change::None);
        outlier.observe(SECOND * 3, Outcome::Success, true);
        assert_eq!(fail(&mut outlier, SECOND * 4, 2), Change::None, "a success clears the list");
        assert_eq!(fail(&mut outlier, SECOND * 15, 1), Change::None, "the first two are too old");
        assert_eq!(fail(&mut outlier, SECOND * 16, 1), Change::None);
        assert_eq!(fail(&mut outlier, SECOND * 17, 1), Change::Ejected { until: Some(SECOND * 27) });
        assert_eq!(outlier.restore(SECOND * 20), Change::None, "time does it");
        assert_eq!(outlier.tick(SECOND * 27), Change::Restored);
        assert!(!outlier.is_ejected());
    }

    #[test]
    fn with_an_active_check_only_that_restores() {
        let mut outlier = traefik(1, true);
        assert_eq!(fail(&mut outlier, SECOND, 1), Change::Ejected { until: None });
        assert_eq!(outlier.tick(SECOND * 1_000), Change::None);
        assert_eq!(outlier.restore(SECOND * 1_000), Change::Restored);
    }

    #[test]
    fn an_unchanged_policy_keeps_the_record() {
        let mut outlier = Outlier::new(OutlierPolicy::default());
        fail(&mut outlier, SECOND, 5);
        outlier.update(OutlierPolicy::default());
        assert!(outlier.is_ejected());
        outlier.update(traefik(1, false).policy);
        assert!(!outlier.is_ejected());
    }

    proptest! {
        /// Only along the arrows, never when it is not allowed, never for longer than the cap.
        #[test]
        fn transitions_are_legal(
            steps in prop::collection::vec((0_u8..4, any::<bool>(), 0_u64..3_000), 1..200),
            kind in 0_u8..3,
        ) {
            let mut outlier = match kind {
                0 => Outlier::new(OutlierPolicy::default()),
                1 => traefik(2, false),
                _ => traefik(2, true),
            };
            let mut now = Duration::ZERO;
            for (step, may_eject, passed) in steps {
                now += Duration::from_millis(passed);
                let before = outlier.is_ejected();
                let (change, may_eject) = match step {
                    0 => (outlier.observe(now, Outcome::Success, may_eject), false),
                    1 => (outlier.observe(now, Outcome::Failure, may_eject), may_eject),
                    2 => (outlier.observe(now, Outcome::ServerError, may_eject), may_eject && kind > 0),
                    _ => (outlier.tick(now), false),
                };
                match change {
                    Change::None => prop_assert_eq!(outlier.is_ejected(), before),
                    Change::Ejected { until } => {
                        prop_assert!(!before && outlier.is_ejected() && may_eject);
                        prop_assert_eq!(until.is_none(), kind == 2);
                        prop_assert!(until.is_none_or(|until| until > now && until <= now + SECOND * 60));
                    }
                    Change::Restored => prop_assert!(before && !outlier.is_ejected() && step == 3 && kind < 2),
                }
            }
        }
    }
}
