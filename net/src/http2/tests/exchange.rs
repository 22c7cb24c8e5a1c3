//! What a request and a response carry from one end to the other.

use super::*;
use crate::http2::KeepAlive;
use h2::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[tokio::test]
async fn heads_bodies_and_trailers_go_both_ways() {
    let (server, client) = pair(&server::Settings::default()).await;
    serve(server, async |head: RequestHead, mut stream: server::ServerStream| {
        assert_eq!((head.method.as_str(), head.target.as_str(), head.authority.as_str()), ("POST", "/up?x=1", "a.test"));
        assert_eq!((head.framing, head.fields.get("content-length")), (Framing::Length(4), Some(&b"4"[..])));
        assert_eq!(head.fields.get("x-name"), Some(&b"Value"[..]));
        assert!(!head.fields.contains("host") && !head.fields.contains("connection") && head.expect_continue);
        let (body, trailers) = drain(&mut stream).await.unwrap();
        assert_eq!((body.as_slice(), trailers.unwrap().get("x-sum")), (&b"ping"[..], Some(&b"1"[..])));
        stream.send_informational(&ResponseHead { status: 103, fields: fields(&[("link", "</a>")]), ..Default::default() });
        stream.send_informational(&reply(101, Framing::None));
        let head = ResponseHead { fields: fields(&[("x-a", "1"), ("keep-alive", "5")]), ..reply(200, Framing::Chunked) };
        stream.send_head(&head);
        send(&mut stream, b"pong").await.unwrap();
        stream.send_end(Some(&fields(&[("x-end", "2")]))).unwrap();
        flush(&mut stream).await.unwrap();
    });
    let mut stream = client.open();
    let lines =
        [("X-Name", "Value"), ("Host", "other"), ("Connection", "x"), ("Expect", "100-continue"), ("Content-Length", "9")];
    let request = RequestHead { fields: fields(&lines), target: "/up?x=1".to_owned(), ..post(Framing::Length(4)) };
    assert!(!stream.response_started() && client.active() == 0);
    stream.send_head(&request).unwrap();
    assert_eq!(client.active(), 1);
    send(&mut stream, b"ping").await.unwrap();
    stream.send_end(Some(&fields(&[("X-Sum", "1")]))).unwrap();

    let interim = head(&mut stream).await.unwrap();
    assert_eq!((interim.status, interim.fields.get("link")), (103, Some(&b"</a>"[..])));
    assert!(stream.response_started());
    let last = head(&mut stream).await.unwrap();
    assert_eq!((last.status, last.framing, last.fields.len()), (200, Framing::Chunked, 1));
    let (body, trailers) = drain(&mut stream).await.unwrap();
    assert_eq!((body.as_slice(), trailers.unwrap().get("x-end")), (&b"pong"[..], Some(&b"2"[..])));
    drop(stream);
    assert_eq!(client.active(), 0);
}

