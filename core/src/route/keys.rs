//! What a rule demands of host and path, as far as an index can use it: conditions that hold whenever the rule does.

use crate::rule::{Expr, Matcher, Test, wildcard_suffix};

/// A rule that would take more entries in the index than this is found by its hosts alone.
const MAX_ENTRIES: usize = 4096;

/// A host that the rule demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostKey<'e> {
    Exact(&'e str),
    /// `.x` of `*.x`.
    Wildcard(&'e str),
    Any,
}

/// A path that the rule demands. Prefixes sort by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathKey<'e> {
    Exact(&'e str),
    Prefix(&'e str),
    Any,
}

/// The alternatives: whenever the rule holds, so do one of these hosts and one of these paths.
pub(super) fn of(expr: &Expr) -> (Vec<HostKey<'_>>, Vec<PathKey<'_>>) {
    let hosts = demands(expr, &host).unwrap_or_else(|| vec![HostKey::Any]);
    let paths = demands(expr, &path).filter(|paths| paths.len().saturating_mul(hosts.len()) <= MAX_ENTRIES);
    (hosts, paths.unwrap_or_else(|| vec![PathKey::Any]))
}

/// Whether the rule's demand on the host, if it has one, is met.
pub(crate) fn admits_host(expr: &Expr, host_name: &str) -> Option<bool> {
    let met = |key: &HostKey<'_>| match key {
        HostKey::Exact(host) => *host == host_name,
        HostKey::Wildcard(suffix) => wildcard_suffix(host_name) == Some(suffix),
        HostKey::Any => true,
    };
    demands(expr, &host).map(|keys| keys.iter().any(met))
}

/// The alternatives of which one holds whenever the expression does, or `None` if it demands nothing.
fn demands<'e, K>(expr: &'e Expr, key: &dyn Fn(&'e Test) -> Option<K>) -> Option<Vec<K>> {
    match expr {
        Expr::Matcher(Matcher { negated: false, test }) => key(test).map(|key| vec![key]),
        Expr::Matcher(_) => None,
        // Each member has to hold: the one with the fewest alternatives is enough.
        Expr::And(members) => members.iter().filter_map(|member| demands(member, key)).min_by_key(Vec::len),
        Expr::Or(members) => {
            let mut all = Vec::with_capacity(members.len());
            for member in members {
                all.extend(demands(member, key)?);
            }
            Some(all)
        }
    }
}

fn host(test: &Test) -> Option<HostKey<'_>> {
    match test {
        Test::Host(host) | Test::Sni(host) => Some(HostKey::Exact(host)),
        Test::HostWildcard(suffix) | Test::SniWildcard(suffix) => Some(HostKey::Wildcard(suffix)),
        _ => None,
    }
}

fn path(test: &Test) -> Option<PathKey<'_>> {
    match test {
        Test::Path(path) => Some(PathKey::Exact(path)),
        Test::PathPrefix(prefix) => Some(PathKey::Prefix(prefix)),
        // A template begins with the literal text before its first brace.
        Test::PathTemplate(pattern) | Test::PathPrefixTemplate(pattern) => {
            pattern.as_str().split('{').next().map(PathKey::Prefix)
        }
        _ => None,
    }
}
