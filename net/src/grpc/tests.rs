//! Client and server against each other, and the client against servers that are none.

use super::*;
use crate::http::{Downstream, Fields, Framing, ResponseHead, Sink};
use crate::http2::{client, server as http2_server};
use bytes::Bytes;
use std::future::poll_fn;
use tokio::io::DuplexStream;

/// A channel to a server whose calls this handler answers.
async fn channel<H, F>(handler: H) -> Channel
where
    H: Fn(Call) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (near, far) = tokio::io::duplex(64 * 1024);
    let spawn = |call| {
        tokio::spawn(call);
    };
    tokio::spawn(async move { serve_connection(far, spawn, handler).await });
    connect(near).await
}

async fn connect(io: DuplexStream) -> Channel {
    let (client, driver) = client::handshake(io, &client::Settings::default()).await.unwrap();
    tokio::spawn(driver);
    Channel::new(client, "etcd.test:2379")
}

/// Answers a unary call with its own request, or with the status that its metadata asks for.
async fn echo(mut call: Call) {
    let request = call.requests.message().await.unwrap().unwrap();
    assert!(call.requests.message().await.unwrap().is_none());
    let ended = match call.metadata.get_str("x-fail") {
        Some(why) => Err(Status::new(Code::NotFound, format!("{why}: köln 100%"))),
        None => call.responses.send(&[call.path.as_bytes(), b":", &request].concat()).await,
    };
    call.responses.finish(ended).unwrap();
}

#[tokio::test]
async fn a_unary_call_returns_its_response_or_its_status() {
    let channel = channel(echo).await;
    let response = channel.call_unary("/kv.KV/Range", &[("token", "t")], b"key").await.unwrap();
    assert_eq!(response, &b"/kv.KV/Range:key"[..]);
    assert_eq!(channel.call_unary("/x/Y", &[], b"").await.unwrap(), &b"/x/Y:"[..]);
    let status = channel.call_unary("/x/Y", &[("x-fail", "no")], b"key").await.unwrap_err();
    assert_eq!(status, Status::new(Code::NotFound, "no: köln 100%"));
}

#[tokio::test]
async fn messages_larger_than_every_window_pass_and_the_limit_holds() {
    let channel = channel(echo).await;
    let large = vec![9; 5 << 20];
    assert_eq!(channel.call_unary("/x", &[], &large).await.unwrap()[3..], large);
    let status = channel.call_unary("/x", &[], &vec![0; MAX_MESSAGE + 1]).await.unwrap_err();
    assert_eq!(status.code, Code::ResourceExhausted);
}

#[tokio::test]
async fn both_sides_of_a_stream_speak_when_they_like() {
    let channel = channel(async |call: Call| {
        let (mut requests, mut responses) = (call.requests, call.responses);
        responses.send(b"welcome").await.unwrap();
        while let Some(request) = requests.message().await.unwrap() {
            for n in 0..request[0] {
                responses.send(&[n]).await.unwrap();
            }
        }
        responses.finish(Ok(())).unwrap();
    })
    .await;
    let (mut sender, mut receiver) = channel.call_streaming("/watch", &[]).await.unwrap();
    assert_eq!(receiver.message().await.unwrap().unwrap(), &b"welcome"[..]);
    for count in [2, 0, 1] {
        sender.send(&[count]).await.unwrap();
        for n in 0..count {
            assert_eq!(receiver.message().await.unwrap().unwrap(), &[n][..]);
        }
    }
    sender.finish().unwrap();
    for _ in 0..2 {
        assert_eq!(receiver.message().await.unwrap(), None);
    }
}

#[tokio::test]
async fn waiting_may_be_given_up_and_taken_up_again() {
    let channel = channel(async |call: Call| {
        let (mut requests, mut responses) = (call.requests, call.responses);
        // The client gives up in the end.
        while let Ok(Some(request)) = requests.message().await {
            if responses.send(&request).await.is_err() {
                return;
            }
        }
    })
    .await;
    let (mut sender, mut receiver) = channel.call_streaming("/watch", &[]).await.unwrap();
    polled_once(receiver.message()).await;
    let large = vec![3; 2 << 20];
    polled_once(sender.send(&large)).await;
    let rest = async {
        sender.send(b"next").await.unwrap();
        sender
    };
    let both = async { (receiver.message().await.unwrap().unwrap(), receiver.message().await.unwrap().unwrap()) };
    let (_, (first, second)) = tokio::join!(rest, both);
    assert!(first == large && second == b"next"[..], "whole, and in order");
}

