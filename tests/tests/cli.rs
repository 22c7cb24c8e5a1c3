//! The command line: commands, spellings, exit codes.

use fairlead_tests::{
    Connection, Gateway, Server, Setup,
    dir::Dir,
    gateway::routes,
    get,
    process::{self, Process},
    until,
};
use serde_json::json;
use std::process::{Command, Output};

fn fairlead(arguments: &[&str]) -> (i32, String) {
    spoken(process::run(&process::fairlead().display().to_string(), arguments))
}

fn spoken(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&text).into_owned())
}

fn dynamic(dir: &Dir, text: &str) -> String {
    format!("--providers.file.filename={}", dir.put("dynamic.yaml", text))
}

const GOOD: &str = "
http:
  routers:
    app: { rule: 'Host(`a.example`) && PathPrefix(`/app`)', service: app, middlewares: [strip] }
    other: { rule: 'Host(`b.example`)', service: app }
  middlewares:
    strip: { stripPrefix: { prefixes: [/app] } }
  services:
    app: { loadBalancer: { servers: [ { url: 'http://127.0.0.1:9001' } ] } }
";

#[test]
fn version_and_help() {
    let (code, text) = fairlead(&["version"]);
    assert_eq!((code, text.as_str()), (0, format!("fairlead {}\n", env!("CARGO_PKG_VERSION")).as_str()));
    let (code, text) = fairlead(&["help"]);
    assert!(code == 0 && text.contains("explain") && text.contains("healthcheck"), "{text}");
    let (code, text) = fairlead(&["chek"]);
    assert!(code == 64 && text.contains("check"), "{code} {text}");
}

#[test]
fn check_once_prints_what_a_provider_would_serve() {
    let dir = Dir::new();
    let web = "--entryPoints.web.address=127.0.0.1:0";
    let server = "url: 'http://127.0.0.1:9001'";
    let known = GOOD.replace(server, &format!("{server}, instance: 5kq2x, node: worker-1, unreachable: not attached"));
    // etcd is not there, and not asked.
    let etcd = "--providers.etcd.endpoints=127.0.0.1:1";
    let (code, text) = fairlead(&["check", "--provider", "file", "--once", web, etcd, &dynamic(&dir, &known)]);
    assert_eq!(code, 0, "{text}");
    let line = |words: &[&str]| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["app@file", "web", "Host(`a.example`) && PathPrefix(`/app`)", "strip@file"]), "{text}");
    assert!(line(&["app@file", "http://127.0.0.1:9001", "worker-1", "5kq2x", "no: not attached"]), "{text}");

    let (code, text) = fairlead(&["check", "--provider=file", "--once", web]);
    assert!(code == 64 && text.contains("--providers.file"), "it is switched on, and lacks what it needs: {code} {text}");
    let (code, text) = fairlead(&["check", "--provider", "nowhere", "--once", web]);
    assert!(code == 64 && text.contains("nowhere"), "{code} {text}");
    let (code, text) = fairlead(&["check", "--provider", "--once", web]);
    assert!(code == 64 && text.contains("--provider needs"), "{code} {text}");
}

