//! Random numbers, of two kinds that must not be mixed up.
//!
//! [`u64()`], [`fill`] and [`below`] are for choices: which server, how much jitter. On the real arm they come from a
//! small generator per thread, seeded once by the operating system, whose next output can be computed from earlier
//! ones: never use them for anything that an attacker must not guess. [`secret`] asks the operating system each time.
//! In the simulator both draw from the seed, so that a run repeats itself to the byte.

/// A number for choices; not for secrets.
pub fn u64() -> u64 {
    crate::arm::random::u64()
}

/// Bytes for choices; not for secrets.
pub fn fill(buf: &mut [u8]) {
    for chunk in buf.chunks_mut(8) {
        chunk.copy_from_slice(&u64().to_le_bytes()[..chunk.len()]);
    }
}

/// A number below `n`, each with the same probability; 0 if `n` is 0. Not for secrets.
pub fn below(n: u64) -> u64 {
    // Lemire's method: the high half of a product, repeated in the rare case that would favour small numbers.
    loop {
        let product = u128::from(u64()) * u128::from(n);
        let low = product as u64;
        if low >= n || low >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
            return (product >> 64) as u64;
        }
    }
}

/// Bytes for keys, tokens and cookies.
///
/// # Panics
/// If the operating system has no randomness to give: there is no safe way to go on.
pub fn secret(buf: &mut [u8]) {
    crate::arm::random::secret(buf);
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[test]
    fn below_stays_below_and_reaches_everything() {
        assert_eq!((below(0), below(1)), (0, 0));
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[below(7) as usize] += 1;
        }
        // Each count has mean 1000 and standard deviation 29; ten of those do not happen by chance.
        assert!(seen.iter().all(|n| (700..1300).contains(n)), "{seen:?}");
    }

    #[test]
    fn fill_reaches_the_last_byte_and_threads_differ() {
        let draw = || {
            let mut buf = [0; 13];
            fill(&mut buf);
            buf
        };
        assert_ne!(draw(), draw());
        let other = std::thread::scope(|s| s.spawn(draw).join());
        assert_ne!(other.ok(), Some(draw()));
        assert!((0..100).any(|_| draw()[12] != 0));
    }
}
