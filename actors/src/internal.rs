//! Services inside the gateway: `ping@internal`, `api@internal`, `prometheus@internal`, `noop@internal`, and the demo's whoami.

use crate::{
    admin::{
        AdminOptions, AdminRequest, AdminState, EndpointState, EndpointView, EntryPointView, ProviderView, Readiness, Surface,
        respond,
    },
    gateway::Directory,
    proxy::{connection::Client, fields::View},
    published::Published,
};
use fairlead_core::{
    config::{
        dynamic::Internal,
        static_::{Protocol, StaticConfig},
    },
    endpoint::Life,
    http::{Fields as _, Request},
    reason::Reason,
    response::LocalResponse,
};
use fairlead_net::{
    clock,
    time::{self, Duration},
};
use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::SystemTime,
};

/// What internal services answer from.
pub struct Internals {
    options: AdminOptions,
    surface: Surface,
    directory: Arc<Directory>,
}

impl Internals {
    /// Internal services over this gateway's state.
    pub fn new(config: &StaticConfig, directory: Arc<Directory>) -> Self {
        let options = AdminOptions {
            base_path: config.api.as_ref().map(|api| api.base_path.clone()).unwrap_or_default(),
            terminating_status: config.ping.as_ref().map_or(503, |ping| ping.terminating_status),
            started: since_1970(),
            tracing: if config.tracing.is_some() { "OTLP" } else { "" },
            metrics: if config.prometheus.is_some() { "Prometheus" } else { "" },
            access_log: config.access_log.is_some(),
            entry_points: config.entry_points.values().map(entry_point).collect(),
            ..AdminOptions::default()
        };
        let api = config.api.as_ref();
        let surface = Surface {
            api: api.is_some(),
            dashboard: api.is_some_and(|api| api.dashboard),
            ping: config.ping.is_some(),
            metrics: config.prometheus.is_some(),
        };
        Self { options, surface, directory }
    }

    /// Answers a request that was routed to an internal service.
    pub fn respond(
        &self,
        service: Internal,
        client: &Client,
        request: &Request<'_, View<'_>>,
        published: &Published,
    ) -> LocalResponse {
        let surface = match service {
            Internal::Noop => return LocalResponse::of(Reason::Noop),
            Internal::Whoami => return whoami(client, request),
            Internal::Ping => Surface { ping: true, ..Surface::default() },
            Internal::Metrics => Surface { metrics: true, ..Surface::default() },
            Internal::Api => Surface { api: true, dashboard: self.surface.dashboard, ..Surface::default() },
        };
        let rejections = self.directory.inputs.rejections();
        let readiness = Readiness { missing: self.directory.missing(), terminating: self.directory.is_draining() };
        // Only the API shows these, and they cost the more the larger the configuration is.
        let (providers, endpoints) = if surface.api { (self.providers(), endpoints(published)) } else { Default::default() };
        let state = AdminState {
            options: &self.options,
            config: &published.config,
            snapshot: &published.snapshot,
            rejections: &rejections,
            config_hash: &self.digest(),
            providers: &providers,
            endpoints: &endpoints,
            certificates: &[],
            readiness: &readiness,
            now: since_1970(),
            render_metrics: &|| client.worker.telemetry.render_prometheus(since_1970()),
        };
        let text = |name| request.fields.get(name).and_then(|value| std::str::from_utf8(value).ok());
        let response = respond(
            &state,
            &AdminRequest {
                surface,
                method: request.method,
                path: &request.path,
                query: request.query.as_deref(),
                authority: text("host").unwrap_or_default(),
                origin: text("origin"),
                sec_fetch_site: text("sec-fetch-site"),
                sec_fetch_mode: text("sec-fetch-mode"),
                host_was_matched: demands_host(published, service, request),
                client: client.peer.ip(),
            },
        );
        LocalResponse {
            status: response.status,
            reason: Reason::NoRoute,
            fields: response.fields.into_iter().map(|(name, value)| (name.into(), value.into_owned().into_bytes())).collect(),
            body: response.body,
        }
    }

