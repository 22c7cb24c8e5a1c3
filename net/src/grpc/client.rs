//! Calls.

use super::message::{Next, Reader, Writer};
use super::{Code, Status};
use crate::http::{Fields, Framing, Method, RequestHead, Upstream, Version};
use crate::http2::SendHalf;
use crate::http2::client::{Client, Response};
use bytes::Bytes;
use std::future::poll_fn;

/// A connection on which calls are made, and the name that the server goes by.
#[derive(Clone)]
pub struct Channel {
    client: Client,
    authority: String,
}

impl Channel {
    /// Calls over this connection; its driver is to be polled by the caller.
    pub fn new(client: Client, authority: impl Into<String>) -> Self {
        Self { client, authority: authority.into() }
    }

    /// Whether no call can begin any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// One request, one response.
    ///
    /// # Errors
    /// The server's status, or what became of the connection. May be dropped: the call is then cancelled.
    pub async fn call_unary(&self, path: &str, metadata: &[(&str, &str)], request: &[u8]) -> Result<Bytes, Status> {
        super::message::check_size(request)?;
        let (mut sender, mut receiver) = self.call_streaming(path, metadata).await?;
        // A server that has seen enough may answer before it has read the request, and its answer counts; when sending fails because
        // the call is dead, the receiver says why.
        let sent = sender.send(request).await;
        if let Err(status) = sent.and_then(|()| sender.finish()) {
            tracing::debug!(%status, "a request was not sent whole");
        }
        let Some(response) = receiver.message().await? else {
            return Err(Status::new(Code::Internal, "the call succeeded without a response"));
        };
        match receiver.message().await? {
            None => Ok(response),
            Some(_) => Err(Status::new(Code::Internal, "more than one response to a unary call")),
        }
    }

    /// Requests and responses in any order. Nothing is awaited but room for another stream.
    ///
    /// # Errors
    /// The connection takes no more calls.
    pub async fn call_streaming(&self, path: &str, metadata: &[(&str, &str)]) -> Result<(Sender, Receiver), Status> {
        let mut client = self.client.clone();
        poll_fn(|cx| client.poll_ready(cx)).await?;
        let mut head = RequestHead {
            method: Method::Post,
            target: path.to_owned(),
            authority: self.authority.clone(),
            version: Version::Http2,
            framing: Framing::Chunked,
            ..RequestHead::default()
        };
        for (name, value) in [("te", "trailers"), ("content-type", "application/grpc")].iter().chain(metadata) {
            head.fields.append(name, value.as_bytes());
        }
        let mut stream = client.open();
        stream.send_head(&head)?;
        let (send, response) = stream.split();
        Ok((
            Sender { body: send, writer: Writer::default() },
            Receiver { response, reader: Reader::default(), headed: false, ended: None },
        ))
    }
}

/// The requests of a call. Dropped before [`finish`](Self::finish) and with its [`Receiver`], it cancels the call.
pub struct Sender {
    body: SendHalf,
    writer: Writer,
}

impl Sender {
    /// Sends a request, waiting for the server's window. May be dropped: the request is then sent whole by a later call, or not at all.
    ///
    /// # Errors
    /// The call has ended; the [`Receiver`] knows how.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), Status> {
        self.writer.send(&mut self.body, request).await
    }

    /// Says that no request will follow.
    ///
    /// # Errors
    /// The call has ended.
    pub fn finish(&mut self) -> Result<(), Status> {
        Ok(self.body.send_end(None)?)
    }
}

/// The responses of a call.
pub struct Receiver {
    response: Response,
    reader: Reader,
    headed: bool,
    ended: Option<Result<(), Status>>,
}

impl Receiver {
    /// The next response; `None` when the call has succeeded. May be dropped and called again.
    ///
    /// # Errors
    /// The server's status, or what became of the connection; the same again when called again.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| None);
        }
        let next = self.next().await;
        match next {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) => {
                self.ended = Some(Ok(()));
                Ok(None)
            }
            Err(status) => {
                self.ended = Some(Err(status.clone()));
                Err(status)
            }
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        if !self.headed {
            let head = self.response.final_head().await?;
            self.headed = true;
            check_head(head.status, &head.fields)?;
        }
        let Self { response, reader, .. } = self;
        match poll_fn(|cx| reader.poll_message(cx, &mut response.body)).await? {
            Next::Message(message) => Ok(Some(message)),
            Next::End(trailers) => match trailers.as_ref().and_then(Status::read) {
                Some(ended) => ended.map(|()| None),
                None => Err(Status::new(Code::Unknown, "the response ended without a status")),
            },
        }
    }
}

/// A head may already be the end: a status without a body.
fn check_head(status: u16, fields: &Fields) -> Result<(), Status> {
    if let Some(Err(ended)) = Status::read(fields) {
        return Err(ended);
    }
    if status != 200 {
        return Err(Status::from_http(status));
    }
    let kind = fields.get_str("content-type").unwrap_or_default();
    if !kind.starts_with("application/grpc") {
        return Err(Status::new(Code::Unknown, format!("the response is {kind:.64}, not application/grpc")));
    }
    Ok(())
}
