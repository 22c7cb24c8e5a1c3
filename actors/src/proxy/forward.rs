//! A decided request on its way: a server is picked, tried, and another one where that is right; then bytes stream both ways.
//!
//! Owns the order of things. What may be retried is `core::retry`'s decision, who is picked is `core::balance`'s; no body is
//! ever held whole.

use super::{
    connection::Client,
    exchange::Open,
    fields::View,
    stream::Up,
    upstream::{self, ConnectErrorKind, Connection},
};
use crate::{
    backend::Backend,
    endpoint::{Endpoint, InFlight},
    published::{Published, Service},
    telemetry::{AttemptOutcome, AttemptRecord},
    worker::Shared,
};
use fairlead_core::{
    http::hop,
    outlier::Outcome,
    pace::Pace,
    reason::Reason,
    response::LocalResponse,
    retry::{Attempt, Decision, Failure, Retries},
    snapshot::ServiceId,
};
use fairlead_net::{
    http::{Downstream, Error, Framing, Kind, Progress, RequestHead, ResponseHead, Side, Upstream as _, Waiting, pump},
    random,
    time::{self, Deadline, Duration, Instant},
};
use smallvec::SmallVec;
use std::{
    future::{Future as _, poll_fn},
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
    let Some(Resolved { backend, mut bound, set_child_cookie }) = resolve(&published, service, head) else {
        return Forwarded::Answer(LocalResponse::of(Reason::NoServer));
    };
    open.facts.backend = Some(backend.clone());
    open.facts.phases.origin_start = Some(open.elapsed());
    let policy = open.facts.router.and_then(|id| published.route_by_id(id)).map(|route| route.retry).unwrap_or_default();
    let now = || client.worker.shared.since_epoch(time::now());
    backend.budget.lock().deposit(now());
    let mut retries = Retries::new(policy);
    let mut tried: SmallVec<[usize; 8]> = SmallVec::new();
    let mut same = None;
    let key = backend.client_key(&View(&mut head.fields), client.peer.ip());
    let mut exchange = Exchange::new(client, &backend, head, response, down, open, set_child_cookie);

    let outcome = loop {
        let to = bound.take().filter(|_| same.is_none());
        exchange.bound = to.is_some();
        let Some(index) = same.or(to).or_else(|| backend.pick(&tried, key)) else {
            let reason = if backend.endpoints.is_empty() { Reason::NoServer } else { Reason::NoHealthyServer };
            break Forwarded::Answer(LocalResponse::of(reason));
        };
        if !tried.contains(&index) {
            tried.push(index);
        }
        let others = backend.has_other(&tried);
        let failed = match exchange.attempt(index, same.is_some(), others).await {
            Ok(done) => break done,
            Err(failed) => failed,
        };
        backend.series.attempt(failed.outcome);
        exchange.open.attempt_over();
        exchange.open.facts.detail = failed.detail;
        let attempt = Attempt {
            failure: failed.failure,
            idempotent: exchange.head.method.is_idempotent(),
            sent: failed.sent,
            response_started: exchange.interim,
            replayable: exchange.head.framing.is_empty() || exchange.upload.bytes == 0 && !exchange.upload.ended,
            reused: failed.reused,
            others,
        };
        #[cfg(planted = "post_retried")]
        let attempt = Attempt { idempotent: attempt.idempotent || fairlead_net::sim::is_planted("post_retried"), ..attempt };
        let decision = retries.decide(&attempt, &mut backend.budget.lock(), now(), random::u64());
        if retries.was_refused() {
            backend.series.retries_refused.inc();
        }
        let after = match decision {
            Decision::GiveUp => break Forwarded::Answer(LocalResponse::of(failed.failure.reason())),
            Decision::RetryOther { after } => {
                same = None;
                after
            }
            Decision::RetrySame { after } => {
                same = Some(index);
                after
            }
        };
        backend.series.retries.inc();
        if !after.is_zero() && exchange.rest(after).await.is_err() {
            break exchange.client_gone(Error::new(Side::Client, Kind::Closed, "left between two attempts"));
        }
    };
    open.facts.phases.origin_end = Some(open.elapsed());
    outcome
}

/// The set of servers that a request goes to, and what cookies say.
struct Resolved {
    backend: Arc<Backend>,
    /// The server that the client is bound to.
    bound: Option<usize>,
    /// A cookie that binds the client to the child of a weighted service.
    set_child_cookie: Option<String>,
}

