//! Connections of one entry point: which router takes one before any request is read of it.
//!
//! The order is Traefik's: routers for requests that name the host come first, then routers of connections, then routers for
//! requests over TLS that name no host, then ``HostSNI(`*`)`` of connections. Plain connections go to a router of connections, if
//! one matches, before they are taken for HTTP.

use super::{EntryPointId, Layer, RouterId, ServiceId, Snapshot, places::Placed, routers::Whole, services::Services};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{IpRange, MiddlewareKind, TcpRouter},
    },
    rule::Connection,
};
use std::{net::IpAddr, sync::Arc};

/// A router of connections, ready to serve. Its id is its place among its kind.
#[derive(Clone, Debug)]
pub struct CompiledTcpRouter {
    pub id: RouterId,
    pub name: Name,
    pub router: Arc<TcpRouter>,
    /// The client's address has to lie in each of these lists.
    pub allowed: Vec<Vec<IpRange>>,
    pub service: ServiceId,
}

impl CompiledTcpRouter {
    /// Whether this client may use it.
    pub fn admits(&self, client: IpAddr) -> bool {
        self.allowed.iter().all(|ranges| ranges.iter().any(|range| range.contains(client)))
    }

    /// Whether TLS goes on to the server.
    pub fn passes_through(&self) -> bool {
        self.router.tls.as_ref().is_some_and(|tls| tls.passthrough)
    }
}

impl Placed for CompiledTcpRouter {
    fn place(&self) -> u32 {
        self.id.0
    }
}

impl Whole for CompiledTcpRouter {
    type Router = TcpRouter;

    fn name(&self) -> &Name {
        &self.name
    }

    fn router(&self) -> &Arc<TcpRouter> {
        &self.router
    }

    fn service(&self) -> ServiceId {
        self.service
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.router, &other.router)
            && (self.id, self.service) == (other.id, other.service)
            && self.allowed == other.allowed
    }
}

/// `None` unless it is whole.
pub(super) fn router(
    id: RouterId,
    name: &Name,
    router: &Arc<TcpRouter>,
    config: &Config,
    services: &Services,
) -> Option<CompiledTcpRouter> {
    let service = services.named(Layer::Tcp, &router.service)?.id;
    let allowed = router.middlewares.iter().map(|name| match config.tcp.middlewares.get(name).map(|m| &m.kind) {
        Some(MiddlewareKind::IpAllowList { ranges, .. }) => Some(ranges.clone()),
        _ => None,
    });
    let allowed = allowed.collect::<Option<Vec<_>>>()?;
    Some(CompiledTcpRouter { id, name: name.clone(), router: Arc::clone(router), allowed, service })
}

impl Snapshot {
    /// Whether an entry point has routers of connections at all.
    pub fn has_tcp(&self, entry_point: EntryPointId) -> bool {
        self.has_tcp_over_tls(entry_point) || !self.tcp.is_empty(entry_point.0 as usize, false)
    }

    /// Whether an entry point has routers of TLS connections: a client's hello is read before anything is decided.
    pub fn has_tcp_over_tls(&self, entry_point: EntryPointId) -> bool {
        !self.tcp.is_empty(entry_point.0 as usize, true)
    }

    /// The router that takes a connection before its client has said anything, where nothing that it could say matters.
    pub fn tcp_at_once(&self, entry_point: EntryPointId, client: IpAddr) -> Option<&CompiledTcpRouter> {
        let reads_hellos = self.has_tcp_over_tls(entry_point) || !self.http.is_empty(entry_point.0 as usize, true);
        if reads_hellos { None } else { self.tcp_plain(entry_point, client) }
    }

    /// The router that takes a connection which did not begin with TLS. `None`: it is HTTP's.
    pub fn tcp_plain(&self, entry_point: EntryPointId, client: IpAddr) -> Option<&CompiledTcpRouter> {
        self.first(entry_point, false, &Connection { client, server_name: "", alpn: &[] })
    }

    /// The router that takes a connection which begins with this hello. `None`: it is HTTP's.
    pub fn tcp_tls(&self, entry_point: EntryPointId, connection: &Connection<'_>) -> Option<&CompiledTcpRouter> {
        let https = self.tls.get(entry_point.0 as usize)?;
        if https.names(connection.server_name) {
            return None;
        }
        let router = self.first(entry_point, true, connection)?;
        Some(router).filter(|router| !(router.router.rule.is_catch_all() && https.takes_any_host()))
    }

    fn first(&self, entry_point: EntryPointId, tls: bool, connection: &Connection<'_>) -> Option<&CompiledTcpRouter> {
        let mut candidates = self.tcp.candidates(entry_point.0 as usize, tls, connection.server_name, "")?;
        candidates.find(|candidate| candidate.router.rule.expr().check(connection).is_ok())
    }
}
