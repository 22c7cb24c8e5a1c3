//! The exporter against collectors on real sockets, which decode what they get with OpenTelemetry's own messages.

use super::*;
use fairlead_actors::telemetry::{Options, Record, TracingOptions};
use fairlead_net::{
    grpc::{Call, Code, Status, serve_connection},
    http::{Fields, Method},
    task, tcp,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
    common::v1::any_value,
    trace::v1::Span as Wire,
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

fn telemetry() -> Telemetry {
    Telemetry::new(Options { workers: 1, seed: 1, tracing: Some(TracingOptions::default()), ..Default::default() })
}

fn requests(telemetry: &Telemetry, count: usize) {
    let (entry_point, fields) = (telemetry.entry_point("web"), Fields::new());
    for _ in 0..count {
        let trace = telemetry.trace(&fields);
        telemetry.finish(&Record { status: 503, ..Record::new(&entry_point, &Method::Get, "a.b", "/x", &fields) }, trace);
    }
}

fn options(endpoint: Endpoint) -> OtlpOptions {
    OtlpOptions {
        endpoint,
        headers: vec![("x-tenant".to_owned(), "blue".to_owned())],
        tls: None,
        service_name: "edge".to_owned(),
        service_version: "1".to_owned(),
        resource_attributes: [("service.name".to_owned(), "configured".to_owned())].into(),
    }
}

fn listen() -> (tcp::Listener, SocketAddr) {
    let listener = tcp::Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), tcp::ListenOptions::default()).expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Answers each request with the next of these status lines and bodies; passes on heads and decoded requests.
fn http_collector(
    answers: Vec<(&'static str, Vec<u8>)>,
) -> (SocketAddr, mpsc::UnboundedReceiver<(String, ExportTraceServiceRequest)>) {
    let (listener, address) = listen();
    let (seen, requests) = mpsc::unbounded_channel();
    task::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut bytes = Vec::new();
            let (head, length) = loop {
                assert_ne!(stream.read_buf(&mut bytes).await.expect("a request"), 0, "the request ended within its head");
                if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                    let length =
                        head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                    break (head, end + 4 + length.expect("a length"));
                }
            };
            while bytes.len() < length {
                assert_ne!(stream.read_buf(&mut bytes).await.expect("a body"), 0, "the request ended within its body");
            }
            let request = ExportTraceServiceRequest::decode(&bytes[head.len() + 4..]).expect("an export request");
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[answer.as_bytes(), &body].concat()).await.expect("an answer");
            seen.send((head, request)).expect("the test listens");
        }
    });
    (address, requests)
}

fn spans(request: &ExportTraceServiceRequest) -> &[Wire] {
    &request.resource_spans[0].scope_spans[0].spans
}

fn attribute<'a>(span: &'a Wire, name: &str) -> Option<&'a any_value::Value> {
    span.attributes.iter().find(|a| a.key == name)?.value.as_ref()?.value.as_ref()
}

fn counts(telemetry: &Telemetry) -> (u64, u64) {
    (telemetry.process().spans_exported.get(), telemetry.process().spans_failed.get())
}

#[tokio::test]
async fn spans_reach_a_collector_over_http_whole() {
    let (address, mut received) = http_collector(vec![("200 OK", Vec::new())]);
    let telemetry = telemetry();
    requests(&telemetry, 1);
    telemetry.close();
    let drain = telemetry.span_drain().expect("tracing");
    export(telemetry.clone(), drain, options(Endpoint::http(&format!("http://{address}")).expect("an endpoint"))).await;
    let (head, request) = received.recv().await.expect("a request");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-tenant: blue") && head.contains("Content-Type: application/x-protobuf"), "{head}");
    let resource = request.resource_spans[0].resource.as_ref().expect("a resource");
    let names: Vec<_> = resource.attributes.iter().filter(|a| a.key == "service.name").collect();
    assert!(names.len() == 1 && format!("{:?}", names[0]).contains("configured"));
    let [span] = spans(&request) else { panic!("one span") };
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 0));
    assert_eq!((span.name.as_str(), span.kind, span.flags), ("GET", 2, 0x101));
    assert_eq!(attribute(span, "http.response.status_code"), Some(&any_value::Value::IntValue(503)));
    assert_eq!(attribute(span, "url.path"), Some(&any_value::Value::StringValue("/x".to_owned())));
    assert_eq!(span.status.as_ref().map(|s| s.code), Some(2));
    assert_eq!(counts(&telemetry), (1, 0));
}

