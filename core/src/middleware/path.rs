//! AddPrefix, StripPrefix and ReplacePath.
//!
//! Configured paths are escaped once, at compilation, so that they compare with the canonical escaped path of the request.

use super::{Flow, set_trusted};
use crate::{
    http::{FieldsMut, Request},
    reason::Reason,
    response::LocalResponse,
};
use std::borrow::Cow;

/// Puts a prefix before the path. No field is set.
#[derive(Debug)]
pub(super) struct AddPrefix {
    prefix: String,
}

impl AddPrefix {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: rooted(escape(prefix)) }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        req.path = Cow::Owned(format!("{}{}", self.prefix, req.path));
        Flow::Continue
    }
}

/// Removes the first prefix that matches, by bytes and without regard to segments: `/foo` makes `/foobar` into `/bar`.
///
/// Adds `X-Forwarded-Prefix`. What would begin with `//` or a dot segment afterwards is refused: it could be read as
/// another path, or another host, than the one that was routed.
#[derive(Debug)]
pub(super) struct StripPrefix {
    prefixes: Vec<String>,
}

impl StripPrefix {
    pub(super) fn new(prefixes: &[String]) -> Self {
        Self { prefixes: prefixes.iter().map(|prefix| escape(prefix)).collect() }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        let Some((prefix, rest)) =
            self.prefixes.iter().find_map(|prefix| req.path.strip_prefix(prefix.as_str()).map(|rest| (prefix, rest)))
        else {
            return Flow::Continue;
        };
        let path = rooted(rest.to_owned());
        if !begins_cleanly(&path) {
            return Flow::Respond(LocalResponse::of(Reason::InvalidPath));
        }
        req.path = Cow::Owned(path);
        req.fields.append("X-Forwarded-Prefix", prefix.as_bytes());
        Flow::Continue
    }
}

/// Puts one path in place of every other; the old one goes into `X-Replaced-Path`, in place of whatever the client sent
/// under that name.
#[derive(Debug)]
pub(super) struct ReplacePath {
    path: String,
}

impl ReplacePath {
    pub(super) fn new(path: &str) -> Self {
        Self { path: rooted(escape(path)) }
    }

    pub(super) fn request<F: FieldsMut>(&self, req: &mut Request<'_, F>) -> Flow {
        let old = std::mem::replace(&mut req.path, Cow::Owned(self.path.clone()));
        set_trusted(&mut req.fields, "X-Replaced-Path", old.as_bytes());
        Flow::Continue
    }
}

fn rooted(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/{path}") }
}

/// The first segment alone can be new: those after it were in the canonical path already.
fn begins_cleanly(path: &str) -> bool {
    let rest = &path[1..];
    let (first, more) = rest.split_once('/').map_or((rest, false), |(first, _)| (first, true));
    if first.is_empty() {
        return !more;
    }
    let plain = first.replace("%2e", ".").replace("%2E", ".");
    plain != "." && plain != ".."
}

/// The canonical form of a configured path: unreserved characters plain, what cannot stand in a path escaped, other percent
/// triplets in upper case.
pub(super) fn escape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
        let mut ahead = bytes.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes = ahead;
                let byte = (high * 16 + low) as u8;
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(byte.into());
                } else {
                    push_triplet(&mut out, byte);
                }
            }
            _ if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@[]".contains(&byte) => out.push(byte.into()),
            _ => push_triplet(&mut out, byte),
        }
    }
    out
}

fn push_triplet(out: &mut String, byte: u8) {
    out.push_str(&format!("%{byte:02X}"));
}
