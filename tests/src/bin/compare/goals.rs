//! What the figures have to be: the rows of README's table, each with its goals.

use Goal::{AtMost, Ratio};

/// One row.
pub struct Row {
    pub label: &'static str,
    pub scenario: &'static str,
    pub figure: &'static str,
    /// What a value is followed by.
    pub unit: &'static str,
    /// The column that is Fairlead's.
    pub ours: &'static str,
    /// What the ratio that is shown is taken to.
    pub base: To,
    pub goals: &'static [Goal],
}

/// A limit that is met up to and including it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// So many times another column's figure.
    Ratio(To, f64),
    /// The figure itself.
    AtMost(f64),
}

/// What a ratio is taken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The better of the other proxies.
    Better,
    Column(&'static str),
}

const NGINX: To = To::Column("nginx");
const HAPROXY: To = To::Column("haproxy");
const TEN: To = To::Column("fairlead-10");
const OFF: To = To::Column("fairlead-off");

/// Every row, in the order of the table. One whose scenario was not run is left out.
pub const ROWS: &[Row] = &[
    cpu("HTTP/1.1 keep-alive, 64 connections", "h1-keepalive-64", &[Ratio(NGINX, 0.85), Ratio(HAPROXY, 0.80)]),
    cpu("HTTP/1.1 keep-alive, 512 connections", "h1-keepalive-512", &[Ratio(NGINX, 0.85), Ratio(HAPROXY, 0.80)]),
    cpu("one request per connection", "h1-close", &[Ratio(To::Better, 0.95)]),
    cpu("100 KiB body", "h1-100KiB", &[Ratio(To::Better, 1.0)]),
    cpu("1 MiB upload", "h1-upload", &[]),
    cpu("TLS 1.3 keep-alive", "tls13-h1", &[Ratio(To::Better, 0.75)]),
    cpu("TLS 1.3 full handshake, P-256", "tls13-handshake", &[Ratio(To::Better, 0.65)]),
    cpu("TLS 1.3 resumed", "tls13-resumed", &[]),
    cpu("HTTP/2 over TLS", "h2-tls", &[Ratio(HAPROXY, 1.0)]),
    cpu("WebSocket message, there and back", "websocket-echo", &[]),
    row("added latency at half load, p50", "latency", "addedP50Micros", " µs", &[]),
    row("added latency at half load, p99", "latency", "addedP99Micros", " µs", &[Ratio(To::Better, 1.0)]),
    row("added latency at half load, p99.9", "latency", "addedP999Micros", " µs", &[]),
    row("idle connection, plain", "idle", "idlePlainKiB", " KiB", &[AtMost(2.0)]),
    row("idle connection, TLS", "idle", "idleTlsKiB", " KiB", &[AtMost(12.0)]),
    own("10 routers", "routes", "fairlead-10", TEN, &[]),
    own("1,000 routers, to 10", "routes", "fairlead-1000", TEN, &[]),
    own("10,000 routers, to 10", "routes", "fairlead-10000", TEN, &[Ratio(TEN, 1.05)]),
    own("100,000 routers, to 10", "routes", "fairlead-100000", TEN, &[]),
    own("access log, to none", "access-log", "fairlead-on", OFF, &[Ratio(OFF, 1.10)]),
    own("traces of 1 %, to none", "tracing", "fairlead-on", OFF, &[Ratio(OFF, 1.05)]),
    row("change at 1,000 services, p99", "changes-1000", "p99Millis", " ms", &[]),
    row("change at 10,000 services, p50", "changes-10000", "p50Millis", " ms", &[]),
    row("change at 10,000 services, p99", "changes-10000", "p99Millis", " ms", &[AtMost(30.0)]),
    row("change at 10,000 services, failed requests", "changes-10000", "failed", "", &[AtMost(0.0)]),
    row("memory at 10,000 services", "changes-10000", "residentMiB", " MiB", &[AtMost(50.0)]),
];

const fn cpu(label: &'static str, scenario: &'static str, goals: &'static [Goal]) -> Row {
    row(label, scenario, "cpuMicros", " µs", goals)
}

/// What Fairlead is compared in with itself.
const fn own(label: &'static str, scenario: &'static str, ours: &'static str, base: To, goals: &'static [Goal]) -> Row {
    Row { label, scenario, figure: "cpuMicros", unit: " µs", ours, base, goals }
}

const fn row(
    label: &'static str,
    scenario: &'static str,
    figure: &'static str,
    unit: &'static str,
    goals: &'static [Goal],
) -> Row {
    Row { label, scenario, figure, unit, ours: "fairlead", base: To::Better, goals }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn every_row_has_a_scenario_and_every_scenario_a_row() {
        for row in ROWS {
            assert!(SCENARIOS.iter().any(|scenario| scenario.name == row.scenario), "{}", row.label);
        }
        for scenario in SCENARIOS {
            assert!(ROWS.iter().any(|row| row.scenario == scenario.name), "{}", scenario.name);
        }
    }
}
