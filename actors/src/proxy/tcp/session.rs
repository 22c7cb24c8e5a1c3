//! What a connection was, written down once when it ends, however it ends: also when it is cut off.

use crate::{
    backend::Backend,
    endpoint::Endpoint,
    proxy::connection::Client,
    published::Published,
    telemetry::{Observe, Phases, Record, TlsInfo, Trace},
    worker::Worker,
};
use fairlead_core::{http::Scheme, reason::Reason, snapshot::CompiledTcpRouter};
use fairlead_net::{
    clock,
    http::{Fields, Method},
    time::{self, Duration, Instant},
};
use std::{sync::Arc, time::SystemTime};

/// One connection, from the moment when it was known whose it is.
pub struct Session<'c> {
    client: &'c Client,
    published: &'c Arc<Published>,
    router: Option<&'c CompiledTcpRouter>,
    server_name: Option<&'c str>,
    started: Instant,
    wall: SystemTime,
    backend: Option<Arc<Backend>>,
    endpoint: Option<Arc<Endpoint>>,
    phases: Phases,
    attempts: u32,
    up: u64,
    down: u64,
    is_open: bool,
    /// Cut off, unless it ends by itself.
    reason: Option<Reason>,
    detail: String,
}

impl<'c> Session<'c> {
    /// It begins. Without a router, nobody has taken it yet.
    pub fn new(
        client: &'c Client,
        published: &'c Arc<Published>,
        router: Option<&'c CompiledTcpRouter>,
        server_name: Option<&'c str>,
    ) -> Self {
        Self {
            client,
            published,
            router,
            server_name,
            started: time::now(),
            wall: clock::now(),
            backend: None,
            endpoint: None,
            phases: Phases { routed: Some(Duration::ZERO), ..Phases::default() },
            attempts: 0,
            up: 0,
            down: 0,
            is_open: false,
            reason: Some(Reason::Draining),
            detail: "cut off: this gateway has ended".into(),
        }
    }

    pub fn client(&self) -> &'c Client {
        self.client
    }

    pub fn worker(&self) -> &'c Arc<Worker> {
        &self.client.worker
    }

    pub fn published(&self) -> &'c Arc<Published> {
        self.published
    }

    /// These servers are asked.
    pub fn enter(&mut self, backend: &Arc<Backend>) {
        self.phases.origin_start = Some(self.elapsed());
        self.backend = Some(backend.clone());
    }

    /// This server is connected to.
    pub fn tries(&mut self, endpoint: &Arc<Endpoint>) {
        self.attempts += 1;
        self.endpoint = Some(endpoint.clone());
    }

    /// This server it came to.
    pub fn settled(&mut self, endpoint: &Arc<Endpoint>) {
        self.endpoint = Some(endpoint.clone());
        self.phases.connected = Some(self.elapsed());
    }

    /// Client and server are joined.
    pub fn joined(&mut self) {
        self.is_open = true;
        if let Some(backend) = &self.backend {
            backend.series.tcp_connections.inc();
            backend.series.tcp_open.inc();
        }
    }

    /// So many bytes went to the server, and to the client, so far.
    pub fn moved(&mut self, up: u64, down: u64) {
        (self.up, self.down) = (up, down);
    }

    /// It is closed without having been joined.
    pub fn refuse(self, reason: Reason, detail: String) {
        self.end(Some(reason), detail);
    }

    /// It has ended by itself; `reason`: one side broke it off.
    pub fn end(mut self, reason: Option<Reason>, detail: String) {
        (self.reason, self.detail) = (reason, detail);
    }

    fn elapsed(&self) -> Duration {
        time::now().duration_since(self.started)
    }
}

impl Drop for Session<'_> {
    /// Writes it down.
    fn drop(&mut self) {
        if let Some(backend) = self.backend.as_ref().filter(|_| self.is_open) {
            backend.series.tcp_open.dec();
            backend.series.tcp_sent.add(self.up);
            backend.series.tcp_received.add(self.down);
        }
        let total = self.elapsed();
        self.phases.origin_end = self.phases.origin_start.map(|_| total);
        let client = self.client;
        let fields = Fields::default();
        let name = self.server_name.unwrap_or_default();
        let ended_here = client.tls.as_ref();
        let tls = (ended_here.is_some() || self.server_name.is_some()).then(|| TlsInfo {
            version: ended_here.map_or("", |tls| tls.version),
            cipher: ended_here.map_or("", |tls| &tls.cipher),
            sni: self.server_name,
            client_subject: None,
        });
        let record = Record {
            started: self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            total,
            phases: self.phases,
            observe: Observe { tracing: false, ..Observe::ALL },
            router: self.router.and_then(|router| self.published.tcp_routes.get(router.id.0)).map(|series| &**series),
            service: self.backend.as_ref().map(|backend| &*backend.series),
            server_url: self.endpoint.as_ref().map(|endpoint| &*endpoint.url.text),
            server_instance: self.endpoint.as_ref().map(|e| e.key.instance.as_str()).filter(|instance| !instance.is_empty()),
            server_node: self.endpoint.as_ref().map(|e| e.node.as_str()).filter(|node| !node.is_empty()),
            peer: Some(client.peer),
            scheme: if tls.is_some() { Scheme::Https } else { Scheme::Http },
            tcp: true,
            // For filters of the log alone.
            status: self.reason.map_or(200, Reason::status),
            reason: self.reason,
            request_bytes: self.up,
            origin_bytes: self.down,
            response_bytes: self.down,
            attempts: self.attempts,
            tls,
            snapshot: self.published.snapshot.number(),
            truncated: self.reason == Some(Reason::UpstreamTruncated),
            client_closed: self.reason == Some(Reason::ClientClosed),
            ..Record::new(&client.entry.series, &Method::Get, name, name, &fields)
        };
        if !self.detail.is_empty() {
            tracing::debug!(
                entry_point = client.entry.name,
                client = %client.peer,
                server_name = name,
                reason = self.reason.map(Reason::name),
                detail = self.detail,
                "connection"
            );
        }
        client.worker.telemetry.finish(&record, Trace::off());
    }
}
