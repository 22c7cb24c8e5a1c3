//! Connections to servers: taken from the pool, opened, given back.
//!
//! Owns no policy: which server, how often and for how long is the matter of `forward`. A worker keeps its own idle connections, so
//! nothing here is contended.

use super::stream::{Counted, Up};
use crate::{
    backend::{Backend, Security},
    endpoint::{Endpoint, Shareable},
    worker::{Shared, Worker},
};
use fairlead_core::{config::dynamic::UpstreamScheme, outlier::Outcome, race};
use fairlead_net::{
    dns, http,
    http::{Error, Fields, Frame, RequestHead, ResponseHead, Sink, Source},
    http1, http2, task, tcp,
    time::{self, Deadline, Duration, Instant},
    tls,
};
use std::{
    fmt,
    future::{Future as _, pending, poll_fn},
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

/// One exchange's way to a server.
pub enum Connection {
    H1(Box<Kept>),
    H2(Box<http2::client::ClientStream>),
}

/// An HTTP/1 connection, which carries one exchange after the other.
pub struct Kept {
    pub connection: http1::ClientConn<Up>,
    /// When an exchange without an answer is looked at. Here, so that there is one timer for all of them.
    look: Deadline,
}

/// A connection that is being opened.
pub type Opening = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;

/// Why no connection came about. Nothing of a request has been sent.
#[derive(Debug)]
pub struct ConnectError {
    pub kind: ConnectErrorKind,
    pub detail: String,
}

/// What kind of failure it was, for the retry rule and the [`Reason`](fairlead_core::reason::Reason).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// Refused, unreachable, or the name has no address.
    Failed,
    /// No answer in time.
    TimedOut,
    /// The TLS handshake failed.
    Tls,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// An idle connection of this worker that is still alive, newest first.
pub fn checkout(worker: &Worker, backend: &Backend, endpoint: &Endpoint, now: Instant) -> Option<Connection> {
    let mut idle = endpoint.idle(worker.id).lock();
    if let Some(shareable) = &mut idle.h2 {
        let client = &shareable.client;
        // One that carries all it may goes on with that; the next request opens another.
        if !client.is_closed() && client.active() < client.max_streams() {
            shareable.since = now;
            worker.reuses.fetch_add(1, Ordering::Relaxed);
            return Some(Connection::H2(Box::new(client.open())));
        }
        idle.h2 = None;
    }
    while let Some((mut kept, since)) = idle.h1.pop() {
        let fresh = backend.transport.idle_timeout.is_zero() || now.duration_since(since) < backend.transport.idle_timeout;
        #[cfg(planted = "idle_unchecked")]
        if fairlead_net::sim::is_planted("idle_unchecked") {
            return Some(Connection::H1(kept));
        }
        if fresh && kept.connection.poll_idle(&mut Context::from_waker(std::task::Waker::noop())).is_pending() {
            worker.reuses.fetch_add(1, Ordering::Relaxed);
            return Some(Connection::H1(kept));
        }
    }
    None
}

/// A connection that is being opened for bytes as they come.
pub type OpeningPlain = Pin<Box<dyn Future<Output = Result<Up, ConnectError>> + Send>>;

/// Begins to open a connection for bytes as they come, within `limit`.
pub fn begin_plain(
    worker: &Arc<Worker>,
    backend: &Arc<Backend>,
    endpoint: &Arc<Endpoint>,
    limit: Option<Duration>,
) -> OpeningPlain {
    let (worker, backend, endpoint) = (worker.clone(), backend.clone(), endpoint.clone());
    Box::pin(async move {
        within(limit, &backend, &endpoint, async {
            let stream = dial(&endpoint, endpoint.url.port).await.map_err(|e| dial_failed(&endpoint, &e))?;
            Ok(Up::Plain(stream, Counted::new(&worker.shared.telemetry)))
        })
        .await
    })
}

/// Begins to open a connection, within `limit`. Lives on its own: it may be left to end by itself ([`finish_alone`]).
pub fn begin(worker: &Arc<Worker>, backend: &Arc<Backend>, endpoint: &Arc<Endpoint>, limit: Option<Duration>) -> Opening {
    let (worker, backend, endpoint) = (worker.clone(), backend.clone(), endpoint.clone());
    Box::pin(async move { within(limit, &backend, &endpoint, open(&worker, &backend, &endpoint)).await })
}

/// Bounds the time, and notes what a connection usually takes.
async fn within<T>(
    limit: Option<Duration>,
    backend: &Backend,
    endpoint: &Endpoint,
    opening: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let begun = time::now();
    let opened = match limit {
        None => opening.await,
        Some(limit) => time::timeout(limit, opening).await.unwrap_or_else(|_| {
            let detail = format!("{}: no connection within {limit:?}", endpoint.url.text);
            Err(ConnectError { kind: ConnectErrorKind::TimedOut, detail })
        }),
    };
    if opened.is_ok() {
        endpoint.answered();
        backend.connect_times.lock().observe(time::now().duration_since(begun));
    }
    opened
}

fn dial_failed(endpoint: &Endpoint, e: &io::Error) -> ConnectError {
    let kind = match e.kind() {
        io::ErrorKind::TimedOut => ConnectErrorKind::TimedOut,
        _ => ConnectErrorKind::Failed,
    };
    ConnectError { kind, detail: format!("{}: {e}", endpoint.url.text) }
}

/// Lets a connection that nobody waits for any more come about: it is kept for a later request, and its failure is noted.
pub fn finish_alone(worker: &Arc<Worker>, backend: &Arc<Backend>, endpoint: &Arc<Endpoint>, opening: Opening) {
    let (worker, backend, endpoint) = (worker.clone(), backend.clone(), endpoint.clone());
    task::spawn(async move {
        match opening.await {
            Ok(connection) => connection.recycle(&worker, &backend, &endpoint, time::now()),
            Err(e) => {
                tracing::debug!(server = &*endpoint.url.text, error = %e, "a connection that was raced by another came to nothing");
                backend.observe(&endpoint, worker.shared.since_epoch(time::now()), Outcome::Failure);
            }
        }
    });
}

/// Opens a connection for a health check, which may go to another port and scheme than requests.
///
/// # Errors
/// No address, no answer, a refusal, or a failed handshake.
pub async fn connect_for_probe(
    shared: &Shared,
    backend: &Backend,
    endpoint: &Endpoint,
    scheme: UpstreamScheme,
    port: u16,
) -> Result<Connection, ConnectError> {
    match handshake(shared, backend, endpoint, scheme, port).await? {
        Opened::H1(stream) => Ok(h1(shared, stream)),
        Opened::H2(client, driver) => {
            let exchange = client.open();
            drive(driver);
            Ok(Connection::H2(Box::new(exchange)))
        }
    }
}

async fn open(worker: &Worker, backend: &Backend, endpoint: &Endpoint) -> Result<Connection, ConnectError> {
    match handshake(&worker.shared, backend, endpoint, endpoint.url.scheme, endpoint.url.port).await? {
        Opened::H1(stream) => Ok(h1(&worker.shared, stream)),
        Opened::H2(client, driver) => {
            let exchange = client.open();
            if endpoint.keeps_connections() {
                endpoint.idle(worker.id).lock().h2 = Some(Box::new(Shareable { client, since: time::now() }));
            }
            drive(driver);
            Ok(Connection::H2(Box::new(exchange)))
        }
    }
}

enum Opened {
    H1(Up),
    H2(http2::client::Client, Box<http2::client::Driver<Up>>),
}

fn h1(shared: &Shared, stream: Up) -> Connection {
    let limits = http1::Limits {
        head_bytes: shared.limits.response_header_bytes,
        informational: shared.limits.interim_responses,
        ..http1::Limits::default()
    };
    Connection::H1(Box::new(Kept { connection: http1::ClientConn::new(stream, limits), look: Deadline::new() }))
}

async fn handshake(
    shared: &Shared,
    backend: &Backend,
    endpoint: &Endpoint,
    scheme: UpstreamScheme,
    port: u16,
) -> Result<Opened, ConnectError> {
    let url = &endpoint.url;
    let failed = |kind, e: &dyn fmt::Display| ConnectError { kind, detail: format!("{}: {e}", url.text) };
    let stream = dial(endpoint, port).await.map_err(|e| dial_failed(endpoint, &e))?;
    let counted = Counted::new(&shared.telemetry);
    let (stream, h2) = match (scheme, &backend.security) {
        (UpstreamScheme::Http, _) => (Up::Plain(stream, counted), false),
        (UpstreamScheme::H2c, _) => (Up::Plain(stream, counted), true),
        (UpstreamScheme::Https, Security::Tls(config)) => {
            let connected = tls::connect(stream, config, &url.host).await.map_err(|e| failed(ConnectErrorKind::Tls, &e))?;
            let h2 = connected.alpn.as_deref() == Some(&b"h2"[..]);
            (Up::Tls(Box::new(connected.stream), counted), h2)
        }
        (UpstreamScheme::Https, Security::Broken(why)) => return Err(failed(ConnectErrorKind::Tls, why)),
        (UpstreamScheme::Tcp, _) => {
            return Err(failed(ConnectErrorKind::Failed, &"it is a server of connections, not of requests"));
        }
    };
    if !h2 {
        return Ok(Opened::H1(stream));
    }
    let defaults = http2::client::Settings::default();
    let settings = http2::client::Settings {
        secure: scheme == UpstreamScheme::Https,
        // HTTP/2 counts 32 bytes more for each field.
        max_header_list: u32::try_from(shared.limits.response_header_bytes + 32 * defaults.max_fields).unwrap_or(u32::MAX),
        ..defaults
    };
    let (client, driver) = http2::client::handshake(stream, &settings).await.map_err(|e| failed(ConnectErrorKind::Failed, &e))?;
    Ok(Opened::H2(client, Box::new(driver)))
}

/// Moves a connection's frames until it ends, and asks a silent server whether it still lives.
fn drive(mut driver: Box<http2::client::Driver<Up>>) {
    task::spawn(async move {
        let pings = driver.keep_alive();
        let mut pings = pin!(async {
            match pings {
                Some(pings) => pings.run(PING_AFTER, PONG_WITHIN, time::sleep).await,
                None => pending().await,
            }
        });
        let ended = poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => pings.as_mut().poll(cx).map(Err),
        });
        if let Err(e) = ended.await {
            tracing::debug!(error = %e, "an HTTP/2 connection to a server ended");
        }
    });
}

