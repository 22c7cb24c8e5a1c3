//! One request, from its head to the end of its response: decided here, forwarded in [`forward`](super::forward).
//!
//! Loads one published state and keeps it. Everything that can be said about the exchange afterwards is gathered in [`Facts`]
//! and recorded once, however it ends.

use super::{
    connection::Client,
    fields::View,
    forward::{self, Forwarded, Tunnelled},
    info::Info,
    respond,
};
use crate::{
    backend::Backend,
    endpoint::Endpoint,
    published::{Published, Service},
    telemetry::{Observe, Phases, Record, TlsInfo, Trace},
};
use fairlead_core::{
    http::{Fields as _, FieldsMut, HostMemo, Request, forwarded, hop, path, target},
    middleware::{Ctx, Flow},
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
use smallvec::SmallVec;
use std::{borrow::Cow, io::Write as _, sync::Arc, time::SystemTime};

/// What becomes of the connection after an exchange.
pub enum End {
    /// The response is complete; the connection may carry another request if it says so itself.
    Complete,
    /// Broken off: the connection, or stream, is finished.
    Broken,
    /// The server broke its response off: the client is owed what came of it, and must see that this is not all.
    Truncated,
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
    pub backend: Option<Arc<Backend>>,
    pub endpoint: Option<Arc<Endpoint>>,
    pub reason: Option<Reason>,
    pub status: u16,
    pub origin_status: Option<u16>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub attempts: u32,
    pub phases: Phases,
    pub user: Option<String>,
    /// What a trusted peer says of who the client is.
    pub forwarded_for: Option<String>,
    pub request_id: Option<String>,
    /// What the response tells of how it came about, where the router asks for that.
    pub info: Option<Box<Info>>,
    pub client_gone: bool,
    pub truncated: bool,
    /// For the log, where something went wrong.
    pub detail: String,
}

/// An exchange that has not been recorded yet.
pub struct Open {
    pub published: Arc<Published>,
    pub started: Instant,
    /// When the clock was last looked at.
    seen: Instant,
    /// Whether somebody reads of each phase: an access log, or a trace that is sampled.
    pub detailed: bool,
    pub facts: Facts,
    pub trace: Trace,
    /// As the client sent it, before any middleware.
    target: String,
}

impl Open {
    fn new(client: &Client, started: Instant, trace: Trace, target: String) -> Self {
        Self {
            published: client.worker.shared.published.load(),
            started,
            seen: started,
            detailed: client.worker.telemetry.has_access_log() || trace.is_sampled(),
            facts: Facts::default(),
            trace,
            target,
        }
    }

    /// How long the exchange has run. Looks at the clock, which is what one does after a wait.
    pub fn elapsed(&mut self) -> Duration {
        self.seen = time::now();
        self.so_far()
    }

    /// The same as of the last look.
    pub fn so_far(&self) -> Duration {
        self.seen.duration_since(self.started)
    }

    /// When the clock was last looked at: the present, where nothing was waited for since. A look costs as much as routing.
    pub fn seen(&self) -> Instant {
        self.seen
    }

    /// For a phase that nothing but an access log or a trace tells.
    pub fn detail(&mut self) -> Option<Duration> {
        self.detailed.then(|| self.elapsed())
    }

    /// The attempt at this server has failed.
    pub fn attempt_over(&mut self, server: &Arc<Endpoint>) {
        let now = self.so_far();
        if let Some(info) = &mut self.facts.info {
            info.attempt_over(server, now);
        }
    }

    /// Writes into a response how it came about, where the router asks for that.
    pub fn inform<F: FieldsMut>(&mut self, client: &Client, fields: &mut F) {
        let now = if self.facts.info.is_some() { self.elapsed() } else { return };
        if let Some(info) = &self.facts.info {
            let id = self.facts.request_id.as_deref().unwrap_or_default();
            info.write(fields, id, &client.entry.forwarded.server, now);
        }
    }
}

/// Buffers that a connection keeps for its next exchange.
#[derive(Default)]
pub struct Scratch {
    target: String,
    host: HostMemo,
}

/// Carries one exchange through. The instant is when it ended.
pub async fn run<D: Downstream>(
    client: &Client,
    head: &mut RequestHead,
    response: &mut ResponseHead,
    down: &mut D,
    scratch: &mut Scratch,
) -> (End, Instant) {
    let mut target = std::mem::take(&mut scratch.target);
    target.clear();
    target.push_str(&head.target);
    let mut open = Open::new(client, time::now(), client.worker.telemetry.trace(&head.fields), target);
    #[cfg(planted = "old_snapshot_admits")]
    if fairlead_net::sim::is_planted("old_snapshot_admits") {
        open.published = crate::published::kept(&client.worker.shared.published, client.worker.id, 200);
    }
    let _under_way = UnderWay::new(client);
    let end = match decide(client, head, &mut open, &mut scratch.host).await {
        Ok(Decided::Forward(service)) => match forward::run(client, head, response, down, &mut open, service).await {
            Forwarded::Complete => End::Complete,
            Forwarded::Broken => End::Broken,
            Forwarded::Truncated => End::Truncated,
            Forwarded::Answer(local) => answer(client, head, response, down, &mut open, local, false).await,
            Forwarded::Tunnel(tunnelled) => {
                let now = open.seen();
                return (End::Tunnel(Box::new(Tunnel { tunnelled, open })), now);
            }
        },
        Ok(Decided::Internal(local)) => {
            let end = answer(client, head, response, down, &mut open, local, true).await;
            open.facts.reason = None;
            end
        }
        Ok(Decided::Answer(local)) => answer(client, head, response, down, &mut open, local, false).await,
        Err(Refused(reason, detail)) => {
            open.facts.detail = detail;
            answer(client, head, response, down, &mut open, LocalResponse::of(reason), false).await
        }
    };
    let ended = open.seen();
    scratch.target = record(client, head, response, open);
    (end, ended)
}

/// Counts a request while it is under way.
struct UnderWay<'a>(&'a Client);

