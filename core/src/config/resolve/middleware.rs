//! Middlewares, one kind each.

use super::{Notes, Settled, source_of};
use crate::{
    Name,
    config::{
        decode::quote,
        dynamic::{BasicAuth, Depth, HeaderEdits, IpRange, Middleware, MiddlewareKind, RateLimit, SourceCriterion},
        raw,
    },
    middleware::is_password_hash,
};
use indexmap::IndexMap;
use regex::{Regex, RegexBuilder};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Bytes that a compiled pattern may take.
const MAX_PATTERN: usize = 1 << 20;

/// Tries that anyone needs.
const MAX_ATTEMPTS: i64 = 100;

impl Settled for Middleware {
    fn same(&self, other: &Self) -> bool {
        use MiddlewareKind as K;
        self.name == other.name
            && self.source == other.source
            && match (&self.kind, &other.kind) {
                (K::AddPrefix { prefix: a }, K::AddPrefix { prefix: b }) => a == b,
                (K::StripPrefix { prefixes: a }, K::StripPrefix { prefixes: b }) => a == b,
                (K::ReplacePath { path: a }, K::ReplacePath { path: b }) => a == b,
                (
                    K::RedirectScheme { scheme: a, port: b, permanent: c },
                    K::RedirectScheme { scheme: d, port: e, permanent: f },
                ) => (a, b, c) == (d, e, f),
                (
                    K::RedirectRegex { regex: a, replacement: b, permanent: c },
                    K::RedirectRegex { regex: d, replacement: e, permanent: f },
                ) => (a.as_str(), b, c) == (d.as_str(), e, f),
                (K::Headers(a), K::Headers(b)) => a == b,
                (K::RateLimit(a), K::RateLimit(b)) => a == b,
                (K::Retry { attempts: a, initial_interval: b }, K::Retry { attempts: c, initial_interval: d }) => {
                    (a, b) == (c, d)
                }
                (K::BasicAuth(a), K::BasicAuth(b)) => a == b,
                (
                    K::IpAllowList { ranges: a, depth: b, reject_status: c },
                    K::IpAllowList { ranges: d, depth: e, reject_status: f },
                ) => (a, b, c) == (d, e, f),
                (K::Chain { middlewares: a }, K::Chain { middlewares: b }) => a == b,
                (K::InfoHeaders, K::InfoHeaders) => true,
                (K::UpgradePaths { prefixes: a }, K::UpgradePaths { prefixes: b }) => a == b,
                _ => false,
            }
    }
}

