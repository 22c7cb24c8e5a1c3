//! Snapshots: everything that is served, compiled once, immutable, and shared by all workers.
//!
//! Owns the compilation of routers (chains flattened, services found) and services, the router index of each entry point, and the
//! choice of TLS options by server name. A request loads one snapshot and keeps it to its end.
//!
//! Deliberately absent: endpoint state, pools and health, which outlive snapshots; and refusals, which `resolve` has made. What is
//! not whole here all the same, is left out: a router is never served without one of its middlewares.

mod compile;
mod places;
mod routers;
mod services;
mod tcp;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

use crate::{
    Name,
    config::{
        Config,
        dynamic::{Internal, Middleware, Router, Service, Tcp, TlsOptions},
    },
    http::{Fields, Host, Request, path},
    map::Map,
    rule::Subject,
};
use routers::{Referred, Routers};
use services::Services;
use std::{sync::Arc, time::Duration};
pub use tcp::CompiledTcpRouter;
pub use tls::TlsSelection;

/// What routing needs to know of an entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPointSpec {
    pub name: String,
}

/// The place of an entry point in the list that snapshots are built with; the same in every snapshot of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPointId(pub u32);

/// The place of a router in one snapshot. The next one has it at the same place while its name is there, unless places are given anew; then it
/// may be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub u32);

/// The place of a service in one snapshot, kept as a router's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// A router ready to serve.
#[derive(Clone, Debug)]
pub struct CompiledRouter {
    pub id: RouterId,
    pub name: Name,
    pub router: Arc<Router>,
    /// Outermost first; chains are flattened, and `Retry` stands in `retry`.
    pub stages: Vec<StageRef>,
    /// Of several Retry middlewares, the one with the most attempts.
    pub retry: Option<RetryPolicy>,
    pub service: ServiceId,
}

/// One middleware of a router.
#[derive(Clone, Debug)]
pub struct StageRef {
    pub name: Name,
    pub middleware: Arc<Middleware>,
}

/// How often a request may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first try included.
    pub attempts: u32,
    pub initial_interval: Duration,
}

/// What a service is given. Names of the one are apart from those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

/// A service ready to serve.
#[derive(Clone, Debug)]
pub struct CompiledService {
    pub id: ServiceId,
    pub layer: Layer,
    pub name: Name,
    pub service: Arc<Service>,
    pub kind: CompiledKind,
}

/// A service's kind, with the services that it refers to found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompiledKind {
    LoadBalancer,
    Weighted { children: Vec<(ServiceId, u32)> },
    Failover { main: ServiceId, fallback: ServiceId },
    Internal(Internal),
}

/// All that is served at one time.
#[derive(Debug)]
pub struct Snapshot {
    number: u64,
    entry_points: Arc<[EntryPointSpec]>,
    services: Services,
    http: Routers<CompiledRouter>,
    tcp: Routers<CompiledTcpRouter>,
    /// Per entry point.
    tls: Arc<[tls::Names]>,
    made_from: Made,
}

/// Units, to know in the next snapshot which are others.
#[derive(Debug, Default)]
struct Made {
    routers: Map<Name, Arc<Router>>,
    services: Map<Name, Arc<Service>>,
    middlewares: Map<Name, Arc<Middleware>>,
    tcp: Tcp,
    options: Map<Name, Arc<TlsOptions>>,
}

impl Snapshot {
    /// Compiles a configuration. Routers of equal priority are ordered by their provider, as [`precedence`](crate::route::precedence) has
    /// it, then by name.
    pub fn build(number: u64, config: &Config, entry_points: &[EntryPointSpec]) -> Self {
        Self::build_after(None, number, config, entry_points)
    }

    /// As [`build`](Self::build), from what has changed since the previous snapshot; the rest is shared with it.
    pub fn build_after(previous: Option<&Self>, number: u64, config: &Config, entry_points: &[EntryPointSpec]) -> Self {
        match previous.filter(|previous| *previous.entry_points == *entry_points && !previous.is_sparse()) {
            Some(previous) => previous.after(number, config),
            None => Self::nothing(entry_points).after(number, config),
        }
    }

    fn nothing(entry_points: &[EntryPointSpec]) -> Self {
        let config = Config::default();
        Self {
            number: 0,
            entry_points: entry_points.into(),
            services: Services::default(),
            http: Routers::none(entry_points.len()),
            tcp: Routers::none(entry_points.len()),
            tls: entry_points.iter().map(|_| tls::Names::none(&config)).collect(),
            made_from: Made::default(),
        }
    }

    fn after(&self, number: u64, config: &Config) -> Self {
        let (before, entry_points) = (&self.made_from, &*self.entry_points);
        let (services, gone) = self.services.after([&before.services, &before.tcp.services], config);
        let http = Referred { services_gone: &gone, middlewares: compile::changed(&config.middlewares, &before.middlewares) };
        let (http, changes) = self.http.after(&before.routers, &config.routers, &http, entry_points, |id, name, router| {
            compile::router(id, name, router, config, &services)
        });
        let tcp =
            Referred { services_gone: &gone, middlewares: compile::changed(&config.tcp.middlewares, &before.tcp.middlewares) };
        let (tcp, _) = self.tcp.after(&before.tcp.routers, &config.tcp.routers, &tcp, entry_points, |id, name, router| {
            tcp::router(id, name, router, config, &services)
        });
        let tls = match config.tls.options == before.options {
            true => tls::after(&self.tls, config, entry_points, &changes),
            false => {
                let nothing = entry_points.iter().map(|_| tls::Names::none(config)).collect();
                let all: Vec<_> = http.all().map(|router| (None, Some(router.clone()))).collect();
                tls::after(&nothing, config, entry_points, &all)
            }
        };
        let made_from = Made {
            routers: config.routers.clone(),
            services: config.services.clone(),
            middlewares: config.middlewares.clone(),
            tcp: config.tcp.clone(),
            options: config.tls.options.clone(),
        };
        Self { number, entry_points: self.entry_points.clone(), services, http, tcp, tls, made_from }
    }

