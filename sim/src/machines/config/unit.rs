//! Units as the model knows them, and how each provider writes them down.

use super::super::rules::Cond;
use crate::chance::Chance;
use fairlead_core::{
    Name,
    config::{
        Config, RawDynamic, decode,
        dynamic::{MiddlewareKind, Router as Resolved, Service, ServiceKind},
        file::{self, Format},
        kv, labels,
    },
};
use std::collections::BTreeMap;

/// Names of units, the same for each kind and provider.
pub(in crate::machines) const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// A name that nobody declares.
const NOWHERE: &str = "nowhere";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machines) enum Provider {
    File,
    Etcd,
    Swarm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machines) enum Kind {
    Middleware,
    Service,
    Router,
}

pub(super) const KINDS: [Kind; 3] = [Kind::Middleware, Kind::Service, Kind::Router];

/// Where a unit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::machines) struct Identity {
    pub(super) kind: Kind,
    pub(super) provider: Provider,
    pub(super) name: usize,
}

/// A reference: of the same provider, or with the provider's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machines) struct Reference {
    /// `None`: nobody's.
    name: Option<usize>,
    provider: Option<Provider>,
}

/// What is wrong with how a unit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machines) enum Flaw {
    None,
    UnknownKey,
    BadValue,
    /// Its last part is missing.
    Torn,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::machines) struct Unit {
    pub(super) what: What,
    flaw: Flaw,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::machines) enum What {
    Router(Router),
    Balancer { servers: Vec<(u8, u32)> },
    Weighted { children: Vec<(Reference, u32)> },
    Failover { main: Reference, fallback: Reference },
    Prefix(u8),
    Chain(Vec<Reference>),
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::machines) struct Router {
    pub(super) rule: Cond,
    service: Reference,
    middlewares: Vec<Reference>,
    written_priority: i64,
    /// The length of its rule unless written.
    pub(super) priority: i64,
    pub(super) tls: bool,
}

impl Provider {
    pub(super) const ALL: [Self; 3] = [Self::File, Self::Etcd, Self::Swarm];

    pub(super) fn name(self) -> &'static str {
        ["file", "etcd", "swarm"][self as usize]
    }
}

impl Kind {
    fn section(self) -> &'static str {
        ["middlewares", "services", "routers"][self as usize]
    }
}

impl Identity {
    pub(super) fn draw(chance: &mut Chance, providers: usize) -> Self {
        Self {
            kind: chance.pick(&KINDS),
            provider: Provider::ALL[chance.count(0, providers - 1)],
            name: chance.count(0, NAMES.len() - 1),
        }
    }

    /// `a@file`.
    pub(super) fn full(self) -> String {
        format!("{}@{}", NAMES[self.name], self.provider.name())
    }

    /// As it stands in messages.
    pub(super) fn key(self) -> String {
        let (section, name) = (self.kind.section(), NAMES[self.name]);
        match self.provider {
            Provider::File => format!("http.{section}.{name}"),
            Provider::Etcd => format!("traefik/http/{section}/{name}"),
            Provider::Swarm => format!("traefik.http.{section}.{name}"),
        }
    }
}

impl Reference {
    fn draw(lost: u64, chance: &mut Chance) -> Self {
        Self {
            name: (!chance.percent(lost)).then(|| chance.count(0, NAMES.len() - 1)),
            provider: chance.percent(25).then(|| chance.pick(&Provider::ALL)),
        }
    }

    fn text(self) -> String {
        let name = self.name.map_or(NOWHERE, |name| NAMES[name]);
        self.provider.map_or_else(|| name.to_owned(), |provider| format!("{name}@{}", provider.name()))
    }

    /// What it means in a unit of this provider.
    pub(super) fn full(self, provider: Provider) -> String {
        let name = self.name.map_or(NOWHERE, |name| NAMES[name]);
        format!("{name}@{}", self.provider.unwrap_or(provider).name())
    }
}

#[cfg(test)]
impl Reference {
    pub(super) fn local(name: usize) -> Self {
        Self { name: Some(name), provider: None }
    }
}

#[cfg(test)]
impl Unit {
    pub(super) fn of(what: What) -> Self {
        Self { what, flaw: Flaw::None }
    }
}

