//! The client's address as `ipStrategy` finds it: the peer, or an entry of `X-Forwarded-For` as received.

use super::Fields;
use crate::config::dynamic::Depth;
use std::net::IpAddr;

/// The address that IPAllowList and RateLimit judge; `None` where the strategy finds none, which an allow list refuses.
///
/// Only the first `X-Forwarded-For` line counts; [`super::forwarded::apply`] has merged the lines. Whether the field may be believed
/// was decided there as well.
pub fn find<F: Fields>(depth: &Depth, peer: IpAddr, fields: &F) -> Option<IpAddr> {
    let entries = || {
        let value = fields.get("x-forwarded-for").and_then(|v| std::str::from_utf8(v).ok()).unwrap_or_default();
        value.rsplit(',').map(str::trim)
    };
    match depth {
        Depth::Peer => Some(peer.to_canonical()),
        Depth::FromRight(n) => address(entries().nth(n.checked_sub(1)?)?),
        // Text that is no address counts as not listed, so that a forged entry ends the walk instead of prolonging it.
        Depth::Excluding(ranges) => entries()
            .filter(|entry| !entry.is_empty())
            .map(address)
            .find(|found| !found.is_some_and(|a| ranges.iter().any(|range| range.contains(a))))
            .flatten(),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::VecFields;

    fn found(depth: Depth, value: &str) -> Option<String> {
        let lines = [("X-Forwarded-For", value)];
        let fields = VecFields::of(if value.is_empty() { &[] } else { &lines });
        find(&depth, "192.0.2.9".parse().unwrap(), &fields).map(|a| a.to_string())
    }

    #[test]
    fn the_strategies_find_what_traefik_finds() {
        assert_eq!(found(Depth::Peer, "1.1.1.1"), Some("192.0.2.9".into()));
        assert_eq!(found(Depth::FromRight(1), "1.1.1.1, 2.2.2.2"), Some("2.2.2.2".into()));
        assert_eq!(found(Depth::FromRight(2), "1.1.1.1, 2.2.2.2"), Some("1.1.1.1".into()));
        assert_eq!(found(Depth::FromRight(3), "1.1.1.1, 2.2.2.2"), None);
        assert_eq!(found(Depth::FromRight(1), ""), None);
        assert_eq!(found(Depth::FromRight(0), "1.1.1.1"), None);
        let excluded = || Depth::Excluding(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(found(excluded(), "1.1.1.1, 2.2.2.2, , 10.0.0.1"), Some("2.2.2.2".into()));
        assert_eq!(found(excluded(), "1.1.1.1, unknown, 10.0.0.1"), None);
        assert_eq!(found(excluded(), "10.0.0.2, ::ffff:10.0.0.1"), None);
    }
}
