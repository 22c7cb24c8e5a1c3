//! Paths: the canonical form that is matched and forwarded, and the decoded form that rules see.
//!
//! Owns the refusals: whatever two servers could read in two ways is answered 400 here, before any decision.
//! A canonical path borrows its input: nothing is written in the common case.

use std::borrow::Cow;

/// What an entry point accepts and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPolicy {
    /// Resolve `.` and `..` and collapse repeated slashes. Traefik's `sanitizePath`, on by default.
    pub sanitize: bool,
    /// Let `%2F` pass. Off by default, unlike Traefik.
    pub allow_encoded_slash: bool,
    /// Let `%5C` pass. Off by default, unlike Traefik.
    pub allow_encoded_backslash: bool,
    /// Let `%3B`, `%25`, `%3F` and `%23` pass, each; on by default, as in Traefik.
    pub allow_encoded_semicolon: bool,
    pub allow_encoded_percent: bool,
    pub allow_encoded_question_mark: bool,
    pub allow_encoded_hash: bool,
}

impl Default for PathPolicy {
    fn default() -> Self {
        Self {
            sanitize: true,
            allow_encoded_slash: false,
            allow_encoded_backslash: false,
            allow_encoded_semicolon: true,
            allow_encoded_percent: true,
            allow_encoded_question_mark: true,
            allow_encoded_hash: true,
        }
    }
}

/// Why a path was refused; each answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not begin with /")]
    NoSlash,
    #[error("the path holds a control character, a space, a backslash, # or ?")]
    Character,
    #[error("the path holds % without two hexadecimal digits")]
    Escape,
    #[error("the path holds an escape that this entry point does not allow")]
    Forbidden,
    #[error("the path leads above its root")]
    AboveRoot,
}

/// What a byte of a path asks for.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    /// Stays as it is, and need not be escaped.
    Plain,
    /// Stays as it is, and stays escaped where it was.
    Reserved,
    /// Has to be escaped.
    Encode,
    Refuse,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Encode; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Plain,
            b'/' | b':' | b'[' | b']' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {
                Class::Reserved
            }
            0..=b' ' | 0x7f | b'\\' | b'#' | b'?' | b'%' => Class::Refuse,
            _ => Class::Encode,
        };
        byte += 1;
    }
    classes
};

/// The canonical form of a request path: unreserved escapes decoded, the others in upper case, what must be escaped escaped, and, if
/// the policy sanitizes, dot segments resolved and repeated slashes collapsed. The form is a fixed point.
///
/// An empty path is `/`. A trailing slash is kept; `/a/.` and `/a/b/..` end without one, as in Go and hence Traefik.
pub fn canonicalize(path: &str, policy: PathPolicy) -> Result<Cow<'_, str>, PathError> {
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    let escaped = normalize_escapes(path, policy)?;
    if policy.sanitize && needs_resolving(escaped.as_bytes()) { resolve(&escaped).map(Cow::Owned) } else { Ok(escaped) }
}

fn normalize_escapes(path: &str, policy: PathPolicy) -> Result<Cow<'_, str>, PathError> {
    let bytes = path.as_bytes();
    // Up to here the input is canonical; from there on it is copied.
    let mut same = 0;
    while let Some(&byte) = bytes.get(same) {
        same += match CLASSES[usize::from(byte)] {
            Class::Plain | Class::Reserved => 1,
            Class::Refuse if byte == b'%' => {
                let (value, upper) = triplet(bytes, same)?;
                check_escape(value, policy)?;
                if !upper || CLASSES[usize::from(value)] == Class::Plain {
                    break;
                }
                3
            }
            Class::Encode => break,
            Class::Refuse => return Err(PathError::Character),
        };
    }
    if same == bytes.len() {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    out.push_str(&path[..same]);
    while let Some(&byte) = bytes.get(same) {
        same += 1;
        match CLASSES[usize::from(byte)] {
            Class::Plain | Class::Reserved => out.push(byte.into()),
            Class::Encode => push_triplet(&mut out, byte),
            Class::Refuse if byte == b'%' => {
                let (value, _) = triplet(bytes, same - 1)?;
                check_escape(value, policy)?;
                if CLASSES[usize::from(value)] == Class::Plain {
                    out.push(value.into())
                } else {
                    push_triplet(&mut out, value)
                }
                same += 2;
            }
            Class::Refuse => return Err(PathError::Character),
        }
    }
    Ok(Cow::Owned(out))
}

