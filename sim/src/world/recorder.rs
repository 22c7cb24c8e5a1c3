//! The readers of what gateways record, which may stall, and what the records say at the end.
//!
//! Deliberately absent: the exporter's own way to a collector, which is the binary's (`actors/src/otlp.rs`). What reaches it passes the
//! same bounded hand-over as here.

use super::World;
use crate::{
    oracle::{
        Oracle, Verdict,
        telemetry::{By, Said, Seen},
    },
    plan::Plan,
};
use fairlead_actors::{
    compose,
    telemetry::{AccessLogOptions, LogFormat, MemorySink, MetricsOptions, Options, Telemetry, TracingOptions},
};
use fairlead_core::config::static_::StaticConfig;
use fairlead_net::{
    task,
    time::{Duration, sleep},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// How often a reader that is well looks.
const PACE: Duration = Duration::from_millis(20);

/// See the head of this file. One per gateway.
pub(super) struct Recorder {
    stalled: watch::Sender<bool>,
    pub(super) seen: Mutex<Seen>,
    read: Arc<Mutex<Read>>,
}

/// What is read by the process that runs now.
#[derive(Default)]
struct Read {
    telemetry: Option<Telemetry>,
    lines: MemorySink,
    spans: u64,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self { stalled: watch::Sender::new(false), seen: Mutex::default(), read: Arc::default() }
    }

    /// Readers stop reading, or go on.
    pub(super) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// A process begins, on whose node this is called: its records are read from now on.
    fn begins(&self, telemetry: &Telemetry) {
        let lines = MemorySink::default();
        *self.read.lock() = Read { telemetry: Some(telemetry.clone()), lines: lines.clone(), spans: 0 };
        if let Some(mut drain) = telemetry.log_drain() {
            let (mut stalled, mut sink) = (self.stalled.subscribe(), lines);
            task::spawn(async move {
                while drain.ready().await && stalled.wait_for(|stalled| !stalled).await.is_ok() {
                    // Memory takes everything.
                    let _written = drain.write_to(&mut sink);
                    sleep(PACE).await;
                }
            });
        }
        if let Some(mut drain) = telemetry.span_drain() {
            let (mut stalled, read) = (self.stalled.subscribe(), self.read.clone());
            task::spawn(async move {
                let mut spans = Vec::new();
                while drain.ready().await && stalled.wait_for(|stalled| !stalled).await.is_ok() {
                    drain.take(&mut spans);
                    read.lock().spans += spans.drain(..).count() as u64;
                    sleep(PACE).await;
                }
            });
        }
    }

    fn said(&self) -> Option<Said> {
        let read = self.read.lock();
        let text = read.telemetry.as_ref()?.render_prometheus(Duration::ZERO);
        let mut said = Said { spans: read.spans, ..Said::default() };
        for (name, labels, count) in text.lines().filter_map(sample) {
            let label = |key: &str| labels.split(&format!("{key}=\"")).nth(1)?.split('"').next().map(str::to_owned);
            let of_web = label("entrypoint").as_deref() == Some("web");
            match name {
                "traefik_entrypoint_requests_total" if of_web => {
                    let code = label("code").and_then(|code| code.parse().ok()).unwrap_or(0);
                    *said.statuses.entry(code).or_default() += count;
                }
                "traefik_entrypoint_requests_total" => said.elsewhere += count,
                "fairlead_responses_total" if of_web && count > 0 => {
                    *said.reasons.entry(label("reason").unwrap_or_default()).or_default() += count;
                }
                "fairlead_access_log_dropped_lines_total" => said.dropped_lines = count,
                "fairlead_trace_dropped_spans_total" => said.dropped_spans = count,
                _ => {}
            }
        }
        (said.lines, said.lines_elsewhere) = lines(&read.lines.text());
        Some(said)
    }
}

/// A line of Prometheus' text format: name, labels, value.
fn sample(line: &str) -> Option<(&str, &str, u64)> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Some((name, labels, value.parse().ok()?))
}

/// Lines of the access log by status, and those of other entry points.
fn lines(text: &str) -> (By<u16>, u64) {
    let (mut by, mut elsewhere) = (By::new(), 0);
    for line in text.lines() {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if fields["entryPointName"] == "web" {
            // A line that cannot be read counts under no status, and is missed there.
            *by.entry(fields["DownstreamStatus"].as_u64().unwrap_or(0) as u16).or_default() += 1;
        } else {
            elsewhere += 1;
        }
    }
    (by, elsewhere)
}

impl World {
    /// What a gateway's process records.
    pub(super) fn recording(&self, gateway: usize, config: &StaticConfig) -> Telemetry {
        let Plan { seed, gateway: plan, .. } = &self.plan;
        let usual = compose::telemetry(config, plan.workers, seed ^ gateway as u64);
        let options = match &plan.telemetry {
            None => Options { workers: plan.workers, seed: seed ^ gateway as u64, ..Options::default() },
            Some(wanted) => Options {
                metrics: Some(MetricsOptions::default()),
                access_log: Some(AccessLogOptions {
                    format: LogFormat::Json,
                    buffer: wanted.log_buffer,
                    ..AccessLogOptions::default()
                }),
                tracing: Some(TracingOptions { sample_rate: 1.0, buffer: wanted.span_buffer, ..TracingOptions::default() }),
                ..usual
            },
        };
        Telemetry::new(options)
    }

    /// Its records are read from now on. To be called on its node.
    pub(super) fn reads(&self, gateway: usize, telemetry: &Telemetry) {
        if self.plan.gateway.telemetry.is_some() {
            self.recorders[gateway].begins(telemetry);
        }
    }

    /// After the last request: what was recorded is what happened.
    pub(super) async fn records_are_true(&self) -> Verdict {
        if self.plan.gateway.telemetry.is_none() {
            return Ok(());
        }
        self.recorders.iter().for_each(|recorder| recorder.stall(false));
        sleep(10 * PACE).await;
        for (index, recorder) in self.recorders.iter().enumerate() {
            let Some(said) = recorder.said() else { continue };
            self.judges_at(index, Oracle::Telemetry);
            self.note(&self.gateways[index].machine.name, &format!("counts {:?} {:?}", said.statuses, said.reasons));
            recorder.seen.lock().judge(&said)?;
        }
        Ok(())
    }
}
