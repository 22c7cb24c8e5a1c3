//! Who takes a connection.

use super::*;
use crate::{
    config::dynamic::{Depth, TcpRouter, TcpTls},
    rule::Connection,
};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

pub(super) fn tcp_router(name: &str, rule: &str, priority: i64, tls: Option<bool>) -> TcpRouter {
    let rule = rule::parse_tcp(rule, Syntax::V3).unwrap_or_else(|error| panic!("{rule}: {error}"));
    let tls =
        tls.map(|passthrough| TcpTls { passthrough, options: Name::whole("default"), cert_resolver: None, domains: Vec::new() });
    TcpRouter {
        name: Name::whole(name),
        entry_points: ["web".into()].into(),
        priority: if priority == 0 { rule.text().len() as i64 } else { priority },
        rule,
        middlewares: Vec::new(),
        service: Name::whole("s@file"),
        tls,
        source: "test".into(),
    }
}

fn with(mut config: Config, routers: impl IntoIterator<Item = TcpRouter>) -> Config {
    let name = Name::whole("s@file");
    let balancer = crate::config::dynamic::LoadBalancer::new(Name::whole("default@internal"));
    let kind = ServiceKind::LoadBalancer(balancer.into());
    config.tcp.services.insert(name.clone(), Arc::new(Service { name, kind, source: "test".into() }));
    config.tcp.routers.extend(routers.into_iter().map(|router| (router.name.clone(), Arc::new(router))));
    config
}

fn over_tls<'s>(snapshot: &'s Snapshot, server_name: &str, alpn: &[&str]) -> &'s str {
    let alpn: Vec<Vec<u8>> = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let taken = snapshot.tcp_tls(WEB, &Connection { client: CLIENT, server_name, alpn: &alpn });
    taken.map_or("http", |router| router.name.as_str())
}

#[test]
fn the_order_among_hosts_is_traefiks() {
    let http = config([
        router("named@file", "Host(`both.example`)", 0, Some("default")),
        router("below@file", "Host(`*.wide.example`)", 0, Some("default")),
    ]);
    let tcp = [
        tcp_router("both@file", "HostSNI(`both.example`)", 9000, Some(true)),
        tcp_router("wide@file", "HostSNI(`a.wide.example`)", 0, Some(true)),
        tcp_router("db@file", "HostSNI(`db.example`)", 0, Some(true)),
        tcp_router("deep@file", "HostSNI(`*.db.example`)", 0, Some(false)),
        tcp_router("h2@file", "HostSNI(`db.example`) && ALPN(`h2`)", 0, Some(true)),
        tcp_router("any@file", "HostSNI(`*`)", -1, Some(true)),
    ];
    let snapshot = snapshot(&with(http.clone(), tcp.clone()));
    for (name, alpn, taken) in [
        ("both.example", &[][..], "http"),
        ("a.wide.example", &[], "http"),
        ("db.example", &[], "db@file"),
        ("db.example", &["http/1.1", "h2"], "h2@file"),
        ("x.db.example", &[], "deep@file"),
        ("x.y.db.example", &[], "any@file"),
        ("", &[], "any@file"),
    ] {
        assert_eq!(over_tls(&snapshot, name, alpn), taken, "{name} {alpn:?}");
    }
    // A router for requests that names no host comes before the one that takes every connection.
    let mut http = http;
    let wide = router("all@file", "PathPrefix(`/`)", 0, Some("default"));
    http.routers.insert(wide.name.clone(), Arc::new(wide));
    let snapshot = super::snapshot(&with(http, tcp));
    assert_eq!([over_tls(&snapshot, "", &[]), over_tls(&snapshot, "db.example", &[])], ["http", "db@file"]);
}

