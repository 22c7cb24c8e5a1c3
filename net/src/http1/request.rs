//! Request heads: the request line, and what the fields say about host, body and connection (RFC 9112 sections 3, 6 and 9).

use super::framing::{BOTH, CODING_IN_10, Seen};
use super::limits::{Bad, Limits};
use super::parse::{Scan, field_lines};
use super::token::{is_tchar, is_visible};
use crate::http::{Framing, Method, RequestHead, Version};
use memchr::{memchr, memchr3};

const METHOD: usize = 32;

const BAD_METHOD: Bad = Bad::new(400, "the request does not start with a method and a space");
const LONG_METHOD: Bad = Bad::new(501, "the method is longer than 32 bytes");
const BAD_TARGET: Bad = Bad::new(400, "the request target holds a character that must be escaped");
const LONG_TARGET: Bad = Bad::new(414, "the request target is longer than the limit");
const BAD_FORM: Bad = Bad::new(400, "the request target has no form that fits the method");
const NO_VERSION: Bad = Bad::new(400, "the request line has no HTTP version");
const BAD_VERSION: Bad = Bad::new(400, "the HTTP version is malformed");
const OTHER_VERSION: Bad = Bad::new(505, "an HTTP version other than 1.0 and 1.1");
const NO_HOST: Bad = Bad::new(400, "HTTP/1.1 without a Host");
const TWO_HOSTS: Bad = Bad::new(400, "more than one Host");
const BAD_HOST: Bad = Bad::new(400, "Host is empty, or holds a space, a control or a non-ASCII character");
const EXPECTATION: Bad = Bad::new(417, "an expectation other than 100-continue");
const NO_LENGTH: Bad = Bad::new(411, "HTTP/1.0 request of a method with a body, without Content-Length");

/// Finds and reads request heads. One parser serves a connection; it is ready for the next head after each success.
#[derive(Clone, Debug, Default)]
pub struct RequestParser {
    scan: Scan,
    /// Bytes of the empty line before the request line that RFC 9112 section 2.2 asks servers to ignore: none, or one CRLF.
    leading: usize,
    line_checked: bool,
}

impl RequestParser {
    /// Reads the head at the start of `buf` and tells how many bytes it took, or `None` if more bytes are needed.
    ///
    /// `buf` must start with the same bytes until a head was found. The answer does not depend on how the bytes were split.
    ///
    /// # Errors
    /// The bytes can never become a head that is accepted.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Option<usize>, Bad> {
        if self.leading == 0 && buf.first() == Some(&b'\r') {
            match buf {
                [b'\r'] => return Ok(None),
                [b'\r', b'\n', ..] => (self.leading, self.scan) = (2, Scan::starting_at(2)),
                _ => return Err(BAD_METHOD),
            }
        }
        let base = self.leading;
        let found = self.scan.end(buf, base, limits);
        match found {
            Ok(Some(end)) => {
                let line = self.scan.first_line();
                *self = Self::default();
                read(&buf[base..end], line, limits, head)?;
                Ok(Some(end))
            }
            Ok(None) => self.check_line(&buf[base..], limits).map(|()| None),
            // The first fault in the order of bytes is the one reported, however they were split.
            Err(bad) => {
                let line = match self.scan.first_line() {
                    0 => buf[base..].split(|&b| b == b'\n').next().unwrap_or_default(),
                    line => &buf[base..base + line - 2],
                };
                split(line, self.scan.first_line() > 0, limits)?;
                Err(bad)
            }
        }
    }

    /// Whether any byte of a head has been seen in `len` buffered bytes.
    pub(crate) fn started(&self, len: usize) -> bool {
        len > self.leading
    }

    /// Refuses a hopeless request line before the head is complete, so that a peer that speaks something else is not waited for.
    fn check_line(&mut self, head: &[u8], limits: &Limits) -> Result<(), Bad> {
        if self.line_checked {
            return Ok(());
        }
        if let Some(line) = self.scan.first_line().checked_sub(2) {
            self.line_checked = true;
            return split(&head[..line], true, limits).map(|_| ());
        }
        // Without its end: only once it is too long for any valid line. The first byte alone tells most other protocols.
        if head.len() > limits.target.saturating_add(METHOD + "  HTTP/1.1\r\n".len()) {
            split(head, false, limits)?;
            return Err(BAD_VERSION);
        }
        match head.first() {
            Some(&b) if !is_tchar(b) => Err(BAD_METHOD),
            _ => Ok(()),
        }
    }
}

/// The parts of a request line.
struct Line<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