impl<'a> UnderWay<'a> {
    fn new(client: &'a Client) -> Self {
        client.entry.series.in_flight.inc();
        Self(client)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.entry.series.in_flight.dec();
    }
}

enum Decided {
    Forward(ServiceId),
    /// A middleware answers.
    Answer(LocalResponse),
    /// A service inside the gateway answers.
    Internal(LocalResponse),
}

struct Refused(Reason, String);

fn refused(reason: Reason) -> impl Fn(&dyn std::fmt::Display) -> Refused {
    move |detail| Refused(reason, detail.to_string())
}

/// From the head as it came to a service, or an answer. What it leaves in `head` is what is forwarded.
async fn decide(client: &Client, head: &mut RequestHead, open: &mut Open, memo: &mut HostMemo) -> Result<Decided, Refused> {
    let (entry, scheme) = (&client.entry, client.scheme());
    if matches!(head.method, Method::Trace | Method::Connect) {
        return Err(Refused(Reason::MethodNotAllowed, "TRACE and CONNECT are not proxied".into()));
    }
    let (host, port) = if head.authority.is_empty() && head.version == Version::Http10 {
        memo.none()
    } else {
        memo.parse(head.authority.as_bytes()).map_err(|e| refused(Reason::InvalidHost)(&e))?
    };
    let RequestHead { method, target: raw_target, authority: raw_authority, fields, version, upgrade, .. } = head;
    let split = target::split(method.as_str(), raw_target, scheme, entry.semicolons)
        .map_err(|e| refused(Reason::MalformedRequest)(&e))?;
    if split.path == "*" {
        // Asked of this gateway as a whole, not of anything behind it.
        return Ok(Decided::Internal(LocalResponse {
            status: 200,
            reason: Reason::Noop,
            fields: Vec::new(),
            body: Cow::Borrowed(&[]),
        }));
    }
    let path = path::canonicalize(split.path, entry.path_policy).map_err(|e| refused(Reason::InvalidPath)(&e))?;
    let origin_form = split.authority.is_none();
    let mut request = Request {
        method: method.as_str(),
        scheme,
        host,
        port,
        path,
        query: split.query,
        client: client.peer.ip(),
        fields: View(fields),
    };
    let plain = |reason| Refused(reason, String::new());
    hop::underscores(entry.underscores, &mut request.fields).map_err(plain)?;
    hop::check_loop(&request.fields, &client.worker.shared.pseudonym).map_err(plain)?;
    let websocket = *upgrade && hop::is_websocket(&request.fields);
    let keeps_hop = false;
    #[cfg(planted = "hop_by_hop_kept")]
    let keeps_hop = keeps_hop || fairlead_net::sim::is_planted("hop_by_hop_kept");
    if !keeps_hop {
        hop::strip_request(&mut request.fields, &entry.forwarded.connection, *upgrade).map_err(plain)?;
    }
    let origin = forwarded::Origin { peer: client.peer.ip(), scheme, host, port, websocket };
    let policy = &entry.forwarded;
    #[cfg(planted = "forwarded_spoofed")]
    let policy = &forwarded::ForwardedPolicy { insecure: fairlead_net::sim::is_planted("forwarded_spoofed"), ..policy.clone() };
    forwarded::apply(policy, &mut request.fields, &origin);
    if entry.forwarded.trusts(client.peer.ip()) {
        // As it came: this gateway's own peer is appended later.
        let claimed = request.fields.get("x-forwarded-for").map(|value| String::from_utf8_lossy(value).into_owned());
        open.facts.forwarded_for = claimed.filter(|value| !value.is_empty());
    }
    identify(client, open, &mut request);

    let published = open.published.clone();
    let Some(router) = published.snapshot.route(entry.id, client.tls.is_some(), &request) else {
        return match client.worker.shared.is_synced() {
            true => Ok(Decided::Answer(LocalResponse::unmatched(entry.config.http.unmatched_status))),
            false => Err(Refused(Reason::Starting, String::new())),
        };
    };
    open.facts.router = Some(router.id);
    open.facts.phases.routed = open.detail();
    if let Some(tls) = &client.tls
        && !published.snapshot.tls_allows(entry.id, tls.server_name.as_deref(), host, router)
    {
        return Err(Refused(Reason::Misdirected, "the TLS options of this connection are not those of the host".into()));
    }
    write_host(&mut request);
    let route = published.route(router);
    if route.informs {
        inform(open, &mut request);
    }
    if let Some(answer) = pass_stages(client, open, &published, router, &mut request).await {
        return Ok(Decided::Answer(answer));
    }
    if let Service::Internal(internal) = published.service(router.service) {
        #[cfg(planted = "api_stale")]
        let published = match fairlead_net::sim::is_planted("api_stale") {
            true => crate::published::kept(&client.worker.shared.published, usize::MAX, 1_000),
            false => published.clone(),
        };
        let answer = client.worker.shared.internals.respond(*internal, client, &request, &published);
        return Ok(Decided::Internal(answer));
    }
    if route.adds_forwarded_for {
        forwarded::append_for(&entry.forwarded, &mut request.fields, client.peer.ip());
    }
    if !client.worker.shared.pseudonym.is_empty() {
        let received = if *version == Version::Http2 { "2.0" } else { "1.1" };
        hop::append_via(&mut request.fields, received, &client.worker.shared.pseudonym);
    }
    // A middleware may have taken the upgrade out of it.
    *upgrade = *upgrade && request.fields.get("upgrade").is_some();
    // What goes to the server is what was decided on. The authority is what HTTP/2 servers are told.
    let host = request.fields.get("host").unwrap_or_default();
    let authority = (host != raw_authority.as_bytes()).then(|| String::from_utf8_lossy(host).into_owned());
    let unchanged = origin_form && matches!((&request.path, &request.query), (Cow::Borrowed(_), None | Some(Cow::Borrowed(_))));
    let rewritten = (!unchanged).then(|| match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.to_string(),
    });
    if let Some(rewritten) = rewritten {
        *raw_target = rewritten;
    }
    if let Some(authority) = authority {
        head.authority = authority;
    }
    Ok(Decided::Forward(router.service))
}

