//! The administration API, `/ping`, `/ready`, `/metrics` and the dashboard: pure functions from a view of the process to a response.
//!
//! Owns the shapes of the answers (Traefik's for `/api/…`, Fairlead's own below `/api/fairlead/`), paging, redaction, and the
//! guard at the door: read-only, no foreign `Host` or `Origin`, no caching, no framing.
//!
//! Deliberately absent: sockets, state of its own, authentication (a router's middlewares, or the loopback listener), and any
//! secret: passwords, keys and credentials in URLs and headers are replaced before they become text.

mod dashboard;
mod explain;
mod frontends;
mod guard;
mod list;
mod object;
mod overview;
mod query;
mod response;
mod status;
mod tcp;
mod verdict;

pub use response::Response;
pub use status::{CertificateView, EndpointState, EndpointView, ProviderView};

use fairlead_core::{
    Snapshot,
    config::{Config, Rejection},
};
use query::Query;
use response::{error, json, text};
use std::{net::IpAddr, time::Duration};
use verdict::Verdicts;

/// Which parts are served here. A router's internal service opens its own part only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surface {
    /// `/api/…`
    pub api: bool,
    /// `/dashboard/`, which needs the API.
    pub dashboard: bool,
    /// `/ping` and `/ready`.
    pub ping: bool,
    pub metrics: bool,
}

impl Surface {
    /// Everything.
    pub const ALL: Self = Self { api: true, dashboard: true, ping: true, metrics: true };
}

/// What stays the same while the process lives.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Goes before `/api` and `/dashboard`; empty, or beginning with `/` and not ending with one.
    pub base_path: String,
    /// Names under which this API may be addressed, besides addresses, `localhost` and names without a dot.
    pub allowed_hosts: Vec<String>,
    /// Of `/ping` while the process is ending.
    pub terminating_status: u16,
    pub version: String,
    /// Seconds since 1970.
    pub started: Duration,
    /// As the overview names it: empty, or `OTLP`.
    pub tracing: &'static str,
    /// Empty, or `Prometheus`.
    pub metrics: &'static str,
    pub access_log: bool,
    pub entry_points: Vec<EntryPointView>,
}

impl Default for AdminOptions {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            allowed_hosts: Vec::new(),
            terminating_status: 503,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Duration::ZERO,
            tracing: "",
            metrics: "",
            access_log: false,
            entry_points: Vec::new(),
        }
    }
}

/// An entry point as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPointView {
    pub name: String,
    /// As configured: `:80`.
    pub address: String,
    /// Its static configuration in Traefik's spelling, secrets already left out.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// What is missing before the process may be given traffic. Empty: ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// In words: `provider etcd has not answered yet`.
    pub missing: Vec<String>,
    /// The process is ending.
    pub terminating: bool,
}

/// The process at one moment.
pub struct AdminState<'a> {
    pub options: &'a AdminOptions,
    /// The configuration that the snapshot was built from.
    pub config: &'a Config,
    pub snapshot: &'a Snapshot,
    pub rejections: &'a [Rejection],
    /// Digest of the configuration in force, as text.
    pub config_hash: &'a str,
    pub providers: &'a [ProviderView],
    /// Sorted by service, then URL.
    pub endpoints: &'a [EndpointView],
    pub certificates: &'a [CertificateView],
    pub readiness: &'a Readiness,
    /// Time since 1970.
    pub now: Duration,
    /// [`crate::telemetry::Telemetry::render_prometheus`], called only for `/metrics`.
    pub render_metrics: &'a dyn Fn() -> String,
}

/// A request to this API.
#[derive(Clone, Copy, Debug)]
pub struct AdminRequest<'a> {
    pub surface: Surface,
    pub method: &'a str,
    /// Canonical, escaped.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// As the client named it: `Host`, or `:authority`.
    pub authority: &'a str,
    pub origin: Option<&'a str>,
    pub sec_fetch_site: Option<&'a str>,
    pub sec_fetch_mode: Option<&'a str>,
    /// An operator's rule has demanded this very host already, so that it needs no other permission.
    pub host_was_matched: bool,
    pub client: IpAddr,
}

