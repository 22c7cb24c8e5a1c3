use super::*;
use crate::{
    Name,
    config::{
        dynamic::{Failover, LoadBalancer, Server, ServerUrl, ServiceKind, UpstreamScheme},
        flags, resolve, resolve_static,
    },
    discovery::{Draft, Place},
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
  declared by test
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
        let servers = vec![Server::new(url, 1)];
        let balancer = LoadBalancer { servers, ..LoadBalancer::new(Name::whole("default@internal")) };
        ServiceKind::LoadBalancer(balancer.into())
    };
    let failover = |service: &str, fallback: &str| {
        ServiceKind::Failover(Failover { service: Name::whole(service), fallback: Name::whole(fallback) }.into())
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

/// A service's labels, as a provider writes them down: one task that can be reached and one that cannot.
#[test]
fn what_labels_declare_is_explained_by_label_service_and_node() {
    let place = |ip: &str, instance: &str, node: &str, unreachable: Option<&str>| Place {
        address: format!("{ip}:80").parse().unwrap(),
        instance: instance.into(),
        node: node.into(),
        unreachable: unreachable.map(str::to_owned),
    };
    let mut draft = Draft::new("service shop_web");
    draft.set(&["http", "routers", "web", "rule"], "traefik.http.routers.web.rule", "Host(`a.x`)");
    draft.set(&["http", "routers", "web", "service"], "traefik.http.routers.web.rule", "web");
    draft.set(&["http", "routers", "bad", "rule"], "traefik.http.routers.bad.rule", "Hots(`b.x`)");
    draft.set(&["http", "routers", "bad", "service"], "traefik.http.routers.bad.service", "web");
    let port = "traefik.http.services.web.loadbalancer.server.port";
    let places = [place("10.0.1.7", "5kq2x", "worker-1", None), place("10.9.0.4", "9ab", "worker-2", Some("no shared network"))];
    draft.servers("web", port, "http", &places);
    let (raw, rejections) = draft.finish();
    assert_eq!(rejections, []);
    let flags = flags::tree(&["--entryPoints.web.address=:80".to_owned()]).unwrap();
    let (static_, _) = resolve_static(&flags).unwrap();
    let (config, rejections) = resolve(&[("swarm".to_owned(), raw)].into(), &static_, None);
    let said: Vec<String> = rejections.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].starts_with("service shop_web: traefik.http.routers.bad.rule: "), "{said:?}");

    let (host, fields) = (host("a.x"), VecFields::default());
    let explanation = explain(&snapshot(&config), WEB, false, &request(&host, "/", "GET", &fields)).unwrap();
    let text = explanation.to_string();
    assert!(
        text.contains(
            "  router      web@swarm (priority 11)
  declared by service shop_web: traefik.http.routers.web.rule
  middlewares none
  service     web@swarm
  server      http://10.0.1.7:80 of web@swarm, instance 5kq2x on node worker-1
  server      http://10.9.0.4:80 of web@swarm, instance 9ab on node worker-2; not reachable: no shared network
"
        ),
        "{text}"
    );
    assert_eq!(config.services["web@swarm"].source, format!("service shop_web: {port}"));
    let json = serde_json::to_value(&explanation.winner.unwrap().servers[0]).unwrap();
    let wanted =
        serde_json::json!({ "service": "web@swarm", "url": "http://10.0.1.7:80", "instance": "5kq2x", "node": "worker-1" });
    assert_eq!(json, wanted);
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
