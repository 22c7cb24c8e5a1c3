//! What is seen from outside: access log, metrics, traces, the administration API; and what is not shown.

use fairlead_tests::{
    Connection, Gateway, Server, Setup,
    gateway::routes,
    get,
    http::get_host,
    otlp::{Receiver, Span},
    server::{After, whoami},
    until,
    wait::eventually,
};
use serde_json::{Value, json};

fn lines(gateway: &Gateway, count: usize) -> Vec<String> {
    eventually("the access log has its lines", || {
        let text = gateway.dir.read("access.log");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count { Ok(lines) } else { Err(text) }
    })
}

fn with_log(options: Value, server: &Server) -> Gateway {
    let setup = Setup::new();
    let mut log = options;
    log["filePath"] = json!(setup.dir().file("access.log"));
    setup.section("accessLog", log).dynamic(routes(&[("app", "PathPrefix(`/app`)", &[server])])).start()
}

#[test]
fn the_common_log_format_is_traefiks() {
    let server = Server::whoami("a");
    let gateway = with_log(json!({ "fields": { "headers": { "names": { "Referer": "keep", "User-Agent": "keep" } } } }), &server);
    let mut client = gateway.connect();
    client.request("GET", "/app/x?y=z", "a.example", "Referer: http://from.example/\r\nUser-Agent: test/1.0\r\n");
    client.request("GET", "/nowhere", "a.example", "");
    let lines = lines(&gateway, 2);
    let first = &lines[0];
    assert!(first.starts_with("127.0.0.1 - - ["), "{first}");
    assert!(first.contains("] \"GET /app/x?y=z HTTP/1.1\" 200 "), "{first}");
    assert!(first.contains(" \"http://from.example/\" \"test/1.0\" "), "{first}");
    assert!(first.contains(&format!(" \"app@file\" \"{}\" ", server.url())), "{first}");
    assert!(first.ends_with("ms"), "{first}");
    assert!(lines[1].contains("\" 404 "), "{}", lines[1]);
}

#[test]
fn the_json_log_has_traefiks_fields_and_ours() {
    let server = Server::whoami("a");
    let options =
        json!({ "format": "json", "fields": { "headers": { "names": { "User-Agent": "keep", "Authorization": "redact" } } } });
    let gateway = with_log(options, &server);
    let mut client = gateway.connect();
    client.request("GET", "/app", "a.example", "User-Agent: test/1.0\r\nAuthorization: Bearer secret-token\r\nCookie: a=b\r\n");
    client.request("GET", "/nowhere", "a.example", "");
    let lines = lines(&gateway, 2);
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let first = &parsed[0];
    assert_eq!(first["RequestMethod"], "GET");
    assert_eq!(first["RequestPath"], "/app");
    assert_eq!(first["RequestHost"], "a.example");
    assert_eq!(first["DownstreamStatus"], 200);
    assert_eq!(first["OriginStatus"], 200);
    assert_eq!(first["RouterName"], "app@file");
    assert_eq!(first["ServiceName"], "app@file");
    assert_eq!(first["entryPointName"], "web");
    assert_eq!(first["ClientHost"], "127.0.0.1");
    assert_eq!(first["request_User-Agent"], "test/1.0");
    assert_eq!(first["request_Authorization"], "REDACTED");
    assert!(first["Duration"].as_i64().is_some_and(|nanos| nanos > 0), "{first}");
    assert_eq!(parsed[1]["DownstreamStatus"], 404);
    assert!(lines[1].contains("no_route"), "{}", lines[1]);
    assert!(!lines.concat().contains("secret-token"));
}

