//! Servers that vanish from the network: nothing is refused, nothing is reset, packets are swallowed.

use super::OK;
use crate::testing::{PATIENCE, Peer, Server, Site, answering, balanced, swallow};
use fairlead_net::time::now;
use std::{io::Read as _, time::Duration};

/// Far below what the parts have as their own time-outs, and above what a busy machine adds.
const MOMENT: Duration = Duration::from_millis(500);

/// A request on a connection of its own; the body, and how long it took.
fn timed(site: &Site, method: &str, fields: &str) -> (crate::testing::Response, Duration) {
    let mut client = site.connect();
    let begun = now();
    client.send(&format!("{method} / HTTP/1.1\r\nHost: a.example\r\n{fields}Content-Length: 2\r\n\r\nhi"));
    (client.response(), (now() - begun))
}

/// A site over a server that the test plays and one that answers `alive`; the first keeps a connection, over which nothing arrives
/// any more, and takes no new one either.
fn with_vanished(more: &str) -> (Site, Server, Peer) {
    let gone = Server::new();
    let site = Site::start(&balanced(&[gone.address, answering("alive")], more));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut kept = gone.accept();
    kept.head();
    kept.send(OK);
    assert_eq!(client.response().body, "ok");
    gone.vanish();
    swallow(kept.stream.get_ref());
    (site, gone, kept)
}

#[test]
fn an_address_that_swallows_connections_costs_a_moment_and_only_once() {
    let gone = Server::new();
    gone.vanish();
    let site = Site::start(&balanced(&[gone.address, answering("alive"), answering("alive")], ""));
    let mut slow = 0;
    for method in ["GET", "POST", "DELETE", "PATCH"].repeat(10) {
        let (response, took) = timed(&site, method, "");
        assert_eq!((response.status, &*response.body), (200, "alive"));
        assert!(took < MOMENT, "{method} took {took:?}");
        slow += usize::from(took >= Duration::from_millis(15));
    }
    assert!(slow < 10, "{slow} of 40 requests met the server that is gone");
    let published = site.shared.published.load();
    assert!(published.backends().next().expect("a service").series.races.get() >= 1);
}

#[test]
fn two_such_addresses_cost_two_moments() {
    let gone = [Server::new(), Server::new()];
    gone.iter().for_each(Server::vanish);
    let site = Site::start(&balanced(&[gone[0].address, gone[1].address, answering("alive")], ""));
    for method in ["GET", "POST"].repeat(5) {
        let (response, took) = timed(&site, method, "");
        assert!(response.body == "alive" && took < MOMENT, "{method}: {} after {took:?}", response.status);
    }
}

#[test]
fn a_request_that_a_kept_connection_swallows_goes_elsewhere() {
    let (site, _gone, _kept) = with_vanished("");
    let mut client = site.connect();
    let mut worst = Duration::ZERO;
    for _ in 0..6 {
        let begun = now();
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(client.response().body, "alive");
        worst = worst.max(now() - begun);
    }
    assert!(worst > Duration::from_millis(150), "no request was sent over the kept connection");
    assert!(worst < MOMENT, "{worst:?}");
    assert_eq!(site.endpoints()[0].idle_connections(), 0, "the others would fare no better");
}

#[test]
fn what_must_not_be_sent_twice_waits_instead() {
    let (site, _gone, kept) = with_vanished("");
    // The turn of the server that answers.
    assert_eq!(timed(&site, "GET", "").0.body, "alive");
    let mut client = site.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi");
    client.stream.get_ref().set_read_timeout(Some(Duration::from_millis(600))).expect("a socket");
    assert!(client.stream.read(&mut [0]).is_err(), "an answer of a server that was asked a second time");
    // The way is mended: what the system sends again arrives, once.
    socket2::SockRef::from(kept.stream.get_ref()).detach_filter().expect("a socket");
    let mut kept = kept;
    assert!(kept.head().starts_with("POST / "));
    kept.send(OK);
    client.stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket");
    assert_eq!(client.response().body, "ok");
}

#[test]
fn a_slow_answer_is_awaited_and_not_asked_for_elsewhere() {
    let (slow, other) = (Server::new(), Server::new());
    let site = Site::start(&balanced(&[slow.address, other.address], ""));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = slow.accept();
    up.head();
    client.stream.get_ref().set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    assert!(client.stream.read(&mut [0]).is_err());
    assert!(other.is_lonely(), "the request has arrived: its answer may take its time");
    up.send(OK);
    client.stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("a socket");
    assert_eq!(client.response().body, "ok");
}

#[test]
fn a_bound_client_is_bound_anew_where_its_server_is_gone() {
    let sticky = "sticky:\n  cookie:\n    name: at";
    let servers = [Server::new(), Server::new()];
    let site = Site::start(&balanced(&[servers[0].address, servers[1].address], sticky));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut first = servers[0].accept();
    first.head();
    first.send(OK);
    let set = client.response().field("Set-Cookie").expect("a cookie").to_owned();
    let cookie = set.split(';').next().expect("a pair").to_owned();
    drop(first);
    let [gone, other] = servers;
    gone.vanish();
    other.answer("alive");
    let (response, took) = timed(&site, "POST", &format!("Cookie: {cookie}\r\n"));
    assert!(response.body == "alive" && took < MOMENT, "{} after {took:?}", response.status);
    assert!(response.field("Set-Cookie").is_some_and(|new| !new.starts_with(&cookie)), "{response:?}");
}