#[test]
fn check_prints_every_rejection() {
    let dir = Dir::new();
    let web = "--entryPoints.web.address=127.0.0.1:0";
    let (code, text) = fairlead(&["check", web, &dynamic(&dir, GOOD)]);
    assert_eq!(code, 0, "{text}");
    let bad = GOOD.replace("Host(`b.example`)", "Hots(`b.example`)").replace("stripPrefix", "stripPrefx");
    let (code, text) = fairlead(&["check", web, &dynamic(&dir, &bad)]);
    assert_eq!(code, 1, "{text}");
    for word in ["dynamic.yaml", "Host", "stripPrefix", "other", "strip"] {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_name() {
    let dir = Dir::new();
    let cases = [
        (vec!["check", "--entryPoint.web.address=:80"], "entryPoints"),
        (vec!["check", "--entryPoints.web.adress=:80"], "address"),
        (vec!["check", "--providers.etcd.endpoint=x"], "endpoints"),
    ];
    for (arguments, nearest) in cases {
        let (code, text) = fairlead(&arguments);
        assert_eq!(code, 64, "{arguments:?}: {text}");
        assert!(text.contains(nearest), "{arguments:?}: {text}");
    }
    let file = dir.put("static.yaml", "entryPoints:\n  web:\n    address: ':80'\n    transport:\n      respondingTimeuts: {}\n");
    let (code, text) = fairlead(&["check", "--configFile", &file]);
    assert!(code == 64 && text.contains("respondingTimeouts") && text.contains("static.yaml"), "{code} {text}");
    let file = dir.put("static.toml", "[entryPoints.web]\naddress = 80.5.5\n");
    let (code, text) = fairlead(&["check", "--configFile", &file]);
    assert!(code == 64 && text.contains("static.toml"), "{code} {text}");
    let (code, text) = fairlead(&["check", "--configFile=/nowhere/fairlead.yaml"]);
    assert!(code == 64 && text.contains("/nowhere/fairlead.yaml"), "{code} {text}");
}

#[test]
fn flags_over_environment_over_file() {
    let dir = Dir::new();
    let file = dir.put("static.yaml", "entryPoints: { web: { address: 'not-from-the-file' } }\n");
    let check = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(process::fairlead());
        command.args(["check", "--configFile", &file]).args(arguments).envs(environment.iter().copied());
        spoken(command.output().expect("it starts"))
    };
    let (code, text) = check(&[], &[]);
    assert!(code == 64 && text.contains("not-from-the-file"), "{code} {text}");
    let (code, text) = check(&[("FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS", "not-from-the-environment")], &[]);
    assert!(code == 64 && text.contains("not-from-the-environment"), "{code} {text}");
    let (code, text) = check(&[("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":8099")], &[]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = check(&[("FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS", "bad")], &["--entryPoints.web.address=:8099"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn explain_names_the_winner_and_why_the_others_lost() {
    let dir = Dir::new();
    let (web, file) = ("--entryPoints.web.address=127.0.0.1:0", dynamic(&dir, GOOD));
    let (code, text) = fairlead(&["explain", web, &file, "GET", "http://a.example/app/x"]);
    assert_eq!(code, 0, "{text}");
    for word in ["app@file", "strip@file", "http://127.0.0.1:9001", "other@file", "b.example"] {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
    let (code, text) = fairlead(&["explain", web, &file, "GET", "http://c.example/"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("app@file") && text.contains("other@file"), "{text}");
}

#[test]
fn explain_asks_a_running_gateway() {
    let server = Server::whoami("a");
    let gateway = Setup::new().dynamic(routes(&[("app", "PathPrefix(`/app`)", &[&server])])).start();
    let url = format!("http://127.0.0.1:{}", gateway.port("traefik"));
    let (code, text) = fairlead(&["explain", "--url", &url, "GET", "http://a.example/app"]);
    assert!(code == 0 && text.contains("app@file") && text.contains(&server.url()), "{code} {text}");
}

#[test]
fn healthcheck_tells_a_live_gateway_from_a_dead_one() {
    let server = Server::whoami("a");
    let mut gateway = Gateway::over(&[&server]);
    let file = gateway.dir.file("fairlead.yaml");
    let (code, text) = fairlead(&["healthcheck", "--configFile", &file]);
    assert_eq!(code, 0, "{text}");
    gateway.process.signal("TERM");
    gateway.process.exit_code();
    let (code, text) = fairlead(&["healthcheck", "--configFile", &file]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn an_empty_configuration_file_is_accepted() {
    let (code, text) = fairlead(&["check", "--configFile=/dev/null", "--entryPoints.web.address=:8099"]);
    assert_eq!(code, 0, "{text}");
}

/// The demo's ports are fixed, so this test is the only one that uses them.
#[test]
fn the_demo_serves() {
    let dir = Dir::new();
    let mut demo = Process::start(Command::new(process::fairlead()).arg("demo"), &dir.path().join("log"));
    until("the demo answers", || {
        assert!(demo.ended().is_none(), "the demo ended: {}", demo.output());
        Connection::try_open(8000).is_ok() && get(8000, "/").status == 200
    });
    let names: std::collections::BTreeSet<_> = (0..6).map(|_| get(8000, "/").line("Name")).collect();
    assert_eq!(names.len(), 3, "three backends take turns: {names:?}");
    assert!(get(8000, "/api/hello").text().contains("GET /hello"), "{}", get(8000, "/api/hello").text());
    let limited: Vec<_> = (0..12).map(|_| get(8000, "/limited").status).collect();
    assert!(limited.contains(&200) && limited.contains(&429), "{limited:?}");
    assert_eq!(get(8080, "/dashboard/").status, 200);
    assert!(demo.output().contains("curl http://127.0.0.1:8000/"), "{}", demo.output());
    demo.signal("INT");
    assert_eq!(demo.exit_code(), 0);
}

#[test]
fn seeds_older_spellings_are_understood_or_explained() {
    let seed = [
        "--web",
        "--accessLog",
        "--constraints=tag==x",
        "--rancher",
        "--rancher.exposedbydefault=false",
        "--rancher.metadata=true",
    ];
    // Nobody listens there: the flags are understood, and the provider says what is missing.
    let nowhere = "--providers.rancher.endpoint=http://127.0.0.1:1";
    let (code, text) = fairlead(&[&["check", nowhere], &seed[..]].concat());
    assert!(code == 1 && text.contains("provider rancher: http://127.0.0.1:1"), "{code} {text}");
    let (code, text) = fairlead(&["check", "--rancher.metadata=false"]);
    assert!(code == 64 && text.contains("--rancher.metadata") && text.contains("API"), "{code} {text}");
    let (code, text) = fairlead(&["check", &json!({}).to_string()]);
    assert_ne!(code, 0, "a stray word is not passed over: {text}");
}
