//! Routers of one kind, and the tables by which each entry point finds them; made from those before.
//!
//! What it costs follows what changed: a router that is another touches the hosts that its rules name, and nothing else. Where a service goes,
//! or a middleware is another, each router is looked at, and those that refer to it are compiled.

use super::{
    EntryPointSpec, RouterId, ServiceId,
    places::{Placed, Places},
};
use crate::{
    Name,
    config::dynamic::{Router, TcpRouter},
    map::Map,
    planted::planted,
    route::{Edits, Rank, Table},
    rule::Rule,
};
use std::{collections::BTreeSet, sync::Arc};

/// A router as it is configured, of requests or of connections.
pub(super) trait Routed {
    fn rule(&self) -> &Rule;
    fn priority(&self) -> i64;
    fn entry_points(&self) -> &[String];
    fn is_tls(&self) -> bool;
    fn middlewares(&self) -> &[Name];

    fn serves(&self, entry_point: &str, tls: bool) -> bool {
        self.is_tls() == tls && self.entry_points().iter().any(|name| name == entry_point)
    }

    /// Whether the other stands in the same lists at the same place.
    fn is_found_as(&self, other: &Self) -> bool {
        (planted!("rank_forgotten") || self.priority() == other.priority())
            && self.is_tls() == other.is_tls()
            && self.entry_points() == other.entry_points()
            && self.rule() == other.rule()
    }
}

/// A router that is whole.
pub(super) trait Whole: Placed {
    type Router: Routed;

    fn name(&self) -> &Name;
    fn router(&self) -> &Arc<Self::Router>;
    fn service(&self) -> ServiceId;
    /// Whether it is the other, and everything that it refers to is.
    fn is_same(&self, other: &Self) -> bool;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Routers<R> {
    whole: Places<Name, R>,
    /// Those that refer to what is not there.
    left_out: Arc<BTreeSet<Name>>,
    /// Per entry point.
    tables: Arc<[Sides]>,
}

/// The two independent routing tables of an entry point: no request falls from one into the other.
#[derive(Clone, Debug, Default)]
struct Sides {
    plain: Table,
    tls: Table,
}

/// What routers refer to, as far as it has changed so that they may be others.
pub(super) struct Referred<'c> {
    pub services_gone: &'c BTreeSet<ServiceId>,
    /// Those that are others, and chains that lead to one.
    pub middlewares: BTreeSet<&'c Name>,
}

/// One router, before and now.
pub(super) type Change<R> = (Option<Arc<R>>, Option<Arc<R>>);

/// Both kinds have these fields.
macro_rules! routed {
    ($($router:ty),*) => {$(
        impl Routed for $router {
            fn rule(&self) -> &Rule {
                &self.rule
            }

            fn priority(&self) -> i64 {
                self.priority
            }

            fn entry_points(&self) -> &[String] {
                &self.entry_points
            }

            fn is_tls(&self) -> bool {
                self.tls.is_some()
            }

            fn middlewares(&self) -> &[Name] {
                &self.middlewares
            }
        }
    )*};
}

routed!(Router, TcpRouter);

impl<R: Whole> Routers<R> {
    /// None at all, for so many entry points.
    pub fn none(entry_points: usize) -> Self {
        Self { whole: Places::default(), left_out: Arc::default(), tables: (0..entry_points).map(|_| Sides::default()).collect() }
    }