/// Silence after which a server's HTTP/2 connection is questioned, and how long the answer may take.
const PING_AFTER: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// How long one of several addresses may take to accept.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(500);
/// How long bytes may stay unacknowledged before a server's connection is given up: without a limit of ours, a server that vanished
/// from the network would hold a request for a quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Tries the server's addresses in turn, each time beginning with another one.
async fn dial(endpoint: &Endpoint, port: u16) -> io::Result<tcp::Stream> {
    let addresses = resolve(endpoint).await?;
    let first = endpoint.next_address();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for i in 0..addresses.len() {
        let ip = addresses[(first + i) % addresses.len()];
        let connecting = tcp::Stream::connect(SocketAddr::new(ip, port));
        // One address that swallows packets must not take the time of those behind it.
        let connected = if i + 1 < addresses.len() {
            time::timeout(NEXT_ADDRESS_AFTER, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            connecting.await
        };
        match connected {
            Ok(stream) => {
                if !planted!("dead_unprobed") {
                    stream.set_keepalive(Some(PING_AFTER))?;
                    stream.set_user_timeout(Some(UNACKNOWLEDGED))?;
                }
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    if !planted!("dns_cached_forever") {
        endpoint.forget_addresses();
    }
    Err(last)
}

/// How long an answer of the resolver is believed. The system's resolver tells no time-to-live.
const RESOLUTION: Duration = Duration::from_secs(2);

async fn resolve(endpoint: &Endpoint) -> io::Result<Arc<[IpAddr]>> {
    let believed = if planted!("dns_cached_forever") { Duration::MAX } else { RESOLUTION };
    if let Some(known) = endpoint.addresses(time::now(), believed) {
        return Ok(known);
    }
    match dns::resolve(&endpoint.url.host).await {
        Ok(found) if !found.is_empty() => Ok(endpoint.set_addresses(time::now(), found)),
        // A resolver that is down, or says for a moment that nothing exists, does not take a server away.
        outcome => endpoint.last_addresses().ok_or_else(|| match outcome {
            Err(e) => e,
            Ok(_) => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        }),
    }
}

impl Connection {
    /// Gives the connection back to its worker's pool, if the exchange left it in order and its server is still wanted.
    pub fn recycle(self, worker: &Worker, backend: &Backend, endpoint: &Endpoint, now: Instant) {
        let Self::H1(kept) = self else { return };
        if !kept.connection.is_reusable() || !endpoint.keeps_connections() {
            return;
        }
        endpoint.idle(worker.id).lock().keep(kept, now, backend.transport.max_idle_per_server);
    }

    /// A slip that the simulator must catch: the response to come is taken for nobody's.
    #[cfg(planted = "responses_swapped")]
    pub fn forget(&mut self) {
        if let Self::H1(kept) = self {
            kept.connection.forget();
        }
    }

    /// Ready once `at` has come. HTTP/2 has questions of its own for a silent server.
    pub fn poll_look(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let Self::H1(kept) = self else { return Poll::Pending };
        kept.look.set(at);
        kept.look.poll_expired(cx)
    }

    /// What the network knows of the bytes that were sent.
    pub fn delivery(&self) -> Option<race::Delivery> {
        let Self::H1(kept) = self else { return None };
        let tcp::Delivery { unacknowledged, since_sent, round_trip } = kept.connection.get_ref().delivery().ok()?;
        Some(race::Delivery { unacknowledged, since_sent, round_trip })
    }

    /// Takes an HTTP/1 connection apart after a 101.
    pub fn into_tunnel(self) -> Option<(Up, bytes::BytesMut)> {
        match self {
            Self::H1(kept) => Some(kept.connection.into_parts()),
            Self::H2(_) => None,
        }
    }
}

macro_rules! each {
    ($self:ident, $c:ident => $call:expr) => {
        match $self {
            Connection::H1(kept) => {
                let $c = &mut kept.connection;
                $call
            }
            Connection::H2($c) => $call,
        }
    };
}

impl Source for Connection {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<'_>, Error>> {
        each!(self, c => c.poll_frame(cx))
    }

    fn consume(&mut self, n: usize) {
        each!(self, c => c.consume(n));
    }
}

impl Sink for Connection {
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        each!(self, c => c.poll_send(cx, data))
    }

    fn send_end(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        each!(self, c => c.send_end(trailers))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        each!(self, c => c.poll_flush(cx))
    }
}

impl http::Upstream for Connection {
    fn send_head(&mut self, head: &RequestHead) -> Result<(), Error> {
        each!(self, c => c.send_head(head))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, head: &mut ResponseHead) -> Poll<Result<(), Error>> {
        each!(self, c => c.poll_head(cx, head))
    }

    fn response_started(&self) -> bool {
        match self {
            Self::H1(kept) => kept.connection.response_started(),
            Self::H2(stream) => stream.response_started(),
        }
    }

    fn abort(&mut self) {
        each!(self, c => c.abort());
    }
}
