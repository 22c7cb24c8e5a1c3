//! Traces: one server span per request, one client span per attempt at a server, W3C context in and out.
//!
//! A request that is not sampled costs the reading of one field and two random numbers; it still carries its context on,
//! so that those behind decide the same. What comes from outside is bounded: a `traceparent` that is not exactly one
//! well-formed line is as good as none, and takes its `tracestate` with it (security case 119).
//!
//! Deliberately absent: export. Finished spans wait in a bounded buffer for whoever holds the [`SpanDrain`].

mod context;
mod span;

pub(super) use context::Ids;
pub use context::{SpanId, TraceId};
pub use span::{Span, SpanKind, Value};

use super::{Record, nanos, outbox::Outbox};
use context::{Context, mix};
use fairlead_core::reason::Reason;
use fairlead_net::http::{Fields, Method, Version};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What is traced. Traefik's options.
#[derive(Clone, Debug)]
pub struct TracingOptions {
    /// Share of the traces begun here that are recorded, 0 to 1. A trace begun elsewhere keeps what was decided there.
    pub sample_rate: f64,
    /// Header names whose values become attributes.
    pub captured_request_headers: Vec<String>,
    pub captured_response_headers: Vec<String>,
    /// Query parameters whose values are shown; those of the others are `REDACTED`.
    pub safe_query_params: Vec<String>,
    /// Also requests to `…@internal` services.
    pub internals: bool,
    /// Spans that wait for the exporter, per worker.
    pub buffer: usize,
}

impl Default for TracingOptions {
    fn default() -> Self {
        Self {
            sample_rate: 1.0,
            captured_request_headers: Vec::new(),
            captured_response_headers: Vec::new(),
            safe_query_params: Vec::new(),
            internals: false,
            buffer: 2048,
        }
    }
}

/// Attempts of one request that get a span.
const MAX_ATTEMPTS: usize = 16;

/// The trace of a request under way.
#[derive(Debug)]
pub struct Trace {
    context: Option<Context>,
    attempts: u64,
    /// Present when the trace is sampled.
    recorded: Option<Box<Recorded>>,
}

#[derive(Debug)]
struct Recorded {
    state: String,
    /// Client spans; their times are still relative to the start of the request.
    attempts: Vec<Span>,
}

impl Trace {
    /// No tracing at all: fields are neither read nor written.
    pub fn off() -> Self {
        Self { context: None, attempts: 0, recorded: None }
    }

    /// Whether spans are recorded.
    pub fn is_sampled(&self) -> bool {
        self.recorded.is_some()
    }

    /// The ids that stand in the access log; none without tracing.
    pub(super) fn ids(&self) -> Option<Ids> {
        self.context.map(|context| context.ids())
    }

    /// Begins an attempt at a server: a child span, whose context goes to that server.
    pub fn attempt(&mut self) -> Attempt {
        self.attempts += 1;
        Attempt { context: self.context.map(|context| context.child(self.attempts)), number: self.attempts }
    }

    /// Writes this trace's own context, for a request that is not an attempt at a server of the service.
    pub fn inject(&self, fields: &mut Fields) {
        if let Some(context) = &self.context {
            context.inject(fields);
        }
    }

    /// Ends an attempt.
    pub fn end_attempt(&mut self, attempt: Attempt, record: &AttemptRecord<'_>) {
        if let (Some(recorded), Some(context)) = (&mut self.recorded, attempt.context)
            && recorded.attempts.len() < MAX_ATTEMPTS
        {
            let span = span::client(&context, &recorded.state, attempt.number, record);
            recorded.attempts.push(span);
        }
    }
}

/// One attempt at a server, under way.
#[derive(Debug)]
pub struct Attempt {
    context: Option<Context>,
    /// 1 for the first.
    number: u64,
}

impl Attempt {
    /// Writes the context for the server: `traceparent`, and no `tracestate` that did not belong to it.
    pub fn inject(&self, fields: &mut Fields) {
        if let Some(context) = &self.context {
            context.inject(fields);
        }
    }
}

