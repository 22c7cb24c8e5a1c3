//! Which fields decide where a body ends and whether the connection goes on (RFC 9112 sections 6 and 9.3).
//!
//! One collector for both directions; requests and responses draw their own conclusions from it.

use super::limits::Bad;
use super::token::{decimal, is_token, list};

pub(crate) const BOTH: Bad = Bad::new(400, "both Content-Length and Transfer-Encoding");
pub(crate) const CODING_IN_10: Bad = Bad::new(400, "Transfer-Encoding in HTTP/1.0");
const BAD_LENGTH: Bad = Bad::new(400, "Content-Length is not one decimal number");
const TWO_LENGTHS: Bad = Bad::new(400, "more than one Content-Length");
const BAD_CODING: Bad = Bad::new(400, "Transfer-Encoding is not a list of codings that ends with one chunked");
const UNKNOWN_CODING: Bad = Bad::new(501, "a transfer coding other than chunked");

/// What the fields of one head say about the connection and its framing.
#[derive(Default)]
pub(crate) struct Seen {
    pub length: Option<u64>,
    pub hosts: u32,
    pub close: bool,
    pub keep_alive: bool,
    /// `Connection` names `Upgrade`.
    upgrade_option: bool,
    /// The `Upgrade` field offers something.
    upgrade_field: bool,
    /// It offers HTTP/2 in clear text, which nobody may reach by way of an HTTP/1 gateway.
    upgrade_h2c: bool,
    pub expect_continue: bool,
    pub expect_other: bool,
    codings: Codings,
}

#[derive(Default)]
struct Codings {
    present: bool,
    malformed: bool,
    chunked: u32,
    others: u32,
    chunked_last: bool,
}

impl Seen {
    /// Takes note of one field line.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Bad> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => self.hosts += 1,
            6 if is("expect") => self.expect(value),
            7 if is("upgrade") => self.upgrade(value),
            10 if is("connection") => self.connection(value),
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(TWO_LENGTHS);
                }
                self.length = Some(decimal(value).ok_or(BAD_LENGTH)?);
            }
            17 if is("transfer-encoding") => self.coding(value),
            _ => {}
        }
        Ok(())
    }

    /// Whether the body is chunked; an error for every other coding.
    pub(crate) fn chunked(&self) -> Result<bool, Bad> {
        let c = &self.codings;
        if !c.present {
            return Ok(false);
        }
        if c.malformed || !c.chunked_last || c.chunked > 1 {
            return Err(BAD_CODING);
        }
        if c.others > 0 {
            return Err(UNKNOWN_CODING);
        }
        Ok(true)
    }

    /// Whether there is any `Transfer-Encoding`.
    pub(crate) fn coded(&self) -> bool {
        self.codings.present
    }

    /// Whether a change of protocol was asked for that a gateway can carry.
    pub(crate) fn upgrade_asked(&self) -> bool {
        self.upgrade_option && self.upgrade_field && !self.upgrade_h2c
    }

    fn coding(&mut self, value: &[u8]) {
        let c = &mut self.codings;
        c.present = true;
        for coding in list(value) {
            c.chunked_last = coding.eq_ignore_ascii_case(b"chunked");
            if c.chunked_last {
                c.chunked += 1;
            } else if is_token(coding) {
                c.others += 1;
            } else {
                c.malformed = true;
            }
        }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade_option = true,
                _ => {}
            }
        }
    }

    fn upgrade(&mut self, value: &[u8]) {
        for protocol in list(value) {
            self.upgrade_field |= !protocol.is_empty();
            self.upgrade_h2c |= protocol.eq_ignore_ascii_case(b"h2c") || protocol.eq_ignore_ascii_case(b"h2");
        }
    }

    fn expect(&mut self, value: &[u8]) {
        // Twice the same is still not what any client sends; only the one plain form counts.
        if value.eq_ignore_ascii_case(b"100-continue") && !self.expect_continue {
            self.expect_continue = true;
        } else {
            self.expect_other = true;
        }
    }
}
