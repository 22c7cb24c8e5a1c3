//! Configuration changes under load: nothing that was left alone is touched, and nothing grows.

use fairlead_tests::{Connection, Server, Setup, gateway::routes, load::start_wrk};
use serde_json::Value;

/// Service `a` on `/`, and a router that only this round has.
fn round(number: usize, a: &Server, b: &Server) -> Value {
    let path = format!("Path(`/round-{number}`)");
    routes(&[("a", "PathPrefix(`/`)", &[a]), (&format!("round-{number}"), &path, &[b])])
}

#[test]
fn a_thousand_changes_cost_no_request_and_no_memory() {
    let (a, b) = (Server::whoami("a"), Server::whoami("b"));
    let gateway = Setup::new().dynamic(round(0, &a, &b)).start();
    let load = start_wrk(&format!("http://127.0.0.1:{}/", gateway.web()), 8, 600, &[]);
    let mut client = gateway.connect();
    let mut warm = 0;
    for number in 1..=1000 {
        let path = format!("/round-{number}");
        gateway.configure_until(&round(number, &a, &b), "the new route answers", || client.get(&path).server() == "b");
        if number == 200 {
            warm = gateway.process.resident_kib();
        }
    }
    let grown = gateway.process.resident_kib().saturating_sub(warm);
    let tally = load.stop();
    assert_eq!(tally.failed, 0, "{tally:?}");
    assert!(tally.requests > 10_000, "the load was there: {tally:?}");
    assert!(grown < 6 * 1024, "resident memory grew by {grown} KiB over 800 changes");
}

#[test]
fn adding_a_service_leaves_the_others_connections_alone() {
    let (a, b) = (Server::whoami("a"), Server::whoami("b"));
    let alone = routes(&[("a", "Path(`/a`)", &[&a])]);
    let both = routes(&[("a", "Path(`/a`)", &[&a]), ("b", "Path(`/b`)", &[&b])]);
    let gateway = Setup::new().dynamic(alone.clone()).start();
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/a").status, 200);
    }
    let before = a.accepted();
    for _ in 0..5 {
        gateway.configure_until(&both, "b is there", || client.get("/b").status == 200);
        assert_eq!(client.get("/a").server(), "a");
        gateway.configure_until(&alone, "b is gone", || client.get("/b").status == 404);
        assert_eq!(client.get("/a").server(), "a");
    }
    assert_eq!(a.accepted(), before, "a saw new connections, so old ones were given up");
}

#[test]
fn a_bad_change_is_refused_and_the_last_good_one_stays() {
    let a = Server::whoami("a");
    let good = routes(&[("a", "Path(`/a`)", &[&a])]);
    let gateway = Setup::new().dynamic(good).start();
    let bad = routes(&[("a", "Path(`/a`", &[&a]), ("b", "Path(`/b`)", &[&a])]);
    gateway.configure_until(&bad, "the good half of the change applies", || gateway.get("/b").status == 200);
    assert_eq!(gateway.get("/a").status, 200, "the bad router keeps its last good rule");
    let status = gateway.api("/api/fairlead/status");
    assert!(status["rejections"].to_string().contains("rule"), "{status}");
}

#[test]
fn snapshot_numbers_only_rise() {
    let a = Server::whoami("a");
    let gateway = Setup::new().dynamic(routes(&[("a", "Path(`/begin`)", &[&a])])).start();
    let number = || gateway.api("/api/fairlead/status")["snapshot"].as_u64().expect("a number");
    let mut last = number();
    for round in 0..10 {
        let path = format!("/x{round}");
        let value = routes(&[("a", &format!("Path(`{path}`)"), &[&a])]);
        gateway.configure_until(&value, "the change applies", || gateway.get(&path).status == 200);
        let now = number();
        assert!(now > last, "{now} after {last}");
        last = now;
    }
}

#[test]
fn a_websocket_outlives_reloads() {
    let socket = Server::start(|exchange| {
        let key = exchange.head.field("sec-websocket-key").unwrap_or_default().to_owned();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        exchange.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))?;
        let stream = exchange.reader().get_ref().try_clone()?;
        let mut peer = tungstenite::WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Server, None);
        while let Ok(message) = peer.read() {
            if message.is_text() && peer.send(message).is_err() {
                break;
            }
        }
        Ok(fairlead_tests::server::After::Close)
    });
    let b = Server::whoami("b");
    let with = |path: &str| routes(&[("socket", "Path(`/socket`)", &[&socket]), ("b", &format!("Path(`{path}`)"), &[&b])]);
    let gateway = Setup::new().dynamic(with("/0")).start();
    let stream = Connection::open(gateway.web()).into_stream();
    let (mut client, _) = tungstenite::client("ws://localhost/socket", stream).expect("the WebSocket opens");
    for round in 1..=10 {
        let path = format!("/{round}");
        gateway.configure_until(&with(&path), "the change applies", || gateway.get(&path).status == 200);
        client.send(tungstenite::Message::text(path.clone())).expect("the WebSocket lives");
        assert_eq!(client.read().expect("the WebSocket lives").to_text().expect("text"), path);
    }
    assert_eq!(socket.accepted(), 1);
}
