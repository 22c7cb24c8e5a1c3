//! From every provider's raw configuration to the one that is served.
//!
//! Three steps for each kind of unit: build it from what was written; take it as unchanged if it equals the one served now; settle which version
//! of it can be served, given what it refers to. No unit decides for another: one that is bad keeps its last good version, or is left out.
//!
//! Kinds are settled from the ground up (TLS options, transports, middlewares, services, routers), so a reference is looked up among units that
//! are certain. Nothing depends on the order in which units were written or providers spoke.

mod internal;
mod memo;
mod middleware;
mod notes;
mod patch;
mod router;
mod service;
mod settle;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use super::{
    Config, RawDynamic, Rejection, StaticConfig, Style, Tree, Value,
    dynamic::{Middleware, MiddlewareKind, ServiceKind, Transport},
    raw::{Unit, Units},
};
use crate::{Name, map::Map};
use memo::Built;
pub(in crate::config) use memo::Memo;
use notes::{Hints, Notes};
use serde::Deserialize;
use settle::{Candidate, Candidates, Fault, settle};
use std::{collections::BTreeMap, sync::Arc};

/// The provider whose names are Fairlead's own.
const INTERNAL: &str = "internal";

/// Middlewares that a chain may expand to, and services below one service.
const MAX_EXPANSION: usize = 1000;

/// Finds every name, parses every rule. A unit that is bad keeps its last good version from `last`, if that can still be served; an object that
/// is no longer declared is gone. Units that did not change are the same `Arc` as in `last`.
///
/// Keys of `inputs` are provider names: the part of names after `@`.
pub fn resolve(inputs: &BTreeMap<String, RawDynamic>, config: &StaticConfig, last: Option<&Config>) -> (Config, Vec<Rejection>) {
    let nothing = Config::default();
    let last = last.unwrap_or(&nothing);
    let mut rejections = Vec::new();
    let hints = Hints::default();
    // Under another static configuration every unit may come to something else.
    let nothing_made = Memo::default();
    let same_static = last.memo.static_.as_ref().filter(|before| ***before == *config);
    let memo = if same_static.is_some() { &*last.memo } else { &nothing_made };

    if same_static.is_some()
        && let Some(next) = patch::patch(inputs, config, last)
    {
        let rejections = next.memo.rejections.to_vec();
        return (next, rejections);
    }

    let tls = tls::resolve(inputs, last, &mut rejections);

    let (mut transports, transports_built) = candidates(
        inputs,
        |raw| &raw.transports,
        &last.transports,
        &memo.transports,
        |unit, name, _, notes| transport::build(unit, name.clone(), notes),
    );
    internal::add_one(&mut transports, config.servers_transport.name.clone(), config.servers_transport.clone(), &last.transports);
    let transports = settle(transports, MAX_EXPANSION, |_: &Transport| Vec::new(), |_, _| None, &mut rejections);

    let (mut middlewares, middlewares_built) = candidates(
        inputs,
        |raw| &raw.middlewares,
        &last.middlewares,
        &memo.middlewares,
        |unit, name, provider, notes| middleware::build(unit, name, provider, last.middlewares.get(name), notes),
    );
    internal::middlewares(config, &mut middlewares, &last.middlewares);
    let middleware_names: Vec<Name> = middlewares.keys().cloned().collect();
    let middlewares = settle(
        middlewares,
        MAX_EXPANSION,
        |middleware: &Middleware| match &middleware.kind {
            MiddlewareKind::Chain { middlewares } => middlewares.clone(),
            _ => Vec::new(),
        },
        |_, missing| {
            let remedy = hints.for_name(missing, &middleware_names);
            Some(Fault { path: vec!["chain", "middlewares"], message: format!("there is no middleware `{missing}`"), remedy })
        },
        &mut rejections,
    );

    let (mut services, services_built) = candidates(
        inputs,
        |raw| &raw.services,
        &last.services,
        &memo.services,
        |unit, name, provider, notes| service::build(unit, name, provider, config, notes),
    );
    for candidate in services.values_mut() {
        candidate.amend_last(|tree, last| service::among_instances(tree, last, service::read_server));
    }
    // Transports are certain by now; a service that names a missing one is dealt with like any that refers to what is not there.
    let service_names: Vec<Name> = services.keys().cloned().chain(internal::service_names(config)).collect();
    let known_transports: Vec<Name> = transports.keys().cloned().collect();
    internal::services(config, &mut services, &last.services);
    for candidate in services.values_mut() {
        candidate.demote_if(|service| match &service.kind {
            ServiceKind::LoadBalancer(balancer) if !transports.contains_key(&balancer.transport) => {
                let missing = &balancer.transport;
                let remedy = hints.for_name(missing, &known_transports);
                let message = format!("there is no transport `{missing}`");
                vec![Fault { path: vec!["loadBalancer", "serversTransport"], message, remedy }]
            }
            _ => Vec::new(),
        });
    }
    let services = settle(
        services,
        MAX_EXPANSION,
        |service: &super::dynamic::Service| service::children(&service.kind),
        |service, missing| {
            let path = match &service.kind {
                ServiceKind::Weighted(_) => vec!["weighted", "services"],
                ServiceKind::Failover(failover) if failover.service == *missing => vec!["failover", "service"],
                _ => vec!["failover", "fallback"],
            };
            let remedy = internal::hint(missing).unwrap_or_else(|| hints.for_name(missing, &service_names));
            Some(Fault { path, message: format!("there is no service `{missing}`"), remedy })
        },
        &mut rejections,
    );

    let known = router::Known {
        services: &services,
        middlewares: &middlewares,
        tls: &tls,
        service_names: &service_names,
        middleware_names: &middleware_names,
    };
    let (routers, routers_built, served) = router::resolve(inputs, config, last, &memo.routers, &known, &hints, &mut rejections);

    let (tcp, tcp_made) = tcp::resolve(inputs, config, last, memo, &tls, &hints, &mut rejections);

    rejections.sort_by(|a, b| (&a.source, &a.key, &a.message).cmp(&(&b.source, &b.key, &b.message)));
    let memo = Memo {
        inputs: inputs.clone(),
        rejections: rejections.as_slice().into(),
        static_: Some(same_static.cloned().unwrap_or_else(|| Arc::new(config.clone()))),
        transports: transports_built,
        middlewares: middlewares_built,
        services: services_built,
        routers: routers_built,
        served,
        tcp_routers: tcp_made.routers,
        tcp_services: tcp_made.services,
        tcp_middlewares: tcp_made.middlewares,
    };
    (Config { routers, services, middlewares, transports, tcp, tls, memo: Arc::new(memo) }, rejections)
}

