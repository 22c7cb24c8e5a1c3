//! What stands for a client where servers are picked by it: its address, or the value of a cookie that the application sets.

use super::wheel::fnv;
use crate::http::Fields;
use std::net::IpAddr;

/// A digest of what stands for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub(super) u64);

impl From<IpAddr> for Key {
    /// An IPv4 address is the same one in IPv6's clothes.
    fn from(client: IpAddr) -> Self {
        Self(match client.to_canonical() {
            IpAddr::V4(address) => fnv(&address.octets()),
            IpAddr::V6(address) => fnv(&address.octets()),
        })
    }
}

/// The value of the cookie `name`, the first if there are several. None without one, or with an empty one: those clients have nothing in
/// common by which to send them all to one server.
pub fn by_cookie<F: Fields>(fields: &F, name: &str) -> Option<Key> {
    let mut key = None;
    fields.any("Cookie", &mut |line| {
        key = line.split(|byte| *byte == b';').find_map(|pair| value(pair, name));
        key.is_some()
    });
    key
}

fn value(pair: &[u8], name: &str) -> Option<Key> {
    let (found, value) = pair.split_at(memchr::memchr(b'=', pair)?);
    let value = value[1..].trim_ascii();
    (found.trim_ascii() == name.as_bytes() && !value.is_empty()).then(|| Key(fnv(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::VecFields;

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        let key = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("Cookie", *line)).collect();
            by_cookie(&VecFields::of(&lines), "session")
        };
        let one = key(&["session=1"]);
        assert!(one.is_some());
        for same in [&["a=b; session=1"][..], &["session=1;session=2"], &["x=y", " session = 1 "], &["session=;session=1"]] {
            assert_eq!(key(same), one, "{same:?}");
        }
        assert_ne!(key(&["session=2"]), one);
        for none in [&[][..], &["session="], &["Session=1"], &["xsession=1"], &["session"]] {
            assert_eq!(key(none), None, "{none:?}");
        }
    }
}