/// Follows weighted services and failovers down to a set of servers.
fn resolve(published: &Published, service: ServiceId, head: &mut RequestHead) -> Option<Resolved> {
    let (mut id, mut set_child_cookie) = (service, None);
    let fields = View(&mut head.fields);
    // The configuration's `resolve` refuses cycles; the bound only keeps a defect from hanging a worker.
    for _ in 0..16 {
        match published.service(id) {
            Service::Balanced(backend) => {
                let serves = |i: usize| backend.endpoints[i].serves_sessions();
                let bound = backend.sticky.as_ref().and_then(|sticky| sticky.find(&fields, &serves));
                return Some(Resolved { backend: backend.clone(), bound, set_child_cookie });
            }
            Service::Weighted(weighted) => {
                let usable = |i: usize| !weighted.skips || published.is_usable(weighted.children[i]);
                let bound = weighted.sticky.as_ref().and_then(|sticky| sticky.find(&fields, &usable));
                let child = match bound {
                    Some(child) => child,
                    None => {
                        let child = weighted.picker.lock().pick(&usable)?;
                        set_child_cookie = weighted.sticky.as_ref().map(|sticky| sticky.set_cookie(child));
                        child
                    }
                };
                id = weighted.children[child];
            }
            Service::Failover(main, fallback) => id = if published.is_usable(*main) { *main } else { *fallback },
            Service::Internal(_) => return None,
        }
    }
    None
}

/// What came of opening a connection.
enum Connected {
    Up(Connection),
    Gone(Error),
    Failed(Failed),
}

