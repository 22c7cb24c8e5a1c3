//! Golden lines. The common lines are those of Traefik's own documentation and tests, byte for byte in structure.

use super::*;
use crate::telemetry::{MemorySink, Options, Phases, Telemetry, TlsInfo, TracingOptions};
use fairlead_core::{Name, http::Scheme, reason::Reason};
use fairlead_net::http::{Fields, Method, Version};
use proptest::prelude::*;

struct Case {
    options: AccessLogOptions,
    fields: Fields,
    origin: Fields,
}

impl Case {
    fn new(options: AccessLogOptions) -> Self {
        let fields = [
            ("Host", &b"app.example:8443"[..]),
            ("user-agent", b"curl/8 \"x\""),
            ("Referer", b"https://from.example/"),
            ("Authorization", b"Basic c2VjcmV0"),
            ("X-Trace", b"a"),
            ("x-trace", b"b"),
        ];
        let origin = [("Server", &b"demo"[..]), ("Set-Cookie", b"sid=1")];
        Self { options, fields: fields.into_iter().collect(), origin: origin.into_iter().collect() }
    }

    /// The line of one request, changed by `edit`.
    fn line(&self, edit: impl FnOnce(&mut Record<'_>)) -> String {
        let telemetry = Telemetry::new(Options {
            workers: 1,
            seed: 7,
            access_log: Some(self.options.clone()),
            tracing: Some(TracingOptions::default()),
            metrics: None,
        });
        let entry_point = telemetry.entry_point("websecure");
        let app = Name::whole("app@file");
        let (router, service) = (telemetry.router(&app, &app), telemetry.service(&app));
        let mut record = Record {
            started: Duration::new(1_700_000_000, 5_000_000),
            total: Duration::from_millis(12),
            phases: Phases {
                routed: Some(Duration::from_micros(3)),
                origin_start: Some(Duration::from_millis(1)),
                connected: Some(Duration::from_millis(2)),
                first_byte: Some(Duration::from_millis(9)),
                origin_end: Some(Duration::from_millis(11)),
            },
            router: Some(&router),
            service: Some(&service),
            server_url: Some("http://10.0.0.7:80"),
            server_addr: Some("10.0.0.7:80".parse().expect("an address")),
            peer: Some("192.0.2.1:40000".parse().expect("an address")),
            forwarded_for: Some("192.0.2.1"),
            scheme: Scheme::Https,
            query: Some("q=1"),
            version: Version::Http2,
            origin_fields: Some(&self.origin),
            response_fields: Some(&self.origin),
            status: 200,
            origin_status: Some(200),
            request_bytes: 10,
            origin_bytes: 900,
            response_bytes: 300,
            attempts: 2,
            tls: Some(TlsInfo {
                version: "1.3",
                cipher: "TLS13_AES_128_GCM_SHA256",
                sni: Some("app.example"),
                client_subject: None,
            }),
            snapshot: 17,
            ..Record::new(&entry_point, &Method::Get, "app.example:8443", "/a", &self.fields)
        };
        edit(&mut record);
        let trace = telemetry.trace(&self.fields);
        telemetry.finish(&record, trace);
        let mut sink = MemorySink::default();
        telemetry.log_drain().expect("a log").write_to(&mut sink).expect("memory takes everything");
        sink.text()
    }
}

fn common() -> AccessLogOptions {
    AccessLogOptions::default()
}

fn json() -> AccessLogOptions {
    AccessLogOptions { format: LogFormat::Json, ..Default::default() }
}

#[test]
fn common_line() {
    assert_eq!(
        Case::new(common()).line(|_| {}),
        "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?q=1 HTTP/2.0\" 200 300 \"-\" \"-\" 1 \"app@file\" \
         \"http://10.0.0.7:80\" 12ms\n"
    );
}

#[test]
fn a_connection_has_a_line_that_speaks_of_no_request() {
    let of = |r: &mut Record<'_>| {
        (r.tcp, r.path, r.query, r.authority) = (true, "db.example", None, "db.example");
        (r.origin_fields, r.response_fields, r.origin_status) = (None, None, None);
        r.tls = Some(TlsInfo { version: "", cipher: "", sni: Some("db.example"), client_subject: None });
    };
    assert_eq!(
        Case::new(common()).line(of),
        "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"- db.example TCP\" - 300 \"-\" \"-\" 1 \"app@file\" \
         \"http://10.0.0.7:80\" 12ms\n"
    );
    let line: serde_json::Value = serde_json::from_str(&Case::new(json()).line(of)).expect("JSON");
    let value = |name: &str| line.get(name).cloned().unwrap_or_default();
    assert_eq!((value("RequestProtocol"), value("TLSServerName")), ("TCP".into(), "db.example".into()));
    assert_eq!((value("RequestContentSize"), value("DownstreamContentSize")), (10.into(), 300.into()));
    for absent in ["RequestMethod", "RequestPath", "RequestHost", "DownstreamStatus", "OriginStatus", "TLSVersion", "TLSCipher"] {
        assert!(line.get(absent).is_none(), "{absent}: {line}");
    }
    let filtered = AccessLogOptions { status_codes: vec![StatusRange { first: 500, last: 599 }], ..json() };
    assert_eq!(Case::new(filtered).line(of), "", "one that ended in order counts as 200");
}

