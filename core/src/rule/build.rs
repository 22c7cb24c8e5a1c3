//! From a matcher's name and arguments to tests: names, argument counts and the grammar of each argument.

use super::{
    Expr, Family, Matcher, Pattern, RuleError, Syntax, Test,
    parse::{Argument, all, any},
};
use crate::{config::dynamic::IpRange, http};

const V3: &[&str] = &[
    "Host",
    "HostRegexp",
    "Path",
    "PathPrefix",
    "PathRegexp",
    "Method",
    "Header",
    "HeaderRegexp",
    "Query",
    "QueryRegexp",
    "ClientIP",
];
const V2: &[&str] =
    &["Host", "HostHeader", "HostRegexp", "Path", "PathPrefix", "Method", "Headers", "HeadersRegexp", "Query", "ClientIP"];

const TCP: &[&str] = &["HostSNI", "HostSNIRegexp", "ALPN", "ClientIP"];

/// The canonical name of a matcher in one of the four spellings that Traefik accepts: `HostRegexp`, `hostregexp`, `HOSTREGEXP`,
/// `Hostregexp`.
pub(super) fn matcher_name(family: Family, syntax: Syntax, written: &str, at: usize) -> Result<&'static str, RuleError> {
    let known = match (family, syntax) {
        (Family::Http, Syntax::V2) => V2,
        (Family::Http, Syntax::V3) => V3,
        (Family::Tcp, _) => TCP,
    };
    let spelled = |name: &str| {
        let lower = name.to_ascii_lowercase();
        written == name
            || written == lower
            || written == name.to_ascii_uppercase()
            || (written[..1] == name[..1] && written[1..] == lower[1..])
    };
    if let Some(name) = known.iter().find(|name| spelled(name)) {
        return Ok(name);
    }
    let folded = written.get(..40).unwrap_or(written).to_ascii_lowercase();
    let distance = |name: &&&str| strsim::damerau_levenshtein(&folded, &name.to_ascii_lowercase());
    let nearest = known.iter().min_by_key(distance).filter(|name| distance(name) <= 3);
    Err(RuleError {
        nearest: nearest.copied(),
        ..RuleError::new(at, written, format!("one of the matchers {}", known.join(", ")))
    })
}

/// The tests of one matcher, joined as its semantics ask.
pub(super) fn matcher(
    family: Family,
    syntax: Syntax,
    name: &'static str,
    at: usize,
    arguments: Vec<Argument>,
    negated: bool,
) -> Result<Expr, RuleError> {
    let tests = match (family, syntax) {
        (Family::Http, Syntax::V2) => v2(name, at, &arguments)?,
        (Family::Http, Syntax::V3) => vec![v3(name, at, &arguments)?],
        (Family::Tcp, _) => tcp(syntax, name, at, &arguments)?,
    };
    let every = syntax == Syntax::V2 && matches!(name, "Headers" | "HeadersRegexp" | "Query");
    let members: Vec<Expr> = tests.into_iter().map(|test| Expr::Matcher(Matcher { negated, test })).collect();
    Ok(if every == negated { any(members) } else { all(members) })
}

fn v3(name: &str, at: usize, arguments: &[Argument]) -> Result<Test, RuleError> {
    let count = |expected: &str| Err(RuleError::new(at, format!("{name} with {} arguments", arguments.len()), expected));
    let test = match (name, arguments) {
        ("Header", [key, value]) => Test::Header { name: field_name(&key.text), value: value.text.as_str().into() },
        ("HeaderRegexp", [key, value]) => {
            Test::HeaderRegexp { name: field_name(&key.text), pattern: Pattern::search(&value.text, value.at)? }
        }
        ("Header" | "HeaderRegexp", _) => return count("two: a field name and a value"),
        ("Query" | "QueryRegexp", [key]) => Test::Query { key: key.text.as_str().into(), value: "".into() },
        ("Query", [key, value]) => Test::Query { key: key.text.as_str().into(), value: value.text.as_str().into() },
        ("QueryRegexp", [key, value]) => {
            Test::QueryRegexp { key: key.text.as_str().into(), pattern: Pattern::search(&value.text, value.at)? }
        }
        ("Query" | "QueryRegexp", _) => return count("one or two: a key, and a value"),
        ("Host", [one]) => host_v3(one)?,
        ("HostRegexp", [one]) => Test::HostRegexp(Pattern::search(ascii(one)?, one.at)?),
        ("Path", [one]) => Test::Path(path(one)?),
        ("PathPrefix", [one]) => Test::PathPrefix(path(one)?),
        ("PathRegexp", [one]) => Test::PathRegexp(Pattern::search(&one.text, one.at)?),
        ("Method", [one]) => Test::Method(one.text.to_ascii_uppercase().into()),
        ("ClientIP", [one]) => client_ip(one)?,
        _ => return count("one"),
    };
    Ok(test)
}