#[test]
fn a_log_file_is_reopened_when_asked() {
    let server = Server::whoami("a");
    let gateway = with_log(json!({}), &server);
    gateway.get("/app/1");
    lines(&gateway, 1);
    std::fs::rename(gateway.dir.path().join("access.log"), gateway.dir.path().join("access.log.1")).expect("it is there");
    gateway.process.signal("USR1");
    until("a new file is written", || {
        gateway.get("/app/2");
        !gateway.dir.read("access.log").is_empty()
    });
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start(|exchange| match exchange.head.target() {
        "/app/fail" => exchange.reply(500, "", "").map(|()| After::Keep),
        _ => whoami("a", exchange),
    });
    let setup = Setup::new().section("metrics", json!({ "prometheus": { "addRoutersLabels": true } }));
    let gateway = setup.dynamic(routes(&[("app", "PathPrefix(`/app`)", &[&server])])).start();
    let mut client = gateway.connect();
    for _ in 0..7 {
        client.get("/app");
    }
    client.get("/app/fail");
    client.get("/nowhere");
    let entry = ["entrypoint=\"web\"", "code=\"200\"", "method=\"GET\""];
    until("the requests are counted", || gateway.metric("traefik_entrypoint_requests_total", &entry) == 7.0);
    assert_eq!(gateway.metric("traefik_service_requests_total", &["service=\"app@file\"", "code=\"200\""]), 7.0);
    assert_eq!(gateway.metric("traefik_service_requests_total", &["service=\"app@file\"", "code=\"500\""]), 1.0);
    assert_eq!(gateway.metric("traefik_router_requests_total", &["router=\"app@file\"", "code=\"200\""]), 7.0);
    assert_eq!(gateway.metric("traefik_entrypoint_requests_total", &["entrypoint=\"web\"", "code=\"404\""]), 1.0);
    assert_eq!(gateway.metric("traefik_service_request_duration_seconds_count", &["service=\"app@file\"", "code=\"200\""]), 7.0);
    // Row 119: labels come from the configuration, whatever clients invent.
    let before = get(gateway.port("traefik"), "/metrics").text().lines().count();
    for number in 0..200 {
        client.request(&format!("M{number}"), &format!("/{number}"), &format!("h{number}.example"), "");
    }
    let after = get(gateway.port("traefik"), "/metrics").text().lines().count();
    assert!(after < before + 60, "{before} lines became {after}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn spans_are_parent_and_child_and_follow_the_callers_trace() {
    let receiver = Receiver::start();
    let server = Server::whoami("a");
    let tracing = json!({ "serviceName": "edge", "sampleRate": 1.0, "otlp": { "http": { "endpoint": receiver.endpoint() } } });
    let gateway = Setup::new().section("tracing", tracing).dynamic(routes(&[("app", "PathPrefix(`/app`)", &[&server])])).start();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let fields = format!("traceparent: 00-{trace}-b7ad6b7169203331-01\r\ntracestate: v=1\r\n");
    assert_eq!(gateway.connect().request("GET", "/app/x?token=hidden", "a.example", &fields).status, 200);

    let spans = eventually("both spans arrive", || {
        let spans = receiver.spans();
        if spans.len() >= 2 { Ok(spans) } else { Err(format!("{spans:?}")) }
    });
    assert!(spans.iter().all(|(service, span)| service == "edge" && hex(&span.trace_id) == trace), "{spans:?}");
    let of_kind = |kind| -> &Span {
        &spans.iter().find(|(_, span)| span.kind == kind).unwrap_or_else(|| panic!("kind {kind}: {spans:?}")).1
    };
    let (serving, asking) = (of_kind(2), of_kind(3));
    assert_eq!(hex(&serving.parent_span_id), "b7ad6b7169203331");
    assert_eq!(asking.parent_span_id, serving.span_id);
    assert!(serving.start <= asking.start && asking.end <= serving.end && serving.start > 1_500_000_000_000_000_000);
    assert_eq!(serving.attribute("http.request.method").as_deref(), Some("GET"));
    assert_eq!(serving.attribute("http.response.status_code").as_deref(), Some("200"));
    let all = format!("{:?}", spans);
    assert!(all.contains("app@file"), "router and service are named: {:?}", serving.keys());
    assert!(!all.contains("hidden"), "values of a query stay out: {all}");

    let seen = server.seen().pop().expect("it was forwarded");
    let onwards = format!("00-{trace}-{}-01", hex(&asking.span_id));
    assert_eq!((seen.field("traceparent"), seen.field("tracestate")), (Some(onwards.as_str()), Some("v=1")));
}

#[test]
fn the_api_shows_what_is_served_and_no_secret() {
    let server = Server::whoami("a");
    let mut dynamic = routes(&[("app", "PathPrefix(`/app`)", &[&server])]);
    dynamic["http"]["middlewares"] = json!({
        "auth": { "basicAuth": { "users": ["admin:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"] } },
        "key": { "headers": { "customRequestHeaders": { "X-Api-Key": "an-api-key" } } },
    });
    dynamic["http"]["routers"]["app"]["middlewares"] = json!(["auth", "key"]);
    let gateway = Setup::new().dynamic(dynamic).start();
    let router = gateway.api("/api/http/routers/app@file");
    assert_eq!(
        (&router["rule"], &router["service"], &router["status"]),
        (&json!("PathPrefix(`/app`)"), &json!("app@file"), &json!("enabled"))
    );
    assert_eq!(gateway.api("/api/http/services/app@file")["loadBalancer"]["servers"][0]["url"], server.url());
    assert_eq!(gateway.api("/api/http/middlewares/auth@file")["type"], "basicauth");
    assert!(gateway.api("/api/overview")["http"]["routers"]["total"].as_u64().is_some_and(|n| n >= 1));
    assert!(gateway.api("/api/version")["Version"].is_string());
    let entry_points = gateway.api("/api/entrypoints").to_string();
    assert!(entry_points.contains("web") && entry_points.contains(&gateway.web().to_string()), "{entry_points}");
    for path in ["/api/rawdata", "/api/http/middlewares", "/api/http/middlewares/auth@file", "/api/http/middlewares/key@file"] {
        let text = get(gateway.port("traefik"), path).text();
        assert!(!text.contains("IgXLP6ewTrSuBkTrqE8wj") && !text.contains("an-api-key"), "{path} shows a secret: {text}");
    }
    assert_eq!(gateway.get("/app").status, 401);
    assert_eq!(gateway.get("/api/rawdata").status, 404, "the API is on its own entry point only");
    // Row 109: another site's page, or a name that was bound to this address.
    let admin = gateway.port("traefik");
    assert_eq!(get_host(admin, "evil.example", "/api/rawdata").status, 403);
    assert_eq!(
        Connection::open(admin).request("GET", "/api/rawdata", "localhost", "Origin: http://evil.example\r\n").status,
        403
    );
}

#[test]
fn live_and_ready_differ() {
    let server = Server::whoami("a");
    let gateway = Gateway::over(&[&server]);
    let admin = gateway.port("traefik");
    assert_eq!(get(admin, "/ping").text(), "OK");
    assert_eq!(get(admin, "/ready").status, 200);
    assert_eq!(get(admin, "/dashboard/").status, 200);
}

#[test]
fn tasks_are_counted_while_connections_are_open() {
    let server = Server::whoami("a");
    let dynamic = routes(&[("app", "PathPrefix(`/`)", &[&server])]);
    let gateway = Setup::new().section("metrics", json!({ "prometheus": {} })).dynamic(dynamic).start();
    let tasks = || gateway.metric("fairlead_worker_tasks", &[]);
    until("the workers' own tasks are counted", || tasks() > 0.0);
    let own = tasks();
    let mut clients: Vec<_> = (0..40).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    until("each connection is a task", || tasks() >= own + 40.0);
    drop(clients);
    until("their tasks have ended", || tasks() < own + 10.0);
}
