//! Routers, services and middlewares as JSON, in the shapes of Traefik's API: configuration in camelCase, empty fields left out,
//! durations as Go writes them. Credentials never become text here.

use super::verdict::{Kind, Standing, Verdicts};
use super::{EndpointState, EndpointView};
use fairlead_core::{
    Name,
    config::{
        Rejection,
        dynamic::{
            Depth, HealthCheck, LoadBalancer, Middleware, MiddlewareKind, RateLimit, Router, SameSite, Server, Service,
            ServiceKind, SourceCriterion, StickyCookie, Strategy,
        },
    },
};
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(super) type Object = Map<String, Value>;

/// What replaces a secret.
const REDACTED: &str = "REDACTED";

/// A router, without name and provider.
pub(super) fn router(router: &Router, verdicts: &Verdicts<'_>) -> Object {
    let mut out = Object::new();
    out.insert("entryPoints".into(), json!(router.entry_points[..]));
    put_names(&mut out, "middlewares", &router.middlewares);
    put(&mut out, "service", router.service.as_str());
    put(&mut out, "rule", router.rule.text());
    out.insert("priority".into(), json!(router.priority));
    if let Some(tls) = &router.tls {
        let mut object = Object::new();
        put(&mut object, "options", tls.options.as_str());
        put(&mut object, "certResolver", tls.cert_resolver.as_deref().unwrap_or_default());
        put_domains(&mut object, &tls.domains);
        out.insert("tls".into(), object.into());
    }
    let seen = router.observability;
    out.insert(
        "observability".into(),
        json!({ "accessLogs": seen.access_log, "metrics": seen.metrics, "tracing": seen.tracing, "traceVerbosity": "minimal" }),
    );
    standing(&mut out, verdicts, Kind::Router, &router.name);
    out.insert("using".into(), json!(router.entry_points[..]));
    out
}

pub(super) fn put_domains(out: &mut Object, domains: &[Vec<String>]) {
    let domains: Vec<Value> = domains
        .iter()
        .filter_map(|names| names.split_first())
        .map(|(main, sans)| if sans.is_empty() { json!({ "main": main }) } else { json!({ "main": main, "sans": sans }) })
        .collect();
    if !domains.is_empty() {
        out.insert("domains".into(), domains.into());
    }
}

/// A service, without name, provider and type.
pub(super) fn service(service: &Service, verdicts: &Verdicts<'_>, endpoints: &[EndpointView]) -> Object {
    let mut out = Object::new();
    match &service.kind {
        ServiceKind::LoadBalancer(balancer) => {
            out.insert("loadBalancer".into(), load_balancer(balancer).into());
        }
        ServiceKind::Weighted(weighted) => {
            let services = weighted.services.iter().map(|(name, weight)| json!({ "name": name.as_str(), "weight": weight }));
            let mut object = Object::new();
            object.insert("services".into(), services.collect::<Vec<_>>().into());
            put_sticky(&mut object, weighted.sticky.as_ref());
            if weighted.health_check {
                object.insert("healthCheck".into(), json!({}));
            }
            out.insert("weighted".into(), object.into());
        }
        ServiceKind::Failover(failover) => {
            let object = json!({ "service": failover.service.as_str(), "fallback": failover.fallback.as_str() });
            out.insert("failover".into(), object);
        }
        ServiceKind::Internal(_) => {}
    }
    standing(&mut out, verdicts, Kind::Service, &service.name);
    put_used_by(&mut out, verdicts, Kind::Service, &service.name);
    if let ServiceKind::LoadBalancer(balancer) = &service.kind {
        out.insert("serverStatus".into(), server_status(balancer, endpoints).into());
    }
    out
}

