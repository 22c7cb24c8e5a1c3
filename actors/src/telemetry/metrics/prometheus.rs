//! The registry in Prometheus' text format. Traefik's names where it has them, `fairlead_…` for the rest.

use super::{
    AttemptOutcome, Histogram, Names, Registry,
    cells::{Key, Sum, Table},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

impl Registry {
    /// Everything there is, and for the last time what nobody holds any more.
    pub(in crate::telemetry) fn render(&self, now: Duration, dropped_lines: u64, dropped_spans: u64) -> String {
        let mut out = Text(String::with_capacity(16 << 10));
        let mut names = self.names.lock();
        self.process(&mut out, dropped_lines, dropped_spans);
        providers(&mut out, &names, now);
        self.requests(&mut out, &names);
        own(&mut out, &names);
        names.routers.retain(|_, series| Arc::strong_count(series) > 1);
        names.services.retain(|_, series| Arc::strong_count(series) > 1);
        names.providers.retain(|_, series| Arc::strong_count(series) > 1);
        names.entry_points.retain(|_, series| Arc::strong_count(series) > 1);
        out.0
    }

    fn process(&self, out: &mut Text, dropped_lines: u64, dropped_spans: u64) {
        let p = &self.process;
        out.one("traefik_config_reloads_total", "counter", "Configurations applied.", p.config_reloads.get());
        out.one(
            "traefik_config_last_reload_success",
            "gauge",
            "When a configuration was last applied, in seconds since 1970.",
            p.config_last_reload_success.get(),
        );
        out.one(
            "fairlead_config_reloads_with_rejections_total",
            "counter",
            "Updates of which some unit was rejected.",
            p.config_reloads_with_rejections.get(),
        );
        out.one("fairlead_config_snapshot", "gauge", "Number of the snapshot in force.", p.snapshot.get());
        out.one("fairlead_config_rejections", "gauge", "Units that are not served as written.", p.rejections.get());
        out.one("fairlead_actor_restarts_total", "counter", "Actors started again after a panic.", p.actor_restarts.get());
        out.one("fairlead_upstream_connections_open", "gauge", "Connections to servers.", p.upstream_open.get());
        out.one(
            "fairlead_upstream_connections_idle",
            "gauge",
            "Connections to servers that wait for a request.",
            p.upstream_idle.get(),
        );
        out.one(
            "fairlead_worker_tasks",
            "gauge",
            "Tasks of the workers: about one for each connection of a client.",
            p.worker_tasks.get(),
        );
        out.one(
            "fairlead_upstream_connects_total",
            "counter",
            "Connections to servers that were opened.",
            p.upstream_connects.get(),
        );
        out.one(
            "fairlead_upstream_reuses_total",
            "counter",
            "Requests over a connection that was there already.",
            p.upstream_reuses.get(),
        );
        out.one("fairlead_access_log_dropped_lines_total", "counter", "Access-log lines that found no room.", dropped_lines);
        out.one(
            "fairlead_access_log_write_errors_total",
            "counter",
            "Batches of access-log lines that could not be written.",
            p.access_log_write_errors.get(),
        );
        out.one("fairlead_trace_dropped_spans_total", "counter", "Spans that found no room.", dropped_spans);
        out.one("fairlead_trace_exported_spans_total", "counter", "Spans that were exported.", p.spans_exported.get());
        out.one("fairlead_trace_failed_spans_total", "counter", "Spans that the exporter gave up.", p.spans_failed.get());
        out.one("fairlead_metrics_overflowed_total", "counter", "Names beyond the cap on series.", p.series_overflowed.get());
        out.head("fairlead_config_event_to_served_seconds", "histogram", "From a provider's event to its snapshot in force.");
        let buckets: Vec<u64> = p.event_to_served.buckets.iter().map(|b| b.load(Relaxed)).collect();
        let labels: Vec<Box<str>> = Histogram::BOUNDS.iter().map(|b| b.to_string().into()).chain(["+Inf".into()]).collect();
        out.histogram("fairlead_config_event_to_served_seconds", "", &labels, &buckets, p.event_to_served.nanos.load(Relaxed));
    }

    fn requests(&self, out: &mut Text, names: &Names) {
        let options = self.options.as_ref();
        if options.is_some_and(|o| o.entry_points) {
            let tables = names.entry_points.values().map(|s| (label("entrypoint", &s.name), &*s.table));
            family(out, "traefik_entrypoint", "at entry points", tables);
        }
        if options.is_some_and(|o| o.routers) {
            let overflow = (join(&label("router", "overflow"), &label("service", "overflow")), &*self.overflow);
            let tables =
                names.routers.values().map(|s| (join(&label("router", s.name()), &label("service", s.service())), &*s.table));
            family(out, "traefik_router", "of routers", tables.chain([overflow]));
        }
        if options.is_some_and(|o| o.services) {
            let overflow = (label("service", "overflow"), &*self.overflow);
            let tables = names.services.values().map(|s| (label("service", s.name()), &*s.table));
            family(out, "traefik_service", "of services", tables.chain([overflow]));
        }
    }
}

/// The five families of one kind of name.
fn family<'a>(out: &mut Text, prefix: &str, of: &str, tables: impl Iterator<Item = (String, &'a Table)>) {
    let tables: Vec<(String, &Table, BTreeMap<Key, Sum>)> =
        tables.map(|(labels, table)| (labels, table, table.sums())).filter(|(_, _, sums)| !sums.is_empty()).collect();
    let rows = || {
        tables.iter().flat_map(|(own, table, sums)| {
            sums.iter().map(move |(key, sum)| {
                let (code, method, protocol) = key.labels();
                (format!(r#"code="{code}",method="{method}",protocol="{protocol}",{own}"#), *table, sum)
            })
        })
    };
    let mut counter = |name: &str, help: &str, value: fn(&Sum) -> u64| {
        out.head(&format!("{prefix}_{name}"), "counter", &format!("{help} {of}."));
        for (labels, _, sum) in rows() {
            out.sample(&format!("{prefix}_{name}"), &labels, value(sum));
        }
    };
    counter("requests_total", "Requests", Sum::count);
    counter("requests_bytes_total", "Bytes of request bodies", |sum| sum.request_bytes);
    counter("responses_bytes_total", "Bytes of response bodies", |sum| sum.response_bytes);
    let name = format!("{prefix}_request_duration_seconds");
    out.head(&name, "histogram", &format!("Duration of requests {of}."));
    for (labels, table, sum) in rows() {
        out.histogram(&name, &labels, &table.shape().labels, &sum.buckets, sum.nanos);
    }
    let name = format!("{prefix}_requests_tls_total");
    out.head(&name, "counter", &format!("Requests over TLS {of}."));
    for (own, table, _) in &tables {
        for ((version, cipher), count) in table.tls_sums() {
            out.sample(&name, &format!(r#"tls_version="{version}",tls_cipher="{cipher}",{own}"#), count);
        }
    }
}

fn providers(out: &mut Text, names: &Names, now: Duration) {
    out.head("fairlead_provider_connected", "gauge", "Whether the provider is in touch with its source.");
    for (name, series) in &names.providers {
        out.sample("fairlead_provider_connected", &label("provider", name), u8::from(series.connected.load(Relaxed)));
    }
    out.head("fairlead_provider_staleness_seconds", "gauge", "Time since the provider was last known to be up to date.");
    for (name, series) in &names.providers {
        let synced = series.synced.load(Relaxed);
        if synced > 0 {
            let age = now.saturating_sub(Duration::from_millis(synced));
            out.sample("fairlead_provider_staleness_seconds", &label("provider", name), age.as_secs_f64());
        }
    }
    out.head("fairlead_provider_updates_total", "counter", "Configurations that the provider gave.");
    for (name, series) in &names.providers {
        out.sample("fairlead_provider_updates_total", &label("provider", name), series.updates.get());
    }
    out.head("fairlead_provider_failures_total", "counter", "Times the provider failed to ask its source.");
    for (name, series) in &names.providers {
        out.sample("fairlead_provider_failures_total", &label("provider", name), series.failures.get());
    }
}

/// Series of one number each.
fn own(out: &mut Text, names: &Names) {
    out.head("traefik_open_connections", "gauge", "Connections of clients.");
    for (name, series) in &names.entry_points {
        let labels = join(&label("entrypoint", name), r#"protocol="TCP""#);
        out.sample("traefik_open_connections", &labels, series.open_connections.get());
    }
    type Of<S> = fn(&S) -> u64;
    let of_entry_points: [(&str, &str, Of<super::EntryPointSeries>); 3] = [
        ("fairlead_entrypoint_accepted_total", "Connections taken.", |s| s.accepted.get()),
        ("fairlead_entrypoint_refused_total", "Connections refused by a limit.", |s| s.refused.get()),
        ("fairlead_entrypoint_tls_failed_total", "TLS handshakes that failed.", |s| s.tls_failed.get()),
    ];
    for (metric, help, value) in of_entry_points {
        out.head(metric, "counter", help);
        for (name, series) in &names.entry_points {
            out.sample(metric, &label("entrypoint", name), value(series));
        }
    }
    out.head("fairlead_entrypoint_requests_in_flight", "gauge", "Requests between their head and their last byte.");
    for (name, series) in &names.entry_points {
        out.sample("fairlead_entrypoint_requests_in_flight", &label("entrypoint", name), series.in_flight.get());
    }
    out.head("fairlead_responses_total", "counter", "Responses that Fairlead made by itself or broke off.");
    for (name, series) in &names.entry_points {
        for (why, count) in series.reasons.counts() {
            let labels = join(&label("reason", why.name()), &label("entrypoint", name));
            out.sample("fairlead_responses_total", &labels, count);
        }
    }
    let of_services: [(&str, &str, Of<super::ServiceSeries>); 4] = [
        ("traefik_service_retries_total", "Attempts beyond the first.", |s| s.retries.get()),
        ("fairlead_service_races_total", "Connection attempts that joined one that was slower than usual.", |s| s.races.get()),
        ("fairlead_service_ejections_total", "Servers taken out because requests failed at them.", |s| s.ejections.get()),
        ("fairlead_service_retries_refused_total", "Retries that the budget refused.", |s| s.retries_refused.get()),
    ];
    for (metric, help, value) in of_services {
        out.head(metric, "counter", help);
        for (name, series) in &names.services {
            out.sample(metric, &label("service", name.as_str()), value(series));
        }
    }
    let joined = |series: &&std::sync::Arc<super::ServiceSeries>| series.tcp_connections.get() > 0;
    out.head("fairlead_service_tcp_connections_total", "counter", "Connections of clients joined with a server.");
    for (name, series) in names.services.iter().filter(|(_, series)| joined(series)) {
        out.sample("fairlead_service_tcp_connections_total", &label("service", name.as_str()), series.tcp_connections.get());
    }
    out.head("fairlead_service_tcp_open_connections", "gauge", "Those of them that are open now.");
    for (name, series) in names.services.iter().filter(|(_, series)| joined(series)) {
        out.sample("fairlead_service_tcp_open_connections", &label("service", name.as_str()), series.tcp_open.get());
    }
    out.head("fairlead_service_tcp_bytes_total", "counter", "Bytes of such connections, added when they end.");
    for (name, series) in names.services.iter().filter(|(_, series)| joined(series)) {
        for (direction, bytes) in [("to_server", &series.tcp_sent), ("to_client", &series.tcp_received)] {
            let labels = join(&label("direction", direction), &label("service", name.as_str()));
            out.sample("fairlead_service_tcp_bytes_total", &labels, bytes.get());
        }
    }
    out.head("fairlead_service_attempts_total", "counter", "Attempts at servers, by how they ended.");
    for (name, series) in &names.services {
        for outcome in AttemptOutcome::ALL {
            let count = series.attempts[outcome as usize].load(Relaxed);
            if count > 0 {
                let labels = join(&label("outcome", outcome.as_str()), &label("service", name.as_str()));
                out.sample("fairlead_service_attempts_total", &labels, count);
            }
        }
    }
    out.head("traefik_service_server_up", "gauge", "Whether health checks find the server up.");
    for ((service, url), up) in &names.servers {
        out.sample("traefik_service_server_up", &join(&label("service", service), &label("url", url)), u8::from(*up));
    }
    out.head("traefik_tls_certs_not_after", "gauge", "When a certificate ends, in seconds since 1970.");
    for c in &names.certificates {
        let labels = [label("cn", &c.common_name), label("serial", &c.serial), label("sans", &c.sans)].join(",");
        out.sample("traefik_tls_certs_not_after", &labels, c.not_after);
    }
}

/// `name="value"` with the value escaped.
fn label(name: &str, value: &str) -> String {
    let mut out = String::with_capacity(name.len() + value.len() + 3);
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str(r"\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn join(a: &str, b: &str) -> String {
    format!("{a},{b}")
}

/// Writing to a `String` never fails, so the results of `write!` are dropped.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) {
        self.head(name, kind, help);
        self.sample(name, "", value);
    }

    fn histogram(&mut self, name: &str, labels: &str, bounds: &[Box<str>], buckets: &[u64], nanos: u64) {
        let mut count = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, bucket) in bounds.iter().zip(buckets) {
            count += bucket;
            self.sample(&format!("{name}_bucket"), &format!(r#"{labels}{comma}le="{bound}""#), count);
        }
        self.sample(&format!("{name}_sum"), labels, Duration::from_nanos(nanos).as_secs_f64());
        self.sample(&format!("{name}_count"), labels, count);
    }
}
