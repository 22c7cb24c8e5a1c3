//! A decided request on its way: a server is picked, tried, and another one where that is right; then bytes stream both ways.
//!
//! Owns the order of things. What may be retried is `core::retry`'s decision, who is picked is `core::balance`'s; no body is
//! ever held whole.

use super::{
    connection::Client,
    exchange::{Facts, Open},
    stream::Up,
    upstream::{self, ConnectErrorKind, Connection},
};
use crate::{
    backend::Backend,
    endpoint::{Endpoint, InFlight},
    published::{Published, Service},
};
use fairlead_core::{
    balance::Sticky,
    http::hop,
    outlier::Outcome,
    pace::Pace,
    reason::Reason,
    response::LocalResponse,
    retry::{Attempt, Decision, Failure},
    snapshot::ServiceId,
};
use fairlead_net::{
    http::{Downstream, Error, Framing, Kind, Progress, RequestHead, ResponseHead, Side, Upstream as _, Waiting, pump},
    time::{self, Deadline, Duration, Instant},
};
use smallvec::SmallVec;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// How forwarding ended.
pub enum Forwarded {
    /// The server's response went to the client whole.
    Complete,
    /// The response was broken off, or the client left.
    Broken,
    /// No server's response came about; this is sent instead.
    Answer(LocalResponse),
    /// 101 went to the client.
    Tunnel(Tunnelled),
}

/// The server's side of an upgraded connection.
pub struct Tunnelled {
    pub up: Up,
    /// Bytes that came behind the 101.
    pub early: bytes::BytesMut,
    pub served: InFlight,
}

/// How long a server may take to accept a connection while another one could be asked instead.
const IMPATIENCE: Duration = Duration::from_millis(1000);
/// How long a client that expects `100 Continue` is left to the server before Fairlead says it.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// Sends the request to a server of `service`, as often as that is right.
pub async fn run<D: Downstream>(
    client: &Client,
    head: &mut RequestHead,
    response: &mut ResponseHead,
    down: &mut D,
    open: &mut Open,
    service: ServiceId,
) -> Forwarded {
    let published = open.published.clone();
    let Some((backend, mut bound)) = resolve(&published, service, head) else {
        return Forwarded::Answer(LocalResponse::of(Reason::NoServer));
    };
    open.facts.service = Some(backend.name.clone());
    let middleware = open.facts.router.and_then(|id| published.router(id).retry);
    let now = || client.worker.shared.since_epoch(time::now());
    backend.budget.lock().request(now());
    let mut tried: SmallVec<[usize; 8]> = SmallVec::new();
    let mut exchange = Exchange::new(client, &backend, head, response, down, open);
    let mut same = None;

    loop {
        let picked = same.or(bound.take()).or_else(|| backend.pick(&tried, client.peer.ip(), now()));
        let Some(index) = picked else {
            let reason = if backend.endpoints.is_empty() { Reason::NoServer } else { Reason::NoHealthyServer };
            return Forwarded::Answer(LocalResponse::of(reason));
        };
        let others = |tried: &[usize]| backend.endpoints.iter().enumerate().any(|(i, e)| !tried.contains(&i) && e.is_pickable());
        let alone = !others(&[&tried[..], &[index]].concat());
        let failed = match exchange.attempt(index, same.is_some(), alone).await {
            Ok(done) => return done,
            Err(failed) => failed,
        };
        exchange.open.facts.detail = failed.detail;
        if !tried.contains(&index) {
            tried.push(index);
        }
        let facts = Attempt {
            failure: failed.failure,
            idempotent: exchange.head.method.is_idempotent(),
            body_intact: exchange.head.framing.is_empty() || exchange.upload.bytes == 0,
            attempts: exchange.open.facts.attempts,
            others: others(&tried),
        };
        same = None;
        match backend.retry.decide(now(), &facts, middleware, &mut backend.budget.lock()) {
            Decision::Other { after } if after.is_zero() => {}
            Decision::Other { after } => time::sleep(after).await,
            Decision::Same => same = Some(index),
            Decision::GiveUp => return Forwarded::Answer(LocalResponse::of(failed.reason)),
        }
    }
}

