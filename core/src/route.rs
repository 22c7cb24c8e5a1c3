//! The router index of one side of an entry point: which routers could serve a host and a path.
//!
//! Owns a conservative answer: every router whose rule holds is among the candidates, in the order in which they are tried. Whether a
//! rule holds is for the rule alone to say. The cost depends on the candidates, not on the number of routers.
//!
//! A table is made from the one before by `Edits`, and shares with it every host that they do not touch.
//!
//! ```text
//! host ─┬─ exact name ──┐        ┌─ exact path
//!       ├─ *.suffix ────┼─ path ─┼─ every prefix of it      → candidates, merged by rank
//!       └─ any ─────────┘        └─ any
//! ```

mod keys;
mod lookup;
mod prefixes;
#[cfg(test)]
mod tests;

use crate::{
    Name,
    planted::planted,
    rule::{Expr, wildcard_suffix},
    snapshot::RouterId,
};
pub(crate) use keys::admits_host;
use keys::{HostKey, PathKey};
pub(crate) use lookup::Lookup;
use prefixes::Prefixes;
use smallvec::SmallVec;
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

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

/// Where a router stands among those that could serve a request, but for its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    priority: i64,
    precedence: u32,
    pub router: RouterId,
}

impl Rank {
    pub fn new(router: RouterId, name: &Name, priority: i64) -> Self {
        let by_provider = u32::try_from(precedence(name.provider())).unwrap_or(u32::MAX);
        Self { priority, precedence: if planted!("priority_ties_by_order") { 0 } else { by_provider }, router }
    }

    /// The order in which routers are tried: by priority, then by provider, then by name.
    pub fn order<'n>(&self, other: &Self, name: impl Fn(RouterId) -> Option<&'n Name>) -> Ordering {
        let by_name = || match self.router == other.router {
            true => Ordering::Equal,
            false => name(self.router).cmp(&name(other.router)),
        };
        other.priority.cmp(&self.priority).then(self.precedence.cmp(&other.precedence)).then_with(by_name)
    }
}

/// Routers in the order in which they are tried.
type Ranks = SmallVec<[Rank; 1]>;

/// The routers of one side of an entry point, by what their rules demand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    len: usize,
    exact: Lookup<Paths>,
    /// By `.x` of `*.x`.
    wildcard: Lookup<Paths>,
    any: Paths,
}

/// The routers of one host key by their paths.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// Those that take any path: mostly, all of them.
    any: Ranks,
    narrow: Option<Arc<Narrow>>,
}

/// Routers that take some paths only.
#[derive(Clone, Debug, Default)]
struct Narrow {
    exact: Lookup<Ranks>,
    prefixes: Prefixes,
}

/// Routers that come into a table, and routers that go, by where they stand in it.
#[derive(Default)]
pub(crate) struct Edits<'e> {
    added: usize,
    removed: usize,
    hosts: BTreeMap<HostKey<'e>, BTreeMap<PathKey<'e>, Edit>>,
}

/// What becomes of one list of routers.
#[derive(Default)]
struct Edit {
    gone: SmallVec<[RouterId; 1]>,
    new: Ranks,
}

impl<'e> Edits<'e> {
    pub fn add(&mut self, rank: Rank, expr: &'e Expr) {
        self.added += 1;
        self.at(expr, |edit| edit.new.push(rank));
    }

    /// By the rule that it was added with.
    pub fn remove(&mut self, router: RouterId, expr: &'e Expr) {
        self.removed += 1;
        self.at(expr, |edit| edit.gone.push(router));
    }

