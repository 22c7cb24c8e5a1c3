//! One end of a connection, byte by byte: writing and waiting while the other end is watched.

use bytes::BytesMut;
use fairlead_net::{
    tcp::Stream,
    time::{Duration, sleep},
};
use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead as _, AsyncWrite, ReadBuf};

/// Read ahead of what is asked for, at most.
const AHEAD: usize = 256 << 10;

/// The peer ended the connection, or it failed.
#[derive(Debug)]
pub(in crate::world) struct Gone;

/// A connection and what was read from it.
pub(in crate::world) struct Line {
    stream: Stream,
    pub read: BytesMut,
    ended: bool,
    /// Bytes read in all.
    pub heard: u64,
}

impl Line {
    pub(in crate::world) fn new(stream: Stream) -> Self {
        Self { stream, read: BytesMut::new(), ended: false, heard: 0 }
    }

    /// The stream, for its options.
    pub(in crate::world) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads at most `most` bytes more; false: the peer has ended its direction.
    pub(in crate::world) async fn more(&mut self, most: usize) -> Result<bool, Gone> {
        poll_fn(|cx| self.poll_more(cx, most)).await
    }

    fn poll_more(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<bool, Gone>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let mut bytes = [0; 16 << 10];
        let most = most.min(bytes.len());
        let mut into = ReadBuf::new(&mut bytes[..most]);
        match Pin::new(&mut self.stream).poll_read(cx, &mut into) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => {
                self.ended = true;
                Poll::Ready(Err(Gone))
            }
            Poll::Ready(Ok(())) => {
                self.ended = into.filled().is_empty();
                self.heard += into.filled().len() as u64;
                self.read.extend_from_slice(into.filled());
                Poll::Ready(Ok(!self.ended))
            }
        }
    }

    /// Ready when the peer has ended the connection. Reads ahead meanwhile, so that the end is seen.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        while self.read.len() < AHEAD {
            match self.poll_more(cx, usize::MAX) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => return Poll::Ready(Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    /// Waits, unless the peer leaves.
    pub(in crate::world) async fn pause(&mut self, millis: u64) -> Result<(), Gone> {
        let mut over = pin!(sleep(Duration::from_millis(millis)));
        poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => self.poll_gone(cx).map(Err),
        })
        .await
    }

    /// Writes all of it, unless the peer leaves.
    pub(in crate::world) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        poll_fn(|cx| {
            while !bytes.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                    Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Gone)),
                    Poll::Pending => return self.poll_gone(cx).map(Err),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Writes all of it, whatever the peer does with its own direction, and reads nothing.
    pub(in crate::world) async fn write_only(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        poll_fn(|cx| {
            while !bytes.is_empty() {
                match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                    Poll::Ready(Ok(n)) => bytes = &bytes[n..],
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Gone)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Writes what can be written of `bytes` from `sent` on while reading: ready when something was read, or all is written.
    pub(in crate::world) async fn exchange(&mut self, bytes: &[u8], sent: &mut usize) -> Result<bool, Gone> {
        poll_fn(|cx| {
            let mut dead = false;
            while *sent < bytes.len() {
                match Pin::new(&mut self.stream).poll_write(cx, &bytes[*sent..]) {
                    Poll::Ready(Ok(n)) => *sent += n,
                    // What was answered before counts all the same.
                    Poll::Ready(Err(_)) => {
                        (*sent, dead) = (bytes.len(), true);
                    }
                    Poll::Pending => break,
                }
            }
            match self.poll_more(cx, usize::MAX) {
                Poll::Pending if dead => Poll::Ready(Err(Gone)),
                other => other,
            }
        })
        .await
    }

    /// Whether a kept connection still lives, and nothing came that nobody asked for.
    pub(in crate::world) fn is_quiet(&mut self) -> bool {
        self.read.is_empty() && self.poll_more(&mut Context::from_waker(Waker::noop()), 1).is_pending()
    }

    /// Ends this direction.
    pub(in crate::world) async fn shut(&mut self) {
        // Shutting down what is dead changes nothing.
        let _ended: io::Result<()> = poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
    }

    /// Ends the connection with a RST, or with a FIN where everything was read.
    pub(in crate::world) fn end(self, reset: bool) {
        if reset {
            // A socket that is gone cannot be reset either.
            let _gone = self.stream.set_linger_zero();
        }
    }
}
