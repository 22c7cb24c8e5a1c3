//! Behaviour of the HTTP/1 engine on scripted streams: no runtime, no waiting, every split of the bytes within reach.

use super::*;
use crate::http::{Error, Fields, Frame, Framing, Kind, RequestHead, ResponseHead, Source, Version};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

mod client;
mod hostile;
mod server;
mod splits;

// What meets hyper runs on tokio's own runtime.
#[cfg(not(madsim))]
mod differential;
#[cfg(not(madsim))]
mod gateway;

/// A stream that gives the pieces it was told and records what is written.
#[derive(Default)]
pub(super) struct Script {
    pub pieces: VecDeque<Vec<u8>>,
    /// After the last piece: end of stream, or silence.
    pub open: bool,
    pub written: Vec<u8>,
    /// Length of every write.
    pub writes: Vec<usize>,
    /// The most one write takes; zero means no bound.
    pub write_most: usize,
    /// Writes wait once this much was written; zero means no bound.
    pub write_until: usize,
    pub vectored: bool,
    /// Writes fail.
    pub deaf: bool,
    pub shut: bool,
}

impl Script {
    pub fn ending(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { pieces: pieces.into_iter().filter(|p| !p.is_empty()).collect(), vectored: true, ..Self::default() }
    }

    pub fn open(pieces: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { open: true, ..Self::ending(pieces) }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.pieces.push_back(bytes.to_vec());
    }

    fn write(&mut self, slices: &[&[u8]]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut room = if self.write_most == 0 { usize::MAX } else { self.write_most };
        if self.write_until > 0 {
            room = room.min(self.write_until.saturating_sub(self.written.len()));
            if room == 0 {
                return Poll::Pending;
            }
        }
        let before = self.written.len();
        for slice in slices {
            let n = slice.len().min(room);
            self.written.extend_from_slice(&slice[..n]);
            room -= n;
        }
        self.writes.push(self.written.len() - before);
        Poll::Ready(Ok(self.written.len() - before))
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.open { Poll::Pending } else { Poll::Ready(Ok(())) };
        };
        let n = piece.len().min(into.remaining());
        into.put_slice(&piece[..n]);
        if n < piece.len() {
            self.pieces.push_front(piece.split_off(n));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.write(&[data])
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, _: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write(&slices.iter().map(|s| &**s).collect::<Vec<_>>())
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

pub(super) fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

#[track_caller]
pub(super) fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("expected an answer, and it waits"),
    }
}

pub(super) type Lines = Vec<(String, Vec<u8>)>;

pub(super) fn lines(fields: &Fields) -> Lines {
    fields.iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect()
}

/// A body as it was read: its bytes, its trailers, and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub bytes: Vec<u8>,
    pub trailers: Lines,
    pub failed: Option<Kind>,
}

/// Reads a body to its end, `most` bytes at a time.
pub(super) fn read_body(from: &mut impl Source, most: usize) -> Body {
    let mut body = Body::default();
    loop {
        let n = match ready(from.poll_frame(&mut cx())) {
            Ok(Frame::Data(data)) => {
                assert!(!data.is_empty(), "a data frame has at least one byte");
                let n = data.len().min(most);
                body.bytes.extend_from_slice(&data[..n]);
                n
            }
            Ok(Frame::End(trailers)) => {
                body.trailers = trailers.map(lines).unwrap_or_default();
                return body;
            }
            Err(e) => {
                body.failed = Some(e.kind);
                return body;
            }
        };
        from.consume(n);
    }
}

/// What a connection made of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Request { head: String, fields: Lines, body: Body },
    Refused(Kind),
    End,
}

/// A request head without its fields, for comparison.
pub(super) fn summary(head: &RequestHead) -> String {
    format!(
        "{:?} {} authority={} {:?} {:?} expect={} upgrade={} keep={}",
        head.method, head.target, head.authority, head.version, head.framing, head.expect_continue, head.upgrade, head.keep_alive
    )
}

/// Serves everything a scripted client says, answering each request with an empty 200.
pub(super) fn serve(pieces: impl IntoIterator<Item = Vec<u8>>, limits: Limits) -> (Vec<Heard>, Script) {
    let mut conn = ServerConn::new(Script::ending(pieces), limits, BytesMut::new());
    let mut heard = Vec::new();
    let mut head = RequestHead::default();
    loop {
        match ready(conn.poll_request(&mut cx(), &mut head)) {
            Ok(true) => {}
            Ok(false) => {
                heard.push(Heard::End);
                break;
            }
            Err(e) => {
                heard.push(Heard::Refused(e.kind));
                if let Kind::Malformed(status) = e.kind {
                    respond(&mut conn, status);
                }
                break;
            }
        }
        let body = read_body(&mut conn, usize::MAX);
        heard.push(Heard::Request { head: summary(&head), fields: lines(&head.fields), body });
        respond(&mut conn, 200);
    }
    ready(conn.poll_close(&mut cx()));
    let (io, _) = conn.into_parts();
    (heard, io)
}

pub(super) fn respond(conn: &mut ServerConn<Script>, status: u16) {
    use crate::http::{Downstream, Sink};
    conn.send_head(&ResponseHead { status, ..ResponseHead::default() });
    conn.send_end(None).unwrap();
    ready(conn.poll_flush(&mut cx())).unwrap();
}

/// What came back from a server that says `pieces` to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Response { interim: Vec<u16>, status: u16, framing: Framing, fields: Lines, body: Body, reusable: bool },
    Refused(Kind),
}

pub(super) fn ask(request: &RequestHead, script: Script, limits: Limits) -> (Answer, ClientConn<Script>) {
    use crate::http::{Sink, Upstream};
    let mut conn = ClientConn::new(script, limits);
    conn.send_head(request).unwrap();
    if request.framing.is_empty() {
        conn.send_end(None).unwrap();
    }
    let mut head = ResponseHead::default();
    let mut interim = Vec::new();
    loop {
        match ready(conn.poll_head(&mut cx(), &mut head)) {
            Ok(()) if head.status < 200 && head.status != 101 => interim.push(head.status),
            Ok(()) => break,
            Err(e) => return (Answer::Refused(e.kind), conn),
        }
    }
    let body = if head.framing == Framing::Tunnel { Body::default() } else { read_body(&mut conn, usize::MAX) };
    let (status, framing, fields) = (head.status, head.framing, lines(&head.fields));
    let reusable = conn.is_reusable();
    (Answer::Response { interim, status, framing, fields, body, reusable }, conn)
}

pub(super) fn get() -> RequestHead {
    RequestHead { target: "/".into(), authority: "a.example".into(), ..RequestHead::default() }
}

/// Cuts `bytes` at these places.
pub(super) fn cut(bytes: &[u8], places: &[usize]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = places.iter().map(|p| p % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for to in places.into_iter().chain([bytes.len()]) {
        pieces.push(bytes[from..to].to_vec());
        from = to;
    }
    pieces
}

pub(super) fn each_byte(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.chunks(1).map(<[u8]>::to_vec).collect()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[allow(dead_code, reason = "a type check: the engine is used across threads of a work-stealing runtime too")]
fn connections_are_send(server: ServerConn<Script>, client: ClientConn<Script>) -> impl Send {
    (server, client, Error::new(crate::http::Side::Client, Kind::Closed, ""), Version::Http11)
}
