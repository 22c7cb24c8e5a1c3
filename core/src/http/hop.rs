//! Hop-by-hop hygiene: what belongs to one connection does not cross this gateway, and a loop ends here.
//!
//! Deliberately absent: framing. `Content-Length` stays for whoever writes the message.

use super::{Fields, FieldsMut, forwarded};
use crate::Reason;
use smallvec::SmallVec;

/// Requests that came through this many proxies are taken for looping.
pub const MAX_VIA: usize = 20;
/// More names in `Connection` than this are no honest request.
const MAX_NAMED: usize = 32;

/// What to do with names that hold `_`, which some servers read as `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Underscores {
    /// Traefik's default. Forwarding fields are guarded in any spelling all the same.
    #[default]
    Keep,
    Delete,
    Reject,
}

/// Applies the entry point's `underscoreHeadersStrategy`.
pub fn underscores<F: FieldsMut>(strategy: Underscores, fields: &mut F) -> Result<(), Reason> {
    if strategy == Underscores::Keep {
        return Ok(());
    }
    let mut found = false;
    fields.each(&mut |name, _| found |= name.contains('_'));
    match strategy {
        Underscores::Reject if found => return Err(Reason::MalformedRequest),
        Underscores::Delete if found => fields.retain(&mut |name, _| !name.contains('_')),
        _ => {}
    }
    Ok(())
}

/// The protocol that the client asks to change to: `Upgrade` with its name in `Connection`. `h2c` is never taken up.
pub fn upgrade<F: Fields>(fields: &F) -> Option<&[u8]> {
    let named = fields.any("connection", &mut |value| tokens(value).any(|token| token.eq_ignore_ascii_case(b"upgrade")));
    let protocol = fields.get("upgrade").filter(|value| !value.is_empty())?;
    (named && !tokens(protocol).any(|token| token.eq_ignore_ascii_case(b"h2c"))).then_some(protocol)
}

/// Whether the client asks for a WebSocket.
pub fn is_websocket<F: Fields>(fields: &F) -> bool {
    upgrade(fields).is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Removes from a request what ends at this hop: the known fields, and those named in `Connection` unless they are protected or in
/// `keep`. `TE: trailers` stays; `Upgrade` stays if the upgrade is carried out.
pub fn strip_request<F: FieldsMut>(fields: &mut F, keep: &[String], upgrading: bool) -> Result<(), Reason> {
    let trailers = strip(fields, keep, upgrading)?;
    if trailers {
        fields.append("Te", b"trailers");
    }
    Ok(())
}

/// Removes from a response what ends at this hop. `Upgrade` stays on a 101 that is carried out.
pub fn strip_response<F: FieldsMut>(fields: &mut F, upgrading: bool) -> Result<(), Reason> {
    strip(fields, &[], upgrading).map(drop).map_err(|_| Reason::UpstreamProtocol)
}

/// Refuses requests that were here before, as `Via` tells: an entry received by `pseudonym`, or [`MAX_VIA`] entries.
pub fn check_loop<F: Fields>(fields: &F, pseudonym: &str) -> Result<(), Reason> {
    let mut hops = 0;
    let looped = fields.any("via", &mut |value| {
        tokens(value).any(|entry| {
            hops += 1;
            let mut words = entry.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let received_by = words.nth(1).unwrap_or_default();
            hops >= MAX_VIA || (!pseudonym.is_empty() && received_by.eq_ignore_ascii_case(pseudonym.as_bytes()))
        })
    });
    if looped { Err(Reason::LoopDetected) } else { Ok(()) }
}

/// Adds this gateway to `Via`: `version` is that of the message received, as in `1.1`.
pub fn append_via<F: FieldsMut>(fields: &mut F, version: &str, pseudonym: &str) {
    let mut value: SmallVec<[u8; 64]> = SmallVec::new();
    value.extend_from_slice(version.as_bytes());
    value.push(b' ');
    value.extend_from_slice(pseudonym.as_bytes());
    fields.append("Via", &value);
}

/// Strips and tells whether `TE: trailers` was among what it removed.
fn strip<F: FieldsMut>(fields: &mut F, keep: &[String], upgrading: bool) -> Result<bool, Reason> {
    let mut present = false;
    let mut named: SmallVec<[SmallVec<[u8; 24]>; 4]> = SmallVec::new();
    let mut count = 0;
    fields.each(&mut |name, value| {
        let Some(kind) = hop(name) else { return };
        present = true;
        if kind == Hop::Connection {
            for token in tokens(value).filter(|token| !is_protected(token, keep)) {
                count += 1;
                if count <= MAX_NAMED {
                    named.push(token.into());
                }
            }
        }
    });
    if count > MAX_NAMED {
        return Err(Reason::MalformedRequest);
    }
    let mut trailers = false;
    if present {
        fields.retain(&mut |name, value| match hop(name) {
            Some(Hop::Upgrade) => upgrading,
            Some(Hop::Te) => {
                trailers |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
                false
            }
            Some(_) => false,
            None => !named.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes())),
        });
    }
    Ok(trailers)
}

