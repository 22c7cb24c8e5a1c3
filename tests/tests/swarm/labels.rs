//! Labels as people wrote them, on services of a real Swarm: the examples of Interlock's documentation, Traefik 3 and Traefik 1
//! side by side on one gateway, and what is said when a service cannot be reached.

use crate::{
    ground::{NAMED, swarm},
    ingress::{Ingress, Wanted},
};
use fairlead_tests::{
    Connection, Swarm, certs,
    dir::Dir,
    process::{self, succeed},
    swarm::Service,
    until,
};
use std::collections::BTreeMap;
use tungstenite::Message;

/// A service of backends with these labels on one network.
fn labelled(name: &str, network: &str, replicas: usize, labels: &[&str]) -> Service<'static> {
    let swarm = swarm().expect("the test would not have come here");
    let count = replicas.to_string();
    let mut options = [&NAMED[..], &["--network", network, "--replicas", &count]].concat();
    labels.iter().for_each(|label| options.extend(["--label", label]));
    let service = swarm.service(name, &options, &["backend:test"]);
    service.settle(replicas);
    service
}

#[test]
fn interlocks_first_example_with_its_websocket_is_served() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let labels = [
        "com.docker.lb.hosts=app.example.com, www.example.com",
        "com.docker.lb.port=8080",
        "com.docker.lb.websocket_endpoints=/total",
    ];
    let _service = labelled("web", "front", 2, &labels);
    ingress.until_served_by("app.example.com", 2);
    assert_eq!(ingress.get("www.example.com", "/").status, 200);
    let stream = Connection::open(ingress.web).into_stream();
    let (mut client, response) = tungstenite::client("ws://app.example.com/total", stream).expect("it opens");
    assert_eq!(response.status(), 101);
    client.send(Message::text("42")).expect("it is sent");
    assert_eq!(client.read().expect("it comes back"), Message::text("42"));
    assert_eq!(ingress.refused(), []);
}

#[test]
fn five_replicas_take_turns() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let _service = labelled("turns", "front", 5, &["com.docker.lb.hosts=turns.local", "com.docker.lb.port=8080"]);
    ingress.until_served_by("turns.local", 5);
    let mut client = Connection::open(ingress.web);
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..50 {
        *counts.entry(client.request("GET", "/", "turns.local", "").server()).or_default() += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [10; 5], "{counts:?}");
}

#[test]
fn ip_hash_keeps_a_client_at_one_of_five_replicas() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let labels = ["com.docker.lb.hosts=demo-sticky.local", "com.docker.lb.port=8080", "com.docker.lb.ip_hash=true"];
    let _service = labelled("sticky", "front", 5, &labels);
    ingress.until_served("demo-sticky.local");
    until("all five are known", || ingress.api("/api/fairlead/endpoints").to_string().matches("sticky").count() >= 5);
    let first = ingress.get("demo-sticky.local", "/").server();
    for _ in 0..40 {
        assert_eq!(ingress.get("demo-sticky.local", "/").server(), first);
    }
}

#[test]
fn tls_is_terminated_with_docker_secrets() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let dir = Dir::new();
    let authority = certs::Authority::new();
    let (cert, key) = authority.issue(&["demo.local"]).files(&dir, "demo.local");
    swarm.secret("demo.local.cert", &cert);
    swarm.secret("demo.local.key", &key);
    let secrets = ["demo.local.cert", "demo.local.key"];
    let wanted = Wanted { name: "fairlead-tls", port: 18_110, networks: &["front"], secrets: &secrets, ..Wanted::default() };
    let ingress = Ingress::start(swarm, wanted);
    let _telling = ingress.telling();
    let labels = [
        "com.docker.lb.hosts=demo.local",
        "com.docker.lb.port=8080",
        "com.docker.lb.ssl_cert=demo.local.cert",
        "com.docker.lb.ssl_key=demo.local.key",
    ];
    let _service = labelled("demo", "front", 2, &labels);
    let missing = ["com.docker.lb.hosts=other.local", "com.docker.lb.port=8080", "com.docker.lb.ssl_cert=other.cert"];
    let _other = labelled("other-tls", "front", 1, &missing);
    let (to, ca) = (format!("demo.local:{}:127.0.0.1", ingress.secure), authority.file(&dir));
    let url = format!("https://demo.local:{}/ping", ingress.secure);
    let ask = ["-sS", "-f", "--resolve", &to, "--cacert", &ca, &url];
    until("https is served", || process::run("curl", &ask).status.success());
    assert!(succeed("curl", &ask).contains("GET /ping HTTP/1.1"));
    until("the missing secret is reported", || {
        !ingress.rejections(&["other-tls", "com.docker.lb.ssl_cert", "other.cert"]).is_empty()
    });
    assert_eq!(ingress.refused(), []);
}

