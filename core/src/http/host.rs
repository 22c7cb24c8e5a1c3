//! Hosts: the strict grammar of `Host` and `:authority`, and the one normalised form that everything decides on.
//!
//! Deliberately absent: names beyond ASCII (clients send their `xn--` form), user info, IPv6 zones, IPvFuture.

use std::{fmt, net::Ipv6Addr, sync::Arc};

/// Longest host with its port, in octets.
const MAX_LENGTH: usize = 255;

/// A normalised host name or address: lower-case, without port, trailing dot and IPv6 brackets; IPv6 in its canonical text.
///
/// Empty only by `Host::default()`, for HTTP/1.0 requests without `Host`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Host(Arc<str>);

/// Why a host was refused; each answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("the host is empty")]
    Empty,
    #[error("the host is longer than 255 octets")]
    TooLong,
    #[error("the host holds a character that no host name has")]
    Character,
    #[error("the host has an empty label, or none with a letter or digit")]
    Label,
    #[error("the IPv6 address is not valid, or its brackets are not balanced")]
    Address,
    #[error("the port is not a number up to 65535")]
    Port,
}

impl Host {
    /// Reads `host[:port]` as it stands in `Host`, `:authority` or an absolute request target.
    pub fn parse(raw: &[u8]) -> Result<(Self, Option<u16>), HostError> {
        if raw.is_empty() {
            return Err(HostError::Empty);
        }
        if raw.len() > MAX_LENGTH {
            return Err(HostError::TooLong);
        }
        if let Some(rest) = raw.strip_prefix(b"[") {
            let end = memchr::memchr(b']', rest).ok_or(HostError::Address)?;
            let text = std::str::from_utf8(&rest[..end]).map_err(|_| HostError::Address)?;
            let address: Ipv6Addr = text.parse().map_err(|_| HostError::Address)?;
            return Ok((Self(address.to_string().into()), port(&rest[end + 1..])?));
        }
        let end = memchr::memchr(b':', raw).unwrap_or(raw.len());
        let port = port(&raw[end..])?;
        let name = raw[..end].strip_suffix(b".").unwrap_or(&raw[..end]);
        let mut lower = String::with_capacity(name.len());
        let (mut label, mut solid) = (0, false);
        for &byte in name {
            match byte {
                b'.' if label == 0 => return Err(HostError::Label),
                b'.' => label = 0,
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => (label, solid) = (label + 1, true),
                b'-' | b'_' => label += 1,
                _ => return Err(HostError::Character),
            }
            lower.push(byte.to_ascii_lowercase().into());
        }
        if label == 0 || !solid {
            return Err(HostError::Label);
        }
        Ok((Self(lower.into()), port))
    }

    /// The normalised text, IPv6 without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the request named no host.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is an IPv6 address, which takes brackets in a URL.
    pub fn is_ipv6(&self) -> bool {
        self.0.contains(':')
    }
}

/// As it stands in a URL: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ipv6() { write!(f, "[{}]", self.0) } else { f.write_str(&self.0) }
    }
}

/// The normalised form of a host in configuration, which may be no valid host and then never matches.
pub(crate) fn normalize(text: &str) -> String {
    match text.parse::<Ipv6Addr>() {
        Ok(address) => address.to_string(),
        Err(_) => text.to_ascii_lowercase(),
    }
}

/// The last host of a connection: parsing costs nothing while a client repeats the same bytes.
#[derive(Debug, Default)]
pub struct HostMemo {
    raw: Vec<u8>,
    host: Host,
    port: Option<u16>,
}

impl HostMemo {
    /// No host at all, as HTTP/1.0 allows.
    pub fn none(&mut self) -> (&Host, Option<u16>) {
        *self = Self::default();
        (&self.host, None)
    }

    /// As [`Host::parse`].
    pub fn parse(&mut self, raw: &[u8]) -> Result<(&Host, Option<u16>), HostError> {
        if raw.is_empty() || self.raw != raw {
            (self.host, self.port) = Host::parse(raw)?;
            self.raw.clear();
            self.raw.extend_from_slice(raw);
        }
        Ok((&self.host, self.port))
    }
}

/// `:port`, where the digits may be missing.
fn port(rest: &[u8]) -> Result<Option<u16>, HostError> {
    let Some(digits) = rest.strip_prefix(b":") else {
        return if rest.is_empty() { Ok(None) } else { Err(HostError::Address) };
    };
    if digits.is_empty() {
        return Ok(None);
    }
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HostError::Port);
    }
    let number = digits.iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'));
    u16::try_from(number).map(Some).map_err(|_| HostError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(raw: &str) -> Result<(String, Option<u16>), HostError> {
        Host::parse(raw.as_bytes()).map(|(host, port)| (host.as_str().to_owned(), port))
    }

    #[test]
    fn hosts_are_normalised() {
        assert_eq!(text("A.EXAMPLE."), Ok(("a.example".into(), None)));
        assert_eq!(text("a.example.:8080"), Ok(("a.example".into(), Some(8080))));
        assert_eq!(text("a_b.example:"), Ok(("a_b.example".into(), None)));
        assert_eq!(text("127.0.0.1:65535"), Ok(("127.0.0.1".into(), Some(65535))));
        assert_eq!(text("[0:0::1]:443"), Ok(("::1".into(), Some(443))));
        assert_eq!(Host::parse(b"[2001:DB8::1]").map(|(h, _)| h.to_string()), Ok("[2001:db8::1]".into()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for raw in ["a b", "a@b", "a:99999", "a:0x50", "a/..", "[::1", "", "a,b", "a\0b", "a:80:80", "..", ".a", "a..b", "[::1]x"]
        {
            assert!(text(raw).is_err(), "{raw:?}");
        }
        for raw in
            ["_", "-.-", "é.example", "a%2e", "::1", "[fe80::1%25eth0]", "[v1.a]", "a:+80", "a:100000", "a:65536", ".", ":80"]
        {
            assert!(text(raw).is_err(), "{raw:?}");
        }
        assert!(text(&"a".repeat(255)).is_ok());
        assert_eq!(text(&"a".repeat(256)), Err(HostError::TooLong));
    }

    #[test]
    fn the_memo_never_answers_for_other_bytes() {
        let mut memo = HostMemo::default();
        assert_eq!(memo.parse(b""), Err(HostError::Empty));
        assert_eq!(memo.parse(b"a:1").map(|(h, p)| (h.as_str().to_owned(), p)), Ok(("a".into(), Some(1))));
        assert!(memo.parse(b"a b").is_err());
        assert_eq!(memo.parse(b"a:1").map(|(h, p)| (h.as_str().to_owned(), p)), Ok(("a".into(), Some(1))));
        assert_eq!(memo.parse(b"b").map(|(h, p)| (h.as_str().to_owned(), p)), Ok(("b".into(), None)));
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing(raw in "[A-Za-z0-9_.:\\[\\]-]{0,20}") {
            if let Ok((host, _)) = Host::parse(raw.as_bytes()) {
                prop_assert_eq!(Host::parse(host.to_string().as_bytes()), Ok((host, None)));
            }
        }

        #[test]
        fn any_bytes_are_judged(raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((host, _)) = Host::parse(&raw) {
                prop_assert!(!host.is_empty() && host.as_str().is_ascii());
            }
        }
    }
}