pub(super) fn build(
    raw: &raw::Middleware,
    name: &Name,
    provider: &str,
    last: Option<&Arc<Middleware>>,
    notes: &mut Notes<'_>,
) -> Option<Middleware> {
    let mut kinds: Vec<(&str, Option<MiddlewareKind>)> = Vec::new();
    if let Some(raw) = &raw.add_prefix {
        kinds.push((
            "addPrefix",
            path("addPrefix", "prefix", raw.prefix.as_ref(), notes).map(|prefix| MiddlewareKind::AddPrefix { prefix }),
        ));
    }
    if let Some(raw) = &raw.strip_prefix {
        let prefixes: Vec<String> = raw.prefixes.iter().filter(|prefix| !prefix.is_empty()).cloned().collect();
        if prefixes.is_empty() {
            notes.error(&["stripPrefix", "prefixes"], "expected at least one prefix", "write for instance /api");
        }
        kinds.push(("stripPrefix", Some(MiddlewareKind::StripPrefix { prefixes })));
    }
    if let Some(raw) = &raw.replace_path {
        kinds.push((
            "replacePath",
            path("replacePath", "path", raw.path.as_ref(), notes).map(|path| MiddlewareKind::ReplacePath { path }),
        ));
    }
    if let Some(raw) = &raw.redirect_scheme {
        kinds.push(("redirectScheme", redirect_scheme(raw, notes)));
    }
    if let Some(raw) = &raw.redirect_regex {
        kinds.push(("redirectRegex", redirect_regex(raw, last, notes)));
    }
    if let Some(raw) = &raw.headers {
        let edits = HeaderEdits {
            request: edits("customRequestHeaders", pairs(&raw.custom_request_headers), notes),
            response: edits("customResponseHeaders", pairs(&raw.custom_response_headers), notes),
            append_request: edits("appendRequestHeaders", listed(&raw.append_request_headers), notes),
            append_response: edits("appendResponseHeaders", listed(&raw.append_response_headers), notes),
        };
        if edits == HeaderEdits::default() {
            notes.error(&["headers"], "nothing is edited", "give `customRequestHeaders` or `customResponseHeaders`");
        }
        kinds.push(("headers", Some(MiddlewareKind::Headers(edits))));
    }
    if let Some(raw) = &raw.rate_limit {
        kinds.push(("rateLimit", rate_limit(raw, notes)));
    }
    if let Some(raw) = &raw.retry {
        let attempts = raw.attempts.unwrap_or(0);
        if !(1..=MAX_ATTEMPTS).contains(&attempts) {
            let message = format!("expected from 1 to {MAX_ATTEMPTS} tries, the first included");
            notes.error(&["retry", "attempts"], message, "write for instance 3");
        }
        if raw.initial_interval.is_some_and(|interval| interval.is_negative()) {
            notes.error(&["retry", "initialInterval"], "expected a duration that is not negative", "write for instance 100ms");
        }
        let attempts = u32::try_from(attempts).unwrap_or(1);
        kinds.push((
            "retry",
            Some(MiddlewareKind::Retry { attempts, initial_interval: raw.initial_interval.unwrap_or_default().get() }),
        ));
    }
    if let Some(raw) = &raw.basic_auth {
        kinds.push(("basicAuth", basic_auth(raw, notes)));
    }
    if let Some(raw) = &raw.ip_white_list {
        notes.warning(&["ipWhiteList"], "is the old name of `ipAllowList`", "write ipAllowList");
        kinds.push(("ipWhiteList", allow_list("ipWhiteList", raw, notes)));
    }
    if let Some(raw) = &raw.ip_allow_list {
        kinds.push(("ipAllowList", allow_list("ipAllowList", raw, notes)));
    }
    if let Some(raw) = &raw.chain {
        let middlewares = raw.middlewares.iter().map(|member| Name::qualify(member, provider)).collect();
        kinds.push(("chain", Some(MiddlewareKind::Chain { middlewares })));
    }
    if raw.info_headers.0.is_some() {
        kinds.push(("infoHeaders", Some(MiddlewareKind::InfoHeaders)));
    }
    if let Some(raw) = &raw.upgrade_paths.0 {
        if let Some(odd) = raw.prefixes.iter().find(|prefix| !prefix.starts_with('/')) {
            let message = format!("expected paths that begin with /, found {}", quote(odd));
            notes.error(&["upgradePaths", "prefixes"], message, "write for instance /socket");
        }
        kinds.push(("upgradePaths", Some(MiddlewareKind::UpgradePaths { prefixes: raw.prefixes.clone() })));
    }
    match &mut kinds[..] {
        [(_, kind)] => kind.take().map(|kind| Middleware { name: name.clone(), kind, source: source_of(notes.tree) }),
        [] => {
            notes.error(&[], "expected one kind of middleware below it", "name one, such as stripPrefix, headers or rateLimit");
            None
        }
        [(first, _), (second, _), ..] => {
            let message = format!("is of two kinds, `{first}` and `{second}`");
            notes.error(&[], message, "make two of it, and list both on the router");
            None
        }
    }
}

fn path(kind: &str, key: &str, text: Option<&String>, notes: &mut Notes<'_>) -> Option<String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        notes.error(&[kind, key], "expected a path", "write for instance /api");
        return None;
    };
    if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        notes.error(
            &[kind, key],
            format!("expected a path without blanks and control characters, found {}", quote(text)),
            "escape them with %",
        );
    }
    Some(text.clone())
}