    /// Whether every provider has spoken.
    pub fn is_synced(&self) -> bool {
        self.directory.is_synced()
    }

    fn providers(&self) -> Vec<ProviderView> {
        let view = |status: &Arc<crate::config_watch::ProviderStatus>| {
            let view = status.view();
            ProviderView {
                name: status.name().to_owned(),
                healthy: view.healthy,
                synced: view.synced,
                staleness: view.last_success.map(|at| time::now().saturating_duration_since(at)),
                message: view.message,
                revision: view.revision,
                updates: view.updates,
                restarts: view.restarts,
            }
        };
        self.directory.providers.iter().map(view).collect()
    }

    /// The same for two gateways that serve the same revisions.
    fn digest(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.directory.inputs.revisions().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Whether an operator's own rule has let this host in: then it needs no other permission.
fn demands_host(published: &Published, service: Internal, request: &Request<'_, View<'_>>) -> bool {
    published.snapshot.routers().any(|router| {
        let internal = matches!(published.service(router.service), crate::published::Service::Internal(i) if *i == service);
        internal && router.router.rule.hosts().iter().any(|host| host.eq_ignore_ascii_case(request.host.as_str()))
    })
}

fn endpoints(published: &Published) -> Vec<EndpointView> {
    let mut views: Vec<_> = published
        .backends()
        .flat_map(|backend| &backend.endpoints)
        .map(|endpoint| {
            let standing = endpoint.standing();
            let unreachable = endpoint.unreachable();
            let (state, detail) = match standing.life {
                Life::Joining => (EndpointState::Joining, "not yet ready"),
                Life::Draining | Life::Gone => (EndpointState::Draining, "no longer configured"),
                Life::Active if !standing.reachable => (EndpointState::Unreachable, unreachable.as_deref().unwrap_or_default()),
                Life::Active if !standing.probe_up => (EndpointState::Unhealthy, "its health check fails"),
                Life::Active if standing.ejected => (EndpointState::Ejected, "requests to it fail"),
                Life::Active if endpoint.is_suspected() => (EndpointState::Active, "slow to answer: others are asked first"),
                Life::Active => (EndpointState::Active, ""),
            };
            EndpointView {
                service: endpoint.key.service.to_string(),
                url: endpoint.url.text.to_string(),
                instance: endpoint.key.instance.clone(),
                node: endpoint.node.clone(),
                state,
                in_flight: u64::from(endpoint.in_flight()),
                detail: detail.to_owned(),
            }
        })
        .collect();
    views.sort_by(|a, b| (&a.service, &a.url, &a.instance).cmp(&(&b.service, &b.url, &b.instance)));
    views
}

fn entry_point(entry: &fairlead_core::config::static_::EntryPoint) -> EntryPointView {
    let host = entry.address.ip.map(|ip| ip.to_string()).unwrap_or_default();
    let protocol = if entry.address.protocol == Protocol::Udp { "/udp" } else { "" };
    EntryPointView {
        name: entry.name.clone(),
        address: format!("{host}:{}{protocol}", entry.address.port),
        settings: serde_json::Map::new(),
    }
}

fn since_1970() -> Duration {
    clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// What the well-known image of that name answers: who was asked, and what arrived.
fn whoami(client: &Client, request: &Request<'_, View<'_>>) -> LocalResponse {
    let mut text =
        format!("Name: {}\nRemoteAddr: {}\n{} {} HTTP/1.1\n", client.entry.name, client.peer, request.method, request.path);
    request.fields.each(&mut |name, value| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value));
    });
    LocalResponse { status: 200, reason: Reason::NoRoute, fields: Vec::new(), body: text.into_bytes().into() }
        .with("Content-Type", "text/plain; charset=utf-8")
}
