//! Windows: memory is bounded whoever is slow, and a flush tells the truth.

use super::raw::{DATA, END_STREAM, Raw, request};
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Sends `total` bytes, counting those taken.
async fn fill(sink: &mut impl Sink, total: usize, taken: &AtomicUsize) -> Result<(), Error> {
    let piece = [7; 20_000];
    while taken.load(Ordering::Relaxed) < total {
        let left = total - taken.load(Ordering::Relaxed);
        let n = poll_fn(|cx| sink.poll_send(cx, &piece[..left.min(piece.len())])).await?;
        taken.fetch_add(n, Ordering::Relaxed);
    }
    sink.send_end(None)?;
    flush(sink).await
}

/// Polls everything that can go on until nothing changes.
async fn settle(taken: &AtomicUsize) -> usize {
    let mut before = usize::MAX;
    loop {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return now;
        }
        before = now;
    }
}

const TOTAL: usize = 8 << 20;

#[tokio::test]
async fn a_slow_reader_of_a_response_stops_the_source() {
    let settings = server::Settings::default();
    let (server, client) = pair(&settings).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = taken.clone();
    serve(server, move |_, mut stream| {
        let taken = counter.clone();
        async move {
            stream.send_head(&reply(200, Framing::Length(TOTAL as u64)));
            fill(&mut stream, TOTAL, &taken).await.unwrap();
        }
    });
    let mut stream = client.open();
    stream.send_head(&get("/")).unwrap();
    head(&mut stream).await.unwrap();
    let held = settle(&taken).await;
    let bound = client::Settings::default().stream_window as usize + settings.send_buffer + 16 * 1024;
    assert!((1..=bound).contains(&held), "{held} bytes were taken, at most {bound} may be held");
    let (body, _) = drain(&mut stream).await.unwrap();
    assert_eq!((body.len(), taken.load(Ordering::Relaxed)), (TOTAL, TOTAL));
}

#[tokio::test]
async fn a_slow_reader_of_a_request_stops_the_client_and_only_that_stream() {
    let settings = server::Settings::default();
    let (mut server, client) = pair(&settings).await;
    let taken = Arc::new(AtomicUsize::new(0));
    let mut upload = client.open();
    upload.send_head(&post(Framing::Chunked)).unwrap();
    let counter = taken.clone();
    let sending = tokio::spawn(async move { fill(&mut upload, TOTAL, &counter).await.map(|()| upload) });
    let (_, mut slow) = server.accept().await.unwrap().unwrap();
    serve(server, async |_: RequestHead, mut stream: server::ServerStream| {
        drain(&mut stream).await.unwrap();
        stream.send_head(&reply(204, Framing::None));
    });
    let held = settle(&taken).await;
    let bound = settings.stream_window as usize + client::Settings::default().send_buffer + 16 * 1024;
    assert!((1..=bound).contains(&held), "{held} bytes were taken, at most {bound} may be held");

    let mut other = client.open();
    other.send_head(&post(Framing::Length(5))).unwrap();
    send(&mut other, b"quick").await.unwrap();
    other.send_end(None).unwrap();
    assert_eq!(head(&mut other).await.unwrap().status, 204, "another stream goes on");

    assert_eq!(drain(&mut slow).await.unwrap().0.len(), TOTAL);
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_of_one_piece_is_one_frame() {
    let (raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
    let mut raw = raw;
    raw.headers(1, &request("GET", "/"), true).await;
    let (_, mut stream) = server.accept().await.unwrap().unwrap();
    serve(server, async |_: RequestHead, _: server::ServerStream| ());
    stream.send_head(&reply(200, Framing::Length(10)));
    send(&mut stream, b"hello").await.unwrap();
    send(&mut stream, b"world").await.unwrap();
    stream.send_end(None).unwrap();
    let frame = raw.until(|f| f.kind == DATA).await.unwrap();
    assert_eq!((frame.payload.as_slice(), frame.flags), (&b"helloworld"[..], END_STREAM));
}

#[tokio::test]
async fn no_more_is_taken_than_the_window_allows() {
    const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &NO_WINDOW).await;
    raw.headers(1, &request("GET", "/"), true).await;
    let (_, mut stream) = server.accept().await.unwrap().unwrap();
    serve(server, async |_: RequestHead, _: server::ServerStream| ());
    stream.send_head(&reply(200, Framing::Length(3)));
    let blocked = poll_fn(|cx| Poll::Ready(stream.poll_send(cx, b"abc").is_pending())).await;
    assert!(blocked, "nothing is taken that could not be sent");
    raw.window(1, 2).await;
    let n = poll_fn(|cx| stream.poll_send(cx, b"abc")).await.unwrap();
    assert_eq!(n, 2);
    flush(&mut stream).await.unwrap();
    assert_eq!(raw.until(|f| f.kind == DATA).await.unwrap().payload, b"ab");
    raw.window(1, 1).await;
    send(&mut stream, b"c").await.unwrap();
    stream.send_end(None).unwrap();
    flush(&mut stream).await.unwrap();
    assert_eq!(raw.until(|f| f.kind == DATA).await.unwrap().flags, END_STREAM);
}

/// What was taken but not written keeps the exchange open, so that a client that stalls meets the caller's time-out; breaking off frees it.
#[tokio::test]
async fn a_flush_waits_for_the_connection_and_an_abort_does_not() {
    for abort in [false, true] {
        let (mut raw, mut server) = Raw::pair(&server::Settings::default(), &[]).await;
        raw.headers(1, &request("GET", "/"), true).await;
        let (_, mut stream) = server.accept().await.unwrap().unwrap();
        stream.send_head(&reply(200, Framing::Length(3)));
        send(&mut stream, b"abc").await.unwrap();
        stream.send_end(None).unwrap();
        let waits = poll_fn(|cx| Poll::Ready(stream.poll_flush(cx).is_pending())).await;
        assert!(waits, "nobody has polled the connection");
        if abort {
            stream.abort();
        } else {
            serve(server, async |_: RequestHead, _: server::ServerStream| ());
        }
        assert_eq!(flush(&mut stream).await.is_err(), abort);
    }
}

#[tokio::test]
async fn many_small_pieces_share_a_frame() {
    let (server, client) = pair(&server::Settings::default()).await;
    serve(server, async |_: RequestHead, mut stream: server::ServerStream| {
        stream.send_head(&reply(200, Framing::Chunked));
        for _ in 0..50_000 {
            send(&mut stream, b"x").await.unwrap();
        }
        stream.send_end(None).unwrap();
        flush(&mut stream).await.unwrap();
    });
    let mut stream = client.open();
    stream.send_head(&get("/")).unwrap();
    head(&mut stream).await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap().0.len(), 50_000);
}