    fn at(&mut self, expr: &'e Expr, mut edit: impl FnMut(&mut Edit)) {
        let (hosts, paths) = keys::of(expr);
        for host in hosts {
            let lists = self.hosts.entry(host).or_default();
            paths.iter().for_each(|path| edit(lists.entry(*path).or_default()));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

impl Table {
    /// `name` knows every router that stays and every one that comes. A router that goes may leave its id to one that comes.
    pub fn edit<'n>(&mut self, edits: Edits<'_>, name: impl Fn(RouterId) -> Option<&'n Name> + Copy) {
        self.len = self.len + edits.added - edits.removed;
        for (host, paths) in edits.hosts {
            match host {
                HostKey::Exact(host) => self.exact.change(host, |known| known.edit(paths, name)),
                HostKey::Wildcard(suffix) => self.wildcard.change(suffix, |known| known.edit(paths, name)),
                HostKey::Any => drop(self.any.edit(paths, name)),
            }
        }
    }

    /// The routers that could serve this host and routing path, in order.
    pub fn candidates<'n>(
        &self,
        host: &str,
        path: &str,
        name: impl Fn(RouterId) -> Option<&'n Name> + Copy,
    ) -> impl Iterator<Item = RouterId> {
        let mut lists = Lists::new();
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
        Merged { lists, name }
    }

    /// Whether there is no router.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Paths {
    fn collect<'t>(&'t self, path: &str, lists: &mut Lists<'t>) {
        if let Some(narrow) = &self.narrow {
            lists.extend(narrow.exact.get(path).map(|ranks| &**ranks));
            lists.extend(narrow.prefixes.of(path));
        }
        if !self.any.is_empty() {
            lists.push(&self.any);
        }
    }

    /// Whether anything is left.
    fn edit<'n>(&mut self, edits: BTreeMap<PathKey<'_>, Edit>, name: impl Fn(RouterId) -> Option<&'n Name> + Copy) -> bool {
        let mut prefixes = Vec::new();
        for (key, edit) in edits {
            match key {
                PathKey::Exact(path) => self.narrow().exact.change(path, |ranks| edit.apply(ranks, name)),
                PathKey::Prefix(prefix) => prefixes.push((prefix, edit)),
                PathKey::Any => drop(edit.apply(&mut self.any, name)),
            }
        }
        if !prefixes.is_empty() {
            let narrow = self.narrow();
            narrow.prefixes = narrow.prefixes.edited(prefixes, |edit, ranks| edit.apply(ranks, name));
        }
        self.narrow.take_if(|narrow| narrow.exact.is_empty() && narrow.prefixes.is_empty());
        !(self.any.is_empty() && self.narrow.is_none())
    }

    fn narrow(&mut self) -> &mut Narrow {
        Arc::make_mut(self.narrow.get_or_insert_default())
    }
}

impl Edit {
    /// Whether any router is left in the list.
    fn apply<'n>(mut self, ranks: &mut Ranks, name: impl Fn(RouterId) -> Option<&'n Name> + Copy) -> bool {
        if !self.gone.is_empty() {
            self.gone.sort_unstable();
            ranks.retain(|rank| self.gone.binary_search(&rank.router).is_err());
        }
        if !self.new.is_empty() {
            ranks.extend(self.new);
            // Quick where most are in order already.
            ranks.sort_by(|a, b| a.order(b, name));
            ranks.dedup_by_key(|rank| rank.router);
        }
        // It stays as it is for long.
        ranks.shrink_to_fit();
        !ranks.is_empty()
    }
}

type Lists<'t> = SmallVec<[&'t [Rank]; 12]>;

/// Ordered lists as one, without repetition.
struct Merged<'t, N> {
    lists: Lists<'t>,
    name: N,
}

impl<'n, N: Fn(RouterId) -> Option<&'n Name> + Copy> Iterator for Merged<'_, N> {
    type Item = RouterId;

    fn next(&mut self) -> Option<RouterId> {
        let firsts = self.lists.iter().filter_map(|list| list.first());
        let least = firsts.min_by(|a, b| a.order(b, self.name))?.router;
        for list in &mut self.lists {
            if let [first, rest @ ..] = list
                && first.router == least
            {
                *list = rest;
            }
        }
        Some(least)
    }
}
