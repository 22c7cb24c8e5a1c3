//! One server's record beside everything that requests met since it came back.

use super::Judge;
use crate::oracle::{Oracle, Verdict};
use fairlead_core::outlier::{Change, Outcome, Outlier, OutlierPolicy};
use std::{collections::VecDeque, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Clear,
    Ejected { until: Option<Duration> },
    Probation,
}

pub(super) struct Record {
    outlier: Outlier,
    policy: OutlierPolicy,
    state: State,
    /// Newest last.
    outcomes: VecDeque<(Duration, Outcome)>,
    /// Ejections that are held against it.
    strikes: u32,
    clear_since: Duration,
}

/// No sign looks further back.
const REMEMBERED: usize = 2_048;

impl Record {
    pub(super) fn new(policy: OutlierPolicy) -> Self {
        let outlier = Outlier::new(policy.clone());
        Self { outlier, policy, state: State::Clear, outcomes: VecDeque::new(), strikes: 0, clear_since: Duration::ZERO }
    }

    pub(super) fn update(&mut self, policy: OutlierPolicy) {
        self.outlier.update(policy.clone());
        if self.policy != policy {
            let outlier = std::mem::replace(&mut self.outlier, Outlier::new(policy.clone()));
            *self = Self { outlier, ..Self::new(policy) };
        }
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.outlier.is_ejected()
    }

    pub(super) fn model_ejected(&self) -> bool {
        matches!(self.state, State::Ejected { .. })
    }

    pub(super) fn observe(&mut self, now: Duration, outcome: Outcome, may_eject: bool, judge: &mut Judge) -> Verdict {
        let change = self.outlier.observe(now, outcome, may_eject);
        let mut expected = Change::None;
        if !self.model_ejected() {
            self.outcomes.push_back((now, outcome));
            if self.outcomes.len() > REMEMBERED {
                self.outcomes.pop_front();
            }
            self.forget(now, judge)?;
            if self.state == State::Probation && outcome != Outcome::Failure {
                judge.moved("probation→clear")?;
                (self.state, self.clear_since) = (State::Clear, now);
            }
            if self.is_bad(now) {
                if may_eject {
                    expected = self.eject(now, judge)?;
                } else {
                    judge.moved("the floor forbids an ejection")?;
                }
            }
        }
        self.agrees(change, expected, now, judge)
    }

    pub(super) fn tick(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        let change = self.outlier.tick(now);
        let expected = match self.state {
            State::Ejected { until: Some(until) } if until <= now => {
                let probation = matches!(self.policy, OutlierPolicy::Adaptive { .. });
                judge.moved(if probation { "ejected→probation" } else { "ejected→clear" })?;
                self.readmit(now, if probation { State::Probation } else { State::Clear })
            }
            _ => Change::None,
        };
        self.agrees(change, expected, now, judge)
    }

    pub(super) fn restore(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        let change = self.outlier.restore(now);
        let expected = match self.state {
            State::Ejected { until: None } => {
                judge.moved("ejected→clear by a probe")?;
                self.readmit(now, State::Clear)
            }
            _ => Change::None,
        };
        self.agrees(change, expected, now, judge)
    }

    /// After a spell in the clear as long as the longest ejection, the next ejection is a first one.
    fn forget(&mut self, now: Duration, judge: &mut Judge) -> Verdict {
        if let OutlierPolicy::Adaptive { max, .. } = self.policy
            && self.state == State::Clear
            && self.strikes > 0
            && now - self.clear_since >= max
        {
            self.strikes = 0;
            judge.moved("ejections are forgotten")?;
        }
        Ok(())
    }

    /// Whether what is known speaks for an ejection, the newest outcome being the last straw.
    fn is_bad(&self, now: Duration) -> bool {
        let newest_first = || self.outcomes.iter().rev();
        match self.policy {
            OutlierPolicy::Adaptive { consecutive, window, min_requests, min_success_percent, .. } => {
                let failed = |outcome: &Outcome| *outcome == Outcome::Failure;
                if !newest_first().next().is_some_and(|(_, outcome)| failed(outcome)) {
                    return false;
                }
                let in_a_row = newest_first().take_while(|(_, outcome)| failed(outcome)).count();
                // The window slides by tenths.
                let tenth = |at: Duration| at.as_nanos() / (window.as_nanos() / 10).max(1);
                let recent = || newest_first().take_while(|(at, _)| tenth(*at) + 10 > tenth(now));
                let (requests, successes) = (recent().count(), recent().filter(|(_, outcome)| !failed(outcome)).count());
                self.state == State::Probation
                    || in_a_row >= consecutive.max(1) as usize
                    || requests >= min_requests.max(1) as usize && successes * 100 < requests * usize::from(min_success_percent)
            }
            OutlierPolicy::Traefik { window, max_failed_attempts, .. } => {
                let failures = newest_first().take_while(|(_, outcome)| *outcome != Outcome::Success);
                let recent = failures.filter(|(at, _)| now - *at <= window).count();
                recent >= max_failed_attempts.max(1) as usize
            }
        }
    }

