//! Messages in a body: one byte (compressed or not), four bytes of length, then the message.

use super::{Code, MAX_MESSAGE, Status};
use crate::http::{Fields, Frame};
use crate::http2::{ReceiveHalf, SendHalf};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

const PREFIX: usize = 5;

/// Cuts a body into messages. Polling may be given up and taken up again.
#[derive(Default)]
pub(super) struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// The next message; `None` at the end of the body, whose trailers are then given.
    pub fn poll_message(&mut self, cx: &mut Context<'_>, body: &mut ReceiveHalf) -> Poll<Result<Next, Status>> {
        loop {
            if let Some(message) = self.cut()? {
                return Poll::Ready(Ok(Next::Message(message)));
            }
            let taken = match ready!(body.poll_frame(cx))? {
                Frame::Data(data) => {
                    self.buffer.extend_from_slice(data);
                    data.len()
                }
                Frame::End(_) if !self.buffer.is_empty() => {
                    return Poll::Ready(Err(Status::new(Code::Internal, "the stream ended within a message")));
                }
                Frame::End(trailers) => return Poll::Ready(Ok(Next::End(trailers.cloned()))),
            };
            body.consume(taken);
        }
    }

    fn cut(&mut self) -> Result<Option<Bytes>, Status> {
        if self.buffer.len() < PREFIX {
            return Ok(None);
        }
        if self.buffer[0] != 0 {
            return Err(Status::new(Code::Unimplemented, "the message is compressed, which was not agreed on"));
        }
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]) as usize;
        if length > MAX_MESSAGE {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!("a message of {length} bytes is over the limit of {MAX_MESSAGE}"),
            ));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// What came next.
pub(super) enum Next {
    Message(Bytes),
    End(Option<Fields>),
}

/// Puts messages into a body. A message whose sending was given up halfway is finished by the next send, so none is ever cut.
#[derive(Default)]
pub(super) struct Writer {
    unsent: BytesMut,
}

impl Writer {
    /// Sends a message, waiting for the peer's window.
    pub async fn send(&mut self, body: &mut SendHalf, message: &[u8]) -> Result<(), Status> {
        check_size(message)?;
        // What an abandoned call left goes first.
        poll_fn(|cx| self.poll_drain(cx, body)).await?;
        self.unsent.reserve(PREFIX + message.len());
        self.unsent.put_u8(0);
        self.unsent.put_u32(message.len() as u32);
        self.unsent.extend_from_slice(message);
        poll_fn(|cx| self.poll_drain(cx, body)).await
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, body: &mut SendHalf) -> Poll<Result<(), Status>> {
        while !self.unsent.is_empty() {
            let n = ready!(body.poll_send(cx, &self.unsent))?;
            self.unsent.advance(n);
        }
        // Hands over what is held back; it need not have left.
        if let Poll::Ready(Err(e)) = body.poll_flush(cx) {
            return Poll::Ready(Err(e.into()));
        }
        Poll::Ready(Ok(()))
    }
}

/// A message that the other side would not take is not begun.
pub(super) fn check_size(message: &[u8]) -> Result<(), Status> {
    if message.len() <= MAX_MESSAGE {
        return Ok(());
    }
    let problem = format!("a message of {} bytes is over the limit of {MAX_MESSAGE}", message.len());
    Err(Status::new(Code::ResourceExhausted, problem))
}
