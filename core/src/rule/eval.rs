//! Evaluation of a rule over a request: left to right, short circuit, without allocation unless a query holds escapes.

use super::{Expr, Matcher, Test};
use crate::http::{Fields, Request, query};
use std::net::IpAddr;

/// What of a request rules can see.
#[derive(Debug)]
pub struct Subject<'a, F> {
    pub host: &'a str,
    /// As [`crate::http::path::routing_path`] gives it.
    pub path: &'a str,
    pub method: &'a str,
    pub query: Option<&'a str>,
    pub client: IpAddr,
    pub fields: &'a F,
}

impl<'a, F> Subject<'a, F> {
    /// The view of a request whose routing path has been made.
    pub fn new(request: &'a Request<'_, F>, routing_path: &'a str) -> Self {
        Self {
            host: request.host.as_str(),
            path: routing_path,
            method: request.method,
            query: request.query.as_deref(),
            client: request.client,
            fields: &request.fields,
        }
    }
}

impl Expr {
    /// Whether it holds; if not, the part that decided: a matcher, or a group none of whose alternatives held.
    pub fn check<F: Fields>(&self, subject: &Subject<'_, F>) -> Result<(), &Self> {
        match self {
            Self::And(members) => members.iter().try_for_each(|member| member.check(subject)),
            Self::Or(members) if members.iter().any(|member| member.check(subject).is_ok()) => Ok(()),
            Self::Matcher(matcher) if matcher.holds(subject) => Ok(()),
            Self::Or(_) | Self::Matcher(_) => Err(self),
        }
    }
}

impl Matcher {
    fn holds<F: Fields>(&self, subject: &Subject<'_, F>) -> bool {
        self.test.holds(subject) != self.negated
    }
}

impl Test {
    fn holds<F: Fields>(&self, subject: &Subject<'_, F>) -> bool {
        let field = |name: &str, test: &mut dyn FnMut(&[u8]) -> bool| {
            // `Host` is no field to rules: Go keeps it apart, and here it has been judged and normalised.
            !name.eq_ignore_ascii_case("host") && subject.fields.any(name, test)
        };
        match self {
            Self::AnyHost => true,
            Self::Host(host) => **host == *subject.host,
            Self::HostWildcard(suffix) => wildcard_suffix(subject.host) == Some(suffix),
            Self::HostRegexp(pattern) | Self::HostTemplate(pattern) => pattern.is_match(subject.host.as_bytes()),
            Self::Path(path) => **path == *subject.path,
            Self::PathPrefix(prefix) => subject.path.starts_with(&**prefix),
            Self::PathRegexp(pattern) | Self::PathTemplate(pattern) | Self::PathPrefixTemplate(pattern) => {
                pattern.is_match(subject.path.as_bytes())
            }
            Self::Method(method) => **method == *subject.method,
            Self::Header { name, value } => field(name, &mut |v| v == value.as_bytes()),
            Self::HeaderRegexp { name, pattern } => field(name, &mut |v| pattern.is_match(v)),
            Self::Query { key, value } => values(subject, key).any(|v| *v == *value.as_bytes()),
            Self::QueryRegexp { key, pattern } => values(subject, key).any(|v| pattern.is_match(&v)),
            Self::QueryTemplate { key, pattern: None } => values(subject, key).next().is_some(),
            Self::QueryTemplate { key, pattern: Some(pattern) } => {
                values(subject, key).next().is_some_and(|v| pattern.is_match(&v))
            }
            Self::ClientIp(range) => range.contains(subject.client),
        }
    }
}

/// What follows the first label, with its dot: the key that wildcards are compared and indexed by.
pub(crate) fn wildcard_suffix(host: &str) -> Option<&str> {
    host.find('.').map(|dot| &host[dot..])
}

fn values<'s, F>(subject: &Subject<'s, F>, key: &'s str) -> impl Iterator<Item = std::borrow::Cow<'s, [u8]>> {
    query::pairs(subject.query.unwrap_or_default()).filter(|(k, _)| **k == *key.as_bytes()).map(|(_, v)| v)
}
