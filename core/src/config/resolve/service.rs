//! Services: servers and their URLs, cookies, health checks, and services of services.

use super::{Notes, source_of};
use crate::{
    Name,
    config::{
        StaticConfig, Tree,
        decode::{Span, quote, read, remedy_for_name},
        dynamic::{
            Failover, HealthCheck, LoadBalancer, PassiveHealthCheck, SameSite, Server, ServerUrl, Service, ServiceKind,
            StickyCookie, Strategy, UpstreamScheme, Weighted,
        },
        raw,
        tree::index_order,
    },
};
use sha1::{Digest, Sha1};
use std::{sync::Arc, time::Duration};

pub(super) fn build(
    raw: &raw::Service,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    notes: &mut Notes<'_>,
) -> Option<Service> {
    let kind = match (&raw.load_balancer, &raw.weighted, &raw.failover) {
        (Some(balancer), None, None) => {
            ServiceKind::LoadBalancer(Arc::new(load_balancer(balancer, name, provider, config, notes)))
        }
        (None, Some(weighted), None) => ServiceKind::Weighted(self::weighted(weighted, name, provider, notes).into()),
        (None, None, Some(failover)) => {
            let mut child = |key: &str, text: &Option<String>| {
                let text = text.as_deref().filter(|text| !text.is_empty());
                if text.is_none() {
                    notes.error(
                        &["failover", key],
                        "expected the name of a service",
                        "name one of the same provider, or `name@provider`",
                    );
                }
                text.map(|text| Name::qualify(text, provider))
            };
            let (service, fallback) = (child("service", &failover.service), child("fallback", &failover.fallback));
            ServiceKind::Failover(Failover { service: service?, fallback: fallback? }.into())
        }
        (None, None, None) => {
            notes.error(&[], "expected loadBalancer, weighted or failover below it", "give it a loadBalancer with servers");
            return None;
        }
        _ => {
            notes.error(&[], "is of two kinds", "make two services of it");
            return None;
        }
    };
    Some(Service { name: name.clone(), kind, source: source_of(notes.tree) })
}

/// `last` with the servers that are written now, if those it has were found by discovery. Which instances there are is a fact, and no part of
/// the settings that stay until they are mended: the address of one that is gone may be another's by now.
pub(super) fn among_instances(tree: &Tree, last: &Service, read_server: impl Fn(&Tree) -> Option<Server>) -> Option<Service> {
    let ServiceKind::LoadBalancer(balancer) = &last.kind else { return None };
    if balancer.servers.iter().all(|server| server.instance.is_empty()) {
        return None;
    }
    let written = tree.child("loadBalancer").and_then(|balancer| balancer.child("servers"));
    let mut written: Vec<(&str, &Tree)> = written.into_iter().flat_map(Tree::children).collect();
    written.sort_by_key(|(index, _)| index_order(index));
    let server = |tree: &Tree| {
        let instance = tree.text(&["instance"]).filter(|instance| !instance.is_empty());
        read_server(tree).or_else(|| balancer.servers.iter().find(|server| Some(server.instance.as_str()) == instance).cloned())
    };
    let servers: Vec<Server> = written.into_iter().filter_map(|(_, tree)| server(tree)).collect();
    if servers == balancer.servers {
        return None;
    }
    let kind = ServiceKind::LoadBalancer(Arc::new(LoadBalancer { servers, ..LoadBalancer::clone(balancer) }));
    Some(Service { kind, ..last.clone() })
}

/// A server as discovery wrote it.
pub(super) fn read_server(tree: &Tree) -> Option<Server> {
    read::<raw::Server>(tree).0.and_then(|raw| server(&[], &raw, &mut Notes::new(tree, Vec::new())))
}

/// Services that a service sends requests to.
pub(super) fn children(kind: &ServiceKind) -> Vec<Name> {
    match kind {
        ServiceKind::Weighted(weighted) => weighted.services.iter().map(|(name, _)| name.clone()).collect(),
        ServiceKind::Failover(failover) => vec![failover.service.clone(), failover.fallback.clone()],
        ServiceKind::LoadBalancer(_) | ServiceKind::Internal(_) => Vec::new(),
    }
}

