//! One request, from its head to the end of its response: decided here, forwarded in [`forward`](super::forward).
//!
//! Loads one published state and keeps it. Everything that can be said about the exchange afterwards is gathered in [`Facts`]
//! and recorded once, however it ends.

use super::{
    connection::Client,
    fields::View,
    forward::{self, Forwarded, Tunnelled},
    respond,
};
use crate::{
    endpoint::Endpoint,
    published::{Published, Service},
    telemetry::{Phases, Record, Trace},
};
use fairlead_core::{
    Name,
    http::{Fields as _, FieldsMut as _, Host, Request, hop, path, target},
    middleware::{self, Flow},
    reason::Reason,
    response::LocalResponse,
    snapshot::{CompiledRouter, RouterId, ServiceId},
};
use fairlead_net::{
    clock,
    http::{Downstream, Method, RequestHead, ResponseHead, Version},
    random, task,
    time::{self, Duration, Instant},
};
use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// What becomes of the connection after an exchange.
pub enum End {
    /// The response is complete; the connection may carry another request if it says so itself.
    Complete,
    /// Broken off: the connection, or stream, is finished.
    Broken,
    /// The connection stopped being HTTP.
    Tunnel(Box<Tunnel>),
}

/// An upgraded connection and what is still to be recorded about it.
pub struct Tunnel {
    pub tunnelled: Tunnelled,
    pub open: Open,
}

/// What an exchange was, as far as it has come.
#[derive(Default)]
pub struct Facts {
    pub router: Option<RouterId>,
    pub service: Option<Name>,
    pub endpoint: Option<Arc<Endpoint>>,
    pub reason: Option<Reason>,
    pub status: u16,
    pub upstream_status: u16,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub attempts: u32,
    pub phases: Phases,
    pub user: Option<String>,
    pub client_gone: bool,
    pub truncated: bool,
    pub detail: String,
}

/// An exchange that has not been recorded yet.
pub struct Open {
    pub published: Arc<Published>,
    pub started: Instant,
    pub wall: SystemTime,
    pub facts: Facts,
    pub trace: Trace,
    /// As the client sent it, before any middleware.
    pub original_target: String,
}

/// Carries one exchange through.
pub async fn run<D: Downstream>(
    client: &Client,
    head: &mut RequestHead,
    response: &mut ResponseHead,
    down: &mut D,
    scratch: &mut Scratch,
) -> End {
    let shared = &client.worker.shared;
    let mut open = Open {
        published: shared.published.load(),
        started: time::now(),
        wall: clock::now(),
        facts: Facts::default(),
        trace: Trace::default(),
        original_target: std::mem::take(&mut scratch.target),
    };
    open.original_target.clear();
    open.original_target.push_str(&head.target);
    open.trace = shared.telemetry.trace(&head.fields);

    let end = match decide(client, head, &mut open, scratch).await {
        Ok(Decided::Forward(service)) => match forward::run(client, head, response, down, &mut open, service).await {
            Forwarded::Complete => End::Complete,
            Forwarded::Broken => End::Broken,
            Forwarded::Answer(answer) => answer_locally(client, head, response, down, &mut open, answer).await,
            Forwarded::Tunnel(tunnelled) => return End::Tunnel(Box::new(Tunnel { tunnelled, open })),
        },
        Ok(Decided::Answer(answer)) | Err(answer) => answer_locally(client, head, response, down, &mut open, answer).await,
    };
    scratch.target = record(client, head, response, open);
    end
}

/// Buffers that a connection keeps for its next exchange.
#[derive(Default)]
pub struct Scratch {
    target: String,
    host: Option<(Box<[u8]>, Host, Option<u16>)>,
}

enum Decided {
    Forward(ServiceId),
    Answer(LocalResponse),
}

