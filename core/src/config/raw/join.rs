//! Several owners' configurations made one, in order of age: of two units of one name the older stays, and both owners are told.
//!
//! What two declare alike is no conflict. Several containers may be one service: its servers are theirs together.

use super::{RawDynamic, Service, Unit, Units};
use crate::config::{Rejection, Severity, Tree, Value, tree::index_order};
use indexmap::IndexMap;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

const REMEDY: &str = "give one of the two another name";

/// See the module. Units are shared with what they come from, so that joining costs little.
#[derive(Debug, Default)]
pub struct Join {
    raw: RawDynamic,
    /// The services of owners that share, by name, oldest first.
    parts: BTreeMap<String, Vec<Unit<Service>>>,
    rejections: Vec<Rejection>,
}

/// Services of several owners as they were joined last, so that those which did not change are not read again.
#[derive(Debug, Default)]
pub struct Unions(BTreeMap<String, Union>);

#[derive(Debug)]
struct Union {
    parts: Vec<Arc<Tree>>,
    whole: Unit<Service>,
}

impl Join {
    /// Adds what the next owner declares, who is younger than those before. `shares`: its services may be one with those of others that share.
    pub fn add(&mut self, younger: &RawDynamic, shares: bool) {
        if shares {
            younger.services.iter().for_each(|(name, unit)| self.share(name, unit));
        } else {
            add_units(&mut self.raw.services, &younger.services, &mut self.rejections);
        }
        let rejections = &mut self.rejections;
        add_units(&mut self.raw.routers, &younger.routers, rejections);
        add_units(&mut self.raw.middlewares, &younger.middlewares, rejections);
        add_units(&mut self.raw.transports, &younger.transports, rejections);
        add_units(&mut self.raw.tls_options, &younger.tls_options, rejections);
        add_units(&mut self.raw.tls_stores, &younger.tls_stores, rejections);
        self.raw.certificates.extend(younger.certificates.iter().cloned());
    }

    /// Adds a service that is one with the others of this name, if it is the same but for its servers. One that cannot be read keeps no other
    /// from being served.
    fn share(&mut self, name: &str, unit: &Unit<Service>) {
        let parts = self.parts.entry(name.to_owned()).or_default();
        match (self.raw.services.get(name), parts.first()) {
            (Some(_), Some(first)) if unit.value.is_some() && first.value.is_none() => {
                self.rejections.extend(first.rejections.iter().cloned());
                *parts = vec![unit.clone()];
                self.raw.services.insert(name.to_owned(), unit.clone());
            }
            (Some(_), Some(_)) if unit.value.is_none() => self.rejections.extend(unit.rejections.iter().cloned()),
            (Some(_), Some(first)) if same_but_servers(first, unit) => parts.push(unit.clone()),
            (Some(older), _) => refuse(older, unit, &mut self.rejections),
            (None, _) => {
                parts.push(unit.clone());
                self.raw.services.insert(name.to_owned(), unit.clone());
            }
        }
    }

    /// The whole, and what was refused.
    pub fn finish(mut self, unions: &mut Unions) -> (RawDynamic, Vec<Rejection>) {
        let mut last = std::mem::take(&mut unions.0);
        for (name, parts) in self.parts.into_iter().filter(|(_, parts)| parts.len() > 1) {
            let unchanged = |union: &Union| {
                union.parts.len() == parts.len() && union.parts.iter().zip(&parts).all(|(a, b)| Arc::ptr_eq(a, &b.tree))
            };
            let union = last
                .remove(&name)
                .filter(unchanged)
                .unwrap_or_else(|| Union { whole: united(&parts), parts: parts.iter().map(|part| part.tree.clone()).collect() });
            self.raw.services.insert(name.clone(), union.whole.clone());
            unions.0.insert(name, union);
        }
        (self.raw, self.rejections)
    }
}

fn add_units<T: Clone + PartialEq>(into: &mut Units<T>, younger: &Units<T>, rejections: &mut Vec<Rejection>) {
    for (name, unit) in younger {
        match into.entry(name.clone()) {
            Entry::Occupied(older) => refuse(older.get(), unit, rejections),
            Entry::Vacant(vacant) => {
                vacant.insert(unit.clone());
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
    let (elder, newcomer) = (&older.tree.source.name, &younger.tree.source.name);
    if elder == newcomer {
        let message = "is declared by other labels of its own already, in another language";
        rejections.push(younger.tree.reject(Severity::Error, message, REMEDY));
        return;
    }
    let message = format!("is declared by {elder} already, which is older and keeps the name");
    rejections.push(younger.tree.reject(Severity::Error, message, REMEDY));
    let message = format!("is declared by {newcomer} too, which is younger and is refused");
    rejections.push(older.tree.reject(Severity::Warning, message, REMEDY));
}

/// Whether both are load balancers that differ in their servers only.
fn same_but_servers(a: &Unit<Service>, b: &Unit<Service>) -> bool {
    let settings = |unit: &Unit<Service>| {
        let mut service = unit.value.as_deref()?.clone();
        service.load_balancer.as_mut()?.servers.clear();
        Some(service)
    };
    settings(a).is_some_and(|a| settings(b) == Some(a))
}

/// The first, with the servers of all. A server that two name alike is one.
fn united(parts: &[Unit<Service>]) -> Unit<Service> {
    let mut whole = Tree::clone(&parts[0].tree);
    let mut servers = IndexMap::new();
    let mut addresses = Vec::new();
    for part in parts {
        let meant = part.value.iter().filter_map(|service| service.load_balancer.as_ref()).flat_map(|balancer| &balancer.servers);
        let written = part.tree.child("loadBalancer").and_then(|balancer| balancer.child("servers"));
        let mut written: Vec<(&str, &Tree)> = written.into_iter().flat_map(Tree::children).collect();
        written.sort_by_key(|(index, _)| index_order(index));
        for ((_, tree), server) in written.into_iter().zip(meant) {
            // Without an identity of its own, a server is its address.
            let told = server.instance.is_none() && addresses.contains(&server);
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
