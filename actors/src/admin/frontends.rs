//! `/api` and `/api/providers`: what is served, in the words of Traefik 1: for each provider its backends and frontends.
//!
//! For scripts and eyes that are used to it; everything else is below `/api/http/`. What Traefik 1 has no words for is left out.

use super::{AdminState, object::redact_url};
use fairlead_core::config::dynamic::{LoadBalancer, Router, ServiceKind};
use serde_json::{Map, Value, json};

/// One object for each provider that declares a router or a load balancer.
pub(super) fn providers(state: &AdminState<'_>) -> Value {
    let mut providers = Map::new();
    for service in state.config.services.values() {
        if let ServiceKind::LoadBalancer(balancer) = &service.kind {
            put(&mut providers, service.name.provider(), "backends", service.name.local(), backend(balancer));
        }
    }
    for router in state.config.routers.values().filter(|router| router.name.provider() != "internal") {
        put(&mut providers, router.name.provider(), "frontends", router.name.local(), frontend(state, router));
    }
    Value::Object(providers)
}

/// The one provider.
pub(super) fn provider(state: &AdminState<'_>, name: &str) -> Option<Value> {
    providers(state).get(name).cloned()
}

fn put(providers: &mut Map<String, Value>, provider: &str, kind: &str, name: &str, value: Value) {
    let empty = || json!({ "backends": {}, "frontends": {} });
    providers.entry(provider).or_insert_with(empty)[kind][name] = value;
}

fn backend(balancer: &LoadBalancer) -> Value {
    let servers = balancer.servers.iter().enumerate();
    let servers: Map<String, Value> = servers
        .map(|(index, server)| {
            (format!("server-{index}"), json!({ "url": redact_url(&server.url.text), "weight": server.weight }))
        })
        .collect();
    json!({ "servers": servers, "loadBalancer": { "method": "wrr" } })
}

fn frontend(state: &AdminState<'_>, router: &Router) -> Value {
    let service = state.config.services.get(&router.service).map(|service| &service.kind);
    let pass = !matches!(service, Some(ServiceKind::LoadBalancer(balancer)) if !balancer.pass_host_header);
    json!({
        "entryPoints": router.entry_points[..],
        "backend": router.service.local(),
        "routes": { format!("route-{}", router.name.local()): { "rule": router.rule.text() } },
        "passHostHeader": pass,
        "priority": router.priority,
    })
}