#[test]
fn common_line_with_headers_kept_and_nothing_reached() {
    let mut options = common();
    options.headers = [("User-Agent".to_owned(), HeaderMode::Keep), ("REFERER".to_owned(), HeaderMode::Redact)].into();
    let line = Case::new(options).line(|r| {
        (r.router, r.service, r.server_url, r.user) = (None, None, None, Some("ann e"));
        (r.status, r.reason, r.attempts, r.response_bytes) = (404, Some(Reason::NoRoute), 0, 19);
    });
    assert_eq!(
        line,
        "192.0.2.1 - ann\\x20e [14/Nov/2023:22:13:20 +0000] \"GET /a?q=1 HTTP/2.0\" 404 19 \"REDACTED\" \"curl/8 \\\"x\\\"\" 1 \"-\" \"-\" \
         12ms\n"
    );
}

#[test]
fn generic_line_ends_at_the_agent_and_may_leave_the_query_out() {
    let options = AccessLogOptions { format: LogFormat::GenericClf, query_parameters: FieldMode::Drop, ..common() };
    assert_eq!(
        Case::new(options).line(|_| {}),
        "192.0.2.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a HTTP/2.0\" 200 300 \"-\" \"-\"\n"
    );
}

#[test]
fn json_line() {
    let mut options = json();
    options.names = ["traceid", "SpanID", "trace_id", "span_id"].into_iter().map(|n| (n.to_owned(), FieldMode::Drop)).collect();
    options.headers = [("x-trace".to_owned(), HeaderMode::Keep), ("Server".to_owned(), HeaderMode::Keep)].into();
    assert_eq!(
        Case::new(options).line(|_| {}),
        concat!(
            r#"{"Attempts":2,"ClientAddr":"192.0.2.1:40000","ClientHost":"192.0.2.1","ClientPort":"40000","ClientUsername":"-","#,
            r#""ConnectDuration":1000000,"DownstreamContentSize":300,"DownstreamStatus":200,"Duration":12000000,"#,
            r#""FirstByteDuration":9000000,"GzipRatio":3,"OriginContentSize":900,"OriginDuration":10000000,"OriginStatus":200,"#,
            r#""Overhead":2000000,"RequestAddr":"app.example:8443","RequestContentSize":10,"RequestCount":1,"#,
            r#""RequestHost":"app.example","RequestMethod":"GET","RequestPath":"/a?q=1","RequestPort":"8443","#,
            r#""RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":1,"RouterName":"app@file","#,
            r#""RoutingDuration":3000,"ServiceAddr":"10.0.0.7:80","ServiceName":"app@file","ServiceURL":"http://10.0.0.7:80","#,
            r#""SnapshotNumber":17,"StartLocal":"2023-11-14T22:13:20.005Z","StartUTC":"2023-11-14T22:13:20.005Z","#,
            r#""TLSCipher":"TLS13_AES_128_GCM_SHA256","TLSServerName":"app.example","TLSVersion":"1.3","#,
            r#""downstream_Server":"demo","entryPointName":"websecure","level":"info","msg":"","origin_Server":"demo","#,
            r#""request_X-Trace":"a,b","time":"2023-11-14T22:13:20Z"}"#,
            "\n"
        )
    );
}

proptest! {
    /// What is written without the formatting machinery reads as with it.
    #[test]
    fn addresses_and_times_in_json_are_as_they_print(
        peer in any::<std::net::SocketAddr>(),
        server in any::<std::net::SocketAddr>(),
        nanos in 0..1_000_000_000_u32,
        seconds in 0..4_102_444_800_u64,
    ) {
        let line = Case::new(json()).line(|r| {
            (r.peer, r.server_addr, r.forwarded_for) = (Some(peer), Some(server), None);
            r.started = Duration::new(seconds, nanos);
        });
        let line: serde_json::Value = serde_json::from_str(&line).expect("an object");
        prop_assert_eq!(&line["ClientAddr"], &peer.to_string());
        prop_assert_eq!(&line["ClientHost"], &peer.ip().to_string());
        prop_assert_eq!(&line["ClientPort"], &peer.port().to_string());
        prop_assert_eq!(&line["ServiceAddr"], &server.to_string());
        prop_assert_eq!(&line["StartUTC"], &line["StartLocal"]);
        let start = line["StartUTC"].as_str().expect("a text");
        let (whole, fraction) = start.trim_end_matches('Z').split_once('.').unwrap_or((start, "0"));
        prop_assert_eq!(fraction, if nanos == 0 { "0".to_owned() } else { format!("{nanos:09}").trim_end_matches('0').to_owned() });
        let mut naive = Vec::new();
        super::stamp::rfc3339_seconds(&mut naive, Duration::from_secs(seconds));
        prop_assert_eq!(format!("{}Z", whole.trim_end_matches('Z')).into_bytes(), naive);
    }
}