/// From the head as it came to a service, or an answer. What it leaves in `head` is what is forwarded.
async fn decide(
    client: &Client,
    head: &mut RequestHead,
    open: &mut Open,
    scratch: &mut Scratch,
) -> Result<Decided, LocalResponse> {
    let entry = &client.entry;
    let refuse = |reason: Reason, detail: &dyn std::fmt::Display| (LocalResponse::of(reason), detail.to_string());
    let outcome = async {
        if matches!(head.method, Method::Trace | Method::Connect) {
            return Err(refuse(Reason::MethodNotAllowed, &"TRACE and CONNECT are not proxied"));
        }
        let split = target::split(head.method.as_str(), &head.target).map_err(|e| refuse(e.reason(), &e))?;
        let raw_host = if head.authority.is_empty() { "" } else { head.authority.as_str() };
        if scratch.host.as_ref().is_none_or(|(raw, ..)| &**raw != raw_host.as_bytes()) {
            if raw_host.is_empty() && head.version != Version::Http10 {
                return Err(refuse(Reason::InvalidHost, &"no host"));
            }
            let (host, port) = if raw_host.is_empty() {
                (Host::default(), None)
            } else {
                Host::parse(raw_host.as_bytes()).map_err(|e| refuse(Reason::InvalidHost, &e))?
            };
            scratch.host = Some((raw_host.as_bytes().into(), host, port));
        }
        let Some((_, host, port)) = &scratch.host else { return Err(refuse(Reason::Internal, &"host lost")) };
        split.check_scheme(client.scheme()).map_err(|e| refuse(e.reason(), &e))?;
        let path = path::canonicalize(split.path, entry.path_policy).map_err(|e| refuse(Reason::InvalidPath, &e))?;
        let query = split.query.map(|q| target::query(q, entry.query_policy));
        let origin_form = split.is_origin();

        let RequestHead { method, target, fields, version, upgrade, .. } = head;
        let mut request = Request {
            method: method.as_str(),
            scheme: client.scheme(),
            host,
            port: *port,
            path,
            query,
            client: client.peer.ip(),
            fields: View(fields),
        };
        hop::prepare(&mut request.fields, &entry.hop, *upgrade).map_err(|reason| refuse(reason, &"hop-by-hop fields"))?;
        entry.forwarded.apply(&mut request.fields, &client.forwarding(host, *port, *upgrade));

        let published = open.published.clone();
        let snapshot = &published.snapshot;
        let Some(router) = snapshot.route(entry.id, client.tls.is_some(), &request) else {
            return Err(refuse(Reason::NoRoute, &"no router matches"));
        };
        open.facts.router = Some(router.id);
        if let Some(tls) = &client.tls
            && !snapshot.tls_allows(entry.id, tls.server_name.as_deref(), router, host)
        {
            return Err(refuse(Reason::Misdirected, &"the connection's TLS options are not those of this host"));
        }
        open.facts.phases.routing = time::now().duration_since(open.started);
        if let Some(answer) = pass_stages(client, open, &published, router, &mut request).await {
            return Ok(Decided::Answer(answer));
        }

        // What goes to the server is what was decided on.
        let unchanged = origin_form
            && matches!((&request.path, &request.query), (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))));
        let rewritten = (!unchanged).then(|| match &request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.to_string(),
        });
        let authority = request.fields.get("host").and_then(|v| std::str::from_utf8(v).ok());
        let normal = host.with_port(*port);
        if !host.is_empty() && authority != Some(&*normal) && !open.facts.phases.host_replaced {
            request.fields.set("Host", normal.as_bytes());
        }
        if let Some(rewritten) = rewritten {
            *target = rewritten;
        }
        let _ = version;
        match published.service(router.service) {
            Service::Internal(internal) => {
                let answer = client.worker.shared.internal(*internal, client, head, host);
                Ok(Decided::Answer(answer))
            }
            _ => Ok(Decided::Forward(router.service)),
        }
    }
    .await;
    outcome.map_err(|(answer, detail): (LocalResponse, String)| {
        open.facts.detail = detail;
        answer
    })
}

