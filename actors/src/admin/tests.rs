//! Answers compared with Traefik's shapes, and the guard with what browsers and strangers send.

use super::*;
use fairlead_core::{
    Name,
    config::{
        Severity,
        dynamic::{
            BasicAuth, Failover, HeaderEdits, LoadBalancer, Middleware, MiddlewareKind, Observability, RateLimit, Router,
            RouterTls, Server, ServerUrl, Service, ServiceKind, SourceCriterion, UpstreamScheme, Weighted,
        },
    },
    map::Map,
    rule::{self, Syntax},
    snapshot::EntryPointSpec,
};
use serde_json::{Value, json};
use std::sync::Arc;

const SECRETS: [&str; 5] = ["$2y$05$hash", "hunter2", "ann", "s3cr3t-token", "letmein"];

fn name(text: &str) -> Name {
    Name::whole(text)
}

fn router(called: &str, text: &str, service: &str, middlewares: &[&str]) -> Router {
    Router {
        name: name(called),
        declared: name(called),
        entry_points: Arc::new(["web".to_owned()]),
        rule: rule::parse(text, Syntax::V3).expect("a rule"),
        priority: text.len() as i64,
        middlewares: middlewares.iter().map(|m| name(m)).collect(),
        service: name(service),
        tls: None,
        observability: Observability { access_log: true, metrics: true, tracing: true },
        source: "routes.yml".to_owned(),
    }
}

fn server(url: &str, weight: u32) -> Server {
    let url =
        ServerUrl { scheme: UpstreamScheme::Http, host: "10.0.0.1".into(), port: 80, path: String::new(), text: url.into() };
    Server::new(url, weight)
}

fn balancer(servers: Vec<Server>) -> ServiceKind {
    ServiceKind::LoadBalancer(Arc::new(LoadBalancer { servers, ..LoadBalancer::new(name("default@internal")) }))
}