fn check_escape(value: u8, policy: PathPolicy) -> Result<(), PathError> {
    let allowed = match value {
        b'/' => policy.allow_encoded_slash,
        b'\\' => policy.allow_encoded_backslash,
        b';' => policy.allow_encoded_semicolon,
        b'%' => policy.allow_encoded_percent,
        b'?' => policy.allow_encoded_question_mark,
        b'#' => policy.allow_encoded_hash,
        0 | b'\r' | b'\n' => false,
        _ => true,
    };
    if allowed { Ok(()) } else { Err(PathError::Forbidden) }
}

/// The byte that the triplet at `at` stands for, and whether its digits are in upper case.
fn triplet(bytes: &[u8], at: usize) -> Result<(u8, bool), PathError> {
    let digit = |i: usize| bytes.get(at + i).copied().ok_or(PathError::Escape);
    let (high, low) = (digit(1)?, digit(2)?);
    let value = hex(high).ok_or(PathError::Escape)? << 4 | hex(low).ok_or(PathError::Escape)?;
    Ok((value, !high.is_ascii_lowercase() && !low.is_ascii_lowercase()))
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_triplet(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(DIGITS[usize::from(byte >> 4)].into());
    out.push(DIGITS[usize::from(byte & 15)].into());
}

/// Whether there is an empty, `.` or `..` segment.
fn needs_resolving(path: &[u8]) -> bool {
    let dots = |rest: &[u8]| matches!(rest, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]);
    memchr::memchr_iter(b'/', path).any(|slash| match &path[slash + 1..] {
        [b'/', ..] => true,
        rest => dots(rest),
    })
}

fn resolve(path: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                let parent = out.rfind('/').ok_or(PathError::AboveRoot)?;
                out.truncate(parent);
            }
            name => {
                out.push('/');
                out.push_str(name);
            }
        }
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    Ok(out)
}

/// What `Path` matchers see: escapes decoded, except those of reserved characters and of bytes that are not UTF-8.
///
/// `/foo%20bar` becomes `/foo bar`, `/a%2Fb` stays. The input is canonical. Traefik decodes bytes that are not UTF-8 as well; text
/// in which they stay escaped can be shown, compared and indexed.
pub fn routing_path(canonical: &str) -> Cow<'_, str> {
    let bytes = canonical.as_bytes();
    let mut out = Vec::new();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'%', &bytes[from..]).map(|at| from + at) {
        let decoded = triplet(bytes, at).ok().map(|(value, _)| value).filter(|value| !stays_escaped(*value));
        let end = if decoded.is_some() { at } else { at + 1 };
        if decoded.is_some() || !out.is_empty() {
            out.extend_from_slice(&bytes[if out.is_empty() { 0 } else { from }..end]);
        }
        from = end;
        if let Some(value) = decoded {
            out.push(value);
            from = at + 3;
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(canonical);
    }
    out.extend_from_slice(&bytes[from..]);
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|error| escape_invalid(error.as_bytes())))
}

fn stays_escaped(byte: u8) -> bool {
    matches!(CLASSES[usize::from(byte)], Class::Reserved) || matches!(byte, b'?' | b'#' | b'%')
}

