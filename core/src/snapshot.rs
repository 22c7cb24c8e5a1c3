//! Snapshots: everything that is served, compiled once, immutable, and shared by all workers.
//!
//! Owns the compilation of routers (chains flattened, services found) and services, the router index of each entry point, and the
//! choice of TLS options by server name. A request loads one snapshot and keeps it to its end.
//!
//! Deliberately absent: endpoint state, pools and health, which outlive snapshots; and refusals, which `resolve` has made. What is
//! not whole here all the same, is left out: a router is never served without one of its middlewares.

mod compile;
mod tcp;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

use crate::{
    Name,
    config::{
        Config,
        dynamic::{Internal, Middleware, Router, Service, ServiceKind, Tcp, TlsOptions},
    },
    http::{Fields, Host, Request, path},
    map::Map,
    planted::planted,
    route::{Table, precedence},
    rule::{Connection, Subject},
};
use std::{cmp::Ordering, net::IpAddr, sync::Arc, time::Duration};
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

/// The place of a router in one snapshot. Means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub u32);

/// The place of a service in one snapshot. Means nothing in another.
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
    /// Shared with the previous snapshot while no router changes, nor a middleware, nor the place of a service.
    routers: Arc<Vec<CompiledRouter>>,
    services: Arc<Vec<CompiledService>>,
    tcp_routers: Arc<Vec<CompiledTcpRouter>>,
    /// Per entry point; shared with the previous snapshot while no router changes.
    tables: Arc<[Sides]>,
    /// Per entry point; shared likewise, while TLS options do not change either.
    tls: Arc<[tls::Names]>,
    /// Per entry point; shared while neither kind of routers changes.
    tcp: Arc<[Option<tcp::Point>]>,
    /// What it was made from, beside certificates.
    made_from: Made,
}

/// Units, to know in the next snapshot which are others.
#[derive(Debug)]
struct Made {
    routers: Map<Name, Arc<Router>>,
    services: Map<Name, Arc<Service>>,
    middlewares: Map<Name, Arc<Middleware>>,
    tcp: Tcp,
    options: Map<Name, Arc<TlsOptions>>,
}

/// The two independent routing tables of an entry point: no request falls from one into the other.
#[derive(Debug)]
pub(crate) struct Sides {
    plain: Table,
    tls: Table,
}

impl Sides {
    pub(crate) fn side(&self, tls: bool) -> &Table {
        if tls { &self.tls } else { &self.plain }
    }
}

impl Snapshot {
    /// Compiles a configuration. Routers of equal priority are ordered by their provider, as [`precedence`] has it, then by name.
    pub fn build(number: u64, config: &Config, entry_points: &[EntryPointSpec]) -> Self {
        Self::build_after(None, number, config, entry_points)
    }

    /// As [`build`](Self::build), taking over the routing tables of the previous snapshot if no router changed: the usual case of a
    /// change to servers.
    pub fn build_after(previous: Option<&Self>, number: u64, config: &Config, entry_points: &[EntryPointSpec]) -> Self {
        let previous = previous.filter(|previous| *previous.entry_points == *entry_points);
        let (routers, services, tcp_routers) =
            previous.and_then(|previous| previous.lists_for(config)).unwrap_or_else(|| compile::lists(config));
        let same = |previous: &&Self| {
            Arc::ptr_eq(&previous.routers, &routers)
                || previous.routers.len() == routers.len()
                    && previous.routers.iter().zip(&*routers).all(|(a, b)| Arc::ptr_eq(&a.router, &b.router))
        };
        let previous = previous.filter(same);
        let tables = match previous {
            Some(previous) => Arc::clone(&previous.tables),
            None => entry_points.iter().map(|entry_point| sides(entry_point, &routers)).collect(),
        };
        let options = config.tls.options.clone();
        let tls = match previous.filter(|previous| previous.made_from.options == options) {
            Some(previous) => Arc::clone(&previous.tls),
            None => entry_points.iter().map(|entry_point| tls::Names::build(config, &routers, &entry_point.name)).collect(),
        };
        let same_tcp = |previous: &&Self| {
            previous.tcp_routers.len() == tcp_routers.len()
                && previous.tcp_routers.iter().zip(&*tcp_routers).all(|(a, b)| Arc::ptr_eq(&a.router, &b.router))
        };
        let tcp = match previous.filter(same_tcp) {
            Some(previous) => Arc::clone(&previous.tcp),
            None => entry_points.iter().map(|point| tcp::Point::build(&point.name, &tcp_routers, &routers)).collect(),
        };
        let Config { routers: all, services: every, middlewares, tcp: connections, .. } = config.clone();
        let made_from = Made { routers: all, services: every, middlewares, tcp: connections, options };
        Self { number, entry_points: entry_points.into(), routers, services, tcp_routers, tables, tls, tcp, made_from }
    }

    /// What a configuration comes to that differs from this one's in the servers of some services alone, or in nothing.
    fn lists_for(&self, config: &Config) -> Option<compile::Lists> {
        let Made { routers, services, middlewares, tcp, .. } = &self.made_from;
        let same = config.routers.holds_those_of(routers)
            && config.middlewares.holds_those_of(middlewares)
            && config.tcp.routers.holds_those_of(&tcp.routers)
            && config.tcp.services.holds_those_of(&tcp.services)
            && config.tcp.middlewares.holds_those_of(&tcp.middlewares);
        if !same {
            return None;
        }
        let mut all = Arc::clone(&self.services);
        for (name, before, now) in config.services.changes(services, Arc::ptr_eq) {
            let (before, now) = before.zip(now)?;
            let is_balancer = |service: &Service| matches!(service.kind, ServiceKind::LoadBalancer(_));
            if !is_balancer(before) || !is_balancer(now) {
                return None;
            }
            let place = self.service_named(Layer::Http, name.as_str())?.id;
            Arc::make_mut(&mut all).get_mut(place.0 as usize)?.service = Arc::clone(now);
        }
        Some((Arc::clone(&self.routers), all, Arc::clone(&self.tcp_routers)))
    }