/// Follows weighted services and failovers down to a set of servers; sticky cookies choose where they can.
fn resolve(published: &Published, service: ServiceId, head: &RequestHead) -> Option<(Arc<Backend>, Option<usize>)> {
    let mut id = service;
    // `resolve` of the configuration refuses cycles; the bound only keeps a defect from hanging a worker.
    for _ in 0..16 {
        match published.service(id) {
            Service::Balanced(backend) => {
                let bound = backend.sticky.as_ref().and_then(|s| s.find(head.fields.get_all("cookie"), &backend.servers));
                return Some((backend.clone(), bound.filter(|i| backend.endpoints[*i].serves_its_own())));
            }
            Service::Weighted(picker, children) => {
                let usable = |i: usize| published.is_usable(children[i]);
                id = children[picker.lock().pick(&usable)?];
            }
            Service::Failover(main, fallback) => id = if published.is_usable(*main) { *main } else { *fallback },
            Service::Internal(_) => return None,
        }
    }
    None
}

struct Failed {
    failure: Failure,
    reason: Reason,
    detail: String,
}

struct Exchange<'a, D> {
    client: &'a Client,
    backend: &'a Arc<Backend>,
    head: &'a mut RequestHead,
    response: &'a mut ResponseHead,
    down: &'a mut D,
    open: &'a mut Open,
    upload: Progress,
    uploaded: bool,
    deadline: Deadline,
    /// The target before a server's own path was put in front.
    target: Option<String>,
}

/// What ended the wait for a response head.
enum Wait {
    Head,
    Client(Error),
    ClientSlow,
    Upstream(Error),
    TimedOut,
}

/// What ended the stream of a response.
enum Ended {
    Complete,
    Client(Error),
    ClientSlow,
    Upstream(Error),
}

impl<'a, D: Downstream> Exchange<'a, D> {
    fn new(
        client: &'a Client,
        backend: &'a Arc<Backend>,
        head: &'a mut RequestHead,
        response: &'a mut ResponseHead,
        down: &'a mut D,
        open: &'a mut Open,
    ) -> Self {
        let (upload, deadline) = (Progress::default(), Deadline::new());
        Self { client, backend, head, response, down, open, upload, uploaded: false, deadline, target: None }
    }

    /// One server, once.
    async fn attempt(&mut self, index: usize, fresh: bool, alone: bool) -> Result<Forwarded, Failed> {
        let (worker, backend) = (&self.client.worker, self.backend);
        let served = backend.endpoints[index].enter();
        let endpoint = served.endpoint().clone();
        self.open.facts.attempts += 1;
        self.open.facts.endpoint = Some(endpoint.clone());

        let pooled = if fresh { None } else { upstream::checkout(worker, backend, &endpoint) };
        let reused = pooled.is_some();
        let mut up = match pooled {
            Some(up) => up,
            None => match self.connect(&endpoint, alone).await {
                Ok(up) => up,
                Err(Ok(gone)) => return Ok(self.client_gone(gone)),
                Err(Err(failed)) => {
                    self.observe(&endpoint, Outcome::ConnectFailed);
                    return Err(failed);
                }
            },
        };
        self.address(&endpoint);
        let span = self.open.trace.attempt(&mut self.head.fields);
        let outcome = match up.send_head(self.head) {
            Ok(()) => self.await_head(&mut up).await,
            Err(e) => Wait::Upstream(e),
        };
        let started = up.response_started();
        if !matches!(outcome, Wait::Head) {
            up.abort();
        }
        match outcome {
            Wait::Head => {}
            Wait::Client(gone) => {
                span.end(None);
                return Ok(self.client_gone(gone));
            }
            Wait::ClientSlow => {
                span.end(None);
                self.open.facts.detail = "the request body came too slowly".into();
                return Ok(Forwarded::Answer(LocalResponse::of(Reason::RequestTimeout)));
            }
            Wait::Upstream(e) => {
                span.end(None);
                self.observe(&endpoint, Outcome::Failed);
                return Err(Failed::upstream(e, reused, started));
            }
            Wait::TimedOut => {
                span.end(None);
                self.observe(&endpoint, Outcome::Failed);
                let detail = format!("{}: no response head in time", endpoint.url.text);
                return Err(Failed { failure: Failure::ResponseTimeout, reason: Reason::UpstreamTimeout, detail });
            }
        }
        span.end(Some(self.response.status));
        self.open.facts.upstream_status = self.response.status;
        self.open.facts.status = self.response.status;
        let outcome = if self.response.status >= 500 { Outcome::ServerError } else { Outcome::Success };
        self.observe(&endpoint, outcome);
        self.dress(index);
        Ok(self.deliver(up, served).await)
    }

