//! A snapshot that was made from the one before is the one that is made of nothing.

use super::{tcp::tcp_router, *};
use crate::{
    config::dynamic::{Depth, TcpRouter},
    rule::Connection,
};
use std::collections::BTreeMap;

const SERVICES: [&str; 4] = ["a@file", "b@file", "c@file", "d@file"];
const MIDDLEWARES: [&str; 3] = ["x@file", "y@file", "z@file"];
const OPTIONS: [&str; 2] = ["default", "strict@file"];
const HOSTS: [&str; 4] = ["one", "two", "a.wide", "other"];
const RULES: [&str; 8] = [
    "Host(`one`)",
    "Host(`one`) && PathPrefix(`/p`)",
    "Host(`two`) || Host(`one`)",
    "Host(`*.wide`)",
    "Host(`*`)",
    "PathPrefix(`/p`)",
    "Path(`/p/q`) && !Host(`two`)",
    "Host(`a.wide`) && Method(`GET`)",
];
const TCP_RULES: [&str; 4] = ["HostSNI(`one`)", "HostSNI(`two`) || HostSNI(`other`)", "HostSNI(`*.wide`)", "HostSNI(`*`)"];

/// Rule, priority, service, middlewares, TLS options, and whether it is on both entry points.
type Drawn = (usize, i64, usize, Vec<usize>, Option<usize>, bool);

