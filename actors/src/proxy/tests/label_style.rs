//! What users of Interlock and Kontena's balancer rely on: headers that tell who answered, servers kept by the application's cookie,
//! upgrades on their paths alone, 503 for hosts that nobody serves.

use super::OK;
use crate::testing::{Peer, Response, Server, Site, answering, balanced, field, nobody};
use std::collections::BTreeSet;

/// A router for `/` with middlewares, over these servers.
fn with_middlewares(servers: &[std::net::SocketAddr], router: &str, middlewares: &str) -> String {
    balanced(servers, "").replace("      service: s\n", &format!("      service: s\n      middlewares: [{router}]\n"))
        + "  middlewares:\n"
        + middlewares
}

fn informing(servers: &[std::net::SocketAddr]) -> String {
    with_middlewares(servers, "info", "    info:\n      infoHeaders: {}\n")
}

const ALWAYS: [&str; 3] = ["x-request-id", "x-proxy-id", "x-server-info"];
const OF_SERVERS: [&str; 2] = ["x-upstream-addr", "x-upstream-response-time"];

fn present(response: &Response, names: &[&str]) -> usize {
    names.iter().filter(|name| response.field(name).is_some()).count()
}

#[test]
fn a_response_tells_how_it_came_about() {
    let server = Server::new();
    let site = Site::start(&informing(&[server.address]));
    let mut client = site.connect();
    let mut up: Option<Peer> = None;
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: mine\r\n\r\n");
        let up = up.get_or_insert_with(|| server.accept());
        let head = up.head();
        up.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-proxy-id: liar\r\nX-Request-Id: other\r\n\r\nok");
        let response = client.response();
        let id = response.field("x-request-id").expect("an identifier");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(head.matches(id).count(), 1, "the server is told the same: {head}");
        assert_eq!(response.field("x-proxy-id"), Some("gateway"));
        assert_eq!(response.field("x-server-info"), Some(concat!("fairlead/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(response.field("x-upstream-addr"), Some(server.address.to_string().as_str()));
        let time: f64 = response.field("x-upstream-response-time").expect("a time").parse().expect("seconds");
        assert!((0.0..10.0).contains(&time), "{time}");
        assert_eq!(response.head.to_ascii_lowercase().matches("x-request-id").count(), 1, "{}", response.head);
        assert!(seen.insert(id.to_owned()), "each request has its own");
    }
}

#[test]
fn errors_tell_it_too() {
    let dead = nobody();
    let site = Site::start(&informing(&[dead]));
    let refused = site.get("a.example", "/");
    assert_eq!((refused.status, present(&refused, &ALWAYS), present(&refused, &OF_SERVERS)), (502, 3, 2));
    assert!(refused.field("x-upstream-addr").expect("addresses").starts_with(&dead.to_string()));

    site.configure(&informing(&[]).replace("        servers:\n", "        servers: []\n"));
    let empty = site.get("a.example", "/");
    assert_eq!((empty.status, present(&empty, &ALWAYS), present(&empty, &OF_SERVERS)), (503, 3, 0), "nobody was asked");

    site.configure(&with_middlewares(
        &[dead],
        "info, elsewhere",
        "    info:\n      infoHeaders: {}\n    elsewhere:\n      redirectScheme:\n        scheme: https\n",
    ));
    let redirected = site.get("a.example", "/");
    assert_eq!((redirected.status, present(&redirected, &ALWAYS)), (302, 3));

    site.configure(&balanced(&[dead], ""));
    assert_eq!(present(&site.get("a.example", "/"), &ALWAYS), 0, "only where it is asked for");
}

#[test]
fn every_server_that_was_asked_is_named_and_the_one_that_answers_last() {
    let (dead, alive) = (nobody(), answering("ok"));
    let site = Site::start(&informing(&[dead, alive]));
    let named: Vec<String> = (0..2)
        .map(|_| {
            let response = site.get("a.example", "/");
            assert_eq!(response.status, 200);
            let times = response.field("x-upstream-response-time").expect("times").split(", ").count();
            let addresses = response.field("x-upstream-addr").expect("addresses").to_owned();
            assert_eq!(times, addresses.split(", ").count());
            addresses
        })
        .collect();
    assert!(
        named.contains(&format!("{dead}, {alive}")) && named.iter().all(|named| named.ends_with(&alive.to_string())),
        "{named:?}"
    );
}

#[test]
fn an_identifier_of_the_whole_gateway_is_used() {
    let server = Server::new();
    let site = Site::with(&informing(&[server.address]), |config| {
        config.request_id =
            Some(fairlead_core::config::static_::RequestId { header: "x-correlation".into(), trust_incoming: false });
    });
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    let head = up.head();
    up.send(OK);
    let response = client.response();
    let id = response.field("x-request-id");
    assert!(id.is_some() && response.field("x-correlation") == id);
    assert_eq!((field(&head, "x-request-id"), field(&head, "x-correlation")), (id, id));
}

#[test]
fn the_applications_cookie_keeps_a_client_with_its_server() {
    let servers = ["a", "b", "c", "d", "e"].map(answering);
    let site = Site::start(&balanced(&servers, "hashCookie: session"));
    let ask = |cookie: &str| {
        let mut client = site.connect();
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.example\r\n{cookie}\r\n"));
        client.response().body
    };
    let by_value: Vec<String> = (0..40).map(|value| ask(&format!("Cookie: x=1; session={value}\r\n"))).collect();
    for (value, first) in by_value.iter().enumerate() {
        assert_eq!(ask(&format!("Cookie: session={value}\r\n")), *first, "{value}");
    }
    assert_eq!(by_value.iter().collect::<BTreeSet<_>>().len(), 5, "all of them have work: {by_value:?}");
    // Without the cookie the client's address counts; this client has one.
    let without: BTreeSet<String> = ["", "Cookie: session=\r\n", "Cookie: other=1\r\n"].map(&ask).into();
    assert_eq!(without.len(), 1, "{without:?}");
}

#[test]
fn an_upgrade_goes_through_on_its_paths_alone() {
    let server = Server::new();
    let paths = "    sockets:\n      upgradePaths:\n        prefixes: [/total]\n";
    let site = Site::start(&with_middlewares(&[server.address], "sockets", paths));
    let ask = |path: &str| {
        let mut client = site.connect();
        client.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ));
        client
    };
    let mut client = ask("/total/1");
    let mut up = server.accept();
    let head = up.head();
    assert_eq!((field(&head, "Upgrade"), field(&head, "X-Forwarded-Proto")), (Some("websocket"), Some("ws")));
    up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().status, 101);
    client.send("ping");
    assert_eq!(up.exactly(4), "ping");

    let mut client = ask("/other");
    let mut up = server.accept();
    let head = up.head();
    assert_eq!((field(&head, "Upgrade"), field(&head, "X-Forwarded-Proto")), (None, Some("http")), "{head}");
    assert!(!head.to_ascii_lowercase().contains("connection: upgrade"), "{head}");
    up.send(OK);
    assert_eq!(client.response().status, 200);
}

#[test]
fn an_entry_point_says_how_it_answers_what_nobody_takes() {
    let dynamic = balanced(&[nobody()], "").replace("PathPrefix(`/`)", "Host(`a.example`)");
    let unmatched = |status: u16| {
        let site = Site::with(&dynamic, |config| {
            for point in config.entry_points.values_mut() {
                point.http.unmatched_status = status;
            }
        });
        let response = site.get("b.example", "/");
        (response.status, response.reason().to_owned(), response.body)
    };
    assert_eq!(unmatched(404), (404, "no_route".to_owned(), "404 page not found\n".to_owned()));
    assert_eq!(unmatched(503), (503, "no_route".to_owned(), "Service Unavailable".to_owned()));
}
