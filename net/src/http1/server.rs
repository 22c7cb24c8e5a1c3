//! The client's side of a connection: requests come in, responses go out, one exchange after another.
//!
//! Owns the order of things on the connection (head, body, response, next request) and whether it may go on. The caller owns time:
//! it polls with deadlines, tells idle from slow with [`ServerConn::head_started`], and drops the connection when it must.
//!
//! Bytes that a client sends ahead of its turn (pipelined requests, or data before a 101) stay in the bounded read buffer until the
//! current exchange is over: read as a request if the connection is still HTTP then, handed out by `into_parts` if it is not.

use super::body::{Incoming, Outgoing};
use super::encode::{Persist, Tell, write_response};
use super::limits::Limits;
use super::request::RequestParser;
use super::response::Asked;
use super::wire::Wire;
use crate::http::{Downstream, Error, Fields, Frame, Framing, Kind, RequestHead, ResponseHead, Side, Sink, Source, Version};
use bytes::BytesMut;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// After the last response: bytes read away so that a client which still sends gets to read it before its connection is reset.
const LINGER: usize = 256 * 1024;

/// Where the current exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between exchanges.
    Idle,
    /// A request head was read (or refused); no final response head was given yet.
    Request,
    /// The response head was given, its body is not complete.
    Response,
    /// The response is complete.
    Complete,
    /// Broken off.
    Aborted,
}

