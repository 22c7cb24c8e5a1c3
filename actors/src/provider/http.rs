//! A small HTTP/1.1 client for the APIs that providers read: the Docker Engine's, Rancher's metadata.
//!
//! Owns one connection, kept and used again, and the bounds on what a server may make us hold or wait for. The only method
//! it can send is GET: whatever stands between (a read-only socket proxy) need not allow more.
//!
//! Deliberately absent: what a status means, retries (but for a kept connection that died before it answered), redirects,
//! and the choice among several endpoints.

mod connect;
mod endpoint;

pub(in crate::provider) use endpoint::host_port;
pub use endpoint::{Endpoint, Notation};

use bytes::{Bytes, BytesMut};
use connect::{Connection, connect};
use fairlead_core::config::static_::{ClientTls, Secret};
use fairlead_net::{
    http::{self, Fields, Frame, Kind, RequestHead, ResponseHead, Sink, Source, Upstream},
    time::{Duration, timeout},
};
use std::{future::poll_fn, task::Poll};

/// Bytes of a response head.
pub(crate) const MAX_HEAD: usize = 64 << 10;

/// Bytes that are read of a body that says why a request was refused.
const MAX_REFUSAL: usize = 64 << 10;

/// How a client connects, and what it bears.
#[derive(Clone, Debug)]
pub struct Options {
    /// Used where the endpoint wants TLS; `None`: the system's authorities.
    pub tls: Option<ClientTls>,
    /// What messages about TLS name: `--providers.swarm.tls`.
    pub tls_option: &'static str,
    /// Sent with every request, where a user is named (RFC 7617).
    pub credentials: Option<(String, Secret)>,
    /// Resolving, connecting and the TLS handshake, per address.
    pub connect: Duration,
    /// From the request to the end of the response head.
    pub head: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// From the head to the end of a body.
    pub total: Duration,
    /// Bytes of a body; more is an error.
    pub max_body: usize,
}

impl Options {
    /// 3 s to connect, 5 s to the head, 5 s between pieces, 60 s for a body of at most 256 MiB.
    pub fn new(tls_option: &'static str) -> Self {
        Self {
            tls: None,
            tls_option,
            credentials: None,
            connect: Duration::from_secs(3),
            head: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            total: Duration::from_secs(60),
            max_body: 256 << 20,
        }
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub fields: Fields,
    pub body: Bytes,
    /// [`Client::get_unless`]: the body is byte for byte the one that was known, and shares its memory.
    pub is_known: bool,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub fault: Fault,
    /// For the operator; does not name the endpoint.
    pub message: String,
}

/// See [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection: no socket, no address, no trust.
    Unreachable,
    /// A time-out.
    Late,
    /// The connection ended before the response did, or what came is no HTTP.
    Broken,
    /// More than the limits allow.
    TooLarge,
}

/// See the module.
pub struct Client {
    endpoint: Endpoint,
    options: Options,
    authorization: Option<String>,
    kept: Option<Connection>,
    /// Connections that were opened for requests.
    connections: u64,
}

impl Client {
    /// A client that is not connected yet.
    pub fn new(endpoint: Endpoint, options: Options) -> Self {
        let authorization = options
            .credentials
            .as_ref()
            .map(|(user, password)| format!("Basic {}", base64(format!("{user}:{}", password.reveal()).as_bytes())));
        Self { endpoint, options, authorization, kept: None, connections: 0 }
    }