/// Polls a future that is not ready, and drops it.
async fn polled_once<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_the_server() {
    let (told, mut cancelled) = tokio::sync::mpsc::unbounded_channel();
    let channel = channel(move |mut call: Call| {
        let told = told.clone();
        async move {
            told.send("begun").unwrap();
            call.responses.cancelled().await;
            told.send("cancelled").unwrap();
        }
    })
    .await;
    let call = channel.call_streaming("/watch", &[]).await.unwrap();
    assert_eq!(cancelled.recv().await, Some("begun"));
    drop(call);
    assert_eq!(cancelled.recv().await, Some("cancelled"));
}

#[tokio::test]
async fn a_lost_connection_is_unavailable_and_stays_so() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let channel = connect(near).await;
    let (_sender, mut receiver) = channel.call_streaming("/watch", &[]).await.unwrap();
    drop(far);
    for _ in 0..2 {
        assert_eq!(receiver.message().await.unwrap_err().code, Code::Unavailable);
    }
    assert!(channel.is_closed());
    assert_eq!(channel.call_unary("/x", &[], b"").await.unwrap_err().code, Code::Unavailable);
}

/// What the client makes of a response with this head, body and trailers.
async fn answered(
    status: u16,
    fields: &[(&str, &str)],
    body: &'static [u8],
    trailers: Option<&[(&str, &str)]>,
) -> Result<Bytes, Status> {
    let read = |lines: &[(&str, &str)]| lines.iter().map(|(n, v)| (*n, v.as_bytes())).collect::<Fields>();
    let (fields, trailers) = (read(fields), trailers.map(read));
    let framing = if trailers.is_some() { Framing::Chunked } else { Framing::None };
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let mut server = http2_server::Connection::handshake(far, &http2_server::Settings::default()).await.unwrap();
        while let Some(Ok((_, mut stream))) = server.accept().await {
            stream.send_head(&ResponseHead { status, fields: fields.clone(), framing, ..ResponseHead::default() });
            if let Some(trailers) = &trailers {
                assert_eq!(poll_fn(|cx| stream.poll_send(cx, body)).await.unwrap(), body.len());
                stream.send_end(Some(trailers)).unwrap();
            }
        }
    });
    connect(near).await.call_unary("/x", &[], b"request").await
}

#[tokio::test]
async fn every_answer_becomes_a_status() {
    const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");
    const OK: Option<&[(&str, &str)]> = Some(&[("grpc-status", "0")]);
    let code = |result: Result<Bytes, Status>| result.unwrap_err().code;
    assert_eq!(answered(200, &[GRPC], b"\0\0\0\0\x01x", OK).await.unwrap(), &b"x"[..]);
    let trailers_only = answered(200, &[GRPC, ("grpc-status", "16"), ("grpc-message", "bad%20token")], b"", None).await;
    assert_eq!(trailers_only.unwrap_err(), Status::new(Code::Unauthenticated, "bad token"));
    assert_eq!(code(answered(503, &[], b"", None).await), Code::Unavailable);
    assert_eq!(code(answered(404, &[], b"", None).await), Code::Unimplemented);
    assert_eq!(code(answered(200, &[("content-type", "text/html")], b"<", OK).await), Code::Unknown);
    assert_eq!(code(answered(200, &[GRPC], b"", None).await), Code::Unknown, "no status at all");
    assert_eq!(code(answered(200, &[GRPC], b"\0\0\0\0\x01x", Some(&[("x", "y")])).await), Code::Unknown);
    assert_eq!(code(answered(200, &[GRPC], b"\0\0\0\0\x02x", OK).await), Code::Internal, "cut");
    assert_eq!(code(answered(200, &[GRPC], b"\x01\0\0\0\x01x", OK).await), Code::Unimplemented, "compressed");
    assert_eq!(code(answered(200, &[GRPC], b"\0\xff\xff\xff\xffx", OK).await), Code::ResourceExhausted);
    assert_eq!(code(answered(200, &[GRPC], b"\0\0\0\0\0\0\0\0\0\0", OK).await), Code::Internal, "two responses");
    assert_eq!(code(answered(200, &[GRPC], b"\0", OK).await), Code::Internal, "half a prefix");
}

#[tokio::test]
async fn a_request_that_is_no_call_is_refused() {
    use crate::http::{Method, RequestHead, Upstream};
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(serve_connection(far, |call| drop(tokio::spawn(call)), echo));
    let (client, driver) = client::handshake(near, &client::Settings::default()).await.unwrap();
    tokio::spawn(driver);
    for (method, status) in [(Method::Get, 405), (Method::Post, 415)] {
        let mut stream = client.open();
        let head = RequestHead { method, target: "/x".to_owned(), authority: "a".to_owned(), ..RequestHead::default() };
        stream.send_head(&head).unwrap();
        let mut head = ResponseHead::default();
        poll_fn(|cx| stream.poll_head(cx, &mut head)).await.unwrap();
        assert_eq!(head.status, status);
    }
}
