//! Traefik 1's rules: `Host:a.example,b.example;PathPrefixStrip:/api`.
//!
//! What they match becomes a rule in Traefik 2's syntax, which has the same templates; what they do to the path becomes middlewares.
//!
//! Deliberately absent: `PathStripRegex` and `PathPrefixStripRegex` with a template, and `ReplacePathRegex`. Nothing here rewrites by a
//! pattern, and a path that arrives unchanged is another path to the server.

use std::fmt::Write;

/// What a rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    /// In Traefik 2's syntax.
    pub(super) matches: String,
    pub(super) path: Path,
}

/// What is done to the path, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// The longest first.
    pub(super) strip: Vec<String>,
    pub(super) add: Option<String>,
    pub(super) replace: Option<String>,
}

/// Why a rule cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) remedy: String,
}

const NAMES: [&str; 16] = [
    "Host",
    "HostRegexp",
    "Path",
    "PathStrip",
    "PathStripRegex",
    "PathPrefix",
    "PathPrefixStrip",
    "PathPrefixStripRegex",
    "Method",
    "Headers",
    "HeadersRegexp",
    "Query",
    "AddPrefix",
    "ReplacePath",
    "ReplacePathRegex",
    "HostHeader",
];

/// Reads a rule.
pub(super) fn parse(text: &str) -> Result<Rule, Fault> {
    let mut rule = Rule::default();
    let mut matchers = Vec::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (name, arguments) = part.split_once(':').unwrap_or((part, ""));
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty()).collect();
        let name = name.trim();
        if !NAMES.contains(&name) {
            return Err(unknown(name));
        }
        if arguments.is_empty() {
            return Err(fault(format!("`{name}` needs a value after a colon"), "write for instance Host:example.com"));
        }
        matchers.extend(rule.take(name, &arguments)?);
    }
    if matchers.is_empty() && rule.path == Path::default() {
        return Err(fault("the rule is empty", "write for instance Host:example.com;PathPrefix:/"));
    }
    rule.matches = if matchers.is_empty() { "PathPrefix(`/`)".to_owned() } else { matchers.join(" && ") };
    Ok(rule)
}

/// Whether nothing but one matcher with one value stands here, whose normalised form no other such rule has.
pub(super) fn is_plain(text: &str) -> bool {
    let separated = |text: &str, separator: char| {
        let is_word =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        text.split(separator).all(is_word)
    };
    match text.split_once(':') {
        Some(("Host", host)) => separated(host, '.'),
        Some(("Path" | "PathPrefix" | "PathStrip" | "PathPrefixStrip", path)) => {
            path == "/" || path.strip_prefix('/').is_some_and(|path| separated(path, '/'))
        }
        _ => false,
    }
}

impl Rule {
    /// Takes one part, and gives the matcher that it is, if it is one.
    fn take(&mut self, name: &str, arguments: &[&str]) -> Result<Option<String>, Fault> {
        let template = arguments.iter().find(|argument| argument.contains(['{', '}']));
        let (matcher, joined) = match name {
            "Host" | "HostHeader" => ("Host", true),
            "HostRegexp" | "Method" | "Path" | "PathPrefix" | "Query" => (name, true),
            "Headers" | "HeadersRegexp" if arguments.len().is_multiple_of(2) => (name, true),
            "Headers" | "HeadersRegexp" => {
                return Err(fault(
                    format!("`{name}` needs pairs of a field and a value"),
                    format!("write for instance {name}:X-Tenant,a"),
                ));
            }
            "PathStrip" | "PathPrefixStrip" => (name.trim_end_matches("Strip"), true),
            "PathStripRegex" | "PathPrefixStripRegex" if template.is_none() => (name.trim_end_matches("StripRegex"), true),
            "PathStripRegex" | "PathPrefixStripRegex" | "ReplacePathRegex" => return Err(by_pattern(name)),
            _ => (name, false),
        };
        if name.contains("Strip") {
            self.path.strip = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            self.path.strip.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
        }
        let last = || arguments.last().map(|argument| (*argument).to_owned());
        match name {
            "AddPrefix" => self.path.add = last(),
            "ReplacePath" => self.path.replace = last(),
            _ => {}
        }
        Ok(joined.then(|| call(matcher, arguments)))
    }
}

/// A matcher in Traefik 2's syntax.
fn call(name: &str, arguments: &[&str]) -> String {
    let mut text = format!("{name}(");
    for (index, argument) in arguments.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        literal(argument, &mut text);
    }
    text.push(')');
    text
}

fn literal(argument: &str, out: &mut String) {
    if !argument.contains(['`', '\r']) {
        out.push('`');
        out.push_str(argument);
        out.push('`');
        return;
    }
    out.push('"');
    for c in argument.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Four digits are enough for every control character. Writing to a text cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn unknown(name: &str) -> Fault {
    let message = format!("`{}` is no matcher of Traefik 1", name.escape_debug());
    let near = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name));
    let remedy = match near {
        Some(known) => format!("write {known}: upper and lower case count"),
        None if name.contains('(') => {
            "it looks like a rule of Traefik 2 or 3: put it into traefik.http.routers.<name>.rule".to_owned()
        }
        None => format!("known are {}", NAMES[..15].join(", ")),
    };
    fault(message, remedy)
}

