//! The canonical text of a rule. Parsing it again gives the same expression.

use super::{Expr, Matcher, Rule, Syntax, Test};
use std::fmt::{self, Display, Formatter, Write};

/// An expression in the spelling of one syntax.
pub struct ExprText<'e> {
    pub expr: &'e Expr,
    pub syntax: Syntax,
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        ExprText { expr: self.expr(), syntax: self.syntax() }.fmt(f)
    }
}

impl Display for ExprText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (members, operator) = match self.expr {
            Expr::And(members) => (members, " && "),
            Expr::Or(members) => (members, " || "),
            Expr::Matcher(matcher) => return write_matcher(matcher, self.syntax, f),
        };
        for (i, expr) in members.iter().enumerate() {
            if i > 0 {
                f.write_str(operator)?;
            }
            let member = ExprText { expr, syntax: self.syntax };
            if matches!((self.expr, expr), (Expr::And(_), Expr::Or(_))) {
                write!(f, "({member})")?
            } else {
                write!(f, "{member}")?
            }
        }
        Ok(())
    }
}

fn write_matcher(matcher: &Matcher, syntax: Syntax, f: &mut Formatter<'_>) -> fmt::Result {
    let v2 = syntax == Syntax::V2;
    if matcher.negated {
        f.write_char('!')?;
    }
    let mut call = |name: &str, first: &dyn Display, second: &str| {
        write!(f, "{name}({}", Quoted(&first.to_string()))?;
        if !second.is_empty() {
            write!(f, ", {}", Quoted(second))?;
        }
        f.write_char(')')
    };
    match &matcher.test {
        Test::AnyHost => call("Host", &"*", ""),
        Test::Host(host) => call("Host", host, ""),
        Test::HostWildcard(suffix) => call("Host", &format_args!("*{suffix}"), ""),
        Test::HostRegexp(pattern) | Test::HostTemplate(pattern) => call("HostRegexp", &pattern.as_str(), ""),
        Test::Path(path) => call("Path", path, ""),
        Test::PathPrefix(path) => call("PathPrefix", path, ""),
        Test::PathRegexp(pattern) => call("PathRegexp", &pattern.as_str(), ""),
        Test::PathTemplate(pattern) => call("Path", &pattern.as_str(), ""),
        Test::PathPrefixTemplate(pattern) => call("PathPrefix", &pattern.as_str(), ""),
        Test::Method(method) => call("Method", method, ""),
        Test::Header { name, value } => call(if v2 { "Headers" } else { "Header" }, name, value),
        Test::HeaderRegexp { name, pattern } => call(if v2 { "HeadersRegexp" } else { "HeaderRegexp" }, name, pattern.as_str()),
        Test::Query { key, value } => call("Query", key, value),
        Test::QueryRegexp { key, pattern } => call("QueryRegexp", key, pattern.as_str()),
        Test::QueryTemplate { key, pattern } => {
            let value = pattern.as_ref().map_or("", |p| p.as_str());
            call("Query", &format_args!("{key}={value}"), "")
        }
        Test::ClientIp(range) => call("ClientIP", range, ""),
        Test::AnySni => call("HostSNI", &"*", ""),
        Test::Sni(name) => call("HostSNI", name, ""),
        Test::SniWildcard(suffix) => call("HostSNI", &format_args!("*{suffix}"), ""),
        Test::SniRegexp(pattern) | Test::SniTemplate(pattern) => call("HostSNIRegexp", &pattern.as_str(), ""),
        Test::Alpn(protocol) => call("ALPN", protocol, ""),
    }
}

/// A Go string literal: in back quotes where that is possible.
struct Quoted<'s>(&'s str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.0.contains(|c: char| c == '`' || c.is_control()) {
            return write!(f, "`{}`", self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
