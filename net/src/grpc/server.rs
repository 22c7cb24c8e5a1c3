//! The server's end, good enough for a store in the simulator to speak the real protocol.

use super::Status;
use super::message::{Next, Reader, Writer};
use crate::http::{Downstream, Error, Fields, Framing, Method, RequestHead, ResponseHead};
use crate::http2::ReceiveHalf;
use crate::http2::server::{Connection, ServerStream, Settings};
use bytes::Bytes;
use std::future::poll_fn;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A call that came in.
pub struct Call {
    /// `/package.Service/Method`.
    pub path: String,
    pub metadata: Fields,
    pub requests: Requests,
    pub responses: Responses,
}

/// The requests of a call.
pub struct Requests {
    body: ReceiveHalf,
    reader: Reader,
}

impl Requests {
    /// The next request; `None` when the client has said its last. May be dropped and called again.
    ///
    /// # Errors
    /// The client cancelled, broke the framing, or went away.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        match poll_fn(|cx| self.reader.poll_message(cx, &mut self.body)).await? {
            Next::Message(message) => Ok(Some(message)),
            Next::End(_) => Ok(None),
        }
    }
}

/// The responses of a call. Dropped unfinished, they reset the stream.
pub struct Responses {
    stream: ServerStream,
    writer: Writer,
    headed: bool,
}

impl Responses {
    /// Sends a response, waiting for the client's window.
    ///
    /// # Errors
    /// The client cancelled or went away.
    pub async fn send(&mut self, response: &[u8]) -> Result<(), Status> {
        self.head();
        self.writer.send(self.stream.send_half(), response).await
    }

    /// Ends the call with this status.
    ///
    /// # Errors
    /// The client cancelled or went away.
    pub fn finish(mut self, ended: Result<(), Status>) -> Result<(), Status> {
        self.head();
        Ok(self.stream.send_half().send_end(Some(&Status::write(&ended)))?)
    }

    /// Ready when the client has cancelled or gone.
    pub async fn cancelled(&mut self) {
        poll_fn(|cx| self.stream.poll_gone(cx)).await;
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.headed, true) {
            let fields = [("content-type", &b"application/grpc"[..])].into_iter().collect();
            self.stream.send_head(&ResponseHead { status: 200, fields, framing: Framing::Chunked, ..ResponseHead::default() });
        }
    }
}

/// Serves one connection until it closes. Each call's future is given to `spawn`; `handler` makes it, and ends it with
/// [`Responses::finish`].
///
/// # Errors
/// The connection failed.
pub async fn serve_connection<S, H, F>(
    io: S,
    spawn: impl Fn(Pin<Box<dyn Future<Output = ()> + Send>>),
    handler: H,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Call) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connection = Connection::handshake(io, &Settings::default()).await?;
    while let Some(accepted) = connection.accept().await {
        let (head, mut stream) = accepted?;
        match refusal(&head) {
            None => spawn(Box::pin(handler(call(head, stream)))),
            Some(status) => stream.send_head(&ResponseHead { status, ..ResponseHead::default() }),
        }
    }
    Ok(())
}

/// The HTTP status for what is no call.
fn refusal(head: &RequestHead) -> Option<u16> {
    if head.method != Method::Post {
        return Some(405);
    }
    let kind = head.fields.get_str("content-type").unwrap_or_default();
    (!kind.starts_with("application/grpc")).then_some(415)
}

fn call(head: RequestHead, mut stream: ServerStream) -> Call {
    let requests = Requests { body: stream.take_receive(), reader: Reader::default() };
    let responses = Responses { stream, writer: Writer::default(), headed: false };
    Call { path: head.target, metadata: head.fields, requests, responses }
}
