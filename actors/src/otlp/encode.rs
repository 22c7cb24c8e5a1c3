//! Spans as OpenTelemetry's protobuf messages.

use super::OtlpOptions;
use fairlead_actors::telemetry::{Span, SpanKind, Value};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as Wire, Status, span, status},
};

/// What all spans have in common. Configured attributes go over those that Fairlead sets.
pub(super) fn resource(options: &OtlpOptions) -> Resource {
    let own = [
        ("service.name", options.service_name.as_str()),
        ("service.version", &options.service_version),
        ("telemetry.sdk.name", "fairlead"),
        ("telemetry.sdk.language", "rust"),
    ];
    let own = own.into_iter().filter(|(name, value)| !value.is_empty() && !options.resource_attributes.contains_key(*name));
    let configured = options.resource_attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let attributes = own.chain(configured).map(|(name, value)| pair(name, text(value))).collect();
    Resource { attributes, ..Resource::default() }
}

pub(super) fn resource_spans(resource: &Resource, spans: &[Span]) -> ResourceSpans {
    let scope =
        InstrumentationScope { name: "fairlead".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans: spans.iter().map(wire).collect(), ..Default::default() };
    ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![scope_spans], ..Default::default() }
}

fn wire(span: &Span) -> Wire {
    /// The context of the parent is known to be, or not to be, remote; and the trace is sampled.
    const KNOWN: u32 = 0x100;
    const REMOTE: u32 = 0x200;
    let kind = match span.kind {
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
    };
    let headers = span.headers.iter().map(|(name, value)| (name.as_str(), value));
    let attributes = span.attributes.iter().map(|(name, value)| (*name, value)).chain(headers);
    Wire {
        trace_id: span.trace.to_bytes().to_vec(),
        span_id: span.id.to_bytes().to_vec(),
        trace_state: span.trace_state.clone(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.to_bytes().to_vec()),
        flags: 1 | KNOWN | if span.parent_is_remote { REMOTE } else { 0 },
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: attributes.map(|(name, v)| pair(name, value(v))).collect(),
        status: span.error.as_ref().map(|message| Status { message: message.clone(), code: status::StatusCode::Error.into() }),
        ..Wire::default()
    }
}

fn value(value: &Value) -> any_value::Value {
    match value {
        Value::Text(value) => text(value),
        Value::Int(n) => any_value::Value::IntValue(*n),
        Value::Bool(b) => any_value::Value::BoolValue(*b),
        Value::Texts(texts) => {
            let values = texts.iter().map(|t| AnyValue { value: Some(text(t)) }).collect();
            any_value::Value::ArrayValue(ArrayValue { values })
        }
    }
}

fn text(value: &str) -> any_value::Value {
    any_value::Value::StringValue(value.to_owned())
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