    /// A client of the same server with a connection of its own.
    pub fn fork(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            options: self.options.clone(),
            authorization: self.authorization.clone(),
            kept: None,
            connections: 0,
        }
    }

    /// Counts connections: who answers behind one address may change with each.
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The response to GET `target`, a path with its query, already escaped. If dropped, the connection is given up.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A status of any kind is no error.
    pub async fn get(&mut self, target: &str) -> Result<Response, Error> {
        self.get_within(target, self.options.head).await
    }

    /// The same, where the server may take up to `head` to begin its answer: a long poll.
    ///
    /// # Errors
    ///
    /// See [`Client::get`].
    pub async fn get_within(&mut self, target: &str, head: Duration) -> Result<Response, Error> {
        self.exchange(target, head, &Bytes::new()).await
    }

    /// The same, compared with what is `known` while it comes in: an answer that did not change costs no memory, and says so.
    ///
    /// # Errors
    ///
    /// See [`Client::get`].
    pub async fn get_unless(&mut self, target: &str, known: &Bytes) -> Result<Response, Error> {
        self.exchange(target, self.options.head, known).await
    }

    /// The response to GET `target` with a body that goes on, over a connection of its own.
    ///
    /// # Errors
    ///
    /// See [`Client::get`].
    pub async fn stream(&self, target: &str) -> Result<Stream, Error> {
        let mut connection = connect(&self.endpoint, &self.options).await?;
        let head = self.ask(&mut connection, target, self.options.head).await?;
        Ok(Stream { status: head.status, fields: head.fields, idle: self.options.idle, connection })
    }

    async fn exchange(&mut self, target: &str, wait: Duration, known: &Bytes) -> Result<Response, Error> {
        if let Some(mut connection) = self.kept.take()
            && is_alive(&mut connection).await
        {
            match self.ask(&mut connection, target, wait).await {
                // It was closed while the request was on its way. Asking twice does no harm.
                Err(e) if e.fault == Fault::Broken && !connection.response_started() => {}
                asked => return self.receive(connection, asked?, known).await,
            }
        }
        self.connections += 1;
        let mut connection = connect(&self.endpoint, &self.options).await?;
        let head = self.ask(&mut connection, target, wait).await?;
        self.receive(connection, head, known).await
    }

    async fn ask(&self, connection: &mut Connection, target: &str, wait: Duration) -> Result<ResponseHead, Error> {
        let mut request =
            RequestHead { target: target.to_owned(), authority: self.endpoint.authority(), ..RequestHead::default() };
        if planted!("manager_written") && target.contains("/networks") {
            request.method = fairlead_net::http::Method::Head;
        }
        request.fields.append("Accept", b"application/json");
        request.fields.append("User-Agent", b"fairlead");
        if let Some(authorization) = &self.authorization {
            request.fields.append("Authorization", authorization.as_bytes());
        }
        let answered = async {
            connection.send_head(&request)?;
            connection.send_end(None)?;
            let mut head = ResponseHead::default();
            loop {
                poll_fn(|cx| connection.poll_head(cx, &mut head)).await?;
                if head.status >= 200 {
                    return Ok(head);
                }
            }
        };
        timeout(wait, answered).await.map_err(|_| late(format!("no answer within {wait:?}")))?.map_err(|e| broken(&e))
    }

    async fn receive(&mut self, mut connection: Connection, head: ResponseHead, known: &Bytes) -> Result<Response, Error> {
        let refused = head.status != 200;
        let most = if refused { MAX_REFUSAL } else { self.options.max_body };
        let mut body = Gathered { known: if refused { Bytes::new() } else { known.clone() }, same: 0, own: None };
        let gathered = async {
            loop {
                let piece = take(&mut connection, |piece| body.push(piece));
                match timeout(self.options.idle, piece).await.map_err(|_| stalled())?? {
                    false => return Ok(()),
                    true if body.len() <= most => {}
                    // Of a refusal the beginning says enough.
                    true if refused => return Ok(()),
                    true => {
                        return Err(Error { fault: Fault::TooLarge, message: format!("the answer has more than {most} bytes") });
                    }
                }
            }
        };
        timeout(self.options.total, gathered).await.unwrap_or_else(|_| Err(stalled()))?;
        self.kept = Some(connection).filter(Connection::is_reusable);
        let (body, is_known) = body.finish();
        Ok(Response { status: head.status, fields: head.fields, body, is_known })
    }
}

/// A response whose body goes on.
pub struct Stream {
    pub status: u16,
    pub fields: Fields,
    idle: Duration,
    connection: Connection,
}

impl Stream {
    /// The next piece, or `None` at the end. Waits for as long as it takes; loses nothing if dropped.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut taken = None;
        let more = take(&mut self.connection, |piece| taken = Some(Bytes::copy_from_slice(piece))).await?;
        Ok(taken.filter(|_| more))
    }

    /// What the server says of a refusal: the beginning of a body that ends soon.
    pub async fn refusal(&mut self) -> Bytes {
        let mut body = BytesMut::new();
        while body.len() < MAX_REFUSAL {
            let piece = take(&mut self.connection, |piece| body.extend_from_slice(piece));
            if !matches!(timeout(self.idle, piece).await, Ok(Ok(true))) {
                break;
            }
        }
        body.freeze()
    }
}

/// A body as it comes in, beside the one that is known: copied from where the two part.
struct Gathered {
    known: Bytes,
    /// Bytes that came and were those of `known`.
    same: usize,
    own: Option<BytesMut>,
}

impl Gathered {
    fn len(&self) -> usize {
        self.own.as_ref().map_or(self.same, BytesMut::len)
    }

    fn push(&mut self, piece: &[u8]) {
        if self.own.is_none() && self.known[self.same..].starts_with(piece) {
            self.same += piece.len();
            return;
        }
        let (known, same) = (&self.known, self.same);
        let own = self.own.get_or_insert_with(|| {
            // It will hardly be much smaller than the last.
            let mut own = BytesMut::with_capacity(known.len().max(same + piece.len()));
            own.extend_from_slice(&known[..same]);
            own
        });
        own.extend_from_slice(piece);
    }

    fn finish(self) -> (Bytes, bool) {
        match self.own {
            Some(own) => (own.freeze(), false),
            None if self.same == self.known.len() => {
                let is_known = self.same > 0;
                (self.known, is_known)
            }
            None => (self.known.slice(..self.same), false),
        }
    }
}

/// Shows `f` the next piece of a body; false at its end.
async fn take(connection: &mut Connection, mut f: impl FnMut(&[u8])) -> Result<bool, Error> {
    poll_fn(|cx| {
        let n = match connection.poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(e)) => return Poll::Ready(Err(broken(&e))),
            Poll::Ready(Ok(Frame::End(_))) => return Poll::Ready(Ok(false)),
            Poll::Ready(Ok(Frame::Data(piece))) => {
                f(piece);
                piece.len()
            }
        };
        connection.consume(n);
        Poll::Ready(Ok(true))
    })
    .await
}

/// Whether a kept connection can carry another request as far as can be seen.
async fn is_alive(connection: &mut Connection) -> bool {
    poll_fn(|cx| Poll::Ready(connection.poll_idle(cx).is_pending())).await
}

fn stalled() -> Error {
    late("the answer stopped in its middle".to_owned())
}

fn late(message: String) -> Error {
    Error { fault: Fault::Late, message }
}

fn broken(error: &http::Error) -> Error {
    let fault = if error.kind == Kind::TimedOut { Fault::Late } else { Fault::Broken };
    Error { fault, message: error.detail.clone() }
}

/// RFC 4648 section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().chain([0, 0].iter()).take(3).fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests;
