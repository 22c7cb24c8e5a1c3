//! What units came to when they were built: one that was not written anew is not built anew.
//!
//! A change concerns few units of many. A unit is known by what it was read from, which is shared and never changes; what is
//! kept could be built, and keeps what was said about it. Whether a unit can be served is settled each time.

use super::router::{Copies, Served};
use crate::{
    Name,
    config::{
        RawDynamic, Rejection, StaticConfig,
        dynamic::{Middleware, Service, TcpRouter, Transport},
        written::Written,
    },
    map::Map,
};
use std::{collections::BTreeMap, sync::Arc};

/// What one configuration was made from, for the next.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Memo {
    /// What was written.
    pub(super) inputs: BTreeMap<String, RawDynamic>,
    /// What was said about it.
    pub(super) rejections: Arc<[Rejection]>,
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
    /// By the address of what was written. That order decides nothing.
    units: Map<usize, Entry<T>>,
}

/// One unit.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) written: Arc<Written>,
    pub(super) name: Name,
    pub(super) unit: Arc<T>,
    /// Warnings.
    pub(super) rejections: Arc<[Rejection]>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        let Self { written, name, unit, rejections } = self;
        Self { written: written.clone(), name: name.clone(), unit: unit.clone(), rejections: rejections.clone() }
    }
}

impl<T> Clone for Built<T> {
    fn clone(&self) -> Self {
        Self { units: self.units.clone() }
    }
}

impl<T> Default for Built<T> {
    fn default() -> Self {
        Self { units: Map::new() }
    }
}

impl<T> Entry<T> {
    pub(super) fn new(written: &Arc<Written>, name: &Name, unit: &Arc<T>, rejections: &[Rejection]) -> Self {
        let rejections = if rejections.is_empty() { Arc::default() } else { rejections.into() };
        Self { written: written.clone(), name: name.clone(), unit: unit.clone(), rejections }
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.written).addr()
    }
}

impl<T> Built<T> {
    pub(super) fn of(units: Vec<Entry<T>>) -> Self {
        Self { units: units.into_iter().map(|entry| (entry.address(), entry)).collect() }
    }

    /// What the unit of this name came to, if this is what it was read from.
    pub(super) fn find(&self, written: &Arc<Written>, local: &str, provider: &str) -> Option<&Entry<T>> {
        self.units
            .get(&Arc::as_ptr(written).addr())
            .filter(|entry| entry.name.local() == local && entry.name.provider() == provider)
    }

    /// One unit in the place of another, which `before` was read from.
    pub(super) fn replace(&mut self, before: Option<&Arc<Written>>, now: Option<Entry<T>>) {
        if let Some(before) = before {
            self.units.remove(&Arc::as_ptr(before).addr());
        }
        self.units.extend(now.map(|entry| (entry.address(), entry)));
    }
}