fn redirect_scheme(raw: &raw::RedirectScheme, notes: &mut Notes<'_>) -> Option<MiddlewareKind> {
    let scheme = raw.scheme.clone().unwrap_or_default().to_ascii_lowercase();
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    {
        notes.error(&["redirectScheme", "scheme"], format!("expected a scheme, found {}", quote(&scheme)), "write https");
    }
    let port = raw.port.as_deref().filter(|port| !port.is_empty());
    let number = port.and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
    if let (Some(text), None) = (port, number) {
        notes.error(
            &["redirectScheme", "port"],
            format!("expected a port from 1 to 65535, found {}", quote(text)),
            "write for instance 443",
        );
    }
    Some(MiddlewareKind::RedirectScheme { scheme, port: number, permanent: raw.permanent })
}

fn redirect_regex(raw: &raw::RedirectRegex, last: Option<&Arc<Middleware>>, notes: &mut Notes<'_>) -> Option<MiddlewareKind> {
    let text = raw.regex.as_deref().map(str::trim).unwrap_or_default();
    let replacement = raw.replacement.as_deref().map(str::trim).unwrap_or_default().to_owned();
    if text.is_empty() {
        notes.error(&["redirectRegex", "regex"], "expected a regular expression", "write for instance ^http://([^/]+)/(.*)");
        return None;
    }
    if replacement.is_empty() || replacement.bytes().any(|byte| byte.is_ascii_control()) {
        notes.error(&["redirectRegex", "replacement"], "expected a URL", "write for instance https://$1/$2");
    }
    // Compiling is dear, and most patterns did not change.
    let known = last.and_then(|last| match &last.kind {
        MiddlewareKind::RedirectRegex { regex, .. } if regex.as_str() == text => Some(regex.clone()),
        _ => None,
    });
    let regex: Result<Regex, _> = known.map_or_else(|| RegexBuilder::new(text).size_limit(MAX_PATTERN).build(), Ok);
    match regex {
        Ok(regex) => Some(MiddlewareKind::RedirectRegex { regex, replacement, permanent: raw.permanent }),
        Err(error) => {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // The last line says what is wrong; those above draw it.
                error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
            };
            let message = format!("expected a regular expression, found {}: {why}", quote(text));
            notes.error(
                &["redirectRegex", "regex"],
                message,
                "correct it; look-around and back references do not exist here, as in Go",
            );
            None
        }
    }
}

fn pairs(headers: &IndexMap<String, String>) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn listed(fields: &[raw::Field]) -> Vec<(String, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    fields.iter().map(|field| (text(&field.name), text(&field.value))).collect()
}

fn edits(key: &str, headers: Vec<(String, String)>, notes: &mut Notes<'_>) -> Vec<(String, String)> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (name, value) in &headers {
        if name.is_empty() || !name.bytes().all(token) {
            notes.error(&["headers", key, name], format!("{} is no field name", quote(name)), "write letters, digits and dashes");
        }
        if value.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
            notes.error(
                &["headers", key, name],
                "the value holds a line break or another control character",
                "write it on one line",
            );
        }
    }
    headers
}

fn rate_limit(raw: &raw::RateLimit, notes: &mut Notes<'_>) -> Option<MiddlewareKind> {
    let average = u64::try_from(raw.average);
    if average.is_err() {
        notes.error(&["rateLimit", "average"], "expected a number that is not negative", "write 0 for no limit");
    }
    let period = raw.period.unwrap_or_default();
    if period.is_negative() {
        notes.error(&["rateLimit", "period"], "expected a duration that is not negative", "write for instance 1s");
    }
    let period = if period.get().is_zero() { Duration::from_secs(1) } else { period.get() };
    let burst = raw.burst.and_then(|burst| u64::try_from(burst).ok()).unwrap_or(1).max(1);
    let base = ["rateLimit", "sourceCriterion"];
    let source = match &raw.source_criterion {
        None => SourceCriterion::Ip(Depth::Peer),
        Some(criterion) => {
            let header = criterion.request_header_name.as_ref().filter(|name| !name.is_empty());
            match (&criterion.ip_strategy, header, criterion.request_host) {
                (None, None, false) => SourceCriterion::Ip(Depth::Peer),
                (Some(strategy), None, false) => {
                    SourceCriterion::Ip(depth(strategy, &[&base[..], &["ipStrategy"]].concat(), notes))
                }
                (None, Some(name), false) => SourceCriterion::RequestHeader(name.clone()),
                (None, None, true) => SourceCriterion::RequestHost,
                _ => {
                    notes.error(
                        &base,
                        "expected one of ipStrategy, requestHeaderName and requestHost, found several",
                        "keep one of them",
                    );
                    return None;
                }
            }
        }
    };
    Some(MiddlewareKind::RateLimit(RateLimit { average: average.unwrap_or(0), period, burst, source }))
}

