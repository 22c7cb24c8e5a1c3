//! The chunked coding, read strictly (RFC 9112 section 7.1).
//!
//! Owns the state of one body. Holds no bytes: data is lent from the caller's buffer, and a trailer line is read once it is whole.

use super::limits::{Bad, Limits};
use super::parse::field_lines;
use super::token::is_text;
use crate::http::Fields;

const BAD_SIZE: Bad = Bad::new(400, "a chunk size is not 1 to 16 hexadecimal digits followed by CRLF or an extension");
const BAD_EXTENSION: Bad = Bad::new(400, "a chunk extension holds a control character");
const LONG_LINE: Bad = Bad::new(400, "a chunk-size line is longer than the limit");
const MANY_EXTENSIONS: Bad = Bad::new(400, "the chunk extensions of a body are longer than the limit");
const BAD_END: Bad = Bad::new(400, "chunk data is not followed by CRLF");
const BARE_LF: Bad = Bad::new(400, "a trailer line ends with LF alone");
const LONG_TRAILERS: Bad = Bad::new(431, "the trailer section is larger than the limit");

/// Where a body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many bytes of body come next, at least one; say with `took` how many were taken.
    Data(usize),
    /// The body is complete.
    End,
    /// More bytes are needed.
    Need,
}

#[derive(Clone, Debug)]
enum State {
    Size,
    Extension,
    /// After the CR of a size line.
    SizeEnd,
    Data,
    /// Behind the data, before its CR.
    DataEnd,
    /// Between that CR and its LF.
    DataLf,
    /// In the trailer section; this much of the line that comes next was looked at.
    Trailers(usize),
    Done,
}

/// A decoder of one chunked body.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    /// Of the current chunk: its size while it is read, then what is left of it.
    left: u64,
    digits: u32,
    /// Bytes of the current size line.
    line: usize,
    extensions: usize,
    trailers: usize,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size, left: 0, digits: 0, line: 0, extensions: 0, trailers: 0 }
    }
}

impl Chunked {
    /// Reads on in `input` and tells how many bytes of framing to drop from its front, and what comes behind them.
    ///
    /// Trailer lines go into `trailers`, except those that could change how the message is framed, routed or trusted.
    ///
    /// # Errors
    /// The bytes are not the chunked coding, or larger than the limits.
    pub fn step(&mut self, input: &[u8], limits: &Limits, trailers: &mut Fields) -> Result<(usize, Step), Bad> {
        let mut at = 0;
        loop {
            if let State::Done = self.state {
                return Ok((at, Step::End));
            }
            if let State::Trailers(seen) = self.state {
                match self.trailer(&input[at..], seen, limits, trailers)? {
                    Some(line) => at += line,
                    None => return Ok((at, Step::Need)),
                }
                continue;
            }
            let Some(&byte) = input.get(at) else { return Ok((at, Step::Need)) };
            if let State::Data = self.state {
                let available = (input.len() - at) as u64;
                return Ok((at, Step::Data(self.left.min(available) as usize)));
            }
            at += 1;
            self.framing(byte, limits)?;
        }
    }

    /// Counts `n` bytes of data as taken.
    pub fn took(&mut self, n: usize) {
        debug_assert!(matches!(self.state, State::Data) && n as u64 <= self.left);
        self.left = self.left.saturating_sub(n as u64);
        if self.left == 0 {
            self.state = State::DataEnd;
        }
    }

    /// Whether the last byte of the body, trailers included, was read.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn framing(&mut self, byte: u8, limits: &Limits) -> Result<(), Bad> {
        match self.state {
            State::Size | State::Extension | State::SizeEnd => {
                self.line += 1;
                if self.line > limits.chunk_line {
                    return Err(LONG_LINE);
                }
            }
            _ => {}
        }
        match (&self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                if self.digits == 16 {
                    return Err(BAD_SIZE);
                }
                self.digits += 1;
                self.left = self.left << 4 | u64::from((byte as char).to_digit(16).unwrap_or_default());
            }
            (State::Size, b'\r') if self.digits > 0 => self.state = State::SizeEnd,
            (State::Size, b';') if self.digits > 0 => self.state = State::Extension,
            (State::Size, _) => return Err(BAD_SIZE),
            (State::Extension, b'\r') => self.state = State::SizeEnd,
            (State::Extension, _) if is_text(&[byte]) => {
                self.extensions += 1;
                if self.extensions > limits.chunk_extensions {
                    return Err(MANY_EXTENSIONS);
                }
            }
            (State::Extension, _) => return Err(BAD_EXTENSION),
            (State::SizeEnd, b'\n') => {
                self.state = if self.left > 0 { State::Data } else { State::Trailers(0) };
                (self.digits, self.line) = (0, 0);
            }
            (State::SizeEnd, _) => return Err(BAD_SIZE),
            (State::DataEnd, b'\r') => self.state = State::DataLf,
            (State::DataLf, b'\n') => self.state = State::Size,
            _ => return Err(BAD_END),
        }
        Ok(())
    }

    /// Reads one line of the trailer section, if it is whole, and tells its length.
    fn trailer(&mut self, input: &[u8], seen: usize, limits: &Limits, trailers: &mut Fields) -> Result<Option<usize>, Bad> {
        let bound = input.len().min(limits.trailer_bytes.saturating_sub(self.trailers));
        let Some(lf) = memchr::memchr(b'\n', &input[seen.min(bound)..bound]).map(|i| i + seen) else {
            self.state = State::Trailers(bound);
            return if bound < input.len() { Err(LONG_TRAILERS) } else { Ok(None) };
        };
        let line = &input[..=lf];
        self.trailers += line.len();
        if line == b"\r\n" {
            self.state = State::Done;
            return Ok(Some(line.len()));
        }
        if lf == 0 || input[lf - 1] != b'\r' {
            return Err(BARE_LF);
        }
        field_lines(line, limits, trailers, |_, _| Ok(()))?;
        self.state = State::Trailers(0);
        Ok(Some(line.len()))
    }
}

/// Whether a field must not come in a trailer section: it could change framing, routing, trust or how the content is understood
/// (RFC 9110 section 6.5.1), also by a spelling that some servers take for the same name.
pub(crate) fn forbidden_in_trailers(name: &[u8]) -> bool {
    const NAMES: &[&str] = &[
        "age",
        "authorization",
        "cache-control",
        "cf-connecting-ip",
        "connection",
        "content-encoding",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "vary",
        "via",
        "www-authenticate",
    ];
    const PREFIXES: &[&str] = &["x-forwarded-", "x-real-", "x-original-", "x-rewrite-", "x-envoy-", "if-", "access-control-"];
    let fold = |b: &u8| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    let same = |known: &str, name: &[u8]| name.iter().map(fold).eq(known.bytes());
    NAMES.iter().any(|known| same(known, name))
        || PREFIXES.iter().any(|known| name.get(..known.len()).is_some_and(|start| same(known, start)))
}
