//! Routers, services and middlewares of connections: `/api/tcp/…`, in the shapes of Traefik's API.

use super::{
    AdminState, Response, list,
    object::{self, Object, put, put_names},
    query::Query,
    verdict::{Kind, Verdicts},
};
use fairlead_core::config::dynamic::{LoadBalancer, Middleware, MiddlewareKind, ProxyVersion, Service, ServiceKind, TcpRouter};
use serde_json::{Value, json};
use std::cmp::Ordering;

pub(super) fn routers(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let compare = |by: &str, a: &TcpRouter, b: &TcpRouter| match by {
        "priority" => a.priority.cmp(&b.priority),
        "rule" => a.rule.text().cmp(b.rule.text()),
        "service" => a.service.cmp(&b.service),
        "entryPoints" => a.entry_points.cmp(&b.entry_points),
        _ => Ordering::Equal,
    };
    let rows = list::rows(Kind::TcpRouter, &state.config.tcp.routers, verdicts, query, |_| true);
    list::respond(query, rows, compare, |row| one_router(verdicts, row))
}

pub(super) fn router(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    list::single(Kind::TcpRouter, &state.config.tcp.routers, verdicts, name, |row| one_router(verdicts, row))
}

pub(super) fn services(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let compare = |by: &str, a: &Service, b: &Service| match by {
        "type" => object::service_type(a).cmp(object::service_type(b)),
        _ => Ordering::Equal,
    };
    let rows = list::rows(Kind::TcpService, &state.config.tcp.services, verdicts, query, |_| true);
    list::respond(query, rows, compare, |row| one_service(state, verdicts, row))
}

pub(super) fn service(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    list::single(Kind::TcpService, &state.config.tcp.services, verdicts, name, |row| one_service(state, verdicts, row))
}

pub(super) fn middlewares(state: &AdminState<'_>, verdicts: &Verdicts<'_>, query: &Query) -> Response {
    let rows = list::rows(Kind::TcpMiddleware, &state.config.tcp.middlewares, verdicts, query, |_| true);
    list::respond(query, rows, |_, _, _| Ordering::Equal, |row| one_middleware(verdicts, row))
}

pub(super) fn middleware(state: &AdminState<'_>, verdicts: &Verdicts<'_>, name: &str) -> Response {
    list::single(Kind::TcpMiddleware, &state.config.tcp.middlewares, verdicts, name, |row| one_middleware(verdicts, row))
}

fn one_router(verdicts: &Verdicts<'_>, row: &list::Row<'_, TcpRouter>) -> Value {
    let Some(router) = row.object else {
        return list::named(object::disabled(verdicts, Kind::TcpRouter, row.name), row, None).into();
    };
    let mut out = list::named(router_object(router, verdicts), row, None);
    out.insert("priorityStr".into(), router.priority.to_string().into());
    out.into()
}

fn one_service(state: &AdminState<'_>, verdicts: &Verdicts<'_>, row: &list::Row<'_, Service>) -> Value {
    let Some(service) = row.object else {
        return list::named(object::disabled(verdicts, Kind::TcpService, row.name), row, None).into();
    };
    list::named(service_object(state, service, verdicts), row, Some(object::service_type(service))).into()
}

fn one_middleware(verdicts: &Verdicts<'_>, row: &list::Row<'_, Middleware>) -> Value {
    let Some(middleware) = row.object else {
        return list::named(object::disabled(verdicts, Kind::TcpMiddleware, row.name), row, None).into();
    };
    list::named(middleware_object(middleware, verdicts), row, Some(&object::middleware_type(middleware))).into()
}

/// A router, without name and provider.
pub(super) fn router_object(router: &TcpRouter, verdicts: &Verdicts<'_>) -> Object {
    let mut out = Object::new();
    out.insert("entryPoints".into(), json!(router.entry_points[..]));
    put_names(&mut out, "middlewares", &router.middlewares);
    put(&mut out, "service", router.service.as_str());
    put(&mut out, "rule", router.rule.text());
    out.insert("priority".into(), json!(router.priority));
    if let Some(tls) = &router.tls {
        let mut object = Object::new();
        object.insert("passthrough".into(), tls.passthrough.into());
        put(&mut object, "options", tls.options.as_str());
        put(&mut object, "certResolver", tls.cert_resolver.as_deref().unwrap_or_default());
        object::put_domains(&mut object, &tls.domains);
        out.insert("tls".into(), object.into());
    }
    object::standing(&mut out, verdicts, Kind::TcpRouter, &router.name);
    out.insert("using".into(), json!(router.entry_points[..]));
    out
}

/// A service, without name, provider and type.
pub(super) fn service_object(state: &AdminState<'_>, service: &Service, verdicts: &Verdicts<'_>) -> Object {
    let mut out = Object::new();
    match &service.kind {
        ServiceKind::LoadBalancer(balancer) => drop(out.insert("loadBalancer".into(), load_balancer(balancer).into())),
        ServiceKind::Weighted(weighted) => {
            let services = weighted.services.iter().map(|(name, weight)| json!({ "name": name.as_str(), "weight": weight }));
            out.insert("weighted".into(), json!({ "services": services.collect::<Vec<_>>() }));
        }
        // Connections have neither.
        ServiceKind::Failover(_) | ServiceKind::Internal(_) => {}
    }
    object::standing(&mut out, verdicts, Kind::TcpService, &service.name);
    object::put_used_by(&mut out, verdicts, Kind::TcpService, &service.name);
    if let ServiceKind::LoadBalancer(balancer) = &service.kind {
        let endpoints = list::endpoints_of(state, service.name.as_str());
        out.insert("serverStatus".into(), object::server_status(balancer, endpoints).into());
    }
    out
}

fn load_balancer(balancer: &LoadBalancer) -> Object {
    let mut out = Object::new();
    let servers = balancer.servers.iter().map(|server| {
        let mut object = Object::new();
        put(&mut object, "address", &server.url.text);
        object::put_found(&mut object, server);
        Value::from(object)
    });
    out.insert("servers".into(), servers.collect::<Vec<_>>().into());
    if let Some(version) = balancer.proxy_protocol {
        let version = if version == ProxyVersion::V1 { 1 } else { 2 };
        out.insert("proxyProtocol".into(), json!({ "version": version }));
    }
    // Fairlead's own.
    put(&mut out, "strategy", object::strategy(balancer.strategy));
    out
}

/// A middleware, without name, provider and type.
pub(super) fn middleware_object(middleware: &Middleware, verdicts: &Verdicts<'_>) -> Object {
    let mut out = Object::new();
    if let MiddlewareKind::IpAllowList { ranges, .. } = &middleware.kind {
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        out.insert("ipAllowList".into(), json!({ "sourceRange": ranges }));
    }
    object::standing(&mut out, verdicts, Kind::TcpMiddleware, &middleware.name);
    object::put_used_by(&mut out, verdicts, Kind::TcpMiddleware, &middleware.name);
    out
}