    /// Opens a connection, unless the client leaves meanwhile.
    async fn connect(&mut self, endpoint: &Arc<Endpoint>, alone: bool) -> Result<Connection, Result<Error, Failed>> {
        let begun = time::now();
        let dial = self.backend.transport.dial_timeout;
        let limit = match (dial.is_zero(), alone) {
            (true, true) => None,
            (true, false) => Some(IMPATIENCE),
            (false, true) => Some(dial),
            (false, false) => Some(dial.min(IMPATIENCE)),
        };
        let mut opening = std::pin::pin!(upstream::connect(&self.client.worker, self.backend, endpoint, limit));
        let down = &mut *self.down;
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
                return Poll::Ready(opened.map_err(Err));
            }
            down.poll_gone(cx).map(|gone| Err(Ok(gone)))
        })
        .await;
        self.open.facts.phases.connect += time::now().duration_since(begun);
        outcome.map_err(|e| {
            e.map_err(|e| {
                let (failure, reason) = match e.kind {
                    ConnectErrorKind::Failed => (Failure::ConnectFailed, Reason::ConnectFailed),
                    ConnectErrorKind::TimedOut => (Failure::ConnectTimeout, Reason::ConnectTimeout),
                    ConnectErrorKind::Tls => (Failure::ConnectFailed, Reason::UpstreamTls),
                };
                Failed { failure, reason, detail: e.detail }
            })
        })
    }

    /// Writes what depends on the server into the head.
    fn address(&mut self, endpoint: &Endpoint) {
        if !self.backend.pass_host_header {
            self.head.fields.set("Host", endpoint.authority.as_bytes());
            self.head.authority.clear();
            self.head.authority.push_str(&endpoint.authority);
        }
        if !self.backend.preserve_path && self.target.is_none() {
            return;
        }
        let plain = self.target.get_or_insert_with(|| self.head.target.clone());
        self.head.target = format!("{}{plain}", endpoint.url.path.trim_end_matches('/'));
    }

    async fn await_head(&mut self, up: &mut Connection) -> Wait {
        let Self { client, backend, head, response, down, upload, uploaded, deadline, open, .. } = self;
        let shared = &client.worker.shared;
        let sent = time::now();
        let mut pace = Pace::new(client.entry.pace);
        let mut continue_at = head.expect_continue.then(|| sent + CONTINUE_AFTER);
        let mut head_due: Option<Instant> = None;
        let mut upload_error = None;
        let outcome = poll_fn(|cx| {
            loop {
                if !*uploaded {
                    match pump(cx, &mut **down, up, upload) {
                        Poll::Ready(Ok(())) => *uploaded = true,
                        Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Wait::Client(e)),
                        // The server may have answered and closed before it read everything: its answer counts.
                        Poll::Ready(Err(e)) => (*uploaded, upload_error) = (true, Some(e)),
                        Poll::Pending => {}
                    }
                }
                match up.poll_head(cx, response) {
                    Poll::Ready(Ok(())) if response.status < 200 && response.status != 101 => {
                        continue_at = None;
                        down.send_informational(response);
                        if let Poll::Ready(Err(e)) = down.poll_flush(cx) {
                            return Poll::Ready(Wait::Client(e));
                        }
                        continue;
                    }
                    Poll::Ready(Ok(())) => return Poll::Ready(Wait::Head),
                    Poll::Ready(Err(e)) => return Poll::Ready(Wait::Upstream(upload_error.take().unwrap_or(e))),
                    Poll::Pending => {}
                }
                if *uploaded && let Poll::Ready(gone) = down.poll_gone(cx) {
                    return Poll::Ready(Wait::Client(gone));
                }
                let due = if *uploaded {
                    let limit = backend.transport.response_header_timeout;
                    if head_due.is_none() && !limit.is_zero() {
                        head_due = Some(time::now() + limit);
                    }
                    head_due
                } else if upload.waiting == Waiting::Source {
                    let now = time::now();
                    let slow = pace.waiting(shared.since_epoch(now), upload.bytes).map(|d| shared.instant(d));
                    let whole = client.entry.read_timeout.map(|limit| open.started + limit);
                    [slow, whole, continue_at].into_iter().flatten().min()
                } else {
                    if pace.is_waiting() {
                        pace.moving(shared.since_epoch(time::now()));
                    }
                    None
                };
                match due {
                    None => deadline.clear(),
                    Some(due) => deadline.set(due),
                }
                if deadline.poll_expired(cx).is_pending() {
                    return Poll::Pending;
                }
                match continue_at {
                    Some(at) if !*uploaded && at <= time::now() => {
                        continue_at = None;
                        response.clear();
                        response.status = 100;
                        down.send_informational(response);
                        if let Poll::Ready(Err(e)) = down.poll_flush(cx) {
                            return Poll::Ready(Wait::Client(e));
                        }
                    }
                    _ if *uploaded => return Poll::Ready(Wait::TimedOut),
                    _ => return Poll::Ready(Wait::ClientSlow),
                }
            }
        })
        .await;
        open.facts.request_bytes = upload.bytes;
        open.facts.phases.first_byte = time::now().duration_since(open.started);
        outcome
    }

    /// Makes the server's head the gateway's: hop-by-hop fields go, middlewares and the sticky cookie come.
    fn dress(&mut self, index: usize) {
        let mut fields = super::fields::View(&mut self.response.fields);
        hop::strip_response(&mut fields, self.response.status == 101);
        let published = &self.open.published;
        if let Some(id) = self.open.facts.router {
            for slot in published.route(published.router(id)).stages.iter().rev() {
                slot.stage.response_fields(&mut fields);
            }
        }
        if let Some(sticky) = &self.backend.sticky
            && !sticky.is_current(self.head.fields.get_all("cookie"), index)
        {
            self.response.fields.append("Set-Cookie", sticky.set_cookie(index).as_bytes());
        }
    }

    async fn deliver(&mut self, mut up: Connection, served: InFlight) -> Forwarded {
        self.down.send_head(self.response);
        if self.response.framing == Framing::Tunnel {
            return match poll_fn(|cx| self.down.poll_flush(cx)).await {
                Err(gone) => self.client_gone(gone),
                Ok(()) => match up.into_tunnel() {
                    Some((up, early)) => Forwarded::Tunnel(Tunnelled { up, early, served }),
                    None => Forwarded::Broken,
                },
            };
        }
        let mut download = Progress::default();
        let ended = self.stream(&mut up, &mut download).await;
        self.open.facts.response_bytes = download.bytes;
        self.open.facts.request_bytes = self.upload.bytes;
        match ended {
            Ended::Complete => {
                up.recycle(&self.client.worker, self.backend, served.endpoint());
                Forwarded::Complete
            }
            Ended::Client(gone) => {
                up.abort();
                self.down.abort();
                self.client_gone(gone)
            }
            Ended::ClientSlow => {
                up.abort();
                self.down.abort();
                self.client_gone(Error::new(Side::Client, Kind::TimedOut, "the client reads or writes too slowly"))
            }
            Ended::Upstream(e) => {
                up.abort();
                self.down.abort();
                self.observe(served.endpoint(), Outcome::Failed);
                self.open.facts.truncated = true;
                self.open.facts.reason = Some(Reason::UpstreamTruncated);
                self.open.facts.detail = e.detail;
                Forwarded::Broken
            }
        }
    }

    /// Both bodies at once, until the response is whole.
    async fn stream(&mut self, up: &mut Connection, download: &mut Progress) -> Ended {
        let Self { client, down, upload, uploaded, deadline, .. } = self;
        let shared = &client.worker.shared;
        let (mut writes, mut reads) = (Pace::new(client.entry.pace), Pace::new(client.entry.pace));
        poll_fn(|cx| {
            if !*uploaded {
                match pump(cx, &mut **down, up, upload) {
                    Poll::Ready(Ok(())) => *uploaded = true,
                    Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Ended::Client(e)),
                    // The server wants no more of the body; what it answers still counts.
                    Poll::Ready(Err(_)) => *uploaded = true,
                    Poll::Pending => {}
                }
            }
            match pump(cx, up, &mut **down, download) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ended::Complete),
                Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Ended::Client(e)),
                Poll::Ready(Err(e)) => return Poll::Ready(Ended::Upstream(e)),
                Poll::Pending => {}
            }
            if *uploaded && let Poll::Ready(gone) = down.poll_gone(cx) {
                return Poll::Ready(Ended::Client(gone));
            }
            let mut due = Due::new(shared, deadline);
            due.client(&mut reads, download.waiting == Waiting::Sink, download.bytes);
            due.client(&mut writes, !*uploaded && upload.waiting == Waiting::Source, upload.bytes);
            due.poll(cx).map(|()| Ended::ClientSlow)
        })
        .await
    }

    fn observe(&self, endpoint: &Endpoint, outcome: Outcome) {
        self.backend.observe(endpoint, self.client.worker.shared.since_epoch(time::now()), outcome);
    }

    fn client_gone(&mut self, error: Error) -> Forwarded {
        if let Kind::Malformed(status) = error.kind
            && self.open.facts.status == 0
        {
            self.open.facts.detail = error.detail;
            return Forwarded::Answer(LocalResponse::malformed(status));
        }
        self.open.facts.client_gone = true;
        self.open.facts.reason = Some(Reason::ClientClosed);
        if self.open.facts.status == 0 {
            self.open.facts.status = 499;
        }
        self.open.facts.detail = error.detail;
        Forwarded::Broken
    }
}