/// `UP` or `DOWN` by address.
pub(super) fn server_status(balancer: &LoadBalancer, endpoints: &[EndpointView]) -> Object {
    let state = |server: &Server| {
        let found = endpoints.iter().find(|e| *e.url == *server.url.text && e.instance == server.instance);
        found.map_or(EndpointState::Active, |e| e.state)
    };
    let mut status = Object::new();
    for server in &balancer.servers {
        // Of several at one address, one that is up is enough.
        let up = server.unreachable.is_none() && state(server) == EndpointState::Active;
        let known = status.entry(redact_url(&server.url.text)).or_insert("DOWN".into());
        if up {
            *known = "UP".into();
        }
    }
    status
}

/// A middleware, without name, provider and type.
pub(super) fn middleware(middleware: &Middleware, verdicts: &Verdicts<'_>) -> Object {
    let (key, settings) = settings(&middleware.kind);
    let mut out = Object::new();
    out.insert(key.into(), settings.into());
    standing(&mut out, verdicts, Kind::Middleware, &middleware.name);
    put_used_by(&mut out, verdicts, Kind::Middleware, &middleware.name);
    out
}

/// An object that is not served, of which there is only what was said.
pub(super) fn disabled(verdicts: &Verdicts<'_>, kind: Kind, local: &str) -> Object {
    let mut out = Object::new();
    put(&mut out, "status", Standing::Disabled.as_str());
    put_errors(&mut out, verdicts.about(kind, local));
    out
}

/// The type of a service as the API names it.
pub(super) fn service_type(service: &Service) -> &'static str {
    match service.kind {
        ServiceKind::LoadBalancer(_) => "loadbalancer",
        ServiceKind::Weighted(_) => "weighted",
        ServiceKind::Failover(_) => "failover",
        ServiceKind::Internal(_) => "internal",
    }
}

/// The type of a middleware as the API names it.
pub(super) fn middleware_type(middleware: &Middleware) -> String {
    settings(&middleware.kind).0.to_ascii_lowercase()
}

/// Fairlead's own: what discovery knows of a server.
pub(super) fn put_found(out: &mut Object, server: &Server) {
    put(out, "instance", &server.instance);
    put(out, "node", &server.node);
    put(out, "unreachable", server.unreachable.as_deref().unwrap_or_default());
}

pub(super) fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Wrr => "wrr",
        Strategy::P2c => "p2c",
        Strategy::LeastConn => "leastconn",
        Strategy::Hrw => "hrw",
    }
}

fn load_balancer(balancer: &LoadBalancer) -> Object {
    let mut out = Object::new();
    put_sticky(&mut out, balancer.sticky.as_deref());
    let servers = balancer.servers.iter().map(|server| {
        let mut object = Object::new();
        put(&mut object, "url", &redact_url(&server.url.text));
        if server.weight != 1 {
            object.insert("weight".into(), server.weight.into());
        }
        put_true(&mut object, "preservePath", server.preserve_path);
        put_found(&mut object, server);
        Value::from(object)
    });
    let servers: Vec<Value> = servers.collect();
    if !servers.is_empty() {
        out.insert("servers".into(), servers.into());
    }
    put(&mut out, "strategy", strategy(balancer.strategy));
    put(&mut out, "hashCookie", balancer.hash_cookie.as_deref().unwrap_or_default());
    if let Some(check) = &balancer.health_check {
        out.insert("healthCheck".into(), health_check(check).into());
    }
    if let Some(check) = &balancer.passive_health_check {
        out.insert(
            "passiveHealthCheck".into(),
            json!({ "failureWindow": go_duration(check.failure_window), "maxFailedAttempts": check.max_failed_attempts }),
        );
    }
    out.insert("passHostHeader".into(), balancer.pass_host_header.into());
    // Bytes go on as they come: what Traefik flushes ten times a second is never held here.
    out.insert("responseForwarding".into(), json!({ "flushInterval": "100ms" }));
    if !balancer.transport.as_str().ends_with("@internal") {
        put(&mut out, "serversTransport", balancer.transport.as_str());
    }
    out
}

