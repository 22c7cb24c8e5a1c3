//! The data path over real sockets: what a client and a server see of each other through the gateway.

mod http2;
mod instances;
mod label_style;
mod replaced;
mod tcp;
mod vanished;

use crate::testing::{Server, Site, answering, balanced, field, nobody, until};
use std::{io::Write as _, net::Shutdown, time::Duration};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A site over one server, and a connection that this server keeps after a first request.
fn with_kept_connection(server: &Server) -> (Site, crate::testing::Peer) {
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut kept = server.accept();
    kept.head();
    kept.send(OK);
    assert_eq!(client.response().body, "ok");
    (site, kept)
}

#[test]
fn a_stale_connection_costs_an_idempotent_request_nothing_whatever_its_body() {
    let server = Server::new();
    let (site, mut kept) = with_kept_connection(&server);
    let mut client = site.connect();
    client.send("PUT /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n");
    // The server hangs up on the kept connection when the head arrives, before any of the body does.
    kept.head();
    drop(kept);
    let mut fresh = server.accept();
    let head = fresh.head();
    assert!(head.starts_with("PUT /a HTTP/1.1"), "{head}");
    client.send("hello");
    assert_eq!(fresh.body(&head), "hello");
    fresh.send(OK);
    assert_eq!(client.response().status, 200);
    // The retried exchange leaves its connection in order: the next request comes over it.
    client.send("GET /b HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(fresh.head().starts_with("GET /b "));
    fresh.send(OK);
    assert_eq!(client.response().status, 200);
    assert!(server.is_lonely());
}

#[test]
fn a_post_is_not_sent_twice() {
    let server = Server::new();
    let (site, mut kept) = with_kept_connection(&server);
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
    kept.head();
    drop(kept);
    let response = client.response();
    assert_eq!((response.status, response.reason()), (502, "upstream_closed"));
    assert!(server.is_lonely());
}

#[test]
fn a_server_that_refuses_costs_no_request() {
    let site = Site::start(&balanced(&[nobody(), answering("alive"), nobody()], ""));
    let mut client = site.connect();
    for method in ["GET", "POST", "DELETE"].repeat(8) {
        client.send(&format!("{method} / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi"));
        assert_eq!(client.response().body, "alive");
    }
}

#[test]
fn an_early_answer_arrives_whole_and_the_rest_of_the_body_goes_nowhere() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\n0123456789");
    let mut up = server.accept();
    up.head();
    let body = "x".repeat(200_000);
    up.send(&format!("HTTP/1.1 413 Too Much\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    let response = client.response();
    assert_eq!((response.status, response.body.len()), (413, body.len()));
    // Neither connection is used again.
    client.send(&"y".repeat(100_000));
    client.stream.get_ref().shutdown(Shutdown::Write).ok();
    assert!(client.is_closed());
    up.exactly(10);
    assert_eq!(
        site.get_in_background("/next", |path| {
            let mut next = server.accept();
            assert!(next.head().starts_with(&format!("GET {path} ")));
            next.send(OK);
        })
        .status,
        200
    );
}

#[test]
fn interim_responses_pass_and_continue_is_said_for_a_server_that_does_not() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let mut up = server.accept();
    let head = up.head();
    assert_eq!(field(&head, "Expect"), Some("100-continue"));
    up.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let hints = client.head();
    assert!(hints.starts_with("HTTP/1.1 103 ") && field(&hints, "Link") == Some("</a>"), "{hints}");
    // The server says no more, so the gateway tells the client to go on.
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("hi");
    assert_eq!(up.body(&head), "hi");
    up.send(OK);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_malformed_body_is_refused_and_the_server_sees_no_end_of_it() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (400, "malformed_request"));
    assert_eq!(response.field("Connection"), Some("close"));
    assert!(client.is_closed());
    let mut up = server.accept();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut up.stream, &mut rest).ok();
    assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
}

#[test]
fn a_malformed_body_after_the_response_began_breaks_the_response_off() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.head();
    assert_eq!(client.exactly(8), "3\r\nabc\r\n");
    client.send("zz\r\n");
    assert!(client.is_closed());
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut up.stream, &mut rest).ok();
}

#[test]
fn a_client_that_leaves_takes_the_upstream_exchange_with_it() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    // While the head is awaited.
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    drop(client);
    assert!(up.is_closed());
    // While the body streams.
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    client.head();
    drop(client);
    assert!(up.is_closed());
    let endpoint = site.shared.published.load().backends().next().expect("a service").endpoints[0].clone();
    until("nothing in flight", || endpoint.in_flight() == 0);
}

#[test]
fn an_upgrade_carries_what_was_sent_before_the_101() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = site.connect();
    client.send(&format!("{upgrade}early"));
    let mut up = server.accept();
    assert_eq!(field(&up.head(), "Upgrade"), Some("websocket"));
    up.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome");
    assert_eq!(client.response().status, 101);
    assert_eq!((client.exactly(7), up.exactly(5)), ("welcome".into(), "early".into()));
    // An end in one direction leaves the other open.
    client.stream.get_ref().shutdown(Shutdown::Write).expect("open");
    assert!(up.is_closed());
    up.send("still here");
    assert_eq!(client.exactly(10), "still here");
    // Without a 101 they are the next request.
    let mut client = site.connect();
    client.send(&format!("{upgrade}GET /second HTTP/1.1\r\nHost: a.example\r\n\r\n"));
    let mut up = server.accept();
    up.head();
    up.send(OK);
    assert_eq!(client.response().status, 200);
    assert!(up.head().starts_with("GET /second "));
    up.send(OK);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_its_server_is_named() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let mut up = server.accept();
    assert_eq!(field(&up.head(), "Host"), Some(server.address.to_string().as_str()));
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(field(&client.head(), "Transfer-Encoding"), None);
    assert_eq!(client.exactly(3), "abc");
    assert!(client.is_closed());
}

