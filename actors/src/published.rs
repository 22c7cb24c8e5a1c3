//! What workers serve: one immutable snapshot, and beside it, by the same indices, the state that outlives snapshots.
//!
//! A request loads one [`Published`] and keeps it to its end. The number never goes back.

use crate::{backend::Backend, telemetry::RouterSeries};
use arc_swap::ArcSwap;
use fairlead_core::{
    Name,
    balance::{Sticky, WeightedPicker},
    config::{
        Config,
        dynamic::{Internal, Middleware},
    },
    middleware::{Stage, StageState},
    retry::RetryPolicy,
    slots::Slots,
    snapshot::{CompiledRouter, EntryPointId, EntryPointSpec, RouterId, ServiceId, Snapshot},
};
use fairlead_net::tls::ServerConfig;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// One state of the whole.
pub struct Published {
    pub snapshot: Snapshot,
    /// What the snapshot was made from.
    pub config: Arc<Config>,
    /// By `RouterId`. Shared with the state before, as the next two are, where nothing changed.
    pub routes: Slots<Arc<Route>>,
    /// By the id of a router of connections.
    pub tcp_routes: Slots<Arc<RouterSeries>>,
    /// By `ServiceId`.
    pub services: Slots<Service>,
    /// By name of TLS options; `None` where they are broken, so that a handshake fails closed.
    pub tls: BTreeMap<Name, Option<Arc<ServerConfig>>>,
}

/// What a router keeps between snapshots.
pub struct Route {
    /// Outermost first.
    pub stages: Vec<Arc<Slot>>,
    pub retry: RetryPolicy,
    /// No stage forbids `X-Forwarded-For`.
    pub adds_forwarded_for: bool,
    /// Responses tell how they came about.
    pub informs: bool,
    pub series: Arc<RouterSeries>,
}

/// A middleware on a router, with its state.
pub struct Slot {
    pub stage: Stage,
    pub state: Arc<StageState>,
    /// What the stage was made from.
    pub middleware: Arc<Middleware>,
}

/// A service, ready to be asked for a server.
#[derive(Clone)]
pub enum Service {
    Balanced(Arc<Backend>),
    Weighted(Arc<Weighted>),
    Failover(ServiceId, ServiceId),
    Internal(Internal),
}

/// Services by weight.
pub struct Weighted {
    /// Counts services as `children` does: shared with the states before while these are the same, and copied where they are not.
    pub picker: Mutex<WeightedPicker>,
    pub children: Vec<ServiceId>,
    pub sticky: Option<Sticky>,
    /// Children without a usable server are skipped.
    pub skips: bool,
}

impl Published {
    /// Nothing at all: what is served before the first configuration.
    pub fn empty(entry_points: &[EntryPointSpec]) -> Self {
        let snapshot = Snapshot::build(0, &Config::default(), entry_points);
        Self {
            snapshot,
            config: Arc::default(),
            routes: Slots::default(),
            tcp_routes: Slots::default(),
            services: Slots::default(),
            tls: BTreeMap::new(),
        }
    }

    /// What a router keeps.
    pub fn route(&self, router: &CompiledRouter) -> &Route {
        &self.routes[router.id.0]
    }

    /// The same by number.
    pub fn route_by_id(&self, id: RouterId) -> Option<&Route> {
        self.routes.get(id.0).map(|route| &**route)
    }

    /// A service by its number.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.0]
    }

    /// Whether any server below this service can be given a request now.
    pub fn is_usable(&self, id: ServiceId) -> bool {
        match self.service(id) {
            Service::Balanced(backend) => backend.is_usable(),
            Service::Weighted(weighted) => weighted.children.iter().any(|child| self.is_usable(*child)),
            Service::Failover(main, fallback) => self.is_usable(*main) || self.is_usable(*fallback),
            Service::Internal(_) => true,
        }
    }

    /// Every load-balanced service.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.services.values().filter_map(|service| match service {
            Service::Balanced(backend) => Some(backend),
            _ => None,
        })
    }

    /// The TLS configuration of these options; `None`: a handshake fails.
    pub fn tls_of(&self, options: &Name) -> Option<Arc<ServerConfig>> {
        self.tls.get(options)?.clone()
    }

    /// The TLS configuration for a handshake; `None`: it fails.
    pub fn tls_for(&self, entry_point: EntryPointId, server_name: Option<&str>) -> Option<Arc<ServerConfig>> {
        self.tls.get(&self.snapshot.tls_options(entry_point, server_name)?.options)?.clone()
    }
}

/// A state that is kept for a while, for planted defects: what reads it sees an older one than is in force.
#[cfg(any(planted = "old_snapshot_admits", planted = "api_stale"))]
pub fn kept(cell: &Cell, reader: usize, millis: u64) -> Arc<Published> {
    type Known = (fairlead_net::time::Instant, Arc<Published>);
    static KNOWN: Mutex<BTreeMap<(usize, usize), Known>> = Mutex::new(BTreeMap::new());
    let mut all = KNOWN.lock();
    let now = fairlead_net::time::now();
    let known = all.entry((std::ptr::from_ref(cell) as usize, reader)).or_insert_with(|| (now, cell.load()));
    if now.saturating_duration_since(known.0).as_millis() as u64 >= millis {
        *known = (now, cell.load());
    }
    known.1.clone()
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

    /// Whether an entry point has routers of connections. Costs no count of references.
    pub fn has_tcp(&self, entry_point: EntryPointId) -> bool {
        self.0.load().snapshot.has_tcp(entry_point)
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
