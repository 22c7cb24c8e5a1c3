//! Several owners' configurations made one, in order of age: of two units of one name the older stays, and both owners are told.
//!
//! What two declare alike is no conflict. Several containers may be one service: its servers are theirs together.

use super::{RawDynamic, Service, TcpService, Unit, Units};
use crate::config::{Rejection, Severity, Tree, Value, tree::index_order, written::Written};
use indexmap::IndexMap;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

const REMEDY: &str = "give one of the two another name";

/// See the module. Units are shared with what they come from, so that joining costs little.
#[derive(Debug, Default)]
pub struct Join {
    raw: RawDynamic,
    shared: Parts<Service>,
    shared_tcp: Parts<TcpService>,
    rejections: Vec<Rejection>,
}

/// The services of owners that share, by name, oldest first.
type Parts<S> = BTreeMap<String, Vec<Unit<S>>>;

/// Services of several owners as they were joined last, so that those which did not change are not read again.
#[derive(Debug, Default)]
pub struct Unions {
    http: BTreeMap<String, Union<Service>>,
    tcp: BTreeMap<String, Union<TcpService>>,
}

#[derive(Debug)]
struct Union<S> {
    parts: Vec<Arc<Written>>,
    whole: Unit<S>,
}

/// A service that may have servers of several owners.
trait Pooled: Clone + PartialEq + for<'de> Deserialize<'de> {
    type Server: PartialEq;

    /// The servers, if it is a load balancer.
    fn servers(&self) -> Option<&[Self::Server]>;
    fn without_servers(self) -> Self;
    /// Whether a server is told from others at its address.
    fn is_identified(server: &Self::Server) -> bool;
}

impl Pooled for Service {
    type Server = super::Server;

    fn servers(&self) -> Option<&[Self::Server]> {
        self.load_balancer.as_ref().map(|balancer| &*balancer.servers)
    }

    fn without_servers(mut self) -> Self {
        self.load_balancer.iter_mut().for_each(|balancer| balancer.servers.clear());
        self
    }

    fn is_identified(server: &Self::Server) -> bool {
        server.instance.is_some()
    }
}

impl Pooled for TcpService {
    type Server = super::TcpServer;

    fn servers(&self) -> Option<&[Self::Server]> {
        self.load_balancer.as_ref().map(|balancer| &*balancer.servers)
    }

    fn without_servers(mut self) -> Self {
        self.load_balancer.iter_mut().for_each(|balancer| balancer.servers.clear());
        self
    }

    fn is_identified(server: &Self::Server) -> bool {
        server.instance.is_some()
    }
}

impl Join {
    /// Adds what the next owner declares, who is younger than those before. `shares`: its services may be one with those of others that share.
    pub fn add(&mut self, younger: &RawDynamic, shares: bool) {
        let Self { raw, shared, shared_tcp, rejections } = self;
        if shares {
            younger.services.iter().for_each(|(name, unit)| share(&mut raw.services, shared, name, unit, rejections));
            younger.tcp_services.iter().for_each(|(name, unit)| share(&mut raw.tcp_services, shared_tcp, name, unit, rejections));
        } else {
            add_units(&mut raw.services, &younger.services, rejections);
            add_units(&mut raw.tcp_services, &younger.tcp_services, rejections);
        }
        add_units(&mut raw.routers, &younger.routers, rejections);
        add_units(&mut raw.middlewares, &younger.middlewares, rejections);
        add_units(&mut raw.transports, &younger.transports, rejections);
        add_units(&mut raw.tcp_routers, &younger.tcp_routers, rejections);
        add_units(&mut raw.tcp_middlewares, &younger.tcp_middlewares, rejections);
        add_units(&mut raw.tls_options, &younger.tls_options, rejections);
        add_units(&mut raw.tls_stores, &younger.tls_stores, rejections);
        raw.certificates.extend(younger.certificates.iter().cloned());
    }

    /// The whole, and what was refused.
    pub fn finish(mut self, unions: &mut Unions) -> (RawDynamic, Vec<Rejection>) {
        unite(self.shared, &mut unions.http, &mut self.raw.services);
        unite(self.shared_tcp, &mut unions.tcp, &mut self.raw.tcp_services);
        (self.raw, self.rejections)
    }
}

