//! What every fuzz target holds true, as plain functions: cargo-fuzz drives them with coverage, and `tests/replay.rs`
//! replays the committed corpora and a storm of mutations of them in every run, on any compiler.
//!
//! `cargo +nightly fuzz run rule --features libfuzzer` runs one. Each function panics on a broken promise and has no other effect.

#![forbid(unsafe_code)]

use fairlead_core::{
    config::{self, kv},
    http::path::{PathPolicy, canonicalize, routing_path},
    rule::{self, Syntax},
};
use fairlead_net::{
    http::RequestHead,
    http1::{Limits, RequestParser, write_request},
    proxy_protocol::{self, Header},
    tls::hello::{MAX_HELLO, Peeked, Reader},
};
use std::collections::BTreeMap;

/// A target by its name.
pub type Target = fn(&[u8]);

/// Every target, named like its corpus.
pub const TARGETS: [(&str, Target); 6] =
    [("rule", rule), ("path", path), ("http1", http1), ("proxy_protocol", proxy_protocol), ("hello", hello), ("kv", kv)];

type Parse = fn(&str, Syntax) -> Result<rule::Rule, rule::RuleError>;

/// Rules, of requests and of connections: a text that parses is written in a canonical form that means the same, and stays so.
pub fn rule(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for (syntax, parse) in
        [Syntax::V2, Syntax::V3].into_iter().flat_map(|syntax| [(syntax, rule::parse as Parse), (syntax, rule::parse_tcp)])
    {
        let Ok(parsed) = parse(text, syntax) else { continue };
        let canonical = parsed.to_string();
        match parse(&canonical, syntax) {
            Ok(again) => {
                assert_eq!(again.expr(), parsed.expr(), "{text:?} and its canonical form {canonical:?} differ");
                assert_eq!(again.to_string(), canonical, "the canonical form is not a fixed point");
            }
            // Writing a rule out in full may make it longer than a rule may be.
            Err(e) => assert!(canonical.len() > rule::MAX_LENGTH, "{text:?} becomes {canonical:?}, which does not parse: {e}"),
        }
    }
}

/// Paths: the canonical form is a fixed point, stays below its root, and holds nothing that could be read in two ways.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let strict = PathPolicy::default();
    for policy in [strict, PathPolicy { sanitize: false, ..strict }, PathPolicy { allow_encoded_slash: true, ..strict }] {
        let Ok(canonical) = canonicalize(text, policy) else { continue };
        assert!(canonical.starts_with('/'), "{canonical:?}");
        assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\#?\"<>".contains(&byte)), "{canonical:?}");
        assert_eq!(canonicalize(&canonical, policy).as_deref(), Ok(&*canonical), "of {text:?}");
        let decoded = routing_path(&canonical);
        if policy.sanitize {
            for form in [&*canonical, &*decoded] {
                assert!(!form.contains("//"), "{text:?} became {form:?}");
                assert!(form.split('/').all(|segment| segment != "." && segment != ".."), "{text:?} became {form:?}");
            }
        }
        if !policy.allow_encoded_slash {
            assert_eq!(decoded.matches('/').count(), canonical.matches('/').count(), "a slash came out of {canonical:?}");
        }
    }
}

/// HTTP/1 request heads: how the bytes arrive does not matter, and what is written onwards is read back as the same request.
pub fn http1(data: &[u8]) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let at_once = RequestParser::default().parse(data, &limits, &mut head);

    // In pieces of a few bytes, drawn from the data itself.
    let (mut parser, mut pieces, mut end) = (RequestParser::default(), RequestHead::default(), 0);
    let in_pieces = loop {
        end = data.len().min(end + 1 + usize::from(data.get(end).copied().unwrap_or_default()) % 7);
        match parser.parse(&data[..end], &limits, &mut pieces) {
            Ok(None) if end < data.len() => {}
            other => break other,
        }
    };
    match (&at_once, &in_pieces) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        (Err(a), Err(b)) => assert_eq!(a.status, b.status, "{} against {}", a.what, b.what),
        _ => panic!("at once {at_once:?}, in pieces {in_pieces:?}"),
    }

    let Ok(Some(_)) = at_once else { return };
    let mut out = Vec::new();
    if !write_request(&mut out, &head, false) {
        return;
    }
    assert!(out.ends_with(b"\r\n\r\n") && !out[..out.len() - 2].windows(4).any(|w| w == b"\r\n\r\n"), "two heads were written");
    // The limits are a client's; what is written may be a little longer than what came.
    let wide = Limits { head_bytes: limits.head_bytes * 2, fields: limits.fields + 4, ..limits };
    let mut again = RequestHead::default();
    match RequestParser::default().parse(&out, &wide, &mut again) {
        Ok(Some(length)) => {
            assert_eq!(length, out.len(), "the written head ends early");
            assert_eq!((again.method, again.target, again.authority), (head.method, head.target, head.authority));
            assert!(again.framing == head.framing || again.framing.is_empty() && head.framing.is_empty(), "the framing changed");
        }
        // The gateway replaces a target in absolute form before it writes, and refuses a request of HTTP/1.0 that names no host.
        other => {
            assert!(!head.target.starts_with('/') || head.authority.is_empty(), "what was written is not read back: {other:?}")
        }
    }
}

