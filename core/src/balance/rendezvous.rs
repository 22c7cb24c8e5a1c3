//! Highest random weight: a client keeps its server while that one is usable, and only its clients move when it is not.

use super::wheel::Wheel;
use std::net::IpAddr;

/// The admitted seat with the highest score for this client.
///
/// Traefik's score, `weight / -ln(hash / 2^64)`, with one step more: FNV-1a alone leaves the high bits of URLs that differ
/// in their last byte nearly equal, which would give the heavier of two such servers every client.
pub(super) fn highest(wheel: &Wheel, client: IpAddr, admits: &dyn Fn(usize) -> bool) -> Option<usize> {
    let address = match client.to_canonical() {
        IpAddr::V4(address) => fnv(OFFSET, &address.octets()),
        IpAddr::V6(address) => fnv(OFFSET, &address.octets()),
    };
    let mut best: Option<(usize, f64)> = None;
    for seat in (0..wheel.len()).filter(|seat| wheel.weight(*seat) > 0 && admits(*seat)) {
        let hash = mix(fnv(address, wheel.key(seat).as_bytes()));
        // The upper 53 bits, moved off 0 and 1, where the logarithm has no use.
        let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let score = f64::from(wheel.weight(seat)) / -unit.ln();
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((seat, score));
        }
    }
    best.map(|(seat, _)| seat)
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// MurmurHash3's finaliser.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
