//! A kept-alive HTTP/1 connection, once warm, serves requests without allocating: both sides, head and body.

#![cfg(not(madsim))]

use bytes::BytesMut;
use fairlead_net::http::{Downstream, Frame, Framing, Method, RequestHead, ResponseHead, Sink, Source, Upstream};
use fairlead_net::http1::{ClientConn, Limits, ServerConn};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Says `says` once each time it is `due`.
struct Peer {
    says: &'static [u8],
    due: bool,
    heard: usize,
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !std::mem::take(&mut self.due) {
            return Poll::Pending;
        }
        into.put_slice(self.says);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        self.heard += data.len();
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Takes the body there is, and tells how many bytes it had.
fn drain(cx: &mut Context<'_>, from: &mut impl Source) -> usize {
    let mut total = 0;
    loop {
        let n = match from.poll_frame(cx) {
            Poll::Ready(Ok(Frame::Data(data))) => data.len(),
            Poll::Ready(Ok(Frame::End(_))) => return total,
            other => panic!("{other:?}"),
        };
        from.consume(n);
        total += n;
    }
}

#[test]
fn a_warm_connection_does_not_allocate() {
    let request =
        b"POST /path?query HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x\r\nAccept: */*\r\nContent-Length: 5\r\n\r\nhello";
    let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut down = ServerConn::new(Peer { says: request, due: false, heard: 0 }, Limits::default(), BytesMut::new());
    let mut up = ClientConn::new(Peer { says: response, due: false, heard: 0 }, Limits::default());
    let (mut asked, mut answered) = (RequestHead::default(), ResponseHead::default());
    let cx = &mut Context::from_waker(Waker::noop());
    let mut warm = 0;
    for round in 0..100 {
        if round == 10 {
            warm = ALLOCATIONS.get();
        }
        assert!(down.poll_request(cx, &mut asked).is_pending());
        assert_eq!(down.buffered_capacity() + up.buffered_capacity(), 0, "idle connections hold no buffer");
        down.get_mut().due = true;
        assert!(matches!(down.poll_request(cx, &mut asked), Poll::Ready(Ok(true))));
        assert!(up.poll_idle(cx).is_pending());
        up.send_head(&asked).unwrap();
        assert_eq!(drain(cx, &mut down), 5);
        assert!(matches!(up.poll_send(cx, b"hello"), Poll::Ready(Ok(5))));
        up.send_end(None).unwrap();
        assert!(up.poll_flush(cx).is_ready() && down.poll_gone(cx).is_pending());
        assert!(up.poll_head(cx, &mut answered).is_pending());
        up.get_mut().due = true;
        assert!(matches!(up.poll_head(cx, &mut answered), Poll::Ready(Ok(()))));
        down.send_head(&answered);
        assert_eq!(drain(cx, &mut up), 5);
        assert!(matches!(down.poll_send(cx, b"hello"), Poll::Ready(Ok(5))));
        down.send_end(None).unwrap();
        assert!(down.poll_flush(cx).is_ready());
        assert!(down.is_reusable() && up.is_reusable());
        assert_eq!((&asked.method, asked.framing, answered.framing), (&Method::Post, Framing::Length(5), Framing::Chunked));
    }
    assert_eq!(ALLOCATIONS.get(), warm, "allocations in 90 warm rounds");
    assert!(warm > 0, "the counter counts");
}