fn health_check(check: &HealthCheck) -> Object {
    let mut out = Object::new();
    if let Some(scheme) = check.scheme {
        put(&mut out, "scheme", scheme.as_str());
    }
    put(&mut out, "mode", "http");
    put(&mut out, "path", &check.path);
    put(&mut out, "method", &check.method);
    if let Some(status) = check.status {
        out.insert("status".into(), status.into());
    }
    if let Some(port) = check.port {
        out.insert("port".into(), port.into());
    }
    put(&mut out, "interval", &go_duration(check.interval));
    put(&mut out, "unhealthyInterval", &go_duration(check.unhealthy_interval));
    put(&mut out, "timeout", &go_duration(check.timeout));
    put(&mut out, "hostname", &check.hostname);
    out.insert("followRedirects".into(), check.follow_redirects.into());
    put_headers(&mut out, "headers", &check.headers);
    out
}

fn settings(kind: &MiddlewareKind) -> (&'static str, Object) {
    let mut out = Object::new();
    let key = match kind {
        MiddlewareKind::AddPrefix { prefix } => {
            put(&mut out, "prefix", prefix);
            "addPrefix"
        }
        MiddlewareKind::StripPrefix { prefixes } => {
            out.insert("prefixes".into(), json!(prefixes));
            "stripPrefix"
        }
        MiddlewareKind::ReplacePath { path } => {
            put(&mut out, "path", path);
            "replacePath"
        }
        MiddlewareKind::RedirectScheme { scheme, port, permanent } => {
            put(&mut out, "scheme", scheme);
            put(&mut out, "port", &port.map_or_else(String::new, |port| port.to_string()));
            put_true(&mut out, "permanent", *permanent);
            "redirectScheme"
        }
        MiddlewareKind::RedirectRegex { regex, replacement, permanent } => {
            put(&mut out, "regex", regex.as_str());
            put(&mut out, "replacement", replacement);
            put_true(&mut out, "permanent", *permanent);
            "redirectRegex"
        }
        MiddlewareKind::Headers(edits) => {
            put_headers(&mut out, "customRequestHeaders", &edits.request);
            put_headers(&mut out, "customResponseHeaders", &edits.response);
            put_headers(&mut out, "appendRequestHeaders", &edits.append_request);
            put_headers(&mut out, "appendResponseHeaders", &edits.append_response);
            "headers"
        }
        MiddlewareKind::RateLimit(limit) => {
            rate_limit(&mut out, limit);
            "rateLimit"
        }
        MiddlewareKind::Retry { attempts, initial_interval } => {
            out.insert("attempts".into(), (*attempts).into());
            put(&mut out, "initialInterval", &go_duration(*initial_interval));
            "retry"
        }
        MiddlewareKind::BasicAuth(auth) => {
            // Neither names nor hashes: only how many there are.
            out.insert("users".into(), vec![REDACTED; auth.users.len()].into());
            put(&mut out, "realm", &auth.realm);
            put_true(&mut out, "removeHeader", auth.remove_header);
            put(&mut out, "headerField", auth.header_field.as_deref().unwrap_or_default());
            "basicAuth"
        }
        MiddlewareKind::IpAllowList { ranges, depth, reject_status } => {
            out.insert("sourceRange".into(), ranges.iter().map(ToString::to_string).collect::<Vec<_>>().into());
            put_strategy(&mut out, depth);
            if *reject_status != 403 {
                out.insert("rejectStatusCode".into(), (*reject_status).into());
            }
            "ipAllowList"
        }
        MiddlewareKind::Chain { middlewares } => {
            put_names(&mut out, "middlewares", middlewares);
            "chain"
        }
        MiddlewareKind::InfoHeaders => "infoHeaders",
        MiddlewareKind::UpgradePaths { prefixes } => {
            out.insert("prefixes".into(), json!(prefixes));
            "upgradePaths"
        }
    };
    (key, out)
}