/// The candidates of one kind from all providers: what was written, built; beside it, the version that is served now. And what was built,
/// for the next time.
fn candidates<R: for<'de> Deserialize<'de>, T: Settled>(
    inputs: &BTreeMap<String, RawDynamic>,
    units: impl Fn(&RawDynamic) -> &Units<R>,
    last: &Map<Name, Arc<T>>,
    memo: &Built<T>,
    mut build: impl FnMut(&R, &Name, &str, &mut Notes<'_>) -> Option<T>,
) -> (Candidates<T>, Built<T>) {
    let mut candidates = Vec::new();
    let mut all_built = Vec::new();
    for (provider, raw) in inputs.iter().filter(|(provider, _)| *provider != INTERNAL) {
        for (local, unit) in units(raw) {
            if let Some(entry) = memo.find(&unit.written, local, provider) {
                let last = last.get(&entry.name).cloned();
                candidates.push((entry.name.clone(), Candidate::again(entry, last)));
                all_built.push(entry.clone());
                continue;
            }
            let name = Name::qualify(local, provider);
            let (new, rejections) = built(unit, |value, notes| build(value, &name, provider, notes));
            let candidate = Candidate::new(Some(unit.written.clone()), new, last.get(&name).cloned(), rejections);
            all_built.extend(candidate.built(&unit.written, &name));
            candidates.push((name, candidate));
        }
    }
    (candidates.into_iter().collect(), Built::of(all_built))
}

/// What a unit's text says, if it can be read and built.
fn built<R: for<'de> Deserialize<'de>, T>(
    unit: &Unit<R>,
    build: impl FnOnce(&R, &mut Notes<'_>) -> Option<T>,
) -> (Option<T>, Vec<Rejection>) {
    let tree = unit.written.tree();
    let mut notes = Notes::new(&tree, unit.rejections.clone());
    let new = unit.said(&tree).and_then(|value| build(&value, &mut notes));
    notes.done(new)
}

/// A unit that can be compared with its last version.
trait Settled {
    /// Whether nothing changed.
    fn same(&self, other: &Self) -> bool;
}

impl Settled for Transport {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Settled for super::dynamic::Service {
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

/// Where a unit was written, without line numbers: they change when nothing else does. Of labels, one that was written: the rule's of a
/// router, else the first.
fn source_of(tree: &Tree) -> String {
    let label = || tree.child("rule").unwrap_or_else(|| first_written(tree));
    let written = if tree.source.style == Style::Labels { label() } else { tree };
    format!("{}: {}", tree.source.name, written.key)
}

fn first_written(mut tree: &Tree) -> &Tree {
    while let Value::Map { own: None, .. } = tree.value
        && let Some((_, child)) = tree.children().next()
    {
        tree = child;
    }
    tree
}
