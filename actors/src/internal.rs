//! Services inside the gateway: `ping@internal`, `api@internal`, `prometheus@internal`, `noop@internal`, and the demo's whoami.

use crate::{
    gateway::Directory,
    proxy::{connection::Client, fields::View},
    published::Published,
};
use fairlead_core::{
    config::{dynamic::Internal, static_::StaticConfig},
    http::{Fields as _, Request},
    reason::Reason,
    response::LocalResponse,
};
use fairlead_net::clock;
use std::{fmt::Write as _, sync::Arc, time::SystemTime};

/// What internal services answer from.
pub struct Internals {
    config: Arc<StaticConfig>,
    directory: Arc<Directory>,
}

impl Internals {
    /// Internal services over this gateway's state.
    pub fn new(config: Arc<StaticConfig>, directory: Arc<Directory>) -> Self {
        Self { config, directory }
    }

    /// Answers a request that was routed to an internal service.
    pub fn respond(
        &self,
        service: Internal,
        client: &Client,
        request: &Request<'_, View<'_>>,
        published: &Published,
    ) -> LocalResponse {
        match service {
            Internal::Noop => LocalResponse::of(Reason::Noop),
            Internal::Ping => self.ping(request),
            Internal::Metrics => {
                let since_1970 = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let text = client.worker.telemetry.render_prometheus(since_1970);
                ok("text/plain; version=0.0.4; charset=utf-8", text)
            }
            Internal::Whoami => ok("text/plain; charset=utf-8", whoami(client, request)),
            Internal::Api => self.api(request, published),
        }
    }

    fn ping(&self, request: &Request<'_, View<'_>>) -> LocalResponse {
        let draining = self.directory.is_draining();
        if request.path.ends_with("/ready") {
            return if self.directory.is_ready() {
                ok(TEXT, "READY".into())
            } else {
                LocalResponse::text(Reason::Draining, 503, "NOT READY")
            };
        }
        match &self.config.ping {
            Some(ping) if draining => LocalResponse::text(Reason::Draining, ping.terminating_status, "TERMINATING"),
            _ => ok(TEXT, "OK".into()),
        }
    }

    fn api(&self, _request: &Request<'_, View<'_>>, _published: &Published) -> LocalResponse {
        LocalResponse::of(Reason::NoRoute)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn ok(content_type: &'static str, body: String) -> LocalResponse {
    LocalResponse { status: 200, reason: Reason::Noop, fields: Vec::new(), body: body.into_bytes().into() }
        .with("Content-Type", content_type)
}

/// What the well-known image of that name answers: who was asked, and what arrived.
fn whoami(client: &Client, request: &Request<'_, View<'_>>) -> String {
    let mut text = format!("Name: {}\n", client.entry.name);
    // Writing to a String cannot fail.
    let _ = write!(text, "RemoteAddr: {}\n{} {} HTTP/1.1\nHost: {}\n", client.peer, request.method, request.path, request.host);
    request.fields.each(&mut |name, value| {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value));
    });
    text
}