/// A client's HTTP/1 connection.
pub struct ServerConn<S> {
    wire: Wire<S>,
    limits: Limits,
    parser: RequestParser,
    incoming: Incoming,
    outgoing: Outgoing,
    phase: Phase,
    asked: Asked,
    version: Version,
    /// The request allows another one, and nothing since has spoken against it.
    persistent: bool,
    /// The client may still be waiting for leave to send its body.
    withheld: bool,
    /// The connection left HTTP behind.
    tunnel: bool,
    /// The caller wants no further request.
    closing: bool,
    drained: usize,
    lingered: usize,
    shut: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ServerConn<S> {
    /// A connection on this stream, of which `already_read` was read before (by protocol detection).
    pub fn new(io: S, limits: Limits, already_read: BytesMut) -> Self {
        let mut wire = Wire::new(io, Side::Client);
        if !already_read.is_empty() {
            wire.rd.put(&already_read);
        }
        Self {
            wire,
            limits,
            parser: RequestParser::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::Done,
            phase: Phase::Idle,
            asked: Asked::default(),
            version: Version::Http11,
            persistent: true,
            withheld: false,
            tunnel: false,
            closing: false,
            drained: 0,
            lingered: 0,
            shut: false,
        }
    }

    /// Reads the next request head. `false` is the end of the connection between requests, also when the last exchange left it
    /// unusable. While this waits the connection holds no buffer memory.
    ///
    /// # Errors
    /// The head was refused (`Malformed`: answer with its status, then [`Self::poll_close`]), or the connection failed inside a head.
    pub fn poll_request(&mut self, cx: &mut Context<'_>, head: &mut RequestHead) -> Poll<Result<bool, Error>> {
        if self.phase != Phase::Idle {
            if !self.is_reusable() {
                return Poll::Ready(Ok(false));
            }
            self.phase = Phase::Idle;
        }
        if !self.wire.wr.is_empty()
            && let Poll::Ready(Err(e)) = self.wire.poll_flush(cx)
        {
            return Poll::Ready(Err(e));
        }
        loop {
            if !self.wire.rd.is_empty() {
                match self.parser.parse(self.wire.rd.filled(), &self.limits, head) {
                    Ok(Some(n)) => {
                        self.wire.rd.consume(n);
                        self.wire.rd.release();
                        self.begin(head);
                        return Poll::Ready(Ok(true));
                    }
                    Ok(None) => {}
                    Err(bad) => {
                        self.begin_refused();
                        return Poll::Ready(Err(bad.on(Side::Client)));
                    }
                }
            }
            match ready!(self.wire.poll_fill(cx, usize::MAX)) {
                Ok(0) if !self.head_started() => return Poll::Ready(Ok(false)),
                Ok(0) => return Poll::Ready(Err(Error::new(Side::Client, Kind::Closed, "ended inside a request head"))),
                Ok(_) => {}
                // Many clients end an idle connection without ceremony.
                Err(e) if !self.head_started() && e.kind != Kind::TimedOut => return Poll::Ready(Ok(false)),
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    /// Whether bytes of a request that is still unread have arrived: the connection is slow rather than idle.
    pub fn head_started(&self) -> bool {
        self.parser.started(self.wire.rd.len())
    }

    /// Whether the whole request body was read (or there was none).
    pub fn request_body_done(&self) -> bool {
        self.incoming.is_done()
    }

    /// Reads away what is left of the request body, at most `most` bytes over all calls in one exchange, so that the connection can
    /// be kept. `false`: there is more, or the client closed; the connection cannot be kept.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<bool> {
        if self.withheld {
            return Poll::Ready(false);
        }
        loop {
            let n = match ready!(self.poll_frame(cx)) {
                Ok(Frame::End(_)) => return Poll::Ready(true),
                Ok(Frame::Data(data)) => data.len(),
                Err(_closed_or_malformed) => return Poll::Ready(false),
            };
            self.consume(n);
            self.drained += n;
            if self.drained > most {
                return Poll::Ready(false);
            }
        }
    }

    /// Whether another request may follow: the response is complete, the request was read to its end, both allow it.
    pub fn is_reusable(&self) -> bool {
        match self.phase {
            Phase::Idle => !self.closing,
            Phase::Complete => self.persistent && !self.closing && !self.tunnel && self.incoming.is_done(),
            Phase::Request | Phase::Response | Phase::Aborted => false,
        }
    }

    /// No request is to follow the current one; its response says so if its head was not given yet.
    pub fn close_after(&mut self) {
        self.closing = true;
    }

    /// Whether the exchange was broken off. The client must see a reset rather than an orderly end where a response without a length
    /// was under way, and only the owner of the socket can do that.
    pub fn is_aborted(&self) -> bool {
        self.phase == Phase::Aborted
    }

    /// Whether the response's framing tells where it ends, rather than the end of the connection.
    pub fn is_delimited(&self) -> bool {
        self.outgoing != Outgoing::UntilClose
    }

    /// Whether nothing more is expected from the client, as far as was read.
    pub fn is_quiet(&self) -> bool {
        self.incoming.is_done() && self.wire.rd.is_empty()
    }

    /// Ends the connection so that the client gets what was written: flushes, ends our direction, and, if the client may still be
    /// sending, reads away a bounded amount. To be polled with a deadline, then dropped. Failures do not matter any more here.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_aborted() {
            return Poll::Ready(());
        }
        if !self.shut {
            if ready!(self.wire.poll_flush(cx)).is_err() || ready!(self.wire.poll_shutdown(cx)).is_err() {
                self.phase = Phase::Aborted;
                return Poll::Ready(());
            }
            self.shut = true;
        }
        let may_send = !self.is_quiet() || self.lingered > 0;
        while may_send && self.lingered < LINGER {
            self.lingered += self.wire.rd.len().max(1);
            self.wire.rd.clear();
            match ready!(self.wire.poll_fill(cx, usize::MAX)) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Poll::Ready(())
    }

    /// The stream and the bytes that were read from it but belong to no request. To be called when everything written is flushed.
    pub fn into_parts(self) -> (S, BytesMut) {
        let unread = BytesMut::from(self.wire.rd.filled());
        (self.wire.io, unread)
    }

    /// The stream.
    pub fn get_ref(&self) -> &S {
        &self.wire.io
    }

    /// The stream, for its options; reading or writing it breaks the connection.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.wire.io
    }

    /// User-space bytes that the connection's buffers hold.
    pub fn buffered_capacity(&self) -> usize {
        self.wire.rd.capacity() + self.wire.wr.capacity()
    }

    fn begin(&mut self, head: &RequestHead) {
        self.incoming.start(head.framing);
        self.outgoing = Outgoing::Done;
        self.phase = Phase::Request;
        self.asked = Asked::from(head);
        self.version = head.version;
        self.persistent = head.keep_alive;
        self.withheld = head.expect_continue;
        self.drained = 0;
    }

    /// Makes room for one last response to something that was no request.
    fn begin_refused(&mut self) {
        self.incoming.start(Framing::UntilClose);
        self.phase = Phase::Request;
        (self.asked, self.version) = (Asked::default(), Version::Http11);
        (self.persistent, self.withheld) = (false, false);
    }

    /// How the body of this response ends, and what its head says about it.
    fn plan(&self, head: &ResponseHead) -> (Outgoing, Tell) {
        match (head.status, head.framing) {
            (101, _) | (200..=299, Framing::Tunnel) => (Outgoing::Done, Tell::Nothing),
            (100..=199 | 204, _) => (Outgoing::Discard, Tell::Nothing),
            (304, Framing::Length(n)) => (Outgoing::Discard, Tell::Length(n)),
            (_, Framing::Length(n)) if self.asked.head => (Outgoing::Discard, Tell::Length(n)),
            (304, Framing::None) => (Outgoing::Discard, Tell::AsCame),
            (_, Framing::None) if self.asked.head => (Outgoing::Discard, Tell::AsCame),
            (304, _) => (Outgoing::Discard, Tell::Nothing),
            _ if self.asked.head => (Outgoing::Discard, Tell::Nothing),
            (_, Framing::None) => (Outgoing::Length(0), Tell::Length(0)),
            (_, Framing::Length(n)) => (Outgoing::Length(n), Tell::Length(n)),
            _ if self.version == Version::Http11 => (Outgoing::Chunked, Tell::Chunked),
            _ => (Outgoing::UntilClose, Tell::Nothing),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Source for ServerConn<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        self.wire.poll_frame(cx, &mut self.incoming, &self.limits)
    }

    fn consume(&mut self, n: usize) {
        // Whatever the client was told, it has begun to send.
        self.withheld = false;
        self.wire.rd.consume(n);
        self.incoming.took(n);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Sink for ServerConn<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        self.wire.poll_send(cx, &mut self.outgoing, data)
    }

    fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        if self.phase != Phase::Response {
            return Ok(());
        }
        self.wire.send_end(&mut self.outgoing, trailers).inspect_err(|_| self.persistent = false)?;
        self.phase = Phase::Complete;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Downstream for ServerConn<S> {
    /// As declared. A long rest is not read away: the response says that the connection ends, rather than let a next request be lost.
    fn leave_body_unread(&mut self) {
        let is_long = self.incoming.left().is_some_and(|left| left > self.limits.unread_bytes as u64);
        if is_long && !planted!("unread_kept") {
            self.close_after();
        }
    }

    fn send_informational(&mut self, head: &ResponseHead) {
        if self.phase != Phase::Request || self.version != Version::Http11 || !matches!(head.status, 100 | 102..=199) {
            return;
        }
        if head.status == 100 {
            self.withheld = false;
        }
        write_response(&mut self.wire.wr, head, Tell::Nothing, Persist::Implied);
    }

    /// As declared. The response's own `keep_alive` is the server's affair and does not matter here: see [`ServerConn::close_after`].
    fn send_head(&mut self, head: &ResponseHead) {
        match self.phase {
            // A time-out while a head was awaited is answered too.
            Phase::Idle => self.begin_refused(),
            Phase::Request => {}
            Phase::Response | Phase::Complete | Phase::Aborted => return,
        }
        let (outgoing, tell) = self.plan(head);
        self.tunnel = head.status == 101 || (outgoing == Outgoing::Done && tell == Tell::Nothing);
        // A client that was not told to go on may send its body or not; neither can be relied on.
        let unsure = self.withheld && !self.incoming.is_done();
        // Whoever was too slow, or lost its framing, is told at once that this was all.
        let hopeless = head.status == 408 || self.incoming.is_failed();
        self.persistent &= !self.closing && !unsure && !hopeless && outgoing != Outgoing::UntilClose;
        let persist = match self.version {
            _ if head.status == 101 => Persist::Upgrade,
            _ if self.tunnel => Persist::Implied,
            _ if !self.persistent => Persist::Close,
            Version::Http10 => Persist::KeepAlive,
            _ => Persist::Implied,
        };
        write_response(&mut self.wire.wr, head, tell, persist);
        self.outgoing = outgoing;
        self.phase = Phase::Response;
    }

    fn end_after(&mut self) {
        self.close_after();
    }

    /// As declared. Reads ahead into the bounded buffer to notice the end; once that is full the end cannot be seen until the
    /// bytes are read.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            if self.wire.eof {
                return Poll::Ready(Error::new(Side::Client, Kind::Closed, "the client closed before its response was complete"));
            }
            let room = self.limits.head_bytes.saturating_sub(self.wire.rd.len());
            if room == 0 {
                return Poll::Pending;
            }
            match ready!(self.wire.poll_fill(cx, room)) {
                Ok(_) => {}
                Err(e) => return Poll::Ready(e),
            }
        }
    }

    fn abort(&mut self) {
        self.phase = Phase::Aborted;
        self.persistent = false;
        self.outgoing = Outgoing::Done;
        self.wire.wr.clear();
        self.wire.wr.release();
    }
}
