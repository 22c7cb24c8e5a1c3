//! What request and response heads have in common: finding the end, and reading field lines.

use super::limits::{Bad, Limits};
use super::token::{is_tchar, is_text, trim};
use crate::http::Fields;
use memchr::memchr;

const BARE_LF: Bad = Bad::new(400, "a line ends with LF alone");
const TOO_LARGE: Bad = Bad::new(431, "the head is larger than the limit");
const TOO_MANY: Bad = Bad::new(431, "more field lines than the limit");
const LONG_NAME: Bad = Bad::new(431, "a field name is longer than 1024 bytes");
const BAD_LINE: Bad = Bad::new(400, "a field line does not start with a token and a colon");
const BAD_VALUE: Bad = Bad::new(400, "a field value holds a control character");

/// Looks for the end of a head, going on where it stopped: a head that comes in n pieces costs n, not n².
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    /// Everything before this was looked at.
    at: usize,
    /// Where the current line starts.
    line: usize,
    /// Length of the first line with its line end, once that is known.
    first: usize,
}

impl Scan {
    pub(crate) fn starting_at(base: usize) -> Self {
        Self { at: base, line: base, first: 0 }
    }

    /// Length of the first line with its CRLF; zero until it has arrived.
    pub(crate) fn first_line(&self) -> usize {
        self.first
    }

    /// The offset behind the empty line that ends the head which starts at `base`.
    pub(crate) fn end(&mut self, buf: &[u8], base: usize, limits: &Limits) -> Result<Option<usize>, Bad> {
        let bound = buf.len().min(base.saturating_add(limits.head_bytes));
        while let Some(lf) = memchr(b'\n', &buf[self.at..bound]).map(|i| i + self.at) {
            if lf == self.line || buf[lf - 1] != b'\r' {
                return Err(BARE_LF);
            }
            self.at = lf + 1;
            if self.first == 0 {
                self.first = self.at - base;
            }
            if lf - 1 == self.line {
                return Ok(Some(self.at));
            }
            self.line = self.at;
        }
        self.at = bound;
        if buf.len() - base >= limits.head_bytes { Err(TOO_LARGE) } else { Ok(None) }
    }
}

/// Reads field lines, each ended by CRLF, up to an empty line or the end of `lines`, and shows each to `each`.
pub(crate) fn field_lines(
    mut lines: &[u8],
    limits: &Limits,
    fields: &mut Fields,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Bad>,
) -> Result<(), Bad> {
    while let Some(lf) = memchr(b'\n', lines) {
        let line = lines[..lf].strip_suffix(b"\r").ok_or(BARE_LF)?;
        lines = &lines[lf + 1..];
        if line.is_empty() {
            break;
        }
        let (name, value) = field_line(line)?;
        if fields.len() >= limits.fields {
            return Err(TOO_MANY);
        }
        each(name, value)?;
        fields.append_token(name, value);
    }
    Ok(())
}

/// Splits one line without its CRLF. A folded line, a space before the colon, and a missing or empty name are all "no token and colon".
pub(crate) fn field_line(line: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let len = line.iter().position(|&b| !is_tchar(b)).ok_or(BAD_LINE)?;
    if len == 0 || line[len] != b':' {
        return Err(BAD_LINE);
    }
    if len > 1024 {
        return Err(LONG_NAME);
    }
    let value = trim(&line[len + 1..]);
    if !is_text(value) {
        return Err(BAD_VALUE);
    }
    Ok((&line[..len], value))
}