/// `Host` becomes the host that was decided on: the absolute form's, or HTTP/2's `:authority`, in normal spelling.
fn write_host(request: &mut Request<'_, View<'_>>) {
    if request.host.is_empty() {
        return;
    }
    let mut normal: SmallVec<[u8; 64]> = SmallVec::new();
    // Writing to memory cannot fail.
    let _ = match request.port {
        Some(port) => write!(normal, "{}:{port}", request.host),
        None => write!(normal, "{}", request.host),
    };
    if request.fields.get("host") != Some(&normal) {
        request.fields.set("Host", &normal);
    }
}

/// Gives the request its identifier, where the operator wants one.
fn identify(client: &Client, open: &mut Open, request: &mut Request<'_, View<'_>>) {
    let Some(wanted) = &client.worker.shared.request_id else { return };
    let trusted = wanted.trust_incoming && client.entry.forwarded.trusts(client.peer.ip());
    let brought = request.fields.get(&wanted.header).filter(|id| trusted && id.len() <= 128);
    let id = match brought {
        Some(id) => String::from_utf8_lossy(id).into_owned(),
        None => new_id(),
    };
    request.fields.set(&wanted.header, id.as_bytes());
    open.facts.request_id = Some(id);
}

/// Has the response tell how it came about. The server is told the identifier; what a client sends as one is not believed.
fn inform(open: &mut Open, request: &mut Request<'_, View<'_>>) {
    let id = open.facts.request_id.get_or_insert_with(new_id);
    request.fields.set(Info::REQUEST_ID, id.as_bytes());
    open.facts.info = Some(Box::default());
}

