//! The receiving half of a stream: bytes are lent, and the window reopens exactly as they are consumed.

use super::error::{fault, translate};
use super::fields;
use crate::http::{Error, Fields, Frame, Kind, Side};
use bytes::{Buf, Bytes};
use h2::RecvStream;
use std::task::{Context, Poll, ready};

pub(crate) struct ReceiveHalf {
    /// None: the body ended with the head, or its head has not come.
    stream: Option<RecvStream>,
    chunk: Bytes,
    trailers: Option<Fields>,
    ended: bool,
    side: Side,
}

impl ReceiveHalf {
    /// A body that follows its head, or ended with it.
    pub fn new(stream: RecvStream, side: Side) -> Self {
        let ended = stream.is_end_stream();
        Self { stream: (!ended).then_some(stream), ended, ..Self::awaiting_head(side) }
    }

    /// A body whose head has not come yet.
    pub fn awaiting_head(side: Side) -> Self {
        Self { stream: None, chunk: Bytes::new(), trailers: None, ended: false, side }
    }

    /// Whether no byte will follow.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// [`Source::poll_frame`](crate::http::Source::poll_frame).
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        while self.chunk.is_empty() && !self.ended {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Err(super::error::misuse("the body was asked for before its head")));
            };
            // An empty DATA frame is no news; how many of them a peer may send is bounded by h2's frame budget.
            match ready!(stream.poll_data(cx)) {
                Some(Ok(bytes)) => self.chunk = bytes,
                Some(Err(e)) => return Poll::Ready(Err(translate(self.side, &e))),
                None => {
                    let trailers = ready!(stream.poll_trailers(cx)).map_err(|e| translate(self.side, &e))?;
                    self.trailers = trailers.map(|map| read_trailers(&map, self.side)).transpose()?;
                    self.ended = true;
                }
            }
        }
        if self.chunk.is_empty() {
            return Poll::Ready(Ok(Frame::End(self.trailers.as_ref())));
        }
        Poll::Ready(Ok(Frame::Data(&self.chunk)))
    }

    /// [`Source::consume`](crate::http::Source::consume).
    pub fn consume(&mut self, n: usize) {
        self.chunk.advance(n);
        if let Some(stream) = &mut self.stream
            && let Err(e) = stream.flow_control().release_capacity(n)
        {
            tracing::debug!(error = %e, "a window was not given back: the stream is gone");
        }
    }
}

fn read_trailers(map: &http::HeaderMap, side: Side) -> Result<Fields, Error> {
    let mut trailers = Fields::new();
    fields::read(map, &mut trailers).map_err(|problem| Error::new(side, Kind::Malformed(fault(side)), problem))?;
    Ok(trailers)
}
