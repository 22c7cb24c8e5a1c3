//! Address ranges: CIDR notation, with IPv4 addresses written in IPv6 judged as the IPv4 addresses that they are.

use crate::config::dynamic::IpRange;
use std::{fmt, net::IpAddr, str::FromStr};

/// What was expected of an address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a range in CIDR notation, such as 10.0.0.0/8 or fd00::/8")]
pub struct RangeError;

impl IpRange {
    /// Reads an address or a range; bits beyond the prefix are cleared.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| RangeError)?;
        let most = bits(address);
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= most).ok_or(RangeError)?
            }
            Some(_) => return Err(RangeError),
        };
        let (address, prefix) = canonical(address, prefix);
        Ok(Self { address: mask(address, prefix), prefix })
    }

    /// Whether the address lies in this range. `::ffff:10.0.0.1` is `10.0.0.1`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (network, prefix) = canonical(self.address, self.prefix);
        let address = address.to_canonical();
        network.is_ipv4() == address.is_ipv4() && mask(address, prefix) == mask(network, prefix)
    }
}

impl FromStr for IpRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        Self::parse(text)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A range of IPv4-mapped addresses as the IPv4 range that it is.
fn canonical(address: IpAddr, prefix: u8) -> (IpAddr, u8) {
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) if address.is_ipv6() && prefix >= 96 => (v4, prefix - 96),
        _ => (address, prefix),
    }
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & keep).into())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & keep).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> IpRange {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_hold_what_they_say() {
        assert!(range("10.0.0.0/8").contains("10.255.0.1".parse().unwrap()));
        assert!(!range("10.0.0.0/8").contains("11.0.0.1".parse().unwrap()));
        assert!(range("10.0.0.0/8").contains("::ffff:10.1.1.1".parse().unwrap()));
        assert!(range("::ffff:10.0.0.0/104").contains("10.1.1.1".parse().unwrap()));
        assert!(!range("::ffff:10.0.0.0/104").contains("11.1.1.1".parse().unwrap()));
        assert!(range("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!range("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(!range("::/0").contains("1.2.3.4".parse().unwrap()));
        assert!(range("fd00::/8").contains("fdff::1".parse().unwrap()));
        assert!(range("::1").contains("::1".parse().unwrap()) && !range("::1").contains("::2".parse().unwrap()));
        assert_eq!(range("10.1.2.3/8").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "a", "fe80::1%eth0", "10.0.0.0/8/8", "1.2.3.4 "]
        {
            assert_eq!(IpRange::parse(text), Err(RangeError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_equals_its_text(address: IpAddr, prefix in 0..=128_u8) {
            let text = format!("{address}/{}", prefix.min(bits(address)));
            let range = IpRange::parse(&text).unwrap();
            prop_assert_eq!(range.to_string().parse::<IpRange>(), Ok(range));
            // An IPv6 range shorter than /96 holds no IPv4 addresses, mapped ones included.
            if address.to_canonical() == address {
                prop_assert!(range.contains(address));
            }
        }
    }
}
