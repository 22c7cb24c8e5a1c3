//! What units came to when they were built: one that was not written anew is not built anew.
//!
//! A change concerns few units of many. A unit is known by the tree that it was read from, which is shared and never changes; what is
//! kept could be built, and keeps what was said about it. Whether a unit can be served is settled each time.

use super::router::{Copies, Served};
use crate::{
    Name,
    config::{
        Rejection, StaticConfig, Tree,
        dynamic::{Middleware, Service, TcpRouter, Transport},
    },
};
use std::sync::Arc;

/// What one configuration was made from, for the next.
#[derive(Debug, Default)]
pub(in crate::config) struct Memo {
    /// Units depend on it. `None`: nothing was made yet.
    pub(super) static_: Option<Arc<StaticConfig>>,
    pub(super) transports: Built<Transport>,
    pub(super) middlewares: Built<Middleware>,
    pub(super) services: Built<Service>,
    pub(super) routers: Built<Copies>,
    pub(super) served: Served,
    pub(super) tcp_routers: Built<TcpRouter>,
    pub(super) tcp_services: Built<Service>,
    pub(super) tcp_middlewares: Built<Middleware>,
}

/// Units of one kind.
#[derive(Debug)]
pub(super) struct Built<T> {
    /// By the address of the tree. That order decides nothing.
    units: Vec<Entry<T>>,
}

/// One unit.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) tree: Arc<Tree>,
    pub(super) name: Name,
    pub(super) unit: Arc<T>,
    /// Warnings.
    pub(super) rejections: Arc<[Rejection]>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        let Self { tree, name, unit, rejections } = self;
        Self { tree: tree.clone(), name: name.clone(), unit: unit.clone(), rejections: rejections.clone() }
    }
}

impl<T> Default for Built<T> {
    fn default() -> Self {
        Self { units: Vec::new() }
    }
}

impl<T> Entry<T> {
    pub(super) fn new(tree: &Arc<Tree>, name: &Name, unit: &Arc<T>, rejections: &[Rejection]) -> Self {
        Self { tree: tree.clone(), name: name.clone(), unit: unit.clone(), rejections: rejections.into() }
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.tree).addr()
    }
}

impl<T> Built<T> {
    pub(super) fn of(mut units: Vec<Entry<T>>) -> Self {
        units.sort_unstable_by_key(Entry::address);
        Self { units }
    }

    /// What the unit of this name came to, if it was read from this very tree.
    pub(super) fn find(&self, tree: &Arc<Tree>, local: &str, provider: &str) -> Option<&Entry<T>> {
        let at = self.units.binary_search_by_key(&Arc::as_ptr(tree).addr(), Entry::address).ok()?;
        self.units.get(at).filter(|entry| entry.name.local() == local && entry.name.provider() == provider)
    }
}