impl Unit {
    pub(super) fn draw(kind: Kind, flaws: u64, lost: u64, chance: &mut Chance) -> Self {
        let several = |chance: &mut Chance, most| -> Vec<Reference> {
            (0..chance.count(1, most)).map(|_| Reference::draw(lost, chance)).collect()
        };
        let what = match (kind, chance.within(0, 9)) {
            (Kind::Router, _) => {
                let rule = Cond::draw(chance, 1);
                let service = Reference::draw(lost, chance);
                let middlewares = if chance.percent(50) { Vec::new() } else { several(chance, 2) };
                let written_priority = chance.pick(&[0, 0, 1, 7]);
                let priority = if written_priority == 0 { rule.to_string().len() as i64 } else { written_priority };
                What::Router(Router { rule, service, middlewares, written_priority, priority, tls: chance.percent(30) })
            }
            (Kind::Service, 0..=5) => What::Balancer {
                servers: (0..chance.count(0, 3)).map(|_| (chance.within(1, 9) as u8, chance.within(0, 3) as u32)).collect(),
            },
            (Kind::Service, 6 | 7) => What::Weighted {
                children: several(chance, 2).into_iter().map(|child| (child, chance.within(0, 3) as u32)).collect(),
            },
            (Kind::Service, _) => What::Failover { main: Reference::draw(lost, chance), fallback: Reference::draw(lost, chance) },
            (Kind::Middleware, 0..=5) => What::Prefix(chance.within(0, 9) as u8),
            (Kind::Middleware, _) => What::Chain(several(chance, 2)),
        };
        let flaw = match chance.percent(flaws) {
            true => chance.pick(&[Flaw::UnknownKey, Flaw::BadValue, Flaw::Torn]),
            false => Flaw::None,
        };
        Self { what, flaw }
    }

    /// Whether it says something that could be served, taken alone.
    pub(super) fn is_readable(&self) -> bool {
        self.flaw == Flaw::None
    }

    /// Units of its own kind that it refers to.
    pub(super) fn references(&self, provider: Provider) -> Vec<String> {
        match &self.what {
            What::Weighted { children } => children.iter().map(|(child, _)| child.full(provider)).collect(),
            What::Failover { main, fallback } => vec![main.full(provider), fallback.full(provider)],
            What::Chain(members) => members.iter().map(|member| member.full(provider)).collect(),
            What::Router(_) | What::Balancer { .. } | What::Prefix(_) => Vec::new(),
        }
    }

    /// The service and the middlewares of a router.
    pub(super) fn needs(&self, provider: Provider) -> Option<(String, Vec<String>)> {
        let What::Router(router) = &self.what else { return None };
        Some((router.service.full(provider), router.middlewares.iter().map(|name| name.full(provider)).collect()))
    }

    /// Keys below the unit, with their values.
    fn lines(&self) -> Vec<(String, String)> {
        let line = |key: &str, value: String| (key.to_owned(), value);
        let mut lines = match &self.what {
            What::Router(router) => {
                let mut lines = vec![line("rule", router.rule.to_string())];
                if router.written_priority != 0 {
                    lines.push(line("priority", router.written_priority.to_string()));
                }
                if router.tls {
                    lines.push(line("tls", "true".into()));
                }
                lines.extend(router.middlewares.iter().enumerate().map(|(n, name)| (format!("middlewares/{n}"), name.text())));
                lines.push(line("service", router.service.text()));
                lines
            }
            What::Balancer { servers } => {
                let server = |(n, (host, weight)): (usize, &(u8, u32))| {
                    let below = |key: &str| format!("loadBalancer/servers/{n}/{key}");
                    [(below("weight"), weight.to_string()), (below("url"), format!("http://10.0.0.{host}"))]
                };
                let host = line("loadBalancer/passHostHeader", "true".into());
                std::iter::once(host).chain(servers.iter().enumerate().flat_map(server)).collect()
            }
            What::Weighted { children } => {
                let child = |(n, (name, weight)): (usize, &(Reference, u32))| {
                    let below = |key: &str| format!("weighted/services/{n}/{key}");
                    [(below("weight"), weight.to_string()), (below("name"), name.text())]
                };
                children.iter().enumerate().flat_map(child).collect()
            }
            What::Failover { main, fallback } => {
                vec![line("failover/service", main.text()), line("failover/fallback", fallback.text())]
            }
            What::Prefix(n) => vec![line("addPrefix/prefix", format!("/p{n}"))],
            What::Chain(members) => {
                members.iter().enumerate().map(|(n, name)| (format!("chain/middlewares/{n}"), name.text())).collect()
            }
        };
        match self.flaw {
            Flaw::None => {}
            Flaw::UnknownKey => lines.push(line("prioritiy", "3".into())),
            Flaw::BadValue => match &self.what {
                What::Router(_) => lines[0].1 = "Host(`a.x`".into(),
                What::Balancer { .. } => lines.push(line("loadBalancer/servers/9/url", "10.0.0.1".into())),
                What::Weighted { .. } | What::Failover { .. } => lines.push(line("loadBalancer/passHostHeader", "true".into())),
                What::Prefix(_) | What::Chain(_) => lines.push(line("retry/attempts", "0".into())),
            },
            Flaw::Torn => {
                lines.pop();
                // Without its last part this one would be another good one, or nothing: it is torn in the middle of a word instead.
                if !matches!(self.what, What::Router(_) | What::Failover { .. }) {
                    lines.push(line("loadBalanc", "x".into()));
                }
            }
        }
        lines
    }

