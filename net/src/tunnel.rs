//! Two streams joined: what comes from one goes to the other, until both directions have ended.
//!
//! Owns one bounded buffer per direction, which holds no memory while nothing moves. An end on one side is passed on as an end of
//! that direction only, so that a peer which has said everything can still hear. Deliberately absent: time. The caller compares
//! [`Tunnel::activity`] over its own idle deadline.

use crate::http1::buffer::{Buffer, LARGE, SMALL};
use bytes::BytesMut;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes moved in one direction before other tasks get their turn.
const TURN: usize = 1024 * 1024;

/// One of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    A,
    B,
}

/// How a tunnel ended.
#[derive(Debug)]
pub struct Report {
    /// Bytes that B took.
    pub a_to_b: u64,
    /// Bytes that A took.
    pub b_to_a: u64,
    /// The stream that ended or failed first.
    pub first: End,
    /// The stream that failed, and how. Without it both ended in order.
    pub error: Option<(End, io::Error)>,
}

/// Two streams and what is on the way between them.
pub struct Tunnel<A, B> {
    a: A,
    b: B,
    a_to_b: Way,
    b_to_a: Way,
    first: Option<End>,
}

impl<A, B> Tunnel<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// Joins two streams, of which `from_a` and `from_b` were read before and go first.
    pub fn new(a: A, b: B, from_a: BytesMut, from_b: BytesMut) -> Self {
        Self { a, b, a_to_b: Way::starting_with(&from_a), b_to_a: Way::starting_with(&from_b), first: None }
    }

    /// Grows with every byte moved and every end passed on. Unchanged over a while means idle.
    pub fn activity(&self) -> u64 {
        self.a_to_b.activity() + self.b_to_a.activity()
    }

    /// Bytes moved so far, from A to B and from B to A.
    pub fn moved(&self) -> (u64, u64) {
        (self.a_to_b.moved, self.b_to_a.moved)
    }

    /// Moves what can be moved. Ready when both directions have ended, or either stream failed; both streams are to be dropped then.
    pub fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<Report> {
        let forth = self.a_to_b.poll(cx, &mut self.a, &mut self.b);
        if let Poll::Ready(Err((failed, error))) = forth {
            return Poll::Ready(self.report(Some((if failed == Role::From { End::A } else { End::B }, error))));
        }
        if self.a_to_b.eof {
            self.first.get_or_insert(End::A);
        }
        let back = self.b_to_a.poll(cx, &mut self.b, &mut self.a);
        if let Poll::Ready(Err((failed, error))) = back {
            return Poll::Ready(self.report(Some((if failed == Role::From { End::B } else { End::A }, error))));
        }
        if self.b_to_a.eof {
            self.first.get_or_insert(End::B);
        }
        if forth.is_ready() && back.is_ready() { Poll::Ready(self.report(None)) } else { Poll::Pending }
    }

    fn report(&mut self, error: Option<(End, io::Error)>) -> Report {
        let first = self.first.or(error.as_ref().map(|(end, _)| *end)).unwrap_or(End::A);
        Report { a_to_b: self.a_to_b.moved, b_to_a: self.b_to_a.moved, first, error }
    }
}

impl<A, B> Future for Tunnel<A, B>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        self.poll_tunnel(cx)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    From,
    To,
}

/// One direction.
#[derive(Default)]
struct Way {
    kept: Buffer,
    moved: u64,
    /// Reads fill a small buffer: take a large one.
    bulk: bool,
    unflushed: bool,
    eof: bool,
    shut: bool,
}

impl Way {
    fn starting_with(bytes: &[u8]) -> Self {
        let mut way = Self::default();
        if !bytes.is_empty() {
            way.kept.put(bytes);
        }
        way
    }

    fn activity(&self) -> u64 {
        self.moved + u64::from(self.eof) + u64::from(self.shut)
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), (Role, io::Error)>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let stop = self.moved + TURN as u64;
        loop {
            while !self.kept.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, self.kept.filled())) {
                    Ok(0) => return Poll::Ready(Err((Role::To, io::ErrorKind::WriteZero.into()))),
                    Ok(n) => {
                        self.kept.consume(n);
                        self.moved += n as u64;
                        self.unflushed = true;
                    }
                    Err(e) => return Poll::Ready(Err((Role::To, e))),
                }
            }
            if self.eof {
                if !self.shut {
                    ready!(self.poll_flush(cx, to))?;
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|e| (Role::To, e))?;
                    self.shut = true;
                    self.kept.release();
                }
                return Poll::Ready(Ok(()));
            }
            if self.moved >= stop {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.poll_read(cx, from) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err((Role::From, e))),
                Poll::Pending => {
                    self.kept.release();
                    ready!(self.poll_flush(cx, to))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads once into the empty buffer.
    fn poll_read<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) -> Poll<io::Result<()>> {
        let size = if self.bulk { LARGE } else { SMALL };
        if self.kept.capacity() < size {
            self.kept.release();
        }
        let spare = self.kept.spare(size);
        let room = spare.len();
        let mut into = ReadBuf::new(spare);
        ready!(Pin::new(from).poll_read(cx, &mut into))?;
        let n = into.filled().len();
        self.kept.filled_by(n);
        self.eof = n == 0;
        self.bulk = n == room || (self.bulk && n >= SMALL / 2);
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<Result<(), (Role, io::Error)>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx)).map_err(|e| (Role::To, e))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
