//! Rules: what a router matches, of requests or of connections.
//!
//! Owns the grammar (Traefik's v3 and v2 spellings), its bounds, the matchers and their evaluation. A parsed rule holds no negated
//! groups: `!` is pushed down to the matchers by De Morgan's laws, as Traefik does.
//!
//! Deliberately absent: priorities, and the index that spares most evaluations (`snapshot`).
//!
//! ```
//! use fairlead_core::rule::{self, Syntax};
//!
//! let rule = rule::parse("Host(`a.example`) && !(PathPrefix(`/x`) || Method(`post`))", Syntax::V3).unwrap();
//! assert_eq!(rule.to_string(), "Host(`a.example`) && !PathPrefix(`/x`) && !Method(`POST`)");
//! assert_eq!(rule.hosts(), ["a.example"]);
//! ```

mod build;
mod display;
mod error;
mod eval;
pub(crate) mod lexer;
mod parse;
mod pattern;
#[cfg(test)]
pub(crate) mod tests;

use crate::config::dynamic::IpRange;
pub use display::ExprText;
pub use error::RuleError;
pub(crate) use eval::wildcard_suffix;
pub use eval::{Connection, Judge, Subject};
pub use parse::{MAX_DEPTH, MAX_LENGTH, parse, parse_tcp};
pub use pattern::Pattern;
use std::{fmt, sync::Arc};

/// Which family of matchers the text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Syntax {
    /// Traefik 2: matchers take several values, and templates such as `{name:[a-z]+}`.
    V2,
    /// Traefik 3.
    #[default]
    V3,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Requests.
    Http,
    /// Connections: what is known of one before anything is answered on it.
    Tcp,
}

/// A parsed rule. Cheap to clone; equal when text and syntax are.
#[derive(Clone)]
pub struct Rule(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    syntax: Syntax,
    expr: Expr,
}

impl Rule {
    /// As the operator wrote it. Its byte length is the default priority.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The syntax it was written in.
    pub fn syntax(&self) -> Syntax {
        self.0.syntax
    }

    /// What it means.
    pub fn expr(&self) -> &Expr {
        &self.0.expr
    }

    /// The arguments of every `Host`, negated ones and those in any branch included, in order and without repetition: what TLS
    /// options and certificates are chosen by. `*` and `*.x` stand as written, the others normalised.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = Vec::new();
        self.0.expr.each(&mut |matcher| {
            let host = match &matcher.test {
                Test::AnyHost => "*".to_owned(),
                Test::Host(host) => host.to_string(),
                Test::HostWildcard(suffix) => format!("*{suffix}"),
                _ => return,
            };
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        });
        hosts
    }
}

impl Rule {
    /// Whether it is ``HostSNI(`*`)`` and nothing else: what comes after all others.
    pub fn is_catch_all(&self) -> bool {
        matches!(&self.0.expr, Expr::Matcher(Matcher { negated: false, test: Test::AnySni }))
    }

    /// Whether it asks for server names, which only TLS tells.
    pub fn needs_server_name(&self) -> bool {
        let mut needs = false;
        self.0.expr.each(&mut |matcher| needs |= matches!(matcher.test, Test::Sni(_) | Test::SniWildcard(_)));
        needs
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.syntax() == other.syntax() && self.text() == other.text()
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({:?}, {:?})", self.syntax(), self.text())
    }
}

/// A condition in negation normal form. Groups have at least two members, none of their own kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Matcher(Matcher),
}

impl Expr {
    /// Visits every matcher from left to right.
    pub fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Matcher)) {
        match self {
            Self::And(members) | Self::Or(members) => members.iter().for_each(|member| member.each(visit)),
            Self::Matcher(matcher) => visit(matcher),
        }
    }
}

/// One test, or its opposite.
#[derive(Clone, Debug, PartialEq)]
pub struct Matcher {
    pub negated: bool,
    pub test: Test,
}

/// What is asked of a request. Matchers with several values (v2) are written out as groups of these.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// ``Host(`*`)``: everything, requests without a host included.
    AnyHost,
    /// Equality with a normalised host.
    Host(Box<str>),
    /// `.x` of `*.x`: exactly one more label in front.
    HostWildcard(Box<str>),
    /// Searched in the normalised host.
    HostRegexp(Pattern),
    /// v2: the whole host, without regard to case.
    HostTemplate(Pattern),
    /// Equality with the routing path.
    Path(Box<str>),
    /// A prefix of the routing path, not bound to segments: `/api` matches `/apis`, as in Traefik.
    PathPrefix(Box<str>),
    /// Searched in the routing path.
    PathRegexp(Pattern),
    /// v2: the whole routing path.
    PathTemplate(Pattern),
    /// v2: the beginning of the routing path.
    PathPrefixTemplate(Pattern),
    /// Upper-case.
    Method(Box<str>),
    /// Some value of this field is exactly this one.
    Header { name: Box<str>, value: Box<str> },
    /// Searched in each value of this field.
    HeaderRegexp { name: Box<str>, pattern: Pattern },
    /// Some decoded value of this key is exactly this one; empty for `Query(k)`.
    Query { key: Box<str>, value: Box<str> },
    /// Searched in each decoded value of this key.
    QueryRegexp { key: Box<str>, pattern: Pattern },
    /// v2: the first decoded value of this key as a whole; any value when there is no pattern.
    QueryTemplate { key: Box<str>, pattern: Option<Pattern> },
    /// The connection's peer lies in this range.
    ClientIp(IpRange),
    /// ``HostSNI(`*`)``: every connection, those without TLS or without a name included.
    AnySni,
    /// Equality with the server name of the client's hello.
    Sni(Box<str>),
    /// `.x` of `*.x`: exactly one more label in front.
    SniWildcard(Box<str>),
    /// Searched in the server name.
    SniRegexp(Pattern),
    /// v2: the whole server name, without regard to case.
    SniTemplate(Pattern),
    /// The client's hello offers this protocol.
    Alpn(Box<str>),
}
