//! The Docker Engine's API over TLS, asked for by a client certificate, behind a proxy that passes GET only.

use fairlead_tests::{Server, Setup, certs::Authority, engine::Engine, eventually, http::get_host, nginx::Nginx, until};
use serde_json::{Value, json};

/// A Swarm of three services behind nginx, the authority of both sides, and a backend.
fn swarm() -> (Authority, Engine, Nginx, Server) {
    let (authority, backend) = (Authority::new(), Server::whoami("task"));
    let engine = Engine::start(3, 2, backend.port());
    let nginx = Nginx::guarding(&authority.issue(&["127.0.0.1", "localhost"]), &authority, engine.port());
    (authority, engine, nginx, backend)
}

fn provider(nginx: &Nginx, tls: &Value) -> Value {
    json!({ "swarm": { "endpoint": format!("tcp://127.0.0.1:{}", nginx.port()), "tls": tls } })
}

#[test]
fn a_manager_is_asked_over_tls_with_a_client_certificate_and_by_get_alone() {
    let (authority, engine, nginx, _backend) = swarm();
    let setup = Setup::new();
    let (cert, key) = authority.issue(&["gateway"]).files(setup.dir(), "client");
    let tls = json!({ "ca": authority.file(setup.dir()), "cert": cert, "key": key });
    let gateway = setup.section("providers", provider(&nginx, &tls)).start();
    assert_eq!(get_host(gateway.web(), "service-2.test", "/").server(), "task");

    // An event comes through as well: the change is served long before the next look at everything.
    engine.set_label(1, "traefik.http.routers.service-1.rule", "Host(`changed.test`)");
    eventually("the change is served", || match get_host(gateway.web(), "changed.test", "/").status {
        200 => Ok(()),
        status => Err(status),
    });
    assert_eq!(engine.writes(), Vec::<String>::new());
    assert!(engine.calls().contains_key("events"), "{:?}", engine.calls());
}

#[test]
fn a_manager_that_refuses_the_client_is_named_and_nothing_is_served_half_way() {
    let (authority, engine, nginx, _backend) = swarm();
    let setup = Setup::new();
    let tls = json!({ "ca": authority.file(setup.dir()) });
    let gateway = setup.section("providers", provider(&nginx, &tls)).spawn();
    until("the refusal is told", || gateway.log().contains("provider") && gateway.log().contains("400"));
    assert!(!engine.calls().contains_key("services"), "{:?}", engine.calls());
}
