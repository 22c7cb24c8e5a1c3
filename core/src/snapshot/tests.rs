mod after;
mod tcp;

use super::*;
use crate::{
    config::dynamic::{Failover, MiddlewareKind, Observability, RouterTls, ServiceKind, TlsOptions, Weighted},
    http::{Scheme, VecFields},
    route::precedence,
    rule::{self, Syntax, tests as rules},
};
use proptest::prelude::*;
use std::net::IpAddr;

/// One router of a test configuration.
pub(crate) fn router(name: &str, rule: &str, priority: i64, tls: Option<&str>) -> Router {
    let rule = rule::parse(rule, Syntax::V3).unwrap_or_else(|error| panic!("{rule}: {error}"));
    Router {
        name: Name::whole(name),
        declared: Name::whole(name),
        entry_points: ["web".into()].into(),
        priority: if priority == 0 { rule.text().len() as i64 } else { priority },
        rule,
        middlewares: Vec::new(),
        service: Name::whole("s@file"),
        tls: tls.map(|options| Box::new(RouterTls { options: Name::whole(options), cert_resolver: None, domains: Vec::new() })),
        observability: Observability { access_log: true, metrics: true, tracing: true },
        source: "test".into(),
    }
}

/// These routers in front of one service.
pub(crate) fn config(routers: impl IntoIterator<Item = Router>) -> Config {
    let mut config = Config::default();
    service(&mut config, "s@file", ServiceKind::Internal(Internal::Noop));
    config.routers.extend(routers.into_iter().map(|router| (router.name.clone(), Arc::new(router))));
    config
}

pub(crate) fn snapshot(config: &Config) -> Snapshot {
    Snapshot::build(1, config, &[EntryPointSpec { name: "web".into() }])
}

pub(crate) const WEB: EntryPointId = EntryPointId(0);

/// A request to decide on; lives as long as its host.
pub(crate) fn request<'a>(host: &'a Host, path: &'a str, method: &'a str, fields: &'a VecFields) -> Request<'a, &'a VecFields> {
    let client: IpAddr = [192, 0, 2, 1].into();
    Request { method, scheme: Scheme::Http, host, port: None, path: path.into(), query: None, client, fields }
}

pub(crate) fn host(text: &str) -> Host {
    Host::parse(text.as_bytes()).unwrap().0
}

pub(crate) fn service(config: &mut Config, name: &str, kind: ServiceKind) {
    let name = Name::whole(name);
    config.services.insert(name.clone(), Arc::new(Service { name, kind, source: "test".into() }));
}

fn middleware(config: &mut Config, name: &str, kind: MiddlewareKind) {
    let name = Name::whole(name);
    config.middlewares.insert(name.clone(), Arc::new(Middleware { name, kind, source: "test".into() }));
}

fn served(config: &Config, tls: bool, host_name: &str, path: &str) -> Option<String> {
    let (host, fields) = (host(host_name), VecFields::default());
    snapshot(config).route(WEB, tls, &request(&host, path, "GET", &fields)).map(|router| router.name.to_string())
}

#[test]
fn priority_decides_then_provider_then_name() {
    let routers = || {
        [
            router("long@etcd", "HostRegexp(`^.+[.]example$`)", 0, None),
            router("short@file", "Host(`a.example`)", 0, None),
            router("b@etcd", "PathPrefix(`/tie`)", 100, None),
            router("c@docker", "Path(`/tie`)", 100, None),
            router("a@etcd", "PathPrefix(`/t`)", 100, None),
            router("last@file", "PathPrefix(`/`)", -5, None),
        ]
    };
    let config = config(routers());
    assert_eq!(served(&config, false, "a.example", "/").as_deref(), Some("long@etcd"));
    assert_eq!(served(&config, false, "other", "/tie").as_deref(), Some("c@docker"));
    assert_eq!(served(&config, false, "other", "/tie/x").as_deref(), Some("a@etcd"));
    assert_eq!(served(&config, false, "other", "/").as_deref(), Some("last@file"));
}

