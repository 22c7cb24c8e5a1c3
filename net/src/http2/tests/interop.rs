//! Against another implementation's use of HTTP/2.

use super::*;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;

#[tokio::test]
async fn hypers_client_talks_to_our_server() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let settings = server::Settings::default();
    let (server, client) = tokio::join!(
        server::Connection::handshake(far, &settings),
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
    );
    let (mut client, driver) = client.unwrap();
    tokio::spawn(driver);
    serve(server.unwrap(), async |head: RequestHead, mut stream: server::ServerStream| {
        let (body, _) = drain(&mut stream).await.unwrap();
        stream.send_head(&reply(200, Framing::Chunked));
        send(&mut stream, &body).await.unwrap();
        stream.send_end(Some(&fields(&[("x-target", &head.target)]))).unwrap();
    });
    let body = vec![5; 300_000];
    let request = http::Request::post("https://a.test/x?y").body(Full::new(bytes::Bytes::from(body.clone()))).unwrap();
    let collected = client.send_request(request).await.unwrap().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-target"], "/x?y");
    assert!(collected.to_bytes() == body);
}

#[tokio::test]
async fn our_client_talks_to_hypers_server() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let echo = hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
        let path = request.uri().to_string();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(http::Response::builder().header("x-uri", path).body(Full::new(body)).unwrap())
    });
    tokio::spawn(hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(far), echo));
    let (client, driver) = client::handshake(near, &client::Settings::default()).await.unwrap();
    tokio::spawn(driver);
    let mut stream = client.open();
    stream.send_head(&RequestHead { target: "/x?y".to_owned(), ..post(Framing::Length(300_000)) }).unwrap();
    send(&mut stream, &vec![6; 300_000]).await.unwrap();
    stream.send_end(None).unwrap();
    let head = head(&mut stream).await.unwrap();
    assert_eq!((head.framing, head.fields.get_str("x-uri")), (Framing::Length(300_000), Some("http://a.test/x?y")));
    assert_eq!(drain(&mut stream).await.unwrap().0, vec![6; 300_000]);
}
