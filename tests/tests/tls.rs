//! TLS termination, seen by curl, openssl and h2load.

use fairlead_tests::{
    Gateway, Server, Setup,
    certs::Authority,
    gateway::routes,
    http::get_host,
    load::h2load_requests,
    process::{run, succeed},
    until,
};
use serde_json::{Value, json};

/// A gateway with `web` and `websecure`, and certificates for `a.example`, `*.wild.example` and, by default, `default.example`.
struct Secure {
    gateway: Gateway,
    authority: Authority,
    ca: String,
    dynamic: Value,
    server: Server,
}

fn secure(entry_point: Value, adjust: impl FnOnce(&mut Value)) -> Secure {
    let (authority, server) = (Authority::new(), Server::whoami("a"));
    let setup = Setup::new().entry_point("websecure", entry_point);
    let ca = authority.file(setup.dir());
    let file = |name: &str, names: &[&str]| {
        let (cert, key) = authority.issue(names).files(setup.dir(), name);
        json!({ "certFile": cert, "keyFile": key })
    };
    let mut dynamic = routes(&[("all", "PathPrefix(`/`)", &[&server])]);
    dynamic["http"]["routers"]["secure"] =
        json!({ "rule": "PathPrefix(`/`)", "service": "all", "entryPoints": ["websecure"], "tls": {} });
    dynamic["tls"] = json!({
        "certificates": [file("a", &["a.example"]), file("wild", &["*.wild.example"])],
        "stores": { "default": { "defaultCertificate": file("default", &["default.example"]) } },
    });
    adjust(&mut dynamic);
    let gateway = setup.dynamic(dynamic.clone()).start();
    Secure { gateway, authority, ca, dynamic, server }
}

impl Secure {
    fn port(&self) -> u16 {
        self.gateway.port("websecure")
    }