/// Answers a request. For HEAD the body is that of GET, and is the caller's to leave out.
pub fn respond(state: &AdminState<'_>, request: &AdminRequest<'_>) -> Response {
    let response = guard::check(state.options, request).unwrap_or_else(|| route(state, request));
    guard::harden(response)
}

fn route(state: &AdminState<'_>, request: &AdminRequest<'_>) -> Response {
    let surface = request.surface;
    match request.path {
        "/ping" if surface.ping => return ping(state),
        "/ready" if surface.ping => return ready(state),
        "/metrics" if surface.metrics => return text(200, "text/plain; version=0.0.4; charset=utf-8", (state.render_metrics)()),
        _ => {}
    }
    let Some(path) = request.path.strip_prefix(state.options.base_path.as_str()) else { return not_found() };
    if surface.dashboard
        && let Some(page) = dashboard::page(path)
    {
        return page;
    }
    match path.strip_prefix("/api/") {
        None if surface.api && path == "/api" => json(&frontends::providers(state)),
        Some("") if surface.api => json(&frontends::providers(state)),
        Some(path) if surface.api => api(state, request, path),
        _ => not_found(),
    }
}

fn api(state: &AdminState<'_>, request: &AdminRequest<'_>, path: &str) -> Response {
    let query = match Query::parse(request.query.unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return error(400, &message),
    };
    let segments: Vec<String> = path.split('/').map(query::decode_segment).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let verdicts = || Verdicts::new(state.config, state.rejections);
    match segments.as_slice() {
        ["version"] => json(&overview::version(state)),
        ["overview"] => json(&overview::overview(state, &verdicts())),
        ["rawdata"] => json(&overview::raw_data(state, &verdicts())),
        ["providers"] => json(&frontends::providers(state)),
        ["providers", name] => frontends::provider(state, name).map_or_else(not_found, |provider| json(&provider)),
        ["entrypoints"] => list::entry_points(state, &query),
        ["entrypoints", name] => list::entry_point(state, name),
        ["http", "routers"] => list::routers(state, &verdicts(), &query),
        ["http", "routers", name] => list::router(state, &verdicts(), name),
        ["http", "services"] => list::services(state, &verdicts(), &query),
        ["http", "services", name] => list::service(state, &verdicts(), name),
        ["http", "middlewares"] => list::middlewares(state, &verdicts(), &query),
        ["http", "middlewares", name] => list::middleware(state, &verdicts(), name),
        ["tcp", "routers"] => tcp::routers(state, &verdicts(), &query),
        ["tcp", "routers", name] => tcp::router(state, &verdicts(), name),
        ["tcp", "services"] => tcp::services(state, &verdicts(), &query),
        ["tcp", "services", name] => tcp::service(state, &verdicts(), name),
        ["tcp", "middlewares"] => tcp::middlewares(state, &verdicts(), &query),
        ["tcp", "middlewares", name] => tcp::middleware(state, &verdicts(), name),
        // Fairlead serves none of these yet; a dashboard made for Traefik asks all the same.
        ["udp", "routers" | "services"] => list::page(&query, Vec::new()),
        ["certificates"] => list::page(&query, status::certificates(state)),
        ["fairlead", "status"] => json(&status::status(state)),
        ["fairlead", "endpoints"] => list::page(&query, status::endpoints(state, &query)),
        ["fairlead", "explain"] => explain::respond(state, &query, request.client),
        _ => not_found(),
    }
}

fn ping(state: &AdminState<'_>) -> Response {
    if state.readiness.terminating {
        let status = state.options.terminating_status;
        return text(status, "text/plain; charset=utf-8", "terminating\n".to_owned());
    }
    text(200, "text/plain; charset=utf-8", "OK".to_owned())
}

fn ready(state: &AdminState<'_>) -> Response {
    let readiness = state.readiness;
    if !readiness.terminating && readiness.missing.is_empty() {
        return text(200, "text/plain; charset=utf-8", "OK".to_owned());
    }
    let mut body = if readiness.terminating { "terminating\n".to_owned() } else { String::new() };
    for missing in &readiness.missing {
        body.push_str(missing);
        body.push('\n');
    }
    text(503, "text/plain; charset=utf-8", body)
}

fn not_found() -> Response {
    error(404, "not found")
}

#[cfg(test)]
mod tests;
