//! Evaluation of a rule over a request or a connection: left to right, short circuit, without allocation unless a query holds escapes.

use super::{Expr, Matcher, Test};
use crate::http::{Fields, Request, query};
use std::net::IpAddr;

/// Something that rules are evaluated over.
pub trait Judge {
    /// Whether one test holds.
    fn holds(&self, test: &Test) -> bool;
}

/// What of a connection rules can see.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    pub client: IpAddr,
    /// Of the client's hello: lower-case, without trailing dot; empty: none, or no TLS.
    pub server_name: &'a str,
    /// Protocols that the client's hello offers.
    pub alpn: &'a [Vec<u8>],
}

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
    pub fn check<S: Judge>(&self, subject: &S) -> Result<(), &Self> {
        match self {
            Self::And(members) => members.iter().try_for_each(|member| member.check(subject)),
            Self::Or(members) if members.iter().any(|member| member.check(subject).is_ok()) => Ok(()),
            Self::Matcher(matcher) if matcher.holds(subject) => Ok(()),
            Self::Or(_) | Self::Matcher(_) => Err(self),
        }
    }
}

impl Matcher {
    fn holds<S: Judge>(&self, subject: &S) -> bool {
        subject.holds(&self.test) != self.negated
    }
}

impl<F: Fields> Judge for Subject<'_, F> {
    fn holds(&self, test: &Test) -> bool {
        let subject = self;
        let field = |name: &str, test: &mut dyn FnMut(&[u8]) -> bool| {
            // `Host` is no field to rules: Go keeps it apart, and here it has been judged and normalised.
            !name.eq_ignore_ascii_case("host") && subject.fields.any(name, test)
        };
        match test {
            Test::AnyHost => true,
            Test::Host(host) => **host == *subject.host,
            Test::HostWildcard(suffix) => wildcard_suffix(subject.host) == Some(suffix),
            Test::HostRegexp(pattern) | Test::HostTemplate(pattern) => pattern.is_match(subject.host.as_bytes()),
            Test::Path(path) => **path == *subject.path,
            Test::PathPrefix(prefix) => subject.path.starts_with(&**prefix),
            Test::PathRegexp(pattern) | Test::PathTemplate(pattern) | Test::PathPrefixTemplate(pattern) => {
                pattern.is_match(subject.path.as_bytes())
            }
            Test::Method(method) => **method == *subject.method,
            Test::Header { name, value } => field(name, &mut |v| v == value.as_bytes()),
            Test::HeaderRegexp { name, pattern } => field(name, &mut |v| pattern.is_match(v)),
            Test::Query { key, value } => values(subject, key).any(|v| *v == *value.as_bytes()),
            Test::QueryRegexp { key, pattern } => values(subject, key).any(|v| pattern.is_match(&v)),
            Test::QueryTemplate { key, pattern: None } => values(subject, key).next().is_some(),
            Test::QueryTemplate { key, pattern: Some(pattern) } => {
                values(subject, key).next().is_some_and(|v| pattern.is_match(&v))
            }
            Test::ClientIp(range) => range.contains(subject.client),
            // Of connections: rules for requests hold none.
            Test::AnySni | Test::Sni(_) | Test::SniWildcard(_) | Test::SniRegexp(_) | Test::SniTemplate(_) | Test::Alpn(_) => {
                false
            }
        }
    }
}

impl Judge for Connection<'_> {
    fn holds(&self, test: &Test) -> bool {
        match test {
            Test::AnySni => true,
            Test::Sni(name) => **name == *self.server_name,
            Test::SniWildcard(suffix) => wildcard_suffix(self.server_name) == Some(suffix),
            Test::SniRegexp(pattern) | Test::SniTemplate(pattern) => pattern.is_match(self.server_name.as_bytes()),
            Test::Alpn(protocol) => self.alpn.iter().any(|offered| **offered == *protocol.as_bytes()),
            Test::ClientIp(range) => range.contains(self.client),
            // Of requests: rules for connections hold none.
            Test::AnyHost
            | Test::Host(_)
            | Test::HostWildcard(_)
            | Test::HostRegexp(_)
            | Test::HostTemplate(_)
            | Test::Path(_)
            | Test::PathPrefix(_)
            | Test::PathRegexp(_)
            | Test::PathTemplate(_)
            | Test::PathPrefixTemplate(_)
            | Test::Method(_)
            | Test::Header { .. }
            | Test::HeaderRegexp { .. }
            | Test::Query { .. }
            | Test::QueryRegexp { .. }
            | Test::QueryTemplate { .. } => false,
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
