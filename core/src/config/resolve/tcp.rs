//! Routers, services and middlewares of connections: the same steps as for requests, with fewer kinds.
//!
//! Names here are apart from those of `http`: a router of connections refers to services and middlewares of connections only.

use super::{
    Fault, Hints, MAX_EXPANSION, Memo, Notes, Settled, candidates, middleware, router, service, settle::settle, source_of, tls,
};
use crate::{
    Name,
    config::{
        Config, RawDynamic, Rejection, StaticConfig, Tree,
        decode::{quote, read},
        dynamic::{
            Depth, LoadBalancer, Middleware, MiddlewareKind, ProxyVersion, Server, ServerUrl, Service, ServiceKind, Tcp,
            TcpRouter, TcpTls, Tls, UpstreamScheme, Weighted,
        },
        raw,
        static_::PRIORITY_LIMIT,
    },
    rule,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What was built, for the next time.
pub(super) struct Made {
    pub(super) routers: super::Built<TcpRouter>,
    pub(super) services: super::Built<Service>,
    pub(super) middlewares: super::Built<Middleware>,
}

impl Settled for TcpRouter {
    fn same(&self, other: &Self) -> bool {
        (&self.name, &self.entry_points, &self.rule, self.priority)
            == (&other.name, &other.entry_points, &other.rule, other.priority)
            && (&self.middlewares, &self.service, &self.tls, &self.source)
                == (&other.middlewares, &other.service, &other.tls, &other.source)
    }
}

pub(super) fn resolve(
    inputs: &BTreeMap<String, RawDynamic>,
    config: &StaticConfig,
    last: &Config,
    memo: &Memo,
    tls: &Tls,
    hints: &Hints,
    rejections: &mut Vec<Rejection>,
) -> (Tcp, Made) {
    let (middlewares, middlewares_built) = candidates(
        inputs,
        |raw| &raw.tcp_middlewares,
        &last.tcp.middlewares,
        &memo.tcp_middlewares,
        |unit, name, _, notes| build_middleware(unit, name, notes),
    );
    let middleware_names: Vec<Name> = middlewares.keys().cloned().collect();
    let middlewares = settle(middlewares, MAX_EXPANSION, |_: &Middleware| Vec::new(), |_, _| None, rejections);

    let (mut services, services_built) = candidates(
        inputs,
        |raw| &raw.tcp_services,
        &last.tcp.services,
        &memo.tcp_services,
        |unit, name, provider, notes| build_service(unit, name, provider, config, notes),
    );
    for candidate in services.values_mut() {
        candidate.amend_last(|tree, last| service::among_instances(tree, last, read_server));
    }
    let service_names: Vec<Name> = services.keys().cloned().collect();
    let services = settle(
        services,
        MAX_EXPANSION,
        |service: &Service| service::children(&service.kind),
        |_, missing| {
            let remedy = hints.for_name(missing, &service_names);
            Some(Fault { path: vec!["weighted", "services"], message: format!("there is no TCP service `{missing}`"), remedy })
        },
        rejections,
    );

    let (mut routers, routers_built) = candidates(
        inputs,
        |raw| &raw.tcp_routers,
        &last.tcp.routers,
        &memo.tcp_routers,
        |unit, name, provider, notes| build_router(unit, name, provider, config, last, notes),
    );
    let default_broken = router::is_default_broken(inputs, tls);
    let options = router::options_names(tls);
    for candidate in routers.values_mut() {
        candidate.demote_if(|router: &TcpRouter| {
            let mut faults = Vec::new();
            if !services.contains_key(&router.service) {
                let message = format!("there is no TCP service `{}`", router.service);
                faults.push(Fault { path: vec!["service"], message, remedy: hints.for_name(&router.service, &service_names) });
            }
            for name in router.middlewares.iter().filter(|name| !middlewares.contains_key(*name)).collect::<BTreeSet<_>>() {
                let message = format!("there is no TCP middleware `{name}`");
                faults.push(Fault { path: vec!["middlewares"], message, remedy: hints.for_name(name, &middleware_names) });
            }
            // What is passed through is another's TLS.
            if let Some(wanted) = router.tls.as_ref().filter(|wanted| !wanted.passthrough) {
                faults.extend(router::options_fault(&wanted.options, tls, default_broken, &options, hints));
            }
            faults
        });
    }
    let routers = settle(routers, usize::MAX, |_| Vec::new(), |_, _| None, rejections);
    let made = Made { routers: routers_built, services: services_built, middlewares: middlewares_built };
    (Tcp { routers, services, middlewares }, made)
}

fn build_middleware(raw: &raw::TcpMiddleware, name: &Name, notes: &mut Notes<'_>) -> Option<Middleware> {
    let (kind, list) = match (&raw.ip_allow_list, &raw.ip_white_list) {
        (Some(list), None) => ("ipAllowList", list),
        (None, Some(list)) => ("ipWhiteList", list),
        (None, None) => {
            notes.error(&[], "expected a kind of TCP middleware below it", "write for instance ipAllowList with sourceRange");
            return None;
        }
        (Some(_), Some(_)) => {
            notes.error(&[], "is of two kinds", "make two middlewares of it");
            return None;
        }
    };
    if list.source_range.is_empty() {
        notes.error(&[kind, "sourceRange"], "expected at least one range", "write for instance 10.0.0.0/8");
    }
    let ranges = middleware::ranges(&list.source_range, &[kind, "sourceRange"], notes);
    let kind = MiddlewareKind::IpAllowList { ranges, depth: Depth::Peer, reject_status: 403 };
    Some(Middleware { name: name.clone(), kind, source: source_of(notes.tree) })
}

fn build_service(
    raw: &raw::TcpService,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    notes: &mut Notes<'_>,
) -> Option<Service> {
    let kind = match (&raw.load_balancer, &raw.weighted) {
        (Some(balancer), None) => ServiceKind::LoadBalancer(Arc::new(load_balancer(balancer, config, notes))),
        (None, Some(weighted)) => ServiceKind::Weighted(Box::new(Weighted {
            services: service::shares(&weighted.services, provider, notes),
            sticky: None,
            health_check: weighted.health_check.0.is_some(),
        })),
        (None, None) => {
            notes.error(&[], "expected loadBalancer or weighted below it", "give it a loadBalancer with servers");
            return None;
        }
        _ => {
            notes.error(&[], "is of two kinds", "make two services of it");
            return None;
        }
    };
    Some(Service { name: name.clone(), kind, source: source_of(notes.tree) })
}

fn load_balancer(raw: &raw::TcpLoadBalancer, config: &StaticConfig, notes: &mut Notes<'_>) -> LoadBalancer {
    let listed = raw.servers.iter().enumerate().map(|(index, server)| (vec!["servers".to_owned(), index.to_string()], server));
    let single = raw.server.iter().map(|server| (vec!["server".to_owned()], server));
    let servers = listed.chain(single).filter_map(|(place, server)| self::server(&place, server, notes)).collect();
    let proxy_protocol = raw.proxy_protocol.0.as_ref().map(|wanted| match wanted.version {
        None | Some(2) => ProxyVersion::V2,
        Some(1) => ProxyVersion::V1,
        Some(other) => {
            let path = ["loadBalancer", "proxyProtocol", "version"];
            notes.error(&path, format!("expected 1 or 2, found {other}"), "remove it for 2");
            ProxyVersion::V2
        }
    });
    LoadBalancer {
        servers,
        strategy: service::strategy(raw.strategy.as_deref(), notes),
        passive_health_check: raw.passive_health_check.as_ref().map(|check| service::passive(check, notes)),
        proxy_protocol,
        ..LoadBalancer::new(config.servers_transport.name.clone())
    }
}

fn server(place: &[String], raw: &raw::TcpServer, notes: &mut Notes<'_>) -> Option<Server> {
    let path: Vec<&str> = ["loadBalancer"].into_iter().chain(place.iter().map(String::as_str)).collect();
    let below = |key: &'static str| [&path[..], &[key]].concat();
    if raw.tls {
        let remedy = "remove it: a router with `tls.passthrough` brings the client's own TLS to the server";
        notes.error(&below("tls"), "TLS to servers of TCP services is known, but not supported yet", remedy);
    }
    let Some(text) = raw.address.as_deref().map(str::trim).filter(|address| !address.is_empty()) else {
        let message = match raw.port {
            Some(_) => "`port` alone is for labels, where the address is the container's",
            None => "a server needs an address",
        };
        notes.error(&below("address"), message, "write for instance 10.0.0.1:5432");
        return None;
    };
    let url = match address(text) {
        Ok(url) => url,
        Err(expected) => {
            notes.error(&below("address"), format!("{expected}; found {}", quote(text)), "write for instance 10.0.0.1:5432");
            return None;
        }
    };
    Some(Server {
        instance: raw.instance.clone().unwrap_or_default(),
        node: raw.node.clone().unwrap_or_default(),
        unreachable: raw.unreachable.clone().filter(|why| !why.is_empty()),
        ..Server::new(url, 1)
    })
}

/// `host:port`.
fn address(text: &str) -> Result<ServerUrl, String> {
    if text.contains('/') {
        return Err("expected a host and a port only".to_owned());
    }
    if !text.rsplit_once(':').is_some_and(|(host, port)| !port.is_empty() && !port.contains(']') && !host.is_empty()) {
        return Err("expected a port behind the host".to_owned());
    }
    let url = service::server_url(&format!("http://{text}"))?;
    Ok(ServerUrl { scheme: UpstreamScheme::Tcp, text: text.into(), ..url })
}

/// A server as discovery wrote it.
fn read_server(tree: &Tree) -> Option<Server> {
    read::<raw::TcpServer>(tree).0.and_then(|raw| server(&[], &raw, &mut Notes::new(tree, Vec::new())))
}

fn build_router(
    raw: &raw::TcpRouter,
    name: &Name,
    provider: &str,
    config: &StaticConfig,
    last: &Config,
    notes: &mut Notes<'_>,
) -> Option<TcpRouter> {
    let syntax = router::syntax_of(raw.rule_syntax.as_deref(), config, notes)?;
    let known = last.tcp.routers.get(name).map(|router| &router.rule);
    let rule = router::rule_of(raw.rule.as_deref(), syntax, known, &LANGUAGE, notes);
    let service = raw.service.as_deref().filter(|text| !text.is_empty());
    if service.is_none() {
        notes.error(&["service"], "a router needs a service", "name a TCP service of the same provider, or `name@provider`");
    }
    let priority = raw.priority.unwrap_or(0);
    if priority > PRIORITY_LIMIT {
        let message = format!("expected at most {PRIORITY_LIMIT}: what lies above is Fairlead's own");
        notes.error(&["priority"], message, "write a smaller one");
    }
    let entry_points = router::entry_points(&raw.entry_points, config, notes);
    let tls = raw.tls.0.as_ref().map(|tls| {
        router::warn_of_resolver(tls.cert_resolver.as_ref().filter(|_| !tls.passthrough), notes);
        TcpTls {
            passthrough: tls.passthrough,
            options: tls::options_name(tls.options.as_deref(), provider),
            cert_resolver: tls.cert_resolver.clone().filter(|text| !text.is_empty()),
            domains: tls.domains.iter().map(|domain| domain.main.iter().chain(&domain.sans).cloned().collect()).collect(),
        }
    });
    if tls.is_none() && rule.as_ref().is_some_and(rule::Rule::needs_server_name) {
        let message = "asks for a server name, which only TLS tells, and the router has no `tls`";
        let remedy = "write HostSNI(`*`), or give the router `tls`, with `passthrough: true` where the server ends TLS itself";
        notes.error(&["rule"], message, remedy);
    }
    let (rule, service) = (rule?, service?);
    Some(TcpRouter {
        name: name.clone(),
        entry_points: entry_points?,
        priority: match priority {
            // After everything that says more.
            0 if rule.is_catch_all() => -1,
            0 => i64::try_from(rule.text().len()).unwrap_or(PRIORITY_LIMIT),
            given => given,
        },
        rule,
        middlewares: raw.middlewares.iter().map(|text| Name::qualify(text, provider)).collect(),
        service: Name::qualify(service, provider),
        tls,
        source: source_of(notes.tree),
    })
}

const LANGUAGE: router::RuleLanguage = router::RuleLanguage {
    parse: rule::parse_tcp,
    missing: "write for instance HostSNI(`example.com`), or HostSNI(`*`) for every connection",
    example: "correct the rule, for instance HostSNI(`example.com`) && ALPN(`h2`)",
};
