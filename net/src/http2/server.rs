//! The server's end of a connection: requests come out as streams, and nothing malformed gets past here.
//!
//! A client that resets what it asked for over and over (CVE-2023-44487), or makes us reset it (CVE-2025-8671), is told
//! ENHANCE_YOUR_CALM: `h2` counts the streams that were not accepted yet and the resets it makes itself, a ledger of our own counts the rest.

use super::KeepAlive;
use super::error::{misuse, reset, translate};
use super::fields::{self, Refusal};
use super::receive::ReceiveHalf;
use super::send::{Chunk, SendHalf};
use crate::http::{Downstream, Error, Fields, Frame, Framing, Method, RequestHead, ResponseHead, Side, Sink, Source};
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderValue, StatusCode, header};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// What one connection may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams open at once; more are refused.
    pub max_concurrent_streams: u32,
    /// Bytes of the table with which field sections are decoded.
    pub header_table: u32,
    /// Bytes of one field section, 32 more counted per field (RFC 9113 section 6.5.2). `h2` answers 431 beyond it.
    pub max_header_list: u32,
    /// Fields in one section, because single bytes can refer to large ones (CVE-2026-47774). Answered 431 beyond it.
    pub max_fields: usize,
    /// Unread bytes per stream.
    pub stream_window: u32,
    /// Unread bytes per connection.
    pub connection_window: u32,
    /// Unsent bytes per stream.
    pub send_buffer: usize,
    /// Streams that we had to reset for the client's errors before the connection ends.
    pub max_local_resets: usize,
    /// Streams that the client may reset before they were accepted.
    pub max_pending_resets: usize,
    /// Streams that the client may break off beyond as many as it let finish.
    pub max_broken_off: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 100,
            header_table: 4096,
            max_header_list: 16 * 1024,
            max_fields: 256,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            send_buffer: 64 * 1024,
            max_local_resets: 64,
            max_pending_resets: 20,
            max_broken_off: 100,
        }
    }
}

/// A connection. It reads and writes only while [`poll_accept`](Self::poll_accept) is polled.
pub struct Connection<S> {
    inner: h2::server::Connection<S, Chunk>,
    ledger: Arc<Ledger>,
    max_fields: usize,
    max_broken_off: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads the client's preface. The caller bounds the time.
    ///
    /// # Errors
    /// The peer closed, or does not speak HTTP/2.
    pub async fn handshake(io: S, settings: &Settings) -> Result<Self, Error> {
        let inner = h2::server::Builder::new()
            .max_concurrent_streams(settings.max_concurrent_streams)
            .header_table_size(settings.header_table)
            .max_header_list_size(settings.max_header_list)
            .initial_window_size(settings.stream_window)
            .initial_connection_window_size(settings.connection_window)
            .max_send_buffer_size(settings.send_buffer)
            .max_local_error_reset_streams(Some(settings.max_local_resets))
            .max_pending_accept_reset_streams(settings.max_pending_resets)
            .max_concurrent_reset_streams(settings.max_pending_resets)
            .handshake(io)
            .await
            .map_err(|e| translate(Side::Client, &e))?;
        let ledger = Arc::default();
        Ok(Self { inner, ledger, max_fields: settings.max_fields, max_broken_off: settings.max_broken_off })
    }

    /// The next request, its head read into an empty one. `None` once the connection is closed and everything written.
    ///
    /// # Errors
    /// The connection failed; its streams fail with it.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>, head: &mut RequestHead) -> Poll<Option<Result<ServerStream, Error>>> {
        loop {
            if self.ledger.excess() > i64::from(self.max_broken_off) {
                self.inner.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            let (request, respond) = match ready!(self.inner.poll_accept(cx)) {
                Some(Ok(accepted)) => accepted,
                Some(Err(e)) => return Poll::Ready(Some(Err(translate(Side::Client, &e)))),
                None => return Poll::Ready(None),
            };
            if let Some(stream) = self.admit(request, respond, head) {
                return Poll::Ready(Some(Ok(stream)));
            }
            head.clear();
        }
    }

    /// [`poll_accept`](Self::poll_accept) as a future; may be dropped and called again.
    pub async fn accept(&mut self) -> Option<Result<(RequestHead, ServerStream), Error>> {
        let mut head = RequestHead::default();
        let accepted = poll_fn(|cx| self.poll_accept(cx, &mut head)).await;
        accepted.map(|stream| stream.map(|stream| (head, stream)))
    }

    /// Says GOAWAY: streams that are open finish, and `poll_accept` ends with the last of them.
    pub fn graceful_shutdown(&mut self) {
        self.inner.graceful_shutdown();
    }

    /// Says GOAWAY with this reason and closes without waiting for any stream.
    pub fn abrupt_shutdown(&mut self, reason: Reason) {
        self.inner.abrupt_shutdown(reason);
    }

    /// Whether any stream is open.
    pub fn has_streams(&self) -> bool {
        self.inner.has_streams()
    }

    /// The pings of this connection; `None` when they were taken before.
    pub fn keep_alive(&mut self) -> Option<KeepAlive> {
        self.inner.ping_pong().map(|ping| KeepAlive::new(ping, Side::Client))
    }

