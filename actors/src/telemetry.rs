//! What is seen of the traffic: access log, metrics and traces.
//!
//! Owns one entry, [`Telemetry`]: a worker makes one call per request ([`Telemetry::finish`]) with a [`Record`] of borrowed
//! values, and that call feeds all three. Nothing here waits: log lines and spans go into bounded buffers that a writer
//! swaps out ([`LogDrain`], [`SpanDrain`]), and what does not fit is dropped and counted. Labels come from configuration
//! and closed lists only, never from a client.
//!
//! The cost of a request: handles found by index (no label is formatted), a few relaxed additions to counters of the
//! worker's own shard, one line formatted into a buffer that is reused, and nothing for a trace that is not sampled.
//!
//! Deliberately absent: files and exporters (the drains' readers own those), the clock and randomness (both are given).

mod access_log;
mod metrics;
mod outbox;
mod record;
mod trace;
mod writer;

pub use access_log::{AccessLogOptions, FieldMode, HeaderMode, LogFormat, StatusRange};
pub use metrics::{
    AttemptOutcome, CertificateGauge, Counter, EntryPointSeries, Gauge, Histogram, MetricsOptions, Process, ProviderSeries,
    RouterSeries, ServiceSeries,
};
pub use record::{Observe, Phases, Record, TlsInfo};
pub use trace::{Attempt, AttemptRecord, Span, SpanDrain, SpanId, SpanKind, Trace, TraceId, TracingOptions, Value};
pub use writer::{FileSink, LogDrain, LogSink, MemorySink, Reopen, StdoutSink, write_logs};

pub(crate) use access_log::rfc3339;

use access_log::AccessLog;
use fairlead_core::Name;
use metrics::Registry;
use std::{sync::Arc, time::Duration};
use trace::Tracer;

/// What is recorded, and for how many workers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Data-plane workers: each gets counters and buffers of its own. At least 1.
    pub workers: usize,
    /// Start of the trace-id sequence; from the operating system's randomness, or a simulation's seed.
    pub seed: u64,
    /// `None`: no request metrics; what describes the process itself is counted all the same.
    pub metrics: Option<MetricsOptions>,
    /// `None`: no access log.
    pub access_log: Option<AccessLogOptions>,
    /// `None`: trace context is neither read nor written, and passes through as any other field.
    pub tracing: Option<TracingOptions>,
}

/// The telemetry of this process, seen from one worker. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
    shard: usize,
}

struct Inner {
    registry: Registry,
    log: Option<AccessLog>,
    tracer: Option<Tracer>,
    shards: usize,
}

impl Telemetry {
    /// Telemetry for a process that starts now.
    pub fn new(options: Options) -> Self {
        // Beyond this many workers some share a shard: still correct, a little slower.
        let shards = options.workers.clamp(1, 32);
        let inner = Inner {
            registry: Registry::new(options.metrics, shards),
            log: options.access_log.map(|log| AccessLog::new(log, shards)),
            tracer: options.tracing.map(|tracing| Tracer::new(tracing, options.seed, shards)),
            shards,
        };
        Self { inner: Arc::new(inner), shard: 0 }
    }

    /// The same telemetry with the counters and buffers of worker `index`.
    pub fn for_worker(&self, index: usize) -> Self {
        Self { inner: Arc::clone(&self.inner), shard: index % self.inner.shards }
    }

    /// The series of an entry point. Held by its listener.
    pub fn entry_point(&self, name: &str) -> Arc<EntryPointSeries> {
        self.inner.registry.entry_point(name)
    }

    /// The series of a router. Held by the snapshot: it is exported once more after the last holder is gone, or never where routers are not
    /// measured.
    pub fn router(&self, router: &Name, service: &Name) -> Arc<RouterSeries> {
        self.inner.registry.router(router, service)
    }

    /// The series of a service. Held by the snapshot or the service's pool.
    pub fn service(&self, name: &Name) -> Arc<ServiceSeries> {
        self.inner.registry.service(name)
    }

    /// The series of a provider. Held by its actor.
    pub fn provider(&self, name: &str) -> Arc<ProviderSeries> {
        self.inner.registry.provider(name)
    }

    /// States whether a server is up; `None` forgets it.
    pub fn server_up(&self, service: &str, url: &str, up: Option<bool>) {
        self.inner.registry.server_up(service, url, up);
    }

    /// States the certificates that are installed now, all of them.
    pub fn certificates(&self, installed: Vec<CertificateGauge>) {
        self.inner.registry.certificates(installed);
    }

    /// Counters and gauges of the process as a whole.
    pub fn process(&self) -> &Process {
        &self.inner.registry.process
    }

    /// Begins the trace of a request: joins the one that its fields name, or starts one if sampling says so.
    pub fn trace(&self, fields: &fairlead_net::http::Fields) -> Trace {
        self.inner.tracer.as_ref().map_or_else(Trace::off, |tracer| tracer.begin(self.shard, fields))
    }

    /// Records a request that has ended: once, whatever its end was.
    pub fn finish(&self, record: &Record<'_>, trace: Trace) {
        if record.observe.metrics {
            self.inner.registry.record(self.shard, record);
        }
        if let Some(log) = &self.inner.log
            && record.observe.access_log
        {
            log.record(self.shard, record, trace.ids());
        }
        if let Some(tracer) = &self.inner.tracer
            && record.observe.tracing
        {
            tracer.finish(self.shard, record, trace);
        }
    }

    /// Whether requests are written down one by one.
    pub fn has_access_log(&self) -> bool {
        self.inner.log.is_some()
    }

    /// The reading end of the access log, when there is one.
    pub fn log_drain(&self) -> Option<LogDrain> {
        self.inner.log.as_ref().map(AccessLog::drain)
    }

    /// The reading end of the spans, when there is tracing.
    pub fn span_drain(&self) -> Option<SpanDrain> {
        self.inner.tracer.as_ref().map(Tracer::drain)
    }

    /// Lets the readers of both drains end once they have taken what is there. For shutdown, after the last request.
    pub fn close(&self) {
        if let Some(log) = &self.inner.log {
            log.close();
        }
        if let Some(tracer) = &self.inner.tracer {
            tracer.close();
        }
    }

    /// All series in Prometheus' text format 0.0.4. `now` is the time since 1970.
    pub fn render_prometheus(&self, now: Duration) -> String {
        let dropped_lines = self.inner.log.as_ref().map_or(0, AccessLog::dropped);
        let dropped_spans = self.inner.tracer.as_ref().map_or(0, Tracer::dropped);
        self.inner.registry.render(now, dropped_lines, dropped_spans)
    }
}

/// Nanoseconds, enough for five centuries.
fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