/// PROXY headers: never longer than the input, and no shorter input says something else than "more".
pub fn proxy_protocol(data: &[u8]) {
    let Header::Present(length, _) = proxy_protocol::parse(data) else { return };
    assert!(length <= data.len() && length > 0);
    assert_eq!(proxy_protocol::parse(&data[..length]), proxy_protocol::parse(data), "bytes behind the header change it");
    for end in 0..length {
        assert_eq!(proxy_protocol::parse(&data[..end]), Header::Partial, "{end} of {length} bytes");
    }
}

/// A client's hello: how the bytes arrive does not matter, nothing behind it does, and what is read of it is bounded.
pub fn hello(data: &[u8]) {
    let at_once = Reader::default().read(data);
    // In pieces of a few bytes, drawn from the data itself.
    let (mut reader, mut end) = (Reader::default(), 0);
    let in_pieces = loop {
        end = data.len().min(end + 1 + usize::from(data.get(end).copied().unwrap_or_default()) % 7);
        match reader.read(&data[..end]) {
            Peeked::Partial if end < data.len() => {}
            other => break other,
        }
    };
    match (&at_once, &in_pieces) {
        (Peeked::Hello(a), Peeked::Hello(b)) => {
            assert_eq!(a, b);
            assert!(end <= MAX_HELLO + 7, "{end} bytes were read");
            let name = a.server_name.as_deref().unwrap_or("none");
            assert!(!name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic()), "{name:?}");
            assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()) && !name.ends_with('.'), "{name:?}");
            assert!(a.alpn.iter().all(|protocol| !protocol.is_empty()));
        }
        (Peeked::Partial, Peeked::Partial) | (Peeked::Malformed(_), Peeked::Malformed(_)) => {}
        _ => panic!("at once {at_once:?}, in pieces {in_pieces:?}"),
    }
}

/// KV trees: whatever stands in a store, decoding ends, nothing that is accepted breaks `resolve`, and a second time gives the same.
/// One pair a line, `key=value`.
pub fn kv(data: &[u8]) {
    let pairs = || {
        data.split(|&byte| byte == b'\n').filter_map(|line| {
            let at = line.iter().position(|&byte| byte == b'=')?;
            Some((&line[..at], &line[at + 1..]))
        })
    };
    let read = || {
        let (tree, mut rejections) = kv::tree(pairs(), "traefik", "etcd");
        let (raw, more) = config::decode(&tree);
        rejections.extend(more);
        let inputs = BTreeMap::from([("etcd".to_owned(), raw)]);
        let (config, more) = config::resolve(&inputs, &config::StaticConfig::default(), None);
        rejections.extend(more);
        (config, rejections)
    };
    let ((config, rejections), (again, rejections_again)) = (read(), read());
    assert_eq!(rejections, rejections_again);
    assert_eq!(config.routers.keys().collect::<Vec<_>>(), again.routers.keys().collect::<Vec<_>>());
    for router in config.routers.values() {
        assert!(config.services.contains_key(&router.service), "router {} has no service", router.name);
    }
    assert!(
        rejections.iter().all(|r| !r.message.is_empty() && !r.remedy.is_empty()),
        "a rejection without words: {rejections:?}"
    );
}
