//! The client's end of a connection: any number of exchanges on one stream of bytes.
//!
//! A [`Client`] is a handle that may be cloned; the [`Driver`] is the connection, and has to be polled for anything to move.

use super::KeepAlive;
use super::error::{fault, misuse, translate};
use super::fields;
use super::receive::ReceiveHalf;
use super::send::{Chunk, SendHalf};
use crate::http::{
    Error, Fields, Frame, Framing, Kind, Method, RequestHead, ResponseHead, Side, Sink, Source, Upstream, Version,
};
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// What one connection may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scheme of requests is https.
    pub secure: bool,
    /// Streams to open before the server has said how many it takes.
    pub initial_streams: usize,
    /// Bytes of one field section, 32 more counted per field.
    pub max_header_list: u32,
    /// Fields in one section.
    pub max_fields: usize,
    /// Unread bytes per stream.
    pub stream_window: u32,
    /// Unread bytes per connection.
    pub connection_window: u32,
    /// Unsent bytes per stream.
    pub send_buffer: usize,
    /// Streams that we had to reset for the server's errors before the connection ends.
    pub max_local_resets: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            secure: false,
            initial_streams: 100,
            max_header_list: 64 * 1024,
            max_fields: 512,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            send_buffer: 64 * 1024,
            max_local_resets: 64,
        }
    }
}

/// Sends the preface and the settings; the server's answer is not waited for.
///
/// # Errors
/// The transport failed.
pub async fn handshake<S>(io: S, settings: &Settings) -> Result<(Client, Driver<S>), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (send, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_max_send_streams(settings.initial_streams)
        .max_header_list_size(settings.max_header_list)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_send_buffer_size(settings.send_buffer)
        .max_local_error_reset_streams(Some(settings.max_local_resets))
        .handshake(io)
        .await
        .map_err(|e| translate(Side::Upstream, &e))?;
    let shared = Arc::<Shared>::default();
    let client = Client { send, shared: shared.clone(), secure: settings.secure, max_fields: settings.max_fields };
    Ok((client, Driver { connection, closed: CloseMark(shared) }))
}

/// A handle on a connection.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Chunk>,
    shared: Arc<Shared>,
    secure: bool,
    max_fields: usize,
}

impl Client {
    /// Ready when a request can be sent, or never again.
    ///
    /// # Errors
    /// The server said GOAWAY, or the connection failed.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Poll::Ready(Err(Error::new(Side::Upstream, Kind::Closed, "the connection is closed")));
        }
        self.send.poll_ready(cx).map_err(|e| translate(Side::Upstream, &e))
    }

    /// Whether no new exchange can begin: the connection ended, or the server said GOAWAY.
    pub fn is_closed(&self) -> bool {
        let mut fresh = self.clone();
        matches!(fresh.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }

    /// Exchanges that were begun and not dropped yet.
    pub fn active(&self) -> usize {
        self.shared.active.load(Ordering::Acquire)
    }

    /// Streams that the server allows at once. A request beyond it waits here, unsent.
    pub fn max_streams(&self) -> usize {
        self.send.current_max_send_streams()
    }

    /// A new exchange; nothing is sent before its head.
    pub fn open(&self) -> ClientStream {
        ClientStream { send: SendHalf::new(Side::Upstream), receive: Response::new(self.max_fields), client: self.clone() }
    }
}

/// The connection as a future: it reads and writes while polled, and is ready when the connection has ended. Dropping it closes.
#[must_use = "nothing moves unless the driver is polled"]
pub struct Driver<S: AsyncRead + AsyncWrite + Unpin> {
    connection: h2::client::Connection<S, Chunk>,
    closed: CloseMark,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The pings of this connection; `None` when they were taken before.
    pub fn keep_alive(&mut self) -> Option<KeepAlive> {
        self.connection.ping_pong().map(|ping| KeepAlive::new(ping, Side::Upstream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.connection).poll(cx));
        self.closed.mark();
        Poll::Ready(ended.map_err(|e| translate(Side::Upstream, &e)))
    }
}

/// What the handles know of their connection.
#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    active: AtomicUsize,
}

/// One exchange that counts as active.
struct Active(Arc<Shared>);