#[test]
fn the_two_sides_of_an_entry_point_are_apart() {
    let mut elsewhere = router("elsewhere@file", "PathPrefix(`/`)", 1000, None);
    elsewhere.entry_points = ["other".into()].into();
    let routers =
        [router("p@file", "PathPrefix(`/p`)", 0, None), router("t@file", "PathPrefix(`/t`)", 0, Some("default")), elsewhere];
    let config = config(routers);
    assert_eq!(served(&config, false, "a", "/p").as_deref(), Some("p@file"));
    assert_eq!(served(&config, true, "a", "/p"), None);
    assert_eq!(served(&config, true, "a", "/t").as_deref(), Some("t@file"));
    assert_eq!(served(&config, false, "a", "/t"), None);
    let snapshot = snapshot(&config);
    assert_eq!(snapshot.entry_point("web"), Some(WEB));
    assert_eq!(snapshot.entry_point("other"), None);
    let (host, fields) = (host("a"), VecFields::default());
    assert!(snapshot.route(EntryPointId(7), false, &request(&host, "/p", "GET", &fields)).is_none());
}

#[test]
fn rules_see_the_decoded_path() {
    let config = config([router("r@file", "Path(`/foo bar`)", 0, None), router("s@file", "PathPrefix(`/a%2Fb`)", 0, None)]);
    assert_eq!(served(&config, false, "a", "/foo%20bar").as_deref(), Some("r@file"));
    assert_eq!(served(&config, false, "a", "/a%2Fb/c").as_deref(), Some("s@file"));
}

#[test]
fn chains_are_flattened_and_nothing_is_skipped() {
    let prefix = || MiddlewareKind::AddPrefix { prefix: "/x".into() };
    let chain = |names: &[&str]| MiddlewareKind::Chain { middlewares: names.iter().map(|n| Name::whole(n)).collect() };
    let retry = |attempts| MiddlewareKind::Retry { attempts, initial_interval: Duration::from_millis(5) };
    let with = |name: &str, names: &[&str]| Router {
        middlewares: names.iter().map(|n| Name::whole(n)).collect(),
        ..router(name, "PathPrefix(`/`)", 0, None)
    };
    let mut config = config([
        with("whole@file", &["a@file", "outer@file", "r2@file", "b@file"]),
        with("missing@file", &["a@file", "nowhere@file"]),
        with("cycle@file", &["cycle@file"]),
        Router { service: Name::whole("nowhere@file"), ..router("lost@file", "PathPrefix(`/`)", 0, None) },
    ]);
    for name in ["a@file", "b@file", "c@file"] {
        middleware(&mut config, name, prefix());
    }
    middleware(&mut config, "outer@file", chain(&["c@file", "inner@file"]));
    middleware(&mut config, "inner@file", chain(&["b@file", "r3@file"]));
    middleware(&mut config, "cycle@file", chain(&["cycle@file"]));
    middleware(&mut config, "r2@file", retry(2));
    middleware(&mut config, "r3@file", retry(3));
    let snapshot = snapshot(&config);
    assert_eq!(snapshot.routers().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["whole@file"]);
    let whole = snapshot.routers().next().unwrap();
    let stages: Vec<&str> = whole.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["a@file", "c@file", "b@file", "b@file"]);
    assert_eq!(whole.retry, Some(RetryPolicy { attempts: 3, initial_interval: Duration::from_millis(5) }));
    assert_eq!(snapshot.service(whole.service).map(|s| s.name.as_str()), Some("s@file"));
}

#[test]
fn services_find_each_other() {
    let mut config = config([]);
    let name = Name::whole;
    let services = vec![(name("s@file"), 3), (name("f@file"), 1), (name("nowhere@file"), 1)];
    service(&mut config, "w@file", ServiceKind::Weighted(Weighted { services, sticky: None, health_check: false }.into()));
    service(&mut config, "f@file", ServiceKind::Failover(Failover { service: name("s@file"), fallback: name("w@file") }.into()));
    let snapshot = snapshot(&config);
    let id = |name: &str| snapshot.service_named(Layer::Http, &Name::whole(name)).map(|s| s.id).unwrap();
    for service in snapshot.services() {
        assert_eq!(snapshot.service(service.id).map(|s| &s.name), Some(&service.name));
    }
    let kind = |name: &str| snapshot.service_named(Layer::Http, &Name::whole(name)).map(|s| s.kind.clone()).unwrap();
    assert_eq!(kind("w@file"), CompiledKind::Weighted { children: vec![(id("s@file"), 3), (id("f@file"), 1)] });
    assert_eq!(kind("f@file"), CompiledKind::Failover { main: id("s@file"), fallback: id("w@file") });
    assert_eq!(kind("s@file"), CompiledKind::Internal(Internal::Noop));
    assert!(snapshot.service_named(Layer::Http, &name("nowhere@file")).is_none());
}