    /// Rises with every snapshot published.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The router that serves a request: the first, in order of priority, whose rule holds.
    pub fn route<F: Fields>(&self, entry_point: EntryPointId, tls: bool, request: &Request<'_, F>) -> Option<&CompiledRouter> {
        let table = self.table(entry_point, tls)?;
        let path = path::routing_path(&request.path);
        let subject = Subject::new(request, &path);
        let mut candidates = table.candidates(subject.host, subject.path).filter_map(|id| self.router(id));
        candidates.find(|candidate| candidate.router.rule.expr().check(&subject).is_ok())
    }

    /// The router of this snapshot.
    pub fn router(&self, id: RouterId) -> Option<&CompiledRouter> {
        self.routers.get(id.0 as usize)
    }

    /// Every router, by name.
    pub fn routers(&self) -> &[CompiledRouter] {
        &self.routers
    }

    /// The service of this snapshot.
    pub fn service(&self, id: ServiceId) -> Option<&CompiledService> {
        self.services.get(id.0 as usize)
    }

    /// Every service: those of requests by name, then those of connections by name.
    pub fn services(&self) -> &[CompiledService] {
        &self.services
    }

    /// The service of this name.
    pub fn service_named(&self, layer: Layer, name: &str) -> Option<&CompiledService> {
        let at = self.services.binary_search_by(|service| (service.layer, service.name.as_str()).cmp(&(layer, name))).ok()?;
        self.services.get(at)
    }

    /// Every router of connections, by name.
    pub fn tcp_routers(&self) -> &[CompiledTcpRouter] {
        &self.tcp_routers
    }

    /// Whether an entry point has routers of connections at all.
    pub fn has_tcp(&self, entry_point: EntryPointId) -> bool {
        self.tcp_point(entry_point).is_some()
    }

    /// Whether an entry point has routers of TLS connections: a client's hello is read before anything is decided.
    pub fn has_tcp_over_tls(&self, entry_point: EntryPointId) -> bool {
        self.tcp_point(entry_point).is_some_and(tcp::Point::has_tls)
    }

    /// The router that takes a connection before its client has said anything, where nothing that it could say matters.
    pub fn tcp_at_once(&self, entry_point: EntryPointId, client: IpAddr) -> Option<&CompiledTcpRouter> {
        self.tcp_point(entry_point).filter(|point| point.at_once())?.plain(&self.tcp_routers, client)
    }

    /// The router that takes a connection which did not begin with TLS. `None`: it is HTTP's.
    pub fn tcp_plain(&self, entry_point: EntryPointId, client: IpAddr) -> Option<&CompiledTcpRouter> {
        self.tcp_point(entry_point)?.plain(&self.tcp_routers, client)
    }

    /// The router that takes a connection which begins with this hello. `None`: it is HTTP's.
    pub fn tcp_tls(&self, entry_point: EntryPointId, connection: &Connection<'_>) -> Option<&CompiledTcpRouter> {
        let point = self.tcp_point(entry_point)?;
        let named = self.tls.get(entry_point.0 as usize).is_some_and(|names| names.names(connection.server_name));
        point.tls(&self.tcp_routers, connection, named)
    }

    fn tcp_point(&self, entry_point: EntryPointId) -> Option<&tcp::Point> {
        self.tcp.get(entry_point.0 as usize)?.as_ref()
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
        Arc::ptr_eq(&self.tables, &other.tables) && Arc::ptr_eq(&self.tls, &other.tls)
    }

    /// Whether services have the places that they have in the other, and routers all are the other's very own.
    pub fn shares_places_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.routers, &other.routers) && Arc::ptr_eq(&self.tcp_routers, &other.tcp_routers)
    }

    pub(crate) fn table(&self, entry_point: EntryPointId, tls: bool) -> Option<&Table> {
        self.tables.get(entry_point.0 as usize).map(|sides| sides.side(tls))
    }
}

fn sides(entry_point: &EntryPointSpec, routers: &[CompiledRouter]) -> Sides {
    let table = |tls: bool| {
        let serves = |r: &&CompiledRouter| r.router.tls.is_some() == tls && r.router.entry_points.contains(&entry_point.name);
        let mut served: Vec<&CompiledRouter> = routers.iter().filter(serves).collect();
        served.sort_by(|a, b| in_order((a.router.priority, &a.name), (b.router.priority, &b.name)));
        Table::build(served.iter().map(|router| (router.id, router.router.rule.expr())))
    };
    Sides { plain: table(false), tls: table(true) }
}

/// The order in which routers are tried, by priority and name.
fn in_order((a_priority, a): (i64, &Name), (b_priority, b): (i64, &Name)) -> Ordering {
    let by_provider = || match planted!("priority_ties_by_order") {
        true => Ordering::Equal,
        false => precedence(a.provider()).cmp(&precedence(b.provider())),
    };
    b_priority.cmp(&a_priority).then_with(by_provider).then_with(|| a.cmp(b))
}