fn load_balancer(
    raw: &raw::LoadBalancer,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    notes: &mut Notes<'_>,
) -> LoadBalancer {
    let listed = raw.servers.iter().enumerate().map(|(index, server)| (vec!["servers".to_owned(), index.to_string()], server));
    let single = raw.server.iter().map(|server| (vec!["server".to_owned()], server));
    let mut servers: Vec<_> = listed.chain(single).filter_map(|(place, server)| self::server(&place, server, notes)).collect();
    servers.shrink_to_fit();
    let strategy = strategy(raw.strategy.as_deref(), notes);
    let hash_cookie = raw.hash_cookie.clone().filter(|name| !name.is_empty());
    let strategy = match (&hash_cookie, strategy) {
        (Some(name), _) if !name.chars().all(is_token) => {
            let message = format!("expected the name of a cookie, found {}", quote(name));
            notes.error(&["loadBalancer", "hashCookie"], message, "write letters, digits and dashes");
            strategy
        }
        (Some(_), Strategy::Wrr) if raw.strategy.is_none() => Strategy::Hrw,
        (None, _) | (Some(_), Strategy::Hrw) => strategy,
        (Some(_), _) => {
            let message = "a cookie's value picks the server, and the strategy is another";
            notes.error(&["loadBalancer", "hashCookie"], message, "remove `strategy`, or write hrw");
            strategy
        }
    };
    let transport = raw.servers_transport.as_deref().filter(|text| !text.is_empty());
    LoadBalancer {
        servers,
        strategy,
        hash_cookie,
        sticky: raw.sticky.0.as_ref().and_then(|sticky| cookie(sticky, name, &["loadBalancer"], notes)).map(Box::new),
        health_check: raw.health_check.as_ref().map(|check| Box::new(health_check(check, config, notes))),
        passive_health_check: raw.passive_health_check.as_ref().map(|check| passive(check, notes)),
        pass_host_header: raw.pass_host_header.unwrap_or(true),
        transport: transport.map_or_else(|| config.servers_transport.name.clone(), |text| Name::qualify(text, provider)),
        proxy_protocol: None,
    }
}

pub(super) fn strategy(text: Option<&str>, notes: &mut Notes<'_>) -> Strategy {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "wrr") => Strategy::Wrr,
        Some("p2c") => Strategy::P2c,
        Some("leastconn") => Strategy::LeastConn,
        Some("hrw") => Strategy::Hrw,
        Some(other) => {
            let path = ["loadBalancer", "strategy"];
            if other == "leasttime" {
                notes.error(&path, "`leasttime` is known, but not supported yet", "use p2c or leastconn");
            } else {
                let remedy = remedy_for_name(other, ["wrr", "p2c", "leastconn", "hrw"]);
                notes.error(&path, format!("unknown strategy {}", quote(other)), remedy);
            }
            Strategy::Wrr
        }
    }
}

fn server(place: &[String], raw: &raw::Server, notes: &mut Notes<'_>) -> Option<Server> {
    let path: Vec<&str> = ["loadBalancer"].into_iter().chain(place.iter().map(String::as_str)).collect();
    let below = |key: &'static str| [&path[..], &[key]].concat();
    let Some(text) = raw.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        let message = if raw.port.is_some() || raw.scheme.is_some() {
            "`port` and `scheme` alone are for labels, where the address is the container's"
        } else {
            "a server needs a URL"
        };
        notes.error(&below("url"), message, "write for instance http://10.0.0.1:8080");
        return None;
    };
    let url = match server_url(text) {
        Ok(url) => url,
        Err(expected) => {
            notes.error(&below("url"), format!("{expected}; found {}", quote(text)), "write for instance http://10.0.0.1:8080");
            return None;
        }
    };
    let weight = raw.weight.unwrap_or(1);
    let weight = match u32::try_from(weight.max(0)) {
        Ok(weight) => weight,
        Err(_) => {
            notes.error(
                &below("weight"),
                format!("expected at most {}", u32::MAX),
                "weights count relative to each other: write smaller ones",
            );
            return None;
        }
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(Server {
        url,
        weight,
        preserve_path: raw.preserve_path,
        instance: text(&raw.instance),
        node: text(&raw.node),
        unreachable: raw.unreachable.clone().filter(|why| !why.is_empty()),
    })
}

