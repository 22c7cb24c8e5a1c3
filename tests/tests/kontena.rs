//! A Kontena load balancer that only changed its image: its environment, and its agents' tree in a real etcd of version 2.

use fairlead_tests::{
    Connection, Gateway, Response, Server, Setup,
    certs::{Authority, Leaf},
    etcd::Etcd,
    eventually,
    http::get_host,
    kontena::Agent,
    load::start_wrk,
    process::succeed,
    server::{After, Gate, whoami},
    until,
};
use std::time::{Duration, Instant};

/// A gateway that is told what Kontena tells, and no more.
fn setup(etcd: &Etcd) -> Setup {
    Setup::new().environment("KONTENA_SERVICE_NAME", "lb").environment("ETCD_NODE", &etcd.endpoint())
}

fn started() -> (Etcd, Agent, Gateway) {
    let etcd = Etcd::with_v2();
    let agent = Agent::of(&etcd, "lb");
    let gateway = setup(&etcd).start();
    (etcd, agent, gateway)
}

fn host(gateway: &Gateway, host: &str) -> Response {
    get_host(gateway.web(), host, "/")
}

/// Everything that is rejected, as text.
fn rejections(gateway: &Gateway) -> String {
    gateway.api("/api/fairlead/status")["rejections"].to_string()
}

