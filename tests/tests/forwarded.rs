//! Who the client is: forwarding headers, and the PROXY protocol.

use fairlead_tests::{Connection, Gateway, Server, Setup, gateway::routes, http::get_host, until};
use serde_json::json;

fn gateway(server: &Server, entry_point: serde_json::Value) -> Gateway {
    Setup::new().entry_point("web", entry_point).dynamic(routes(&[("all", "PathPrefix(`/`)", &[server])])).start()
}

#[test]
fn a_stranger_is_not_believed() {
    let server = Server::whoami("a");
    let gateway = gateway(&server, json!({}));
    let claims = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 443\r\n\
                  X-Forwarded-Server: evil\r\nX-Real-Ip: 1.2.3.4\r\nX-Forwarded-Tls-Client-Cert: evil\r\nForwarded: for=1.2.3.4\r\n";
    gateway.connect().request("GET", "/", "a.example", claims);
    let head = server.seen().pop().expect("it was forwarded");
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["http"]);
    assert_eq!(head.all("x-forwarded-host"), ["a.example"]);
    assert_eq!(head.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-server").len(), 1);
    assert_ne!(head.field("x-forwarded-port"), Some("443"));
    assert_eq!(head.field("x-forwarded-tls-client-cert"), None);
    assert!(!head.all("forwarded").iter().any(|value| value.contains("1.2.3.4")), "{head:?}");
}

#[test]
fn a_trusted_front_is_believed_and_extended() {
    let server = Server::whoami("a");
    let gateway = gateway(&server, json!({ "forwardedHeaders": { "trustedIPs": ["127.0.0.1/32"] } }));
    let claims = "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: front.example\r\n";
    gateway.connect().request("GET", "/", "a.example", claims);
    let head = server.seen().pop().expect("it was forwarded");
    assert_eq!(head.all("x-forwarded-for"), ["1.2.3.4, 127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(head.all("x-forwarded-host"), ["front.example"]);
}

#[test]
fn hosts_pass_unless_the_service_says_otherwise() {
    let server = Server::whoami("a");
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[&server])]);
    let gateway = Setup::new().dynamic(dynamic.clone()).start();
    assert_eq!(get_host(gateway.web(), "a.example:8080", "/").line("Host").as_deref(), Some("a.example:8080"));
    dynamic["http"]["services"]["all"]["loadBalancer"]["passHostHeader"] = json!(false);
    let own = format!("127.0.0.1:{}", server.port());
    gateway.configure_until(&dynamic, "the service's own host", || {
        get_host(gateway.web(), "a.example", "/").line("Host") == Some(own.clone())
    });
}

#[test]
fn the_proxy_protocol_tells_the_client_to_those_who_may_speak_it() {
    let server = Server::whoami("a");
    let gateway = gateway(&server, json!({ "proxyProtocol": { "trustedIPs": ["127.0.0.1/32"] } }));
    let ask = |header: &[u8]| {
        let mut client = Connection::open(gateway.web());
        client.send([header, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
        client.answer().line("X-Real-Ip")
    };
    assert_eq!(ask(b"PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\n").as_deref(), Some("192.0.2.7"));
    assert_eq!(ask(b"PROXY TCP6 2001:db8::7 2001:db8::8 5000 80\r\n").as_deref(), Some("2001:db8::7"));
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x09\xc0\x00\x02\x08\x13\x88\x00\x50";
    assert_eq!(ask(v2).as_deref(), Some("192.0.2.9"));
    let mut client = Connection::open(gateway.web());
    client.send("PROXY TCP4 nonsense\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.rest();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "a malformed header was passed over");
}

#[test]
fn the_proxy_protocol_of_a_stranger_is_no_request() {
    let server = Server::whoami("a");
    let gateway = gateway(&server, json!({ "proxyProtocol": { "trustedIPs": ["192.0.2.0/24"] } }));
    let mut client = gateway.connect();
    client.send("PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    assert_eq!(server.requests(), 0);
    until("others are served", || gateway.get("/").status == 200);
}
