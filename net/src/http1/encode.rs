//! Heads onto the wire. Framing and connection fields are written from what was decided, never copied from what came.
//!
//! A value's CR, LF and NUL become spaces and a line whose name is no token is left out (RFC 9110 section 5.5): whatever a
//! middleware or another protocol version put into the fields, no message can be split by it.

use super::buffer::Buffer;
use super::token::{decimal, is_token, is_visible};
use crate::http::{Fields, Framing, Method, RequestHead, ResponseHead};
use memchr::memchr3;

/// Where heads are written to.
pub trait Put {
    /// Adds bytes at the end.
    fn put(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Put for Buffer {
    fn put(&mut self, bytes: &[u8]) {
        Self::put(self, bytes);
    }
}

/// How a response's end is told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Nothing: no body, and nothing to say about one.
    Nothing,
    /// `Content-Length` of this many bytes.
    Length(u64),
    /// `Content-Length` as the fields have it: what a body would measure if there was one (HEAD, 304).
    AsCame,
    Chunked,
}

/// What is written about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// Nothing: what the version does by itself.
    Implied,
    /// `Connection: keep-alive`, for HTTP/1.0.
    KeepAlive,
    /// `Connection: close`.
    Close,
    /// `Connection: Upgrade`, with the `Upgrade` field.
    Upgrade,
}

/// Writes a response head. The version on the wire is always ours, HTTP/1.1 (RFC 9110 section 2.5).
pub fn write_response(to: &mut impl Put, head: &ResponseHead, tell: Tell, persist: Persist) {
    let mut status = *b"HTTP/1.1 000 ";
    for (place, unit) in [(9, 100), (10, 10), (11, 1)] {
        status[place] = b'0' + (head.status / unit % 10) as u8;
    }
    to.put(&status);
    let standard = || ::http::StatusCode::from_u16(head.status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    text(to, if head.reason.is_empty() { standard() } else { &head.reason }.as_bytes());
    to.put(b"\r\n");
    fields(to, &head.fields, persist == Persist::Upgrade, |_| false);
    match tell {
        Tell::Nothing => {}
        Tell::Length(n) => length(to, n),
        Tell::AsCame => {
            if let Some(n) = head.fields.get("content-length").and_then(decimal) {
                length(to, n);
            }
        }
        Tell::Chunked => to.put(b"Transfer-Encoding: chunked\r\n"),
    }
    connection(to, persist);
    to.put(b"\r\n");
}

/// Writes a request head as HTTP/1.1: `target` as it stands, `Host` from `authority` (from the fields if that is empty), the body's
/// length from `framing`. `close` asks the server to close after its response.
///
/// Returns whether it could: a target that holds a space or a control character cannot be written, and then nothing is.
#[must_use]
pub fn write_request(to: &mut impl Put, head: &RequestHead, close: bool) -> bool {
    let host = if head.authority.is_empty() { head.fields.get("host").unwrap_or_default() } else { head.authority.as_bytes() };
    let method = head.method.as_str().as_bytes();
    if head.target.is_empty() || !is_visible(head.target.as_bytes()) || !is_visible(host) || !is_token(method) {
        return false;
    }
    to.put(method);
    to.put(b" ");
    to.put(head.target.as_bytes());
    to.put(b" HTTP/1.1\r\nHost: ");
    to.put(host);
    to.put(b"\r\n");
    fields(to, &head.fields, head.upgrade, |name| match name.len() {
        4 => name.eq_ignore_ascii_case(b"host"),
        14 => name.eq_ignore_ascii_case(b"http2-settings"),
        _ => false,
    });
    match head.framing {
        Framing::Length(n) => length(to, n),
        Framing::Chunked => to.put(b"Transfer-Encoding: chunked\r\n"),
        // RFC 9110 section 8.6: a method that usually has content says that there is none.
        Framing::None if matches!(head.method, Method::Post | Method::Put | Method::Patch) => length(to, 0),
        Framing::None | Framing::UntilClose | Framing::Tunnel => {}
    }
    connection(
        to,
        if head.upgrade {
            Persist::Upgrade
        } else if close {
            Persist::Close
        } else {
            Persist::Implied
        },
    );
    to.put(b"\r\n");
    true
}

/// Writes one field line.
pub(crate) fn field(to: &mut impl Put, name: &[u8], value: &[u8]) {
    if !is_token(name) {
        return;
    }
    to.put(name);
    to.put(b": ");
    text(to, value);
    to.put(b"\r\n");
}

/// Writes the lines that are not about this connection.
fn fields(to: &mut impl Put, fields: &Fields, upgrade: bool, skip: impl Fn(&[u8]) -> bool) {
    for (name, value) in fields.lines() {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let ours = match name.len() {
            7 => is("upgrade") && !upgrade,
            10 => is("connection") || is("keep-alive"),
            14 => is("content-length"),
            16 => is("proxy-connection"),
            17 => is("transfer-encoding"),
            _ => false,
        };
        if !ours && !skip(name) {
            field(to, name, value);
        }
    }
}

fn connection(to: &mut impl Put, persist: Persist) {
    to.put(match persist {
        Persist::Implied => b"",
        Persist::KeepAlive => b"Connection: keep-alive\r\n",
        Persist::Close => b"Connection: close\r\n",
        Persist::Upgrade => b"Connection: Upgrade\r\n",
    });
}

fn length(to: &mut impl Put, n: u64) {
    to.put(b"Content-Length: ");
    to.put(itoa::Buffer::new().format(n).as_bytes());
    to.put(b"\r\n");
}

/// A value or a phrase, without what would end its line.
fn text(to: &mut impl Put, mut value: &[u8]) {
    while let Some(at) = memchr3(b'\r', b'\n', 0, value) {
        to.put(&value[..at]);
        to.put(b" ");
        value = &value[at + 1..];
    }
    to.put(value);
}
