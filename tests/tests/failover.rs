//! Servers that die, close and refuse: no replayable request is lost while another server can take it.

use fairlead_tests::{
    Gateway, Server, Setup, free_port,
    gateway::{balancer, routes},
    load::start_wrk,
    server::{After, whoami},
    until,
};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_server_killed_under_load_costs_no_request() {
    let servers = [Server::whoami("one"), Server::whoami("two"), Server::whoami("three")];
    let gateway = Gateway::over(&[&servers[0], &servers[1], &servers[2]]);
    let load = start_wrk(&format!("http://127.0.0.1:{}/", gateway.web()), 16, 600, &[]);
    until("every server is used", || servers.iter().all(|server| server.requests() > 500));
    servers[1].kill();
    let (before, other) = (servers[0].requests(), servers[2].requests());
    until("the others carry on", || servers[0].requests() > before + 1000 && servers[2].requests() > other + 1000);
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{tally:?}\n{}", gateway.log());
}

#[test]
fn a_stale_connection_is_never_a_502() {
    // Closes after each response, without having said so.
    let server = Server::start(|exchange| {
        whoami("hasty", exchange)?;
        Ok(After::Close)
    });
    let gateway = Gateway::over(&[&server]);
    let mut client = gateway.connect();
    for number in 0..300 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "request {number}: {:?}", answer.head);
    }
}

#[test]
fn idle_connections_closed_all_at_once_are_never_a_502() {
    let server = Server::whoami("tidy");
    let gateway = Gateway::over(&[&server]);
    for round in 0..30 {
        let mut clients: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.answer().status, 200, "round {round}");
        }
        server.close_connections();
    }
}

#[test]
fn a_refused_connection_sends_even_a_post_elsewhere() {
    let alive = Server::whoami("alive");
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[])]);
    dynamic["http"]["services"]["all"] = balancer(&[dead, alive.url()]);
    let gateway = Setup::new().dynamic(dynamic).start();
    let mut client = gateway.connect();
    for number in 0..20 {
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
        let answer = client.answer();
        assert_eq!(answer.status, 200, "request {number}: {:?}", answer.head);
    }
    assert_eq!(alive.requests(), 20);
}

#[test]
fn a_post_that_a_server_may_have_acted_on_is_not_sent_twice() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let handler = |exchange: &mut fairlead_tests::server::Exchange<'_>| {
        exchange.body()?;
        SEEN.fetch_add(1, Ordering::SeqCst);
        exchange.reset();
        Ok(After::Close)
    };
    let (one, two) = (Server::start(handler), Server::start(handler));
    let gateway = Gateway::over(&[&one, &two]);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("X-Fairlead-Reason")), (502, Some("upstream_closed")));
    assert_eq!(SEEN.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_server_the_answer_is_503_and_says_why() {
    let mut dynamic = routes(&[("empty", "Path(`/empty`)", &[])]);
    dynamic["http"]["routers"]["nowhere"] = json!({ "rule": "Path(`/dead`)", "service": "dead", "entryPoints": ["web"] });
    dynamic["http"]["services"]["dead"] = balancer(&[format!("http://127.0.0.1:{}", free_port())]);
    let gateway = Setup::new().dynamic(dynamic).start();
    let answer = gateway.get("/empty");
    assert_eq!((answer.status, answer.field("X-Fairlead-Reason")), (503, Some("no_server")));
    let answer = gateway.get("/dead");
    assert_eq!((answer.status, answer.field("X-Fairlead-Reason")), (502, Some("connect_failed")));
    let answer = gateway.get("/unknown");
    assert_eq!((answer.status, answer.field("X-Fairlead-Reason")), (404, Some("no_route")));
}

#[test]
fn a_health_check_takes_a_server_out_and_back_in() {
    static SICK: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let well = Server::whoami("well");
    let moody = Server::start(|exchange| {
        if exchange.head.target() == "/health" && SICK.load(Ordering::SeqCst) {
            exchange.reply(500, "", "")?;
            return Ok(After::Keep);
        }
        whoami("moody", exchange)
    });
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[&well, &moody])]);
    dynamic["http"]["services"]["all"]["loadBalancer"]["healthCheck"] =
        json!({ "path": "/health", "interval": "100ms", "unhealthyInterval": "100ms", "timeout": "1s" });
    let gateway = Setup::new().dynamic(dynamic).start();
    let both = || {
        let names: Vec<_> = (0..6).map(|_| gateway.get("/").server()).collect();
        names.iter().any(|n| n == "moody") && names.iter().any(|n| n == "well")
    };
    until("both are used", both);
    SICK.store(true, Ordering::SeqCst);
    until("the sick one is left alone", || (0..6).all(|_| gateway.get("/").server() == "well"));
    SICK.store(false, Ordering::SeqCst);
    until("it is back", both);
}
