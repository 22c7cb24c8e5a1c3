//! Rules, middlewares and kinds of service, each once over real sockets. Their whole meaning is tested in core.

use fairlead_tests::{Gateway, Server, Setup, gateway::routes, http::get_host};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One server per router, named like it.
fn by_rule(rules: &[(&str, &str)]) -> (Gateway, Vec<Server>) {
    let servers: Vec<_> = rules.iter().map(|(name, _)| Server::whoami(name)).collect();
    let mut all = json!({ "http": { "routers": {}, "services": {} } });
    for ((name, rule), server) in rules.iter().zip(&servers) {
        let one = routes(&[(name, rule, &[server])]);
        all["http"]["routers"][name] = one["http"]["routers"][name].clone();
        all["http"]["services"][name] = one["http"]["services"][name].clone();
    }
    (Setup::new().dynamic(all).start(), servers)
}

#[test]
fn rules_match_what_they_say() {
    let (gateway, _servers) = by_rule(&[
        ("host", "Host(`host.example`)"),
        ("hostregexp", "HostRegexp(`^[a-z]+[.]regexp[.]example$`)"),
        ("prefix", "PathPrefix(`/prefix`)"),
        ("pathregexp", "PathRegexp(`^/v[0-9]+/`)"),
        ("header", "Header(`X-Kind`, `test`)"),
        ("method", "Method(`DELETE`)"),
        ("query", "Query(`kind`, `test`)"),
        ("client", "ClientIP(`127.0.0.0/8`) && Path(`/client`)"),
        ("both", "Host(`host.example`) && PathPrefix(`/deep`)"),
        ("either", "Path(`/one`) || Path(`/other`)"),
        ("not", "Path(`/not`) && !Header(`X-Skip`, `yes`)"),
    ]);
    let ask = |method: &str, host: &str, path: &str, fields: &str| {
        let answer = gateway.connect().request(method, path, host, fields);
        if answer.status == 200 { answer.server() } else { answer.status.to_string() }
    };
    assert_eq!(ask("GET", "host.example", "/", ""), "host");
    assert_eq!(ask("GET", "HOST.Example:8000", "/", ""), "host");
    assert_eq!(ask("GET", "abc.regexp.example", "/", ""), "hostregexp");
    assert_eq!(ask("GET", "x", "/prefix/and/more", ""), "prefix");
    assert_eq!(ask("GET", "x", "/v12/users", ""), "pathregexp");
    assert_eq!(ask("GET", "x", "/", "X-Kind: test\r\n"), "header");
    assert_eq!(ask("DELETE", "x", "/", ""), "method");
    assert_eq!(ask("GET", "x", "/?kind=test", ""), "query");
    assert_eq!(ask("GET", "x", "/client", ""), "client");
    assert_eq!(ask("GET", "host.example", "/deep/er", ""), "both", "the longer rule goes first");
    assert_eq!((ask("GET", "x", "/one", ""), ask("GET", "x", "/other", "")), ("either".into(), "either".into()));
    assert_eq!((ask("GET", "x", "/not", ""), ask("GET", "x", "/not", "X-Skip: yes\r\n")), ("not".into(), "404".into()));
    assert_eq!(ask("GET", "x", "/", ""), "404");
}

/// One router per middleware, on the path of its name.
fn behind(server: &Server, middlewares: &Value) -> Gateway {
    let mut dynamic = routes(&[("app", "Path(`/`)", &[server])]);
    dynamic["http"]["middlewares"] = middlewares.clone();
    for name in middlewares.as_object().expect("middlewares by name").keys() {
        dynamic["http"]["routers"][name] =
            json!({ "rule": format!("PathPrefix(`/{name}`)"), "service": "app", "entryPoints": ["web"], "middlewares": [name] });
    }
    Setup::new().dynamic(dynamic).start()
}

