//! How slow a client may be: a body that trickles holds a connection, a buffer and a server for as long as it likes.
//!
//! Owns no clock. Only time spent waiting for the client counts, so a slow server is never held against a client.

use std::time::Duration;

/// The least a client must do while it is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceLimit {
    /// Longest silence; zero: no limit.
    pub idle: Duration,
    /// Waiting time granted before the rate counts.
    pub grace: Duration,
    /// Bytes a second, averaged over the time waited; 0: no limit.
    pub min_rate: u64,
}

/// One direction of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    limit: PaceLimit,
    waited: Duration,
    since: Option<(Duration, u64)>,
}

impl Pace {
    /// Nothing waited yet.
    pub fn new(limit: PaceLimit) -> Self {
        Self { limit, waited: Duration::ZERO, since: None }
    }

    /// The client is being waited for, `bytes` having moved so far: the instant at which it is too slow, if there is one.
    pub fn waiting(&mut self, now: Duration, bytes: u64) -> Option<Duration> {
        match self.since {
            Some((_, seen)) if seen == bytes => {}
            Some((since, _)) => {
                self.waited += now.saturating_sub(since);
                self.since = Some((now, bytes));
            }
            None => self.since = Some((now, bytes)),
        }
        let since = self.since.map_or(now, |(at, _)| at);
        let idle = (!self.limit.idle.is_zero()).then(|| since + self.limit.idle);
        let rate = (self.limit.min_rate > 0).then(|| {
            let earned = self.limit.grace + Duration::from_secs_f64(bytes as f64 / self.limit.min_rate as f64);
            since + earned.saturating_sub(self.waited)
        });
        match (idle, rate) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The client is not what is waited for.
    pub fn moving(&mut self, now: Duration) {
        if let Some((since, _)) = self.since.take() {
            self.waited += now.saturating_sub(since);
        }
    }

    /// Whether any wait is being measured.
    pub fn is_waiting(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: PaceLimit = PaceLimit { idle: Duration::from_secs(30), grace: Duration::from_secs(30), min_rate: 240 };

    #[test]
    fn silence_ends_after_the_idle_limit() {
        let mut pace = Pace::new(LIMIT);
        assert_eq!(pace.waiting(Duration::from_secs(5), 0), Some(Duration::from_secs(35)));
        assert_eq!(pace.waiting(Duration::from_secs(20), 0), Some(Duration::from_secs(35)));
    }

    #[test]
    fn a_trickle_is_cut_although_it_never_falls_silent() {
        let mut pace = Pace::new(LIMIT);
        let cut =
            (0..100).find(|i| pace.waiting(Duration::from_secs(10 * i), *i).is_some_and(|d| d <= Duration::from_secs(10 * i)));
        assert!(matches!(cut, Some(3..=4)), "{cut:?}");
    }

    #[test]
    fn a_slow_server_is_not_held_against_the_client() {
        let mut pace = Pace::new(LIMIT);
        for i in 0..1000u64 {
            let now = Duration::from_secs(i * 20);
            assert!(pace.waiting(now, i).is_none_or(|d| d > now), "cut at {i}");
            pace.moving(now + Duration::from_millis(10));
        }
    }

    proptest! {
        #[test]
        fn whoever_keeps_the_rate_is_never_cut(steps in prop::collection::vec((1u64..5_000, 1u64..100), 1..200)) {
            let (mut now, mut bytes, mut pace) = (Duration::ZERO, 0, Pace::new(LIMIT));
            for (millis, factor) in steps {
                let due = pace.waiting(now, bytes);
                now += Duration::from_millis(millis);
                prop_assert!(due.is_none_or(|d| d > now));
                bytes += (millis * 240).div_ceil(1000) * factor;
            }
        }
    }
}
