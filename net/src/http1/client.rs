//! A server's side of a connection: requests go out, responses come in, one exchange after another.
//!
//! Owns whether the connection may be used again: only after a response that was complete, to a request that was sent to its end,
//! with not a byte more in the buffer than belonged to it. A server that says more than it was asked is not asked again.
//!
//! The caller owns time and pooling: it checks with [`ClientConn::poll_idle`] before it uses a kept connection.

use super::body::{Incoming, Outgoing};
use super::encode::write_request;
use super::limits::{Bad, Limits};
use super::response::{Asked, ResponseParser};
use super::wire::Wire;
use crate::http::{Error, Fields, Frame, Framing, Kind, RequestHead, ResponseHead, Side, Sink, Source, Upstream};
use bytes::BytesMut;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MANY_INTERIM: Bad = Bad::new(502, "more interim responses than the limit");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No exchange under way.
    Idle,
    /// The final response head is awaited.
    Head,
    /// It was read; its body may still come.
    Body,
    /// Broken, or given up.
    Dead,
}

/// An HTTP/1 connection to a server.
pub struct ClientConn<S> {
    wire: Wire<S>,
    limits: Limits,
    parser: ResponseParser,
    incoming: Incoming,
    outgoing: Outgoing,
    phase: Phase,
    asked: Asked,
    /// The request was given to its end.
    sent: bool,
    started: bool,
    interim: usize,
    persistent: bool,
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ClientConn<S> {
    /// A connection on this stream, on which nothing was exchanged yet.
    pub fn new(io: S, limits: Limits) -> Self {
        Self {
            wire: Wire::new(io, Side::Upstream),
            limits,
            parser: ResponseParser::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::Done,
            phase: Phase::Idle,
            asked: Asked::default(),
            sent: true,
            started: false,
            interim: 0,
            persistent: true,
            closing: false,
        }
    }

    /// Whether another request may be sent.
    pub fn is_reusable(&self) -> bool {
        let complete = match self.phase {
            Phase::Idle => true,
            Phase::Body => self.sent && self.incoming.is_done() && self.wire.wr.is_empty(),
            Phase::Head | Phase::Dead => false,
        };
        let clean = self.wire.rd.is_empty();
        #[cfg(planted = "dirty_connection_reused")]
        let clean = clean || crate::sim::is_planted("dirty_connection_reused");
        complete && self.persistent && !self.closing && !self.wire.eof && clean
    }

    /// A slip that the simulator must catch: as if no response were to come.
    #[cfg(planted = "responses_swapped")]
    pub fn forget(&mut self) {
        self.phase = Phase::Idle;
    }

    /// Asks the server to close after the next request.
    pub fn close_after(&mut self) {
        self.closing = true;
    }

    /// Ready once a kept connection is dead: the server closed, reset, or sent something that nobody asked for. Looks without
    /// blocking and without a buffer; to be polled while the connection is kept, or once before it is used.
    pub fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_reusable() {
            return Poll::Ready(());
        }
        self.wire.rd.release();
        self.wire.wr.release();
        let mut one = [0; 1];
        let read = Pin::new(&mut self.wire.io).poll_read(cx, &mut ReadBuf::new(&mut one));
        read.map(|_end_or_byte_or_error| self.phase = Phase::Dead)
    }

    /// Ends our direction, so that a TLS server is told.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_shutdown(cx).map(|_best_effort| ())
    }

    /// The stream and the bytes read behind the response head. To be called when everything written is flushed.
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

    fn refuse(&mut self, bad: Bad) -> Error {
        self.phase = Phase::Dead;
        bad.on(Side::Upstream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Source for ClientConn<S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        self.wire.poll_frame(cx, &mut self.incoming, &self.limits)
    }

    fn consume(&mut self, n: usize) {
        self.wire.rd.consume(n);
        self.incoming.took(n);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Sink for ClientConn<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        self.wire.poll_send(cx, &mut self.outgoing, data)
    }

    fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        if self.sent {
            return Ok(());
        }
        self.wire.send_end(&mut self.outgoing, trailers).inspect_err(|_| self.persistent = false)?;
        self.sent = true;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.wire.poll_flush(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Upstream for ClientConn<S> {
    /// As declared. Always HTTP/1.1; the request's own `version` and `keep_alive` are the client's affair. Also an error: a head that
    /// cannot be written.
    fn send_head(&mut self, head: &RequestHead) -> Result<(), Error> {
        if !self.is_reusable() {
            return Err(Error::new(Side::Upstream, Kind::Closed, "the kept connection can carry no further request"));
        }
        if !write_request(&mut self.wire.wr, head, self.closing) {
            return Err(Error::new(Side::Fairlead, Kind::Malformed(400), "target or host cannot be written in HTTP/1.1"));
        }
        self.outgoing = match head.framing {
            Framing::Length(n) => Outgoing::Length(n),
            Framing::Chunked => Outgoing::Chunked,
            Framing::None | Framing::UntilClose | Framing::Tunnel => Outgoing::Length(0),
        };
        self.phase = Phase::Head;
        self.asked = Asked::from(head);
        (self.sent, self.started, self.interim) = (false, false, 0);
        self.incoming.start(Framing::None);
        Ok(())
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>> {
        if self.phase != Phase::Head {
            return Poll::Ready(Err(Error::new(Side::Upstream, Kind::Closed, "no response is awaited")));
        }
        // A server may answer and close without reading on: a failed write does not yet mean that there is no answer.
        let mut failed = match self.wire.wr.is_empty() {
            true => None,
            false => match self.wire.poll_flush(cx) {
                Poll::Ready(Err(e)) => Some(e),
                _ => None,
            },
        };
        loop {
            if !self.wire.rd.is_empty() {
                self.started = true;
                match self.parser.parse(self.wire.rd.filled(), &self.limits, self.asked, head) {
                    Ok(Some(n)) => {
                        self.wire.rd.consume(n);
                        self.wire.rd.release();
                        break;
                    }
                    Ok(None) => {}
                    Err(bad) => return Poll::Ready(Err(self.refuse(bad))),
                }
            }
            let filled = ready!(self.wire.poll_fill(cx, usize::MAX));
            let error = match filled {
                Ok(0) => Error::new(Side::Upstream, Kind::Closed, "the server closed before its response head was complete"),
                Ok(_) => continue,
                Err(e) => e,
            };
            self.phase = Phase::Dead;
            return Poll::Ready(Err(failed.take().unwrap_or(error)));
        }
        if head.status < 200 && head.status != 101 {
            self.interim += 1;
            if self.interim > self.limits.informational {
                return Poll::Ready(Err(self.refuse(MANY_INTERIM)));
            }
            return Poll::Ready(Ok(()));
        }
        self.incoming.start(head.framing);
        self.persistent = head.keep_alive;
        self.phase = Phase::Body;
        Poll::Ready(Ok(()))
    }

    fn response_started(&self) -> bool {
        self.started
    }

    fn abort(&mut self) {
        self.phase = Phase::Dead;
        self.persistent = false;
        self.outgoing = Outgoing::Done;
        self.wire.wr.clear();
        self.wire.wr.release();
    }
}
