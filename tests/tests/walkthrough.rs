//! The walk-through of seed document 004, command by command: whoami behind a load balancer, API consolidation, rate
//! limit, against a real etcd with a user and a password.

use fairlead_tests::{Connection, Gateway, Server, Setup, etcd::Etcd, get, process, until};
use serde_json::json;
use std::{collections::BTreeSet, time::Instant};

fn gateway(etcd: &Etcd, password: &str) -> Setup {
    Setup::new()
        .argument("--providers.etcd=true")
        .argument(&format!("--providers.etcd.endpoints={}", etcd.endpoint()))
        .argument("--providers.etcd.username=root")
        .argument(&format!("--providers.etcd.password={password}"))
        .argument("--api=true")
        .argument("--api.insecure=true")
}

fn middlewares_of(gateway: &Gateway, router: &str) -> Vec<String> {
    let router = gateway.api(&format!("/api/http/routers/{router}@etcd"));
    let list = router["middlewares"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[test]
fn whoami_consolidation_and_rate_limit() {
    let etcd = Etcd::with_password("an-etcd-password");
    etcd.put("traefik", "true");
    let (one, two) = (Server::whoami("one"), Server::whoami("two"));
    let gateway = gateway(&etcd, "an-etcd-password").start();

    // Load balancer scenario.
    assert_eq!(gateway.get("/whoami").status, 404);
    etcd.put("traefik/http/services/whoami/loadbalancer/servers/0/url", &one.url());
    etcd.put("traefik/http/services/whoami/loadbalancer/servers/1/url", &two.url());
    etcd.put("traefik/http/routers/whoami/rule", "Path(`/whoami`)");
    etcd.put("traefik/http/routers/whoami/service", "whoami");
    until("the route is there", || gateway.get("/whoami").status == 200);
    let curl = || process::succeed("curl", &["-sS", "-w", "\n", &format!("http://127.0.0.1:{}/whoami", gateway.web())]);
    let pairs: Vec<BTreeSet<_>> =
        (0..5).map(|_| [curl(), curl()].iter().map(|text| text.lines().next().map(str::to_owned)).collect()).collect();
    assert!(pairs.iter().all(|pair| pair.len() == 2), "two consecutive requests, two servers: {pairs:?}");
    assert_eq!(gateway.get("/whoami/deeper").status, 404, "Path is exact");
    assert_eq!(gateway.get("/whoami?with=query").status, 200);

    // API consolidation scenario.
    etcd.put("traefik/http/services/foo/loadbalancer/servers/0/url", &one.url());
    etcd.put("traefik/http/services/bar/loadbalancer/servers/0/url", &two.url());
    etcd.put("traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/0", "/foo");
    etcd.put("traefik/http/middlewares/strip-foobar/stripPrefix/prefixes/1", "/bar");
    for name in ["foo", "bar"] {
        etcd.put(&format!("traefik/http/routers/{name}/service"), name);
        etcd.put(&format!("traefik/http/routers/{name}/middlewares/0"), "strip-foobar");
        etcd.put(&format!("traefik/http/routers/{name}/rule"), &format!("Path(`/{name}`)"));
    }
    for (path, name) in [("/foo", "one"), ("/bar", "two")] {
        until("the route strips its prefix", || middlewares_of(&gateway, &path[1..]) == ["strip-foobar@etcd"]);
        for _ in 0..4 {
            let answer = gateway.get(path);
            assert_eq!(answer.server(), name);
            assert!(answer.text().contains("\nGET / HTTP/1.1\n"), "{}", answer.text());
            assert_eq!(answer.line("X-Forwarded-Prefix").as_deref(), Some(path));
        }
    }

    // More middlewares.
    etcd.put("traefik/http/middlewares/ratelimit-foobar/rateLimit/average", "10");
    etcd.put("traefik/http/middlewares/ratelimit-foobar/rateLimit/burst", "20");
    etcd.put("traefik/http/middlewares/ratelimit-foobar/rateLimit/period", "1");
    etcd.put("traefik/http/routers/foo/middlewares/1", "ratelimit-foobar");
    etcd.put("traefik/http/routers/bar/middlewares/1", "ratelimit-foobar");
    for name in ["foo", "bar"] {
        until("the limit is in force", || middlewares_of(&gateway, name) == ["strip-foobar@etcd", "ratelimit-foobar@etcd"]);
    }
    let (mut client, begun) = (Connection::open(gateway.web()), Instant::now());
    let statuses: Vec<_> = (0..40).map(|_| client.get("/foo").status).collect();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    let refilled = (begun.elapsed().as_secs_f64() * 10.0).ceil() as usize;
    assert!((20..=20 + refilled).contains(&passed), "{passed} of 40 passed, {refilled} refilled meanwhile");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40 - passed);
    assert_eq!(get(gateway.web(), "/bar").status, 200, "each router counts for itself");

    // What is deleted goes; the others stay.
    etcd.delete("traefik/http/routers/whoami/rule");
    etcd.delete("traefik/http/routers/whoami/service");
    until("the route is gone", || gateway.get("/whoami").status == 404);
    assert_eq!(gateway.get("/bar").server(), "two");
    let routers = gateway.api("/api/http/routers");
    let names: Vec<_> = routers.as_array().expect("a list").iter().filter_map(|r| r["name"].as_str()).collect();
    assert!(names.contains(&"foo@etcd") && names.contains(&"bar@etcd") && !names.contains(&"whoami@etcd"), "{names:?}");
}

#[test]
fn a_wrong_password_is_said_and_tried_again() {
    let etcd = Etcd::with_password("right");
    let gateway = gateway(&etcd, "wrong").spawn();
    until("the log speaks of the password", || {
        let log = gateway.log().to_lowercase();
        log.contains("etcd") && (log.contains("password") || log.contains("authentication"))
    });
    let admin = gateway.port("traefik");
    until("the administration answers", || Connection::try_open(admin).is_ok());
    let ready = get(admin, "/ready");
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("etcd"), "{}", ready.text());
    assert!(!gateway.log().contains("wrong"), "the password itself is never shown");
}

#[test]
fn a_half_written_router_waits_and_disturbs_nobody() {
    let etcd = Etcd::start();
    let one = Server::whoami("one");
    etcd.put("traefik/http/services/whoami/loadbalancer/servers/0/url", &one.url());
    etcd.put("traefik/http/routers/whoami/rule", "Path(`/whoami`)");
    etcd.put("traefik/http/routers/whoami/service", "whoami");
    let gateway = Setup::new().section("providers", json!({ "etcd": { "endpoints": [etcd.endpoint()] } })).start();
    assert_eq!(gateway.get("/whoami").server(), "one");
    etcd.put("traefik/http/routers/half/rule", "Path(`/half`)");
    etcd.put("traefik/http/routers/half/service", "later");
    until("the half router is reported", || {
        let routers = gateway.api("/api/http/routers");
        let mut routers = routers.as_array().expect("a list").iter();
        routers.any(|r| r["name"].as_str().is_some_and(|name| name.starts_with("half")) && r["status"] == "disabled")
    });
    assert_eq!(gateway.get("/half").status, 404);
    assert_eq!(gateway.get("/whoami").server(), "one");
    etcd.put("traefik/http/services/later/loadbalancer/servers/0/url", &one.url());
    until("it is whole and served", || gateway.get("/half").status == 200);
}
