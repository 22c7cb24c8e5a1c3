//! A token bucket, exact in integers.
//!
//! One rule: in any span of time `t` it grants at most `burst + rate × t`, whatever the clock does. A clock that goes
//! backwards is taken as one that stands still.

use crate::planted::planted;
use std::time::Duration;

/// How much a bucket grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    average: u64,
    period: u64,
    burst: u64,
}

impl Limit {
    /// `average` tokens per `period`; `average` 0 is no limit. A period of nothing counts as one nanosecond, a burst of
    /// nothing as one.
    pub fn new(average: u64, period: Duration, burst: u64) -> Self {
        Self { average, period: nanos(period).max(1), burst: burst.max(1) }
    }

    /// Whether everything is granted.
    pub fn is_unlimited(&self) -> bool {
        self.average == 0
    }

    fn capacity(&self) -> u128 {
        u128::from(self.burst) * u128::from(self.period)
    }
}

/// The fill of one source's bucket. A limit that changes keeps the tokens, up to the new burst.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// In tokens × `period`, so that one nanosecond adds exactly `average`.
    level: u128,
    period: u64,
    last: u64,
}

impl Bucket {
    /// A full bucket.
    pub fn full(limit: &Limit, now: Duration) -> Self {
        Self { level: limit.capacity(), period: limit.period, last: nanos(now) }
    }

    /// Takes one token, or tells how long until there is one.
    pub fn take(&mut self, limit: &Limit, now: Duration) -> Result<(), Duration> {
        if limit.is_unlimited() {
            return Ok(());
        }
        self.refill(limit, now);
        let token = u128::from(limit.period);
        if self.level >= token {
            self.level -= token;
            return Ok(());
        }
        let wait = (token - self.level).div_ceil(u128::from(limit.average));
        Err(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Whole tokens there would be at `now`.
    pub fn tokens(&self, limit: &Limit, now: Duration) -> u64 {
        let mut copy = *self;
        copy.refill(limit, now);
        u64::try_from(copy.level / u128::from(limit.period)).unwrap_or(u64::MAX)
    }

    fn refill(&mut self, limit: &Limit, now: Duration) {
        if self.period != limit.period {
            let (old, new) = (u128::from(self.period), u128::from(limit.period));
            self.level = (self.level / old).saturating_mul(new).saturating_add(self.level % old * new / old);
            self.period = limit.period;
        }
        let now = nanos(now).max(self.last);
        let gained = u128::from(now - self.last) * u128::from(limit.average);
        let most = if planted!("bucket_leaks") { limit.capacity() * 2 } else { limit.capacity() };
        self.level = self.level.saturating_add(gained).min(most);
        self.last = now;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn burst_then_rate() {
        let limit = Limit::new(10, SECOND, 20);
        let mut bucket = Bucket::full(&limit, Duration::ZERO);
        assert_eq!((0..30).filter(|_| bucket.take(&limit, Duration::ZERO).is_ok()).count(), 20);
        assert_eq!(bucket.take(&limit, Duration::ZERO), Err(Duration::from_millis(100)));
        assert!((1..100).all(|tick| bucket.take(&limit, Duration::from_millis(100 * tick)).is_ok()));
    }

    #[test]
    fn the_wait_it_names_is_enough_and_not_too_long() {
        let limit = Limit::new(3, SECOND, 1);
        let mut bucket = Bucket::full(&limit, SECOND);
        bucket.take(&limit, SECOND).unwrap();
        let wait = bucket.take(&limit, SECOND).unwrap_err();
        assert!(bucket.take(&limit, SECOND + wait - Duration::from_nanos(1)).is_err());
        assert!(bucket.take(&limit, SECOND + wait).is_ok());
    }

    #[test]
    fn a_changed_period_keeps_the_tokens() {
        let limit = Limit::new(1, SECOND, 10);
        let mut bucket = Bucket::full(&limit, SECOND);
        (0..6).for_each(|_| bucket.take(&limit, SECOND).unwrap());
        assert_eq!(bucket.tokens(&Limit::new(1, SECOND * 60, 10), SECOND), 4);
        assert_eq!(bucket.tokens(&Limit::new(1, SECOND * 60, 3), SECOND), 3);
    }

    proptest! {
        /// Over every window of any run, with times in any order.
        #[test]
        fn never_above_burst_plus_rate(
            average in 1u64..1_000_000,
            period in 1u64..5_000_000_000,
            burst in 1u64..50,
            times in prop::collection::vec(0u64..10_000_000_000, 1..200),
        ) {
            let limit = Limit::new(average, Duration::from_nanos(period), burst);
            let mut bucket = Bucket::full(&limit, Duration::from_nanos(times[0]));
            // The clock as the bucket understands it.
            let mut clock = 0;
            let mut granted: Vec<u64> = Vec::new();
            for time in times {
                clock = time.max(clock);
                if bucket.take(&limit, Duration::from_nanos(time)).is_ok() {
                    granted.push(clock);
                }
            }
            for first in 0..granted.len() {
                for last in first..granted.len() {
                    let count = (last - first + 1) as u128;
                    let span = u128::from(granted[last] - granted[first]);
                    prop_assert!(count * u128::from(period) <= u128::from(burst) * u128::from(period) + span * u128::from(average));
                }
            }
        }

        /// And no lower than that: a request that finds a token is not refused.
        #[test]
        fn grants_what_it_owes(average in 1u64..1000, burst in 1u64..50, gap in 0u64..2_000_000_000) {
            let limit = Limit::new(average, SECOND, burst);
            let mut bucket = Bucket::full(&limit, Duration::ZERO);
            while bucket.take(&limit, Duration::ZERO).is_ok() {}
            let owed = (u128::from(gap) * u128::from(average) / 1_000_000_000).min(u128::from(burst));
            let now = Duration::from_nanos(gap);
            prop_assert_eq!((0..=burst).filter(|_| bucket.take(&limit, now).is_ok()).count() as u128, owed);
        }
    }
}
