//! Highest random weight: a client keeps its server while that one is usable, and only its clients move when it is not.

use super::{Key, wheel::Wheel};

/// The admitted seat with the highest score for this client.
///
/// Traefik's score, `weight / -ln(hash / 2^64)`, over a better mixed hash: FNV-1a alone leaves the high bits of URLs that
/// differ in their last byte nearly equal, which would give the heavier of two such servers every client.
pub(super) fn highest(wheel: &Wheel, client: Key, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
    let client = mix(client.0);
    let hashes = wheel
        .members()
        .filter(|(seat, weight, _)| *weight > 0 && admits(*seat))
        .map(|(seat, weight, digest)| (seat, weight, mix(client ^ digest)));
    if wheel.is_equal() {
        // The score rises with the hash.
        return hashes.max_by_key(|(_, _, hash)| *hash).map(|(seat, ..)| seat);
    }
    let scores = hashes.map(|(seat, weight, hash)| (seat, score(weight, hash)));
    scores.max_by(|(_, left), (_, right)| left.total_cmp(right)).map(|(seat, _)| seat)
}

fn score(weight: u32, hash: u64) -> f64 {
    // The upper 53 bits, moved off 0 and 1, where the logarithm has no use.
    let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(weight) / -unit.ln()
}

/// MurmurHash3's finaliser.
pub(super) fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
