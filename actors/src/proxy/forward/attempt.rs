//! One attempt at a server: the head goes out, the request's body behind it, and a response head is awaited.
//!
//! Owns what an attempt was, for records and for the decision on what follows it. Deliberately absent: that decision.

use super::{
    Exchange, Failed, Forwarded,
    connect::{Connected, Way},
};
use crate::{
    endpoint::Endpoint,
    proxy::upstream::Connection,
    telemetry::{AttemptOutcome, AttemptRecord},
};
use fairlead_core::{
    outlier::Outcome,
    pace::Pace,
    race::{self, Fate},
    reason::Reason,
    response::LocalResponse,
    retry::Failure,
};
use fairlead_net::{
    http::{Downstream, Error, Kind, Progress, Side, Upstream as _, Waiting, pump},
    time::{self, Duration, Instant},
};
use std::{future::poll_fn, task::Poll};

/// How long a client that expects `100 Continue` is left to the server before Fairlead says it.
const CONTINUE_AFTER: Duration = Duration::from_secs(1);

/// What ended the wait for a response head.
enum Wait {
    Head,
    Client(Error),
    ClientSlow,
    Upstream(Error),
    TimedOut,
    /// The network swallows the request.
    Lost,
}

impl<D: Downstream> Exchange<'_, D> {
    /// One server, once; another one where that is faster to connect to. `fresh`: not over a connection that was there before.
    pub(super) async fn attempt(&mut self, index: usize, fresh: bool) -> Result<Forwarded, Failed> {
        let backend = self.backend;
        // There is another attempt only if nothing of the body is lost: this one begins it anew.
        (self.upload, self.uploaded) = (Progress::default(), false);
        self.open.facts.attempts += 1;
        let begun = self.open.so_far();
        let Way { index, served, mut up, reused } = match self.connect(index, fresh).await {
            Connected::Up(way) => way,
            Connected::Gone(gone) => return Ok(self.client_gone(gone)),
            Connected::Failed(failed) => return Err(failed),
        };
        let endpoint = served.endpoint().clone();
        self.open.facts.phases.connected = self.open.detail();
        self.address(index, &endpoint);
        let span = self.open.trace.attempt();
        span.inject(&mut self.head.fields);
        let (waited, sent) = match up.send_head(self.head) {
            Ok(()) => (self.await_head(&mut up).await, true),
            Err(e) => (Wait::Upstream(e), false),
        };
        let response_started = up.response_started();
        #[cfg(planted = "permit_leaked")]
        if fairlead_net::sim::is_planted("permit_leaked") && matches!(waited, Wait::TimedOut) {
            std::mem::forget(endpoint.enter());
        }
        #[cfg(planted = "responses_swapped")]
        if fairlead_net::sim::is_planted("responses_swapped") && matches!(waited, Wait::TimedOut) {
            up.forget();
            up.recycle(&self.client.worker, backend, &endpoint, time::now());
            let detail = "no response head in time".to_owned();
            return Err(Failed {
                index,
                failure: Failure::ResponseTimeout,
                outcome: AttemptOutcome::TimedOut,
                sent,
                reused,
                detail,
            });
        }
        if !matches!(waited, Wait::Head) {
            up.abort();
        }
        let failed = |failure, outcome, detail| Failed { index, failure, outcome, sent, reused, detail };
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
            Wait::Lost => {
                endpoint.lost(self.client.worker.shared.since_epoch(self.open.seen()));
                let detail = format!("{}: acknowledged neither the request nor its repetition", endpoint.url.text);
                Err(failed(Failure::Lost, AttemptOutcome::TimedOut, detail))
            }
            Wait::TimedOut => {
                let detail = format!("{}: no response head in time", endpoint.url.text);
                Err(failed(Failure::ResponseTimeout, AttemptOutcome::TimedOut, detail))
            }
        };
        if self.open.trace.is_sampled() {
            let ended = self.open.elapsed();
            let record = AttemptRecord {
                started: begun,
                ended,
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
                endpoint.answered();
                self.dress(index);
                Ok(self.deliver(up, served).await)
            }
        }
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
        let Self { client, backend, head, response, down, tried, upload, uploaded, deadline, open, interim, continued, .. } =
            self;
        let shared = &client.worker.shared;
        let sent = open.seen();
        let mut pace = Pace::new(client.entry.pace);
        let mut continue_at = (head.expect_continue && !*continued).then(|| sent + CONTINUE_AFTER);
        let mut head_due: Option<Instant> = None;
        let mut upload_error = None;
        // What must not be sent twice is better off waiting, whatever becomes of it.
        let mut look = (head.method.is_idempotent() && head.framing.is_empty()).then(|| sent + race::FIRST_LOOK);
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
                let watches = *uploaded || upload.waiting == Waiting::Sink;
                #[cfg(planted = "abort_not_propagated")]
                let watches = watches && !fairlead_net::sim::is_planted("abort_not_propagated");
                if watches && let Poll::Ready(gone) = down.poll_gone(cx) {
                    return Poll::Ready(Wait::Client(gone));
                }
                if let Some(at) = look
                    && *uploaded
                    && up.poll_look(cx, at).is_ready()
                {
                    let now = time::now();
                    look = match up.delivery().map(|delivery| race::fate(now.duration_since(sent), &delivery)) {
                        Some(Fate::Lost) if !up.response_started() && backend.has_other(tried) => return Poll::Ready(Wait::Lost),
                        Some(Fate::Open(after)) => Some(now + after),
                        _ => None,
                    };
                    continue;
                }
                let due = if *uploaded {
                    let limit = backend.transport.response_header_timeout;
                    #[cfg(planted = "timeout_ignored")]
                    let limit = if fairlead_net::sim::is_planted("timeout_ignored") { Duration::ZERO } else { limit };
                    if head_due.is_none() && !limit.is_zero() {
                        let from = if head.framing.is_empty() { sent } else { time::now() };
                        head_due = Some(from + limit);
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
        let now = open.elapsed();
        if matches!(outcome, Wait::Head) {
            open.facts.phases.first_byte = Some(now);
        }
        outcome
    }
}