fn by_pattern(name: &str) -> Fault {
    let remedy = match name {
        "ReplacePathRegex" => "use PathPrefixStrip, AddPrefix or ReplacePath, or let the server rewrite",
        _ => "list the prefixes one by one in PathPrefixStrip, or let the server strip them",
    };
    fault(format!("`{name}` rewrites the path by a pattern, which is not supported yet"), remedy)
}

fn fault(message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault { message: message.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Syntax, parse as parse_v2};

    /// Every rule that comes out is one that can be read again.
    fn matches(text: &str) -> String {
        let rule = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        parse_v2(&rule.matches, Syntax::V2).unwrap_or_else(|error| panic!("{text}: {}: {error}", rule.matches));
        rule.matches
    }

    #[test]
    fn every_matcher_is_translated() {
        let table = [
            ("Host:a.example", "Host(`a.example`)"),
            ("Host: a.example , b.example", "Host(`a.example`, `b.example`)"),
            ("HostRegexp:{sub:[a-z]+}.example.com", "HostRegexp(`{sub:[a-z]+}.example.com`)"),
            ("Path:/a,/b/{id:[0-9]+}", "Path(`/a`, `/b/{id:[0-9]+}`)"),
            ("PathPrefix:/api", "PathPrefix(`/api`)"),
            ("PathPrefix:/", "PathPrefix(`/`)"),
            ("Method:GET,post", "Method(`GET`, `post`)"),
            ("Headers:X-A,1,X-B,2", "Headers(`X-A`, `1`, `X-B`, `2`)"),
            ("Headers:Referer,http://a.example/x", "Headers(`Referer`, `http://a.example/x`)"),
            ("HeadersRegexp:User-Agent,^curl", "HeadersRegexp(`User-Agent`, `^curl`)"),
            ("Query:a=1, b={v:[0-9]+}", "Query(`a=1`, `b={v:[0-9]+}`)"),
            ("Host:a.example;PathPrefix:/api;Method:GET", "Host(`a.example`) && PathPrefix(`/api`) && Method(`GET`)"),
            ("Headers:X-A,a`b\"\\", "Headers(`X-A`, \"a`b\\\"\\\\\")"),
            (";Host:a;", "Host(`a`)"),
        ];
        for (text, expected) in table {
            assert_eq!(matches(text), expected, "{text}");
        }
    }

    #[test]
    fn what_changes_the_path_is_told_apart_from_what_matches() {
        let path = |text: &str| (matches(text), parse(text).unwrap().path);
        let strip = |prefixes: &[&str]| Path { strip: prefixes.iter().map(|p| (*p).to_owned()).collect(), ..Path::default() };
        assert_eq!(path("PathPrefixStrip:/a,/a/b"), ("PathPrefix(`/a`, `/a/b`)".to_owned(), strip(&["/a/b", "/a"])));
        assert_eq!(path("PathStrip:/a"), ("Path(`/a`)".to_owned(), strip(&["/a"])));
        assert_eq!(path("PathPrefixStripRegex:/a"), ("PathPrefix(`/a`)".to_owned(), strip(&["/a"])));
        let add = Path { add: Some("/x".to_owned()), ..Path::default() };
        assert_eq!(path("AddPrefix:/y,/x"), ("PathPrefix(`/`)".to_owned(), add), "everything matches, the last counts");
        let (rule, Path { strip, add, replace }) = path("Host:a;PathPrefixStrip:/a;AddPrefix:/b;ReplacePath:/c");
        assert_eq!(rule, "Host(`a`) && PathPrefix(`/a`)");
        assert_eq!((strip, add, replace), (vec!["/a".to_owned()], Some("/b".to_owned()), Some("/c".to_owned())));
    }

    #[test]
    fn what_cannot_be_served_says_why_and_what_to_do() {
        let table = [
            ("", "empty", "Host:example.com"),
            (" ; ", "empty", "Host:example.com"),
            ("Host", "`Host` needs a value", "Host:example.com"),
            ("Host:,", "`Host` needs a value", "Host:example.com"),
            ("host:a", "`host` is no matcher", "write Host"),
            ("Host(`a`)", "is no matcher", "traefik.http.routers"),
            ("Pfad:/x", "`Pfad` is no matcher", "PathPrefix"),
            ("Headers:X-A", "pairs", "Headers:X-Tenant"),
            ("PathPrefixStripRegex:/{id:[0-9]+}", "by a pattern", "PathPrefixStrip"),
            ("ReplacePathRegex:^/a/(.*) /b/$1", "by a pattern", "ReplacePath"),
        ];
        for (text, message, remedy) in table {
            let fault = parse(text).unwrap_err();
            assert!(fault.message.contains(message), "{text}: {}", fault.message);
            assert!(fault.remedy.contains(remedy), "{text}: {}", fault.remedy);
        }
    }

    #[test]
    fn plain_rules_have_names_of_their_own() {
        for text in ["Host:a.example", "PathPrefix:/", "PathPrefix:/api/v1", "PathStrip:/a"] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "Host:a-b",
            "Host:A",
            "PathPrefix:/a-b",
            "PathPrefix:api",
            "PathPrefix:/a/",
            "Host:a;Path:/b",
            "Host:a,b",
            "Method:get",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
