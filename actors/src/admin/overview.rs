//! `/api/version`, `/api/overview` and `/api/rawdata`, as Traefik shapes them.

use super::{
    AdminState, list, object,
    status::{certificates, rfc3339},
    tcp,
    verdict::{Kind, Standing, Verdicts},
};
use fairlead_core::{Name, map};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub(super) fn version(state: &AdminState<'_>) -> Value {
    let options = state.options;
    json!({ "Version": options.version, "Codename": "fairlead", "startDate": rfc3339(options.started) })
}

pub(super) fn overview(state: &AdminState<'_>, verdicts: &Verdicts<'_>) -> Value {
    let config = state.config;
    let none = || json!({ "total": 0, "warnings": 0, "errors": 0 });
    let expired = certificates(state).iter().filter(|c| c["status"] == "expired").count();
    let soon = certificates(state).iter().filter(|c| c["status"] == "warning").count();
    let options = state.options;
    json!({
        "http": {
            "routers": count(&config.routers, Kind::Router, verdicts),
            "services": count(&config.services, Kind::Service, verdicts),
            "middlewares": count(&config.middlewares, Kind::Middleware, verdicts),
        },
        "tcp": {
            "routers": count(&config.tcp.routers, Kind::TcpRouter, verdicts),
            "services": count(&config.tcp.services, Kind::TcpService, verdicts),
            "middlewares": count(&config.tcp.middlewares, Kind::TcpMiddleware, verdicts),
        },
        "udp": { "routers": none(), "services": none() },
        "certificates": { "total": state.certificates.len(), "warnings": soon, "errors": expired },
        "features": { "tracing": options.tracing, "metrics": options.metrics, "accessLog": options.access_log },
        "providers": state.providers.iter().map(|p| provider_name(&p.name)).collect::<Vec<_>>(),
    })
}

pub(super) fn raw_data(state: &AdminState<'_>, verdicts: &Verdicts<'_>) -> Value {
    let config = state.config;
    let mut out = Map::new();
    let mut put = |key: &str, objects: Map<String, Value>| {
        if !objects.is_empty() {
            out.insert(key.to_owned(), objects.into());
        }
    };
    let refused =
        |kind| verdicts.disabled(kind).map(move |name| (name.to_owned(), object::disabled(verdicts, kind, name).into()));
    let routers = config.routers.iter().map(|(name, r)| (name.to_string(), object::router(r, verdicts).into()));
    put("routers", routers.chain(refused(Kind::Router)).collect());
    let middlewares = config.middlewares.iter().map(|(name, m)| (name.to_string(), object::middleware(m, verdicts).into()));
    put("middlewares", middlewares.chain(refused(Kind::Middleware)).collect());
    let services = config.services.iter().map(|(name, s)| {
        let endpoints = list::endpoints_of(state, name.as_str());
        (name.to_string(), object::service(s, verdicts, endpoints).into())
    });
    put("services", services.chain(refused(Kind::Service)).collect());
    let of_tcp = &config.tcp;
    let routers = of_tcp.routers.iter().map(|(name, r)| (name.to_string(), tcp::router_object(r, verdicts).into()));
    put("tcpRouters", routers.chain(refused(Kind::TcpRouter)).collect());
    let middlewares = of_tcp.middlewares.iter().map(|(name, m)| (name.to_string(), tcp::middleware_object(m, verdicts).into()));
    put("tcpMiddlewares", middlewares.chain(refused(Kind::TcpMiddleware)).collect());
    let services = of_tcp.services.iter().map(|(name, s)| (name.to_string(), tcp::service_object(state, s, verdicts).into()));
    put("tcpServices", services.chain(refused(Kind::TcpService)).collect());
    out.into()
}

fn count<T>(objects: &map::Map<Name, Arc<T>>, kind: Kind, verdicts: &Verdicts<'_>) -> Value {
    let warnings = objects.keys().filter(|name| verdicts.standing(kind, name) == Standing::Warning).count();
    let errors = verdicts.disabled(kind).count();
    json!({ "total": objects.len() + errors, "warnings": warnings, "errors": errors })
}

/// The name of the provider's field in Traefik's static configuration.
fn provider_name(name: &str) -> String {
    match name {
        "http" => "HTTP".to_owned(),
        "zookeeper" => "ZooKeeper".to_owned(),
        name => {
            let mut chars = name.chars();
            chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
        }
    }
}