#[test]
fn a_line_without_fields_is_an_object() {
    let bare = AccessLogOptions { default_mode: FieldMode::Drop, ..json() };
    assert_eq!(Case::new(bare).line(|_| {}), "{\"level\":\"info\",\"msg\":\"\",\"time\":\"2023-11-14T22:13:20Z\"}\n");
    let peerless: serde_json::Value =
        serde_json::from_str(&Case::new(json()).line(|r| (r.peer, r.forwarded_for) = (None, None))).expect("an object");
    assert_eq!((&peerless["ClientHost"], peerless.get("ClientAddr")), (&"".into(), None));
}

#[test]
fn credentials_are_redacted_when_everything_is_kept_and_kept_only_by_name() {
    let mut case = Case::new(AccessLogOptions { header_default_mode: HeaderMode::Keep, ..json() });
    let line: serde_json::Value = serde_json::from_str(&case.line(|_| {})).expect("an object");
    assert_eq!(line["request_Authorization"], "REDACTED");
    assert_eq!(line["downstream_Set-Cookie"], "REDACTED");
    assert_eq!(line["request_User-Agent"], "curl/8 \"x\"");
    assert_eq!(line["request_X-Trace"], "a,b");
    case.options.headers = [("authorization".to_owned(), HeaderMode::Keep)].into();
    let line: serde_json::Value = serde_json::from_str(&case.line(|_| {})).expect("an object");
    assert_eq!(line["request_Authorization"], "Basic c2VjcmV0");
}

#[test]
fn reason_ids_and_flags_stand_in_json_when_there_are_any() {
    let case = Case::new(json());
    let line: serde_json::Value = serde_json::from_str(&case.line(|r| {
        (r.reason, r.truncated, r.status, r.request_id) = (Some(Reason::UpstreamTruncated), true, 200, Some("r-1"));
    }))
    .expect("an object");
    assert_eq!(
        (&line["Reason"], &line["Truncated"], &line["RequestID"]),
        (&"upstream_truncated".into(), &true.into(), &"r-1".into())
    );
    assert_eq!(line["TraceId"], line["trace_id"]);
    assert!(line["SpanId"].as_str().is_some_and(|id| id.len() == 16));
    assert!(line.get("ClientClosed").is_none());
}

#[test]
fn filters_are_alternatives() {
    let options = AccessLogOptions {
        status_codes: vec![StatusRange { first: 500, last: 599 }, StatusRange { first: 404, last: 404 }],
        min_duration: Duration::from_secs(1),
        ..common()
    };
    let case = Case::new(options.clone());
    assert_eq!(case.line(|_| {}), "", "200 within a second");
    assert_ne!(case.line(|r| r.status = 404), "");
    assert_ne!(case.line(|r| r.status = 599), "");
    assert_ne!(case.line(|r| r.total = Duration::from_secs(2)), "");
    let retries = Case::new(AccessLogOptions { retry_attempts: true, ..options });
    assert_ne!(retries.line(|_| {}), "");
    assert_eq!(retries.line(|r| r.attempts = 1), "");
}

#[test]
fn a_forged_line_stays_one_line() {
    for options in [common(), json()] {
        let mut case = Case::new(AccessLogOptions { header_default_mode: HeaderMode::Keep, ..options });
        case.fields.set("User-Agent", b"x\"\r\n1.1.1.1 - admin [\xff\x1b[2J");
        let method: &'static Method = Box::leak(Box::new(Method::new("BAD\tX")));
        let line = case.line(|r| {
            (r.path, r.query, r.forwarded_for, r.authority) = ("/a\nb\u{85}", Some("\"\n\\"), Some("1.2.3.4\n"), "h\"\n:1");
            r.method = method;
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        if case.options.format == LogFormat::Json {
            serde_json::from_str::<serde_json::Value>(&line).expect("still an object");
        }
    }
}

#[test]
fn internal_requests_are_logged_only_when_asked_for() {
    for internals in [false, true] {
        let telemetry = Telemetry::new(Options {
            workers: 1,
            access_log: Some(AccessLogOptions { internals, ..common() }),
            ..Default::default()
        });
        let ping = Name::whole("ping@internal");
        let (entry_point, router, fields) = (telemetry.entry_point("traefik"), telemetry.router(&ping, &ping), Fields::new());
        let record =
            Record { router: Some(&router), status: 200, ..Record::new(&entry_point, &Method::Get, "x", "/ping", &fields) };
        telemetry.finish(&record, telemetry.trace(&fields));
        let mut sink = MemorySink::default();
        telemetry.log_drain().expect("a log").write_to(&mut sink).expect("memory takes everything");
        assert_eq!(sink.text().lines().count(), usize::from(internals));
    }
}