    /// In the words of [`image`].
    pub(super) fn image(&self, provider: Provider) -> String {
        let all = |names: &[Reference]| names.iter().map(|name| name.full(provider)).collect::<Vec<_>>();
        match &self.what {
            What::Router(router) => {
                let Router { rule, service, middlewares, priority, tls, .. } = router;
                let (service, middlewares) = (service.full(provider), all(middlewares));
                router_image(&rule.to_string(), *priority, &service, &middlewares, *tls)
            }
            What::Balancer { servers } => {
                let server = |(host, weight): &(u8, u32)| (format!("http://10.0.0.{host}"), *weight);
                format!("balancer {:?}", servers.iter().map(server).collect::<Vec<_>>())
            }
            What::Weighted { children } => {
                let child = |(name, weight): &(Reference, u32)| (name.full(provider), *weight);
                format!("weighted {:?}", children.iter().map(child).collect::<Vec<_>>())
            }
            What::Failover { main, fallback } => format!("failover {} {}", main.full(provider), fallback.full(provider)),
            What::Prefix(n) => format!("prefix /p{n}"),
            What::Chain(members) => format!("chain {:?}", all(members)),
        }
    }
}

/// What a provider's configuration says that has these units, read as that provider is read.
pub(super) fn read(units: &[(Identity, &Unit)]) -> RawDynamic {
    let Some((Identity { provider, .. }, _)) = units.first() else { return RawDynamic::default() };
    let lines = || {
        units.iter().flat_map(|(at, unit)| {
            let below = format!("http/{}/{}", at.kind.section(), NAMES[at.name]);
            unit.lines().into_iter().map(move |(key, value)| (format!("{below}/{key}"), value))
        })
    };
    let tree = match provider {
        Provider::Etcd => {
            let pairs: Vec<_> = lines().map(|(key, value)| (format!("traefik/{key}"), value)).collect();
            kv::tree(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())), "traefik", "etcd").0
        }
        Provider::Swarm => {
            let pairs: Vec<_> = lines().map(|(key, value)| (format!("traefik.{}", key.replace('/', ".")), value)).collect();
            labels::tree(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())), "traefik", "service web").0
        }
        Provider::File => {
            let text = yaml(&lines().collect());
            file::parse(&text, Format::Yaml, "f.yaml", 1 << 20).unwrap_or_else(|rejection| panic!("{rejection}: {text}"))
        }
    };
    // What belongs to no unit there is not in these.
    decode(&tree).0
}