/// `scheme://host[:port][/path]`.
pub(super) fn server_url(text: &str) -> Result<ServerUrl, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("expected http://, https:// or h2c:// in front".to_owned());
    };
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "http" => (UpstreamScheme::Http, 80),
        "https" => (UpstreamScheme::Https, 443),
        "h2c" => (UpstreamScheme::H2c, 80),
        other => return Err(format!("expected http, https or h2c, not {}", quote(other))),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if rest.contains(['?', '#', '@', '\\']) || rest.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
        return Err("expected a URL of scheme, host, port and path only".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else { return Err("expected `]` after the IPv6 address".to_owned()) };
            let Ok(ip) = host.parse::<std::net::Ipv6Addr>() else {
                return Err("expected an IPv6 address in brackets".to_owned());
            };
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err("expected a colon and a port after the brackets".to_owned()),
            };
            (ip.to_string(), port)
        }
        None => {
            let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
            if host.is_empty()
                || host.len() > 253
                || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
            {
                return Err("expected a host name or an address (IPv6 in brackets)".to_owned());
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let port = match port {
        None | Some("") => default_port,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => port,
            _ => return Err("expected a port from 1 to 65535".to_owned()),
        },
    };
    let path = if path == "/" { String::new() } else { path.to_owned() };
    Ok(ServerUrl { scheme, host: host.into(), port, path, text: text.into() })
}

/// What a cookie's name may hold. `_` is Traefik's stand-in for the rest.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn cookie(raw: &raw::Sticky, service: &Name, base: &[&str], notes: &mut Notes<'_>) -> Option<StickyCookie> {
    let raw = raw.cookie.0.as_ref()?;
    let name = match raw.name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => name.chars().map(|c| if is_token(c) { c } else { '_' }).collect(),
        None => {
            let digest = Sha1::digest(format!("_TRAEFIK_BACKEND_{service}"));
            let hex: String = digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
            format!("_{}", &hex[..5])
        }
    };
    let below = |key| [base, &["sticky", "cookie", key]].concat();
    let same_site = match raw.same_site.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => None,
        Some("none") => Some(SameSite::None),
        Some("lax") => Some(SameSite::Lax),
        Some("strict") => Some(SameSite::Strict),
        Some(other) => {
            notes.error(&below("sameSite"), format!("expected none, lax or strict, found {}", quote(other)), "write lax");
            None
        }
    };
    let mut attribute = |key, text: &Option<String>| {
        let text = text.clone().unwrap_or_default();
        if text.bytes().any(|byte| byte.is_ascii_control() || byte == b';' || byte >= 0x7f) {
            notes.error(&below(key), "expected a text without `;` and control characters", "remove them");
        }
        text
    };
    let (path, domain) = (attribute("path", &raw.path), attribute("domain", &raw.domain));
    Some(StickyCookie {
        name,
        secure: raw.secure,
        http_only: raw.http_only,
        same_site,
        max_age: raw.max_age,
        path: if path.is_empty() { "/".to_owned() } else { path },
        domain,
    })
}

