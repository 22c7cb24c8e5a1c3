//! Addresses on one overlay network: given out lowest first, so that one which is free again soon belongs to somebody else.

use std::{collections::BTreeMap, net::Ipv4Addr};

/// The first and last host part that is given out; gateways are beyond.
const HOSTS: std::ops::RangeInclusive<u8> = 2..=249;

/// See the head of this file.
pub(super) struct Addresses {
    network: u8,
    /// How long one stays unused.
    reuse: u64,
    /// Taken (none), or free from then on.
    known: BTreeMap<Ipv4Addr, Option<u64>>,
}

impl Addresses {
    pub(super) fn new(network: usize, reuse: u64) -> Self {
        Self { network: network as u8, reuse, known: BTreeMap::new() }
    }

    /// One that nobody has; `None` if there is none.
    pub(super) fn take(&mut self, now: u64) -> Option<Ipv4Addr> {
        let free = |ip: &Ipv4Addr| self.known.get(ip).is_none_or(|from| from.is_some_and(|from| from <= now));
        let ip = HOSTS.map(|host| Ipv4Addr::new(10, 10, self.network, host)).find(free)?;
        self.known.insert(ip, None);
        Some(ip)
    }

    /// It belongs to nobody any more.
    pub(super) fn release(&mut self, now: u64, ip: Ipv4Addr) {
        self.known.insert(ip, Some(now + self.reuse));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_again_when_its_time_has_passed_and_never_twice() {
        let mut addresses = Addresses::new(3, 100);
        let (a, b) = (addresses.take(0).unwrap(), addresses.take(0).unwrap());
        assert_eq!((a, b), (Ipv4Addr::new(10, 10, 3, 2), Ipv4Addr::new(10, 10, 3, 3)));
        addresses.release(50, a);
        assert_ne!(addresses.take(149), Some(a));
        assert_eq!(addresses.take(150), Some(a));
        assert_eq!(std::iter::from_fn(|| addresses.take(200)).count(), HOSTS.count() - 3);
    }
}