#[test]
fn tls_options_follow_the_server_name() {
    let mut config = config([
        router("strict@file", "Host(`A.example`) || HostRegexp(`^loose`)", 0, Some("strict@file")),
        router("wild@file", "Host(`*.example`) && !Host(`not.this`)", 0, Some("wild@file")),
        router("one@file", "Host(`both`)", 0, Some("strict@file")),
        router("two@file", "Host(`both`) && PathPrefix(`/x`)", 0, Some("wild@file")),
        router("none@file", "PathPrefix(`/`)", 0, Some("wild@file")),
        router("plain@file", "Host(`plain`)", 0, None),
    ]);
    config.tls.options.insert(Name::whole("strict@file"), Arc::new(TlsOptions { sni_strict: true, ..TlsOptions::default() }));
    let snapshot = snapshot(&config);
    let options = |sni: Option<&str>| snapshot.tls_options(WEB, sni).map(|s| (s.options.to_string(), s.conflict)).unwrap();
    let of = |name: &str| (name.to_owned(), false);
    assert_eq!(options(Some("a.EXAMPLE.")), of("strict@file"));
    assert_eq!(options(Some("b.example")), of("wild@file"));
    assert_eq!(options(Some("not.this")), of("wild@file"));
    assert_eq!(options(Some("a.b.example")), of("default"));
    assert_eq!(options(Some("both")), ("default".into(), true));
    assert_eq!(options(Some("plain")), of("default"));
    assert_eq!(options(None), of("default"));
    assert!(snapshot.tls_options(WEB, Some("a.example")).is_some_and(|s| s.settings.sni_strict));

    let allows = |sni: Option<&str>, name: &str, router: &str| {
        let router = snapshot.routers().find(|r| r.name.as_str() == router).unwrap();
        snapshot.tls_allows(WEB, sni, &host(name), router)
    };
    assert!(allows(Some("a.example"), "a.example", "strict@file"));
    assert!(allows(Some("b.example"), "c.example", "wild@file"));
    assert!(allows(Some("a.example"), "a.example", "none@file"));
    assert!(allows(None, "anything", "none@file"));
    assert!(allows(Some("both"), "both", "one@file") && allows(Some("both"), "both", "two@file"));
    assert!(!allows(Some("b.example"), "a.example", "strict@file"));
    assert!(!allows(None, "a.example", "strict@file"));
    assert!(!allows(Some("a.example"), "anything", "none@file"));
    // The rule lets this host in, but no handshake for it asks for the strict options.
    assert!(!allows(Some("loose"), "loose", "strict@file"));
    assert!(!allows(Some("both"), "both", "strict@file"));
}

#[test]
fn a_host_of_any_name_chooses_for_all() {
    let config =
        config([router("any@file", "Host(`*`)", 0, Some("any@file")), router("a@file", "Host(`a`)", 0, Some("default"))]);
    let snapshot = snapshot(&config);
    let options = |sni| snapshot.tls_options(WEB, sni).map(|s| s.options.to_string()).unwrap();
    assert_eq!((options(None), options(Some("x")), options(Some("a"))), ("any@file".into(), "any@file".into(), "default".into()));
}

#[test]
fn tables_are_shared_while_no_router_changes() {
    let specs = [EntryPointSpec { name: "web".into() }];
    let mut config = config([router("r@file", "Host(`a`)", 0, None)]);
    let first = Snapshot::build(1, &config, &specs);
    service(&mut config, "a@file", ServiceKind::Internal(Internal::Ping));
    let second = Snapshot::build_after(Some(&first), 2, &config, &specs);
    assert!(second.shares_routing_with(&first));
    config.tls.options.insert(Name::whole("default"), Arc::default());
    assert!(!Snapshot::build_after(Some(&second), 3, &config, &specs).shares_routing_with(&second), "TLS options changed");
    assert_eq!((first.number(), second.number()), (1, 2));
    assert_eq!(second.service(second.routers().next().unwrap().service).map(|s| s.name.as_str()), Some("s@file"));
    config.routers.insert(Name::whole("q@file"), Arc::new(router("q@file", "Host(`b`)", 0, None)));
    let third = Snapshot::build_after(Some(&second), 3, &config, &specs);
    assert!(!third.shares_routing_with(&second));
    let (host, fields) = (host("b"), VecFields::default());
    assert_eq!(third.route(WEB, false, &request(&host, "/", "GET", &fields)).map(|r| r.name.as_str()), Some("q@file"));
}