    fn admit(
        &self,
        request: http::Request<h2::RecvStream>,
        mut respond: SendResponse<Chunk>,
        head: &mut RequestHead,
    ) -> Option<ServerStream> {
        let (parts, body) = request.into_parts();
        match fields::request(&parts, body.is_end_stream(), self.max_fields, head) {
            Ok(()) => Some(ServerStream {
                respond,
                receive: ReceiveHalf::new(body, Side::Client),
                send: SendHalf::new(Side::Client),
                bodiless: head.method == Method::Head,
                aborted: false,
                ledger: self.ledger.clone(),
            }),
            Err(Refusal::Malformed(problem)) => {
                tracing::debug!(problem, "a malformed request was reset");
                self.ledger.broken_off.fetch_add(1, Ordering::Relaxed);
                respond.send_reset(Reason::PROTOCOL_ERROR);
                None
            }
            Err(Refusal::TooMany) => {
                self.ledger.broken_off.fetch_add(1, Ordering::Relaxed);
                let mut response = http::Response::new(());
                *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                if let Err(e) = respond.send_response(response, true) {
                    tracing::debug!(error = %e, "a refusal could not be sent");
                }
                None
            }
        }
    }
}

/// One request whose head was read, and the response to it.
pub struct ServerStream {
    respond: SendResponse<Chunk>,
    receive: ReceiveHalf,
    send: SendHalf,
    /// The response has no body whatever its head says: the method was HEAD.
    bodiless: bool,
    aborted: bool,
    ledger: Arc<Ledger>,
}

impl ServerStream {
    /// The request's body, for callers that drive the directions from different places.
    pub(crate) fn take_receive(&mut self) -> ReceiveHalf {
        std::mem::replace(&mut self.receive, ReceiveHalf::awaiting_head(Side::Client))
    }

    /// The response's body.
    pub(crate) fn send_half(&mut self) -> &mut SendHalf {
        &mut self.send
    }

    /// Sends the head, or says why it could not.
    fn respond(&mut self, head: &ResponseHead) -> Result<(), Error> {
        let mut response = http::Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(head.status).map_err(|_| misuse("a status that is no number of three digits"))?;
        fields::write(&head.fields, response.headers_mut())?;
        let bodiless = self.bodiless || matches!(head.status, 204 | 304);
        if let Some(length) = declared_length(head, bodiless) {
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        let end = bodiless || head.framing.is_empty();
        let stream = self.respond.send_response(response, end).map_err(|e| translate(Side::Client, &e))?;
        self.send.begin(stream, head.framing, end);
        Ok(())
    }
}

/// What `content-length` says: the framing where there is a body, the length it would have had where there cannot be one.
fn declared_length(head: &ResponseHead, bodiless: bool) -> Option<HeaderValue> {
    match head.framing {
        _ if head.status == 204 => None,
        Framing::Length(0) if bodiless => would_be_length(head),
        Framing::Length(n) => Some(fields::number(n)),
        _ if bodiless => would_be_length(head),
        _ => None,
    }
}

fn would_be_length(head: &ResponseHead) -> Option<HeaderValue> {
    head.fields.get("content-length").and_then(fields::decimal).map(fields::number)
}

impl Source for ServerStream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        self.receive.poll_frame(cx)
    }

    fn consume(&mut self, n: usize) {
        self.receive.consume(n);
    }
}

impl Sink for ServerStream {
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

impl Downstream for ServerStream {
    fn send_informational(&mut self, head: &ResponseHead) {
        // 101 does not exist in HTTP/2 (section 8.6).
        if head.status == 101 {
            return;
        }
        let mut response = http::Response::new(());
        let sent = StatusCode::from_u16(head.status)
            .map_err(|_| misuse("a status that is no number of three digits"))
            .and_then(|status| {
                *response.status_mut() = status;
                fields::write(&head.fields, response.headers_mut())
            })
            .and_then(|()| self.respond.send_informational(response).map_err(|e| translate(Side::Client, &e)));
        if let Err(error) = sent {
            tracing::debug!(%error, "an interim response was not sent");
        }
    }

    fn send_head(&mut self, head: &ResponseHead) {
        if let Err(error) = self.respond(head) {
            tracing::debug!(%error, "a response head was not sent");
            self.respond.send_reset(Reason::INTERNAL_ERROR);
            self.send.fail(error);
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.send.begun() {
            return self.send.poll_reset(cx).map(|gone| gone.err().unwrap_or_else(|| reset(Side::Client, Reason::NO_ERROR)));
        }
        self.respond.poll_reset(cx).map(|gone| match gone {
            Ok(reason) => reset(Side::Client, reason),
            Err(e) => translate(Side::Client, &e),
        })
    }

    fn abort(&mut self) {
        self.aborted = true;
        self.respond.send_reset(Reason::INTERNAL_ERROR);
        self.send.reset(Reason::INTERNAL_ERROR);
    }
}

impl Drop for ServerStream {
    fn drop(&mut self) {
        let gone = self.poll_gone(&mut Context::from_waker(Waker::noop())).is_ready();
        let count = if gone && !self.aborted { &self.ledger.broken_off } else { &self.ledger.finished };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// How the requests of one connection ended.
#[derive(Default)]
struct Ledger {
    /// The client reset them, or sent them malformed.
    broken_off: AtomicU32,
    finished: AtomicU32,
}

impl Ledger {
    fn excess(&self) -> i64 {
        i64::from(self.broken_off.load(Ordering::Relaxed)) - i64::from(self.finished.load(Ordering::Relaxed))
    }
}