/// Splits a request line without its CRLF, or what there is of it: faults are looked for in the order of bytes.
fn split<'a>(line: &'a [u8], whole: bool, limits: &Limits) -> Result<Option<Line<'a>>, Bad> {
    let method = match line.iter().take(METHOD + 1).position(|&b| !is_tchar(b)) {
        Some(n) if n > 0 && line[n] == b' ' => n,
        None if line.len() > METHOD => return Err(LONG_METHOD),
        None if !whole => return Ok(None),
        _ => return Err(BAD_METHOD),
    };
    let (method, rest) = (&line[..method], &line[method + 1..]);
    let space = memchr(b' ', rest);
    let target = &rest[..space.unwrap_or(rest.len())];
    let within = &target[..target.len().min(limits.target)];
    if !is_target(within) {
        return Err(BAD_TARGET);
    }
    if target.len() > limits.target {
        return Err(LONG_TARGET);
    }
    let version = match space {
        None if whole => return Err(NO_VERSION),
        Some(space) if whole => &rest[space + 1..],
        _ => return Ok(None),
    };
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(OTHER_VERSION);
        }
        _ => return Err(BAD_VERSION),
    };
    Ok(Some(Line { method, target, version }))
}

/// Reads a complete head whose first line, CRLF included, has `line` bytes.
fn read(bytes: &[u8], line: usize, limits: &Limits, head: &mut RequestHead) -> Result<(), Bad> {
    head.clear();
    let Line { method, target, version } = split(&bytes[..line - 2], true, limits)?.ok_or(NO_VERSION)?;
    head.method = Method::new(text(method)?);
    head.target.push_str(text(target)?);
    head.version = version;
    let named = authority(&head.method, target)?;

    let mut seen = Seen::default();
    field_lines(&bytes[line..], limits, &mut head.fields, |name, value| seen.field(name, value))?;

    let host = match (seen.hosts, version) {
        (0, Version::Http10) => &b""[..],
        (0, _) => return Err(NO_HOST),
        (1, _) => head.fields.get("host").filter(|h| !h.is_empty() && is_visible(h)).ok_or(BAD_HOST)?,
        _ => return Err(TWO_HOSTS),
    };
    head.authority.push_str(text(named.unwrap_or(host))?);
    head.framing = framing(&seen, version)?;
    if head.framing == Framing::None && version == Version::Http10 && takes_body(&head.method) {
        return Err(NO_LENGTH);
    }
    if seen.expect_other {
        return Err(EXPECTATION);
    }
    let modern = version == Version::Http11;
    head.expect_continue = seen.expect_continue && modern && !head.framing.is_empty();
    // Behind a body nobody could tell the last of it from the first of the new protocol, were the 101 to come early.
    head.upgrade = modern && seen.upgrade_asked() && head.framing.is_empty();
    head.keep_alive = !seen.close && (modern || seen.keep_alive);
    Ok(())
}

/// A request's body never reaches until the close: without a length or the chunked coding there is none.
fn framing(seen: &Seen, version: Version) -> Result<Framing, Bad> {
    if seen.coded() {
        if version == Version::Http10 {
            return Err(CODING_IN_10);
        }
        if seen.length.is_some() {
            return Err(BOTH);
        }
    }
    Ok(match seen.length {
        _ if seen.chunked()? => Framing::Chunked,
        Some(length) => Framing::Length(length),
        None => Framing::None,
    })
}

/// The authority that the target itself names, after checking that the target's form fits the method (RFC 9112 section 3.2).
fn authority<'a>(method: &Method, target: &'a [u8]) -> Result<Option<&'a [u8]>, Bad> {
    if *method == Method::Connect {
        let valid = !target.is_empty() && !target.iter().any(|b| b"/?@".contains(b));
        return if valid { Ok(Some(target)) } else { Err(BAD_FORM) };
    }
    if target.first() == Some(&b'/') || (target == b"*" && *method == Method::Options) {
        return Ok(None);
    }
    let scheme = |scheme: &str| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()));
    let rest = match () {
        () if scheme("http://") => &target["http://".len()..],
        () if scheme("https://") => &target["https://".len()..],
        () => return Err(BAD_FORM),
    };
    let authority = &rest[..rest.iter().position(|b| b"/?".contains(b)).unwrap_or(rest.len())];
    if authority.is_empty() || authority.contains(&b'@') { Err(BAD_FORM) } else { Ok(Some(authority)) }
}

/// Visible ASCII without `#`, and in the path without `<`, `>` and the grave accent, which no client sends unescaped there. In a query
/// they come unescaped from many (`?query=up{job="x"}>0`), mean nothing to a gateway, and go on as they are.
fn is_target(target: &[u8]) -> bool {
    let path = &target[..memchr(b'?', target).unwrap_or(target.len())];
    is_visible(target) && memchr(b'#', target).is_none() && memchr3(b'<', b'>', b'`', path).is_none()
}

fn takes_body(method: &Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

/// The bytes were checked to be ASCII before.
fn text(bytes: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(bytes).map_err(|_| BAD_TARGET)
}