fn rate_limit(out: &mut Object, limit: &RateLimit) {
    out.insert("average".into(), limit.average.into());
    put(out, "period", &go_duration(limit.period));
    out.insert("burst".into(), limit.burst.into());
    let mut source = Object::new();
    match &limit.source {
        SourceCriterion::Ip(depth) => put_strategy(&mut source, depth),
        SourceCriterion::RequestHeader(name) => put(&mut source, "requestHeaderName", name),
        SourceCriterion::RequestHost => put_true(&mut source, "requestHost", true),
    }
    if !source.is_empty() {
        out.insert("sourceCriterion".into(), source.into());
    }
}

fn put_strategy(out: &mut Object, depth: &Depth) {
    let strategy = match depth {
        Depth::Peer => return,
        Depth::FromRight(n) => json!({ "depth": n }),
        Depth::Excluding(ranges) => json!({ "excludedIPs": ranges.iter().map(ToString::to_string).collect::<Vec<_>>() }),
    };
    out.insert("ipStrategy".into(), strategy);
}

fn put_sticky(out: &mut Object, sticky: Option<&StickyCookie>) {
    let Some(sticky) = sticky else { return };
    let mut cookie = Object::new();
    put(&mut cookie, "name", &sticky.name);
    put_true(&mut cookie, "secure", sticky.secure);
    put_true(&mut cookie, "httpOnly", sticky.http_only);
    let same_site = match sticky.same_site {
        None => "",
        Some(SameSite::None) => "none",
        Some(SameSite::Lax) => "lax",
        Some(SameSite::Strict) => "strict",
    };
    put(&mut cookie, "sameSite", same_site);
    if sticky.max_age != 0 {
        cookie.insert("maxAge".into(), sticky.max_age.into());
    }
    put(&mut cookie, "path", &sticky.path);
    put(&mut cookie, "domain", &sticky.domain);
    out.insert("sticky".into(), json!({ "cookie": cookie }));
}

fn put_headers(out: &mut Object, key: &str, headers: &[(String, String)]) {
    let shown = headers.iter().map(|(name, value)| {
        let shown = if is_credential(name) && !value.is_empty() { REDACTED } else { value };
        (name.clone(), Value::from(shown))
    });
    if !headers.is_empty() {
        out.insert(key.into(), shown.collect::<Object>().into());
    }
}

/// Whether a header of this name usually carries a secret.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "credential", "signature"]
        .iter()
        .any(|part| name.contains(part))
}

/// User and password in a URL are left out.
pub(super) fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{REDACTED}{}", &rest[at..]),
        None => url.to_owned(),
    }
}

pub(super) fn standing(out: &mut Object, verdicts: &Verdicts<'_>, kind: Kind, name: &Name) {
    put(out, "status", verdicts.standing(kind, name).as_str());
    put_errors(out, verdicts.about(kind, name.local()));
}

fn put_errors(out: &mut Object, rejections: &[&Rejection]) {
    if !rejections.is_empty() {
        out.insert("error".into(), rejections.iter().map(ToString::to_string).collect::<Vec<_>>().into());
    }
}

pub(super) fn put_used_by(out: &mut Object, verdicts: &Verdicts<'_>, kind: Kind, name: &Name) {
    let users = verdicts.used_by(kind, name);
    if !users.is_empty() {
        out.insert("usedBy".into(), users.into());
    }
}

pub(super) fn put(out: &mut Object, key: &str, value: &str) {
    if !value.is_empty() {
        out.insert(key.into(), value.into());
    }
}

fn put_true(out: &mut Object, key: &str, value: bool) {
    if value {
        out.insert(key.into(), true.into());
    }
}

pub(super) fn put_names(out: &mut Object, key: &str, names: &[Name]) {
    if !names.is_empty() {
        out.insert(key.into(), names.iter().map(Name::as_str).collect::<Vec<_>>().into());
    }
}

