//! Which objects were refused or served with a warning, and who uses what.
//!
//! A rejection names a key in its source's spelling (`http.routers.web.rule`, `traefik/http/routers/web/rule`); the unit is the
//! segment behind `routers`, `services` or `middlewares`.

use fairlead_core::{
    Name,
    config::{
        Config, Rejection, Severity,
        dynamic::{MiddlewareKind, Service, ServiceKind},
    },
    map::Map,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The kinds of object: three of requests, three of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Router,
    Service,
    Middleware,
    TcpRouter,
    TcpService,
    TcpMiddleware,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Router | Self::TcpRouter => "router",
            Self::Service | Self::TcpService => "service",
            Self::Middleware | Self::TcpMiddleware => "middleware",
        }
    }
}

/// What is known of an object besides its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Enabled,
    /// Served, though not as written.
    Warning,
    /// Not served at all.
    Disabled,
}

impl Standing {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Warning => "warning",
            Self::Disabled => "disabled",
        }
    }
}

/// Messages by object, and references turned round.
pub(super) struct Verdicts<'a> {
    /// By kind and local name: a rejection does not say its provider.
    messages: BTreeMap<(Kind, String), Vec<&'a Rejection>>,
    services_used_by: Users<'a>,
    middlewares_used_by: Users<'a>,
    tcp_services_used_by: Users<'a>,
    tcp_middlewares_used_by: Users<'a>,
    /// Refused and without a last good version: not in the configuration.
    disabled: BTreeSet<(Kind, String)>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(config: &'a Config, rejections: &'a [Rejection]) -> Self {
        let mut messages = BTreeMap::<_, Vec<_>>::new();
        for rejection in rejections {
            if let Some(unit) = unit(&rejection.key) {
                messages.entry(unit).or_default().push(rejection);
            }
        }
        let served: BTreeSet<(Kind, String)> = (config.routers.keys().map(|n| (Kind::Router, n)))
            .chain(config.services.keys().map(|n| (Kind::Service, n)))
            .chain(config.middlewares.keys().map(|n| (Kind::Middleware, n)))
            .chain(config.tcp.routers.keys().map(|n| (Kind::TcpRouter, n)))
            .chain(config.tcp.services.keys().map(|n| (Kind::TcpService, n)))
            .chain(config.tcp.middlewares.keys().map(|n| (Kind::TcpMiddleware, n)))
            .map(|(kind, name)| (kind, fold(name.local())))
            .collect();
        let refused = |unit: &(Kind, String), messages: &[&Rejection]| {
            !served.contains(unit) && messages.iter().any(|r| r.severity == Severity::Error)
        };
        let disabled = messages.iter().filter(|(unit, m)| refused(unit, m)).map(|(unit, _)| unit.clone()).collect();
        let (mut services_used_by, mut middlewares_used_by) = (BTreeMap::new(), BTreeMap::new());
        for (name, router) in &config.routers {
            reach(&router.service, name, &mut services_used_by, &|service| children(&config.services, service));
            for middleware in &router.middlewares {
                reach(middleware, name, &mut middlewares_used_by, &|middleware| links(config, middleware));
            }
        }
        let (mut tcp_services_used_by, mut tcp_middlewares_used_by) = (BTreeMap::new(), BTreeMap::new());
        for (name, router) in &config.tcp.routers {
            reach(&router.service, name, &mut tcp_services_used_by, &|service| children(&config.tcp.services, service));
            for middleware in &router.middlewares {
                reach(middleware, name, &mut tcp_middlewares_used_by, &|_| Vec::new());
            }
        }
        Self { messages, services_used_by, middlewares_used_by, tcp_services_used_by, tcp_middlewares_used_by, disabled }
    }

    pub(super) fn standing(&self, kind: Kind, name: &Name) -> Standing {
        if self.about(kind, name.local()).is_empty() { Standing::Enabled } else { Standing::Warning }
    }

    /// What was said of the object of this local name.
    pub(super) fn about(&self, kind: Kind, local: &str) -> &[&'a Rejection] {
        self.messages.get(&(kind, fold(local))).map_or(&[], Vec::as_slice)
    }

    /// Local names of the objects of this kind that are not served.
    pub(super) fn disabled(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.disabled.iter().filter(move |(k, _)| *k == kind).map(|(_, name)| name.as_str())
    }

    /// Routers that use this service or middleware.
    pub(super) fn used_by(&self, kind: Kind, name: &Name) -> Vec<&'a str> {
        let map = match kind {
            Kind::Middleware => &self.middlewares_used_by,
            Kind::TcpService => &self.tcp_services_used_by,
            Kind::TcpMiddleware => &self.tcp_middlewares_used_by,
            Kind::Service | Kind::Router | Kind::TcpRouter => &self.services_used_by,
        };
        map.get(name.as_str()).map_or_else(Vec::new, |users| users.iter().copied().collect())
    }
}