fn v2(name: &str, at: usize, arguments: &[Argument]) -> Result<Vec<Test>, RuleError> {
    if arguments.is_empty() {
        return Err(RuleError::new(at, format!("{name} without arguments"), "at least one"));
    }
    if matches!(name, "Headers" | "HeadersRegexp") {
        if !arguments.len().is_multiple_of(2) {
            let found = format!("{name} with {} arguments", arguments.len());
            return Err(RuleError::new(at, found, "pairs of a field name and a value"));
        }
        let test = |pair: &[Argument]| {
            let field = field_name(&pair[0].text);
            Ok(if name == "Headers" {
                Test::Header { name: field, value: pair[1].text.as_str().into() }
            } else {
                Test::HeaderRegexp { name: field, pattern: Pattern::search(&pair[1].text, pair[1].at)? }
            })
        };
        return arguments.chunks(2).map(test).collect();
    }
    let test = |one: &Argument| {
        Ok(match name {
            "Host" | "HostHeader" => Test::Host(host(ascii(one)?, one)?),
            "HostRegexp" => Test::HostTemplate(Pattern::host_template(ascii(one)?, one.at)?),
            "Path" if !is_template(&one.text) => Test::Path(path(one)?),
            "Path" => Test::PathTemplate(Pattern::path_template(&path(one)?, one.at, true)?),
            "PathPrefix" if !is_template(&one.text) => Test::PathPrefix(path(one)?),
            "PathPrefix" => Test::PathPrefixTemplate(Pattern::path_template(&path(one)?, one.at, false)?),
            "Method" => Test::Method(one.text.to_ascii_uppercase().into()),
            "Query" => query_v2(one)?,
            _ => client_ip(one)?,
        })
    };
    arguments.iter().map(test).collect()
}

/// v2 takes several values, v3 one.
fn tcp(syntax: Syntax, name: &str, at: usize, arguments: &[Argument]) -> Result<Vec<Test>, RuleError> {
    let expected = match syntax {
        Syntax::V2 if arguments.is_empty() => Some("at least one"),
        Syntax::V3 if arguments.len() != 1 => Some("one"),
        _ => None,
    };
    if let Some(expected) = expected {
        return Err(RuleError::new(at, format!("{name} with {} arguments", arguments.len()), expected));
    }
    let test = |one: &Argument| {
        Ok(match (name, syntax) {
            ("HostSNI", _) => host_sni(syntax, one, arguments.len() == 1)?,
            ("HostSNIRegexp", Syntax::V3) => Test::SniRegexp(Pattern::search(ascii(one)?, one.at)?),
            ("HostSNIRegexp", Syntax::V2) => Test::SniTemplate(Pattern::host_template(ascii(one)?, one.at)?),
            ("ALPN", _) if one.text == "acme-tls/1" => {
                return Err(RuleError::new(one.at, &one.text, "a protocol other than that of ACME's challenges"));
            }
            ("ALPN", _) if one.text.len() > 255 => {
                return Err(RuleError::new(one.at, &one.text, "a protocol of at most 255 bytes"));
            }
            ("ALPN", _) => Test::Alpn(one.text.as_str().into()),
            _ => client_ip(one)?,
        })
    };
    arguments.iter().map(test).collect()
}

/// As server names are normalised: lower-case, without the trailing dot.
fn host_sni(syntax: Syntax, one: &Argument, alone: bool) -> Result<Test, RuleError> {
    if one.text == "*" && alone {
        return Ok(Test::AnySni);
    }
    let (name, wildcard) = match one.text.strip_prefix("*.") {
        Some(rest) if syntax == Syntax::V3 => (rest, true),
        _ => (one.text.as_str(), false),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte)) {
        return Err(RuleError::new(one.at, &one.text, "a server name, *.example.com or *"));
    }
    let name = name.to_ascii_lowercase();
    Ok(if wildcard { Test::SniWildcard(format!(".{name}").into()) } else { Test::Sni(name.into()) })
}

fn host_v3(one: &Argument) -> Result<Test, RuleError> {
    let text = ascii(one)?;
    if text == "*" {
        return Ok(Test::AnyHost);
    }
    match text.strip_prefix("*.") {
        Some(rest) => Ok(Test::HostWildcard(format!(".{}", host(rest, one)?).into())),
        None => Ok(Test::Host(host(text, one)?)),
    }
}

/// As request hosts are normalised: lower-case, without the trailing dot, IPv6 in its canonical text.
fn host(text: &str, one: &Argument) -> Result<Box<str>, RuleError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(RuleError::new(one.at, &one.text, "a host name"));
    }
    Ok(http::normalize_host(text).into())
}

fn ascii(one: &Argument) -> Result<&str, RuleError> {
    if one.text.is_ascii() {
        return Ok(&one.text);
    }
    Err(RuleError::new(one.at, &one.text, "ASCII only; write international names in their xn-- form"))
}

fn path(one: &Argument) -> Result<Box<str>, RuleError> {
    if one.text.starts_with('/') {
        return Ok(one.text.as_str().into());
    }
    Err(RuleError::new(one.at, &one.text, "a path that begins with /"))
}

fn client_ip(one: &Argument) -> Result<Test, RuleError> {
    match one.text.parse::<IpRange>() {
        Ok(range) => Ok(Test::ClientIp(range)),
        Err(_) => Err(RuleError::new(one.at, &one.text, "an IP address or a range such as 10.0.0.0/8")),
    }
}

fn query_v2(one: &Argument) -> Result<Test, RuleError> {
    let Some((key, value)) = one.text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err(RuleError::new(one.at, &one.text, "key=value"));
    };
    let pattern = if value.is_empty() { None } else { Some(Pattern::query_template(value, one.at)?) };
    Ok(Test::QueryTemplate { key: key.into(), pattern })
}

fn is_template(text: &str) -> bool {
    text.contains(['{', '}'])
}

/// As Go canonicalises field names: `x-forwarded-for` becomes `X-Forwarded-For`. Comparison ignores case; this is for display.
fn field_name(text: &str) -> Box<str> {
    let mut upper = true;
    let fold = |c: char| {
        let folded = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        upper = c == '-';
        folded
    };
    text.chars().map(fold).collect::<String>().into()
}