#[derive(Clone, Copy, PartialEq)]
enum Hop {
    Connection,
    Upgrade,
    Te,
    Other,
}

fn hop(name: &str) -> Option<Hop> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 if is("te") => Some(Hop::Te),
        7 if is("upgrade") => Some(Hop::Upgrade),
        10 if is("connection") => Some(Hop::Connection),
        10 if is("keep-alive") => Some(Hop::Other),
        14 if is("http2-settings") => Some(Hop::Other),
        16 if is("proxy-connection") => Some(Hop::Other),
        17 if is("transfer-encoding") => Some(Hop::Other),
        18 if is("proxy-authenticate") => Some(Hop::Other),
        19 if is("proxy-authorization") => Some(Hop::Other),
        _ => None,
    }
}

/// End-to-end fields that `Connection` must not name away, and options that are no field names.
fn is_protected(token: &[u8], keep: &[String]) -> bool {
    const PROTECTED: &[&[u8]] = &[
        b"close",
        b"keep-alive",
        b"upgrade",
        b"te",
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"cache-control",
        b"date",
        b"via",
        b"trailer",
        b"traceparent",
        b"tracestate",
        b"x-request-id",
    ];
    PROTECTED.iter().any(|known| forwarded::folded(token, known))
        || std::str::from_utf8(token).is_ok_and(forwarded::is_claim)
        || keep.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
}

