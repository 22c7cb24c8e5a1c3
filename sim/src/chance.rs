//! The chance from which plans are drawn: a small generator of its own, so that no plan changes when the simulator does.

/// A seeded generator (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator for one purpose of one seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self(purpose.bytes().fold(mix(seed ^ 0x5eed), |hash, byte| mix(hash ^ u64::from(byte))))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from `low` to `high`, both included.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.draw() % (high.max(low) - low + 1)
    }

    /// The same for counts and indices.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        self.within(low as u64, high as u64) as usize
    }

    /// From `low` to `high`, each order of magnitude as likely as another.
    pub fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let (low_bits, high_bits) = (low.max(1).ilog2(), high.max(1).ilog2());
        let top = self.within(u64::from(low_bits), u64::from(high_bits));
        self.within(1 << top, (2 << top) - 1).clamp(low, high)
    }

    /// True with this probability.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.draw() % 100 < percent
    }

    /// One of them.
    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.count(0, of.len() - 1)].clone()
    }
}

/// Spreads a number over all 64 bits; a pure function, for what a run derives from an identifier.
pub fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_within_their_bounds_and_reach_them() {
        let mut chance = Chance::new(7, "test");
        let drawn: Vec<_> = (0..1000).map(|_| chance.within(3, 6)).collect();
        assert!((3..=6).all(|n| drawn.contains(&n)) && drawn.iter().all(|n| (3..=6).contains(n)));
        let sizes: Vec<_> = (0..1000).map(|_| chance.magnitude(1, 1000)).collect();
        assert!(sizes.iter().all(|n| (1..=1000).contains(n)));
        assert!(sizes.iter().filter(|n| **n < 32).count() > 300, "small magnitudes are as likely as large ones");
    }

    #[test]
    fn a_seed_and_a_purpose_give_the_same_numbers_again() {
        let draw = |seed, purpose| Chance::new(seed, purpose).draw();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }
}
