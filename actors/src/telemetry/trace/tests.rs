use super::*;
use crate::telemetry::{Options, Record, Telemetry};
use fairlead_core::Name;
use proptest::prelude::*;
use std::collections::BTreeSet;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn telemetry(tracing: TracingOptions) -> Telemetry {
    Telemetry::new(Options { workers: 1, seed: 42, tracing: Some(tracing), ..Default::default() })
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    lines.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

fn spans(telemetry: &Telemetry) -> Vec<Span> {
    let mut spans = Vec::new();
    telemetry.span_drain().expect("tracing is on").take(&mut spans);
    spans
}

fn attempt<'a>(started: u64, status: Option<u16>, error: Option<Reason>) -> AttemptRecord<'a> {
    AttemptRecord {
        started: Duration::from_millis(started),
        ended: Duration::from_millis(started + 5),
        method: &Method::Get,
        scheme: "h2c",
        host: "fd00::1",
        port: 81,
        server_addr: "[fd00::1]:81".parse().ok(),
        path: "/x",
        version: Version::Http2,
        status,
        error,
        reused: false,
    }
}

fn get<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

#[test]
fn a_request_with_a_retry_is_one_server_span_with_two_children() {
    let telemetry = telemetry(TracingOptions {
        captured_request_headers: vec!["X-Team".into()],
        safe_query_params: vec!["page".into()],
        ..Default::default()
    });
    let (entry_point, service) = (telemetry.entry_point("web"), telemetry.service(&Name::whole("app@file")));
    let incoming = fields(&[("traceparent", PARENT), ("tracestate", "a=1"), ("X-Team", "blue")]);
    let mut trace = telemetry.trace(&incoming);
    let mut out = incoming.clone();

    let first = trace.attempt();
    first.inject(&mut out);
    trace.end_attempt(first, &attempt(1, None, Some(Reason::ConnectFailed)));
    let second = trace.attempt();
    second.inject(&mut out);
    let sent = out.get_str("traceparent").expect("a context goes to the server").to_owned();
    trace.end_attempt(second, &attempt(7, Some(200), None));

    let record = Record {
        started: Duration::from_secs(1_000),
        total: Duration::from_millis(20),
        service: Some(&service),
        query: Some("page=2&token=secret&flag"),
        status: 200,
        attempts: 2,
        ..Record::new(&entry_point, &Method::Get, "a.b", "/x", &incoming)
    };
    telemetry.finish(&record, trace);
    let spans = spans(&telemetry);
    let [failed, served, server] = &spans[..] else { panic!("{} spans", spans.len()) };

    assert_eq!((server.kind, failed.kind, served.kind), (SpanKind::Server, SpanKind::Client, SpanKind::Client));
    assert!(spans.iter().all(|s| s.trace.to_string() == "4bf92f3577b34da6a3ce929d0e0e4736" && s.trace_state == "a=1"));
    assert_eq!(server.parent.map(|p| p.to_string()).as_deref(), Some("00f067aa0ba902b7"));
    assert!(server.parent_is_remote && !served.parent_is_remote);
    assert_eq!((failed.parent, served.parent), (Some(server.id), Some(server.id)));
    assert_eq!(BTreeSet::from([server.id, failed.id, served.id]).len(), 3);
    assert_eq!(sent, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", served.id));
    assert_eq!(out.get_str("tracestate"), Some("a=1"));

    assert_eq!((server.start, server.end), (1_000_000_000_000, 1_000_020_000_000));
    assert_eq!((served.start, served.end), (1_000_007_000_000, 1_000_012_000_000));
    assert_eq!((failed.error.as_deref(), served.error.as_deref(), server.error.as_deref()), (Some("connect_failed"), None, None));
    assert_eq!(get(served, "http.request.resend_count"), Some(&Value::Int(1)));
    assert_eq!(get(failed, "http.request.resend_count"), None);
    assert_eq!(get(served, "url.full").cloned(), text("http://[fd00::1]:81/x"));
    assert_eq!(get(server, "url.query").cloned(), text("page=2&token=REDACTED&flag"));
    assert_eq!(get(server, "traefik.service.name").cloned(), text("app@file"));
    assert_eq!(server.headers, [("http.request.header.x-team".to_owned(), Value::Texts(vec!["blue".into()]))]);
}

#[test]
fn without_tracing_fields_stay_as_they_came() {
    let telemetry = Telemetry::new(Options { workers: 1, ..Default::default() });
    let mut fields = fields(&[("traceparent", "nonsense")]);
    telemetry.trace(&fields).attempt().inject(&mut fields);
    assert_eq!(fields.get_str("traceparent"), Some("nonsense"));
    assert!(telemetry.span_drain().is_none());
}

#[test]
fn what_was_decided_elsewhere_holds_here() {
    let telemetry = telemetry(TracingOptions::default());
    let mut fields = fields(&[("traceparent", &PARENT.replace("-01", "-00"))]);
    let mut trace = telemetry.trace(&fields);
    assert!(!trace.is_sampled());
    trace.attempt().inject(&mut fields);
    let line = fields.get_str("traceparent").expect("still a context");
    assert!(line.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && line.ends_with("-00"), "{line}");
    assert!(!line.contains("00f067aa0ba902b7"), "the parent of the server's span is ours");
}

#[test]
fn malformed_contexts_count_as_none_and_take_their_state_with_them() {
    let telemetry = telemetry(TracingOptions::default());
    let long = format!("{PARENT}-{}", "a".repeat(8192));
    let later = format!("cc{}", &long[2..]);
    for line in [
        "",
        "00",
        &PARENT[..54],
        &format!("{PARENT}0"),
        &format!("{PARENT}-x"),
        &PARENT.to_uppercase(),
        &PARENT.replace("00-4", "ff-4"),
        &PARENT.replace("00f067aa0ba902b7", "0000000000000000"),
        &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
        &PARENT.replace('-', "_"),
        &long,
        &later,
    ] {
        let mut fields = fields(&[("traceparent", line), ("tracestate", "a=1")]);
        let mut trace = telemetry.trace(&fields);
        trace.attempt().inject(&mut fields);
        let sent = fields.get_str("traceparent").expect("a context of ours");
        assert!(sent.len() == 55 && !sent.contains("4bf92f"), "{line} gave {sent}");
        assert!(!fields.contains("tracestate"), "{line}");
    }
    let twice = fields(&[("traceparent", PARENT), ("traceparent", PARENT)]);
    assert!(!telemetry.trace(&twice).ids().expect("ids").trace.to_string().starts_with("4bf9"));
    // A later version may say more.
    let more = fields(&[("traceparent", &format!("cc{}-more", &PARENT[2..]))]);
    assert!(telemetry.trace(&more).ids().expect("ids").trace.to_string().starts_with("4bf9"));
}

#[test]
fn a_state_beyond_its_bounds_is_left_out() {
    let telemetry = telemetry(TracingOptions::default());
    let members = (0..40).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    for state in [members, format!("k={}", "v".repeat(2000))] {
        let mut fields = fields(&[("traceparent", PARENT), ("tracestate", &state)]);
        telemetry.trace(&fields).attempt().inject(&mut fields);
        assert!(fields.get_str("traceparent").is_some_and(|l| l.contains("4bf92f")) && !fields.contains("tracestate"));
    }
}

#[test]
fn spans_beyond_the_buffer_are_dropped_and_counted() {
    let telemetry = telemetry(TracingOptions { buffer: 4, ..Default::default() });
    let (entry_point, none) = (telemetry.entry_point("web"), Fields::new());
    for _ in 0..10 {
        telemetry.finish(&Record::new(&entry_point, &Method::Get, "", "/", &none), telemetry.trace(&none));
    }
    assert_eq!(spans(&telemetry).len(), 4);
    assert!(telemetry.render_prometheus(Duration::ZERO).contains("fairlead_trace_dropped_spans_total 6\n"));
}

#[test]
fn a_share_of_the_traces_is_sampled() {
    for (rate, bounds) in [(0.0, 0..=0), (0.25, 4_700..=5_300), (1.0, 20_000..=20_000)] {
        let telemetry = telemetry(TracingOptions { sample_rate: rate, ..Default::default() });
        let sampled = (0..20_000).filter(|_| telemetry.trace(&Fields::new()).is_sampled()).count();
        // A quarter of 20,000 has a standard deviation of 61.
        assert!(bounds.contains(&sampled), "{sampled} at {rate}");
    }
}

proptest! {
    #[test]
    fn any_field_gives_a_well_formed_context(line in "\\PC{0,80}", state in "\\PC{0,80}") {
        let telemetry = telemetry(TracingOptions::default());
        let mut fields = fields(&[("traceparent", &line), ("tracestate", &state)]);
        telemetry.trace(&fields).attempt().inject(&mut fields);
        let again = telemetry.trace(&fields);
        let sent = fields.get_str("traceparent").unwrap_or_default();
        let trace = again.ids().map(|ids| ids.trace.to_string());
        prop_assert_eq!(trace.as_deref(), sent.get(3..35));
    }
}
