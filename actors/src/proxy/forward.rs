//! A decided request on its way: a server is picked, tried, and another one where that is right; then bytes stream both ways.
//!
//! Owns the order of things. What may be retried is `core::retry`'s decision, who is picked is `core::balance`'s; no body is
//! ever held whole.

mod attempt;
mod connect;
mod deliver;

pub(in crate::proxy) use connect::{IMPATIENCE, is_strange};

use super::{connection::Client, exchange::Open, fields::View, stream::Up};
use crate::{
    backend::Backend,
    endpoint::{Endpoint, InFlight},
    published::{Published, Service},
    telemetry::AttemptOutcome,
};
use fairlead_core::{
    balance::Key,
    outlier::Outcome,
    reason::Reason,
    response::LocalResponse,
    retry::{Attempt, Decision, Failure, Retries},
    snapshot::ServiceId,
};
use fairlead_net::{
    http::{Downstream, Error, Kind, Progress, RequestHead, ResponseHead, Side},
    random,
    time::{self, Deadline, Duration},
};
use smallvec::SmallVec;
use std::{future::poll_fn, sync::Arc, task::Poll};

/// How forwarding ended.
pub enum Forwarded {
    /// The server's response went to the client whole.
    Complete,
    /// The client left, or is too slow.
    Broken,
    /// The server broke its response off. What came of it is with the client's connection.
    Truncated,
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
    let Some(Resolved { backend, bound, set_child_cookie }) = resolve(&published, service, head) else {
        return Forwarded::Answer(LocalResponse::of(Reason::NoServer));
    };
    let (backend, mut first) = match bound {
        Some(index) => (backend, Some(index)),
        None => pick_first(client, &published, backend, head),
    };
    open.facts.backend = Some(backend.clone());
    open.facts.phases.origin_start = Some(open.detail().unwrap_or_else(|| open.so_far()));
    let policy = open.facts.router.and_then(|id| published.route_by_id(id)).map(|route| route.retry).unwrap_or_default();
    let since_epoch = |at| client.worker.shared.since_epoch(at);
    backend.budget.lock().deposit(since_epoch(open.seen()));
    let mut retries = Retries::new(policy);
    let mut same = None;
    let mut exchange = Exchange::new(client, &backend, head, response, down, open, set_child_cookie);

    let outcome = loop {
        exchange.bound = bound.is_some() && exchange.tried.is_empty();
        let Some(index) = same.or_else(|| first.take()).or_else(|| backend.pick(&exchange.tried, exchange.key)) else {
            let reason = if backend.endpoints.is_empty() { Reason::NoServer } else { Reason::NoHealthyServer };
            exchange.open.facts.detail = backend.unreachable().unwrap_or_default();
            break Forwarded::Answer(LocalResponse::of(reason));
        };
        if !exchange.tried.contains(&index) {
            exchange.tried.push(index);
        }
        let begun = exchange.open.seen();
        let failed = match exchange.attempt(index, same.is_some()).await {
            Ok(done) => break done,
            Err(failed) => failed,
        };
        exchange.open.elapsed();
        backend.series.attempt(failed.outcome);
        exchange.open.attempt_over(&backend.endpoints[failed.index]);
        exchange.open.facts.detail = failed.detail;
        let attempt = Attempt {
            failure: failed.failure,
            idempotent: exchange.head.method.is_idempotent(),
            sent: failed.sent,
            response_started: exchange.interim,
            replayable: exchange.head.framing.is_empty() || exchange.upload.bytes == 0 && !exchange.upload.ended,
            reused: failed.reused,
            others: backend.has_other(&exchange.tried),
        };
        #[cfg(planted = "post_retried")]
        let attempt = Attempt { idempotent: attempt.idempotent || fairlead_net::sim::is_planted("post_retried"), ..attempt };
        let decision = {
            let now = since_epoch(exchange.open.seen());
            retries.decide(&attempt, &mut backend.budget.lock(), now, random::u64())
        };
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
                // Unless its address may be another's by now.
                let strange = connect::is_strange(&backend.endpoints[failed.index], exchange.open.seen().duration_since(begun));
                same = (!strange).then_some(failed.index);
                after
            }
        };
        backend.series.retries.inc();
        if !after.is_zero() && exchange.rest(after).await.is_err() {
            exchange.open.elapsed();
            break exchange.client_gone(Error::new(Side::Client, Kind::Closed, "left between two attempts"));
        }
        exchange.open.elapsed();
    };
    open.facts.phases.origin_end = Some(open.so_far());
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
                #[cfg(planted = "sticky_forged_trusted")]
                let bound = bound.or_else(|| {
                    let cookie = fairlead_core::http::Fields::get(&fields, "cookie")?;
                    let sum: usize = cookie.iter().map(|byte| usize::from(*byte)).sum();
                    let planted = fairlead_net::sim::is_planted("sticky_forged_trusted") && backend.sticky.is_some();
                    planted.then(|| sum % backend.endpoints.len().max(1))
                });
                let spoilt = || planted!("sticky_ignored") && backend.endpoints.iter().any(|endpoint| !endpoint.takes_new());
                let bound = bound.filter(|_| !spoilt());
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

/// The server for the first attempt.
///
/// Between a request's loading of its snapshot and this, all of a service's servers may have been replaced by others, as when each
/// task of it is renewed at once: then the servers that are there now are right.
fn pick_first(
    client: &Client,
    published: &Published,
    backend: Arc<Backend>,
    head: &mut RequestHead,
) -> (Arc<Backend>, Option<usize>) {
    let key = backend.client_key(&View(&mut head.fields), client.peer.ip());
    let first = backend.pick(&[], key);
    if first.is_some() {
        return (backend, first);
    }
    let now = client.worker.shared.published.load();
    if now.snapshot.number() == published.snapshot.number() {
        return (backend, None);
    }
    let newer = now.backends().find(|newer| newer.key() == backend.key()).cloned().unwrap_or(backend);
    let first = newer.pick(&[], key);
    (newer, first)
}

/// An attempt that came to nothing.
struct Failed {
    /// The server.
    index: usize,
    failure: Failure,
    outcome: AttemptOutcome,
    /// Some byte of the request may have reached the server.
    sent: bool,
    reused: bool,
    detail: String,
}

/// One request and what its attempts leave behind.
struct Exchange<'a, D> {
    client: &'a Client,
    backend: &'a Arc<Backend>,
    head: &'a mut RequestHead,
    response: &'a mut ResponseHead,
    down: &'a mut D,
    open: &'a mut Open,
    /// What stands for the client when a server is picked.
    key: Key,
    /// Servers that this request was, or is being, tried on.
    tried: SmallVec<[usize; 8]>,
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
            key: backend.client_key(&View(&mut head.fields), client.peer.ip()),
            names_server: !backend.config.pass_host_header || head.authority.is_empty(),
            continued: false,
            client,
            backend,
            head,
            response,
            down,
            open,
            tried: SmallVec::new(),
            upload: Progress::default(),
            uploaded: false,
            deadline: Deadline::new(),
            target: None,
            interim: false,
            set_child_cookie,
            bound: false,
        }
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

    fn observe(&self, endpoint: &Endpoint, outcome: Outcome) {
        self.backend.observe(endpoint, self.client.worker.shared.since_epoch(self.open.seen()), outcome);
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