#[test]
fn responses_without_body_keep_the_connection_in_step() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    assert_eq!(field(&client.head(), "Content-Length"), Some("1234"));
    up.head();
    up.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 304 "));
    up.head();
    up.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 204 "));
}

#[test]
fn a_response_that_breaks_off_is_not_taken_for_a_whole_one() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    client.head();
    client.exactly(3);
    drop(up);
    let mut one = [0];
    let ended = std::io::Read::read(&mut client.stream, &mut one);
    // The length tells, or the reset does.
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[test]
fn prior_knowledge_of_http_2_is_refused_in_clear_text() {
    let site = Site::start(&balanced(&[nobody()], ""));
    let mut client = site.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(client.response().status >= 400);
    assert!(client.is_closed());
}

#[test]
fn slow_heads_are_answered_and_silent_clients_are_not() {
    let site = Site::with(&balanced(&[nobody()], ""), |config| config.limits.header_timeout = Duration::from_millis(50));
    let mut silent = site.connect();
    assert!(silent.is_closed());
    let mut slow = site.connect();
    slow.send("GET / HTTP/1.1\r\nHos");
    let response = slow.response();
    assert_eq!((response.status, response.reason()), (408, "request_timeout"));
    assert!(slow.is_closed());
}

#[test]
fn a_slow_body_is_answered_with_408_and_the_server_let_go() {
    let server = Server::new();
    let site = Site::with(&balanced(&[server.address], ""), |config| config.limits.body_idle_timeout = Duration::from_millis(50));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nabc");
    let response = client.response();
    assert_eq!((response.status, response.reason(), response.field("Connection")), (408, "request_timeout", Some("close")));
    let mut up = server.accept();
    up.head();
    up.exactly(3);
    assert!(up.is_closed());
}

#[test]
fn a_conversation_may_be_silent() {
    let server = Server::new();
    let site = Site::with(&balanced(&[server.address], ""), |config| config.limits.body_idle_timeout = Duration::from_millis(50));
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n");
    client.head();
    assert_eq!(client.exactly(6), "1\r\nb\r\n");
    // Nothing comes for longer than a lone upload may rest.
    up.stream.get_ref().set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    assert_eq!(up.exactly(6), "1\r\na\r\n");
    let mut one = [0];
    assert!(std::io::Read::read(&mut up.stream, &mut one).is_err(), "still open, and silent");
    client.send("1\r\nc\r\n0\r\n\r\n");
    up.send("1\r\nd\r\n0\r\n\r\n");
    assert_eq!(client.exactly(11), "1\r\nd\r\n0\r\n\r\n");
}

#[test]
fn options_of_the_gateway_itself_are_answered_here() {
    let server = Server::new();
    let site = Site::start(&balanced(&[server.address], ""));
    let mut client = site.connect();
    client.send("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    assert!(server.is_lonely());
}

#[test]
fn a_session_leaves_a_server_that_is_ejected() {
    let site = Site::start(&balanced(&[nobody(), answering("good")], "sticky:\n  cookie: {name: c}"));
    let endpoint = site.shared.published.load().backends().next().expect("a service").endpoints[0].clone();
    assert!(endpoint.serves_sessions());
    until("the ejection", || {
        assert_eq!(site.get("a.example", "/").body, "good");
        endpoint.is_ejected()
    });
    assert!(!endpoint.serves_sessions());
}

#[test]
fn requests_that_no_server_can_be_told_are_not_held_against_servers() {
    let server = Server::new();
    let site = Site::start(&format!(
        "http:\n  routers:\n    all: {{rule: PathPrefix(`/`), service: s}}\n  services:\n    s:\n      loadBalancer:\n        servers:\n          - url: h2c://{}\n",
        server.address
    ));
    // Taken by the connection's peer, which says nothing: requests are refused before anything is sent on it.
    for _ in 0..8 {
        let mut client = site.connect();
        client.send("GET /?a>b<c HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    }
    let endpoint = site.shared.published.load().backends().next().expect("a service").endpoints[0].clone();
    assert!(!endpoint.is_ejected());
}

#[test]
fn a_refused_head_is_not_recorded_as_the_one_before_it() {
    let site = Site::start(&balanced(&[answering("ok")], ""));
    let mut client = site.connect();
    client.send("GET /first HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 200);
    client.stream.get_mut().write_all(b"GET /\x01 HTTP/1.1\r\n\r\n").expect("open");
    let response = client.response();
    assert_eq!((response.status, response.reason()), (400, "malformed_request"));
}

#[test]
fn a_write_timeout_bounds_a_response() {
    let server = Server::new();
    let site = Site::with(&balanced(&[server.address], ""), |config| {
        let entry = config.entry_points.get_mut("web").expect("it is there");
        entry.timeouts.write = Some(Duration::from_millis(50));
    });
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    up.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    client.head();
    client.exactly(3);
    assert!(client.is_closed());
    assert!(up.is_closed());
}

#[test]
fn a_server_may_say_no_more_than_the_limits_allow() {
    let server = Server::new();
    let site = Site::with(&balanced(&[server.address], ""), |config| {
        (config.limits.response_header_bytes, config.limits.interim_responses) = (1024, 1);
    });
    for head in [format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(2000)), "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(3)] {
        let mut client = site.connect();
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let mut up = server.accept();
        up.head();
        up.send(&head);
        let response = client.response();
        assert_eq!((response.status, response.reason()), (502, "upstream_protocol"));
    }
}
