//! The router index of one side of an entry point: which routers could serve a host and a path.
//!
//! Owns a conservative answer: every router whose rule holds is among the candidates, in the order of the table. Whether a rule holds
//! is for the rule alone to say. The cost depends on the candidates, not on the number of routers.
//!
//! ```text
//! host ─┬─ exact name ──┐        ┌─ exact path
//!       ├─ *.suffix ────┼─ path ─┼─ every prefix of it      → candidates, merged by rank
//!       └─ any ─────────┘        └─ any
//! ```

mod keys;
mod prefixes;
#[cfg(test)]
mod tests;

use crate::{
    planted::planted,
    rule::{Expr, wildcard_suffix},
    snapshot::RouterId,
};
pub(crate) use keys::admits_host;
use keys::{HostKey, PathKey};
use prefixes::Prefixes;
use smallvec::SmallVec;
use std::{
    collections::BTreeMap,
    hash::{BuildHasherDefault, DefaultHasher},
};

/// A map for look-ups by text, with a hash that is the same in every run.
pub(crate) type Lookup<T> = indexmap::IndexMap<Box<str>, T, BuildHasherDefault<DefaultHasher>>;

/// Places in the order of a table, ascending.
type Ranks = SmallVec<[u32; 2]>;

/// Providers in descending precedence for routers of equal priority: Traefik's documented order. Others come last.
const PRECEDENCE: &[&str] = &[
    "internal",
    "swarm",
    "docker",
    "file",
    "redis",
    "consul",
    "consulcatalog",
    "nomad",
    "etcd",
    "ecs",
    "http",
    "zookeeper",
    "rest",
];

/// The place of a provider among routers of equal priority; lower goes first.
pub fn precedence(provider: &str) -> usize {
    PRECEDENCE.iter().position(|known| *known == provider).unwrap_or(PRECEDENCE.len())
}

/// Routers in the order in which they are tried, and the index over them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    order: Vec<RouterId>,
    exact: Lookup<Paths>,
    /// By `.x` of `*.x`.
    wildcard: Lookup<Paths>,
    any: Paths,
}

/// The routers of one host key by their paths.
#[derive(Debug, Default)]
struct Paths {
    exact: Lookup<Ranks>,
    prefixes: Prefixes,
    any: Ranks,
}

impl Table {
    /// The index over routers given in the order in which they are to be tried.
    pub fn build<'e>(routers: impl Iterator<Item = (RouterId, &'e Expr)>) -> Self {
        let mut order = Vec::new();
        let mut hosts: BTreeMap<HostKey<'e>, Draft<'e>> = BTreeMap::new();
        for (rank, (id, expr)) in (0..).zip(routers) {
            order.push(id);
            let (host_keys, path_keys) = keys::of(expr);
            for host in host_keys {
                let draft = hosts.entry(host).or_default();
                path_keys.iter().for_each(|path| draft.add(*path, rank));
            }
        }
        let mut table = Self { order, ..Self::default() };
        for (host, draft) in hosts {
            match host {
                HostKey::Exact(host) => drop(table.exact.insert(host.into(), draft.finish())),
                HostKey::Wildcard(suffix) => drop(table.wildcard.insert(suffix.into(), draft.finish())),
                HostKey::Any => table.any = draft.finish(),
            }
        }
        // It stays as it is until there is another.
        table.exact.shrink_to_fit();
        table.wildcard.shrink_to_fit();
        table
    }

    /// The routers that could serve this host and routing path, in order.
    pub fn candidates(&self, host: &str, path: &str) -> impl Iterator<Item = RouterId> {
        let mut lists = SmallVec::<[&[u32]; 12]>::new();
        let covered = || wildcard_suffix(host).is_some_and(|suffix| self.wildcard.contains_key(suffix));
        if let Some(paths) = self.exact.get(host)
            && !(planted!("wildcard_before_exact") && covered())
        {
            paths.collect(path, &mut lists);
        }
        if !self.wildcard.is_empty()
            && let Some(paths) = wildcard_suffix(host).and_then(|suffix| self.wildcard.get(suffix))
        {
            paths.collect(path, &mut lists);
        }
        self.any.collect(path, &mut lists);
        Merged { lists }.filter_map(|rank| self.order.get(rank as usize).copied())
    }

    /// Every router in order.
    pub fn order(&self) -> &[RouterId] {
        &self.order
    }
}

impl Paths {
    fn collect<'t>(&'t self, path: &str, lists: &mut SmallVec<[&'t [u32]; 12]>) {
        if !self.exact.is_empty()
            && let Some(ranks) = self.exact.get(path)
        {
            lists.push(ranks);
        }
        lists.extend(self.prefixes.of(path));
        if !self.any.is_empty() {
            lists.push(&self.any);
        }
    }
}

/// Ascending lists as one, without repetition.
struct Merged<'t> {
    lists: SmallVec<[&'t [u32]; 12]>,
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let least = self.lists.iter().filter_map(|list| list.first()).min().copied()?;
        for list in &mut self.lists {
            if let [first, rest @ ..] = list
                && *first == least
            {
                *list = rest;
            }
        }
        Some(least)
    }
}

/// The routers of one host key while the table is built.
#[derive(Default)]
struct Draft<'e> {
    paths: BTreeMap<PathKey<'e>, Ranks>,
}

impl<'e> Draft<'e> {
    fn add(&mut self, path: PathKey<'e>, rank: u32) {
        let ranks = self.paths.entry(path).or_default();
        if ranks.last() != Some(&rank) {
            ranks.push(rank);
        }
    }

    fn finish(self) -> Paths {
        let mut paths = Paths::default();
        let mut prefixes = Vec::new();
        for (key, ranks) in self.paths {
            match key {
                PathKey::Exact(path) => drop(paths.exact.insert(path.into(), ranks)),
                PathKey::Prefix(prefix) => prefixes.push((prefix, ranks)),
                PathKey::Any => paths.any = ranks,
            }
        }
        paths.prefixes = Prefixes::build(prefixes);
        paths
    }
}