/// The earliest moment at which somebody is too slow, looked up only while an exchange waits.
struct Due<'a> {
    shared: &'a crate::worker::Shared,
    deadline: &'a mut Deadline,
    now: Option<Duration>,
    at: Option<Duration>,
}

impl<'a> Due<'a> {
    fn new(shared: &'a crate::worker::Shared, deadline: &'a mut Deadline) -> Self {
        Self { shared, deadline, now: None, at: None }
    }

    fn client(&mut self, pace: &mut Pace, waited_for: bool, bytes: u64) {
        if !waited_for && !pace.is_waiting() {
            return;
        }
        let now = *self.now.get_or_insert_with(|| self.shared.since_epoch(time::now()));
        if !waited_for {
            return pace.moving(now);
        }
        self.at = match (self.at, pace.waiting(now, bytes)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn poll(self, cx: &mut Context<'_>) -> Poll<()> {
        match self.at {
            None => self.deadline.clear(),
            Some(at) => self.deadline.set(self.shared.instant(at)),
        }
        self.deadline.poll_expired(cx)
    }
}

impl Failed {
    fn upstream(error: Error, reused: bool, started: bool) -> Self {
        let (failure, reason) = match error.kind {
            Kind::Refused => (Failure::Unprocessed, Reason::UpstreamClosed),
            Kind::Malformed(_) => (Failure::Protocol, Reason::UpstreamProtocol),
            _ if started => (Failure::ResponseBroken, Reason::UpstreamClosed),
            _ if reused => (Failure::ReusedClosed, Reason::UpstreamClosed),
            _ => (Failure::Closed, Reason::UpstreamClosed),
        };
        Self { failure, reason, detail: error.detail }
    }
}