fn named<T>(objects: impl IntoIterator<Item = (&'static str, T)>) -> Map<Name, Arc<T>> {
    objects.into_iter().map(|(n, object)| (name(n), Arc::new(object))).collect()
}

fn config() -> Config {
    let service = |called, kind| (called, Service { name: name(called), kind, source: "routes.yml".into() });
    let middleware = |called, kind| (called, Middleware { name: name(called), kind, source: "routes.yml".into() });
    let auth = BasicAuth {
        users: [("ann".to_owned(), "$2y$05$hash".to_owned())].into(),
        realm: "staff".into(),
        remove_header: true,
        header_field: None,
    };
    let edits = HeaderEdits {
        request: vec![("X-Auth-Token".into(), "s3cr3t-token".into()), ("X-Team".into(), "blue".into())],
        response: vec![("Set-Cookie".into(), "letmein".into())],
        ..HeaderEdits::default()
    };
    let limit = RateLimit { average: 5, period: Duration::from_secs(1), burst: 10, source: SourceCriterion::RequestHost };
    let tls = RouterTls { options: name("default"), cert_resolver: None, domains: vec![vec!["a.b".into(), "c.d".into()]] };
    let mut config = Config::default();
    config.routers = named([
        ("r@file", router("r@file", "Host(`a.b`)", "s@file", &["auth@file", "chain@file"])),
        ("tls@file", Router { tls: Some(tls.into()), ..router("tls@file", "Host(`c.d`)", "w@file", &[]) }),
    ]);
    config.services = named([
        service("s@file", balancer(vec![server("http://10.0.0.1", 1), server("http://bob:hunter2@10.0.0.2", 3)])),
        service(
            "w@file",
            ServiceKind::Weighted(Weighted { services: vec![(name("f@file"), 2)], sticky: None, health_check: false }.into()),
        ),
        service("f@file", ServiceKind::Failover(Failover { service: name("s@file"), fallback: name("t@file") }.into())),
        service("t@file", balancer(Vec::new())),
    ]);
    config.middlewares = named([
        middleware("auth@file", MiddlewareKind::BasicAuth(auth)),
        middleware("chain@file", MiddlewareKind::Chain { middlewares: vec![name("limit@file")] }),
        middleware("limit@file", MiddlewareKind::RateLimit(limit)),
        middleware("edits@file", MiddlewareKind::Headers(edits)),
    ]);
    config
}

fn rejection(severity: Severity, key: &str) -> Rejection {
    Rejection {
        severity,
        source: "routes.yml".into(),
        key: key.into(),
        message: "`Hots` is not a matcher".into(),
        remedy: "did you mean `Host`?".into(),
    }
}

/// A process to ask.
struct World {
    options: AdminOptions,
    config: Config,
    rejections: Vec<Rejection>,
    readiness: Readiness,
    endpoints: Vec<EndpointView>,
}

impl World {
    fn new() -> Self {
        let endpoint = |url: &str, state| EndpointView {
            service: "s@file".into(),
            url: url.into(),
            instance: String::new(),
            node: String::new(),
            state,
            in_flight: 1,
            detail: String::new(),
        };
        Self {
            options: AdminOptions {
                version: "1.2.3".into(),
                started: Duration::from_secs(1_700_000_000),
                metrics: "Prometheus",
                allowed_hosts: vec!["admin.example".into()],
                entry_points: vec![EntryPointView { name: "web".into(), address: ":80".into(), settings: Default::default() }],
                ..AdminOptions::default()
            },
            config: config(),
            rejections: vec![
                rejection(Severity::Warning, "http.routers.r.priority"),
                rejection(Severity::Error, "http.routers.Broken.rule"),
            ],
            readiness: Readiness::default(),
            endpoints: vec![
                endpoint("http://10.0.0.1", EndpointState::Active),
                endpoint("http://bob:hunter2@10.0.0.2", EndpointState::Ejected),
            ],
        }
    }

    fn ask(&self, edit: impl FnOnce(&mut AdminRequest<'_>)) -> Response {
        let provider = ProviderView {
            name: "etcd".into(),
            healthy: true,
            synced: true,
            staleness: Some(Duration::from_millis(1500)),
            ..Default::default()
        };
        let snapshot = Snapshot::build(7, &self.config, &[EntryPointSpec { name: "web".into() }]);
        let state = AdminState {
            options: &self.options,
            config: &self.config,
            snapshot: &snapshot,
            rejections: &self.rejections,
            config_hash: "cafe",
            providers: &[provider],
            endpoints: &self.endpoints,
            certificates: &[CertificateView {
                common_name: "a.b".into(),
                not_after: Duration::from_secs(1_700_000_100),
                ..Default::default()
            }],
            readiness: &self.readiness,
            now: Duration::from_secs(1_700_000_060),
            render_metrics: &|| "up 1\n".to_owned(),
        };
        let mut request = AdminRequest {
            surface: Surface::ALL,
            method: "GET",
            path: "/",
            query: None,
            authority: "127.0.0.1:8080",
            origin: None,
            sec_fetch_site: None,
            sec_fetch_mode: None,
            host_was_matched: false,
            client: IpAddr::from([127, 0, 0, 1]),
        };
        edit(&mut request);
        respond(&state, &request)
    }

    fn get(&self, target: &'static str) -> Response {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        self.ask(|r| (r.path, r.query) = (path, query))
    }

    fn json(&self, target: &'static str) -> Value {
        let response = self.get(target);
        assert_eq!((response.status, response.field("content-type")), (200, Some("application/json")), "{target}");
        serde_json::from_slice(&response.body).expect("JSON")
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|o| o["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_router_has_traefiks_shape() {
    assert_eq!(
        World::new().json("/api/http/routers/tls@file"),
        json!({
            "entryPoints": ["web"], "service": "w@file", "rule": "Host(`c.d`)", "priority": 11,
            "tls": { "options": "default", "domains": [{ "main": "a.b", "sans": ["c.d"] }] },
            "observability": { "accessLogs": true, "metrics": true, "tracing": true, "traceVerbosity": "minimal" },
            "status": "enabled", "using": ["web"], "name": "tls@file", "provider": "file", "priorityStr": "11",
        })
    );
}

#[test]
fn a_service_has_traefiks_shape() {
    let world = World::new();
    assert_eq!(
        world.json("/api/http/services/s@file"),
        json!({
            "loadBalancer": {
                "servers": [{ "url": "http://10.0.0.1" }, { "url": "http://REDACTED@10.0.0.2", "weight": 3 }],
                "strategy": "wrr", "passHostHeader": true, "responseForwarding": { "flushInterval": "100ms" },
            },
            "status": "enabled", "usedBy": ["r@file", "tls@file"],
            "serverStatus": { "http://10.0.0.1": "UP", "http://REDACTED@10.0.0.2": "DOWN" },
            "name": "s@file", "provider": "file", "type": "loadbalancer",
        })
    );
    assert_eq!(world.json("/api/http/services/w@file")["weighted"], json!({ "services": [{ "name": "f@file", "weight": 2 }] }));
    assert_eq!(world.json("/api/http/services/f@file")["failover"], json!({ "service": "s@file", "fallback": "t@file" }));
}

#[test]
fn middlewares_have_traefiks_shapes_without_their_secrets() {
    let world = World::new();
    assert_eq!(
        world.json("/api/http/middlewares/auth@file"),
        json!({
            "basicAuth": { "users": ["REDACTED"], "realm": "staff", "removeHeader": true },
            "status": "enabled", "usedBy": ["r@file"], "name": "auth@file", "provider": "file", "type": "basicauth",
        })
    );
    let limit = world.json("/api/http/middlewares/limit@file");
    assert_eq!(
        limit["rateLimit"],
        json!({ "average": 5, "period": "1s", "burst": 10, "sourceCriterion": { "requestHost": true } })
    );
    assert_eq!(limit["usedBy"], json!(["r@file"]), "through a chain");
    let headers = &world.json("/api/http/middlewares/edits@file")["headers"];
    assert_eq!(headers["customRequestHeaders"], json!({ "X-Auth-Token": "REDACTED", "X-Team": "blue" }));
}

#[test]
fn no_answer_holds_a_secret() {
    let world = World::new();
    for target in [
        "/api/rawdata",
        "/api/overview",
        "/api/http/routers",
        "/api/http/services",
        "/api/http/middlewares",
        "/api/http/middlewares/auth@file",
        "/api/fairlead/status",
        "/api/fairlead/endpoints",
        "/api/fairlead/explain?url=http://a.b/",
    ] {
        let response = world.get(target);
        assert_eq!(response.status, 200, "{target}");
        let body = String::from_utf8_lossy(&response.body).into_owned();
        for secret in SECRETS {
            assert!(!body.contains(secret), "{target} shows {secret}: {body}");
        }
    }
}

#[test]
fn raw_data_is_maps_without_names() {
    let raw = World::new().json("/api/rawdata");
    assert_eq!(raw.as_object().expect("maps").keys().collect::<Vec<_>>(), ["routers", "middlewares", "services"]);
    let router = &raw["routers"]["r@file"];
    assert_eq!((&router["status"], &router["using"]), (&json!("warning"), &json!(["web"])));
    assert!(["name", "provider", "priorityStr"].iter().all(|key| router.get(key).is_none()));
    assert_eq!(raw["routers"]["broken"]["status"], "disabled");
    assert_eq!(
        raw["routers"]["broken"]["error"],
        json!(["routes.yml: http.routers.Broken.rule: `Hots` is not a matcher (did you mean `Host`?)"])
    );
    assert!(raw["services"]["s@file"]["serverStatus"].is_object());
}

#[test]
fn overview_and_version_have_traefiks_shapes() {
    let world = World::new();
    let none = json!({ "total": 0, "warnings": 0, "errors": 0 });
    assert_eq!(
        world.json("/api/overview"),
        json!({
            "http": {
                "routers": { "total": 3, "warnings": 1, "errors": 1 },
                "services": { "total": 4, "warnings": 0, "errors": 0 },
                "middlewares": { "total": 4, "warnings": 0, "errors": 0 },
            },
            "tcp": { "routers": none, "services": none, "middlewares": none },
            "udp": { "routers": none, "services": none },
            "certificates": { "total": 1, "warnings": 1, "errors": 0 },
            "features": { "tracing": "", "metrics": "Prometheus", "accessLog": false },
            "providers": ["Etcd"],
        })
    );
    assert_eq!(
        world.json("/api/version"),
        json!({ "Version": "1.2.3", "Codename": "fairlead", "startDate": "2023-11-14T22:13:20Z" })
    );
    assert_eq!(world.json("/api/entrypoints"), json!([{ "address": ":80", "name": "web" }]));
    assert_eq!(world.json("/api/entrypoints/web"), json!({ "address": ":80", "name": "web" }));
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let world = World::new();
    let list = |target| names(&world.json(target)).join(" ");
    assert_eq!(list("/api/http/routers"), "broken r@file tls@file");
    assert_eq!(list("/api/http/routers?status=Warning"), "r@file");
    assert_eq!(list("/api/http/routers?status=disabled"), "broken");
    assert_eq!(list("/api/http/routers?search=C.D"), "tls@file");
    assert_eq!(list("/api/http/routers?serviceName=s@file"), "r@file");
    assert_eq!(list("/api/http/routers?middlewareName=auth%40file"), "r@file");
    assert_eq!(list("/api/http/services?sortBy=servers&direction=desc"), "s@file w@file t@file f@file");
    assert_eq!(list("/api/http/middlewares?sortBy=type"), "auth@file chain@file edits@file limit@file");
    assert_eq!(list("/api/http/services?page=2&per_page=3"), "w@file");
    let next = |target| world.get(target).field("x-next-page").map(str::to_owned);
    assert_eq!(next("/api/http/services?per_page=3").as_deref(), Some("2"));
    assert_eq!(next("/api/http/services?page=2&per_page=3").as_deref(), Some("1"));
    assert_eq!(list("/api/tcp/routers"), "");
    for bad in ["/api/http/services?page=0", "/api/http/services?per_page=x", "/api/http/services?page=3&per_page=3"] {
        let response = world.get(bad);
        assert_eq!((response.status, response.field("content-type")), (400, Some("text/plain; charset=utf-8")), "{bad}");
        assert!(response.body.starts_with(b"{\"message\":\"invalid request"), "{bad}");
    }
}

#[test]
fn traefik_1_shows_providers_with_frontends_and_backends() {
    let world = World::new();
    let all = world.json("/api");
    assert_eq!(all, world.json("/api/"));
    assert_eq!(all["file"], world.json("/api/providers/file"));
    assert_eq!(all["file"]["frontends"]["r"]["backend"], "s");
    assert_eq!(all["file"]["frontends"]["r"]["routes"]["route-r"]["rule"], world.json("/api/http/routers/r@file")["rule"]);
    assert!(all["file"]["backends"]["s"]["servers"]["server-0"]["url"].is_string(), "{all:#}");
    assert!(all.get("internal").is_none(), "{all:#}");
}

#[test]
fn what_is_not_there_is_404_in_traefiks_words() {
    let world = World::new();
    let response = world.get("/api/http/routers/x%40y");
    assert_eq!((response.status, &*response.body), (404, &b"{\"message\":\"router not found: x@y\"}\n"[..]));
    for target in
        ["/apis", "/api/http", "/api/providers/none", "/nowhere", "/dashboard/x", "/api/http/routers/r@file/x", "/ping/x"]
    {
        assert_eq!(world.get(target).status, 404, "{target}");
    }
}

#[test]
fn status_tells_freshness_and_rejections() {
    let status = World::new().json("/api/fairlead/status");
    assert_eq!((&status["snapshot"], &status["configHash"], &status["uptimeSeconds"]), (&json!(7), &json!("cafe"), &json!(60)));
    assert_eq!(status["providers"][0]["stalenessSeconds"], 1.5);
    assert_eq!(
        status["endpoints"],
        json!({ "joining": 0, "active": 1, "unreachable": 0, "unhealthy": 0, "ejected": 1, "draining": 0 })
    );
    assert_eq!(
        status["rejections"][1],
        json!({
            "severity": "error", "source": "routes.yml", "key": "http.routers.Broken.rule",
            "message": "`Hots` is not a matcher", "remedy": "did you mean `Host`?",
        })
    );
    let ejected = World::new().json("/api/fairlead/endpoints?status=ejected");
    assert_eq!(ejected[0]["url"], "http://REDACTED@10.0.0.2");
}

#[test]
fn explain_names_the_winner_and_says_what_is_wrong_with_a_question() {
    let world = World::new();
    let answer = world.json("/api/fairlead/explain?url=http://A.b/x&method=POST&entryPoint=web");
    assert_eq!(answer["explanations"][0]["winner"]["router"], "r@file");
    assert!(answer["explanations"][0]["winner"]["middlewares"].as_array().is_some_and(|m| !m.is_empty()));
    assert_eq!(
        world.json("/api/fairlead/explain?url=https://a.b/")["explanations"][0]["winner"],
        Value::Null,
        "a plaintext router"
    );
    for (target, says) in [
        ("/api/fairlead/explain", "url is missing"),
        ("/api/fairlead/explain?url=ftp://a/", "http:// or https://"),
        ("/api/fairlead/explain?url=http://a.b/&entryPoint=x", "there are web"),
        ("/api/fairlead/explain?url=http://a.b/&client=x", "IP address"),
        ("/api/fairlead/explain?url=http://a.b/&header=x", "Name: value"),
    ] {
        let response = world.get(target);
        assert!(response.status == 400 && String::from_utf8_lossy(&response.body).contains(says), "{target}: {response:?}");
    }
}

#[test]
fn ping_and_ready_differ() {
    let mut world = World::new();
    let ask = |world: &World, path| (world.get(path).status, String::from_utf8_lossy(&world.get(path).body).into_owned());
    assert_eq!((ask(&world, "/ping"), ask(&world, "/ready")), ((200, "OK".into()), (200, "OK".into())));
    world.readiness.missing = vec!["provider etcd has not answered yet".into()];
    assert_eq!(ask(&world, "/ping").0, 200);
    assert_eq!(ask(&world, "/ready"), (503, "provider etcd has not answered yet\n".into()));
    world.readiness = Readiness { missing: Vec::new(), terminating: true };
    world.options.terminating_status = 418;
    assert_eq!((ask(&world, "/ping").0, ask(&world, "/ready").0), (418, 503));
}

#[test]
fn strangers_are_refused_and_people_are_not() {
    let world = World::new();
    let status = |path: &'static str, edit: &dyn Fn(&mut AdminRequest<'_>)| {
        world
            .ask(|r| {
                r.path = path;
                edit(r);
            })
            .status
    };
    // DNS rebinding: a stranger's name bound to this address.
    for host in
        ["evil.com", "evil.com:8080", "127.0.0.1.evil.com", "localhost.evil.com", "", "evil.com.", "1.2.3.4.5", "[::1", "a.b:x"]
    {
        assert_eq!(status("/api/rawdata", &|r| r.authority = host), 403, "{host}");
        assert_eq!(status("/dashboard/", &|r| r.authority = host), 403, "{host}");
    }
    for host in
        ["127.0.0.1", "10.1.2.3:80", "[::1]:8080", "localhost:8080", "LOCALHOST", "x.localhost", "traefik:8080", "Admin.Example"]
    {
        assert_eq!(status("/api/rawdata", &|r| r.authority = host), 200, "{host}");
    }
    assert_eq!(
        status("/api/rawdata", &|r| (r.authority, r.host_was_matched) = ("evil.com", true)),
        200,
        "an operator's rule asked for it"
    );
    for path in ["/ping", "/ready", "/metrics"] {
        assert_eq!(status(path, &|r| r.authority = "gateway.example"), 200, "{path} is asked by any name");
    }
    // Other origins.
    for origin in ["http://evil.com", "null", "https://127.0.0.1:9", "127.0.0.1:8080"] {
        assert_eq!(status("/api/rawdata", &|r| r.origin = Some(origin)), 403, "{origin}");
        assert_eq!(status("/metrics", &|r| r.origin = Some(origin)), 403, "{origin}");
        assert_eq!(status("/api/rawdata", &|r| (r.method, r.origin) = ("POST", Some(origin))), 403, "{origin}");
    }
    assert_eq!(status("/api/rawdata", &|r| r.origin = Some("http://127.0.0.1:8080")), 200);
    assert_eq!(status("/api/rawdata", &|r| (r.sec_fetch_site, r.sec_fetch_mode) = (Some("cross-site"), Some("no-cors"))), 403);
    assert_eq!(status("/dashboard/", &|r| (r.sec_fetch_site, r.sec_fetch_mode) = (Some("cross-site"), Some("navigate"))), 200);
    assert_eq!(status("/api/rawdata", &|r| (r.sec_fetch_site, r.sec_fetch_mode) = (Some("same-origin"), Some("cors"))), 200);
}

#[test]
fn nothing_can_be_changed_and_every_answer_is_hardened() {
    let world = World::new();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
        let response = world.ask(|r| (r.method, r.path) = (method, "/api/rawdata"));
        assert_eq!((response.status, response.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(world.ask(|r| (r.method, r.path) = ("HEAD", "/ping")).status, 200);
    for path in ["/api/rawdata", "/dashboard/", "/dashboard/app.js", "/nowhere", "/ping", "/metrics"] {
        let response = world.get(path);
        assert_eq!(response.field("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(response.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.field("cache-control"), Some("no-store"), "{path}");
        assert!(
            response.field("content-security-policy").is_some_and(|p| p.contains("default-src 'none'") && !p.contains("unsafe"))
        );
        assert!(response.field("access-control-allow-origin").is_none(), "{path}");
    }
}

#[test]
fn a_surface_opens_its_own_part_only() {
    let world = World::new();
    let open = |surface: Surface| {
        ["/api/version", "/dashboard/", "/ping", "/metrics"].map(|path| {
            world
                .ask(|r| {
                    (r.path, r.surface) = (path, surface);
                })
                .status
        })
    };
    assert_eq!(open(Surface { api: true, ..Surface::default() }), [200, 404, 404, 404]);
    assert_eq!(open(Surface { ping: true, ..Surface::default() }), [404, 404, 200, 404]);
    assert_eq!(open(Surface { metrics: true, ..Surface::default() }), [404, 404, 404, 200]);
}

#[test]
fn the_page_stands_alone_below_its_base_path() {
    let mut world = World::new();
    assert_eq!((world.get("/").status, world.get("/").field("location")), (302, Some("dashboard/")));
    world.options.base_path = "/admin".to_owned();
    assert_eq!(world.get("/admin/").field("location"), Some("dashboard/"));
    assert_eq!(world.get("/admin/api/version").status, 200);
    assert_eq!((world.get("/api/version").status, world.get("/administrator").status), (404, 404));
    let page = String::from_utf8_lossy(&world.get("/admin/dashboard/").body).into_owned();
    assert!(page.contains("app.js") && page.contains("style.css"));
    assert!(
        !page.contains("://") && !page.contains("onclick") && !page.contains("style="),
        "nothing from elsewhere, nothing inline"
    );
    for file in ["/admin/dashboard/app.js", "/admin/dashboard/style.css"] {
        let body = String::from_utf8_lossy(&world.get(file).body).into_owned();
        assert!(!body.contains("://") && !body.contains("innerHTML"), "{file}");
    }
}

#[test]
fn metrics_are_rendered_when_asked_for() {
    let response = World::new().get("/metrics");
    assert_eq!(
        (response.field("content-type"), &*response.body),
        (Some("text/plain; version=0.0.4; charset=utf-8"), &b"up 1\n"[..])
    );
}