/// The middlewares in order; `Some` when one of them answers. An answer passes back through those outside of it.
async fn pass_stages(
    client: &Client,
    open: &mut Open,
    published: &Published,
    router: &CompiledRouter,
    request: &mut Request<'_, View<'_>>,
) -> Option<LocalResponse> {
    let route = published.route(router);
    for (i, slot) in route.stages.iter().enumerate() {
        let ctx = middleware::Ctx { now: client.worker.shared.since_epoch(time::now()) };
        let flow = match slot.stage.request(&slot.state, request, &ctx) {
            Flow::Authenticate(check) => {
                let user = check.user().to_owned();
                let (checked, good) = task::spawn_blocking(move || {
                    let good = check.verify();
                    (check, good)
                })
                .await;
                open.facts.user = Some(user);
                slot.stage.authenticated(&slot.state, request, checked, good)
            }
            other => other,
        };
        match flow {
            Flow::Continue => {}
            Flow::Authenticate(_) => return Some(LocalResponse::of(Reason::Internal)),
            Flow::Respond(mut answer) => {
                for outer in route.stages[..i].iter().rev() {
                    outer.stage.response(&mut answer);
                }
                return Some(answer);
            }
        }
    }
    None
}

async fn answer_locally<D: Downstream>(
    client: &Client,
    head: &RequestHead,
    response: &mut ResponseHead,
    down: &mut D,
    open: &mut Open,
    answer: LocalResponse,
) -> End {
    open.facts.reason = answer.reason;
    open.facts.status = answer.status;
    let reason_header = client.worker.shared.reason_header.as_deref();
    match respond::send(down, response, &head.method, &answer, reason_header).await {
        Ok(bytes) => {
            open.facts.response_bytes = bytes;
            End::Complete
        }
        Err(e) => {
            open.facts.client_gone = true;
            open.facts.detail = e.detail;
            End::Broken
        }
    }
}

/// Writes the exchange down: metrics, access log, span. Gives back the buffer of the target.
pub fn record(client: &Client, head: &RequestHead, response: &ResponseHead, mut open: Open) -> String {
    open.facts.phases.total = time::now().duration_since(open.started);
    let shared = &client.worker.shared;
    let router = open.facts.router.map(|id| open.published.router(id));
    let record = Record {
        wall: open.wall,
        phases: open.facts.phases,
        snapshot: open.published.snapshot.number(),
        entry_point: &client.entry.name,
        entry_series: &client.entry.series,
        router: router.map(|r| r.name.as_str()),
        router_series: router.map(|r| &*open.published.route(r).series),
        observability: router.map(|r| r.router.observability),
        service: open.facts.service.as_ref().map(Name::as_str),
        server_url: open.facts.endpoint.as_ref().map(|e| e.url.text.as_str()),
        server_address: open.facts.endpoint.as_ref().map(|e| e.authority.as_str()),
        peer: client.peer,
        scheme: client.scheme().as_str(),
        head,
        original_target: &open.original_target,
        response,
        status: open.facts.status,
        upstream_status: open.facts.upstream_status,
        reason: open.facts.reason,
        request_bytes: open.facts.request_bytes,
        response_bytes: open.facts.response_bytes,
        attempts: open.facts.attempts,
        tls: client.tls.as_ref(),
        user: open.facts.user.as_deref(),
        client_gone: open.facts.client_gone,
        truncated: open.facts.truncated,
        detail: &open.facts.detail,
    };
    shared.telemetry.finish(&record, std::mem::take(&mut open.trace));
    open.original_target
}

/// An identifier for a request that brought none: 128 random bits in hexadecimal.
pub fn request_id() -> String {
    format!("{:016x}{:016x}", random::u64(), random::u64())
}

/// How long an exchange has run.
pub fn elapsed(open: &Open) -> Duration {
    time::now().duration_since(open.started)
}
