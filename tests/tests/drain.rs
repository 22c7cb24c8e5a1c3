//! Going down in order, and the exit codes.

use fairlead_tests::{
    Connection, Gateway, Server, Setup,
    gateway::routes,
    get,
    server::{After, Gate},
    until,
};
use serde_json::json;

/// A server that answers once the gate is open.
fn held(gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::start(move |exchange| {
        if exchange.head.target() == "/held" {
            gate.pass();
        }
        exchange.reply(200, "", "done")?;
        Ok(After::Keep)
    })
}

fn gateway(server: &Server, life_cycle: serde_json::Value) -> Gateway {
    let setup = Setup::new().entry_point("web", json!({ "transport": { "lifeCycle": life_cycle } }));
    setup.dynamic(routes(&[("all", "PathPrefix(`/`)", &[server])])).start()
}

#[test]
fn readiness_fails_first_and_requests_under_way_finish() {
    let gate = Gate::new();
    let server = held(&gate);
    let mut gateway = gateway(&server, json!({ "requestAcceptGraceTimeout": "1s", "graceTimeOut": "20s" }));
    let mut client = gateway.connect();
    client.send("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    until("the request is under way", || server.in_flight() == 1);

    gateway.process.signal("TERM");
    let admin = gateway.port("traefik");
    until("readiness fails", || get(admin, "/ready").status == 503);
    assert_eq!(gateway.get("/").status, 200, "the lame duck still answers new requests");
    let web = gateway.web();
    until("new connections are refused", || Connection::try_open(web).is_err());
    assert!(gateway.process.ended().is_none(), "it waits for the request under way");

    gate.open();
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(gateway.process.exit_code(), 0, "{}", gateway.log());
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let server = Server::whoami("a");
    let mut gateway = gateway(&server, json!({ "graceTimeOut": "60s" }));
    let mut idle: Vec<_> = (0..5).map(|_| gateway.connect()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status, 200);
    }
    let silent = gateway.connect();
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), 0, "{}", gateway.log());
    drop(silent);
}

#[test]
fn a_deadline_that_passes_is_exit_code_2() {
    let gate = Gate::new();
    let server = held(&gate);
    let mut gateway = gateway(&server, json!({ "graceTimeOut": "300ms" }));
    let mut client = gateway.connect();
    client.send("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    until("the request is under way", || server.in_flight() == 1);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.exit_code(), 2, "{}", gateway.log());
    gate.open();
}

#[test]
fn a_port_that_is_taken_is_exit_code_1_and_named() {
    let server = Server::whoami("a");
    let first = Gateway::over(&[&server]);
    let address = format!("127.0.0.1:{}", server.port());
    let mut second = Setup::new().argument(&format!("--entryPoints.web.address={address}")).spawn();
    assert_eq!(second.process.exit_code(), 1);
    assert!(second.log().contains(&address) && second.log().contains("web"), "{}", second.log());
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn an_unusable_configuration_is_exit_code_64() {
    let mut gateway = Setup::new().section("entryPoint", json!({})).spawn();
    assert_eq!(gateway.process.exit_code(), 64);
    assert!(gateway.log().contains("entryPoints"), "the nearest key is named: {}", gateway.log());
}

#[test]
fn a_response_while_draining_says_that_the_connection_ends() {
    let gate = Gate::new();
    let server = held(&gate);
    let mut gateway = gateway(&server, json!({ "graceTimeOut": "20s" }));
    let mut client = gateway.connect();
    client.send("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    until("the request is under way", || server.in_flight() == 1);
    gateway.process.signal("TERM");
    let web = gateway.web();
    until("new connections are refused", || Connection::try_open(web).is_err());
    gate.open();
    assert_eq!(client.answer().field("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    assert!(client.is_closed());
    assert_eq!(gateway.process.exit_code(), 0);
}