fn health_check(raw: &raw::HealthCheck, config: &StaticConfig, notes: &mut Notes<'_>) -> HealthCheck {
    let below = |key| ["loadBalancer", "healthCheck", key];
    match raw.mode.as_deref() {
        None | Some("" | "http") => {}
        Some("grpc") => notes.error(&below("mode"), "`grpc` is known, but not supported yet", "use http"),
        Some(other) => notes.error(&below("mode"), format!("expected http, found {}", quote(other)), "write http"),
    }
    let path = raw.path.clone().unwrap_or_default();
    if path.contains("://") || path.starts_with("//") || path.bytes().any(|byte| byte <= b' ' || byte >= 0x7f) {
        let message = format!("expected a path without host and blanks, found {}", quote(&path));
        notes.error(&below("path"), message, "write for instance /health, and the host in `hostname`");
    }
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let scheme = match raw.scheme.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => None,
        Some("http") => Some(UpstreamScheme::Http),
        Some("https") => Some(UpstreamScheme::Https),
        Some("h2c") => Some(UpstreamScheme::H2c),
        Some(other) => {
            notes.error(
                &below("scheme"),
                format!("expected http, https or h2c, found {}", quote(other)),
                "remove it for the server's own",
            );
            None
        }
    };
    let method = raw.method.clone().filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".to_owned());
    if !method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
        notes.error(&below("method"), format!("expected a method, found {}", quote(&method)), "write GET or HEAD");
    }
    let status = raw.status.filter(|status| *status != 0);
    if status.is_some_and(|status| !(100..=599).contains(&status)) {
        notes.error(&below("status"), "expected a status from 100 to 599", "remove it for any 2xx or 3xx");
    }
    let hostname = raw.hostname.clone().unwrap_or_default();
    let headers: Vec<(String, String)> = raw.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let bad_field = |text: &str| text.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f);
    if bad_field(&hostname)
        || headers.iter().any(|(name, value)| name.is_empty() || name.contains([' ', ':']) || bad_field(name) || bad_field(value))
    {
        notes.error(&below("headers"), "expected names and values without control characters", "remove them");
    }
    let positive = |span: Option<Span>, default: u64| {
        span.map(Span::get).filter(|span| !span.is_zero()).unwrap_or(Duration::from_secs(default))
    };
    let interval = positive(raw.interval, 30);
    let mut count = |key, value: Option<u32>, default: u32| {
        if value == Some(0) {
            notes.error(&below(key), "expected at least 1", format!("remove it for the default, {default}"));
        }
        value.unwrap_or(default)
    };
    let (fall, rise) = (count("fall", raw.fall, config.health.fall), count("rise", raw.rise, config.health.rise));
    HealthCheck {
        path,
        scheme,
        hostname,
        port: raw.port.filter(|port| *port != 0),
        method,
        status,
        interval,
        unhealthy_interval: match raw.unhealthy_interval {
            None => interval,
            span => positive(span, 30),
        },
        timeout: positive(raw.timeout, 5),
        follow_redirects: raw.follow_redirects.unwrap_or(true),
        headers,
        fall,
        rise,
    }
}

pub(super) fn passive(raw: &raw::PassiveHealthCheck, notes: &mut Notes<'_>) -> PassiveHealthCheck {
    if raw.max_failed_attempts == Some(0) {
        notes.error(
            &["loadBalancer", "passiveHealthCheck", "maxFailedAttempts"],
            "expected at least 1",
            "remove it for the default, 1",
        );
    }
    let window = raw.failure_window.map(Span::get).filter(|window| !window.is_zero());
    PassiveHealthCheck {
        failure_window: window.unwrap_or(Duration::from_secs(10)),
        max_failed_attempts: raw.max_failed_attempts.unwrap_or(1),
    }
}

fn weighted(raw: &raw::Weighted, name: &Name, provider: &str, notes: &mut Notes<'_>) -> Weighted {
    Weighted {
        services: shares(&raw.services, provider, notes),
        sticky: raw.sticky.0.as_ref().and_then(|sticky| cookie(sticky, name, &["weighted"], notes)),
        health_check: raw.health_check.0.is_some(),
    }
}

/// The services below a weighted one.
pub(super) fn shares(raw: &[raw::WeightedService], provider: &str, notes: &mut Notes<'_>) -> Vec<(Name, u32)> {
    let mut services = Vec::new();
    for (index, child) in raw.iter().enumerate() {
        let index = index.to_string();
        let below = |key| ["weighted", "services", &index, key];
        let Some(text) = child.name.as_deref().filter(|text| !text.is_empty()) else {
            notes.error(&below("name"), "expected the name of a service", "name one of the same provider, or `name@provider`");
            continue;
        };
        match u32::try_from(child.weight.unwrap_or(1).max(0)) {
            Ok(weight) => services.push((Name::qualify(text, provider), weight)),
            Err(_) => notes.error(
                &below("weight"),
                format!("expected at most {}", u32::MAX),
                "weights count relative to each other: write smaller ones",
            ),
        }
    }
    if raw.is_empty() {
        notes.error(&["weighted", "services"], "expected at least one service", "list them with `name` and `weight`");
    }
    services
}