/// As Go's `Duration.String`: `1m30s`, `100ms`, `0s`.
pub(super) fn go_duration(d: Duration) -> String {
    let nanos = d.as_nanos();
    let scaled = |unit: u128, name: &str| {
        let (whole, part) = (nanos / unit, nanos % unit);
        let digits = unit.ilog10() as usize;
        let fraction = format!("{part:0digits$}");
        match fraction.trim_end_matches('0') {
            "" => format!("{whole}{name}"),
            fraction => format!("{whole}.{fraction}{name}"),
        }
    };
    match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => return scaled(1_000, "µs"),
        1_000_000..1_000_000_000 => return scaled(1_000_000, "ms"),
        _ => {}
    }
    let (hours, minutes) = (d.as_secs() / 3600, d.as_secs() / 60 % 60);
    let rest = Duration::new(d.as_secs() % 60, d.subsec_nanos());
    let fraction = format!("{:09}", rest.subsec_nanos());
    let seconds = match fraction.trim_end_matches('0') {
        "" => format!("{}s", rest.as_secs()),
        fraction => format!("{}.{fraction}s", rest.as_secs()),
    };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, m) => format!("{m}m{seconds}"),
        (h, m) => format!("{h}h{m}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_core::config::{
        Config,
        dynamic::{ServerUrl, UpstreamScheme},
    };

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let of = |nanos| go_duration(Duration::from_nanos(nanos));
        assert_eq!([0, 1, 1_500, 100_000_000, 1_000_000_000].map(of), ["0s", "1ns", "1.5µs", "100ms", "1s"]);
        assert_eq!([1_500_000_000, 90_000_000_000, 3_600_000_000_000].map(of), ["1.5s", "1m30s", "1h0m0s"]);
    }

    #[test]
    fn servers_show_what_discovery_knows_and_count_by_address() {
        let server = |port: u16, instance: &str, unreachable: Option<&str>| {
            let text = format!("http://10.0.0.1:{port}").into();
            let url = ServerUrl { scheme: UpstreamScheme::Http, host: "10.0.0.1".into(), port, path: String::new(), text };
            let (instance, node) = (instance.to_owned(), "worker-1".to_owned());
            Server { instance, node, unreachable: unreachable.map(str::to_owned), ..Server::new(url, 1) }
        };
        let servers = vec![server(1, "a", None), server(1, "b", None), server(2, "c", Some("no shared network"))];
        let name = Name::whole("s@swarm");
        let balancer = LoadBalancer { servers, ..LoadBalancer::new(Name::whole("default@internal")) };
        let kind = ServiceKind::LoadBalancer(balancer.into());
        let service = Service { name: name.clone(), kind, source: String::new() };
        let endpoint = |instance: &str, state| EndpointView {
            service: name.to_string(),
            url: "http://10.0.0.1:1".into(),
            instance: instance.into(),
            node: String::new(),
            state,
            in_flight: 0,
            detail: String::new(),
        };
        let endpoints = [endpoint("a", EndpointState::Unhealthy), endpoint("b", EndpointState::Active)];
        let config = Config::default();
        let shown = super::service(&service, &Verdicts::new(&config, &[]), &endpoints);
        assert_eq!(shown["serverStatus"], json!({ "http://10.0.0.1:1": "UP", "http://10.0.0.1:2": "DOWN" }));
        let last = json!({ "url": "http://10.0.0.1:2", "instance": "c", "node": "worker-1", "unreachable": "no shared network" });
        assert_eq!(shown["loadBalancer"]["servers"][2], last);
    }

    #[test]
    fn credentials_in_urls_are_left_out() {
        assert_eq!(redact_url("http://ann:pw@h:80/a@b"), "http://REDACTED@h:80/a@b");
        assert_eq!(redact_url("http://h:80/a@b"), "http://h:80/a@b");
        assert_eq!(redact_url("http://a@b@h"), "http://REDACTED@h");
    }
}
