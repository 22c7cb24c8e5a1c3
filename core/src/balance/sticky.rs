//! Sticky cookies: a client stays with its server.
//!
//! The value is the first 16 hexadecimal digits of the SHA-256 of the server's URL text (for a weighted service, of the
//! child's name), as in Traefik v3. It names only members of the set: whatever else a client sends is as good as nothing.

use crate::{
    config::dynamic::{SameSite, StickyCookie},
    http::Fields,
    planted::planted,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write};

const DIGITS: usize = 16;

/// The cookie of one service, compiled for its members.
#[derive(Clone, Debug)]
pub struct Sticky {
    name: String,
    attributes: String,
    values: Vec<[u8; DIGITS]>,
    /// The first of several members with one identity.
    members: BTreeMap<[u8; DIGITS], usize>,
}

impl Sticky {
    /// Identities are URL texts of servers, or names of children, in the order of their indexes.
    pub fn new<'a>(cookie: &StickyCookie, identities: impl IntoIterator<Item = &'a str>) -> Self {
        let values: Vec<_> = identities.into_iter().map(value).collect();
        let mut members = BTreeMap::new();
        for (index, value) in values.iter().enumerate() {
            members.entry(*value).or_insert(index);
        }
        Self { name: cookie.name.clone(), attributes: attributes(cookie), values, members }
    }

    /// The member that the request's cookie names, if `usable` holds for it.
    ///
    /// `usable` is asked about sessions, not about new work: a draining server still serves its own
    /// ([`crate::endpoint::Standing::serves_sessions`]). Two cookies of this name with different values are ignored: one
    /// of them was set by somebody else, and which cannot be told.
    pub fn find<F: Fields>(&self, fields: &F, usable: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut found: Option<[u8; DIGITS]> = None;
        let ambiguous = fields.any("Cookie", &mut |line| {
            line.split(|byte| *byte == b';').any(|pair| match self.own_value(pair) {
                None => false,
                // Never a member's, and different from any.
                Some(None) => true,
                Some(Some(value)) => found.replace(value).is_some_and(|other| other != value),
            })
        });
        if ambiguous {
            return None;
        }
        self.members.get(&found?).copied().filter(|member| usable(*member))
    }

    /// The `Set-Cookie` value that binds a client to this member.
    pub fn set_cookie(&self, member: usize) -> String {
        let value = self.values.get(member).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
        format!("{}={value}{}", self.name, self.attributes)
    }

    /// `None`: not this cookie. `Some(None)`: this cookie with a value that cannot be ours.
    fn own_value(&self, pair: &[u8]) -> Option<Option<[u8; DIGITS]>> {
        let (name, value) = pair.split_at(memchr::memchr(b'=', pair)?);
        if name.trim_ascii() != self.name.as_bytes() {
            return None;
        }
        let value = value[1..].trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let value = if planted!("sticky_forged_core") { value.get(..DIGITS).unwrap_or(value) } else { value };
        Some(value.try_into().ok())
    }
}

fn value(identity: &str) -> [u8; DIGITS] {
    let digest = Sha256::digest(identity);
    let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    std::array::from_fn(|at| hex(if at % 2 == 0 { digest[at / 2] >> 4 } else { digest[at / 2] & 0xf }))
}

/// In Go's order.
fn attributes(cookie: &StickyCookie) -> String {
    let mut text = String::new();
    if !cookie.path.is_empty() {
        text.push_str("; Path=");
        text.push_str(&cookie.path);
    }
    if !cookie.domain.is_empty() {
        text.push_str("; Domain=");
        text.push_str(&cookie.domain);
    }
    if cookie.max_age != 0 {
        // Writing to a string cannot fail.
        _ = write!(text, "; Max-Age={}", cookie.max_age.max(0));
    }
    if cookie.http_only {
        text.push_str("; HttpOnly");
    }
    if cookie.secure {
        text.push_str("; Secure");
    }
    text.push_str(match cookie.same_site {
        Some(SameSite::None) => "; SameSite=None",
        Some(SameSite::Lax) => "; SameSite=Lax",
        Some(SameSite::Strict) => "; SameSite=Strict",
        None => "",
    });
    text
}