/// The service ends TLS itself, with a certificate that the gateway has never seen.
#[test]
fn tls_is_passed_through_to_services_that_end_it_themselves() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    swarm.image("openssl:test", "/usr/bin/openssl".as_ref(), &[]);
    let dir = Dir::new();
    let authority = certs::Authority::new();
    let (cert, key) = authority.issue(&["vault.local"]).files(&dir, "vault.local");
    swarm.secret("vault.cert", &cert);
    swarm.secret("vault.key", &key);
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let labels = ["com.docker.lb.hosts=vault.local", "com.docker.lb.port=8443", "com.docker.lb.ssl_passthrough=true"];
    let mut options = vec!["--network", "front", "--secret", "vault.cert", "--secret", "vault.key", "--stop-grace-period", "1s"];
    labels.iter().for_each(|label| options.extend(["--label", label]));
    let command = [
        "openssl:test",
        "s_server",
        "-accept",
        "8443",
        "-cert",
        "/run/secrets/vault.cert",
        "-key",
        "/run/secrets/vault.key",
        "-www",
    ];
    let service = swarm.service("vault", &options, &command);
    service.settle(1);
    let _web = labelled("beside-vault", "front", 1, &["com.docker.lb.hosts=web.local", "com.docker.lb.port=8080"]);
    let (to, ca) = (format!("vault.local:{}:127.0.0.1", ingress.secure), authority.file(&dir));
    let url = format!("https://vault.local:{}/", ingress.secure);
    let ask = ["-sS", "-f", "--max-time", "10", "--resolve", &to, "--cacert", &ca, &url];
    until("the service's own certificate is shown", || process::run("curl", &ask).status.success());
    assert!(succeed("curl", &ask).contains("s_server -accept 8443"), "and the service itself answers");
    let router = ingress.api("/api/tcp/routers/lb-sni.vault.local@swarm");
    assert_eq!((&router["rule"], &router["tls"]["passthrough"]), (&"HostSNI(`vault.local`)".into(), &true.into()), "{router}");
    assert_eq!(ingress.get("vault.local", "/").status, 404, "nothing of it in the clear");
    assert_eq!(ingress.rejections(&["service vault"]), [""; 0]);
    ingress.until_served("web.local");
    // A certificate of the gateway's own for whom nobody passes through.
    let elsewhere = [
        "-sS",
        "-k",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--resolve",
        &to.replace("vault", "web"),
        &url.replace("vault", "web"),
    ];
    assert_eq!(succeed("curl", &elsewhere), "404");
    service.update(&["--label-add", "com.docker.lb.ssl_passthrough=false"]);
    until("it is passed through no longer", || ingress.api("/api/tcp/routers/lb-sni.vault.local@swarm")["rule"].is_null());
    assert_eq!(ingress.refused(), []);
}

#[test]
fn traefik_3_and_traefik_1_labels_live_beside_interlocks() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let third = [
        "traefik.enable=true",
        "traefik.http.routers.three.rule=Host(`three.local`) && PathPrefix(`/api`)",
        "traefik.http.routers.three.middlewares=strip",
        "traefik.http.middlewares.strip.stripPrefix.prefixes=/api",
        "traefik.http.services.three.loadBalancer.server.port=8080",
    ];
    let _three = labelled("three", "front", 2, &third);
    let first = ["traefik.frontend.rule=Host:one.local;PathPrefixStrip:/v1", "traefik.port=8080", "traefik.backend=one"];
    let _one = labelled("one", "front", 1, &first);
    let _lb = labelled("lb", "front", 1, &["com.docker.lb.hosts=lb.local", "com.docker.lb.port=8080"]);
    let answer = ingress.until("three.local is served", "three.local", "/api/x", |answer| answer.status == 200);
    assert!(answer.text().contains("GET /x HTTP/1.1"), "{}", answer.text());
    let answer = ingress.until("one.local is served", "one.local", "/v1/x", |answer| answer.status == 200);
    assert!(answer.text().contains("GET /x HTTP/1.1"), "{}", answer.text());
    ingress.until_served("lb.local");
    assert_eq!(ingress.get("three.local", "/elsewhere").status, 404);
}

#[test]
fn labels_of_a_live_service_may_change() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let service = labelled("live", "front", 1, &["com.docker.lb.hosts=before.local", "com.docker.lb.port=8080"]);
    ingress.until_served("before.local");
    let tasks: Vec<_> = service.running().into_iter().map(|task| task.id).collect();
    service.update(&["--label-add", "com.docker.lb.hosts=after.local"]);
    ingress.until_served("after.local");
    ingress.until("the old name is gone", "before.local", "/", |answer| answer.status != 200);
    assert_eq!(service.running().into_iter().map(|task| task.id).collect::<Vec<_>>(), tasks, "a label restarts no task");
    drop(service);
    ingress.until("the service is gone", "after.local", "/", |answer| answer.status != 200);
}