impl Active {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.active.fetch_add(1, Ordering::AcqRel);
        Self(shared.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Tells the handles that the connection is gone, however it went.
struct CloseMark(Arc<Shared>);

impl CloseMark {
    fn mark(&self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

impl Drop for CloseMark {
    fn drop(&mut self) {
        self.mark();
    }
}

/// One exchange with a server. Dropped before both bodies ended, it resets the stream with CANCEL.
pub struct ClientStream {
    send: SendHalf,
    receive: Response,
    client: Client,
}

impl ClientStream {
    /// The two directions, for callers that drive them from different places. To be called after `send_head`.
    pub(crate) fn split(self) -> (SendHalf, Response) {
        (self.send, self.receive)
    }
}

impl Source for ClientStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        self.receive.body.poll_frame(cx)
    }

    fn consume(&mut self, n: usize) {
        self.receive.body.consume(n);
    }
}

impl Sink for ClientStream {
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        self.send.poll_send(cx, data)
    }

    fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        self.send.send_end(trailers)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.send.poll_flush(cx)
    }
}

impl Upstream for ClientStream {
    fn send_head(&mut self, head: &RequestHead) -> Result<(), Error> {
        if self.send.begun() {
            return Err(misuse("a second request head on one stream"));
        }
        let request = fields::write_request(head, self.client.secure)?;
        let end = head.framing.is_empty();
        let (response, stream) = self.client.send.send_request(request, end).map_err(|e| translate(Side::Upstream, &e))?;
        self.send.begin(stream, head.framing, end);
        self.receive.awaiting = Some(response);
        self.receive.active = Some(Active::new(&self.client.shared));
        self.receive.bodiless = head.method == Method::Head;
        Ok(())
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>> {
        self.receive.poll_head(cx, head)
    }

    fn response_started(&self) -> bool {
        self.receive.started
    }

    fn abort(&mut self) {
        self.send.reset(Reason::CANCEL);
    }
}

/// The receiving direction: heads first, then the body.
pub(crate) struct Response {
    awaiting: Option<ResponseFuture>,
    pub body: ReceiveHalf,
    bodiless: bool,
    started: bool,
    max_fields: usize,
    /// Some from the request head on.
    active: Option<Active>,
}

impl Response {
    fn new(max_fields: usize) -> Self {
        let body = ReceiveHalf::awaiting_head(Side::Upstream);
        Self { awaiting: None, body, bodiless: false, started: false, max_fields, active: None }
    }

    /// [`Upstream::poll_head`].
    pub fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>> {
        let Some(response) = &mut self.awaiting else {
            return Poll::Ready(Err(misuse("a response head was asked for before the request, or twice")));
        };
        if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            let (parts, ()) = interim.map_err(|e| translate(Side::Upstream, &e))?.into_parts();
            self.started = true;
            return Poll::Ready(read_response(&parts, Framing::None, self.max_fields, head));
        }
        let response = ready!(Pin::new(response).poll(cx)).map_err(|e| translate(Side::Upstream, &e))?;
        (self.awaiting, self.started) = (None, true);
        let (parts, body) = response.into_parts();
        self.body = ReceiveHalf::new(body, Side::Upstream);
        let bodiless = self.bodiless || matches!(parts.status.as_u16(), 204 | 304);
        let length = fields::content_length(&parts.headers).map_err(malformed)?;
        let framing = match (bodiless, self.body.ended(), length) {
            (true, ..) => Framing::None,
            (_, true, _) => Framing::Length(0),
            (_, _, Some(n)) => Framing::Length(n),
            _ => Framing::Chunked,
        };
        Poll::Ready(read_response(&parts, framing, self.max_fields, head))
    }

    /// The final head, past any interim ones.
    pub async fn final_head(&mut self) -> Result<ResponseHead, Error> {
        let mut head = ResponseHead::default();
        loop {
            poll_fn(|cx| self.poll_head(cx, &mut head)).await?;
            if head.status >= 200 {
                return Ok(head);
            }
        }
    }
}

fn read_response(parts: &http::response::Parts, framing: Framing, max: usize, head: &mut ResponseHead) -> Result<(), Error> {
    head.clear();
    if parts.headers.len() > max {
        return Err(malformed("too many response fields"));
    }
    head.status = parts.status.as_u16();
    (head.version, head.framing, head.keep_alive) = (Version::Http2, framing, true);
    fields::read(&parts.headers, &mut head.fields).map_err(malformed)
}

fn malformed(problem: &str) -> Error {
    Error::new(Side::Upstream, Kind::Malformed(fault(Side::Upstream)), problem)
}