    /// What curl makes of `https://<host>/`, trusting the test's authority alone.
    fn curl(&self, host: &str, more: &[&str]) -> Result<String, String> {
        let (url, to) = (format!("https://{host}:{}/", self.port()), format!("{host}:{}:127.0.0.1", self.port()));
        let mut arguments =
            vec!["-sS", "--max-time", "10", "--cacert", &self.ca, "--resolve", &to, "-w", "\n%{http_version} %{http_code}"];
        arguments.extend(more);
        arguments.push(&url);
        let output = run("curl", &arguments);
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Subject of the certificate shown for a server name; without one, none is sent.
    fn subject(&self, name: Option<&str>) -> String {
        let mut command = format!("openssl s_client -connect 127.0.0.1:{} ", self.port());
        match name {
            Some(name) => command.push_str(&format!("-servername {name} ")),
            None => command.push_str("-noservername "),
        }
        command.push_str("</dev/null 2>/dev/null | openssl x509 -noout -subject -serial");
        succeed("sh", &["-c", &command])
    }
}

#[test]
fn certificates_are_found_by_server_name() {
    let secure = secure(json!({}), |_| {});
    assert!(secure.curl("a.example", &[]).is_ok_and(|text| text.ends_with(" 200")));
    assert!(secure.curl("x.wild.example", &[]).is_ok_and(|text| text.ends_with(" 200")));
    assert!(secure.curl("A.Example", &[]).is_ok(), "names are compared without regard to case");
    assert!(secure.curl("x.y.wild.example", &[]).is_err(), "a wildcard stands for one label");
    assert!(secure.subject(Some("stranger.example")).contains("default.example"));
    assert!(secure.subject(None).contains("default.example"));
    assert!(secure.server.seen().iter().all(|head| head.field("x-forwarded-proto") == Some("https")));
}

#[test]
fn http2_by_alpn_and_http1_without() {
    let secure = secure(json!({}), |_| {});
    let text = secure.curl("a.example", &["--http2"]).expect("HTTP/2 works");
    assert!(text.ends_with("\n2 200") && text.contains("Hostname: a"), "{text}");
    let text = secure.curl("a.example", &["--http1.1"]).expect("HTTP/1.1 works");
    assert!(text.ends_with("\n1.1 200"), "{text}");
    let body = format!("@{}", secure.gateway.dir.put("body", &"x".repeat(200_000)));
    let posted = secure.curl("a.example", &["--http2", "-d", &body]).expect("a body goes through");
    assert!(posted.ends_with("\n2 200") && posted.contains("POST / HTTP/1.1"), "{posted}");
    let tally = h2load_requests(&format!("https://127.0.0.1:{}/", secure.port()), 8, 16, 4000, &[]);
    assert_eq!((tally.requests, tally.failed), (4000, 0));
}

#[test]
fn a_certificate_is_replaced_without_a_restart() {
    let mut secure = secure(json!({}), |_| {});
    let before = secure.subject(Some("a.example"));
    let id = secure.gateway.process.id();
    secure.authority.issue(&["a.example", "new.example"]).files(&secure.gateway.dir, "a");
    // Traefik reads certificate files with the dynamic configuration, so touching that is enough everywhere.
    secure.dynamic["http"]["routers"]["touched"] =
        json!({ "rule": "Path(`/touched`)", "service": "all", "entryPoints": ["web"] });
    secure.gateway.configure(&secure.dynamic);
    until("the new certificate is shown", || secure.subject(Some("a.example")) != before);
    assert!(secure.curl("new.example", &[]).is_ok());
    assert_eq!(secure.gateway.process.id(), id);
    assert!(secure.gateway.process.ended().is_none());
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_refused_and_the_old_one_stays() {
    let secure = secure(json!({}), |_| {});
    let before = secure.subject(Some("a.example"));
    let other = secure.authority.issue(&["a.example"]);
    secure.gateway.dir.put("a.crt", &other.cert);
    let mut dynamic = secure.dynamic.clone();
    dynamic["http"]["routers"]["touched"] = json!({ "rule": "Path(`/touched`)", "service": "all", "entryPoints": ["web"] });
    secure.gateway.configure_until(&dynamic, "the mismatch is reported", || {
        let log = secure.gateway.log();
        log.contains("a.crt")
    });
    assert_eq!(secure.subject(Some("a.example")), before);
}

#[test]
fn versions_are_held_to() {
    let secure = secure(json!({}), |dynamic| {
        dynamic["tls"]["options"] =
            json!({ "modern": { "minVersion": "VersionTLS13" }, "old": { "maxVersion": "VersionTLS12" } });
        for (name, host) in [("modern", "a.example"), ("old", "x.wild.example")] {
            dynamic["http"]["routers"][name] = json!({
                "rule": format!("Host(`{host}`)"), "service": "all", "entryPoints": ["websecure"], "tls": { "options": name },
            });
        }
    });
    assert!(secure.curl("a.example", &["--tls-max", "1.2"]).is_err());
    assert!(secure.curl("a.example", &["--tlsv1.3"]).is_ok());
    assert!(secure.curl("x.wild.example", &["--tlsv1.3"]).is_err());
    assert!(secure.curl("x.wild.example", &["--tls-max", "1.2"]).is_ok());

    // Row 67: the connection was made under options that are not those of the requested host.
    let text = secure.curl("a.example", &["-H", "Host: x.wild.example"]).expect("it is answered");
    assert!(text.ends_with(" 421"), "{text}");
    let text = secure.curl("x.wild.example", &["--http1.1", "-H", "Host: a.example"]).expect("it is answered");
    assert!(text.ends_with(" 421"), "{text}");
}

#[test]
fn strict_sni_refuses_strangers() {
    let secure = secure(json!({}), |dynamic| dynamic["tls"]["options"] = json!({ "default": { "sniStrict": true } }));
    assert!(secure.curl("a.example", &[]).is_ok());
    assert!(secure.curl("stranger.example", &["-k"]).is_err());
}

#[test]
fn http_is_sent_to_https() {
    let server = Server::whoami("a");
    let redirect = json!({ "http": { "redirections": { "entryPoint": { "to": "websecure", "scheme": "https" } } } });
    let setup = Setup::new().entry_point("websecure", json!({ "http": { "tls": {} } })).entry_point("web", redirect);
    let gateway = setup.dynamic(routes(&[("all", "PathPrefix(`/`)", &[&server])])).start();
    let answer = get_host(gateway.web(), "a.example", "/x?y=z");
    assert_eq!(answer.status, 301, "{answer:?}");
    let location = format!("https://a.example:{}/x?y=z", gateway.port("websecure"));
    assert_eq!(answer.field("location"), Some(location.as_str()));
    assert_eq!(server.requests(), 0);
}

#[test]
fn plain_http_on_a_tls_port_meets_no_router_with_tls() {
    let secure = secure(json!({}), |_| {});
    let mut plain = fairlead_tests::Connection::open(secure.port());
    let answer = plain.request("GET", "/", "a.example", "");
    assert_eq!((answer.status, answer.field("x-fairlead-reason")), (404, Some("no_route")));
    assert!(secure.curl("a.example", &[]).is_ok());
    assert_eq!(secure.server.requests(), 1);
}
