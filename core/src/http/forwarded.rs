//! Forwarding fields: what an untrusted peer claims is removed, what the server should know is written.
//!
//! Names compare after folding case and `_`, because some servers read `X_Forwarded_For` as `X-Forwarded-For`.
//! The usual request, which brings none of these fields, costs one pass and the lines that are written.

use super::{Fields, FieldsMut, Host, Scheme};
use crate::config::dynamic::IpRange;
use smallvec::SmallVec;
use std::{
    fmt::{self, Write},
    net::IpAddr,
};

/// Whom an entry point believes, and what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedPolicy {
    /// Peers whose forwarding fields are kept.
    pub trusted: Vec<IpRange>,
    /// Believe every peer.
    pub insecure: bool,
    /// Fields that survive being named in `Connection`.
    pub connection: Vec<String>,
    /// Append the peer to `X-Forwarded-For`; off by `notAppendXForwardedFor`.
    pub append: bool,
    /// This machine's name, for `X-Forwarded-Server`.
    pub server: String,
}

impl Default for ForwardedPolicy {
    fn default() -> Self {
        Self { trusted: Vec::new(), insecure: false, connection: Vec::new(), append: true, server: String::new() }
    }
}

impl ForwardedPolicy {
    /// Whether the forwarding fields of this peer are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.insecure || self.trusted.iter().any(|range| range.contains(peer))
    }
}

/// How a request reached this gateway.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The peer of the connection, after PROXY protocol.
    pub peer: IpAddr,
    pub scheme: Scheme,
    pub host: &'a Host,
    pub port: Option<u16>,
    /// An upgrade to WebSocket is asked for.
    pub websocket: bool,
}

const FOR: &str = "X-Forwarded-For";

/// Removes what an untrusted peer claims and writes the fields that are missing. `X-Forwarded-For` is extended later, by
/// [`append_for`], so that middlewares judge it as received.
pub fn apply<F: FieldsMut>(policy: &ForwardedPolicy, fields: &mut F, origin: &Origin<'_>) {
    let mut seen = Seen::of(fields);
    if seen.any && !policy.trusts(origin.peer) {
        fields.retain(&mut |name, _| !is_claim(name));
        seen = Seen::default();
    }
    if seen.for_lines > 1 {
        let merged = merged_for(fields);
        fields.set(FOR, &merged);
    }
    // Without any of these fields there is no line to look for.
    let mut put = |name: &str, value: &[u8]| if seen.any { fields.set(name, value) } else { fields.append(name, value) };
    let mut text = Text::default();
    if !seen.real_ip {
        text.address(origin.peer);
        put("X-Real-Ip", text.as_bytes());
    }
    if !seen.proto {
        let proto = match (origin.scheme, origin.websocket) {
            (Scheme::Http, false) => "http",
            (Scheme::Https, false) => "https",
            (Scheme::Http, true) => "ws",
            (Scheme::Https, true) => "wss",
        };
        put("X-Forwarded-Proto", proto.as_bytes());
    }
    if !seen.port {
        let port = origin.port.unwrap_or(if seen.proto_secure || origin.scheme == Scheme::Https { 443 } else { 80 });
        text.clear();
        text.number(port);
        put("X-Forwarded-Port", text.as_bytes());
    }
    if !seen.host && !origin.host.is_empty() {
        text.format(format_args!("{}", origin.host));
        if let Some(port) = origin.port {
            text.put(b":");
            text.number(port);
        }
        put("X-Forwarded-Host", text.as_bytes());
    }
    if !policy.server.is_empty() {
        put("X-Forwarded-Server", policy.server.as_bytes());
    }
}

/// Appends the peer to `X-Forwarded-For`: the last change before a request goes to its server.
pub fn append_for<F: FieldsMut>(policy: &ForwardedPolicy, fields: &mut F, peer: IpAddr) {
    if !policy.append {
        return;
    }
    let mut text = Text::default();
    text.address(peer);
    if fields.get(FOR).is_none() {
        return fields.append(FOR, text.as_bytes());
    }
    let mut value = merged_for(fields);
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(text.as_bytes());
    fields.set(FOR, &value);
}

/// Whether this name, in any spelling, claims something about the client that only a trusted peer may say.
pub fn is_claim(name: &str) -> bool {
    let name = name.as_bytes();
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'x') => {
            [&b"x-forwarded-"[..], b"x-original-", b"x-envoy-"].iter().any(|prefix| folded_prefix(name, prefix))
                || folded(name, b"x-real-ip")
                || folded(name, b"x-rewrite-url")
        }
        Some(b'f') => folded(name, b"forwarded"),
        Some(b't') => folded(name, b"true-client-ip"),
        Some(b'c') => folded(name, b"cf-connecting-ip"),
        _ => false,
    }
}