/// Adds a service that is one with the others of this name, if it is the same but for its servers. One that cannot be read keeps no other
/// from being served.
fn share<S: Pooled>(into: &mut Units<S>, shared: &mut Parts<S>, name: &str, unit: &Unit<S>, rejections: &mut Vec<Rejection>) {
    let parts = shared.entry(name.to_owned()).or_default();
    match (into.get(name), parts.first()) {
        (Some(_), Some(first)) if unit.value.is_some() && first.value.is_none() => {
            rejections.extend(first.rejections.iter().cloned());
            *parts = vec![unit.clone()];
            into.insert(name.to_owned(), unit.clone());
        }
        (Some(_), Some(_)) if unit.value.is_none() => rejections.extend(unit.rejections.iter().cloned()),
        (Some(_), Some(first)) if same_but_servers(first, unit) => parts.push(unit.clone()),
        (Some(older), _) => refuse(older, unit, rejections),
        (None, _) => {
            parts.push(unit.clone());
            into.insert(name.to_owned(), unit.clone());
        }
    }
}

/// Puts the services of several owners together.
fn unite<S: Pooled>(shared: Parts<S>, unions: &mut BTreeMap<String, Union<S>>, into: &mut Units<S>) {
    let mut last = std::mem::take(unions);
    for (name, parts) in shared.into_iter().filter(|(_, parts)| parts.len() > 1) {
        let unchanged = |union: &Union<S>| {
            union.parts.len() == parts.len() && union.parts.iter().zip(&parts).all(|(a, b)| Arc::ptr_eq(a, &b.written))
        };
        let union = last
            .remove(&name)
            .filter(unchanged)
            .unwrap_or_else(|| Union { whole: united(&parts), parts: parts.iter().map(|part| part.written.clone()).collect() });
        into.insert(name.clone(), union.whole.clone());
        unions.insert(name, union);
    }
}

fn add_units<T: Clone + PartialEq>(into: &mut Units<T>, younger: &Units<T>, rejections: &mut Vec<Rejection>) {
    for (name, unit) in younger {
        match into.get(name) {
            Some(older) => refuse(older, unit, rejections),
            None => {
                into.insert(name.clone(), unit.clone());
            }
        }
    }
}

/// Tells both owners, unless both say the same.
fn refuse<T: PartialEq>(older: &Unit<T>, younger: &Unit<T>, rejections: &mut Vec<Rejection>) {
    if older.value.is_some() && older.value == younger.value {
        return;
    }
    rejections.extend(younger.rejections.iter().cloned());
    let (elder, newcomer) = (&older.written.source.name, &younger.written.source.name);
    if elder == newcomer {
        let message = "is declared by other labels of its own already, in another language";
        rejections.push(younger.written.tree().reject(Severity::Error, message, REMEDY));
        return;
    }
    let message = format!("is declared by {elder} already, which is older and keeps the name");
    rejections.push(younger.written.tree().reject(Severity::Error, message, REMEDY));
    let message = format!("is declared by {newcomer} too, which is younger and is refused");
    rejections.push(older.written.tree().reject(Severity::Warning, message, REMEDY));
}

/// Whether both are load balancers that differ in their servers only.
fn same_but_servers<S: Pooled>(a: &Unit<S>, b: &Unit<S>) -> bool {
    let settings = |unit: &Unit<S>| {
        let service = unit.value.as_deref().filter(|service| service.servers().is_some())?;
        Some(service.clone().without_servers())
    };
    settings(a).is_some_and(|a| settings(b) == Some(a))
}

/// The first, with the servers of all. A server that two name alike is one.
fn united<S: Pooled>(parts: &[Unit<S>]) -> Unit<S> {
    let mut whole = parts[0].written.tree();
    let mut servers = IndexMap::new();
    let mut addresses = Vec::new();
    for part in parts {
        let meant = part.value.iter().filter_map(|service| service.servers()).flatten();
        let tree = part.written.tree();
        let written = tree.child("loadBalancer").and_then(|balancer| balancer.child("servers"));
        let mut written: Vec<(&str, &Tree)> = written.into_iter().flat_map(Tree::children).collect();
        written.sort_by_key(|(index, _)| index_order(index));
        for ((_, tree), server) in written.into_iter().zip(meant) {
            // Without an identity of its own, a server is its address.
            let told = !S::is_identified(server) && addresses.contains(&server);
            if !told {
                addresses.push(server);
                servers.insert(servers.len().to_string(), tree.clone());
            }
        }
    }
    if let Some(list) = whole.child_mut("loadBalancer").and_then(|balancer| balancer.child_mut("servers")) {
        list.value = Value::Map { own: None, entries: servers };
    }
    Unit::read(&whole)
}