/// An attempt that has ended. Times are measured from the start of the request.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRecord<'a> {
    pub started: Duration,
    pub ended: Duration,
    pub method: &'a Method,
    /// `http`, `https` or `h2c`.
    pub scheme: &'a str,
    /// Host name or address of the server.
    pub host: &'a str,
    pub port: u16,
    /// Where the connection went, when there was one.
    pub server_addr: Option<SocketAddr>,
    /// Path and query are left out of `url.full` beyond this path.
    pub path: &'a str,
    pub version: Version,
    pub status: Option<u16>,
    /// Why there was no response.
    pub error: Option<Reason>,
    /// The connection had been used before.
    pub reused: bool,
}

pub(super) struct Tracer {
    options: TracingOptions,
    /// Traces whose id is below are sampled.
    threshold: u64,
    sequence: Box<[AtomicU64]>,
    spans: Arc<Outbox<Span>>,
}

impl Tracer {
    pub(super) fn new(options: TracingOptions, seed: u64, shards: usize) -> Self {
        // As OpenTelemetry's TraceIdRatioBased: the lower 63 bits of the id against the rate.
        let threshold = (options.sample_rate.clamp(0.0, 1.0) * (1u64 << 63) as f64) as u64;
        let sequence = (0..shards as u64).map(|shard| AtomicU64::new(mix(seed ^ mix(shard + 1)))).collect();
        Self { threshold, sequence, spans: Arc::new(Outbox::new(shards, options.buffer)), options }
    }

    pub(super) fn begin(&self, shard: usize, fields: &Fields) -> Trace {
        let span = SpanId::new(self.random(shard));
        let context = match Context::extract(fields, span) {
            Some(context) => context,
            None => {
                let low = self.random(shard);
                let sampled = low >> 1 < self.threshold;
                Context::root(u128::from(self.random(shard)) << 64 | u128::from(low), span, sampled)
            }
        };
        let recorded = context.sampled().then(|| Box::new(Recorded { state: context.state(fields), attempts: Vec::new() }));
        Trace { context: Some(context), attempts: 0, recorded }
    }

    pub(super) fn finish(&self, shard: usize, record: &Record<'_>, trace: Trace) {
        let (Some(context), Some(recorded)) = (trace.context, trace.recorded) else { return };
        if record.is_internal() && !self.options.internals {
            return;
        }
        let start = nanos(record.started);
        for mut attempt in recorded.attempts {
            attempt.start = attempt.start.saturating_add(start);
            attempt.end = attempt.end.saturating_add(start);
            self.spans.put(shard, |spans| spans.push(attempt));
        }
        let server = span::server(&context, recorded.state, record, &self.options);
        self.spans.put(shard, |spans| spans.push(server));
    }

    pub(super) fn drain(&self) -> SpanDrain {
        SpanDrain { spans: Arc::clone(&self.spans), spare: Vec::new() }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.spans.dropped()
    }

    pub(super) fn close(&self) {
        self.spans.close();
    }

    /// SplitMix64 over a counter of the worker's own. Ids need to be distinct, not secret.
    fn random(&self, shard: usize) -> u64 {
        mix(self.sequence[shard].fetch_add(context::GAMMA, Relaxed))
    }
}

/// The reading end of the spans. There should be one reader.
pub struct SpanDrain {
    spans: Arc<Outbox<Span>>,
    spare: Vec<Span>,
}

impl SpanDrain {
    /// Until there may be spans (true), or tracing was closed and everything taken (false).
    pub async fn ready(&self) -> bool {
        self.spans.ready().await
    }

    /// Until tracing is closed.
    pub async fn closed(&self) {
        self.spans.closed().await;
    }

    /// Whether no more will come.
    pub fn is_closed(&self) -> bool {
        self.spans.is_closed()
    }

    /// Moves what is there to the end of `into`.
    pub fn take(&mut self, into: &mut Vec<Span>) {
        self.spans.take(&mut self.spare, |batch| into.append(batch));
    }
}

#[cfg(test)]
mod tests;