/// Routers as a provider could send them, with the trees that their rules were written from.
pub(crate) fn table() -> impl Strategy<Value = Vec<(rules::Tree, Router)>> {
    let provider = prop_oneof![Just("file"), Just("etcd"), Just("unknown")];
    let one = (rules::tree(), 1..4_i64, provider, any::<bool>());
    proptest::collection::vec(one, 0..14).prop_map(|list| {
        let named = list.into_iter().enumerate().map(|(i, (tree, priority, provider, tls))| {
            let router = router(&format!("r{i}@{provider}"), &tree.text(), priority, tls.then_some("default"));
            (tree, router)
        });
        named.collect()
    })
}

/// Ten thousand hosts and prefixes that none of the generated requests asks for.
fn filler() -> Vec<Router> {
    let rule = |i: usize| match i % 4 {
        0 => format!("Host(`h{i}.filler`)"),
        1 => format!("Host(`*.f{i}`) && PathPrefix(`/`)"),
        2 => format!("Host(`a.x`) && PathPrefix(`/filler/{i}`)"),
        _ => format!("Host(`a.x`) && Path(`/filler/{i}`)"),
    };
    (0..10_000)
        .map(|i| router(&format!("filler{i}@file"), &rule(i), 1 + (i % 5) as i64, (i % 3 == 0).then_some("default")))
        .collect()
}

fn filler_snapshot(table: &[(rules::Tree, Router)]) -> Snapshot {
    thread_local!(static FILLER: Vec<Arc<Router>> = filler().into_iter().map(Arc::new).collect());
    let mut config = config(table.iter().map(|(_, router)| router.clone()));
    FILLER.with(|filler| config.routers.extend(filler.iter().map(|router| (router.name.clone(), Arc::clone(router)))));
    snapshot(&config)
}

/// What the specification says, over trees in no normal form and without an index.
fn linear(table: &[(rules::Tree, Router)], tls: bool, subject: &Subject<'_, VecFields>) -> Option<String> {
    let mut matching: Vec<&Router> = table
        .iter()
        .filter(|(tree, router)| router.tls.is_some() == tls && tree.holds(subject))
        .map(|(_, router)| router)
        .collect();
    matching.sort_by_key(|router| (-router.priority, precedence(router.name.provider()), router.name.clone()));
    matching.first().map(|router| router.name.to_string())
}

prop_compose! {
    pub(crate) fn asked()(host in rules::host(), path in rules::path(), post: bool, x_a: bool, tls: bool)
        -> (&'static str, &'static str, &'static str, VecFields, bool) {
        (host, path, if post { "POST" } else { "GET" }, VecFields::of(if x_a { &[("X-a", "1")] } else { &[] }), tls)
    }
}

proptest! {
    #[test]
    fn the_index_finds_the_winner_of_a_linear_scan(table in table(), asked in proptest::collection::vec(asked(), 1..8)) {
        let small = snapshot(&config(table.iter().map(|(_, router)| router.clone())));
        for (host_name, path, method, fields, tls) in &asked {
            let (host, escaped) = (host(host_name), rules::escaped(path));
            let subject = Subject { host: host_name, path, method, query: None, client: [192, 0, 2, 1].into(), fields };
            let found = small.route(WEB, *tls, &request(&host, &escaped, method, fields)).map(|r| r.name.to_string());
            prop_assert_eq!(found, linear(&table, *tls, &subject));
        }
    }

    #[test]
    fn the_order_of_arrival_decides_nothing(
        (table, shuffled) in table().prop_flat_map(|t| (Just(t.clone()), Just(t).prop_shuffle())),
        (host_name, path, method, fields, tls) in asked(),
    ) {
        let of = |table: &[(rules::Tree, Router)]| snapshot(&config(table.iter().map(|(_, router)| router.clone())));
        let (host, escaped) = (host(host_name), rules::escaped(path));
        let request = request(&host, &escaped, method, &fields);
        let name = |snapshot: &Snapshot| snapshot.route(WEB, tls, &request).map(|r| r.name.to_string());
        prop_assert_eq!(name(&of(&table)), name(&of(&shuffled)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn ten_thousand_other_routers_change_no_answer(table in table(), asked in proptest::collection::vec(asked(), 20)) {
        let large = filler_snapshot(&table);
        for (host_name, path, method, fields, tls) in &asked {
            let (host, escaped) = (host(host_name), rules::escaped(path));
            let subject = Subject { host: host_name, path, method, query: None, client: [192, 0, 2, 1].into(), fields };
            let found = large.route(WEB, *tls, &request(&host, &escaped, method, fields)).map(|r| r.name.to_string());
            prop_assert_eq!(found, linear(&table, *tls, &subject));
        }
    }
}
