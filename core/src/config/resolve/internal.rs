//! What Fairlead declares itself, under the provider `internal`: the API, `/ping`, `/metrics`, and redirections of entry points.

use super::{
    INTERNAL, Settled,
    router::Draft,
    settle::{Candidate, Candidates},
};
use crate::{
    Name,
    config::{
        Rejection, Severity, StaticConfig,
        dynamic::{Internal, Middleware, MiddlewareKind, Service, ServiceKind},
        static_::ADMIN_ENTRY_POINT,
    },
    map::Map,
    rule::{self, Syntax},
};
use std::sync::Arc;

/// Source of what nobody wrote.
const SOURCE: &str = "static configuration";

pub(super) fn add_one<T: Settled>(candidates: &mut Candidates<T>, name: Name, unit: T, last: &Map<Name, Arc<T>>) {
    let last = last.get(&name).cloned();
    candidates.insert(name, Candidate::new(None, Some(unit), last, Vec::new()));
}

fn list(config: &StaticConfig) -> Vec<(Name, Internal)> {
    let api = config.api.as_ref();
    let offered = [
        ("api", Internal::Api, api.is_some()),
        ("dashboard", Internal::Api, api.is_some_and(|api| api.dashboard)),
        ("ping", Internal::Ping, config.ping.is_some()),
        ("prometheus", Internal::Metrics, config.prometheus.is_some()),
        ("noop", Internal::Noop, true),
        ("whoami", Internal::Whoami, true),
    ];
    offered.into_iter().filter(|(_, _, offered)| *offered).map(|(name, kind, _)| (Name::qualify(name, INTERNAL), kind)).collect()
}

pub(super) fn service_names(config: &StaticConfig) -> impl Iterator<Item = Name> {
    list(config).into_iter().map(|(name, _)| name)
}

pub(super) fn services(config: &StaticConfig, candidates: &mut Candidates<Service>, last: &Map<Name, Arc<Service>>) {
    for (name, kind) in list(config) {
        let service = Service { name: name.clone(), kind: ServiceKind::Internal(kind), source: SOURCE.to_owned() };
        add_one(candidates, name, service, last);
    }
}

/// What to do about an internal service that is not there.
pub(super) fn hint(missing: &Name) -> Option<String> {
    Some(
        match missing.as_str() {
            "api@internal" => "switch the API on in the static configuration: `api: {}` or --api",
            "dashboard@internal" => "switch the dashboard on in the static configuration: `api.dashboard: true`",
            "ping@internal" => "switch it on in the static configuration: `ping: {}` or --ping",
            "prometheus@internal" => "switch it on in the static configuration: `metrics.prometheus: {}` or --metrics.prometheus",
            "rest@internal" | "acme-http@internal" => "not supported yet",
            _ => return None,
        }
        .to_owned(),
    )
}

pub(super) fn middlewares(config: &StaticConfig, candidates: &mut Candidates<Middleware>, last: &Map<Name, Arc<Middleware>>) {
    for (point, redirection) in redirections(config) {
        let name = Name::qualify(&format!("redirect-{}", title(point, &redirection.to)), INTERNAL);
        let kind = MiddlewareKind::RedirectScheme {
            scheme: redirection.scheme.clone(),
            port: redirection.port,
            permanent: redirection.permanent,
        };
        let middleware = Middleware { name: name.clone(), kind, source: SOURCE.to_owned() };
        add_one(candidates, name, middleware, last);
    }
}

fn redirections(config: &StaticConfig) -> impl Iterator<Item = (&str, &crate::config::static_::Redirection)> {
    config.entry_points.values().filter_map(|point| Some((point.name.as_str(), point.http.redirection.as_ref()?)))
}

/// `web-to-443`: all but letters and digits become single dashes.
fn title(point: &str, target: &str) -> String {
    let text = format!("{point}-to-{target}");
    text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// The routers, and whether entry points' defaults apply to them: to redirections they do not, which meet requests as they come.
pub(super) fn routers(config: &StaticConfig, rejections: &mut Vec<Rejection>) -> Vec<(Draft, bool)> {
    let mut routers = Vec::new();
    let mut add = |name: &str, entry_point: &str, rule: String, priority: i64, service: &str, middleware: Option<String>| {
        let defaults = middleware.is_none();
        match rule::parse(&rule, Syntax::V3) {
            Ok(parsed) => routers.push((
                Draft {
                    declared: Name::qualify(name, INTERNAL),
                    entry_points: [entry_point.to_owned()].into(),
                    rule: parsed,
                    priority,
                    middlewares: middleware.iter().map(|name| Name::qualify(name, INTERNAL)).collect(),
                    service: Name::qualify(service, INTERNAL),
                    tls: None,
                    access_log: None,
                    metrics: None,
                    tracing: None,
                    source: SOURCE.to_owned(),
                },
                defaults,
            )),
            Err(error) => rejections.push(Rejection {
                severity: Severity::Error,
                source: SOURCE.to_owned(),
                key: name.to_owned(),
                message: format!("the rule {rule} of the internal router is refused: {error}"),
                remedy: "choose another `api.basePath`".to_owned(),
            }),
        }
    };
    if let Some(api) = config.api.as_ref().filter(|api| api.insecure) {
        add("api", ADMIN_ENTRY_POINT, format!("PathPrefix(`{}/api`)", api.base_path), i64::MAX - 1, "api", None);
        if api.dashboard {
            let base = if api.base_path.is_empty() { "/" } else { &api.base_path };
            add("dashboard", ADMIN_ENTRY_POINT, format!("PathPrefix(`{base}`)"), i64::MAX - 2, "dashboard", None);
        }
    }
    if let Some(ping) = config.ping.as_ref().filter(|ping| !ping.manual_routing) {
        add("ping", &ping.entry_point, "PathPrefix(`/ping`) || Path(`/ready`)".to_owned(), i64::MAX, "ping", None);
    }
    if let Some(metrics) = config.prometheus.as_ref().filter(|metrics| !metrics.manual_routing) {
        add("prometheus", &metrics.entry_point, "PathPrefix(`/metrics`)".to_owned(), i64::MAX, "prometheus", None);
    }
    for (point, redirection) in redirections(config) {
        let title = title(point, &redirection.to);
        let middleware = format!("redirect-{title}");
        add(&title, point, "HostRegexp(`^.+$`)".to_owned(), redirection.priority, "noop", Some(middleware));
    }
    routers
}
