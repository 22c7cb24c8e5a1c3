//! Connections that routers of connections take.

use super::OK;
use crate::testing::{Peer, Server, Site, nobody, until};
use fairlead_core::drain::Outcome;
use fairlead_net::{
    tcp,
    tls::{self, ClientOptions},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A router of connections and its service `s`; `more` stands below `tcp`.
fn routed(rule: &str, tls: &str, servers: &[SocketAddr], more: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("{{address: '{server}'}}")).collect();
    let servers = servers.join(", ");
    format!(
        "tcp:\n  routers:\n    r: {{rule: '{rule}', service: s{tls}}}\n  services:\n    s: {{loadBalancer: {{servers: [{servers}]}}}}\n{more}"
    )
}

fn passed(name: &str, servers: &[SocketAddr]) -> String {
    routed(&format!("HostSNI(`{name}`)"), ", tls: {passthrough: true}", servers, "")
}

/// A hello that names this server, in one record.
fn hello(name: &str) -> Vec<u8> {
    let sized = |length: usize, bytes: &[u8]| [&bytes.len().to_be_bytes()[8 - length..], bytes].concat();
    let name = sized(2, &[&[0][..], &sized(2, name.as_bytes())].concat());
    let extensions = [&[0, 0][..], &sized(2, &name)].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &sized(2, &[0x13, 1]), &[1, 0], &sized(2, &extensions)].concat();
    let message = [&[1][..], &sized(3, &body)].concat();
    [&[22, 3, 1][..], &sized(2, &message)].concat()
}

fn say(peer: &mut Peer, bytes: &[u8]) {
    peer.stream.get_mut().write_all(bytes).expect("the peer reads");
}

fn hear(peer: &mut Peer, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    peer.stream.read_exact(&mut bytes).expect("so many bytes");
    bytes
}

fn metrics(site: &Site) -> String {
    site.shared.telemetry.render_prometheus(Duration::ZERO)
}

fn counts(site: &Site, sample: &str) {
    until(sample, || metrics(site).contains(&format!("{sample}\n")));
}

fn refused(site: &Site, reason: &str) {
    counts(site, &format!("fairlead_responses_total{{reason=\"{reason}\",entrypoint=\"web\"}} 1"));
}

fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(run)
}

#[test]
fn tls_is_passed_through_by_name_and_each_side_ends_by_itself() {
    let (one, two) = (Server::new(), Server::new());
    let site = Site::start(&format!(
        "tcp:\n  routers:\n    one: {{rule: HostSNI(`one.example`), service: one, tls: {{passthrough: true}}}}\n    two: {{rule: HostSNI(`two.example`), service: two, tls: {{passthrough: true}}}}\n  services:\n    one: {{loadBalancer: {{servers: [{{address: '{}'}}]}}}}\n    two: {{loadBalancer: {{servers: [{{address: '{}'}}]}}}}\n",
        one.address, two.address
    ));
    for (name, server) in [("one.example", &one), ("TWO.example", &two)] {
        let (mut client, hello) = (site.connect(), hello(name));
        say(&mut client, &hello);
        let mut up = server.accept();
        assert_eq!(hear(&mut up, hello.len()), hello, "not a byte is changed");
        say(&mut client, b"secret");
        assert_eq!(hear(&mut up, 6), b"secret");
        client.stream.get_ref().shutdown(Shutdown::Write).expect("a socket");
        assert!(up.is_closed(), "the client's end is passed on");
        say(&mut up, b"answer");
        assert_eq!(hear(&mut client, 6), b"answer", "and what comes after it arrives");
        drop(up);
        assert!(client.is_closed());
    }
    counts(&site, "fairlead_service_tcp_connections_total{service=\"one@test\"} 1");
    counts(&site, "fairlead_service_tcp_open_connections{service=\"one@test\"} 0");
    counts(&site, "fairlead_service_tcp_bytes_total{direction=\"to_client\",service=\"two@test\"} 6");
    let sent = hello("two.example").len() + 6;
    counts(&site, &format!("fairlead_service_tcp_bytes_total{{direction=\"to_server\",service=\"two@test\"}} {sent}"));
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let server = Server::new();
    let site = Site::start(&passed("a.example", &[server.address]));
    let (mut client, hello) = (site.connect(), hello("a.example"));
    hello.iter().for_each(|byte| say(&mut client, &[*byte]));
    assert_eq!(hear(&mut server.accept(), hello.len()), hello);
}

