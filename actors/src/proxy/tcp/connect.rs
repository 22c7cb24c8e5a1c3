//! A server's connection for a client's: a server is picked and connected to, raced by another one where it is slow, and another is
//! tried where it fails. Nothing of the client's has been sent meanwhile, so that this is right for whatever it says.

use super::session::Session;
use crate::{
    backend::Backend,
    endpoint::InFlight,
    proxy::{
        forward::{IMPATIENCE, is_strange},
        stream::Up,
        upstream::{self, ConnectError, ConnectErrorKind, OpeningPlain},
    },
    published::{Published, Service},
    telemetry::AttemptOutcome,
    worker::Worker,
};
use fairlead_core::{
    balance,
    outlier::Outcome,
    race::Race,
    reason::Reason,
    retry::{Attempt, Decision, Failure, Retries, RetryPolicy},
    snapshot::ServiceId,
};
use fairlead_net::{
    random, task,
    time::{self, Deadline, Duration},
};
use smallvec::SmallVec;
use std::{future::poll_fn, sync::Arc, task::Poll};

/// A connection, and the server it leads to.
pub struct Way {
    pub backend: Arc<Backend>,
    pub served: InFlight,
    pub up: Up,
}

/// An attempt under way.
struct Runner {
    served: InFlight,
    opening: OpeningPlain,
    begun: Duration,
}

enum Step {
    Stands(usize, Up),
    Fell(usize, ConnectError),
    Overdue,
}

/// Finds a server of `service` and connects to it, as often as that is right. On failure: why, and for the log what happened.
pub async fn connect(session: &mut Session<'_>, service: ServiceId) -> Result<Way, (Reason, String)> {
    let worker = session.worker().clone();
    let found = find(session.published(), service);
    let Some(backend) = found.map(|backend| newest(&worker, session.published(), backend)) else {
        return Err((Reason::NoServer, String::new()));
    };
    session.enter(&backend);
    let key = balance::Key::from(session.client().peer.ip());
    let mut retries = Retries::new(RetryPolicy::default());
    backend.budget.lock().deposit(now(&worker));
    let mut tried: SmallVec<[usize; 8]> = SmallVec::new();
    loop {
        let Some(index) = backend.pick(&tried, key) else {
            let reason = if backend.endpoints.is_empty() { Reason::NoServer } else { Reason::NoHealthyServer };
            return Err((reason, backend.unreachable().unwrap_or_default()));
        };
        if !tried.contains(&index) {
            tried.push(index);
        }
        let failed = match attempt(session, &worker, &backend, index, key, &mut tried).await {
            Ok((served, up)) => return Ok(Way { backend, served, up }),
            Err(failed) => failed,
        };
        let failure = failure(&failed);
        let attempt = Attempt {
            failure,
            idempotent: true,
            sent: false,
            response_started: false,
            replayable: true,
            reused: false,
            others: backend.has_other(&tried),
        };
        match retries.decide(&attempt, &mut backend.budget.lock(), now(&worker), random::u64()) {
            Decision::GiveUp => return Err((failure.reason(), failed.detail)),
            // Without the Retry middleware, which connections do not have, there is no pause and no second try of the same server.
            Decision::RetryOther { .. } | Decision::RetrySame { .. } => backend.series.retries.inc(),
        }
    }
}

/// One server, or another one that is faster to connect to.
async fn attempt(
    session: &mut Session<'_>,
    worker: &Arc<Worker>,
    backend: &Arc<Backend>,
    index: usize,
    key: balance::Key,
    tried: &mut SmallVec<[usize; 8]>,
) -> Result<(InFlight, Up), ConnectError> {
    let mut runners: SmallVec<[Runner; 1]> = SmallVec::new();
    runners.push(begin(session, worker, backend, index, tried));
    let patience = backend.connect_times.lock().patience();
    let mut race = Race::new(now(worker), patience);
    let mut deadline = Deadline::new();
    loop {
        match step(worker, &mut runners, &mut deadline, race.due()).await {
            Step::Stands(at, up) => {
                let Runner { served, begun, .. } = runners.swap_remove(at);
                if is_strange(served.endpoint(), now(worker).saturating_sub(begun)) {
                    let detail = format!("{}: withdrawn before it answered", served.endpoint().url.text);
                    if runners.is_empty() {
                        return Err(ConnectError { kind: ConnectErrorKind::TimedOut, detail });
                    }
                    race.fell(now(worker));
                    continue;
                }
                runners.into_iter().for_each(|late| leave(worker, backend, late));
                backend.observe(served.endpoint(), now(worker), Outcome::Success);
                session.settled(served.endpoint());
                return Ok((served, up));
            }
            Step::Fell(at, e) => {
                let loser = runners.swap_remove(at);
                backend.observe(loser.served.endpoint(), now(worker), Outcome::Failure);
                backend.series.attempt(match e.kind {
                    ConnectErrorKind::TimedOut => AttemptOutcome::TimedOut,
                    ConnectErrorKind::Failed | ConnectErrorKind::Tls => AttemptOutcome::ConnectFailed,
                });
                if runners.is_empty() {
                    return Err(e);
                }
                race.fell(now(worker));
            }
            Step::Overdue => {
                let at = now(worker);
                runners.iter().for_each(|runner| runner.served.endpoint().suspect(at));
                let next = backend.pick_beside(tried, key);
                let begins = race.overdue(at, next.is_some(), &mut backend.budget.lock());
                let Some(index) = next.filter(|_| begins) else { continue };
                tried.push(index);
                backend.series.races.inc();
                runners.push(begin(session, worker, backend, index, tried));
            }
        }
    }
}

