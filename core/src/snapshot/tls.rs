//! TLS options by server name: chosen from the handshake, before the request is known, as Traefik chooses them.
//!
//! The hosts of a router are all `Host` arguments of its rule. Two routers of one entry point that name the same host with different
//! options leave that host with the default ones. Where Traefik then gives the default to all hosts of both routers, here only the
//! disputed host has it.

use super::CompiledRouter;
use crate::{
    Name,
    config::{
        Config,
        dynamic::{Router, TlsOptions},
    },
    route::Lookup,
    rule,
};
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
#[derive(Debug)]
pub(super) struct Names {
    default: TlsSelection,
    /// ``Host(`*`)``.
    any: Option<TlsSelection>,
    exact: Lookup<TlsSelection>,
    /// By `.x` of `*.x`.
    wildcard: Lookup<TlsSelection>,
}

impl Names {
    pub fn build(config: &Config, routers: &[CompiledRouter], entry_point: &str) -> Self {
        let mut hosts: BTreeMap<String, (&Name, bool)> = BTreeMap::new();
        for router in routers.iter().map(|compiled| &compiled.router) {
            let Some(tls) = router.tls.as_ref().filter(|_| router.entry_points.iter().any(|e| e == entry_point)) else {
                continue;
            };
            for host in router.rule.hosts() {
                let (options, conflict) = hosts.entry(host).or_insert((&tls.options, false));
                *conflict |= **options != tls.options;
            }
        }
        let default = Name::whole("default");
        let select = |options: &Name, conflict: bool| TlsSelection {
            options: options.clone(),
            settings: config.tls.options.get(options).cloned().unwrap_or_default(),
            conflict,
        };
        let mut names =
            Self { default: select(&default, false), any: None, exact: Lookup::default(), wildcard: Lookup::default() };
        for (host, (options, conflict)) in hosts {
            let selection = select(if conflict { &default } else { options }, conflict);
            match host.strip_prefix('*') {
                Some("") => names.any = Some(selection),
                Some(suffix) if suffix.starts_with('.') => drop(names.wildcard.insert(suffix.into(), selection)),
                _ => drop(names.exact.insert(host.into(), selection)),
            }
        }
        names
    }

    /// The options of an exact name, else of its wildcard, else of ``Host(`*`)``, else the default.
    pub fn select(&self, name: &str) -> &TlsSelection {
        let name = normalized(name);
        let wildcard = || rule::wildcard_suffix(&name).and_then(|suffix| self.wildcard.get(suffix));
        let exact = self.exact.get(&*name).or_else(wildcard);
        exact.or(self.any.as_ref()).unwrap_or(&self.default)
    }

    /// Whether some router for requests names this host, if only by a wildcard.
    pub fn names(&self, name: &str) -> bool {
        let name = normalized(name);
        self.exact.contains_key(&*name) || rule::wildcard_suffix(&name).is_some_and(|suffix| self.wildcard.contains_key(suffix))
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