/// Equality with a lower-case name after folding case and `_`.
pub(super) fn folded(name: &[u8], lower: &[u8]) -> bool {
    name.len() == lower.len() && folded_prefix(name, lower)
}

fn folded_prefix(name: &[u8], lower: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= lower.len() && name.iter().map(fold).zip(lower).all(|(a, b)| a == *b)
}

/// What of the fields in question is there, and not empty.
#[derive(Default)]
struct Seen {
    any: bool,
    for_lines: usize,
    real_ip: bool,
    proto: bool,
    proto_secure: bool,
    port: bool,
    host: bool,
}

impl Seen {
    fn of<F: Fields>(fields: &F) -> Self {
        let mut seen = Self::default();
        fields.each(&mut |name, value| {
            if !is_claim(name) {
                return;
            }
            seen.any = true;
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is(FOR) {
                seen.for_lines += 1;
            } else if value.is_empty() {
                // An empty value counts as none.
            } else if is("x-real-ip") {
                seen.real_ip = true;
            } else if is("x-forwarded-proto") {
                seen.proto = true;
                seen.proto_secure |= value.eq_ignore_ascii_case(b"https") || value.eq_ignore_ascii_case(b"wss");
            } else if is("x-forwarded-port") {
                seen.port = true;
            } else if is("x-forwarded-host") {
                seen.host = true;
            }
        });
        seen
    }
}

fn merged_for<F: Fields>(fields: &F) -> SmallVec<[u8; 128]> {
    let mut merged = SmallVec::new();
    fields.any(FOR, &mut |value| {
        if !merged.is_empty() && !value.is_empty() {
            merged.extend_from_slice(b", ");
        }
        merged.extend_from_slice(value);
        false
    });
    merged
}

/// Room on the stack for the longest value written here: a host of 255 octets, brackets and a port.
struct Text {
    bytes: [u8; 280],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 280], len: 0 }
    }
}

impl Text {
    fn format(&mut self, arguments: fmt::Arguments<'_>) {
        self.len = 0;
        let written = self.write_fmt(arguments);
        debug_assert!(written.is_ok(), "hosts and addresses fit");
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds what fits.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let end = self.len + bytes.len();
        let Some(room) = self.bytes.get_mut(self.len..end) else { return false };
        room.copy_from_slice(bytes);
        self.len = end;
        true
    }

    /// Decimal digits, without the machinery of formatting, which costs as much as a route.
    fn number(&mut self, number: u16) {
        let digits = [10_000, 1000, 100, 10, 1].map(|unit| b'0' + (number / unit % 10) as u8);
        let leading = digits.iter().take(4).take_while(|digit| **digit == b'0').count();
        self.put(&digits[leading..]);
    }

