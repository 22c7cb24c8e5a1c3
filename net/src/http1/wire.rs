//! A stream with one read buffer and one write buffer, both bounded, both without memory while empty and idle.
//!
//! Knows how to fill, flush and send framed bytes with few system calls; knows no HTTP beyond the framing of a body.

use super::body::{Incoming, Misfit, Outgoing, SizeLine};
use super::buffer::{Buffer, LARGE, SMALL};
use super::chunked::Step;
use super::limits::Limits;
use crate::http::{Error, Frame, Kind, Side};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A write buffer that holds this much takes no more. A little below the slab, so that a chunk's ends and trailers fit in too.
const HIGH_WATER: usize = LARGE - 512;
/// From this size on, bytes are written from where they are instead of being copied.
const DIRECT: usize = 16 * 1024;
/// No read is offered less room than this.
const LEAST_READ: usize = 1024;

pub(crate) struct Wire<S> {
    pub(crate) io: S,
    pub(crate) rd: Buffer,
    pub(crate) wr: Buffer,
    /// The peer has ended its direction.
    pub(crate) eof: bool,
    side: Side,
    /// The last read filled its room: more is coming than a small buffer takes at once.
    bulk: bool,
    /// Written since the transport was last flushed.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(io: S, side: Side) -> Self {
        Self { io, rd: Buffer::new(), wr: Buffer::new(), eof: false, side, bulk: false, unflushed: false }
    }

    /// Reads once, at most `most` bytes, behind those already held. Zero bytes is the end and sets `eof`.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<usize, Error>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if self.bulk && self.rd.is_empty() && self.rd.capacity() < LARGE {
            self.rd.release();
            self.rd.spare(LARGE);
        }
        let spare = self.rd.spare(LEAST_READ);
        let room = spare.len().min(most);
        let mut into = ReadBuf::new(&mut spare[..room]);
        match Pin::new(&mut self.io).poll_read(cx, &mut into) {
            Poll::Ready(Ok(())) => {
                let n = into.filled().len();
                self.rd.filled_by(n);
                self.eof = n == 0;
                if n == room {
                    self.bulk = true;
                } else if n < SMALL / 2 {
                    self.bulk = false;
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(Error::io(self.side, &e))),
            Poll::Pending => {
                self.rd.release();
                Poll::Pending
            }
        }
    }

    /// The next bytes of a body, or its end.
    pub(crate) fn poll_frame<'a>(
        &'a mut self,
        cx: &mut Context<'_>,
        body: &'a mut Incoming,
        limits: &Limits,
    ) -> Poll<Result<Frame<'a>, Error>> {
        let n = loop {
            match body.step(&mut self.rd, limits) {
                Ok(Step::Data(n)) => break n,
                Ok(Step::End) => {
                    self.rd.release();
                    return Poll::Ready(Ok(Frame::End(body.trailers())));
                }
                Ok(Step::Need) => {}
                Err(bad) => return Poll::Ready(Err(bad.on(self.side))),
            }
            if ready!(self.poll_fill(cx, usize::MAX))? == 0 && !body.ended_by_close() {
                return Poll::Ready(Err(Error::new(self.side, Kind::Closed, "the connection ended inside a body")));
            }
        };
        Poll::Ready(Ok(Frame::Data(&self.rd.filled()[..n])))
    }

    /// Takes some of `data` as the body's framing wants it: large pieces are written from where they are, small ones are kept.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, body: &mut Outgoing, data: &[u8]) -> Poll<Result<usize, Error>> {
        match *body {
            _ if data.is_empty() => return Poll::Ready(Ok(0)),
            Outgoing::Discard => return Poll::Ready(Ok(data.len())),
            Outgoing::Done => return Poll::Ready(Err(self.misfit(Misfit::TooLong))),
            Outgoing::Length(left) if data.len() as u64 > left => {
                return Poll::Ready(Err(self.misfit(Misfit::TooLong)));
            }
            _ => {}
        }
        #[cfg(planted = "buffer_unbounded")]
        if crate::sim::is_planted("buffer_unbounded") && self.side == Side::Client && *body != Outgoing::Chunked {
            self.wr.put(data);
            if let Outgoing::Length(left) = body {
                *left -= data.len() as u64;
            }
            if let Poll::Ready(Err(e)) = self.poll_write(cx) {
                return Poll::Ready(Err(e));
            }
            return Poll::Ready(Ok(data.len()));
        }
        while self.wr.len() >= HIGH_WATER {
            ready!(self.poll_write(cx))?;
        }
        let chunked = *body == Outgoing::Chunked;
        let taken = match data.len() {
            0..DIRECT => self.keep(data, chunked),
            _ if chunked => self.send_chunk(cx, data)?,
            _ => ready!(self.poll_direct(cx, data))?,
        };
        if let Outgoing::Length(left) = body {
            *left -= taken as u64;
        }
        Poll::Ready(Ok(taken))
    }

    /// Marks the end of a body.
    pub(crate) fn send_end(&mut self, body: &mut Outgoing, trailers: Option<&crate::http::Fields>) -> Result<(), Error> {
        body.end(&mut self.wr, trailers).map_err(|misfit| self.misfit(misfit))
    }

    /// Writes out what is kept, and gives its memory back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.wr.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        self.wr.release();
        if self.unflushed {
            let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
            flushed.map_err(|e| Error::io(self.side, &e))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our direction.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.io).poll_shutdown(cx).map_err(|e| Error::io(self.side, &e))
    }

    fn misfit(&self, misfit: Misfit) -> Error {
        Error::new(Side::Fairlead, Kind::Malformed(500), misfit.what())
    }

    /// Copies what fits below the high-water mark.
    fn keep(&mut self, data: &[u8], chunked: bool) -> usize {
        let n = data.len().min(HIGH_WATER - self.wr.len());
        if chunked {
            self.wr.put(SizeLine::new(n).bytes());
        }
        self.wr.put(&data[..n]);
        if chunked {
            self.wr.put(b"\r\n");
        }
        n
    }

    /// Writes kept bytes and then `data`, without copying it where the transport takes several slices.
    fn poll_direct(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        loop {
            if !self.wr.is_empty() && !self.io.is_write_vectored() {
                // One write of a full buffer is better than two; what it does not take stays for the next flush.
                let n = self.keep(data, false);
                if let Poll::Ready(Err(e)) = self.poll_write(cx) {
                    return Poll::Ready(Err(e));
                }
                return Poll::Ready(Ok(n));
            }
            let kept = self.wr.len();
            let n = ready!(self.poll_slices(cx, [&[], data, &[]]))?;
            if n > kept {
                return Poll::Ready(Ok(n - kept));
            }
        }
    }

    /// Sends `data`, or what fits below the high-water mark, as one chunk. What the transport does not take at once is kept, because
    /// a chunk that was announced must be finished.
    fn send_chunk(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Result<usize, Error> {
        let n = data.len().min(HIGH_WATER - self.wr.len());
        if !self.io.is_write_vectored() {
            self.keep(&data[..n], true);
            return match self.poll_write(cx) {
                Poll::Ready(Err(e)) => Err(e),
                _ => Ok(n),
            };
        }
        let size = SizeLine::new(n);
        let parts = [size.bytes(), &data[..n], b"\r\n"];
        let kept = self.wr.len();
        let mut skip = match self.poll_slices(cx, parts) {
            Poll::Ready(Ok(written)) => written.saturating_sub(kept),
            Poll::Ready(Err(e)) => return Err(e),
            Poll::Pending => 0,
        };
        for part in parts {
            let written = skip.min(part.len());
            skip -= written;
            self.wr.put(&part[written..]);
        }
        Ok(n)
    }

    /// One write of the kept bytes and these slices; tells how many bytes went in all, and drops the kept ones among them.
    fn poll_slices(&mut self, cx: &mut Context<'_>, [a, b, c]: [&[u8]; 3]) -> Poll<Result<usize, Error>> {
        let kept = self.wr.len();
        let slices = [IoSlice::new(self.wr.filled()), IoSlice::new(a), IoSlice::new(b), IoSlice::new(c)];
        let io = Pin::new(&mut self.io);
        let written =
            if kept == 0 && a.is_empty() && c.is_empty() { io.poll_write(cx, b) } else { io.poll_write_vectored(cx, &slices) };
        let n = self.written(ready!(written))?;
        self.wr.consume(n.min(kept));
        Poll::Ready(Ok(n))
    }

    /// One write of the kept bytes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, self.wr.filled()));
        let n = self.written(written)?;
        self.wr.consume(n);
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, result: io::Result<usize>) -> Result<usize, Error> {
        self.unflushed = true;
        match result {
            Ok(0) => Err(Error::io(self.side, &io::ErrorKind::WriteZero.into())),
            Ok(n) => Ok(n),
            Err(e) => Err(Error::io(self.side, &e)),
        }
    }
}