    fn eject(&mut self, now: Duration, judge: &mut Judge) -> Result<Change, crate::oracle::Violation> {
        judge.moved(if self.state == State::Probation { "probation→ejected" } else { "clear→ejected" })?;
        let until = match self.policy {
            OutlierPolicy::Adaptive { base, max, .. } => {
                let doubled = (0..self.strikes).fold(base, |length, _| (length * 2).min(max));
                Some(now + doubled.min(max))
            }
            OutlierPolicy::Traefik { restored_by_probe: true, .. } => None,
            OutlierPolicy::Traefik { window, .. } => Some(now + window),
        };
        self.strikes += 1;
        self.state = State::Ejected { until };
        Ok(Change::Ejected { until })
    }

    fn readmit(&mut self, now: Duration, state: State) -> Change {
        self.state = state;
        self.outcomes.clear();
        self.clear_since = now;
        Change::Restored
    }

    fn agrees(&self, change: Change, expected: Change, now: Duration, judge: &mut Judge) -> Verdict {
        if let Change::Ejected { until } = change {
            judge.notes(until.map_or(0, |until| until.as_nanos() as u64));
        }
        judge.holds(Oracle::Legality, change == expected && self.is_ejected() == self.model_ejected(), || {
            let last: Vec<_> = self.outcomes.iter().rev().take(8).collect();
            format!(
                "at {now:?}: {change:?}, and {expected:?} is right; {:?} with {} strikes, clear since {:?}, last {last:?}; {:?}",
                self.state, self.strikes, self.clear_since, self.policy
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive() -> OutlierPolicy {
        OutlierPolicy::Adaptive {
            consecutive: 3,
            window: Duration::from_secs(10),
            min_requests: 4,
            min_success_percent: 50,
            base: Duration::from_secs(1),
            max: Duration::from_secs(4),
        }
    }

    #[test]
    fn the_model_sees_failures_in_a_row_and_a_low_share() {
        let mut record = Record::new(adaptive());
        let mut judge = Judge::new(super::super::Health::TRANSITIONS);
        let mut observe = |record: &mut Record, second: u64, outcome| {
            assert_eq!(record.observe(Duration::from_secs(second), outcome, false, &mut judge), Ok(()));
            record.is_bad(Duration::from_secs(second))
        };
        use Outcome::{Failure, Success};
        assert_eq!(
            [(1, Failure), (1, Failure), (1, Failure)].map(|(at, outcome)| observe(&mut record, at, outcome)),
            [false, false, true]
        );
        assert!(!observe(&mut record, 2, Success), "a success is no straw");
        assert!(observe(&mut record, 2, Failure), "one of five succeeded");
        assert!(!observe(&mut record, 30, Failure), "that was long ago");
    }

    use super::super::super::Machine as _;

    #[test]
    fn ejections_double_up_to_the_longest_and_are_forgotten() {
        let mut record = Record::new(adaptive());
        let mut judge = Judge::new(super::super::Health::TRANSITIONS);
        let mut now = Duration::from_secs(100);
        let mut lengths = Vec::new();
        for _ in 0..4 {
            while !record.model_ejected() {
                record.observe(now, Outcome::Failure, true, &mut judge).expect("core agrees");
            }
            let State::Ejected { until: Some(until) } = record.state else { panic!("{:?}", record.state) };
            lengths.push((until - now).as_secs());
            now = until;
            record.tick(now, &mut judge).expect("core agrees");
        }
        assert_eq!(lengths, [1, 2, 4, 4]);
        record.observe(now, Outcome::Success, true, &mut judge).expect("core agrees");
        now += Duration::from_secs(4);
        (0..3).for_each(|_| record.observe(now, Outcome::Failure, true, &mut judge).expect("core agrees"));
        assert_eq!(record.state, State::Ejected { until: Some(now + Duration::from_secs(1)) }, "as the first");
    }
}