fn escape_invalid(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| push_triplet(&mut out, *byte));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOOSE: PathPolicy = PathPolicy {
        sanitize: false,
        allow_encoded_slash: true,
        allow_encoded_backslash: true,
        allow_encoded_semicolon: true,
        allow_encoded_percent: true,
        allow_encoded_question_mark: true,
        allow_encoded_hash: true,
    };

    fn canonical(path: &str) -> Result<String, PathError> {
        canonicalize(path, PathPolicy::default()).map(Cow::into_owned)
    }

    #[test]
    fn paths_become_canonical() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/public/../admin", "/admin"),
            ("/./admin", "/admin"),
            ("//admin", "/admin"),
            ("/public/..;/admin", "/public/..;/admin"),
            ("/public/%2e%2e/admin", "/admin"),
            ("/public/%2E./admin/", "/admin/"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/admin%23", "/admin%23"),
            ("/%41dmin", "/Admin"),
            ("/a%c3%a9", "/a%C3%A9"),
            ("/é|{}", "/%C3%A9%7C%7B%7D"),
            ("/a/b/..", "/a"),
            ("/a/.", "/a"),
            ("/a/b/../", "/a/"),
            ("/...", "/..."),
            ("/a..b/.c", "/a..b/.c"),
        ] {
            assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for path in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a#x", "/a b", "/a\0", "/a%00", "/a%0d", "/a%0A", "/a?b"] {
            assert!(canonical(path).is_err(), "{path}");
        }
        for path in ["/%", "/%4", "/%zz", "/%+1", "/%é"] {
            assert_eq!(canonical(path), Err(PathError::Escape), "{path}");
        }
        for path in ["/..", "/../a", "/a/../../b", "/%2e%2e/a", "/./.."] {
            assert_eq!(canonical(path), Err(PathError::AboveRoot), "{path}");
        }
        assert_eq!(canonical("a"), Err(PathError::NoSlash));
        let allowed = canonicalize("/a%2fb%5C/../x", LOOSE);
        assert_eq!(allowed.as_deref(), Ok("/a%2Fb%5C/../x"));
    }

    #[test]
    fn what_is_canonical_is_not_copied() {
        for path in ["/", "/a/b.html", "/a%20b/%C3%A9", "/x;y=1/@z:80"] {
            assert!(matches!(canonicalize(path, PathPolicy::default()), Ok(Cow::Borrowed(p)) if p == path), "{path}");
        }
        assert!(matches!(routing_path("/a/b%2Fc"), Cow::Borrowed(_)));
    }

    #[test]
    fn rules_see_decoded_text() {
        assert_eq!(routing_path("/foo%20bar"), "/foo bar");
        assert_eq!(routing_path("/a%2Fb%20c%3Bd"), "/a%2Fb c%3Bd");
        assert_eq!(routing_path("/%C3%A9%FF/%25"), "/é%FF/%25");
        assert_eq!(routing_path("/%7Bx%7D"), "/{x}");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_a_fixed_point(path in "/([a-zA-Z./;é{ ]|%2[eEfF5]|%[cC]3|%41|//|/\\.\\.){0,24}", sanitize: bool) {
            for policy in [PathPolicy { sanitize, ..LOOSE }, PathPolicy { sanitize, ..PathPolicy::default() }] {
                if let Ok(once) = canonicalize(&path, policy) {
                    prop_assert!(matches!(canonicalize(&once, policy), Ok(Cow::Borrowed(twice)) if twice == once), "{}", once);
                    prop_assert!(once.starts_with('/') && once.is_ascii());
                    if sanitize {
                        prop_assert!(!once.contains("//") && once.split('/').all(|s| s != "." && s != ".."), "{}", once);
                    }
                }
            }
        }

        #[test]
        fn any_text_is_judged(path in ".{0,60}") {
            if let Ok(path) = canonicalize(&path, LOOSE) {
                routing_path(&path);
            }
        }

        #[test]
        fn routing_paths_keep_what_separates(path in "/([a-z/]|%2F|%3F|%25|%20|%C3%A9|%E9){0,20}") {
            let seen = routing_path(&path);
            prop_assert_eq!(seen.matches('/').count(), path.matches('/').count());
            prop_assert_eq!(seen.matches("%2F").count(), path.matches("%2F").count());
            prop_assert!(!seen.contains('?'));
        }
    }
}