type Users<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Notes the user of an object and of all that it refers to: as Traefik has it, users are routers.
fn reach<'a>(what: &'a Name, user: &'a Name, users: &mut Users<'a>, next: &dyn Fn(&Name) -> Vec<&'a Name>) {
    // What has been noted is not entered again, so that a circle ends.
    if users.entry(what.as_str()).or_default().insert(user.as_str()) {
        for child in next(what) {
            reach(child, user, users, next);
        }
    }
}

fn children<'a>(services: &'a Map<Name, Arc<Service>>, name: &Name) -> Vec<&'a Name> {
    match services.get(name).map(|service| &service.kind) {
        Some(ServiceKind::Weighted(weighted)) => weighted.services.iter().map(|(child, _)| child).collect(),
        Some(ServiceKind::Failover(failover)) => vec![&failover.service, &failover.fallback],
        _ => Vec::new(),
    }
}

fn links<'a>(config: &'a Config, name: &Name) -> Vec<&'a Name> {
    match config.middlewares.get(name).map(|middleware| &middleware.kind) {
        Some(MiddlewareKind::Chain { middlewares }) => middlewares.iter().collect(),
        _ => Vec::new(),
    }
}

/// The object that a key belongs to.
fn unit(key: &str) -> Option<(Kind, String)> {
    let mut segments = key.split(['.', '/']);
    let mut tcp = false;
    let kind = segments.find_map(|segment| {
        let kinds = [
            ("routers", Kind::Router, Kind::TcpRouter),
            ("services", Kind::Service, Kind::TcpService),
            ("middlewares", Kind::Middleware, Kind::TcpMiddleware),
        ];
        let found = kinds.into_iter().find(|(name, ..)| segment.eq_ignore_ascii_case(name));
        let kind = found.map(|(_, http, of_tcp)| if tcp { of_tcp } else { http });
        tcp = segment.eq_ignore_ascii_case("tcp");
        kind
    })?;
    let name = segments.next().filter(|name| !name.is_empty())?;
    Some((kind, fold(name.split('@').next().unwrap_or(name))))
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_source_name_their_unit() {
        let unit = |key| super::unit(key);
        assert_eq!(unit("http.routers.Web.rule"), Some((Kind::Router, "web".to_owned())));
        assert_eq!(unit("traefik/http/services/api/loadBalancer/servers/0/url"), Some((Kind::Service, "api".to_owned())));
        assert_eq!(unit("traefik.http.middlewares.auth.basicauth.users"), Some((Kind::Middleware, "auth".to_owned())));
        assert_eq!(unit("traefik.tcp.routers.db.rule"), Some((Kind::TcpRouter, "db".to_owned())));
        assert_eq!(unit("http.services.tcp.loadBalancer"), Some((Kind::Service, "tcp".to_owned())));
        assert_eq!(unit("http.routers"), None);
        assert_eq!(unit("tls.certificates"), None);
    }
}
