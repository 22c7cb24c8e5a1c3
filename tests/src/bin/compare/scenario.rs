//! What is measured: one kind of load each, by wrk or h2load.

use crate::proxies::{Field, Proxy};
use fairlead_tests::{
    load::{Tally, h2load_tally, wrk_tally},
    process::cpu_seconds,
};
use std::{process::Command, time::Instant};

/// One kind of load.
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    kind: Kind,
}

enum Kind {
    /// wrk over plain HTTP/1.1: connections, path, more arguments.
    Plain(u32, &'static str, &'static [&'static str]),
    /// The same over TLS.
    Tls(u32, &'static [&'static str]),
    /// h2load over TLS: connections, streams each.
    Http2(u32, u32),
}

/// Every scenario, in the order of the report.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "h1-keepalive-64", what: "HTTP/1.1, small body, 64 connections", kind: Kind::Plain(64, "/", &[]) },
    Scenario { name: "h1-keepalive-512", what: "the same with 512 connections", kind: Kind::Plain(512, "/", &[]) },
    Scenario { name: "h1-close", what: "a connection per request", kind: Kind::Plain(64, "/", &["-H", "Connection: close"]) },
    Scenario { name: "h1-100KiB", what: "bodies of 100 KiB", kind: Kind::Plain(32, "/big", &[]) },
    Scenario { name: "tls13-h1", what: "HTTP/1.1 over TLS 1.3, kept alive", kind: Kind::Tls(64, &[]) },
    Scenario {
        name: "tls13-handshake",
        what: "a full TLS 1.3 handshake per request",
        kind: Kind::Tls(16, &["-H", "Connection: close"]),
    },
    Scenario { name: "h2-tls", what: "HTTP/2 over TLS, 16 connections of 16 streams", kind: Kind::Http2(16, 16) },
];

/// One round of one proxy.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// CPU time of the proxy per request.
    pub cpu_micros: f64,
    pub per_second: f64,
    pub p99_millis: Option<f64>,
    pub failed: u64,
}

impl Scenario {
    /// Whether a proxy is measured here. The one with many routes is compared where routing is most of the work.
    pub fn takes(&self, proxy: &Proxy) -> bool {
        proxy.name != "fairlead-10k" || self.name == "h1-keepalive-64"
    }

    /// Puts load on a proxy for so many seconds.
    pub fn sample(&self, proxy: &Proxy, field: &Field, seconds: u32) -> Sample {
        let (cpu, begun) = (cpu_seconds(proxy.id()), Instant::now());
        let tally = self.load(proxy, field, seconds);
        let (cpu, took) = (cpu_seconds(proxy.id()) - cpu, begun.elapsed().as_secs_f64());
        Sample {
            cpu_micros: cpu / tally.requests.max(1) as f64 * 1e6,
            per_second: tally.requests as f64 / took,
            p99_millis: tally.p99.map(|p99| p99.as_secs_f64() * 1e3),
            // Nothing served is a failure too, or it would look cheap.
            failed: tally.failed + u64::from(tally.requests == 0),
        }
    }

    fn load(&self, proxy: &Proxy, field: &Field, seconds: u32) -> Tally {
        let mut command = Command::new("taskset");
        command.args(["-c", &field.load_cpu]);
        let wrk = |command: &mut Command, connections: u32, more: &[&str], url: String| {
            command.args(["wrk", "-t1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--latency"]);
            wrk_tally(&output(command.args(more).arg(url)))
        };
        match self.kind {
            Kind::Plain(connections, path, more) => {
                wrk(&mut command, connections, more, format!("http://127.0.0.1:{}{path}", proxy.plain))
            }
            Kind::Tls(connections, more) => wrk(&mut command, connections, more, format!("https://127.0.0.1:{}/", proxy.tls)),
            Kind::Http2(connections, streams) => {
                let (c, m, d) = (connections.to_string(), streams.to_string(), seconds.to_string());
                command.args(["h2load", "-t1", "-c", &c, "-m", &m, "-D", &d, &format!("https://localhost:{}/", proxy.tls)]);
                h2load_tally(&output(&mut command))
            }
        }
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{:?} does not start: {e}", command.get_program()));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