#[tokio::test]
async fn a_busy_collector_is_asked_again_and_gets_the_same_batch() {
    let (address, mut received) = http_collector(vec![("503 Busy", Vec::new()), ("200 OK", Vec::new())]);
    let telemetry = telemetry();
    requests(&telemetry, 3);
    let drain = telemetry.span_drain().expect("tracing");
    let exporting = task::spawn(export(
        telemetry.clone(),
        drain,
        options(Endpoint::http(&format!("http://{address}")).expect("an endpoint")),
    ));
    let (_, first) = received.recv().await.expect("a request");
    let (_, second) = received.recv().await.expect("the same again");
    telemetry.close();
    exporting.await.expect("the exporter ends");
    assert_eq!((spans(&first).len(), first), (3, second));
    assert_eq!(counts(&telemetry), (3, 0));
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_not_tried_again() {
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "two too many".to_owned() };
    let body = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let (address, _received) = http_collector(vec![("200 OK", body), ("400 Bad Request", Vec::new())]);
    let telemetry = telemetry();
    requests(&telemetry, BATCH + 5);
    telemetry.close();
    let drain = telemetry.span_drain().expect("tracing");
    export(telemetry.clone(), drain, options(Endpoint::http(&format!("http://{address}")).expect("an endpoint"))).await;
    assert_eq!(counts(&telemetry), (BATCH as u64 - 2, 2 + 5), "two of the first batch, all of the second");
}

#[tokio::test]
async fn an_absent_collector_ends_no_shutdown_and_blocks_no_request() {
    let (listener, address) = listen();
    drop(listener);
    let telemetry = telemetry();
    requests(&telemetry, 4);
    telemetry.close();
    let drain = telemetry.span_drain().expect("tracing");
    export(telemetry.clone(), drain, options(Endpoint::http(&format!("http://{address}")).expect("an endpoint"))).await;
    assert_eq!(counts(&telemetry), (0, 4));
}

#[tokio::test]
async fn spans_reach_a_collector_over_grpc() {
    let (listener, address) = listen();
    let (seen, mut received) = mpsc::unbounded_channel();
    task::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let handle = move |mut call: Call| {
            let seen = seen.clone();
            async move {
                let message = call.requests.message().await.expect("a request").expect("a message");
                let request = ExportTraceServiceRequest::decode(message).expect("an export request");
                let tenant = call.metadata.get_str("x-tenant").map(str::to_owned);
                let first = spans(&request).len() == 1;
                seen.send((call.path.clone(), tenant, spans(&request).len())).expect("the test listens");
                let ended = match first {
                    true => call.responses.send(&ExportTraceServiceResponse::default().encode_to_vec()).await,
                    false => Err(Status::new(Code::PermissionDenied, "not yours")),
                };
                call.responses.finish(ended).expect("an end");
            }
        };
        let spawn = |call| {
            task::spawn(call);
        };
        // The client closes when it has had its answers; what it leaves behind is of no interest.
        let _ended = serve_connection(stream, spawn, handle).await;
    });
    let telemetry = telemetry();
    let drain = telemetry.span_drain().expect("tracing");
    requests(&telemetry, 1);
    let endpoint = Endpoint::grpc(&address.to_string(), true).expect("an endpoint");
    let exporting = task::spawn(export(telemetry.clone(), drain, options(endpoint)));
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned();
    assert_eq!(received.recv().await, Some((path.clone(), Some("blue".to_owned()), 1)));
    requests(&telemetry, 2);
    telemetry.close();
    exporting.await.expect("the exporter ends");
    assert_eq!(received.recv().await, Some((path, Some("blue".to_owned()), 2)));
    assert_eq!(counts(&telemetry), (1, 2), "a refusal is not tried again");
}