    fn is_sparse(&self) -> bool {
        self.services.is_sparse() || self.http.is_sparse() || self.tcp.is_sparse()
    }

    /// Rises with every snapshot published.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The router that serves a request: the first, in order of priority, whose rule holds.
    pub fn route<F: Fields>(&self, entry_point: EntryPointId, tls: bool, request: &Request<'_, F>) -> Option<&CompiledRouter> {
        let path = path::routing_path(&request.path);
        let subject = Subject::new(request, &path);
        let mut candidates = self.http.candidates(entry_point.0 as usize, tls, subject.host, subject.path)?;
        candidates.find(|candidate| candidate.router.rule.expr().check(&subject).is_ok())
    }

    /// Every router of one side of an entry point, in the order in which they are tried.
    pub(crate) fn in_order(&self, entry_point: &EntryPointSpec, tls: bool) -> Vec<&CompiledRouter> {
        self.http.in_order(&entry_point.name, tls)
    }

    /// The router of this snapshot.
    pub fn router(&self, id: RouterId) -> Option<&CompiledRouter> {
        self.http.get(id)
    }

    /// The router of this name.
    pub fn router_named(&self, name: &Name) -> Option<&CompiledRouter> {
        self.http.named(name)
    }

    /// Every router, by name.
    pub fn routers(&self) -> impl ExactSizeIterator<Item = &CompiledRouter> + Clone {
        self.http.iter()
    }

    /// Routers that are others than in a snapshot before: as they were, and as they are.
    pub fn changed_routers<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s CompiledRouter>, Option<&'s CompiledRouter>)> + Clone {
        self.http.changes(&before.http)
    }

    /// The service of this snapshot.
    pub fn service(&self, id: ServiceId) -> Option<&CompiledService> {
        self.services.get(id)
    }

    /// The service of this name.
    pub fn service_named(&self, layer: Layer, name: &Name) -> Option<&CompiledService> {
        self.services.named(layer, name)
    }

    /// Every service: those of requests by name, then those of connections by name.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &CompiledService> + Clone {
        self.services.iter()
    }

    /// Services that are others than in a snapshot before: as they were, and as they are.
    pub fn changed_services<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s CompiledService>, Option<&'s CompiledService>)> + Clone {
        self.services.changes(&before.services)
    }

    /// The router of connections of this snapshot.
    pub fn tcp_router(&self, id: RouterId) -> Option<&CompiledTcpRouter> {
        self.tcp.get(id)
    }

    /// Every router of connections, by name.
    pub fn tcp_routers(&self) -> impl ExactSizeIterator<Item = &CompiledTcpRouter> + Clone {
        self.tcp.iter()
    }

    /// Routers of connections that are others than in a snapshot before: as they were, and as they are.
    pub fn changed_tcp_routers<'s>(
        &'s self,
        before: &'s Self,
    ) -> impl Iterator<Item = (Option<&'s CompiledTcpRouter>, Option<&'s CompiledTcpRouter>)> + Clone {
        self.tcp.changes(&before.tcp)
    }

    /// The entry points that this snapshot was built for, in the order of their ids.
    pub fn entry_points(&self) -> &[EntryPointSpec] {
        &self.entry_points
    }

    /// The id of an entry point.
    pub fn entry_point(&self, name: &str) -> Option<EntryPointId> {
        let at = self.entry_points.iter().position(|entry_point| entry_point.name == name)?;
        u32::try_from(at).ok().map(EntryPointId)
    }

    /// The TLS options for a handshake that names this server; the default options without a name, or for a name that no rule
    /// holds.
    pub fn tls_options(&self, entry_point: EntryPointId, sni: Option<&str>) -> Option<&TlsSelection> {
        self.tls.get(entry_point.0 as usize).map(|names| names.select(sni.unwrap_or_default()))
    }

    /// Whether a connection whose handshake named `sni` may carry a request for `host` to `router`; if not, the answer is 421.
    ///
    /// The options that the handshake got must be those of the host. Besides, a router that names TLS options other than the default
    /// for its hosts takes requests of connections with these options only, whatever else its rule lets in.
    pub fn tls_allows(&self, entry_point: EntryPointId, sni: Option<&str>, host: &Host, router: &CompiledRouter) -> bool {
        self.tls
            .get(entry_point.0 as usize)
            .is_some_and(|names| names.allows(sni.unwrap_or_default(), host.as_str(), &router.router))
    }

    /// Whether the routing tables are the other's very own.
    pub fn shares_routing_with(&self, other: &Self) -> bool {
        self.http.shares_tables_with(&other.http) && Arc::ptr_eq(&self.tls, &other.tls)
    }
}