#[test]
fn what_no_router_takes_is_http() {
    let (server, web) = (Server::new(), crate::testing::answering("web"));
    let http = crate::testing::balanced(&[web], "");
    let secure = "    secure: {rule: PathPrefix(`/`), service: s, tls: {}}\n";
    let http = http.replace("  services:\n", &format!("{secure}  services:\n"));
    let site = Site::start(&format!("{http}{}", passed("a.example", &[server.address])));
    assert_eq!(site.get("a.example", "/").body, "web", "plain requests are not the router's");
    block_on(async {
        let options = ClientOptions { insecure_skip_verify: true, ..ClientOptions::default() };
        let config = tls::client_config(&options).expect("options");
        let stream = tcp::Stream::connect(site.web).await.expect("the gateway accepts");
        let mut connected = tls::connect(stream, &config, "web.example").await.expect("a handshake with the gateway").stream;
        connected.write_all(b"GET / HTTP/1.1\r\nHost: web.example\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut response = String::new();
        connected.read_to_string(&mut response).await.expect("a response");
        assert!(response.starts_with(OK.split("\r\n").next().expect("a line")) && response.ends_with("web"), "{response}");
    });
    assert!(server.is_lonely());
    for garbage in [&b"\x16\x03\x01\xff\xff"[..], &[22, 3, 1, 0, 5, 1, 0, 0, 1, 9, 22, 9, 9]] {
        let mut client = site.connect();
        say(&mut client, garbage);
        client.stream.get_ref().shutdown(Shutdown::Write).expect("a socket");
        let mut rest = Vec::new();
        // An alert, or nothing: never a server's word.
        client.stream.read_to_end(&mut rest).ok();
        assert!(rest.is_empty() || rest[0] == 21, "{rest:?}");
    }
    assert!(server.is_lonely());
}

#[test]
fn a_hello_has_its_time() {
    let site = Site::with(&passed("a.example", &[nobody()]), |config| {
        config.limits.tls_handshake_timeout = Duration::from_millis(50);
    });
    let mut client = site.connect();
    say(&mut client, &hello("a.example")[..20]);
    assert!(client.is_closed());
    refused(&site, "request_timeout");
}

#[test]
fn a_server_may_speak_first() {
    let server = Server::new();
    let site = Site::start(&routed("HostSNI(`*`)", "", &[server.address], ""));
    let mut client = site.connect();
    let mut up = server.accept();
    say(&mut up, b"220 ready\r\n");
    assert_eq!(hear(&mut client, 11), b"220 ready\r\n");
    say(&mut client, b"QUIT\r\n");
    assert_eq!(hear(&mut up, 6), b"QUIT\r\n");
    drop(client);
    assert!(up.is_closed());
}

#[test]
fn another_server_is_tried_where_one_refuses_and_none_is_told() {
    let server = Server::new();
    let site = Site::start(&routed("HostSNI(`*`)", "", &[nobody(), server.address], ""));
    for _ in 0..2 {
        let mut client = site.connect();
        let mut up = server.accept();
        say(&mut up, b"hi");
        assert_eq!(hear(&mut client, 2), b"hi");
    }
    let published = site.shared.published.load();
    let series = &published.backends().next().expect("a service").series;
    assert!((1..=2).contains(&series.retries.get()), "one of two connections, or both, began where nobody is");
    assert_eq!(series.tcp_connections.get(), 2);

    let site = Site::start(&routed("HostSNI(`*`)", "", &[nobody()], ""));
    assert!(site.connect().is_closed());
    refused(&site, "connect_failed");
    let site = Site::start(&routed("HostSNI(`*`)", "", &[], ""));
    assert!(site.connect().is_closed());
    refused(&site, "no_server");
}

#[test]
fn servers_are_told_who_the_client_is() {
    let server = Server::new();
    for (version, expected) in
        [(1, "PROXY TCP4 127.0.0.1 127.0.0.1 "), (2, "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01")]
    {
        let servers = format!("servers: [{{address: '{}'}}]", server.address);
        let dynamic = passed("a.example", &[server.address])
            .replace(&servers, &format!("{servers}, proxyProtocol: {{version: {version}}}"));
        let site = Site::start(&dynamic);
        let (mut client, hello) = (site.connect(), hello("a.example"));
        say(&mut client, &hello);
        let mut up = server.accept();
        assert_eq!(String::from_utf8_lossy(&hear(&mut up, expected.len())), expected);
        let port = client.stream.get_ref().local_addr().expect("an address").port();
        let rest = if version == 1 {
            format!("{port} {}\r\n", site.web.port()).into_bytes()
        } else {
            [port.to_be_bytes(), site.web.port().to_be_bytes()].concat()
        };
        assert_eq!(hear(&mut up, rest.len()), rest);
        assert_eq!(hear(&mut up, hello.len()), hello);
        drop((client, up));
        counts(&site, &format!("fairlead_service_tcp_bytes_total{{direction=\"to_server\",service=\"s@test\"}} {}", hello.len()));
    }
}

#[test]
fn addresses_may_be_kept_out() {
    let server = Server::new();
    let dynamic = |range: &str| {
        let more = format!("  middlewares:\n    office: {{ipAllowList: {{sourceRange: [{range}]}}}}\n");
        routed("HostSNI(`*`)", ", middlewares: [office]", &[server.address], &more)
    };
    let site = Site::start(&dynamic("192.0.2.0/24"));
    assert!(site.connect().is_closed());
    refused(&site, "forbidden");
    assert!(server.is_lonely());
    site.configure(&dynamic("127.0.0.0/8"));
    let mut client = site.connect();
    say(&mut server.accept(), b"hi");
    assert_eq!(hear(&mut client, 2), b"hi");
}

#[test]
fn tls_may_end_at_the_gateway() {
    let server = Server::new();
    let site = Site::start(&routed("HostSNI(`a.example`)", ", tls: {}", &[server.address], ""));
    block_on(async {
        let options = ClientOptions { insecure_skip_verify: true, ..ClientOptions::default() };
        let config = tls::client_config(&options).expect("options");
        let stream = tcp::Stream::connect(site.web).await.expect("the gateway accepts");
        let mut connected = tls::connect(stream, &config, "a.example").await.expect("a handshake").stream;
        connected.write_all(b"ping").await.expect("sent");
        let mut up = server.accept();
        assert_eq!(hear(&mut up, 4), b"ping", "in the clear");
        say(&mut up, b"pong");
        drop(up);
        let mut answer = String::new();
        connected.read_to_string(&mut answer).await.expect("an answer, and the end in order");
        assert_eq!(answer, "pong");
    });
}

#[test]
fn an_open_connection_outlives_its_router() {
    let (server, other) = (Server::new(), Server::new());
    let site = Site::start(&routed("HostSNI(`*`)", "", &[server.address], ""));
    let mut client = site.connect();
    let mut up = server.accept();
    site.configure(&routed("HostSNI(`*`)", "", &[other.address], ""));
    say(&mut client, b"still");
    assert_eq!(hear(&mut up, 5), b"still");
    let mut next = site.connect();
    say(&mut other.accept(), b"new");
    assert_eq!(hear(&mut next, 3), b"new");
}

#[test]
fn what_is_open_at_the_end_is_cut_off_and_counted() {
    let server = Server::new();
    let mut site = Site::with(&routed("HostSNI(`*`)", "", &[server.address], ""), |config| {
        config.entry_points.values_mut().for_each(|entry| entry.life_cycle.grace = Duration::from_millis(100));
    });
    let mut client = site.connect();
    let mut up = server.accept();
    say(&mut up, b"hi");
    assert_eq!(hear(&mut client, 2), b"hi");
    let shared = site.shared.clone();
    site.terminate();
    assert!(client.is_closed() && up.is_closed());
    assert_eq!(site.stop(), Outcome::DeadlinePassed);
    let metrics = shared.telemetry.render_prometheus(Duration::ZERO);
    assert!(metrics.contains("fairlead_responses_total{reason=\"draining\",entrypoint=\"web\"} 1\n"), "{metrics}");
    assert!(metrics.contains("fairlead_service_tcp_open_connections{service=\"s@test\"} 0\n"), "{metrics}");
}
