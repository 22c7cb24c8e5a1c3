//! The sending half of a stream: never more than one chunk here and one bounded buffer in `h2`, and END_STREAM on the last frame.
//!
//! The last chunk is held back until it is known whether something follows, so that a body of one piece is one frame, with or
//! without trailers behind it. A [`Gauge`] counts what `h2` still holds, so that a flush waits for the peer's window: a peer that
//! never opens it meets the caller's time-out instead of keeping the memory.

use super::error::{misuse, reset, translate};
use super::fields;
use crate::http::{Error, Fields, Framing, Side};
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, SendStream};
use http::HeaderMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

/// Bytes held back here at most; also the size of the frames that are made.
const CHUNK: usize = 16 * 1024;

pub(crate) struct SendHalf {
    /// None until the head is sent.
    stream: Option<SendStream<Chunk>>,
    pending: BytesMut,
    declared: Option<u64>,
    taken: u64,
    finished: bool,
    gauge: Arc<Gauge>,
    /// Why nothing can be sent any more.
    failed: Option<Error>,
    side: Side,
}

impl SendHalf {
    /// A half whose head has not been sent.
    pub fn new(side: Side) -> Self {
        Self {
            stream: None,
            pending: BytesMut::new(),
            declared: None,
            taken: 0,
            finished: false,
            gauge: Arc::default(),
            failed: None,
            side,
        }
    }

    /// The head went out; `framing` was declared with it, and `finished` says that END_STREAM was too.
    pub fn begin(&mut self, stream: SendStream<Chunk>, framing: Framing, finished: bool) {
        self.declared = match framing {
            _ if finished => Some(0),
            Framing::Length(n) => Some(n),
            _ => None,
        };
        (self.stream, self.finished) = (Some(stream), finished);
    }

    /// Nothing was or will be sent.
    pub fn fail(&mut self, error: Error) {
        self.failed = Some(error);
    }

    /// Whether the head was sent.
    pub fn begun(&self) -> bool {
        self.stream.is_some()
    }

    /// [`Sink::poll_send`](crate::http::Sink::poll_send).
    pub fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.declared.is_some_and(|n| self.taken + data.len() as u64 > n) {
            self.reset(Reason::INTERNAL_ERROR);
            return Poll::Ready(Err(misuse("more bytes than the head declared")));
        }
        if self.pending.len() == CHUNK {
            self.push(false)?;
        }
        let (wanted, held) = (data.len().min(CHUNK - self.pending.len()), self.pending.len());
        let stream = self.live()?;
        let granted = loop {
            let granted = stream.capacity().saturating_sub(held);
            if granted > 0 {
                break granted;
            }
            stream.reserve_capacity(held + wanted);
            if stream.capacity() > held {
                continue;
            }
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(self.broken(cx, &e))),
                Poll::Ready(None) => return self.gone(cx, data.len()),
                Poll::Pending => {
                    // The wait may be long: what is here goes out now.
                    if held > 0 {
                        self.push(false)?;
                    }
                    return Poll::Pending;
                }
            }
        };
        let n = wanted.min(granted);
        self.pending.extend_from_slice(&data[..n]);
        self.taken += n as u64;
        Poll::Ready(Ok(n))
    }

    /// [`Sink::send_end`](crate::http::Sink::send_end).
    pub fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        if self.finished {
            return Ok(());
        }
        if self.declared.is_some_and(|n| self.taken < n) {
            self.reset(Reason::INTERNAL_ERROR);
            return Err(misuse("fewer bytes than the head declared"));
        }
        let trailers = trailers.filter(|t| !t.is_empty());
        let Some(trailers) = trailers else { return self.push(true) };
        let mut map = HeaderMap::with_capacity(trailers.len());
        fields::write(trailers, &mut map)?;
        if !self.pending.is_empty() {
            self.push(false)?;
        }
        self.finished = true;
        let side = self.side;
        self.live()?.send_trailers(map).map_err(|e| translate(side, &e))
    }

    /// [`Sink::poll_flush`](crate::http::Sink::poll_flush): ready once `h2` has written everything.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.pending.is_empty() {
            self.push(false)?;
        }
        if self.gauge.poll_empty(cx).is_ready() {
            return match self.failed.take() {
                Some(e) => Poll::Ready(Err(e)),
                // A stream that ended well tells nothing more; one that was reset emptied its queue unsent.
                None => match self.poll_reset(cx) {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                    _ => Poll::Ready(Ok(())),
                },
            };
        }
        self.poll_reset(cx)
    }

    /// Ready when the peer reset the stream or the connection ended. `Ok` is NO_ERROR: it needs no more of this body.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let side = self.side;
        let Some(stream) = &mut self.stream else { return Poll::Pending };
        match stream.poll_reset(cx) {
            Poll::Ready(Ok(Reason::NO_ERROR)) if side == Side::Upstream => Poll::Ready(Ok(())),
            Poll::Ready(Ok(reason)) => Poll::Ready(Err(reset(side, reason))),
            Poll::Ready(Err(e)) => Poll::Ready(Err(translate(side, &e))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Resets the stream, dropping what is held.
    pub fn reset(&mut self, reason: Reason) {
        self.pending = BytesMut::new();
        if let Some(stream) = &mut self.stream {
            stream.send_reset(reason);
        }
        self.finished = true;
    }

    /// Gives what is held to `h2`.
    fn push(&mut self, end: bool) -> Result<(), Error> {
        let bytes = self.pending.split().freeze();
        let chunk = Chunk::new(bytes, &self.gauge);
        self.finished |= end;
        match self.live()?.send_data(chunk, end) {
            Ok(()) => Ok(()),
            Err(e) => match self.poll_reset(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(known) => known,
                Poll::Pending => Err(translate(self.side, &e)),
            },
        }
    }

    fn live(&mut self) -> Result<&mut SendStream<Chunk>, Error> {
        if let Some(e) = self.failed.take() {
            return Err(e);
        }
        self.stream.as_mut().ok_or_else(|| misuse("the body was sent before its head"))
    }

    /// The reset that stands behind an error, when there was one.
    fn broken(&mut self, cx: &mut Context<'_>, error: &h2::Error) -> Error {
        match self.poll_reset(cx) {
            Poll::Ready(Err(e)) => e,
            _ => translate(self.side, error),
        }
    }

    /// h2 says only that nothing can be sent any more. After NO_ERROR the rest of the body is unwanted: it is taken and dropped.
    fn gone(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<Result<usize, Error>> {
        match self.poll_reset(cx) {
            Poll::Ready(Ok(())) => {
                self.pending.clear();
                self.taken += len as u64;
                Poll::Ready(Ok(len))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Ready(Err(misuse("bytes after the end of the body"))),
        }
    }
}

/// Bytes on their way through `h2`, counted until they are written or dropped.
pub(crate) struct Chunk {
    bytes: Bytes,
    gauge: Arc<Gauge>,
}

impl Chunk {
    fn new(bytes: Bytes, gauge: &Arc<Gauge>) -> Self {
        gauge.chunks.fetch_add(1, Ordering::AcqRel);
        Self { bytes, gauge: gauge.clone() }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.gauge.chunks.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(waker) = self.gauge.waker.lock().take()
        {
            waker.wake();
        }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
    }
}

/// How many chunks of one stream `h2` holds, and who waits for none.
#[derive(Default)]
pub(crate) struct Gauge {
    chunks: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Gauge {
    fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.chunks.load(Ordering::Acquire) == 0 {
            return Poll::Ready(());
        }
        *self.waker.lock() = Some(cx.waker().clone());
        // The last chunk may have gone in between.
        if self.chunks.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
