//! TLS options by server name: chosen from the handshake, before the request is known, as Traefik chooses them.
//!
//! The hosts of a router are all `Host` arguments of its rule. Two routers of one entry point that name the same host with different
//! options leave that host with the default ones. Where Traefik then gives the default to all hosts of both routers, here only the
//! disputed host has it.

use super::{CompiledRouter, EntryPointSpec, routers::Change};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{Router, TlsOptions},
    },
    route::Lookup,
    rule::{self, Rule},
};
use smallvec::SmallVec;
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// TLS options for a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSelection {
    pub options: Name,
    pub settings: Arc<TlsOptions>,
    /// Routers disagree about this host.
    pub conflict: bool,
}

/// The server names of one entry point.
#[derive(Clone, Debug)]
pub(super) struct Names {
    default: Arc<TlsSelection>,
    /// Where routers disagree.
    disputed: Arc<TlsSelection>,
    /// Every one that a router has asked for.
    selections: BTreeMap<Name, Arc<TlsSelection>>,
    /// ``Host(`*`)``.
    any: Claims,
    exact: Lookup<Claims>,
    /// By `.x` of `*.x`.
    wildcard: Lookup<Claims>,
    /// Routers that name no host, or any.
    without_host: usize,
}

/// Which options routers ask for on behalf of one host, and how many routers do.
type Claims = SmallVec<[(Arc<TlsSelection>, u32); 1]>;

/// The server names of each entry point after routers have changed, and options have not.
pub(super) fn after(
    before: &Arc<[Names]>,
    config: &Config,
    entry_points: &[EntryPointSpec],
    changes: &[Change<CompiledRouter>],
) -> Arc<[Names]> {
    let mut next = before.clone();
    for (at, entry_point) in entry_points.iter().enumerate() {
        let claim = |router: &'_ Option<Arc<CompiledRouter>>| Claim::of(&router.as_ref()?.router, &entry_point.name);
        let claims = changes.iter().map(|(was, is)| (claim(was), claim(is)));
        let others: Vec<_> = claims.filter(|(was, is)| was != is).collect();
        if !others.is_empty() {
            Arc::make_mut(&mut next)[at].edit(config, others);
        }
    }
    next
}

/// What a router asks for on behalf of its hosts.
#[derive(PartialEq)]
struct Claim {
    options: Name,
    rule: Rule,
}

impl Claim {
    fn of(router: &Router, entry_point: &str) -> Option<Self> {
        let tls = router.tls.as_ref().filter(|_| router.entry_points.iter().any(|name| name == entry_point))?;
        Some(Self { options: tls.options.clone(), rule: router.rule.clone() })
    }
}

impl Names {
    /// Of an entry point without routers.
    pub fn none(config: &Config) -> Self {
        let name = Name::whole("default");
        let default = Arc::new(selection(config, &name, false));
        Self {
            disputed: Arc::new(selection(config, &name, true)),
            selections: [(name, default.clone())].into(),
            default,
            any: Claims::new(),
            exact: Lookup::default(),
            wildcard: Lookup::default(),
            without_host: 0,
        }
    }

    /// Claims that are made no more, and others in their place.
    fn edit(&mut self, config: &Config, claims: Vec<(Option<Claim>, Option<Claim>)>) {
        for (was, is) in claims {
            if let Some(Claim { options, rule }) = was {
                let hosts = rule.hosts();
                self.without_host -= usize::from(names_no_host(&hosts));
                self.each(config, &options, hosts, |claims, selection| {
                    claims.retain(|(other, count)| {
                        *count -= u32::from(other.options == selection.options);
                        *count > 0
                    });
                    !claims.is_empty()
                });
            }
            if let Some(Claim { options, rule }) = is {
                let hosts = rule.hosts();
                self.without_host += usize::from(names_no_host(&hosts));
                self.each(config, &options, hosts, |claims, selection| {
                    match claims.iter_mut().find(|(other, _)| other.options == selection.options) {
                        Some((_, count)) => *count += 1,
                        None => claims.push((selection.clone(), 1)),
                    }
                    true
                });
            }
        }
    }

    /// Changes what is claimed for each of these hosts; `change` tells whether anything is.
    fn each(
        &mut self,
        config: &Config,
        options: &Name,
        hosts: Vec<String>,
        change: impl Fn(&mut Claims, &Arc<TlsSelection>) -> bool,
    ) {
        let new = || Arc::new(selection(config, options, false));
        let selection = self.selections.entry(options.clone()).or_insert_with(new).clone();
        for host in hosts {
            match host.strip_prefix('*') {
                Some("") => drop(change(&mut self.any, &selection)),
                Some(suffix) if suffix.starts_with('.') => self.wildcard.change(suffix, |claims| change(claims, &selection)),
                _ => self.exact.change(&host, |claims| change(claims, &selection)),
            }
        }
    }

    /// The options of an exact name, else of its wildcard, else of ``Host(`*`)``, else the default.
    pub fn select(&self, name: &str) -> &TlsSelection {
        let name = normalized(name);
        let wildcard = || rule::wildcard_suffix(&name).and_then(|suffix| self.wildcard.get(suffix));
        match &**self.exact.get(&name).or_else(wildcard).unwrap_or(&self.any) {
            [] => &self.default,
            [(selection, _)] => selection,
            _ => &self.disputed,
        }
    }

    /// Whether some router for requests names this host, if only by a wildcard.
    pub fn names(&self, name: &str) -> bool {
        let name = normalized(name);
        self.exact.contains_key(&name) || rule::wildcard_suffix(&name).is_some_and(|suffix| self.wildcard.contains_key(suffix))
    }

    /// Whether some router for requests names no host, or any.
    pub fn takes_any_host(&self) -> bool {
        self.without_host > 0
    }

    pub fn allows(&self, sni: &str, host: &str, router: &Router) -> bool {
        let (connection, wanted) = (self.select(sni), self.select(host));
        if connection.options != wanted.options {
            return false;
        }
        let Some(tls) = &router.tls else { return true };
        if tls.options == self.default.options || tls.options == connection.options {
            return true;
        }
        // A router without any `Host` cannot choose options, as in Traefik; over a disputed host of its own, it got the default.
        let hosts = router.rule.hosts();
        hosts.is_empty() || (wanted.conflict && hosts.iter().any(|named| covers(named, host)))
    }
}

fn selection(config: &Config, options: &Name, conflict: bool) -> TlsSelection {
    let settings = config.tls.options.get(options).cloned().unwrap_or_default();
    TlsSelection { options: options.clone(), settings, conflict }
}

fn names_no_host(hosts: &[String]) -> bool {
    hosts.is_empty() || hosts.iter().any(|host| host == "*")
}

/// Whether the argument of a `Host` stands for this host.
fn covers(named: &str, host: &str) -> bool {
    match named.strip_prefix('*') {
        None => named == host,
        Some("") => true,
        Some(suffix) => rule::wildcard_suffix(host) == Some(suffix),
    }
}

fn normalized(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }
}