/// The members of a comma-separated list.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::VecFields;
    use proptest::prelude::*;

    fn stripped(lines: &[(&str, &str)], keep: &[&str], upgrading: bool) -> Result<VecFields, Reason> {
        let keep: Vec<String> = keep.iter().map(|k| (*k).to_owned()).collect();
        let mut fields = VecFields::of(lines);
        strip_request(&mut fields, &keep, upgrading).map(|()| fields)
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        let lines = [
            ("Connection", "keep-alive, X-Secret , X-Kept"),
            ("keep-alive", "timeout=5"),
            ("Proxy-Connection", "x"),
            ("Proxy-Authorization", "x"),
            ("TE", "gzip, Trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "x"),
            ("x-secret", "1"),
            ("X-Kept", "1"),
            ("Accept", "*/*"),
            ("Trailer", "X-T"),
        ];
        let expected = VecFields::of(&[("X-Kept", "1"), ("Accept", "*/*"), ("Trailer", "X-T"), ("Te", "trailers")]);
        assert_eq!(stripped(&lines, &["x-kept"], false), Ok(expected));
        let mut response =
            VecFields::of(&[("Connection", "x"), ("X", "1"), ("Upgrade", "websocket"), ("Proxy-Authenticate", "b")]);
        assert_eq!(strip_response(&mut response, true), Ok(()));
        assert_eq!(response, VecFields::of(&[("Upgrade", "websocket")]));
    }

    #[test]
    fn connection_cannot_name_away_what_protects() {
        let names = "X-Forwarded-For, X_Real_Ip, Host, Content-Length, Authorization, Cookie, Forwarded, traceparent";
        let lines = [("Host", "a"), ("Content-Length", "1"), ("Authorization", "b"), ("X-Forwarded-For", "1"), ("Cookie", "c")];
        let with_connection: Vec<_> = [("Connection", names)].into_iter().chain(lines).collect();
        assert_eq!(stripped(&with_connection, &[], false), Ok(VecFields::of(&lines)));
        let many = (0..33).map(|i| format!("x{i}")).collect::<Vec<_>>().join(",");
        assert_eq!(stripped(&[("Connection", &many)], &[], false), Err(Reason::MalformedRequest));
    }

    #[test]
    fn upgrades_are_recognised() {
        let of = |connection, upgrade| VecFields::of(&[("Connection", connection), ("Upgrade", upgrade)]);
        assert!(is_websocket(&of("keep-alive, Upgrade", "WebSocket")));
        assert!(!is_websocket(&of("keep-alive", "websocket")));
        assert_eq!(upgrade(&of("upgrade", "h2c")), None);
        assert_eq!(upgrade(&of("upgrade", "h2c, foo")), None);
        assert_eq!(upgrade(&of("upgrade", "foo")), Some(&b"foo"[..]));
        let kept = stripped(&[("Connection", "upgrade"), ("Upgrade", "foo")], &[], true);
        assert_eq!(kept, Ok(VecFields::of(&[("Upgrade", "foo")])));
    }

    #[test]
    fn loops_end() {
        let via = |value: &str| check_loop(&VecFields::of(&[("Via", value)]), "fairlead-1");
        assert_eq!(via("1.1 a, 1.1 b (Fairlead-1)"), Ok(()));
        assert_eq!(via("1.1 a, HTTP/1.1  Fairlead-1"), Err(Reason::LoopDetected));
        assert_eq!(via(&["1.1 a"; 19].join(",")), Ok(()));
        assert_eq!(via(&["1.1 a"; 20].join(",")), Err(Reason::LoopDetected));
        let mut fields = VecFields::of(&[("Via", &["1.1 a"; 10].join(", ")), ("via", &["1.1 a"; 9].join(", "))]);
        assert_eq!(check_loop(&fields, ""), Ok(()));
        append_via(&mut fields, "1.1", "fairlead-1");
        assert_eq!(check_loop(&fields, ""), Err(Reason::LoopDetected));
    }

    #[test]
    fn underscores_follow_the_strategy() {
        let lines = [("X_a", "1"), ("X-b", "2")];
        let run = |strategy| {
            let mut fields = VecFields::of(&lines);
            underscores(strategy, &mut fields).map(|()| fields)
        };
        assert_eq!(run(Underscores::Keep), Ok(VecFields::of(&lines)));
        assert_eq!(run(Underscores::Delete), Ok(VecFields::of(&[("X-b", "2")])));
        assert_eq!(run(Underscores::Reject), Err(Reason::MalformedRequest));
    }

    proptest! {
        #[test]
        fn nothing_of_this_hop_remains(
            lines in proptest::collection::vec(("connection|Connection|TE|upgrade|keep-alive|transfer-encoding|a|B|c|host", "(a|b|,| |host|te|trailers|close){0,3}"), 0..8),
            upgrading: bool,
        ) {
            let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let before = VecFields::of(&lines);
            let after = stripped(&lines, &[], upgrading).unwrap();
            let named = |name: &str| before.any("connection", &mut |v| tokens(v).any(|t| t.eq_ignore_ascii_case(name.as_bytes())));
            for (name, value) in &after.0 {
                match hop(name) {
                    None => prop_assert!(name == "host" || !named(name), "{}", name),
                    Some(Hop::Te) => prop_assert_eq!(value.as_slice(), b"trailers"),
                    Some(kind) => prop_assert!(kind == Hop::Upgrade && upgrading),
                }
            }
            let stays = |(name, _): &&(String, Vec<u8>)| hop(name).is_none() && (name == "host" || !named(name));
            prop_assert_eq!(after.0.iter().filter(stays).count(), before.0.iter().filter(stays).count());
        }
    }
}