    /// What `configured` comes to, where `before` came to these. `compile` tells it of a router that may be another, as it was changed or
    /// what it refers to.
    pub fn after(
        &self,
        before: &Map<Name, Arc<R::Router>>,
        configured: &Map<Name, Arc<R::Router>>,
        referred: &Referred<'_>,
        entry_points: &[EntryPointSpec],
        compile: impl Fn(RouterId, &Name, &Arc<R::Router>) -> Option<R>,
    ) -> (Self, Vec<Change<R>>) {
        let changes = configured.changes(before, Arc::ptr_eq).into_iter();
        let mut changed: BTreeSet<&Name> = changes.map(|(name, ..)| name).chain(&*self.left_out).collect();
        // Who refers to what is noted nowhere: a look at each router.
        if !referred.services_gone.is_empty() {
            let lost = self.iter().filter(|router| referred.services_gone.contains(&router.service()));
            changed.extend(lost.map(R::name));
        }
        if !referred.middlewares.is_empty() {
            let concerned = |router: &R::Router| router.middlewares().iter().any(|name| referred.middlewares.contains(name));
            changed.extend(configured.iter().filter(|(_, router)| concerned(router)).map(|(name, _)| name));
        }
        let mut next = Self { whole: self.whole.clone(), left_out: self.left_out.clone(), tables: self.tables.clone() };
        let mut changes = Vec::new();
        for name in changed {
            let was = self.whole.get(name);
            let router = configured.get(name);
            let is = router.and_then(|router| compile(RouterId(next.whole.place_for(name)), name, router));
            if router.is_some() == is.is_some() {
                if next.left_out.contains(name) {
                    Arc::make_mut(&mut next.left_out).remove(name);
                }
            } else {
                Arc::make_mut(&mut next.left_out).insert(name.clone());
            }
            if was.zip(is.as_ref()).is_some_and(|(was, is)| was.is_same(is)) {
                continue;
            }
            let is = is.map(Arc::new);
            match &is {
                Some(router) => next.whole.put(name.clone(), router.clone()),
                None => drop(next.whole.remove(name)),
            }
            if was.is_some() || is.is_some() {
                changes.push((was.cloned(), is));
            }
        }
        for (at, entry_point) in entry_points.iter().enumerate() {
            for tls in [false, true] {
                next.edit(at, &entry_point.name, tls, &changes);
            }
        }
        (next, changes)
    }

    fn edit(&mut self, at: usize, entry_point: &str, tls: bool, changes: &[Change<R>]) {
        let mut edits = Edits::default();
        for (was, is) in changes {
            if let (Some(was), Some(is)) = (was, is)
                && was.router().is_found_as(&**is.router())
            {
                continue;
            }
            let here = |router: &&Arc<R>| router.router().serves(entry_point, tls);
            if let Some(router) = was.as_ref().filter(here) {
                edits.remove(RouterId(router.place()), router.router().rule().expr());
            }
            if let Some(router) = is.as_ref().filter(here) {
                edits.add(rank(&**router), router.router().rule().expr());
            }
        }
        if edits.is_empty() {
            return;
        }
        let Sides { plain, tls: over_tls } = &mut Arc::make_mut(&mut self.tables)[at];
        let table = if tls { over_tls } else { plain };
        table.edit(edits, |id| self.whole.at(id.0).map(R::name));
    }

    pub fn get(&self, id: RouterId) -> Option<&R> {
        self.whole.at(id.0)
    }

    pub fn named(&self, name: &Name) -> Option<&R> {
        self.whole.get(name).map(|router| &**router)
    }

    /// By name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &R> + Clone {
        self.whole.iter()
    }

    /// The same, to be kept.
    pub fn all(&self) -> impl Iterator<Item = &Arc<R>> {
        self.whole.all()
    }

    /// Routers that are others than before.
    pub fn changes<'r>(&'r self, before: &'r Self) -> impl Iterator<Item = (Option<&'r R>, Option<&'r R>)> + Clone {
        self.whole.changes(&before.whole)
    }

    /// Those that could take what arrives for this host and path, in the order in which they are tried.
    pub fn candidates(&self, entry_point: usize, tls: bool, host: &str, path: &str) -> Option<impl Iterator<Item = &R>> {
        let candidates = self.table(entry_point, tls)?.candidates(host, path, |id| self.get(id).map(R::name));
        Some(candidates.filter_map(|id| self.get(id)))
    }

    /// Every router of one side of an entry point, in the order in which they are tried.
    pub fn in_order(&self, entry_point: &str, tls: bool) -> Vec<&R> {
        let here = self.iter().filter(|router| router.router().serves(entry_point, tls));
        let mut ranked: Vec<(Rank, &R)> = here.map(|router| (rank(router), router)).collect();
        ranked.sort_by(|(a, _), (b, _)| a.order(b, |id| self.get(id).map(R::name)));
        ranked.into_iter().map(|(_, router)| router).collect()
    }

    /// Whether this side of an entry point has no router.
    pub fn is_empty(&self, entry_point: usize, tls: bool) -> bool {
        self.table(entry_point, tls).is_none_or(Table::is_empty)
    }

    fn table(&self, entry_point: usize, tls: bool) -> Option<&Table> {
        self.tables.get(entry_point).map(|sides| if tls { &sides.tls } else { &sides.plain })
    }

    /// Whether tables are the other's very own.
    pub fn shares_tables_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tables, &other.tables)
    }

    pub fn is_sparse(&self) -> bool {
        self.whole.is_sparse()
    }
}

fn rank<R: Whole>(router: &R) -> Rank {
    Rank::new(RouterId(router.place()), router.name(), router.router().priority())
}
