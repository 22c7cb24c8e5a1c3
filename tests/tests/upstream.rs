//! Servers behind the gateway that speak HTTP/2 or TLS; nginx stands for them.

use fairlead_tests::{
    Gateway, Setup,
    certs::Authority,
    gateway::{balancer, routes},
    http::get_host,
    nginx::Nginx,
    server::Server,
};
use serde_json::{Value, json};

fn gateway(url: &str, transport: Option<Value>, dir_setup: Setup) -> Gateway {
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[])]);
    dynamic["http"]["services"]["all"] = balancer(&[url.to_owned()]);
    if let Some(transport) = transport {
        dynamic["http"]["services"]["all"]["loadBalancer"]["serversTransport"] = json!("t");
        dynamic["http"]["serversTransports"] = json!({ "t": transport });
    }
    dir_setup.dynamic(dynamic).start()
}

#[test]
fn http2_with_prior_knowledge() {
    let nginx = Nginx::h2c();
    let gateway = gateway(&format!("h2c://127.0.0.1:{}", nginx.port()), None, Setup::new());
    let mut client = gateway.connect();
    for _ in 0..20 {
        let answer = client.request("GET", "/x", "a.example", "");
        assert_eq!(answer.line("protocol").as_deref(), Some("HTTP/2.0"), "{} {}", answer.status, answer.text());
        assert_eq!(answer.line("host").as_deref(), Some("a.example"));
    }
}

#[test]
fn https_with_an_authority_and_a_name() {
    let (authority, setup) = (Authority::new(), Setup::new());
    let nginx = Nginx::tls(&authority.issue(&["backend.example"]));
    let transport = json!({ "rootCAs": [authority.file(setup.dir())], "serverName": "backend.example" });
    let gateway = gateway(&format!("https://127.0.0.1:{}", nginx.port()), Some(transport), setup);
    let answer = get_host(gateway.web(), "a.example", "/");
    assert_eq!((answer.status, answer.server().as_str()), (200, "nginx"));
    assert_eq!(answer.line("sni").as_deref(), Some("backend.example"));
}

#[test]
fn https_by_an_unknown_authority_is_refused() {
    let nginx = Nginx::tls(&Authority::new().issue(&["127.0.0.1"]));
    let url = format!("https://127.0.0.1:{}", nginx.port());
    let strict = gateway(&url, None, Setup::new());
    let answer = strict.get("/");
    assert_eq!((answer.status, answer.field("x-fairlead-reason")), (502, Some("upstream_tls")));
    let lax = gateway(&url, Some(json!({ "insecureSkipVerify": true })), Setup::new());
    assert_eq!(lax.get("/").status, 200);
}

#[test]
fn https_by_another_name_is_refused() {
    let (authority, setup) = (Authority::new(), Setup::new());
    let nginx = Nginx::tls(&authority.issue(&["other.example"]));
    let transport = json!({ "rootCAs": [authority.file(setup.dir())], "serverName": "backend.example" });
    let gateway = gateway(&format!("https://127.0.0.1:{}", nginx.port()), Some(transport), setup);
    assert_eq!(gateway.get("/").field("x-fairlead-reason"), Some("upstream_tls"));
}

#[test]
fn a_server_that_never_answers_is_504() {
    let gate = fairlead_tests::server::Gate::new();
    let held = gate.clone();
    let server = Server::start(move |_| {
        held.pass();
        Ok(fairlead_tests::server::After::Close)
    });
    let transport = json!({ "forwardingTimeouts": { "responseHeaderTimeout": "300ms" } });
    let gateway = gateway(&server.url(), Some(transport), Setup::new());
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.field("x-fairlead-reason")), (504, Some("upstream_timeout")));
    gate.open();
}