#[tokio::test]
async fn responses_without_a_body_end_with_their_head() {
    let (server, client) = pair(&server::Settings::default()).await;
    serve(server, async |head: RequestHead, mut stream: server::ServerStream| {
        let status = head.target[1..].parse().unwrap();
        let length = fields(&[("Content-Length", "42")]);
        stream.send_head(&ResponseHead { fields: length, ..reply(status, Framing::None) });
        stream.send_end(None).unwrap();
    });
    for (method, status, framing, length) in [
        (Method::Head, 200, Framing::None, Some(&b"42"[..])),
        (Method::Get, 304, Framing::None, Some(&b"42"[..])),
        (Method::Get, 204, Framing::None, None),
        (Method::Get, 200, Framing::Length(0), None),
    ] {
        let mut stream = client.open();
        stream.send_head(&RequestHead { method: method.clone(), ..get(&format!("/{status}")) }).unwrap();
        let head = head(&mut stream).await.unwrap();
        assert_eq!((head.status, head.framing, head.fields.get("content-length")), (status, framing, length), "{method:?}");
        let (body, trailers) = drain(&mut stream).await.unwrap();
        assert!(body.is_empty() && trailers.is_none());
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let (server, client) = pair(&server::Settings::default()).await;
    serve(server, async |_: RequestHead, mut stream: server::ServerStream| {
        stream.send_head(&reply(413, Framing::Length(2)));
        send(&mut stream, b"no").await.unwrap();
        stream.send_end(None).unwrap();
    });
    let mut stream = client.open();
    stream.send_head(&post(Framing::Length(10 << 20))).unwrap();
    assert_eq!(head(&mut stream).await.unwrap().status, 413);
    // The rest of the body is not wanted (RST_STREAM with NO_ERROR); that is no failure of the exchange.
    send(&mut stream, &vec![0; 10 << 20]).await.unwrap();
    stream.send_end(None).unwrap();
    flush(&mut stream).await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap().0, b"no");
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_declared_is_never_taken_for_whole() {
    for (declared, sent) in [(5, 4), (3, 4)] {
        let (server, client) = pair(&server::Settings::default()).await;
        serve(server, move |_, mut stream| async move {
            stream.send_head(&reply(200, Framing::Length(declared)));
            let error = match send(&mut stream, &vec![0; sent]).await {
                Ok(()) => stream.send_end(None).unwrap_err(),
                Err(e) => e,
            };
            assert_eq!(error.kind, Kind::Malformed(500));
        });
        let mut stream = client.open();
        stream.send_head(&get("/")).unwrap();
        let failed = match head(&mut stream).await {
            Ok(_) => drain(&mut stream).await.unwrap_err(),
            Err(e) => e,
        };
        assert_eq!(failed.kind, Kind::Reset, "{declared} declared, {sent} sent");
    }
}

#[tokio::test]
async fn each_side_learns_that_the_other_broke_off() {
    let (server, client) = pair(&server::Settings::default()).await;
    let (told, mut gone) = tokio::sync::mpsc::unbounded_channel();
    serve(server, move |head, mut stream| {
        let told = told.clone();
        async move {
            if head.target == "/abort" {
                stream.send_head(&reply(200, Framing::Chunked));
                send(&mut stream, b"half").await.unwrap();
                flush(&mut stream).await.unwrap();
                stream.abort();
                return;
            }
            if head.target == "/late" {
                stream.send_head(&reply(200, Framing::Chunked));
            }
            told.send(None).unwrap();
            let error = poll_fn(|cx| stream.poll_gone(cx)).await;
            told.send(Some(error.kind)).unwrap();
        }
    });

    let mut stream = client.open();
    stream.send_head(&get("/abort")).unwrap();
    head(&mut stream).await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap_err().kind, Kind::Reset);

    for target in ["/early", "/late"] {
        for abort in [true, false] {
            let mut stream = client.open();
            stream.send_head(&get(target)).unwrap();
            assert_eq!(gone.recv().await.unwrap(), None);
            if abort {
                stream.abort();
            }
            drop(stream);
            assert_eq!(gone.recv().await.unwrap(), Some(Kind::Reset), "{target}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_vanishes_fails_every_stream() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (settings, client_settings) = (server::Settings::default(), client::Settings::default());
    let (server, client) = tokio::join!(server::Connection::handshake(far, &settings), client::handshake(near, &client_settings));
    let ((client, driver), mut server) = (client.unwrap(), server.unwrap());
    let driver = tokio::spawn(driver);
    let mut stream = client.open();
    stream.send_head(&post(Framing::Chunked)).unwrap();
    let (_, mut accepted) = server.accept().await.unwrap().unwrap();
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    // Row 93: FIN in the middle of an upload.
    let (body, gone, next) = tokio::join!(drain(&mut accepted), async { head(&mut stream).await.unwrap_err() }, async {
        let _ = server.accept().await;
    });
    assert_eq!((body.unwrap_err().kind, gone.kind, next), (Kind::Closed, Kind::Closed, ()));
    assert_eq!(poll_fn(|cx| accepted.poll_gone(cx)).await.kind, Kind::Closed);
    assert!(client.is_closed());
    assert!(client.open().send_head(&get("/")).is_err());
}

#[tokio::test]
async fn a_graceful_shutdown_lets_streams_finish_and_takes_no_more() {
    let (mut server, mut client) = pair(&server::Settings::default()).await;
    let mut stream = client.open();
    stream.send_head(&get("/")).unwrap();
    let (_, mut accepted) = server.accept().await.unwrap().unwrap();
    server.graceful_shutdown();
    let rest = tokio::spawn(async move { server.accept().await.is_none() });
    while !client.is_closed() {
        tokio::task::yield_now().await;
    }
    assert!(poll_fn(|cx| client.poll_ready(cx)).await.is_err_and(|e| e.kind == Kind::Refused));
    assert_eq!(client.open().send_head(&get("/")).unwrap_err().kind, Kind::Refused);
    assert!(!rest.is_finished());
    accepted.send_head(&reply(200, Framing::Length(2)));
    send(&mut accepted, b"ok").await.unwrap();
    accepted.send_end(None).unwrap();
    assert_eq!(head(&mut stream).await.unwrap().status, 200);
    assert_eq!(drain(&mut stream).await.unwrap().0, b"ok");
    drop((stream, accepted));
    assert!(rest.await.unwrap(), "the connection ends after the last stream");
}

#[tokio::test]
async fn an_abrupt_shutdown_waits_for_nobody() {
    let (mut server, client) = pair(&server::Settings::default()).await;
    let mut stream = client.open();
    stream.send_head(&get("/")).unwrap();
    let (_, accepted) = server.accept().await.unwrap().unwrap();
    server.abrupt_shutdown(Reason::NO_ERROR);
    while let Some(Ok(_)) = server.accept().await {}
    drop(server);
    assert!(head(&mut stream).await.is_err());
    drop(accepted);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_anything_is_sent() {
    let (_server, client) = pair(&server::Settings::default()).await;
    let refuse = |change: fn(&mut RequestHead)| {
        let mut request = get("/");
        change(&mut request);
        client.open().send_head(&request).unwrap_err().kind
    };
    assert_eq!(refuse(|r| r.target = "/a#b".to_owned()), Kind::Malformed(400));
    assert_eq!(refuse(|r| r.target = "/a b".to_owned()), Kind::Malformed(400));
    assert_eq!(refuse(|r| r.authority = "a b".to_owned()), Kind::Malformed(400));
    assert_eq!(refuse(|r| r.authority = String::new()), Kind::Malformed(400));
    assert_eq!(refuse(|r| r.method = Method::new("G T")), Kind::Malformed(400));
    assert_eq!(refuse(|r| r.fields = fields(&[("x", "a\nb")])), Kind::Malformed(500));
    assert_eq!(client.active(), 0);
}

#[tokio::test]
async fn odd_targets_arrive_as_they_left() {
    let (server, client) = pair(&server::Settings::default()).await;
    serve(server, async |head: RequestHead, mut stream: server::ServerStream| {
        let seen = fields(&[("x-seen", &head.target)]);
        stream.send_head(&ResponseHead { fields: seen, ..reply(200, Framing::None) });
    });
    for (method, target) in [(Method::Options, "*"), (Method::Get, "/%2e%2E//a;b?c=d?&{}|"), (Method::Get, "/?")] {
        let mut stream = client.open();
        stream.send_head(&RequestHead { method, ..get(target) }).unwrap();
        let head = head(&mut stream).await.unwrap();
        assert_eq!(head.fields.get_str("x-seen"), Some(target));
    }
}

/// `sleep` for the interval is over at once three times, then never; for the limit as `late` says.
async fn keep_alive(pings: KeepAlive, late: bool) -> Result<Error, u32> {
    let rounds = Arc::new(AtomicU32::new(0));
    let (interval, limit) = (Duration::from_secs(20), Duration::from_secs(10));
    let counted = rounds.clone();
    let enough = tokio::sync::Notify::new();
    let sleep = |d| {
        let over = if d == interval { counted.fetch_add(1, Ordering::Relaxed) < 3 } else { late };
        let enough = &enough;
        async move {
            if !over && d == interval {
                enough.notify_one();
            }
            if !over {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        biased;
        error = pings.run(interval, limit, sleep) => Ok(error),
        () = enough.notified() => Err(rounds.load(Ordering::Relaxed)),
    }
}

#[tokio::test]
async fn pings_go_on_while_they_are_answered() {
    let (mut server, client) = pair(&server::Settings::default()).await;
    let pings = server.keep_alive().unwrap();
    assert!(server.keep_alive().is_none());
    let running = serve(server, async |_: RequestHead, _: server::ServerStream| ());
    assert_eq!(keep_alive(pings, false).await.unwrap_err(), 4, "three answers");
    drop(client);
    running.await.unwrap();
}

#[tokio::test]
async fn a_ping_without_answer_is_an_error() {
    let (near, _held) = tokio::io::duplex(64 * 1024);
    let (client, mut driver) = client::handshake(near, &client::Settings::default()).await.unwrap();
    let pings = driver.keep_alive().unwrap();
    tokio::spawn(driver);
    assert_eq!(keep_alive(pings, true).await.unwrap().kind, Kind::TimedOut);
    drop(client);
}
