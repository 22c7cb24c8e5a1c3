//! How long to wait before a provider is started again. Pure: the random number is an argument.

use fairlead_net::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 100 ms to 10 s; each pause is drawn from the upper half, so that gateways that lost the same store do
/// not come back in step.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a run that ended. A run that was well for [`LONGEST`] is no part of the series: a source that
    /// answers and fails in turn must not be asked ten times a second.
    pub(super) fn next(&mut self, well_for: Duration, random: u64) -> Duration {
        if well_for >= LONGEST {
            self.failures = 0;
        }
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + Duration::from_nanos(random % (half.as_nanos() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_grow_to_the_longest_and_stay_in_their_upper_half(randoms in proptest::collection::vec(any::<u64>(), 1..200)) {
            let mut backoff = Backoff::default();
            for (n, random) in randoms.into_iter().enumerate() {
                let whole = FIRST.saturating_mul(1 << n.min(16)).min(LONGEST);
                let pause = backoff.next(Duration::ZERO, random);
                prop_assert!(pause >= whole / 2 && pause <= whole, "{n}: {pause:?}");
            }
        }

        #[test]
        fn a_long_good_run_starts_the_series_anew(failures in 0u32..50, random: u64) {
            let mut backoff = Backoff::default();
            for _ in 0..failures {
                backoff.next(Duration::ZERO, random);
            }
            prop_assert!(backoff.next(LONGEST, random) <= FIRST);
        }
    }
}
