//! A Rancher 1 environment, with the command line and the labels that people wrote for Traefik 1.

use fairlead_tests::{
    Connection, Response, Server,
    dir::Dir,
    free_port, get,
    http::get_host,
    process::{self, Process},
    rancher::{Metadata, service, stack},
    until,
    wait::eventually,
};
use serde_json::Value;
use std::process::Command;

/// What stands in the compose file, word for word.
const SEED: &str =
    "--web --accessLog --constraints=tag==my-stack --rancher --rancher.exposedbydefault=false --rancher.metadata=true";

/// The gateway as a stack runs it: a command line, and an empty configuration file.
struct Proxy {
    process: Process,
    web: u16,
    admin: u16,
    _dir: Dir,
}

impl Proxy {
    fn start(metadata: &Metadata, line: &str) -> Self {
        let (dir, web, admin) = (Dir::new(), free_port(), free_port());
        let mut command = Command::new(process::fairlead());
        command.args(["--configFile", "/dev/null"]).args(line.split(' '));
        // What a test needs: a metadata service of its own, and ports that are free.
        command.arg(format!("--providers.rancher.endpoint={}", metadata.endpoint()));
        command.arg(format!("--entryPoints.http.address=127.0.0.1:{web}"));
        command.arg(format!("--entryPoints.traefik.address=127.0.0.1:{admin}"));
        let process = Process::start(&mut command, &dir.path().join("log"));
        let mut proxy = Self { process, web, admin, _dir: dir };
        eventually("the gateway is ready", || {
            if let Some(status) = proxy.process.ended() {
                panic!("the gateway ended: {status}\n{}", proxy.process.output());
            }
            let mut connection = Connection::try_open(admin).map_err(|e| e.to_string())?;
            connection.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = connection.try_answer("GET").map_err(|e| e.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
        proxy
    }

    fn get(&self, path: &str) -> Response {
        get(self.web, path)
    }

    fn api(&self, path: &str) -> Value {
        get(self.admin, path).json()
    }

    /// Everything that is wrong, as the API tells it.
    fn rejections(&self) -> String {
        self.api("/api/fairlead/status")["rejections"].to_string()
    }
}

/// A service of the seed's, on a real server.
fn tagged(stack: &str, name: &str, server: &Server, rule: &str, tags: &str) -> Value {
    let port = server.port().to_string();
    let labels = [("traefik.frontend.rule", rule), ("traefik.enable", "true"), ("traefik.port", &port), ("traefik.tags", tags)];
    service(stack, name, &["127.0.0.1"], &labels)
}

#[test]
fn the_seeds_stack_is_routed_by_path_with_its_flags_unchanged() {
    let (server, frontend, other) = (Server::whoami("server"), Server::whoami("frontend"), Server::whoami("other"));
    let metadata = Metadata::start();
    let services = vec![
        tagged("app", "server", &server, "PathPrefix:/api", "my-stack"),
        tagged("app", "frontend", &frontend, "PathPrefix:/", "my-stack"),
        tagged("app", "elsewhere", &other, "PathPrefix:/other", "another-stack"),
        service("app", "db", &["127.0.0.1"], &[]),
        service("app", "unopened", &["127.0.0.1"], &[("traefik.frontend.rule", "PathPrefix:/unopened"), ("traefik.port", "1")]),
    ];
    metadata.set(vec![stack("app", services)]);
    let proxy = Proxy::start(&metadata, SEED);
    for (path, expected) in [
        ("/api/x", "server"),
        ("/api", "server"),
        ("/apix", "server"),
        ("/", "frontend"),
        ("/other", "frontend"),
        ("/unopened", "frontend"),
    ] {
        assert_eq!(proxy.get(path).server(), expected, "{path}");
    }
    assert!(other.seen().is_empty() && proxy.rejections() == "[]", "{}", proxy.rejections());

    // The page and the API, where Traefik 1 had them.
    let listed = proxy.api("/api");
    let frontends: Vec<&String> = listed["rancher"]["frontends"].as_object().expect("frontends").keys().collect();
    assert_eq!(frontends, ["frontend-PathPrefix-api", "frontend-PathPrefix"]);
    let url = &listed["rancher"]["backends"]["backend-app.server"]["servers"]["server-0"]["url"];
    assert_eq!(url, &server.url());
    assert_eq!(get(proxy.admin, "/ping").text(), "OK");
    assert_eq!(get(proxy.admin, "/").field("location"), Some("dashboard/"));
    assert!(get(proxy.admin, "/dashboard/").text().contains("<html"));

    // A line for each request, on standard output.
    let line = eventually("the request is logged", || {
        let output = proxy.process.output();
        output.lines().find(|line| line.contains("\"GET /api/x HTTP/1.1\" 200 ")).map(str::to_owned).ok_or(output)
    });
    assert!(line.starts_with("127.0.0.1 - - [") && line.ends_with("ms"), "{line}");
    assert!(line.contains(&format!("\"frontend-PathPrefix-api@rancher\" \"{}\"", server.url())), "{line}");
}

#[test]
fn changes_arrive_without_a_restart() {
    let (first, second) = (Server::whoami("first"), Server::whoami("second"));
    let metadata = Metadata::start();
    metadata.set(vec![stack("app", vec![tagged("app", "web", &first, "PathPrefix:/", "my-stack")])]);
    let proxy = Proxy::start(&metadata, SEED);
    let (id, started) = (proxy.process.id(), proxy.api("/api/version")["startDate"].clone());
    assert_eq!(proxy.get("/").server(), "first");
    metadata.set(vec![stack("app", vec![tagged("app", "web", &second, "PathPrefix:/", "my-stack")])]);
    until("another server answers", || proxy.get("/").server() == "second");
    let both = vec![
        tagged("app", "web", &second, "PathPrefix:/", "my-stack"),
        tagged("app", "new", &first, "Host:new.example;PathPrefix:/in", "my-stack"),
    ];
    metadata.set(vec![stack("app", both)]);
    until("a rule of host and path counts", || get_host(proxy.web, "new.example", "/in/x").server() == "first");
    assert_eq!(proxy.get("/in/x").server(), "second", "on another host it does not");
    let web = |labels: &[(&str, &str)]| vec![stack("app", vec![service("app", "web", &["127.0.0.1"], labels)])];
    let port = second.port().to_string();
    metadata.set(web(&[("traefik.frontend.rule", "PathPrefix:/"), ("traefik.port", &port), ("traefik.tags", "my-stack")]));
    until("what is no longer enabled is no longer served", || proxy.get("/").status == 404);
    assert_eq!((proxy.process.id(), &proxy.api("/api/version")["startDate"]), (id, &started));
}

#[test]
fn stacks_with_gateways_of_their_own_do_not_see_each_other() {
    let (a, b) = (Server::whoami("a"), Server::whoami("b"));
    let metadata = Metadata::start();
    let web = |name: &str, server: &Server| {
        let mut web = tagged(name, "web", server, "PathPrefix:/", name);
        web["labels"]["traefik.backend"] = "web".into();
        stack(name, vec![web])
    };
    metadata.set(vec![web("a", &a), web("b", &b)]);
    let of = |name: &str| Proxy::start(&metadata, &SEED.replace("my-stack", name));
    let (proxy_a, proxy_b) = (of("a"), of("b"));
    for _ in 0..5 {
        assert_eq!((proxy_a.get("/").server(), proxy_b.get("/").server()), ("a".to_owned(), "b".to_owned()));
    }
    assert_eq!((proxy_a.rejections(), proxy_b.rejections()), ("[]".to_owned(), "[]".to_owned()));
    assert_eq!((a.requests(), b.requests()), (5, 5));
}

#[test]
fn of_two_services_with_one_rule_the_older_serves_and_both_are_told() {
    let (older, newer) = (Server::whoami("older"), Server::whoami("newer"));
    let metadata = Metadata::start();
    let old = || stack("z", vec![tagged("z", "web", &older, "PathPrefix:/", "my-stack")]);
    metadata.set(vec![old()]);
    let proxy = Proxy::start(&metadata, SEED);
    assert_eq!(proxy.get("/").server(), "older");
    metadata.set(vec![stack("a", vec![tagged("a", "web", &newer, "PathPrefix:/", "my-stack")]), old()]);
    until("both are told", || {
        let told = proxy.rejections();
        told.contains("service a/web") && told.contains("service z/web")
    });
    for _ in 0..5 {
        assert_eq!(proxy.get("/").server(), "older");
    }
    assert!(newer.seen().is_empty());
    metadata.set(vec![stack("a", vec![tagged("a", "web", &newer, "PathPrefix:/", "my-stack")])]);
    until("the newer takes over when the older goes", || proxy.get("/").server() == "newer");
    until("and nothing is left to tell", || proxy.rejections() == "[]");
}

#[test]
fn a_service_that_cannot_be_served_is_named_with_its_label() {
    let server = Server::whoami("server");
    let metadata = Metadata::start();
    let labels = [("traefik.frontend.rule", "PathPrefix:/portless"), ("traefik.enable", "true"), ("traefik.tags", "my-stack")];
    let mut guarded = tagged("app", "guarded", &server, "PathPrefix:/guarded", "my-stack");
    guarded["labels"]["traefik.frontend.auth.forward.address"] = "http://auth.example".into();
    let services = vec![
        service("app", "portless", &["127.0.0.1"], &labels),
        guarded,
        tagged("app", "web", &server, "PathPrefix:/web", "my-stack"),
    ];
    metadata.set(vec![stack("app", services)]);
    let proxy = Proxy::start(&metadata, SEED);
    assert_eq!(proxy.get("/web").server(), "server");
    assert_eq!((proxy.get("/portless").status, proxy.get("/guarded").status), (404, 404), "nothing is served unguarded");
    let told = proxy.rejections();
    for words in ["service app/portless", "traefik.port", "service app/guarded", "traefik.frontend.auth.forward.address"] {
        assert!(told.contains(words), "{words} is not in {told}");
    }
    assert!(server.seen().iter().all(|head| head.target() == "/web"));
}

#[test]
fn a_metadata_service_that_is_gone_or_empty_takes_nothing_away() {
    let server = Server::whoami("server");
    let mut metadata = Metadata::start();
    let stacks = |rule: &str| vec![stack("app", vec![tagged("app", "web", &server, rule, "my-stack")])];
    metadata.set(stacks("PathPrefix:/one"));
    let proxy = Proxy::start(&metadata, SEED);
    assert_eq!(proxy.get("/one").status, 200);
    let status = || proxy.api("/api/fairlead/status")["providers"][0].clone();

    metadata.kill();
    until("the silence is shown", || status()["healthy"] == false);
    assert_eq!((proxy.get("/one").status, get(proxy.admin, "/ready").status), (200, 200), "what was good stays");

    metadata.set(Vec::new());
    metadata.restart();
    until("the emptiness is doubted", || status().to_string().contains("suddenly lists no service"));
    assert_eq!(proxy.get("/one").status, 200);

    metadata.set(stacks("PathPrefix:/two"));
    until("it is followed again", || proxy.get("/two").status == 200);
    until("and well", || status()["healthy"] == true);
    assert_eq!(proxy.get("/one").status, 404);
}
