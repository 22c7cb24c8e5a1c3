//! What a retry budget may grant, kept to the nanosecond.

use super::Judge;
use crate::oracle::{Oracle, Verdict};
use fairlead_core::retry::BudgetConfig;
use std::time::Duration;

/// One retry, in the unit in which a nanosecond adds `per_second`.
const RETRY: i128 = 1_000_000_000;

pub(super) struct Account {
    config: BudgetConfig,
    level: i128,
    last: Duration,
    /// What was granted, and what could ever have been: the first reserve, a share of the requests, and so many a second.
    granted: i128,
    earned: i128,
}

impl Account {
    /// Begins with what ten quiet seconds give.
    pub(super) fn new(config: BudgetConfig, now: Duration) -> Self {
        let level = i128::from((u64::from(config.per_second) * 10).min(u64::from(config.reserve))) * RETRY;
        Self { config, level, last: now, granted: 0, earned: level }
    }

    pub(super) fn deposit(&mut self, now: Duration) {
        self.pass(now);
        self.add(i128::from(self.config.percent) * RETRY / 100);
    }

    /// A retry was asked for, and granted or not.
    pub(super) fn withdraw(&mut self, now: Duration, granted: bool, judge: &mut Judge) -> Verdict {
        self.pass(now);
        let millisecond = i128::from(self.config.per_second) * 1_000_000;
        let told = |this: &Self| {
            format!("{:?}: {:.4} retries were left, granted: {granted}", this.config, this.level as f64 / RETRY as f64)
        };
        if granted {
            judge.holds(Oracle::Bounded, self.level + millisecond >= RETRY, || told(self))?;
            self.level -= RETRY;
            self.granted += RETRY;
        } else {
            judge.holds(Oracle::Answer, self.level - millisecond < RETRY, || told(self))?;
        }
        judge.holds(Oracle::Bounded, self.granted <= self.earned, || told(self))
    }

    fn pass(&mut self, now: Duration) {
        let nanos = now.saturating_sub(self.last).as_nanos() as i128;
        self.last = now;
        self.add(nanos * i128::from(self.config.per_second));
    }

    fn add(&mut self, amount: i128) {
        self.earned += amount;
        self.level = (self.level + amount).min(i128::from(self.config.reserve) * RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_refuses_what_was_not_earned() {
        let config = BudgetConfig { percent: 50, per_second: 0, reserve: 1 };
        let mut account = Account::new(config, Duration::ZERO);
        let mut judge = Judge::new(&[]);
        assert_eq!(account.withdraw(Duration::ZERO, false, &mut judge), Ok(()));
        (0..9).for_each(|_| account.deposit(Duration::ZERO));
        assert_eq!(account.withdraw(Duration::ZERO, true, &mut judge), Ok(()));
        let oracle = |verdict: Verdict| verdict.map_err(|violation| violation.oracle);
        assert_eq!(oracle(account.withdraw(Duration::ZERO, true, &mut judge)), Err(Oracle::Bounded), "one was kept, not four");
        account.deposit(Duration::ZERO);
        account.deposit(Duration::ZERO);
        assert_eq!(oracle(account.withdraw(Duration::ZERO, false, &mut judge)), Err(Oracle::Answer), "one was there");
    }

    #[test]
    fn a_second_gives_its_rate() {
        let config = BudgetConfig { percent: 0, per_second: 2, reserve: 5 };
        let mut account = Account::new(config, Duration::ZERO);
        let mut judge = Judge::new(&[]);
        for _ in 0..5 {
            assert_eq!(account.withdraw(Duration::ZERO, true, &mut judge), Ok(()));
        }
        assert_eq!(account.withdraw(Duration::from_millis(400), false, &mut judge), Ok(()));
        assert_eq!(account.withdraw(Duration::from_millis(500), true, &mut judge), Ok(()));
        assert!(account.withdraw(Duration::from_millis(900), true, &mut judge).is_err());
    }
}