#[test]
fn middlewares_do_what_they_say() {
    let server = Server::whoami("a");
    let gateway = behind(
        &server,
        &json!({
            "add": { "addPrefix": { "prefix": "/before" } },
            "strip": { "stripPrefix": { "prefixes": ["/strip"] } },
            "replace": { "replacePath": { "path": "/instead" } },
            "scheme": { "redirectScheme": { "scheme": "https", "permanent": true } },
            "regex": { "redirectRegex": { "regex": "^http://([^/]+)/regex/(.*)", "replacement": "https://$1/new/$2" } },
            "headers": { "headers": { "customRequestHeaders": { "X-In": "in" }, "customResponseHeaders": { "X-Out": "out" } } },
            // test:test, as in Traefik's documentation.
            "auth": { "basicAuth": { "users": ["test:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"] } },
            "inside": { "ipAllowList": { "sourceRange": ["127.0.0.1/32"] } },
            "outside": { "ipAllowList": { "sourceRange": ["192.0.2.0/24"] } },
            "limit": { "rateLimit": { "average": 1, "burst": 3, "period": "1h" } },
            "chain": { "chain": { "middlewares": ["strip-chain", "headers"] } },
            "strip-chain": { "stripPrefix": { "prefixes": ["/chain"] } },
        }),
    );
    let line = |path: &str| gateway.get(path).text().lines().nth(1).unwrap_or_default().to_owned();
    assert_eq!(line("/add/x"), "GET /before/add/x HTTP/1.1");
    assert_eq!(line("/strip/x?y=z"), "GET /x?y=z HTTP/1.1");
    assert_eq!(line("/replace/x"), "GET /instead HTTP/1.1");
    assert_eq!(gateway.get("/replace/x").line("X-Replaced-Path").as_deref(), Some("/replace/x"));
    assert_eq!(line("/chain/x"), "GET /x HTTP/1.1");
    assert_eq!(gateway.get("/chain").field("x-out"), Some("out"));

    let answer = get_host(gateway.web(), "a.example", "/scheme/x");
    assert_eq!((answer.status, answer.field("location")), (301, Some("https://a.example/scheme/x")));
    let answer = get_host(gateway.web(), "a.example", "/regex/x");
    assert_eq!((answer.status, answer.field("location")), (302, Some("https://a.example/new/x")));

    let answer = gateway.get("/headers");
    assert_eq!((answer.line("X-In").as_deref(), answer.field("x-out")), (Some("in"), Some("out")));

    let answer = gateway.get("/auth");
    assert!(answer.status == 401 && answer.field("www-authenticate").is_some_and(|realm| realm.starts_with("Basic")));
    let with = |credentials: &str| {
        gateway.connect().request("GET", "/auth", "x", &format!("Authorization: Basic {credentials}\r\n")).status
    };
    assert_eq!((with("dGVzdDp0ZXN0"), with("dGVzdDp3cm9uZw==")), (200, 401));
    assert_eq!((gateway.get("/inside").status, gateway.get("/outside").status), (200, 403));
    let statuses: Vec<_> = (0..5).map(|_| gateway.get("/limit").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

/// How often each server answers.
fn census(gateway: &Gateway, path: &str, requests: usize) -> BTreeMap<String, usize> {
    let mut client = gateway.connect();
    let mut census = BTreeMap::new();
    for _ in 0..requests {
        *census.entry(client.get(path).server()).or_default() += 1;
    }
    census
}

#[test]
fn services_share_by_weight_fail_over_and_stick() {
    let (one, two) = (Server::whoami("one"), Server::whoami("two"));
    let mut dynamic = routes(&[("one", "Path(`/1`)", &[&one]), ("two", "Path(`/2`)", &[&two]), ("none", "Path(`/0`)", &[])]);
    let both = json!([{ "url": one.url(), "weight": 3 }, { "url": two.url(), "weight": 1 }]);
    let services = dynamic["http"]["services"].as_object_mut().expect("services by name");
    services.insert("servers".into(), json!({ "loadBalancer": { "servers": both } }));
    let weights = json!([{ "name": "one", "weight": 1 }, { "name": "two", "weight": 4 }]);
    services.insert("weighted".into(), json!({ "weighted": { "services": weights } }));
    services.insert("failover".into(), json!({ "failover": { "service": "none", "fallback": "two" } }));
    services.insert("sticky".into(), json!({ "loadBalancer": { "servers": both, "sticky": { "cookie": { "name": "who" } } } }));
    for name in ["servers", "weighted", "failover", "sticky"] {
        dynamic["http"]["routers"][format!("to-{name}")] =
            json!({ "rule": format!("Path(`/{name}`)"), "service": name, "entryPoints": ["web"] });
    }
    // One worker: each has turns of its own.
    let gateway = Setup::new().section("fairlead", json!({ "workers": 1 })).dynamic(dynamic).start();
    assert_eq!(census(&gateway, "/servers", 40), BTreeMap::from([("one".into(), 30), ("two".into(), 10)]));
    assert_eq!(census(&gateway, "/weighted", 40), BTreeMap::from([("one".into(), 8), ("two".into(), 32)]));
    assert_eq!(census(&gateway, "/failover", 5), BTreeMap::from([("two".into(), 5)]));

    let first = gateway.get("/sticky");
    let cookie = first.field("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
    for _ in 0..10 {
        let answer = gateway.connect().request("GET", "/sticky", "x", &format!("Cookie: {cookie}\r\n"));
        assert_eq!(answer.server(), first.server());
    }
    // Row 66: a cookie that names no server is no cookie.
    let forged = gateway.connect().request("GET", "/sticky", "x", "Cookie: who=http://127.0.0.1:1\r\n");
    assert!(forged.status == 200 && forged.field("set-cookie").is_some());
}
