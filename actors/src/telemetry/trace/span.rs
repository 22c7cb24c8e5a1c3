//! Spans and their attributes, named as OpenTelemetry's semantic conventions and Traefik v3 name them.

use super::{
    AttemptRecord, Context, Record, TracingOptions,
    context::{SpanId, TraceId},
};
use crate::telemetry::nanos;
use fairlead_net::http::{Fields, Version};

/// Which side of a call a span describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that came in.
    Server,
    /// A request that went out.
    Client,
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    /// Several texts: the lines of one header.
    Texts(Vec<String>),
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// The parent is in another process.
    pub parent_is_remote: bool,
    pub trace_state: String,
    pub name: String,
    pub kind: SpanKind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    pub attributes: Vec<(&'static str, Value)>,
    /// Headers that configuration asked for: `http.request.header.<name>`.
    pub headers: Vec<(String, Value)>,
    /// What failed; `None` leaves the status unset.
    pub error: Option<String>,
}

/// Longest text of an attribute.
const LONGEST: usize = 1024;

/// The span of the request itself.
pub(super) fn server(context: &Context, state: String, record: &Record<'_>, options: &TracingOptions) -> Span {
    let mut attributes = Vec::with_capacity(24);
    let mut text = |name, value: &str| attributes.push((name, Value::Text(cut(value))));
    text("entry_point", record.entry_point.name());
    text("http.request.method", record.method.as_str());
    text("network.protocol.version", version(record.version));
    text("url.path", record.path);
    if let Some(query) = record.query {
        text("url.query", &redact(query, &options.safe_query_params));
    }
    text("url.scheme", record.scheme.as_str());
    if let Some(agent) = record.request_fields.get("user-agent") {
        text("user_agent.original", &String::from_utf8_lossy(&agent[..agent.len().min(LONGEST)]));
    }
    text("server.address", record.authority);
    text("client.address", &record.client_host());
    if let Some(router) = record.router {
        text("traefik.router.name", router.name());
    }
    if let Some(service) = record.service {
        text("traefik.service.name", service.name());
    }
    if let Some(why) = record.reason {
        text("fairlead.reason", why.name());
    }
    if let Some(id) = record.request_id {
        text("fairlead.request.id", id);
    }
    if let Some(tls) = &record.tls {
        text("tls.protocol.version", tls.version);
        text("tls.cipher", tls.cipher);
    }
    let mut int = |name, value: u64| attributes.push((name, Value::Int(i64::try_from(value).unwrap_or(i64::MAX))));
    int("http.request.body.size", record.request_bytes);
    int("http.response.body.size", record.response_bytes);
    int("http.response.status_code", u64::from(record.status));
    int("fairlead.attempts", u64::from(record.attempts));
    int("fairlead.snapshot", record.snapshot);
    if let Some(peer) = record.peer {
        int("network.peer.port", u64::from(peer.port()));
        int("client.port", u64::from(peer.port()));
        attributes.push(("network.peer.address", Value::Text(peer.ip().to_string())));
    }
    let mut headers = captured("http.request.header.", &options.captured_request_headers, Some(record.request_fields));
    headers.extend(captured("http.response.header.", &options.captured_response_headers, record.response_fields));
    let broken = record.truncated && !record.client_closed;
    let error = (record.status >= 500 || record.status < 100 || broken)
        .then(|| record.reason.map_or_else(|| record.status.to_string(), |why| why.name().to_owned()));
    let start = nanos(record.started);
    Span {
        trace: context.trace,
        id: context.span,
        parent: context.parent,
        parent_is_remote: context.parent.is_some(),
        trace_state: state,
        name: cut(record.method.as_str()),
        kind: SpanKind::Server,
        start,
        end: start.saturating_add(nanos(record.total)),
        attributes,
        headers,
        error,
    }
}

/// The span of one attempt at a server. Its times are relative to the start of the request.
pub(super) fn client(context: &Context, state: &str, number: u64, record: &AttemptRecord<'_>) -> Span {
    let mut attributes = Vec::with_capacity(12);
    let mut text = |name, value: &str| attributes.push((name, Value::Text(cut(value))));
    // h2c is http to everybody else.
    let scheme = if record.scheme == "https" { "https" } else { "http" };
    let host = if record.host.contains(':') { format!("[{}]", record.host) } else { record.host.to_owned() };
    text("http.request.method", record.method.as_str());
    text("network.protocol.version", version(record.version));
    text("url.full", &format!("{scheme}://{host}:{}{}", record.port, record.path));
    text("url.scheme", scheme);
    text("server.address", record.host);
    if let Some(why) = record.error {
        text("error.type", why.name());
    }
    if let Some(addr) = record.server_addr {
        text("network.peer.address", &addr.ip().to_string());
        attributes.push(("network.peer.port", Value::Int(i64::from(addr.port()))));
    }
    attributes.push(("server.port", Value::Int(i64::from(record.port))));
    if let Some(status) = record.status {
        attributes.push(("http.response.status_code", Value::Int(i64::from(status))));
    }
    if number > 1 {
        attributes.push(("http.request.resend_count", Value::Int(i64::try_from(number - 1).unwrap_or(i64::MAX))));
    }
    attributes.push(("fairlead.connection.reused", Value::Bool(record.reused)));
    let failed = record.status.filter(|status| *status >= 400).map(|status| status.to_string());
    Span {
        trace: context.trace,
        id: context.span,
        parent: context.parent,
        parent_is_remote: false,
        trace_state: state.to_owned(),
        name: "ReverseProxy".to_owned(),
        kind: SpanKind::Client,
        start: nanos(record.started),
        end: nanos(record.ended),
        attributes,
        headers: Vec::new(),
        error: record.error.map(|why| why.name().to_owned()).or(failed),
    }
}

fn captured(prefix: &str, names: &[String], fields: Option<&Fields>) -> Vec<(String, Value)> {
    let Some(fields) = fields else { return Vec::new() };
    let present = names.iter().filter(|name| fields.contains(name));
    present
        .map(|name| {
            let lines = fields.get_all(name).take(16).map(|v| cut(&String::from_utf8_lossy(&v[..v.len().min(LONGEST)])));
            (format!("{prefix}{}", name.to_ascii_lowercase()), Value::Texts(lines.collect()))
        })
        .collect()
}

/// The query with the values of all parameters that are not known to be harmless replaced.
fn redact(query: &str, safe: &[String]) -> String {
    let mut out = String::with_capacity(query.len().min(LONGEST));
    for (index, pair) in query.split('&').enumerate() {
        if out.len() > LONGEST {
            break;
        }
        if index > 0 {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) if !safe.iter().any(|s| s == name) => {
                out.push_str(name);
                out.push_str("=REDACTED");
            }
            _ => out.push_str(pair),
        }
    }
    out
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}

/// At most [`LONGEST`] bytes, cut between characters.
fn cut(value: &str) -> String {
    value[..value.floor_char_boundary(LONGEST)].to_owned()
}
