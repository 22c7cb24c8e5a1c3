//! What workers serve: one immutable snapshot, and beside it, by the same indices, the state that outlives snapshots.
//!
//! A request loads one [`Published`] and keeps it to its end. The number never goes back.

use crate::{backend::Backend, telemetry::RouterSeries};
use arc_swap::ArcSwap;
use fairlead_core::{
    Name,
    balance::Picker,
    config::dynamic::Internal,
    middleware::{Stage, StageState},
    snapshot::{CompiledRouter, RouterId, ServiceId, Snapshot},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// One state of the whole.
pub struct Published {
    pub snapshot: Snapshot,
    /// By `RouterId`.
    pub routes: Vec<Route>,
    /// By `ServiceId`.
    pub services: Vec<Service>,
    /// By name of TLS options; `None` where they are broken, so that a handshake fails closed.
    pub tls: BTreeMap<Name, Option<Arc<fairlead_net::tls::ServerConfig>>>,
}

/// What a router keeps between snapshots.
pub struct Route {
    /// Outermost first.
    pub stages: Vec<Arc<Slot>>,
    pub series: Arc<RouterSeries>,
}

/// A middleware on a router, with its state.
pub struct Slot {
    pub stage: Stage,
    pub state: StageState,
}

/// A service, ready to be asked for a server.
pub enum Service {
    Balanced(Arc<Backend>),
    Weighted(Arc<Mutex<Picker>>, Vec<ServiceId>),
    Failover(ServiceId, ServiceId),
    Internal(Internal),
}

impl Published {
    /// What a router keeps.
    pub fn route(&self, router: &CompiledRouter) -> &Route {
        &self.routes[router.id.index()]
    }

    /// A service by its number.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// A router by its number.
    pub fn router(&self, id: RouterId) -> &CompiledRouter {
        self.snapshot.router(id)
    }
}

/// The place where workers find the newest state.
pub struct Cell(ArcSwap<Published>);

impl Cell {
    /// Begins with a state.
    pub fn new(first: Published) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// The newest state.
    pub fn load(&self) -> Arc<Published> {
        self.0.load_full()
    }

    /// Publishes, and hands back what was served until now, to be dropped away from the workers.
    ///
    /// # Panics
    /// If the number would go back: that would be a defect of the Router actor.
    pub fn publish(&self, next: Published) -> Arc<Published> {
        assert!(next.snapshot.number() > self.0.load().snapshot.number(), "snapshot numbers only rise");
        self.0.swap(Arc::new(next))
    }
}