/// Flow style, lists where keys are numbers.
fn yaml(lines: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut below: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for (key, value) in lines {
        let (head, rest) = key.split_once('/').unwrap_or((key, ""));
        below.entry(head).or_default().insert(rest.to_owned(), value.clone());
    }
    let listed = below.keys().all(|key| key.bytes().all(|byte| byte.is_ascii_digit()));
    text.push(if listed { '[' } else { '{' });
    for (n, (key, lines)) in below.iter().enumerate() {
        let scalar = lines.get("").map(|value| format!("'{value}'"));
        let value = match scalar {
            Some(value) if *key == "tls" && value == "'true'" => "{}".to_owned(),
            Some(value) if ["'true'"].contains(&value.as_str()) || value.trim_matches('\'').parse::<i64>().is_ok() => {
                value.trim_matches('\'').to_owned()
            }
            Some(value) => value,
            None => yaml(lines),
        };
        let comma = if n > 0 { ", " } else { "" };
        let name = if listed { String::new() } else { format!("{key}: ") };
        text.push_str(&format!("{comma}{name}{value}"));
    }
    text.push(if listed { ']' } else { '}' });
    text
}

fn router_image(rule: &str, priority: i64, service: &str, middlewares: &[String], tls: bool) -> String {
    format!("{rule} {priority} → {middlewares:?} → {service}, tls {tls}")
}

/// Every unit of a configuration, as text that can be compared.
pub(super) fn image(config: &Config) -> BTreeMap<String, String> {
    let names = |names: &[Name]| names.iter().map(Name::to_string).collect::<Vec<_>>();
    let router = |router: &Resolved| {
        let (service, middlewares) = (router.service.to_string(), names(&router.middlewares));
        router_image(router.rule.text(), router.priority, &service, &middlewares, router.tls.is_some())
    };
    let service = |service: &Service| match &service.kind {
        ServiceKind::LoadBalancer(balancer) => {
            let servers: Vec<_> = balancer.servers.iter().map(|server| (server.url.text.clone(), server.weight)).collect();
            format!("balancer {servers:?}")
        }
        ServiceKind::Weighted(weighted) => {
            let children: Vec<_> = weighted.services.iter().map(|(name, weight)| (name.to_string(), *weight)).collect();
            format!("weighted {children:?}")
        }
        ServiceKind::Failover(failover) => format!("failover {} {}", failover.service, failover.fallback),
        ServiceKind::Internal(internal) => format!("{internal:?}"),
    };
    let middleware = |kind: &MiddlewareKind| match kind {
        MiddlewareKind::AddPrefix { prefix } => format!("prefix {prefix}"),
        MiddlewareKind::Chain { middlewares } => format!("chain {:?}", names(middlewares)),
        other => format!("{other:?}"),
    };
    let mut image = BTreeMap::new();
    image.extend(config.routers.iter().map(|(name, unit)| (format!("router {name}"), router(unit))));
    image.extend(config.services.iter().map(|(name, unit)| (format!("service {name}"), service(unit))));
    image.extend(config.middlewares.iter().map(|(name, unit)| (format!("middleware {name}"), middleware(&unit.kind))));
    image
}

/// The prefix of a unit's name in an [`image`].
pub(super) fn image_name(at: Identity) -> String {
    let kind = ["middleware", "service", "router"][at.kind as usize];
    format!("{kind} {}", at.full())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_reads_what_was_written() {
        let reference = Reference { name: Some(1), provider: None };
        let unit = |what| Unit { what, flaw: Flaw::None };
        let router = What::Router(Router {
            rule: Cond::Host("a.x"),
            service: reference,
            middlewares: vec![reference],
            written_priority: 7,
            priority: 7,
            tls: true,
        });
        for provider in Provider::ALL {
            let at = |kind, name| Identity { kind, provider, name };
            let units = [
                (at(Kind::Router, 0), unit(router.clone())),
                (at(Kind::Service, 1), unit(What::Balancer { servers: vec![(4, 2), (5, 0)] })),
                (at(Kind::Middleware, 1), unit(What::Prefix(3))),
            ];
            let raw = read(&units.iter().map(|(at, unit)| (*at, unit)).collect::<Vec<_>>());
            assert_eq!(
                (raw.routers().collect::<Vec<_>>(), raw.services().collect::<Vec<_>>()),
                (vec!["a"], vec!["b"]),
                "{provider:?}"
            );
        }
    }

    #[test]
    fn numbers_make_lists_in_yaml() {
        let lines = [("http/services/a/weighted/services/0/name", "b"), ("http/services/a/weighted/services/0/weight", "2")];
        let lines = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        assert_eq!(yaml(&lines), "{http: {services: {a: {weighted: {services: [{name: 'b', weight: 2}]}}}}}");
    }
}
