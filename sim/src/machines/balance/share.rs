//! How often something happened that was to happen by chance.

use std::fmt;

/// A sum of independent draws with chances of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    count: f64,
    expected: f64,
    variance: f64,
}

impl Share {
    /// It happened `count` times of `draws`, each with this chance.
    pub(super) fn add(&mut self, count: u32, draws: u32, chance: f64) {
        self.count += f64::from(count);
        self.expected += f64::from(draws) * chance;
        self.variance += f64::from(draws) * chance * (1.0 - chance);
    }

    /// Within six deviations, and two more: a normal law is no good guess for few draws.
    pub(super) fn is_likely(&self) -> bool {
        (self.count - self.expected).abs() <= 6.0 * self.variance.sqrt() + 2.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times instead of {:.1} (deviation {:.1})", self.count, self.expected, self.variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_by_its_own_deviation() {
        let mut share = Share::default();
        share.add(500, 1_000, 0.5);
        assert!(share.is_likely());
        share.add(0, 10, 0.001);
        assert!(share.is_likely());
        // 16 deviations.
        share.add(650, 1_000, 0.3);
        assert!(!share.is_likely(), "{share}");
        let mut never = Share::default();
        never.add(0, 1_000, 0.1);
        assert!(!never.is_likely());
    }
}