/// 32 hexadecimal digits.
fn new_id() -> String {
    format!("{:016x}{:016x}", random::u64(), random::u64())
}

/// The middlewares in order; `Some` when one of them answers. An answer passes back through those outside of it.
async fn pass_stages(
    client: &Client,
    open: &mut Open,
    published: &Published,
    router: &CompiledRouter,
    request: &mut Request<'_, View<'_>>,
) -> Option<LocalResponse> {
    let stages = &published.route(router).stages;
    if stages.is_empty() {
        return None;
    }
    let mut ctx = Ctx { now: client.worker.shared.since_epoch(open.started), user: None };
    let mut answer = None;
    for (i, slot) in stages.iter().enumerate() {
        let flow = match slot.stage.request(&slot.state, request, &mut ctx) {
            Flow::Authenticate(check) => match task::spawn_blocking(move || check.verify()).await {
                Ok(verdict) => slot.stage.settle(&slot.state, request, verdict),
                Err(e) => {
                    open.facts.detail = e.to_string();
                    Flow::Respond(LocalResponse::of(Reason::Internal))
                }
            },
            other => other,
        };
        if let Flow::Respond(mut response) = flow {
            for outer in stages[..i].iter().rev().filter(|outer| outer.stage.edits_response()) {
                let mut fields = std::mem::take(&mut response.fields);
                outer.stage.response(&mut respond::Local(&mut fields));
                response.fields = fields;
            }
            answer = Some(response);
            break;
        }
    }
    open.facts.user = ctx.user;
    answer
}

async fn answer<D: Downstream>(
    client: &Client,
    head: &RequestHead,
    response: &mut ResponseHead,
    down: &mut D,
    open: &mut Open,
    mut answer: LocalResponse,
    served: bool,
) -> End {
    open.facts.reason = Some(answer.reason);
    open.facts.status = answer.status;
    open.inform(client, &mut respond::Local(&mut answer.fields));
    let mut stamps = respond::Stamps::new(&client.worker.shared, open.facts.request_id.as_deref());
    stamps.served = served;
    if client.token.is_draining() {
        down.end_after();
    }
    let sent = time::timeout(SLOWEST_READER, respond::send(down, response, &head.method, &answer, stamps)).await;
    open.elapsed();
    match sent {
        Ok(Ok(bytes)) => {
            open.facts.response_bytes = bytes;
            return End::Complete;
        }
        Ok(Err(e)) => open.facts.detail = e.detail,
        Err(_) => open.facts.detail = "the client does not read the answer".into(),
    }
    open.facts.client_gone = true;
    down.abort();
    End::Broken
}