#[test]
fn plain_connections_wait_for_a_byte_only_where_it_matters() {
    let plain = || tcp_router("mail@file", "HostSNI(`*`)", -1, None);
    let of = |config: &Config| {
        let snapshot = snapshot(config);
        let name = |router: Option<&CompiledTcpRouter>| router.map(|router| router.name.to_string());
        (name(snapshot.tcp_at_once(WEB, CLIENT)), name(snapshot.tcp_plain(WEB, CLIENT)))
    };
    let mail = || Some("mail@file".to_owned());
    assert_eq!(of(&with(config([]), [plain()])), (mail(), mail()));
    assert_eq!(of(&with(config([router("w@file", "Host(`a`)", 0, None)]), [plain()])), (mail(), mail()));
    assert_eq!(of(&with(config([router("w@file", "Host(`a`)", 0, Some("default"))]), [plain()])), (None, mail()));
    let beside = tcp_router("db@file", "HostSNI(`db`)", 0, Some(true));
    assert_eq!(of(&with(config([]), [plain(), beside])), (None, mail()));
    let others = tcp_router("mail@file", "ClientIP(`192.0.2.0/24`)", 0, None);
    assert_eq!(of(&with(config([]), [others])), (None, None));
    assert!(!snapshot(&config([])).has_tcp(WEB));
}

#[test]
fn addresses_are_let_in_by_every_list() {
    let list = |config: &mut Config, name: &str, range: &str| {
        let name = Name::whole(name);
        let kind = MiddlewareKind::IpAllowList { ranges: vec![range.parse().unwrap()], depth: Depth::Peer, reject_status: 403 };
        config.tcp.middlewares.insert(name.clone(), Arc::new(Middleware { name, kind, source: String::new() }));
    };
    let mut router = tcp_router("db@file", "HostSNI(`*`)", -1, None);
    router.middlewares = vec![Name::whole("a@file"), Name::whole("b@file")];
    let mut config = with(config([]), [router]);
    list(&mut config, "a@file", "10.0.0.0/8");
    assert_eq!(snapshot(&config).tcp_routers().len(), 0, "never without one of its lists");
    list(&mut config, "b@file", "10.1.0.0/16");
    let snapshot = snapshot(&config);
    let admits = |ip: &str| snapshot.tcp_routers().all(|router| router.admits(ip.parse().unwrap()));
    assert_eq!([admits("10.1.9.9"), admits("10.2.9.9"), admits("::ffff:10.1.0.1")], [true, false, true]);
}

#[test]
fn an_explanation_says_that_no_request_is_read() {
    let passed = tcp_router("db@file", "HostSNI(`db.example`)", 0, Some(true));
    let snapshot = snapshot(&with(config([router("w@file", "PathPrefix(`/`)", 0, Some("default"))]), [passed]));
    let explained = |host_name: &str| {
        let (host, fields) = (host(host_name), VecFields::default());
        let request = request(&host, "/", "GET", &fields);
        crate::explain::explain(&snapshot, WEB, true, &request).expect("an entry point")
    };
    let taken = explained("db.example");
    assert_eq!(taken.connection.as_ref().map(|taken| (taken.router.as_str(), taken.passes_through)), Some(("db@file", true)));
    let text = taken.to_string();
    assert!(text.contains("tcp router  db@file (priority 21): passes TLS through, before any request is read"), "{text}");
    assert!(!text.contains("w@file"), "{text}");
    assert_eq!(explained("web.example").connection, None);
}

#[test]
fn services_of_one_name_are_apart() {
    let config = with(config([router("w@file", "Host(`a`)", 0, None)]), [tcp_router("db@file", "HostSNI(`*`)", -1, None)]);
    let snapshot = snapshot(&config);
    let (http, tcp) = (snapshot.routers().next().unwrap().service, snapshot.tcp_routers().next().unwrap().service);
    assert_ne!(http, tcp);
    let layer = |id| snapshot.service(id).map(|service| (service.layer, service.name.as_str()));
    assert_eq!((layer(http), layer(tcp)), (Some((Layer::Http, "s@file")), Some((Layer::Tcp, "s@file"))));
    assert_eq!(snapshot.service_named(Layer::Tcp, &Name::whole("s@file")).map(|service| service.id), Some(tcp));
}

#[test]
fn tables_are_taken_over_while_no_router_changes() {
    let config = with(config([]), [tcp_router("db@file", "HostSNI(`*`)", -1, None)]);
    let first = snapshot(&config);
    let points = [EntryPointSpec { name: "web".into() }];
    let second = Snapshot::build_after(Some(&first), 2, &config, &points);
    assert!(second.tcp.shares_tables_with(&first.tcp));
    let third =
        Snapshot::build_after(Some(&second), 3, &with(config, [tcp_router("x@file", "ClientIP(`::1`)", 0, None)]), &points);
    assert!(!third.tcp.shares_tables_with(&second.tcp));
}
