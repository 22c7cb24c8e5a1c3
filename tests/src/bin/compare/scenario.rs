//! What is measured. Each file below is one way of measuring; this one names them all, in the order of the report.

mod changes;
mod closed;
mod idle;
mod latency;
mod observed;
mod resumed;
mod routes;
mod websocket;

use crate::{bench::Bench, options::Options, outcome::Outcome};
use closed::Load;

/// One question and its answer.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    kind: Kind,
}

enum Kind {
    /// As many requests as go through.
    Closed(Load),
    Own(fn(&Bench, &Options) -> Outcome),
}

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    closed("h1-keepalive-64", "HTTP/1.1, small body, 64 connections", Load::Plain(64, "/", &[])),
    closed("h1-keepalive-512", "the same with 512 connections", Load::Plain(512, "/", &[])),
    closed("h1-close", "a connection per request", Load::Plain(64, "/", &["-H", "Connection: close"])),
    closed("h1-100KiB", "bodies of 100 KiB", Load::Plain(32, "/big", &[])),
    closed("h1-upload", "uploads of 1 MiB, 8 connections", Load::Upload(8)),
    closed("tls13-h1", "HTTP/1.1 over TLS 1.3, kept alive", Load::Tls(64, &[])),
    closed("tls13-handshake", "a full TLS 1.3 handshake per request", Load::Tls(16, &["-H", "Connection: close"])),
    own("tls13-resumed", "a resumed TLS 1.3 session per request", resumed::run),
    closed("h2-tls", "HTTP/2 over TLS, 16 connections of 16 streams", Load::Http2(16, 16)),
    own("websocket-echo", "WebSocket, 64 connections, small messages there and back", websocket::run),
    own("latency", "time that a proxy adds at half the load that the slowest carries, open loop", latency::run),
    own("idle", "memory at rest, and per idle connection that was used once", idle::run),
    own("routes", "10 to 100,000 routers, the last of them used", routes::run),
    own("access-log", "a JSON access log in a file, off and on", observed::access_log),
    own("tracing", "traces of 1 % of requests over OTLP, off and on", observed::tracing),
    own("changes-1000", "a server changes, 1,000 services, under load", changes::thousand),
    own("changes-10000", "a server changes, 10,000 services, under load", changes::ten_thousand),
];

const fn closed(name: &'static str, what: &'static str, load: Load) -> Scenario {
    Scenario { name, what, kind: Kind::Closed(load) }
}

const fn own(name: &'static str, what: &'static str, run: fn(&Bench, &Options) -> Outcome) -> Scenario {
    Scenario { name, what, kind: Kind::Own(run) }
}

impl Scenario {
    /// Measures.
    pub fn run(&self, bench: &Bench, options: &Options) -> Outcome {
        match &self.kind {
            Kind::Closed(load) => closed::run(self.name, load, bench, options),
            Kind::Own(run) => run(bench, options),
        }
    }
}