fn depth(raw: &raw::IpStrategy, path: &[&str], notes: &mut Notes<'_>) -> Depth {
    match usize::try_from(raw.depth) {
        Ok(depth) if depth > 0 => Depth::FromRight(depth),
        _ if raw.excluded_ips.is_empty() => Depth::Peer,
        _ => Depth::Excluding(ranges(&raw.excluded_ips, &[path, &["excludedIPs"]].concat(), notes)),
    }
}

pub(super) fn ranges(texts: &[String], path: &[&str], notes: &mut Notes<'_>) -> Vec<IpRange> {
    let mut ranges = Vec::new();
    for text in texts {
        match IpRange::parse(text.trim()) {
            Ok(range) => ranges.push(range),
            Err(_) => {
                let message = format!("expected an address or a range, found {}", quote(text));
                notes.error(path, message, "write for instance 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32");
            }
        }
    }
    ranges
}

fn basic_auth(raw: &raw::BasicAuth, notes: &mut Notes<'_>) -> Option<MiddlewareKind> {
    let path = ["basicAuth", "users"];
    let mut users = BTreeMap::new();
    for (index, text) in raw.users.iter().enumerate() {
        match text.trim().split_once(':') {
            Some((user, hash)) if !user.is_empty() && !hash.contains(':') && is_password_hash(hash) => {
                users.insert(user.to_owned(), hash.to_owned());
            }
            // The text is not shown: it may hold a password.
            _ => notes.error(
                &path,
                format!("entry {} is not `name:hash` with a hash of bcrypt, SHA-crypt, apr1 or SHA-1", index + 1),
                "write what `htpasswd -nB name` prints; in Compose files double each `$`",
            ),
        }
    }
    if raw.users.is_empty() {
        notes.error(&path, "expected at least one user", "write what `htpasswd -nB name` prints");
    }
    let header_field = raw.header_field.clone().filter(|name| !name.is_empty());
    let realm = raw.realm.clone().filter(|realm| !realm.is_empty()).unwrap_or_else(|| "traefik".to_owned());
    if realm.bytes().any(|byte| byte.is_ascii_control() || byte == b'"') {
        notes.error(&["basicAuth", "realm"], "expected a text without quotes and control characters", "remove them");
    }
    Some(MiddlewareKind::BasicAuth(BasicAuth { users, realm, remove_header: raw.remove_header, header_field }))
}

fn allow_list(kind: &str, raw: &raw::IpAllowList, notes: &mut Notes<'_>) -> Option<MiddlewareKind> {
    if raw.source_range.is_empty() {
        notes.error(&[kind, "sourceRange"], "expected at least one range", "write for instance 10.0.0.0/8");
    }
    let reject_status = raw.reject_status_code.unwrap_or(403);
    if !(400..=599).contains(&reject_status) {
        notes.error(
            &[kind, "rejectStatusCode"],
            format!("expected a status from 400 to 599, found {reject_status}"),
            "write 403",
        );
    }
    let ranges = ranges(&raw.source_range, &[kind, "sourceRange"], notes);
    let depth = raw.ip_strategy.0.as_ref().map(|strategy| depth(strategy, &[kind, "ipStrategy"], notes)).unwrap_or_default();
    Some(MiddlewareKind::IpAllowList { ranges, depth, reject_status })
}
