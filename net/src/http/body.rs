//! A body in motion: bytes are lent by a [`Source`], taken by a [`Sink`], and never owned by what stands between.

use super::{Error, Fields};
use std::task::{Context, Poll};

/// What a source has next.
#[derive(Debug)]
pub enum Frame<'a> {
    /// At least one byte, lent until the next call; the caller says with [`Source::consume`] how much it took.
    Data(&'a [u8]),
    /// The body is complete. Trailers are lent, when there were any. Polling again gives `End` again.
    End(Option<&'a Fields>),
}

/// The side a body comes from.
pub trait Source {
    /// The next bytes of the body, or its end.
    ///
    /// # Errors
    /// The peer closed, reset or broke the framing before the body was complete.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>>;

    /// Takes `n` of the bytes that the last [`Frame::Data`] lent.
    fn consume(&mut self, n: usize);
}

/// The side a body goes to. Its head was given before.
pub trait Sink {
    /// Takes some of `data`, at least one byte, or waits until it can. May write through or keep up to a bounded buffer.
    ///
    /// # Errors
    /// The peer closed or reset, or more bytes were given than the head declared.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>>;

    /// Marks the end of the body, with trailers if there are any and the framing can carry them. Called once.
    ///
    /// # Errors
    /// Fewer bytes were given than the head declared: the connection is then not reusable.
    fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error>;

    /// Writes out what is kept.
    ///
    /// # Errors
    /// The peer closed or reset.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>>;
}

/// Where a pumped body stands.
#[derive(Debug, Default)]
pub struct Progress {
    /// Body bytes that the sink took.
    pub bytes: u64,
    /// The source ended and the sink was told.
    pub ended: bool,
    /// What a pending [`pump`] waits for.
    pub waiting: Waiting,
}

/// The side that a pending [`pump`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// More of the body.
    #[default]
    Source,
    /// Room for what was read.
    Sink,
}

/// Moves what can be moved now. Ready when the source has ended and the sink has flushed everything.
///
/// # Errors
/// The first error of either side; its `side` says which.
pub fn pump<A: Source + ?Sized, B: Sink + ?Sized>(
    cx: &mut Context<'_>,
    from: &mut A,
    to: &mut B,
    progress: &mut Progress,
) -> Poll<Result<(), Error>> {
    while !progress.ended {
        let taken = match from.poll_frame(cx) {
            Poll::Ready(Ok(Frame::Data(data))) => match to.poll_send(cx, data) {
                Poll::Ready(Ok(taken)) => taken,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    progress.waiting = Waiting::Sink;
                    return Poll::Pending;
                }
            },
            Poll::Ready(Ok(Frame::End(trailers))) => {
                to.send_end(trailers)?;
                progress.ended = true;
                break;
            }
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending => {
                // Nothing more to take: what was taken must not wait for it.
                progress.waiting = Waiting::Source;
                return match to.poll_flush(cx) {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                    Poll::Ready(Ok(())) => Poll::Pending,
                    Poll::Pending => {
                        progress.waiting = Waiting::Sink;
                        Poll::Pending
                    }
                };
            }
        };
        from.consume(taken);
        progress.bytes += taken as u64;
    }
    progress.waiting = Waiting::Sink;
    to.poll_flush(cx)
}