#[test]
fn a_linked_service_is_served_and_follows_its_agent() {
    let (etcd, agent, gateway) = started();
    let (one, two) = (Server::whoami("one"), Server::whoami("two"));
    assert_eq!(host(&gateway, "www.kontena.io").status, 503, "nothing is linked yet");

    agent.register("web", "web-1", one.port());
    agent.service("web", &[("virtual_hosts", "www.kontena.io,kontena.io,*.deep.io")]);
    until("the service is served", || host(&gateway, "www.kontena.io").status == 200);
    assert_eq!(host(&gateway, "KONTENA.io").status, 200);
    assert_eq!(host(&gateway, "a.b.deep.io").status, 200);
    assert_eq!((host(&gateway, "deep.io").status, host(&gateway, "other.io").status), (503, 503));

    let other = Agent::of(&etcd, "other_lb");
    other.register("elsewhere", "x-1", two.port());
    other.service("elsewhere", &[("virtual_hosts", "elsewhere.io")]);

    agent.service("web", &[("virtual_hosts", "new.io")]);
    until("a new host is served", || host(&gateway, "new.io").status == 200);
    assert_eq!(host(&gateway, "www.kontena.io").status, 503, "and the old one is not");
    assert_eq!(host(&gateway, "elsewhere.io").status, 503, "what is linked to another balancer is not ours");

    agent.put("tcp-services/galera/external_port", "3306");
    agent.put("tcp-services/galera/upstreams/galera-1", "127.0.0.1:3306");
    until("the port that nobody listens on is named", || rejections(&gateway).contains("3306"));

    agent.unregister("web", "web-1", one.port());
    until("no container is left", || host(&gateway, "new.io").status == 503);
    let began = Instant::now();
    agent.register("web", "web-2", two.port());
    until("the next one is taken", || host(&gateway, "new.io").status == 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(host(&gateway, "new.io").server(), "two");
    agent.remove("web");
    until("the service is gone", || gateway.api("/api/http/services").to_string().matches("@kontena").count() == 0);
    assert_eq!(host(&gateway, "new.io").status, 503);
}

#[test]
fn tcp_services_get_the_connections_to_their_port() {
    let etcd = Etcd::with_v2();
    let agent = Agent::of(&etcd, "lb");
    let gateway = setup(&etcd).entry_point("mysql", serde_json::json!({})).start();
    let port = gateway.port("mysql");
    let server = Server::whoami("galera");
    agent.put("tcp-services/galera/external_port", &port.to_string());
    agent.put("tcp-services/galera/upstreams/galera-1", &format!("127.0.0.1:{}", server.port()));
    // A server of HTTP shows as well as any other that the bytes arrive.
    let answer = || {
        Connection::try_open(port).ok().and_then(|mut connection| {
            connection.send("GET / HTTP/1.1\r\nHost: any\r\n\r\n");
            connection.try_answer("GET").ok()
        })
    };
    until("it is served", || answer().is_some_and(|answer| answer.status == 200 && answer.server() == "galera"));
    assert_eq!(gateway.api("/api/tcp/routers/galera@kontena")["using"], serde_json::json!(["mysql"]));
    assert_eq!(gateway.get("/").status, 503);
}

#[test]
fn paths_are_prefixes_and_stripped_unless_kept() {
    let (_etcd, agent, gateway) = started();
    let (api, kept, rest) = (Server::whoami("api"), Server::whoami("kept"), Server::whoami("rest"));
    agent.service("api", &[("virtual_path", "/api")]);
    agent.register("api", "api-1", api.port());
    agent.service("kept", &[("virtual_path", "/kept"), ("keep_virtual_path", "true")]);
    agent.register("kept", "kept-1", kept.port());
    until("both are served", || gateway.get("/api").status == 200 && gateway.get("/kept").status == 200);
    let line = |path: &str| {
        let text = gateway.get(path).text();
        text.lines().nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(line("/api/x?q=1"), "GET /x?q=1 HTTP/1.1");
    assert_eq!(line("/apix"), "GET /x HTTP/1.1", "a prefix of the text, as HAProxy has it");
    assert_eq!(line("/api"), "GET / HTTP/1.1");
    assert_eq!(line("/kept/x"), "GET /kept/x HTTP/1.1");
    assert_eq!(gateway.get("/").status, 503);
    agent.service("rest", &[]);
    agent.register("rest", "rest-1", rest.port());
    until("a service that says nothing takes the rest", || gateway.get("/").status == 200);
    assert_eq!(gateway.get("/api/x").server(), "api", "by name, and not before the others");
}

#[test]
fn round_robin_alternates_and_source_stays() {
    let (_etcd, agent, gateway) = started();
    let servers = [Server::whoami("a"), Server::whoami("b"), Server::whoami("c")];
    for (service, balance, count) in [("turns", "roundrobin", 2), ("source", "source", 3)] {
        agent.service(service, &[("virtual_hosts", &format!("{service}.io")), ("balance", balance)]);
        for (index, server) in servers.iter().take(count).enumerate() {
            agent.register(service, &format!("{service}-{index}"), server.port());
        }
    }
    until("both are served", || ["turns.io", "source.io"].iter().all(|name| host(&gateway, name).status == 200));
    let servers_of =
        |service: &str| gateway.api(&format!("/api/http/services/{service}@kontena"))["loadBalancer"]["servers"].clone();
    until("every container is known", || servers_of("source").as_array().is_some_and(|servers| servers.len() == 3));

    let mut connection = Connection::open(gateway.web());
    let names: Vec<_> = (0..8).map(|_| connection.request("GET", "/", "turns.io", "").server()).collect();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");

    let ask = |address: &str| {
        let url = format!("http://127.0.0.1:{}/", gateway.web());
        let text = succeed("curl", &["-s", "--interface", address, "-H", "Host: source.io", &url]);
        text.lines().next().unwrap_or_default().to_owned()
    };
    let mut seen = std::collections::BTreeSet::new();
    for client in 1..=24 {
        let address = format!("127.0.1.{client}");
        let first = ask(&address);
        assert_eq!(first, ask(&address), "{address} keeps its container");
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn leastcon_in_either_spelling_goes_where_fewer_are() {
    let (_etcd, agent, gateway) = started();
    for spelling in ["leastcon", "leastconn"] {
        let gate = Gate::new();
        let holding = |name: &'static str| {
            let gate = gate.clone();
            Server::start(move |exchange| {
                if exchange.head.target() == "/hold" {
                    gate.pass();
                }
                whoami(name, exchange)?;
                Ok(After::Keep)
            })
        };
        let (busy, idle) = (holding("busy"), holding("idle"));
        let name = format!("{spelling}.io");
        agent.service(spelling, &[("virtual_hosts", &name), ("balance", spelling)]);
        agent.register(spelling, "busy", busy.port());
        until("it is served", || host(&gateway, &name).status == 200);
        let held: Vec<_> = (0..10)
            .map(|_| {
                let mut connection = gateway.connect();
                connection.send(format!("GET /hold HTTP/1.1\r\nHost: {name}\r\n\r\n"));
                connection
            })
            .collect();
        until("ten are held", || busy.in_flight() == 10);
        agent.register(spelling, "idle", idle.port());
        until("the other is known", || host(&gateway, &name).server() == "idle");
        for _ in 0..10 {
            assert_eq!(host(&gateway, &name).server(), "idle", "{spelling}");
        }
        gate.open();
        drop(held);
    }
}

#[test]
fn custom_settings_take_effect_and_others_are_named() {
    let (_etcd, agent, gateway) = started();
    let server = Server::whoami("a");
    let lines = "http-response set-header X-Frame-Options DENY\nhttp-request set-header X-Tier gold\nerrorfile 503 /etc/x\n\
                 acl old hdr(host) -i old.io\nredirect code 301 location https://new.io/ if old";
    agent.service("web", &[("virtual_hosts", "web.io,old.io"), ("custom_settings", lines)]);
    agent.register("web", "web-1", server.port());
    agent.service("plain", &[("virtual_hosts", "plain.io")]);
    agent.register("plain", "plain-1", server.port());
    until("both are served", || ["web.io", "plain.io"].iter().all(|name| host(&gateway, name).status == 200));
    let answer = host(&gateway, "web.io");
    assert_eq!(answer.field("X-Frame-Options"), Some("DENY"));
    assert_eq!(answer.line("X-Tier").as_deref(), Some("gold"));
    let answer = host(&gateway, "old.io");
    assert_eq!((answer.status, answer.field("Location")), (301, Some("https://new.io/")));
    let said = rejections(&gateway);
    assert!(said.contains("kontena service web") && said.contains("line 3") && said.contains("errorfile"), "{said}");
    assert!(!said.contains("line 1") && !said.contains("plain"), "{said}");

    agent.service(
        "plain",
        &[("virtual_hosts", "plain.io,more.io"), ("custom_settings", "http-request deny if { path_beg /admin }")],
    );
    until("the guard is named", || rejections(&gateway).contains("plain"));
    assert_eq!((host(&gateway, "plain.io").status, host(&gateway, "more.io").status), (200, 503), "the last good version stays");
    agent.service(
        "plain",
        &[("virtual_hosts", "plain.io,more.io"), ("custom_settings", "redirect scheme https code 301 if !{ ssl_fc }")],
    );
    until("mended, it counts", || host(&gateway, "more.io").status == 301);
    assert_eq!(host(&gateway, "more.io").field("Location"), Some("https://more.io/"));
}

#[test]
fn users_cookies_and_checks() {
    let (_etcd, agent, gateway) = started();
    let hash = succeed("openssl", &["passwd", "-6", "-salt", "saltsalt", "s3cret"]);
    let users = format!("user ann password {}\nuser bob insecure-password plain", hash.trim());
    let (well, ill) = (
        Server::whoami("well"),
        Server::start(|exchange| {
            let status = if exchange.head.target() == "/up" { 500 } else { 200 };
            exchange.reply(status, "", "Hostname: ill\n")?;
            Ok(After::Keep)
        }),
    );
    agent.service("safe", &[("virtual_hosts", "safe.io"), ("basic_auth_secrets", &users)]);
    agent.register("safe", "safe-1", well.port());
    agent.service("sticky", &[("virtual_hosts", "sticky.io"), ("cookie", ""), ("health_check_uri", "/up")]);
    agent.register("sticky", "sticky-1", well.port());
    agent.register("sticky", "sticky-2", ill.port());
    until("both are served", || host(&gateway, "safe.io").status == 401 && host(&gateway, "sticky.io").status == 200);
    let ask = |credentials: &str| {
        let url = format!("http://127.0.0.1:{}/", gateway.web());
        succeed("curl", &["-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", credentials, "-H", "Host: safe.io", &url])
    };
    assert_eq!([ask("ann:s3cret"), ask("bob:plain"), ask("ann:wrong"), ask("eve:s3cret")], ["200", "200", "401", "401"]);
    assert_eq!(host(&gateway, "safe.io").field("WWW-Authenticate"), Some("Basic realm=\"safe\""));

    let cookie = host(&gateway, "sticky.io").field("Set-Cookie").map(str::to_owned).unwrap_or_default();
    assert!(cookie.starts_with("KONTENA_SERVERID=") && cookie.to_lowercase().contains("path=/"), "{cookie}");
    until("the container that fails its checks gets nothing", || (0..6).all(|_| host(&gateway, "sticky.io").server() == "well"));
}

#[test]
fn containers_come_and_go_under_load_and_no_request_fails() {
    let (_etcd, agent, gateway) = started();
    let mut servers: Vec<(String, Server)> = Vec::new();
    let scale = |servers: &mut Vec<(String, Server)>, count: usize| {
        while servers.len() < count {
            let name = format!("web-{}", servers.len() + 1);
            let server = Server::whoami(&name);
            agent.register("web", &name, server.port());
            servers.push((name, server));
        }
        let leaving: Vec<_> = servers.drain(count..).collect();
        for (name, server) in &leaving {
            agent.unregister("web", name, server.port());
        }
        let known = || gateway.api("/api/http/services/web@kontena")["loadBalancer"]["servers"].as_array().map_or(0, Vec::len);
        until("the gateway knows", || known() == count);
        // Dropped here: they stop.
    };
    agent.service("web", &[("virtual_hosts", "localhost,127.0.0.1")]);
    scale(&mut servers, 2);
    until("it is served", || gateway.get("/").status == 200);
    let load = start_wrk(&format!("http://127.0.0.1:{}/", gateway.web()), 8, 60, &[]);
    for count in [5, 1, 3, 2, 8, 2] {
        scale(&mut servers, count);
    }
    for round in 0..100 {
        agent.put("services/web/upstreams/flicker", &format!("127.0.0.1:{}", servers[round % 2].1.port()));
    }
    agent.unregister("web", "flicker", servers[1].1.port());
    for round in 0..10 {
        agent.service("other", &[("virtual_hosts", &format!("h{round}.io"))]);
        until("the settings are served", || {
            gateway.api("/api/http/routers/other@kontena")["rule"].to_string().contains(&format!("h{round}.io"))
        });
    }
    let tally = load.stop();
    assert!(tally.requests > 1000, "{tally:?}");
    assert_eq!(tally.failed, 0, "{tally:?}");
}

#[test]
fn a_store_that_dies_or_is_wiped_takes_nothing_away() {
    let (mut etcd, agent, gateway) = started();
    let server = Server::whoami("a");
    agent.service("web", &[("virtual_hosts", "web.io")]);
    agent.register("web", "web-1", server.port());
    until("it is served", || host(&gateway, "web.io").status == 200);
    let healthy = || gateway.api("/api/fairlead/status")["providers"][0]["healthy"] == true;
    etcd.kill();
    until("the silence is shown", || !healthy());
    assert_eq!(host(&gateway, "web.io").status, 200);
    etcd.wipe();
    until("the store that lost everything is doubted", || {
        gateway.api("/api/fairlead/status")["providers"].to_string().contains("suddenly holds no service")
    });
    assert_eq!(host(&gateway, "web.io").status, 200);
    agent.service("new", &[("virtual_hosts", "new.io")]);
    agent.register("new", "new-1", server.port());
    until("a service ends the doubt", || host(&gateway, "new.io").status == 200);
    until("and what it does not hold is gone", || host(&gateway, "web.io").status == 503);
    assert!(healthy());
}

#[test]
fn the_same_tree_in_an_etcd_of_version_3() {
    let etcd = Etcd::start();
    let server = Server::whoami("a");
    let root = "/kontena/haproxy/shop/lb/services/web";
    etcd.put(&format!("{root}/virtual_hosts"), "web.io");
    etcd.put(&format!("{root}/upstreams/web-1"), &format!("127.0.0.1:{}", server.port()));
    let gateway = setup(&etcd)
        .environment("KONTENA_STACK_NAME", "shop")
        .argument("--providers.kontena.api=v3")
        .section("entryPoints", serde_json::json!({}))
        .start();
    until("it is served", || host(&gateway, "web.io").status == 200);
    etcd.put(&format!("{root}/virtual_hosts"), "new.io");
    until("a change is followed", || host(&gateway, "new.io").status == 200);
    etcd.delete(&format!("{root}/upstreams/web-1"));
    until("a container that goes is gone", || host(&gateway, "new.io").status == 503);
}

/// Subjects of the certificates shown for these names.
fn subject(port: u16, name: &str) -> String {
    let command = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -subject"
    );
    succeed("sh", &["-c", &command])
}

fn bundle(leaf: &Leaf) -> String {
    format!("{}{}", leaf.cert, leaf.key)
}

#[test]
fn certificates_come_from_the_environment() {
    let etcd = Etcd::with_v2();
    let (agent, server, authority) = (Agent::of(&etcd, "lb"), Server::whoami("a"), Authority::new());
    let [www, api, own, late] =
        ["www.domain.com", "api.domain.com", "own.domain.com", "late.domain.com"].map(|name| authority.issue(&[name]));
    // Two secrets of one name, and one that holds its key before its certificate.
    let several =
        format!("{}{}{}{}{}", bundle(&www), bundle(&api), late.key, late.cert, bundle(&authority.issue(&["last.domain.com"])));
    let gateway = setup(&etcd)
        .entry_point("websecure", serde_json::json!({ "http": { "tls": {} } }))
        .environment("SSL_CERTS", &several)
        .environment("SSL_CERT_OWN", &format!("{}{}", own.key, own.cert))
        .environment("KONTENA_LB_HEALTH_URI", "/__lb")
        .environment("STATS_PASSWORD", "x")
        .start();
    agent.service("web", &[("virtual_hosts", "www.domain.com,api.domain.com")]);
    agent.register("web", "web-1", server.port());
    let port = gateway.port("websecure");
    eventually("the certificates are there", || {
        let shown = subject(port, "www.domain.com");
        if shown.contains("www.domain.com") { Ok(()) } else { Err(shown) }
    });
    for name in ["www", "api", "last", "own"] {
        let shown = subject(port, &format!("{name}.domain.com"));
        assert!(shown.contains(&format!("{name}.domain.com")), "{name}: {shown}");
    }
    assert!(subject(port, "unknown.domain.com").contains("www.domain.com"), "the first is for everybody else");
    assert!(subject(port, "late.domain.com").contains("www.domain.com"), "a key without its certificate is none");
    let said = rejections(&gateway);
    assert!(said.contains("SSL_CERTS") && said.contains("the private key comes before its certificate"), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "and no secret is shown");
    until("requests over TLS are served", || {
        let url = format!("https://www.domain.com:{port}/");
        let to = format!("www.domain.com:{port}:127.0.0.1");
        succeed("curl", &["-sk", "--resolve", &to, "-w", "%{http_code}", &url]).contains("X-Forwarded-Proto: https")
    });
    assert_eq!(gateway.get("/__lb").status, 200, "the balancer answers for itself");
    assert!(gateway.log().contains("STATS_PASSWORD"), "what has no effect is named");
}