/// What becomes of one unit; numbers choose among the lists above.
#[derive(Clone, Debug)]
enum Step {
    Router {
        name: usize,
        unit: Option<Drawn>,
    },
    /// The second number: a balancer's version, or what it refers to.
    Service {
        name: usize,
        unit: Option<(u8, usize)>,
    },
    /// Of a chain, those in it.
    Middleware {
        name: usize,
        unit: Option<Option<Vec<usize>>>,
    },
    TcpRouter {
        name: usize,
        unit: Option<(usize, usize, Option<bool>, bool)>,
    },
    /// A group of the other one, or none.
    TcpService {
        name: usize,
        unit: Option<bool>,
    },
    TcpMiddleware {
        there: bool,
    },
    Options {
        strict: Option<bool>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let middlewares = || prop::collection::vec(0..MIDDLEWARES.len(), 0..3);
    let router = (0..RULES.len(), 1..3_i64, 0..SERVICES.len(), middlewares(), prop::option::of(0..OPTIONS.len()), any::<bool>());
    let tcp = (0..TCP_RULES.len(), 0..2_usize, prop::option::of(any::<bool>()), any::<bool>());
    prop_oneof![
        6 => (0..6_usize, prop::option::weighted(0.8, router)).prop_map(|(name, unit)| Step::Router { name, unit }),
        3 => (0..SERVICES.len(), prop::option::weighted(0.7, (0..3_u8, 0..SERVICES.len())))
            .prop_map(|(name, unit)| Step::Service { name, unit }),
        2 => (0..MIDDLEWARES.len(), prop::option::weighted(0.8, prop::option::of(middlewares())))
            .prop_map(|(name, unit)| Step::Middleware { name, unit }),
        3 => (0..4_usize, prop::option::weighted(0.8, tcp)).prop_map(|(name, unit)| Step::TcpRouter { name, unit }),
        1 => (0..2_usize, prop::option::weighted(0.7, any::<bool>())).prop_map(|(name, unit)| Step::TcpService { name, unit }),
        1 => any::<bool>().prop_map(|there| Step::TcpMiddleware { there }),
        1 => prop::option::of(any::<bool>()).prop_map(|strict| Step::Options { strict }),
    ]
}

/// In `map`, or out of it.
fn place<T>(map: &mut Map<Name, Arc<T>>, name: &str, unit: Option<T>) {
    match unit {
        Some(unit) => drop(map.insert(Name::whole(name), Arc::new(unit))),
        None => drop(map.remove(name)),
    }
}

fn take(config: &mut Config, step: Step) {
    match step {
        Step::Router { name, unit } => {
            let name = format!("r{name}@{}", if name % 2 == 0 { "file" } else { "etcd" });
            let unit = unit.map(|(rule, priority, service, middlewares, tls, both)| Router {
                service: Name::whole(SERVICES[service]),
                middlewares: middlewares.into_iter().map(|at| Name::whole(MIDDLEWARES[at])).collect(),
                entry_points: if both { ["secure".into(), "web".into()].into() } else { ["web".into()].into() },
                ..router(&name, RULES[rule], priority, tls.map(|at| OPTIONS[at]))
            });
            place(&mut config.routers, &name, unit);
        }
        Step::Service { name, unit } => {
            let kind = unit.map(|(kind, other)| match kind {
                0 => ServiceKind::Internal(if other == 0 { Internal::Noop } else { Internal::Ping }),
                1 => ServiceKind::Weighted(Box::new(Weighted {
                    services: vec![(Name::whole(SERVICES[other]), 2), (Name::whole("a@file"), 1)],
                    sticky: None,
                    health_check: false,
                })),
                _ => ServiceKind::Failover(Box::new(Failover {
                    service: Name::whole(SERVICES[other]),
                    fallback: Name::whole(SERVICES[(other + 1) % 4]),
                })),
            });
            let name = SERVICES[name];
            let unit = kind.map(|kind| Service { name: Name::whole(name), kind, source: "test".into() });
            place(&mut config.services, name, unit);
        }
        Step::Middleware { name, unit } => {
            let name = MIDDLEWARES[name];
            let kind = unit.map(|chain| match chain {
                Some(names) => {
                    MiddlewareKind::Chain { middlewares: names.into_iter().map(|at| Name::whole(MIDDLEWARES[at])).collect() }
                }
                None => MiddlewareKind::Retry { attempts: 2, initial_interval: Duration::ZERO },
            });
            let unit = kind.map(|kind| Middleware { name: Name::whole(name), kind, source: "test".into() });
            place(&mut config.middlewares, name, unit);
        }
        Step::TcpRouter { name, unit } => {
            let name = format!("t{name}@file");
            let unit = unit.map(|(rule, service, tls, listed)| TcpRouter {
                service: Name::whole(SERVICES[service]),
                middlewares: if listed { vec![Name::whole("x@file")] } else { Vec::new() },
                ..tcp_router(&name, TCP_RULES[rule], 0, tls.or((rule < 3).then_some(true)))
            });
            place(&mut config.tcp.routers, &name, unit);
        }
        Step::TcpService { name, unit } => {
            let other = Name::whole(SERVICES[1 - name]);
            let kind = unit.map(|is_group| match is_group {
                true => {
                    ServiceKind::Weighted(Box::new(Weighted { services: vec![(other, 1)], sticky: None, health_check: false }))
                }
                false => ServiceKind::Internal(Internal::Noop),
            });
            let name = SERVICES[name];
            let unit = kind.map(|kind| Service { name: Name::whole(name), kind, source: "test".into() });
            place(&mut config.tcp.services, name, unit);
        }
        Step::TcpMiddleware { there } => {
            let list = || Middleware {
                name: Name::whole("x@file"),
                kind: MiddlewareKind::IpAllowList { ranges: Vec::new(), depth: Depth::default(), reject_status: 403 },
                source: "test".into(),
            };
            place(&mut config.tcp.middlewares, "x@file", there.then(list));
        }
        Step::Options { strict } => {
            let options = strict.map(|sni_strict| TlsOptions { sni_strict, ..TlsOptions::default() });
            place(&mut config.tls.options, "strict@file", options);
        }
    }
}

/// Everything that can be asked of a snapshot, in names.
fn image(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut image = BTreeMap::new();
    let service = |id| snapshot.service(id).map(|service| (service.layer, service.name.to_string()));
    for router in snapshot.routers() {
        assert!(snapshot.router(router.id).is_some_and(|other| std::ptr::eq(other, router)), "it is at its place");
        let stages: Vec<_> = router.stages.iter().map(|stage| (stage.name.as_str(), Arc::as_ptr(&stage.middleware))).collect();
        let all = (Arc::as_ptr(&router.router), stages, router.retry, service(router.service));
        image.insert(format!("router {}", router.name), format!("{all:?}"));
    }
    for router in snapshot.tcp_routers() {
        assert!(snapshot.tcp_router(router.id).is_some_and(|other| std::ptr::eq(other, router)), "it is at its place");
        let all = (Arc::as_ptr(&router.router), router.allowed.len(), service(router.service));
        image.insert(format!("router of connections {}", router.name), format!("{all:?}"));
    }
    for one in snapshot.services() {
        assert!(snapshot.service(one.id).is_some_and(|other| std::ptr::eq(other, one)), "it is at its place");
        let kind = match &one.kind {
            CompiledKind::Weighted { children } => {
                format!("{:?}", children.iter().map(|(child, weight)| (service(*child), weight)).collect::<Vec<_>>())
            }
            CompiledKind::Failover { main, fallback } => format!("{:?}", (service(*main), service(*fallback))),
            other => format!("{other:?}"),
        };
        image.insert(format!("service {:?} {}", one.layer, one.name), format!("{kind} {:p}", one.service));
    }
    let client = IpAddr::from([192, 0, 2, 1]);
    let tcp = |router: Option<&CompiledTcpRouter>| router.map(|router| router.name.to_string());
    for (at, spec) in (0..).map(EntryPointId).zip(snapshot.entry_points()) {
        let plain = (snapshot.has_tcp(at), tcp(snapshot.tcp_at_once(at, client)), tcp(snapshot.tcp_plain(at, client)));
        let takes_any_host = snapshot.tls[at.0 as usize].takes_any_host();
        image.insert(format!("{} plain", spec.name), format!("{plain:?}, {takes_any_host}"));
        for tls in [false, true] {
            let order: Vec<_> = snapshot.in_order(spec, tls).into_iter().map(|router| router.name.to_string()).collect();
            image.insert(format!("{} {tls}", spec.name), format!("{order:?}"));
        }
        for name in HOSTS {
            let (host, fields) = (host(name), VecFields::default());
            let asked = ["/", "/p", "/p/q"].map(|path| {
                let routed = |tls| snapshot.route(at, tls, &request(&host, path, "GET", &fields));
                let allowed = routed(true).map(|router| HOSTS.map(|sni| snapshot.tls_allows(at, Some(sni), &host, router)));
                (routed(false).map(|router| &router.name), routed(true).map(|router| &router.name), allowed)
            });
            let taken = tcp(snapshot.tcp_tls(at, &Connection { client, server_name: name, alpn: &[] }));
            image.insert(format!("{} {name}", spec.name), format!("{:?}", (asked, snapshot.tls_options(at, Some(name)), taken)));
        }
    }
    image
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 1_000 }))]
    #[test]
    fn it_is_as_if_there_had_been_none_before(changes in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..10)) {
        let specs = ["web", "secure"].map(|name| EntryPointSpec { name: name.into() });
        let mut config = Config::default();
        let mut last: Option<Snapshot> = None;
        for steps in changes {
            steps.into_iter().for_each(|step| take(&mut config, step));
            let after = Snapshot::build_after(last.as_ref(), 1, &config, &specs);
            let alone = Snapshot::build(1, &config, &specs);
            prop_assert_eq!(image(&after), image(&alone));
            last = Some(after);
        }
    }
}

#[test]
fn places_are_given_anew_when_most_are_empty() {
    let specs = [EntryPointSpec { name: "web".into() }];
    let rule = |n: usize| router(&format!("r{n}@file"), &format!("Host(`h{n}`)"), 0, None);
    let many = Snapshot::build(1, &config((0..5_000).map(rule)), &specs);
    let few = Snapshot::build_after(Some(&many), 2, &config((4_990..5_000).map(rule)), &specs);
    let kept = |router: &CompiledRouter| many.router_named(&router.name).map(|before| before.id) == Some(router.id);
    assert!(few.routers().all(kept), "they keep their places");
    let next = Snapshot::build_after(Some(&few), 3, &config((4_990..5_000).map(rule)), &specs);
    assert!(next.routers().all(|router| router.id.0 < 10));
}
