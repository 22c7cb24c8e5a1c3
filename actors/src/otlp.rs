//! Sends finished spans to an OpenTelemetry collector, in batches, over OTLP: HTTP with protobuf, or gRPC.
//!
//! The messages are those of the `opentelemetry-proto` crate; the transport is Fairlead's own, with its TLS. Traffic never waits
//! for a collector: while one is away, spans gather in a bounded buffer whose overflow is counted
//! (`fairlead_trace_dropped_spans_total`), and a batch that was tried often enough is given up and counted
//! (`fairlead_trace_failed_spans_total`). When telemetry is closed, what is there is sent once more and the exporter ends.
//!
//! A part of the binary only. Deliberately absent: metrics and logs over OTLP, compression, and the sampling of traces.

mod encode;
mod endpoint;
mod send;
#[cfg(test)]
mod tests;

pub use endpoint::Endpoint;

use fairlead_actors::telemetry::{Span, SpanDrain, Telemetry};
use fairlead_net::{random, time, tls::ClientConfig};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, resource::v1::Resource};
use prost::Message;
use send::{Connection, Failure};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Spans gather for this long before a batch is sent.
const GATHER: Duration = Duration::from_secs(1);
/// Spans of one batch.
const BATCH: usize = 512;
/// Tries of one batch, the first included.
const ATTEMPTS: u32 = 5;
/// A try that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Wait before the second try; each later one waits twice as long, up to the other.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Where spans go, and what is said of their origin.
pub struct OtlpOptions {
    pub endpoint: Endpoint,
    /// Sent with every batch: HTTP fields, or gRPC metadata.
    pub headers: Vec<(String, String)>,
    /// Used when the endpoint is one over TLS.
    pub tls: Option<Arc<ClientConfig>>,
    pub service_name: String,
    pub service_version: String,
    pub resource_attributes: BTreeMap<String, String>,
}

/// Sends spans until telemetry is closed and the last batch is sent or given up.
pub async fn export(telemetry: Telemetry, mut drain: SpanDrain, options: OtlpOptions) {
    let resource = encode::resource(&options);
    let mut connection = Connection::new(&options);
    let mut spans = Vec::new();
    let mut failing = false;
    while drain.ready().await {
        pause(&drain, GATHER).await;
        drain.take(&mut spans);
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(BATCH));
            let batch = std::mem::replace(&mut spans, rest);
            let sent = deliver(&mut connection, &drain, &resource, &batch).await;
            let process = telemetry.process();
            let total = batch.len() as u64;
            match sent {
                Ok(refused) => {
                    let refused = refused.min(total);
                    process.spans_exported.add(total - refused);
                    process.spans_failed.add(refused);
                    failing = false;
                }
                Err(failure) => {
                    process.spans_failed.add(total);
                    // Once per episode: a collector that is away for a day must not fill the log.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(endpoint = %options.endpoint, "traces are lost: the collector does not take them: {}", failure.message);
                    }
                }
            }
        }
    }
}

/// Sends one batch, again and again if that may help, and tells how many of its spans the collector refused.
async fn deliver(
    connection: &mut Connection<'_>,
    drain: &SpanDrain,
    resource: &Resource,
    batch: &[Span],
) -> Result<u64, Failure> {
    let body = ExportTraceServiceRequest { resource_spans: vec![encode::resource_spans(resource, batch)] }.encode_to_vec();
    let mut wait = BACKOFF.0;
    for attempt in 1.. {
        let failure = match time::timeout(TIMEOUT, connection.send(&body)).await {
            Ok(Ok(refused)) => return Ok(refused),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::passing(format!("no answer within {TIMEOUT:?}")),
        };
        connection.forget();
        if !failure.retry || attempt >= ATTEMPTS || drain.is_closed() {
            return Err(failure);
        }
        tracing::debug!("a batch of spans is tried again: {}", failure.message);
        let jitter = Duration::from_millis(random::below(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) / 2));
        pause(drain, wait + jitter).await;
        wait = (wait * 2).min(BACKOFF.1);
    }
    Err(Failure::lasting("no attempt was made".to_owned()))
}

/// Waits, but not beyond the end of telemetry.
async fn pause(drain: &SpanDrain, wait: Duration) {
    tokio::select! {
        biased;
        () = drain.closed() => {}
        () = time::sleep(wait) => {}
    }
}