struct Failed {
    failure: Failure,
    outcome: AttemptOutcome,
    /// Some byte of the request may have reached the server.
    sent: bool,
    reused: bool,
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
    /// Servers are told their own names: by the service's wish, or because the client named no host.
    names_server: bool,
    /// Fairlead has told the client to go on with its body.
    continued: bool,
    /// An interim response has gone to the client.
    interim: bool,
    set_child_cookie: Option<String>,
    /// The client came with a cookie that named the server it got.
    bound: bool,
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
        set_child_cookie: Option<String>,
    ) -> Self {
        Self {
            names_server: !backend.config.pass_host_header || head.authority.is_empty(),
            continued: false,
            client,
            backend,
            head,
            response,
            down,
            open,
            upload: Progress::default(),
            uploaded: false,
            deadline: Deadline::new(),
            target: None,
            interim: false,
            set_child_cookie,
            bound: false,
        }
    }

    /// One server, once.
    async fn attempt(&mut self, index: usize, fresh: bool, others: bool) -> Result<Forwarded, Failed> {
        let (worker, backend) = (&self.client.worker, self.backend);
        let served = backend.endpoints[index].enter();
        let endpoint = served.endpoint().clone();
        // There is another attempt only if nothing of the body is lost: this one begins it anew.
        (self.upload, self.uploaded) = (Progress::default(), false);
        self.open.facts.attempts += 1;
        self.open.facts.endpoint = Some(endpoint.clone());
        let begun = self.open.elapsed();
        if let Some(info) = &mut self.open.facts.info {
            info.attempt(&endpoint, begun);
        }

        let pooled = if fresh { None } else { upstream::checkout(worker, backend, &endpoint) };
        let reused = pooled.is_some();
        let mut up = match pooled {
            Some(up) => up,
            None => match self.connect(&endpoint, others).await {
                Connected::Up(up) => up,
                Connected::Gone(gone) => return Ok(self.client_gone(gone)),
                Connected::Failed(failed) => {
                    self.observe(&endpoint, Outcome::Failure);
                    return Err(failed);
                }
            },
        };
        self.open.facts.phases.connected = Some(self.open.elapsed());
        self.address(index, &endpoint);
        let span = self.open.trace.attempt();
        span.inject(&mut self.head.fields);
        let (waited, sent) = match up.send_head(self.head) {
            Ok(()) => (self.await_head(&mut up).await, true),
            Err(e) => (Wait::Upstream(e), false),
        };
        let response_started = up.response_started();
        if !matches!(waited, Wait::Head) {
            up.abort();
        }
        let failed = |failure, outcome, detail| Failed { failure, outcome, sent, reused, detail };
        let result = match waited {
            Wait::Head => Ok(None),
            Wait::Client(gone) => Ok(Some(self.client_gone(gone))),
            Wait::ClientSlow => {
                self.open.facts.detail = "the request body came too slowly".into();
                Ok(Some(Forwarded::Answer(LocalResponse::of(Reason::RequestTimeout))))
            }
            // The request cannot be said in the server's protocol: no server is to blame.
            Wait::Upstream(Error { side: Side::Client | Side::Fairlead, kind: Kind::Malformed(status), detail }) => {
                self.open.facts.detail = detail;
                let reason = if status == 500 { Reason::Internal } else { Reason::of_status(status) };
                Ok(Some(Forwarded::Answer(LocalResponse::of(reason))))
            }
            Wait::Upstream(e) => Err(match e.kind {
                // The server ended this one exchange, over a connection that lives: age has nothing to do with it.
                Kind::Reset if !response_started => {
                    Failed { reused: false, ..failed(Failure::Closed, AttemptOutcome::Broken, e.detail) }
                }
                Kind::Refused => failed(Failure::Refused, AttemptOutcome::Broken, e.detail),
                Kind::Malformed(_) => failed(Failure::Protocol, AttemptOutcome::Broken, e.detail),
                // Part of a response proves that the request was processed.
                _ if response_started => failed(Failure::Protocol, AttemptOutcome::Broken, e.detail),
                _ => failed(Failure::Closed, AttemptOutcome::Broken, e.detail),
            }),
            Wait::TimedOut => {
                let detail = format!("{}: no response head in time", endpoint.url.text);
                Err(failed(Failure::ResponseTimeout, AttemptOutcome::TimedOut, detail))
            }
        };
        if self.open.trace.is_sampled() {
            let record = AttemptRecord {
                started: begun,
                ended: self.open.elapsed(),
                method: &self.head.method,
                scheme: endpoint.url.scheme.as_str(),
                host: &endpoint.url.host,
                port: endpoint.url.port,
                server_addr: None,
                path: self.head.target.split('?').next().unwrap_or_default(),
                version: self.response.version,
                status: matches!(result, Ok(None)).then_some(self.response.status),
                error: result.as_ref().err().map(|failed| failed.failure.reason()),
                reused,
            };
            self.open.trace.end_attempt(span, &record);
        }
        match result {
            Ok(Some(done)) => {
                backend.series.attempt(AttemptOutcome::Abandoned);
                Ok(done)
            }
            Err(failed) => {
                // The pool's connection had died, or was on its way out; that says nothing about the server.
                if !(failed.reused && matches!(failed.failure, Failure::Closed | Failure::Refused)) {
                    self.observe(&endpoint, Outcome::Failure);
                }
                Err(failed)
            }
            Ok(None) => {
                backend.series.attempt(AttemptOutcome::Response);
                self.open.facts.origin_status = Some(self.response.status);
                self.open.facts.status = self.response.status;
                let outcome = if self.response.status >= 500 { Outcome::ServerError } else { Outcome::Success };
                self.observe(&endpoint, outcome);
                self.dress(index);
                Ok(self.deliver(up, served).await)
            }
        }
    }

    /// Opens a connection, unless the client leaves meanwhile.
    async fn connect(&mut self, endpoint: &Arc<Endpoint>, others: bool) -> Connected {
        let dial = self.backend.transport.dial_timeout;
        let limit = match (dial.is_zero(), others) {
            (true, false) => None,
            (true, true) => Some(IMPATIENCE),
            (false, false) => Some(dial),
            (false, true) => Some(dial.min(IMPATIENCE)),
        };
        let mut opening = std::pin::pin!(upstream::connect(&self.client.worker, self.backend, endpoint, limit));
        let down = &mut *self.down;
        poll_fn(|cx| {
            if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
                return Poll::Ready(match opened {
                    Ok(up) => Connected::Up(up),
                    Err(e) => {
                        let (failure, outcome) = match e.kind {
                            ConnectErrorKind::Failed => (Failure::ConnectFailed, AttemptOutcome::ConnectFailed),
                            ConnectErrorKind::TimedOut => (Failure::ConnectTimeout, AttemptOutcome::TimedOut),
                            ConnectErrorKind::Tls => (Failure::Tls, AttemptOutcome::ConnectFailed),
                        };
                        Connected::Failed(Failed { failure, outcome, sent: false, reused: false, detail: e.detail })
                    }
                });
            }
            down.poll_gone(cx).map(Connected::Gone)
        })
        .await
    }

    /// Waits between two attempts, unless the client leaves.
    async fn rest(&mut self, pause: Duration) -> Result<(), Error> {
        self.deadline.set(time::after(pause));
        poll_fn(|cx| match self.down.poll_gone(cx) {
            Poll::Ready(gone) => Poll::Ready(Err(gone)),
            Poll::Pending => self.deadline.poll_expired(cx).map(Ok),
        })
        .await
    }

    /// Writes what depends on the server into the head.
    fn address(&mut self, index: usize, endpoint: &Endpoint) {
        let config = &self.backend.config;
        if self.names_server {
            self.head.fields.set("Host", endpoint.authority.as_bytes());
            self.head.authority.clear();
            self.head.authority.push_str(&endpoint.authority);
        }
        let prefix = if config.servers[index].preserve_path { endpoint.url.path.trim_end_matches('/') } else { "" };
        if prefix.is_empty() && self.target.is_none() {
            return;
        }
        let plain = self.target.get_or_insert_with(|| self.head.target.clone());
        self.head.target = format!("{prefix}{plain}");
    }

    async fn await_head(&mut self, up: &mut Connection) -> Wait {
        let Self { client, backend, head, response, down, upload, uploaded, deadline, open, interim, continued, .. } = self;
        let shared = &client.worker.shared;
        let sent = time::now();
        let mut pace = Pace::new(client.entry.pace);
        let mut continue_at = (head.expect_continue && !*continued).then(|| sent + CONTINUE_AFTER);
        let mut head_due: Option<Instant> = None;
        let mut upload_error = None;
        let outcome = poll_fn(|cx| {
            loop {
                if !*uploaded {
                    match pump(cx, &mut **down, up, upload) {
                        Poll::Ready(Ok(())) => *uploaded = true,
                        Poll::Ready(Err(e)) if e.side == Side::Client => return Poll::Ready(Wait::Client(e)),
                        Poll::Ready(Err(e)) if e.side == Side::Fairlead => return Poll::Ready(Wait::Upstream(e)),
                        // The server may have answered and closed before it read everything: its answer counts.
                        Poll::Ready(Err(e)) => (*uploaded, upload_error) = (true, Some(e)),
                        Poll::Pending => {}
                    }
                }
                match up.poll_head(cx, response) {
                    Poll::Ready(Ok(())) if response.status < 200 && response.status != 101 => {
                        if response.status == 100 {
                            (continue_at, *continued) = (None, true);
                        }
                        *interim = true;
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
                // While more of the body is awaited, the client's end shows there.
                if (*uploaded || upload.waiting == Waiting::Sink)
                    && let Poll::Ready(gone) = down.poll_gone(cx)
                {
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
                    let whole = client.entry.config.timeouts.read.map(|limit| open.started + limit);
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
                        (continue_at, *continued) = (None, true);
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
        if matches!(outcome, Wait::Head) {
            open.facts.phases.first_byte = Some(open.elapsed());
        }
        outcome
    }

    /// Makes the server's head the gateway's: hop-by-hop fields go, middlewares and sticky cookies come.
    fn dress(&mut self, index: usize) {
        let mut fields = View(&mut self.response.fields);
        if let Err(reason) = hop::strip_response(&mut fields, self.response.framing == Framing::Tunnel) {
            tracing::debug!(server = self.backend.endpoints[index].url.text, reason = reason.name(), "odd hop-by-hop fields");
        }
        let published = &self.open.published;
        if let Some(route) = self.open.facts.router.and_then(|id| published.route_by_id(id)) {
            for slot in route.stages.iter().rev().filter(|slot| slot.stage.edits_response()) {
                slot.stage.response(&mut fields);
            }
        }
        if let Some(sticky) = &self.backend.sticky
            && !self.bound
        {
            self.response.fields.append("Set-Cookie", sticky.set_cookie(index).as_bytes());
        }
        if let Some(cookie) = self.set_child_cookie.take() {
            self.response.fields.append("Set-Cookie", cookie.as_bytes());
        }
        self.client.worker.shared.stamp(self.response, self.open.facts.request_id.as_deref());
        self.open.inform(self.client, &mut View(&mut self.response.fields));
    }

    async fn deliver(&mut self, mut up: Connection, served: InFlight) -> Forwarded {
        if self.client.token.is_draining() {
            self.down.end_after();
        }
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
                self.open.facts.truncated = true;
                self.open.facts.reason = Some(Reason::UpstreamTruncated);
                self.open.facts.detail = e.detail;
                Forwarded::Broken
            }
        }
    }

    /// Both bodies at once, until the response is whole.
    async fn stream(&mut self, up: &mut Connection, download: &mut Progress) -> Ended {
        let Self { client, down, upload, uploaded, deadline, open, .. } = self;
        let shared = &client.worker.shared;
        let mut reads = Pace::new(client.entry.pace);
        let whole = client.entry.config.timeouts.write.map(|limit| shared.since_epoch(open.started + limit));
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
            if (*uploaded || upload.waiting == Waiting::Sink)
                && let Poll::Ready(gone) = down.poll_gone(cx)
            {
                return Poll::Ready(Ended::Client(gone));
            }
            // A server that answers while it still reads is in a conversation, where either side may be silent for long.
            let mut due = Due::new(shared, deadline, whole);
            due.client(&mut reads, download.waiting == Waiting::Sink, download.bytes);
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
            return Forwarded::Answer(LocalResponse::of(Reason::of_status(status)));
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
    shared: &'a Shared,
    deadline: &'a mut Deadline,
    now: Option<Duration>,
    at: Option<Duration>,
}

impl<'a> Due<'a> {
    fn new(shared: &'a Shared, deadline: &'a mut Deadline, at: Option<Duration>) -> Self {
        Self { shared, deadline, now: None, at }
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
