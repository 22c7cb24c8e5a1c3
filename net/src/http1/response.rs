//! Response heads: the status line, and what the fields say about body and connection (RFC 9112 sections 4, 6 and 9).

use super::framing::{BOTH, CODING_IN_10, Seen};
use super::limits::{Bad, Limits};
use super::parse::{Scan, field_lines};
use super::token::is_text;
use crate::http::{Framing, Method, RequestHead, ResponseHead, Version};

const BAD_LINE: Bad = Bad::new(502, "the response does not start with HTTP/1.0 or HTTP/1.1 and a status of three digits");
const NOT_ASKED: Bad = Bad::new(502, "101 Switching Protocols without a request to upgrade");

/// What the request said that decides how its response ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub head: bool,
    pub connect: bool,
    pub upgrade: bool,
}

impl From<&RequestHead> for Asked {
    fn from(request: &RequestHead) -> Self {
        Self { head: request.method == Method::Head, connect: request.method == Method::Connect, upgrade: request.upgrade }
    }
}

/// Finds and reads response heads. One parser serves a connection; it is ready for the next head after each success.
#[derive(Clone, Debug, Default)]
pub struct ResponseParser {
    scan: Scan,
}

impl ResponseParser {
    /// Reads the head at the start of `buf` and tells how many bytes it took, or `None` if more bytes are needed.
    ///
    /// `buf` must start with the same bytes until a head was found. Statuses of errors are as for a request; a gateway answers 502.
    ///
    /// # Errors
    /// The bytes can never become a head that is accepted.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, asked: Asked, head: &mut ResponseHead) -> Result<Option<usize>, Bad> {
        let begin = b"HTTP/1.";
        if !buf.iter().zip(begin).all(|(a, b)| a == b) {
            return Err(BAD_LINE);
        }
        let Some(end) = self.scan.end(buf, 0, limits)? else { return Ok(None) };
        let line = self.scan.first_line();
        *self = Self::default();
        read(&buf[..end], line, limits, asked, head)?;
        Ok(Some(end))
    }
}

fn read(bytes: &[u8], line: usize, limits: &Limits, asked: Asked, head: &mut ResponseHead) -> Result<(), Bad> {
    head.clear();
    let (version, status, reason) = split(&bytes[..line - 2]).ok_or(BAD_LINE)?;
    (head.version, head.status) = (version, status);
    // A phrase that is no UTF-8 cannot be kept as text; the standard one says as much.
    head.reason.push_str(std::str::from_utf8(reason).unwrap_or_default());

    let mut seen = Seen::default();
    field_lines(&bytes[line..], limits, &mut head.fields, |name, value| seen.field(name, value))?;

    // Judged even where no body follows: a server that confuses its framing is not to be reused.
    let chunked = seen.chunked()?;
    if seen.coded() && version == Version::Http10 {
        return Err(CODING_IN_10);
    }
    if chunked && seen.length.is_some() {
        return Err(BOTH);
    }
    head.framing = match status {
        101 if !asked.upgrade => return Err(NOT_ASKED),
        101 => Framing::Tunnel,
        200..=299 if asked.connect => Framing::Tunnel,
        100..=199 | 204 | 304 => Framing::None,
        _ if asked.head => Framing::None,
        _ if chunked => Framing::Chunked,
        _ => seen.length.map_or(Framing::UntilClose, Framing::Length),
    };
    let persistent = if version == Version::Http11 { !seen.close } else { seen.keep_alive && !seen.close };
    head.keep_alive = persistent && !matches!(head.framing, Framing::UntilClose | Framing::Tunnel);
    Ok(())
}

fn split(line: &[u8]) -> Option<(Version, u16, &[u8])> {
    let (version, rest) = match line.split_at_checked("HTTP/1.x ".len())? {
        (b"HTTP/1.1 ", rest) => (Version::Http11, rest),
        (b"HTTP/1.0 ", rest) => (Version::Http10, rest),
        _ => return None,
    };
    let (digits, reason) = rest.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
        return None;
    }
    let status = digits.iter().fold(0, |n, &b| n * 10 + u16::from(b - b'0'));
    match reason {
        // Some servers leave out the space before an absent phrase.
        [] => Some((version, status, reason)),
        [b' ', reason @ ..] if is_text(reason) => Some((version, status, reason)),
        _ => None,
    }
}
