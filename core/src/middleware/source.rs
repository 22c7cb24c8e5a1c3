//! Where a request comes from, as IPAllowList and RateLimit ask.

use crate::{
    config::dynamic::{Depth, IpRange},
    http::Fields,
};
use std::net::IpAddr;

/// The client's address by `depth`; `None` where `X-Forwarded-For` is too short or holds no address there.
///
/// Lines of the field are one list, as RFC 9110 section 5.3 has it: a proxy may have added a line of its own. The entry
/// point has removed the field where the peer is not trusted, and this gateway adds itself only later.
pub(super) fn client<F: Fields>(depth: &Depth, peer: IpAddr, fields: &F) -> Option<IpAddr> {
    match depth {
        Depth::Peer => Some(peer.to_canonical()),
        Depth::FromRight(depth) => {
            let mut entries = 0_usize;
            each_entry(fields, &mut |_| entries += 1);
            let wanted = entries.checked_sub(*depth)?;
            let (mut index, mut found) = (0, None);
            each_entry(fields, &mut |entry| {
                if index == wanted {
                    found = parse(entry);
                }
                index += 1;
            });
            found
        }
        Depth::Excluding(ranges) => {
            // From the left, the last that counts is the first from the right.
            let mut found = None;
            each_entry(fields, &mut |entry| match parse(entry) {
                _ if entry.is_empty() => {}
                Some(address) if ranges.iter().any(|range| contains(range, address)) => {}
                other => found = Some(other),
            });
            found.flatten()
        }
    }
}

/// Whether an address lies in a range; an IPv4 address and its IPv6-mapped form are the same.
pub(super) fn contains(range: &IpRange, address: IpAddr) -> bool {
    match (range.address, address.to_canonical()) {
        (IpAddr::V4(range_address), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(range.prefix.min(32))).unwrap_or(0);
            u32::from(range_address) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(range_address), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(range.prefix.min(128))).unwrap_or(0);
            u128::from(range_address) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

fn each_entry<F: Fields>(fields: &F, visit: &mut dyn FnMut(&[u8])) {
    fields.any("X-Forwarded-For", &mut |line| {
        line.split(|byte| *byte == b',').for_each(|entry| visit(entry.trim_ascii()));
        false
    });
}

fn parse(entry: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(entry).ok()?.parse().ok()?;
    Some(address.to_canonical())
}