fn begin(session: &mut Session<'_>, worker: &Arc<Worker>, backend: &Arc<Backend>, index: usize, tried: &[usize]) -> Runner {
    let served = backend.endpoints[index].enter();
    session.tries(served.endpoint());
    let dial = Some(backend.transport.dial_timeout).filter(|dial| !dial.is_zero());
    let limit = match backend.has_other(tried) {
        true => Some(dial.map_or(IMPATIENCE, |dial| dial.min(IMPATIENCE))),
        false => dial,
    };
    let opening = upstream::begin_plain(worker, backend, served.endpoint(), limit);
    Runner { served, opening, begun: now(worker) }
}

/// Until something happens in the race.
async fn step(worker: &Worker, runners: &mut [Runner], deadline: &mut Deadline, due: Option<Duration>) -> Step {
    match due {
        None => deadline.clear(),
        Some(due) => deadline.set(worker.shared.instant(due)),
    }
    poll_fn(|cx| {
        for (at, runner) in runners.iter_mut().enumerate() {
            if let Poll::Ready(opened) = runner.opening.as_mut().poll(cx) {
                return Poll::Ready(match opened {
                    Ok(up) => Step::Stands(at, up),
                    Err(e) => Step::Fell(at, e),
                });
            }
        }
        deadline.poll_expired(cx).map(|()| Step::Overdue)
    })
    .await
}

/// Nobody waits for this one any more: it is closed when it stands, and its failure is noted.
fn leave(worker: &Arc<Worker>, backend: &Arc<Backend>, late: Runner) {
    let (worker, backend) = (worker.clone(), backend.clone());
    task::spawn(async move {
        let Runner { served, opening, .. } = late;
        if let Err(e) = opening.await {
            tracing::debug!(server = &*served.endpoint().url.text, error = %e, "a connection that was raced by another came to nothing");
            backend.observe(served.endpoint(), now(&worker), Outcome::Failure);
        }
    });
}

fn failure(e: &ConnectError) -> Failure {
    match e.kind {
        ConnectErrorKind::Failed => Failure::ConnectFailed,
        ConnectErrorKind::TimedOut => Failure::ConnectTimeout,
        ConnectErrorKind::Tls => Failure::Tls,
    }
}

fn now(worker: &Worker) -> Duration {
    worker.shared.since_epoch(time::now())
}

/// Follows weighted services down to a set of servers.
fn find(published: &Published, service: ServiceId) -> Option<Arc<Backend>> {
    let mut id = service;
    // The configuration's `resolve` refuses cycles; the bound only keeps a defect from hanging a worker.
    for _ in 0..16 {
        id = match published.service(id) {
            Service::Balanced(backend) => return Some(backend.clone()),
            Service::Weighted(weighted) => {
                let usable = |i: usize| !weighted.skips || published.is_usable(weighted.children[i]);
                let child = weighted.picker.lock().pick(&usable)?;
                weighted.children[child]
            }
            Service::Failover(main, _) if published.is_usable(*main) => *main,
            Service::Failover(_, fallback) => *fallback,
            Service::Internal(_) => return None,
        };
    }
    None
}

/// The same service as it is now, if since its client's first word all of its servers were replaced by others.
fn newest(worker: &Worker, published: &Published, backend: Arc<Backend>) -> Arc<Backend> {
    if backend.is_usable() {
        return backend;
    }
    let now = worker.shared.published.load();
    if now.snapshot.number() == published.snapshot.number() {
        return backend;
    }
    now.backends().find(|newer| newer.key() == backend.key()).cloned().unwrap_or(backend)
}
