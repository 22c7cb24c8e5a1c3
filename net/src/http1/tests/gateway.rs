//! The two sides joined by `pump` on tokio's runtime, between hyper's client and hyper's server: wake-ups, keep-alive, large bodies
//! both ways, early answers, interim responses, upgrades.

use super::*;
use crate::http::{Downstream, Progress, Sink, Upstream, pump};
use crate::tunnel::{Report, Tunnel};
use ::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

type Down = ServerConn<DuplexStream>;
type Up = ClientConn<DuplexStream>;

/// How many exchanges were carried, and what a tunnel at the end of them reported.
type Carried = (usize, Option<Report>);

async fn gateway(mut down: Down, mut up: Up) -> Result<Carried, Error> {
    let (mut request, mut response) = (RequestHead::default(), ResponseHead::default());
    let mut carried = 0;
    loop {
        if !poll_fn(|cx| down.poll_request(cx, &mut request)).await? {
            poll_fn(|cx| down.poll_close(cx)).await;
            return Ok((carried, None));
        }
        up.send_head(&request)?;
        let mut sent = Progress::default();
        let mut uploaded = false;
        poll_fn(|cx| -> Poll<Result<(), Error>> {
            loop {
                if !uploaded && let Poll::Ready(done) = pump(cx, &mut down, &mut up, &mut sent) {
                    done?;
                    uploaded = true;
                }
                match up.poll_head(cx, &mut response) {
                    Poll::Ready(Ok(())) if response.status < 200 && response.status != 101 => {
                        down.send_informational(&response);
                        let _continues = down.poll_flush(cx)?;
                    }
                    Poll::Ready(done) => return Poll::Ready(done),
                    Poll::Pending if uploaded => return down.poll_gone(cx).map(Err),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        down.send_head(&response);
        let mut received = Progress::default();
        poll_fn(|cx| {
            if !uploaded && let Poll::Ready(done) = pump(cx, &mut down, &mut up, &mut sent) {
                uploaded = true;
                done?;
            }
            pump(cx, &mut up, &mut down, &mut received)
        })
        .await?;
        carried += 1;
        if response.framing == Framing::Tunnel {
            let ((a, from_a), (b, from_b)) = (down.into_parts(), up.into_parts());
            return Ok((carried, Some(Tunnel::new(a, b, from_a, from_b).await)));
        }
        if !up.is_reusable() {
            poll_fn(|cx| down.poll_close(cx)).await;
            return Ok((carried, None));
        }
        assert!(poll_fn(|cx| Poll::Ready(up.poll_idle(cx))).await.is_pending());
    }
}

/// Echoes with the given head, in the framing that the path asks for.
async fn echo(mut request: Request<Incoming>) -> Result<Response<http_body_util::Either<Full<Bytes>, Incoming>>, Infallible> {
    use http_body_util::Either;
    Ok(match request.uri().path() {
        "/stream" => {
            let mut response = Response::builder();
            // hyper sends only trailers that were announced.
            if let Some(announced) = request.headers().get("trailer") {
                response = response.header("trailer", announced);
            }
            response.body(Either::Right(request.into_body())).unwrap()
        }
        "/early" => Response::builder().status(413).body(Either::Left(Full::default())).unwrap(),
        "/upgrade" => {
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgraded.await.unwrap());
                io.write_all(b"hello from the server").await.unwrap();
                let mut heard = Vec::new();
                io.read_to_end(&mut heard).await.unwrap();
                io.write_all(&heard).await.unwrap();
                io.shutdown().await.unwrap();
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("upgrade", "x")
                .header("connection", "upgrade")
                .body(Either::Left(Full::default()))
                .unwrap()
        }
        _ => Response::new(Either::Left(Full::new(request.into_body().collect().await.unwrap().to_bytes()))),
    })
}

/// A client's stream to a gateway before hyper's server; `pipe` bounds what is on the way.
fn between(pipe: usize) -> (DuplexStream, tokio::task::JoinHandle<Result<Carried, Error>>) {
    let (client, down) = duplex(pipe);
    let (up, server) = duplex(pipe);
    tokio::spawn(async move {
        let service = hyper::service::service_fn(echo);
        let _closed_by_the_gateway =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades().await;
    });
    // However much of a request is unread when its response begins, the server behind reads it all.
    let limits = Limits { unread_bytes: usize::MAX, ..Limits::default() };
    let down = ServerConn::new(down, limits, BytesMut::new());
    (client, tokio::spawn(gateway(down, ClientConn::new(up, Limits::default()))))
}

#[tokio::test]
async fn bodies_of_any_size_go_both_ways_on_one_connection() {
    for pipe in [7, 1000, 100_000] {
        let (client, gateway) = between(pipe);
        let (mut sender, conn) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
        tokio::spawn(conn);
        let mut sent = 0;
        for (path, size) in
            [("/", 0), ("/", 5), ("/stream", 5), ("/", 20_000), ("/stream", 300_000), ("/", 300_000), ("/stream", 0)]
        {
            let body: Bytes = (0..size).map(|i| (i % 251) as u8).collect();
            let request = Request::post(path).header("host", "a.example").body(Full::new(body.clone())).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let chunked = response.headers().contains_key("transfer-encoding");
            // hyper streams a body whose length it knows with that length.
            assert!(!chunked, "{path} {size}");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body, "{path} {size} over {pipe}");
            sent += 1;
        }
        drop(sender);
        let (carried, tunnel) = gateway.await.unwrap().unwrap();
        assert_eq!((carried, tunnel.is_none()), (sent, true));
    }
}

#[tokio::test]
async fn chunked_bodies_keep_their_trailers() {
    let (mut client, gateway) = between(100);
    let request = "POST /stream HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    for chunk in 0..10 {
        client.write_all(format!("4\r\n{chunk:04}\r\n").as_bytes()).await.unwrap();
    }
    // The echo is under way before the request is complete.
    let mut heard = vec![0; 15];
    client.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, b"HTTP/1.1 200 OK");
    client.write_all(b"0\r\nX-Sum: 7\r\nContent-Length: 7\r\n\r\n").await.unwrap();
    client.read_to_end(&mut heard).await.unwrap();
    let heard = text(&heard);
    assert!(heard.contains("0000\r\n") && heard.contains("0009\r\n"), "{heard}");
    assert!(heard.to_lowercase().ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{heard}");
    assert_eq!(gateway.await.unwrap().unwrap().0, 1);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let (client, gateway) = between(1000);
    let (mut sender, conn) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(conn);
    let body = Full::new(Bytes::from(vec![0; 200_000]));
    let response = sender.send_request(Request::post("/early").header("host", "a").body(body).unwrap()).await.unwrap();
    assert_eq!(response.status(), 413);
    drop((response, sender));
    // Whether the rest of the body still went through is a race that the gateway may lose either way.
    let _either = gateway.await.unwrap();
}

#[tokio::test]
async fn a_continue_comes_from_the_server_and_opens_the_body() {
    let (mut client, gateway) = between(1000);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await.unwrap();
    let mut interim = [0; 25];
    client.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    let mut answer = vec![0; 15];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    client.shutdown().await.unwrap();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(b"\r\n\r\nhello"), "{}", text(&answer));
    assert_eq!(gateway.await.unwrap().unwrap().0, 1);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_exchange() {
    let (mut client, down) = duplex(1000);
    let (up, mut server) = duplex(1000);
    let down = ServerConn::new(down, Limits::default(), BytesMut::new());
    let gateway = tokio::spawn(gateway(down, ClientConn::new(up, Limits::default())));
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut request = [0; 27];
    server.read_exact(&mut request).await.unwrap();
    drop(client);
    assert_eq!(gateway.await.unwrap().unwrap_err().kind, Kind::Closed);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_connection_is_carried_until_both_have_ended() {
    for ahead in ["", "sent before the 101"] {
        let (mut client, gateway) = between(1000);
        let request = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        client.write_all(format!("{request}{ahead}").as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"hello from the server") {
            client.read_buf(&mut heard).await.unwrap();
        }
        assert!(heard.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
        client.write_all(b" ping").await.unwrap();
        client.shutdown().await.unwrap();
        heard.clear();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(text(&heard), format!("{ahead} ping"));
        let (carried, report) = gateway.await.unwrap().unwrap();
        let report = report.unwrap();
        assert_eq!((carried, report.a_to_b), (1, ahead.len() as u64 + 5));
        assert!(report.error.is_none() && report.first == crate::tunnel::End::A);
    }
}