#[test]
fn a_network_that_is_not_shared_is_named_instead_of_waited_for() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    swarm.network("aside");
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let _service = labelled("apart", "aside", 1, &["com.docker.lb.hosts=apart.local", "com.docker.lb.port=8080"]);
    let of_aside = |ingress: &Ingress| {
        let endpoints = ingress.api("/api/fairlead/endpoints?status=unreachable");
        endpoints
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["detail"].as_str().is_some_and(|why| why.contains("`aside`"))))
    };
    until("the reason is told", || of_aside(ingress));
    let begun = std::time::Instant::now();
    let answer = ingress.get("apart.local", "/");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(begun.elapsed().as_millis() < 500, "it was waited for: {:?}", begun.elapsed());
    println!("said of it: {:?}", answer.field("x-fairlead-reason"));
}

#[test]
fn of_two_shared_networks_one_must_be_named() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let options = [&NAMED[..], &["--network", "front", "--network", "other"]].concat();
    let labels = ["--label", "com.docker.lb.hosts=two.local", "--label", "com.docker.lb.port=8080"];
    let service = swarm.service("two-networks", &[&options[..], &labels[..]].concat(), &["backend:test"]);
    service.settle(1);
    until("the choice is asked for", || !ingress.rejections(&["two-networks", "`front`", "`other`"]).is_empty());
    assert_ne!(ingress.get("two.local", "/").status, 200);
    service.update(&["--label-add", "com.docker.lb.network=other"]);
    let answer = ingress.until_served("two.local");
    let subnet = swarm.docker(&["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "other"]);
    let begins = subnet.trim().trim_end_matches("0/24").to_owned();
    assert!(answer.line("Address").is_some_and(|address| address.starts_with(&begins)), "{subnet} {}", answer.text());
    until("nothing is left to say", || ingress.rejections(&["two-networks"]).is_empty());
}

#[test]
fn each_service_cluster_has_a_gateway_of_its_own() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let common = Ingress::shared(swarm);
    let flags = ["--providers.swarm.interlock.serviceCluster=east"];
    let wanted = Wanted { name: "fairlead-east", port: 18_120, networks: &["front"], flags: &flags, ..Wanted::default() };
    let east = Ingress::start(swarm, wanted);
    let _telling = east.telling();
    let labels = ["com.docker.lb.hosts=east.local", "com.docker.lb.port=8080", "com.docker.lb.service_cluster=east"];
    let _east = labelled("of-east", "front", 1, &labels);
    let _west = labelled("of-none", "front", 1, &["com.docker.lb.hosts=none.local", "com.docker.lb.port=8080"]);
    east.until_served("east.local");
    common.until_served("none.local");
    assert_ne!(east.get("none.local", "/").status, 200);
    assert_ne!(common.get("east.local", "/").status, 200);
}

#[test]
fn tasks_of_a_dnsrr_service_are_reached_by_their_addresses() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let options = ["--network", "front", "--endpoint-mode", "dnsrr", "--replicas", "2"];
    let labels = ["--label", "com.docker.lb.hosts=dnsrr.local", "--label", "com.docker.lb.port=8080"];
    let service = swarm.service("dnsrr", &[&NAMED[..], &options, &labels].concat(), &["backend:test"]);
    service.settle(2);
    ingress.until_served_by("dnsrr.local", 2);
}

#[test]
fn vip_mode_sends_to_the_address_that_swarm_chose() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let ingress = Ingress::shared(swarm);
    let _telling = ingress.telling();
    let labels = ["com.docker.lb.hosts=vip.local", "com.docker.lb.port=8080", "com.docker.lb.backend_mode=vip"];
    let service = labelled("vip", "front", 2, &labels);
    let described = swarm.api(&format!("/services/{}", service.id));
    let vip = described["Endpoint"]["VirtualIPs"][0]["Addr"].as_str().and_then(|vip| vip.split('/').next()).expect("it has one");
    let url = format!("http://{vip}:8080");
    // The kernel that this runs on may have no IPVS: the address is all that can be looked at.
    until("the virtual address is the server", || ingress.api("/api/fairlead/endpoints").to_string().contains(&url));
    let endpoints = ingress.api("/api/fairlead/endpoints").to_string();
    let tasks = service.running().into_iter().flat_map(|task| task.addresses);
    for address in tasks.map(|address| address.split('/').next().unwrap_or_default().to_owned()) {
        assert!(!endpoints.contains(&format!("http://{address}:8080")), "{endpoints}");
    }
}

#[test]
fn check_tells_what_the_swarm_would_be_served_as_and_serves_nothing() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    swarm.network("front");
    let _well = labelled("checked", "front", 1, &["com.docker.lb.hosts=checked.local", "com.docker.lb.port=8080"]);
    let _ill = labelled("mistaken", "front", 1, &["com.docker.lb.hosts=mistaken.local", "com.docker.lb.port=many"]);
    let endpoint = format!("--providers.swarm.endpoint=unix://{}/docker.sock", Swarm::proxy_folder());
    let command = process::fairlead().display().to_string();
    let output = process::run(&command, &["check", "--provider", "swarm", "--once", &endpoint]);
    let words = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{words}");
    let told = |parts: &[&str]| words.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(told(&["checked.local"]), "{words}");
    assert!(told(&["service mistaken", "com.docker.lb.port"]), "{words}");
    assert_eq!(swarm.proxy.refused(), []);
}
