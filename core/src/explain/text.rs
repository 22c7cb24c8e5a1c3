//! Explanations in words, for a terminal.

use super::{Explanation, Outcome, Target};
use crate::{
    http::{Fields, query},
    rule::{Expr, Subject, Test},
};
use std::fmt::{self, Display, Formatter};

/// Longest excerpt of a rule or a value, in characters.
const MAX_SHOWN: usize = 200;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        writeln!(f, "{} {scheme}://{}{} at entry point {}", clip(&self.method), self.host, clip(&self.path), self.entry_point)?;
        if let Some(taken) = &self.connection {
            let how = match (self.tls, taken.passes_through) {
                (true, true) => "passes TLS through",
                (true, false) => "ends TLS",
                (false, _) => "takes plain connections",
            };
            writeln!(f, "  tcp router  {} (priority {}): {how}, before any request is read", taken.router, taken.priority)?;
            writeln!(f, "  rule        {}", taken.rule)?;
            if !taken.source.is_empty() {
                writeln!(f, "  declared by {}", clip(&taken.source))?;
            }
            writeln!(f, "  service     {}", taken.service)?;
            for server in &taken.servers {
                writeln!(f, "  server      {server}")?;
            }
            return Ok(());
        }
        match &self.winner {
            None => writeln!(f, "  no router matches: 404")?,
            Some(winner) => {
                writeln!(f, "  router      {} (priority {})", winner.router, winner.priority)?;
                let middlewares = if winner.middlewares.is_empty() { "none".to_owned() } else { winner.middlewares.join(", ") };
                if !winner.source.is_empty() {
                    writeln!(f, "  declared by {}", clip(&winner.source))?;
                }
                writeln!(f, "  middlewares {middlewares}")?;
                if winner.attempts > 1 {
                    writeln!(f, "  attempts    {}", winner.attempts)?;
                }
                writeln!(f, "  service     {}", winner.service)?;
                for server in &winner.servers {
                    writeln!(f, "  server      {server}")?;
                }
            }
        }
        for one in &self.considered {
            write!(f, "  {} {} (priority {}): ", mark(&one.outcome), one.router, one.priority)?;
            match &one.outcome {
                Outcome::Matched => writeln!(f, "matched {}", one.rule)?,
                Outcome::FirstFailed { matcher, saw } => writeln!(f, "{matcher} did not hold; {saw}")?,
                Outcome::Shadowed { by } => writeln!(f, "matches too, but {by} goes first")?,
                Outcome::OtherSide if self.tls => writeln!(f, "would match, but serves plaintext only: it has no tls section")?,
                Outcome::OtherSide => writeln!(f, "would match, but serves TLS only: it has a tls section")?,
            }
        }
        if self.omitted > 0 {
            writeln!(f, "  … and {} routers more", self.omitted)?;
        }
        Ok(())
    }
}

/// `http://10.0.1.7:80 of web@swarm, instance 5kq2x on node worker-1`.
impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.url, self.service)?;
        if !self.instance.is_empty() {
            write!(f, ", instance {}", clip(&self.instance))?;
        }
        if !self.node.is_empty() {
            write!(f, " on node {}", clip(&self.node))?;
        }
        match &self.unreachable {
            Some(why) => write!(f, "; not reachable: {}", clip(why)),
            None => Ok(()),
        }
    }
}

fn mark(outcome: &Outcome) -> char {
    match outcome {
        Outcome::Matched => '✓',
        Outcome::FirstFailed { .. } => '✗',
        Outcome::Shadowed { .. } | Outcome::OtherSide => '·',
    }
}

/// What the matchers of a failed part looked at, each once.
pub(super) fn saw<F: Fields>(part: &Expr, subject: &Subject<'_, F>) -> String {
    let mut seen: Vec<String> = Vec::new();
    part.each(&mut |matcher| {
        let text = match &matcher.test {
            Test::AnyHost | Test::Host(_) | Test::HostWildcard(_) | Test::HostRegexp(_) | Test::HostTemplate(_) => {
                format!("host {}", if subject.host.is_empty() { "absent" } else { subject.host })
            }
            Test::Path(_) | Test::PathPrefix(_) | Test::PathRegexp(_) | Test::PathTemplate(_) | Test::PathPrefixTemplate(_) => {
                format!("path {}", subject.path)
            }
            Test::Method(_) => format!("method {}", subject.method),
            Test::ClientIp(_) => format!("client {}", subject.client),
            // Rules for requests hold none of these.
            Test::AnySni | Test::Sni(_) | Test::SniWildcard(_) | Test::SniRegexp(_) | Test::SniTemplate(_) | Test::Alpn(_) => {
                "a request".to_owned()
            }
            Test::Header { name, .. } | Test::HeaderRegexp { name, .. } => {
                let mut values = Vec::new();
                subject.fields.any(name, &mut |value| {
                    values.push(String::from_utf8_lossy(value).into_owned());
                    false
                });
                format!("header {name} {}", list(&values))
            }
            Test::Query { key, .. } | Test::QueryRegexp { key, .. } | Test::QueryTemplate { key, .. } => {
                let pairs = query::pairs(subject.query.unwrap_or_default()).filter(|(k, _)| **k == *key.as_bytes());
                let values: Vec<String> = pairs.map(|(_, value)| String::from_utf8_lossy(&value).into_owned()).collect();
                format!("query {key} {}", list(&values))
            }
        };
        if !seen.contains(&text) {
            seen.push(text);
        }
    });
    clip(&seen.join(", "))
}

fn list(values: &[String]) -> String {
    if values.is_empty() { "absent".to_owned() } else { format!("{values:?}") }
}

/// An excerpt that fits into one line.
pub(super) fn clip(text: &str) -> String {
    let line: String = text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() < text.len() { format!("{line}…") } else { line }
}
