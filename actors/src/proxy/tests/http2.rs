//! HTTP/2 on either side.

use super::OK;
use crate::testing::{Server, Site, balanced, until};
use fairlead_core::drain::Outcome;
use fairlead_net::{
    http::{Downstream, Frame, Framing, RequestHead, ResponseHead, Sink, Source, Upstream},
    http2::{client, server},
    task, tcp,
    tls::{self, ClientOptions},
};
use std::{future::poll_fn, net::SocketAddr};

fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(run)
}

/// A site over this server that is reached over TLS.
fn secure(server: &Server) -> Site {
    Site::start(&balanced(&[server.address], "").replace("      service: s\n", "      service: s\n      tls: {}\n"))
}

async fn connect(site: &Site) -> client::Client {
    let options = ClientOptions { insecure_skip_verify: true, alpn: vec!["h2".into()], ..ClientOptions::default() };
    let config = tls::client_config(&options).expect("options");
    let stream = tcp::Stream::connect(site.web).await.expect("the gateway accepts");
    let connected = tls::connect(stream, &config, "a.example").await.expect("a handshake");
    assert_eq!(connected.alpn.as_deref(), Some(&b"h2"[..]));
    let settings = client::Settings { secure: true, ..client::Settings::default() };
    let (client, driver) = client::handshake(connected.stream, &settings).await.expect("HTTP/2");
    task::spawn(driver);
    client
}

fn begin(client: &client::Client, path: &str) -> client::ClientStream {
    let mut stream = client.open();
    let head =
        RequestHead { target: path.into(), authority: "a.example".into(), framing: Framing::None, ..RequestHead::default() };
    stream.send_head(&head).expect("sent");
    stream
}

async fn head(stream: &mut client::ClientStream) -> ResponseHead {
    let mut head = ResponseHead::default();
    poll_fn(|cx| stream.poll_head(cx, &mut head)).await.expect("a head");
    head
}

async fn body(stream: &mut client::ClientStream) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let n = poll_fn(|cx| {
            stream.poll_frame(cx).map_ok(|frame| match frame {
                Frame::Data(data) => {
                    body.extend_from_slice(data);
                    data.len()
                }
                Frame::End(_) => 0,
            })
        })
        .await
        .expect("the rest");
        if n == 0 {
            return body;
        }
        stream.consume(n);
    }
}

#[test]
fn a_stream_that_is_reset_takes_the_upstream_exchange_with_it() {
    let up = Server::new();
    let site = secure(&up);
    block_on(async {
        let client = connect(&site).await;
        let mut stream = begin(&client, "/big");
        let (mut peer, up) = task::spawn_blocking(move || {
            let mut peer = up.accept();
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
            (peer, up)
        })
        .await
        .expect("no panic");
        assert_eq!(head(&mut stream).await.status, 200);
        stream.abort();
        drop(stream);
        // Nothing else on the connection is touched.
        let (closed, up) = task::spawn_blocking(move || (peer.is_closed(), up)).await.expect("no panic");
        assert!(closed);
        let mut other = begin(&client, "/other");
        let served = task::spawn_blocking(move || {
            let mut peer = up.accept();
            peer.head();
            peer.send(OK);
            peer
        });
        let _kept = served.await.expect("no panic");
        assert_eq!(head(&mut other).await.status, 200);
        assert_eq!(body(&mut other).await, b"ok");
    });
    let endpoint = site.endpoints()[0].clone();
    until("nothing in flight", || endpoint.in_flight() == 0);
}

#[test]
fn a_drain_says_goaway_and_lets_streams_finish() {
    let up = Server::new();
    let mut site = secure(&up);
    block_on(async {
        let client = connect(&site).await;
        let mut stream = begin(&client, "/slow");
        let mut peer = task::spawn_blocking(move || {
            let mut peer = up.accept();
            peer.head();
            peer
        })
        .await
        .expect("no panic");
        site.terminate();
        while !client.is_closed() {
            task::yield_now().await;
        }
        peer.send(OK);
        assert_eq!(head(&mut stream).await.status, 200);
        assert_eq!(body(&mut stream).await, b"ok");
    });
    assert_eq!(site.stop(), Outcome::Clean);
}

/// A server of HTTP/2 in clear text that takes two streams on a connection, and holds those that ask for `/hold` until there are
/// three of them.
async fn two_at_a_time(listener: tcp::Listener) {
    let held: std::sync::Arc<parking_lot::Mutex<Vec<server::ServerStream>>> = std::sync::Arc::default();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let held = held.clone();
        task::spawn(async move {
            let settings = server::Settings { max_concurrent_streams: 2, ..server::Settings::default() };
            let mut connection = server::Connection::handshake(stream, &settings).await.expect("HTTP/2");
            while let Some(Ok((head, stream))) = connection.accept().await {
                let mut held = held.lock();
                held.push(stream);
                if head.target == "/hold" && held.len() < 3 {
                    continue;
                }
                for mut stream in held.drain(..) {
                    stream.send_head(&ResponseHead { status: 204, framing: Framing::None, ..ResponseHead::default() });
                    stream.send_end(None).expect("an end");
                }
            }
        });
    }
}

#[test]
fn requests_beyond_a_servers_streams_open_another_connection() {
    block_on(async {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = tcp::Listener::bind(any, tcp::ListenOptions::default()).expect("a port");
        let at = listener.local_addr().expect("an address");
        task::spawn(two_at_a_time(listener));
        let done = task::spawn_blocking(move || {
            let site = Site::start(&balanced(&[at], "").replace("http://", "h2c://"));
            assert_eq!(site.get("a.example", "/").status, 204);
            let mut waiting: Vec<_> = (0..3).map(|_| site.connect()).collect();
            for client in &mut waiting {
                client.send("GET /hold HTTP/1.1\r\nHost: a.example\r\n\r\n");
            }
            // All three are needed for any of them to be answered.
            for client in &mut waiting {
                assert_eq!(client.response().status, 204);
            }
            assert_eq!(site.shared.telemetry.process().upstream_connects.get(), 2);
        });
        done.await.expect("every request was answered");
    });
}