/// How long an answer of Fairlead's own, which is short, may take to be read.
const SLOWEST_READER: Duration = Duration::from_secs(30);

/// Writes the exchange down, as of the last look at the clock: metrics, access log, span. Gives back the buffer of the target.
pub fn record(client: &Client, head: &RequestHead, response: &ResponseHead, mut open: Open) -> String {
    let trace = std::mem::replace(&mut open.trace, Trace::off());
    let Open { published, facts, target, .. } = &open;
    let total = open.so_far();
    let router = facts.router.and_then(|id| published.snapshot.router(id));
    let (path, query) = target.split_once('?').map_or((&**target, None), |(path, query)| (path, Some(query)));
    let record = Record {
        started: if open.detailed { began(total) } else { Duration::ZERO },
        total,
        phases: facts.phases,
        observe: router.map_or(Observe::ALL, |router| {
            let wanted = router.router.observability;
            Observe { access_log: wanted.access_log, metrics: wanted.metrics, tracing: wanted.tracing }
        }),
        router: router.map(|router| &*published.route(router).series),
        service: facts.backend.as_ref().map(|backend| &*backend.series),
        server_url: facts.endpoint.as_ref().map(|endpoint| &*endpoint.url.text),
        server_instance: facts.endpoint.as_ref().map(|e| e.key.instance.as_str()).filter(|instance| !instance.is_empty()),
        server_node: facts.endpoint.as_ref().map(|e| e.node.as_str()).filter(|node| !node.is_empty()),
        peer: Some(client.peer),
        forwarded_for: facts.forwarded_for.as_deref(),
        scheme: client.scheme(),
        query,
        version: head.version,
        origin_fields: facts.origin_status.map(|_| &response.fields),
        response_fields: Some(&response.fields),
        status: facts.status,
        origin_status: facts.origin_status,
        reason: facts.reason,
        request_bytes: facts.request_bytes,
        origin_bytes: if facts.origin_status.is_some() { facts.response_bytes } else { 0 },
        response_bytes: facts.response_bytes,
        attempts: facts.attempts,
        tls: client.tls.as_ref().map(|tls| TlsInfo {
            version: tls.version,
            cipher: &tls.cipher,
            sni: tls.server_name.as_deref(),
            client_subject: None,
        }),
        user: facts.user.as_deref(),
        snapshot: published.snapshot.number(),
        request_id: facts.request_id.as_deref(),
        truncated: facts.truncated,
        client_closed: facts.client_gone,
        ..Record::new(&client.entry.series, &head.method, &head.authority, path, &head.fields)
    };
    if !facts.detail.is_empty() {
        tracing::debug!(
            entry_point = client.entry.name,
            client = %client.peer,
            status = facts.status,
            reason = facts.reason.map(Reason::name),
            detail = facts.detail,
            "request"
        );
    }
    client.worker.telemetry.finish(&record, trace);
    open.target
}

/// Writes down what was answered without having been a request.
pub fn record_refused(
    client: &Client,
    head: &RequestHead,
    response: &ResponseHead,
    answer: &LocalResponse,
    detail: &str,
    sent: bool,
) {
    let mut facts = Facts { reason: Some(answer.reason), status: answer.status, client_gone: !sent, ..Facts::default() };
    detail.clone_into(&mut facts.detail);
    let open = Open { facts, ..Open::new(client, time::now(), Trace::off(), head.target.clone()) };
    record(client, head, response, open);
}

/// When something began that has just ended, as time since 1970.
pub fn began(total: Duration) -> Duration {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(total)
}