    fn address(&mut self, address: IpAddr) {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                self.clear();
                for (i, octet) in address.octets().into_iter().enumerate() {
                    if i > 0 {
                        self.put(b".");
                    }
                    self.number(octet.into());
                }
            }
            IpAddr::V6(address) => self.format(format_args!("{address}")),
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.put(text.as_bytes()) { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::VecFields;
    use proptest::prelude::*;

    const CLAIMS: &[(&str, &str)] = &[
        ("X-Forwarded-For", "1.2.3.4"),
        ("x_forwarded_proto", "https"),
        ("X-Forwarded_Host", "evil"),
        ("x-forwarded-prefix", "//evil"),
        ("X-Forwarded-Tls-Client-Cert", "c"),
        ("X_REAL_IP", "1.2.3.4"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-Url", "/admin"),
        ("X-Envoy-External-Address", "1.2.3.4"),
        ("True_Client-IP", "1.2.3.4"),
        ("CF-Connecting-IP", "1.2.3.4"),
        ("Forwarded", "for=\"_x\";host=evil"),
    ];

    fn applied(policy: &ForwardedPolicy, lines: &[(&str, &str)], host: &str, scheme: Scheme, websocket: bool) -> VecFields {
        let (host, port) = Host::parse(host.as_bytes()).unwrap();
        let mut fields = VecFields::of(lines);
        let peer = "::ffff:192.0.2.9".parse().unwrap();
        apply(policy, &mut fields, &Origin { peer, scheme, host: &host, port, websocket });
        append_for(policy, &mut fields, peer);
        fields
    }

    proptest! {
        #[test]
        fn addresses_and_numbers_read_as_the_standard_library_writes_them(address: IpAddr, number: u16) {
            let mut text = Text::default();
            text.address(address);
            let expected = address.to_canonical().to_string();
            prop_assert_eq!(text.as_bytes(), expected.as_bytes());
            text.clear();
            text.number(number);
            let expected = number.to_string();
            prop_assert_eq!(text.as_bytes(), expected.as_bytes());
        }
    }

    fn policy(trusted: &[&str]) -> ForwardedPolicy {
        let trusted = trusted.iter().map(|t| t.parse().unwrap()).collect();
        ForwardedPolicy { trusted, server: "gw1".into(), ..ForwardedPolicy::default() }
    }

    #[test]
    fn claims_of_untrusted_peers_are_replaced() {
        let mut lines = CLAIMS.to_vec();
        lines.push(("Accept", "*/*"));
        let fields = applied(&policy(&["10.0.0.0/8"]), &lines, "A.example:8443", Scheme::Https, false);
        let expected = VecFields::of(&[
            ("Accept", "*/*"),
            ("X-Real-Ip", "192.0.2.9"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Port", "8443"),
            ("X-Forwarded-Host", "a.example:8443"),
            ("X-Forwarded-Server", "gw1"),
            ("X-Forwarded-For", "192.0.2.9"),
        ]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn trusted_peers_are_believed_and_extended() {
        let lines = [
            ("X-Forwarded-For", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", ""),
            ("X-Forwarded-Server", "outer"),
            ("Forwarded", "for=1.1.1.1"),
        ];
        for policy in [policy(&["192.0.2.0/24"]), ForwardedPolicy { insecure: true, ..policy(&[]) }] {
            let fields = applied(&policy, &lines, "a.example", Scheme::Http, false);
            assert_eq!(fields.all("x-forwarded-for"), ["1.1.1.1, 2.2.2.2, 192.0.2.9"]);
            assert_eq!(fields.all("x-forwarded-proto"), ["https"]);
            assert_eq!(fields.all("x-forwarded-port"), ["443"]);
            assert_eq!(fields.all("x-forwarded-host"), ["a.example"]);
            assert_eq!(fields.all("x-forwarded-server"), ["gw1"]);
            assert_eq!(fields.all("x-real-ip"), ["192.0.2.9"]);
            assert_eq!(fields.all("forwarded"), ["for=1.1.1.1"]);
        }
    }

    #[test]
    fn schemes_and_ports_follow_the_connection() {
        let of = |scheme, websocket| {
            let fields = applied(&policy(&[]), &[], "[::1]", scheme, websocket);
            (
                fields.all("x-forwarded-proto").join(""),
                fields.all("x-forwarded-port").join(""),
                fields.all("x-forwarded-host").join(""),
            )
        };
        assert_eq!(of(Scheme::Http, true), ("ws".into(), "80".into(), "[::1]".into()));
        assert_eq!(of(Scheme::Https, true), ("wss".into(), "443".into(), "[::1]".into()));
        let kept = ForwardedPolicy { append: false, ..policy(&[]) };
        assert!(applied(&kept, &[], "a", Scheme::Http, false).all("x-forwarded-for").is_empty());
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_claim_gets_through(
            lines in proptest::collection::vec(("[xX][-_][fF]orwarded[-_]([fF]or|host|proto|[a-z_-]{1,4})|[xX][-_]real[-_]IP|[a-z_]{1,3}|FORWARDED", "[a-z]{0,2}"), 0..8),
            trusted: bool,
        ) {
            let lines: Vec<(&str, &str)> = lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let policy = if trusted { policy(&["192.0.2.0/24"]) } else { policy(&[]) };
            let fields = applied(&policy, &lines, "a.example", Scheme::Http, false);
            let kept = |fields: &VecFields| fields.0.iter().filter(|(name, _)| !is_claim(name)).cloned().collect::<Vec<_>>();
            prop_assert_eq!(kept(&fields), kept(&VecFields::of(&lines)));
            for name in ["x-real-ip", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-host", "x-forwarded-server"] {
                prop_assert!(fields.any(name, &mut |value| !value.is_empty()), "{}", name);
            }
            prop_assert_eq!(fields.all("x-forwarded-for").len(), 1);
            if !trusted {
                let claims: Vec<_> = fields.0.into_iter().filter(|(name, _)| is_claim(name)).collect();
                prop_assert_eq!(VecFields(claims), applied(&policy, &[], "a.example", Scheme::Http, false));
            }
        }
    }
}
