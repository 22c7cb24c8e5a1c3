//! Connections of one entry point: which router takes one before any request is read of it.
//!
//! The order is Traefik's: routers for requests that name the host come first, then routers of connections, then routers for
//! requests over TLS that name no host, then ``HostSNI(`*`)`` of connections. Plain connections go to a router of connections, if
//! one matches, before they are taken for HTTP.

use super::{CompiledRouter, RouterId, ServiceId, compile, in_order};
use crate::{
    Name,
    config::{
        Config,
        dynamic::{IpRange, MiddlewareKind, TcpRouter},
    },
    route::Table,
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

/// The routers of connections of one entry point that has any.
#[derive(Debug)]
pub(super) struct Point {
    plain: Table,
    tls: Table,
    /// No byte of a client decides anything.
    at_once: bool,
    /// Some router for requests over TLS names no host.
    any_host: bool,
}

impl Point {
    /// `None`: there is no router of connections here.
    pub(super) fn build(entry_point: &str, routers: &[CompiledTcpRouter], http: &[CompiledRouter]) -> Option<Self> {
        let here = |points: &[String]| points.iter().any(|point| point == entry_point);
        let table = |tls: bool| {
            let serves = |r: &&CompiledTcpRouter| r.router.tls.is_some() == tls && here(&r.router.entry_points);
            let mut served: Vec<&CompiledTcpRouter> = routers.iter().filter(serves).collect();
            served.sort_by(|a, b| in_order((a.router.priority, &a.name), (b.router.priority, &b.name)));
            Table::build(served.iter().map(|router| (router.id, router.router.rule.expr())))
        };
        let (plain, tls) = (table(false), table(true));
        if plain.order().is_empty() && tls.order().is_empty() {
            return None;
        }
        let https = || http.iter().map(|router| &router.router).filter(|r| r.tls.is_some() && here(&r.entry_points));
        let any_host = https().any(|router| {
            let hosts = router.rule.hosts();
            hosts.is_empty() || hosts.iter().any(|host| host == "*")
        });
        Some(Self { at_once: tls.order().is_empty() && https().next().is_none(), plain, tls, any_host })
    }

    /// Whether no byte of a client has to be awaited, as long as a router takes it.
    pub(super) fn at_once(&self) -> bool {
        self.at_once
    }

    pub(super) fn has_tls(&self) -> bool {
        !self.tls.order().is_empty()
    }

    pub(super) fn plain<'r>(&self, routers: &'r [CompiledTcpRouter], client: IpAddr) -> Option<&'r CompiledTcpRouter> {
        first(&self.plain, routers, &Connection { client, server_name: "", alpn: &[] })
    }

    /// `named`: a router for requests names this host.
    pub(super) fn tls<'r>(
        &self,
        routers: &'r [CompiledTcpRouter],
        connection: &Connection<'_>,
        named: bool,
    ) -> Option<&'r CompiledTcpRouter> {
        if named {
            return None;
        }
        first(&self.tls, routers, connection).filter(|router| !(router.router.rule.is_catch_all() && self.any_host))
    }
}

fn first<'r>(table: &Table, routers: &'r [CompiledTcpRouter], connection: &Connection<'_>) -> Option<&'r CompiledTcpRouter> {
    let mut candidates = table.candidates(connection.server_name, "").filter_map(|id| routers.get(id.0 as usize));
    candidates.find(|candidate| candidate.router.rule.expr().check(connection).is_ok())
}

/// Every router that is whole, sorted by name.
pub(super) fn routers(config: &Config, services: &compile::Places<'_>) -> Vec<CompiledTcpRouter> {
    let mut compiled = Vec::with_capacity(config.tcp.routers.len());
    for (name, router) in &config.tcp.routers {
        let Some(service) = services.tcp(&router.service) else { continue };
        let allowed = router.middlewares.iter().map(|name| match config.tcp.middlewares.get(name).map(|m| &m.kind) {
            Some(MiddlewareKind::IpAllowList { ranges, .. }) => Some(ranges.clone()),
            _ => None,
        });
        let Some(allowed) = allowed.collect::<Option<Vec<_>>>() else { continue };
        let id = RouterId(u32::try_from(compiled.len()).unwrap_or(u32::MAX));
        compiled.push(CompiledTcpRouter { id, name: name.clone(), router: Arc::clone(router), allowed, service });
    }
    compiled
}
