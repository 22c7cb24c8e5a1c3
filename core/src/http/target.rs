//! Request targets: the four forms of RFC 9112 §3.2, split into authority, path and query.
//!
//! Deliberately absent: judging the authority ([`super::Host`]) and the path ([`super::path`]).

use super::Scheme;
use std::borrow::Cow;

/// What becomes of `;` in a query, which servers disagree about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Semicolons {
    /// `;` becomes `&`: Traefik's default.
    #[default]
    Separate,
    /// `;` becomes `%3B`: Traefik's `encodeQuerySemicolons`.
    Encode,
}

/// A request target in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Present in the absolute and authority forms; it overrides `Host`.
    pub authority: Option<&'a str>,
    /// As received and not yet canonical; `*` in the asterisk form, empty in the authority form.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<Cow<'a, str>>,
}

/// Why a target was refused; each answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("the request target is empty or holds white space or control characters")]
    Malformed,
    #[error("the request target holds a fragment")]
    Fragment,
    #[error("the request target is of a form that its method does not take")]
    Form,
    #[error("the request target names another scheme than that of the connection")]
    Scheme,
}

/// Splits the target of a request that arrived over `scheme`.
pub fn split<'a>(method: &str, target: &'a str, scheme: Scheme, semicolons: Semicolons) -> Result<Target<'a>, TargetError> {
    if target.is_empty() || target.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(TargetError::Malformed);
    }
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err(TargetError::Fragment);
    }
    if method == "CONNECT" {
        let plain = !target.contains(['/', '?', '@', '*']) && target.contains(':');
        return if plain { Ok(Target { authority: Some(target), path: "", query: None }) } else { Err(TargetError::Form) };
    }
    if target == "*" {
        return if method == "OPTIONS" { Ok(Target { authority: None, path: "*", query: None }) } else { Err(TargetError::Form) };
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let (named, rest) = target.split_once("://").ok_or(TargetError::Form)?;
        if !named.eq_ignore_ascii_case(scheme.as_str()) {
            let known = named.eq_ignore_ascii_case("http") || named.eq_ignore_ascii_case("https");
            return Err(if known { TargetError::Scheme } else { TargetError::Form });
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        (Some(&rest[..end]), &rest[end..])
    };
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(separate(query, semicolons))),
        None => (rest, None),
    };
    Ok(Target { authority, path, query })
}

fn separate(query: &str, semicolons: Semicolons) -> Cow<'_, str> {
    if memchr::memchr(b';', query.as_bytes()).is_none() {
        return Cow::Borrowed(query);
    }
    Cow::Owned(match semicolons {
        Semicolons::Separate => query.replace(';', "&"),
        Semicolons::Encode => query.replace(';', "%3B"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http<'a>(method: &str, target: &'a str) -> Result<Target<'a>, TargetError> {
        split(method, target, Scheme::Http, Semicolons::Separate)
    }

    #[test]
    fn the_four_forms_are_told_apart() {
        let of = |authority, path, query: Option<&'static str>| Ok(Target { authority, path, query: query.map(Cow::Borrowed) });
        assert_eq!(http("GET", "/a?b=c?d"), of(None, "/a", Some("b=c?d")));
        assert_eq!(http("GET", "/a?"), of(None, "/a", Some("")));
        assert_eq!(http("GET", "HTTP://b.example:80/a"), of(Some("b.example:80"), "/a", None));
        assert_eq!(http("GET", "http://b.example?x"), of(Some("b.example"), "", Some("x")));
        assert_eq!(http("OPTIONS", "*"), of(None, "*", None));
        assert_eq!(http("CONNECT", "b.example:443"), of(Some("b.example:443"), "", None));
        assert_eq!(http("GET", "/http://x"), of(None, "/http://x", None));
    }

    #[test]
    fn targets_out_of_place_are_refused() {
        assert_eq!(http("GET", "*"), Err(TargetError::Form));
        assert_eq!(http("GET", "https://a/"), Err(TargetError::Scheme));
        assert_eq!(split("GET", "http://a/", Scheme::Https, Semicolons::Separate), Err(TargetError::Scheme));
        for target in ["a.example:443", "a", "ftp://a/", "?x", "//"] {
            assert_eq!(http("GET", target).is_err(), target != "//", "{target}");
        }
        for target in ["/", "http://a/", "a.example", "u@a:443", "*"] {
            assert_eq!(http("CONNECT", target), Err(TargetError::Form), "{target}");
        }
        assert_eq!(http("GET", "/a#b"), Err(TargetError::Fragment));
        assert_eq!(http("GET", "/?a#b"), Err(TargetError::Fragment));
        for target in ["", "/a b", "/a\t", "/?a\rb", "/\x7f"] {
            assert_eq!(http("GET", target), Err(TargetError::Malformed), "{target:?}");
        }
    }

    #[test]
    fn semicolons_follow_the_policy() {
        let query = |policy| split("GET", "/?a=1;b;c", Scheme::Http, policy).unwrap().query.unwrap().into_owned();
        assert_eq!(query(Semicolons::Separate), "a=1&b&c");
        assert_eq!(query(Semicolons::Encode), "a=1%3Bb%3Bc");
    }
}
