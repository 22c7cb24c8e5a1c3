use super::*;
use crate::{
    Name,
    config::dynamic::{Failover, LoadBalancer, Server, ServerUrl, ServiceKind, Strategy, UpstreamScheme},
    http::VecFields,
    rule::tests as rules,
    snapshot::tests::{WEB, asked, config, host, request, router, service, snapshot, table},
};
use proptest::prelude::*;

#[test]
fn the_first_failing_part_is_named() {
    let snapshot = snapshot(&config([
        router("win@file", "Host(`a.x`) && PathPrefix(`/`)", 50, None),
        router("path@file", "Host(`a.x`) && PathPrefix(`/api`) && Method(`POST`)", 60, None),
        router("either@file", "Host(`a.x`) && (Method(`POST`) || Header(`X-Key`, `1`) && !ClientIP(`192.0.2.0/24`))", 59, None),
        router("shadowed@file", "HostRegexp(`x`)", 10, None),
        router("other@file", "Host(`b.x`)", 70, None),
        router("anyhost@file", "Query(`k`)", 80, None),
        router("secure@file", "Host(`a.x`)", 90, Some("default")),
    ]));
    let (host, fields) = (host("A.x"), VecFields::of(&[("x-key", "2")]));
    let explanation = explain(&snapshot, WEB, false, &request(&host, "/b%20c", "GET", &fields)).unwrap();
    assert_eq!(
        explanation.to_string(),
        "GET http://a.x/b c at entry point web
  router      win@file (priority 50)
  middlewares none
  service     s@file
  ✗ path@file (priority 60): PathPrefix(`/api`) did not hold; path /b c
  ✗ either@file (priority 59): Method(`POST`) || Header(`X-Key`, `1`) && !ClientIP(`192.0.2.0/24`) did not hold; \
         method GET, header X-Key [\"2\"], client 192.0.2.1
  ✓ win@file (priority 50): matched Host(`a.x`) && PathPrefix(`/`)
  · shadowed@file (priority 10): matches too, but win@file goes first
  · secure@file (priority 90): would match, but serves TLS only: it has a tls section
  ✗ anyhost@file (priority 80): Query(`k`) did not hold; query k absent
  ✗ other@file (priority 70): Host(`b.x`) did not hold; host a.x
"
    );
    assert!(explain(&snapshot, EntryPointId(1), false, &request(&host, "/", "GET", &fields)).is_none());
    let json = serde_json::to_value(&explanation.considered[3].outcome).unwrap();
    assert_eq!(json, serde_json::json!({ "kind": "shadowed", "by": "win@file" }));
}

#[test]
fn servers_are_found_through_services() {
    let balancer = |url: &str| {
        let url = ServerUrl { scheme: UpstreamScheme::Http, host: "h".into(), port: 80, path: String::new(), text: url.into() };
        ServiceKind::LoadBalancer(LoadBalancer {
            servers: vec![Server::new(url, 1)],
            strategy: Strategy::Wrr,
            hash_cookie: None,
            sticky: None,
            health_check: None,
            passive_health_check: None,
            pass_host_header: true,
            transport: Name::whole("default@internal"),
        })
    };
    let failover = |service: &str, fallback: &str| {
        ServiceKind::Failover(Failover { service: Name::whole(service), fallback: Name::whole(fallback) })
    };
    let mut config = config([router("r@file", "Host(`a`)", 0, None)]);
    service(&mut config, "s@file", failover("one@file", "loop@file"));
    service(&mut config, "loop@file", failover("s@file", "two@file"));
    service(&mut config, "one@file", balancer("http://one"));
    service(&mut config, "two@file", balancer("http://two"));
    let (host, fields) = (host("a"), VecFields::default());
    let explanation = explain(&snapshot(&config), WEB, false, &request(&host, "/%1B[2J", "GET", &fields)).unwrap();
    let text = explanation.to_string();
    assert!(
        text.contains("service     s@file\n  server      http://one of one@file\n  server      http://two of two@file\n"),
        "{text}"
    );
    assert!(text.starts_with("GET http://a/ [2J at entry point web\n"), "{text}");
}

#[test]
fn the_answer_is_bounded_and_the_winner_is_in_it() {
    let many = (0..10_000).map(|i| router(&format!("r{i}@file"), &format!("Host(`a.x`) && PathPrefix(`/{i}/`)"), 100, None));
    let snapshot = snapshot(&config(many.chain([router("low@file", "Host(`a.x`)", 1, None)])));
    let (host, fields) = (host("a.x"), VecFields::default());
    let explanation = explain(&snapshot, WEB, false, &request(&host, "/none", "GET", &fields)).unwrap();
    assert_eq!((explanation.considered.len(), explanation.omitted), (MAX_LISTED + 1, 10_001 - MAX_LISTED - 1));
    assert_eq!(explanation.considered.last().map(|one| &one.outcome), Some(&Outcome::Matched));
    assert_eq!(explanation.winner.as_ref().map(|winner| winner.router.as_str()), Some("low@file"));
    assert!(explanation.to_string().ends_with("  … and 9960 routers more\n"));
}

proptest! {
    #[test]
    fn the_winner_is_the_router_that_serves(table in table(), (host_name, path, method, fields, tls) in asked()) {
        let snapshot = snapshot(&config(table.into_iter().map(|(_, router)| router)));
        let (host, escaped) = (host(host_name), rules::escaped(path));
        let request = request(&host, &escaped, method, &fields);
        let explanation = explain(&snapshot, WEB, tls, &request).unwrap();
        let served = snapshot.route(WEB, tls, &request).map(|router| router.name.to_string());
        prop_assert_eq!(explanation.winner.map(|winner| winner.router), served.clone());
        let matched: Vec<&str> =
            explanation.considered.iter().filter(|one| one.outcome == Outcome::Matched).map(|one| one.router.as_str()).collect();
        prop_assert_eq!(matched, served.as_deref().into_iter().collect::<Vec<_>>());
        for one in &explanation.considered {
            if let Outcome::Shadowed { by } = &one.outcome {
                prop_assert_eq!(Some(by), served.as_ref());
            }
        }
    }
}
