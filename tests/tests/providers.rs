//! Where configurations come from, and what happens when a source is torn, silent or gone.

use fairlead_tests::{Gateway, Server, Setup, certs::Authority, etcd::Etcd, get, until};
use serde_json::json;

fn yaml(name: &str, url: &str) -> String {
    format!(
        "http:\n  routers:\n    {name}: {{ rule: 'Path(`/{name}`)', service: {name} }}\n  services:\n    {name}:\n      loadBalancer:\n        servers:\n          - url: {url}\n"
    )
}

fn toml(name: &str, url: &str) -> String {
    format!(
        "[http.routers.{name}]\nrule = 'Path(`/{name}`)'\nservice = '{name}'\n\n[[http.services.{name}.loadBalancer.servers]]\nurl = '{url}'\n"
    )
}

fn with_directory(files: &[(&str, String)]) -> Gateway {
    let setup = Setup::new();
    std::fs::create_dir(setup.dir().path().join("conf")).expect("it is new");
    for (name, text) in files {
        setup.dir().overwrite(&format!("conf/{name}"), text);
    }
    let directory = setup.dir().file("conf");
    setup.section("providers", json!({ "file": { "directory": directory, "watch": true } })).start()
}

#[test]
fn a_directory_of_yaml_and_toml() {
    let server = Server::whoami("a");
    let gateway = with_directory(&[("one.yaml", yaml("one", &server.url())), ("two.toml", toml("two", &server.url()))]);
    assert_eq!((gateway.get("/one").status, gateway.get("/two").status), (200, 200));
    gateway.dir.overwrite("conf/three.yml", &yaml("three", &server.url()));
    until("a new file counts", || gateway.get("/three").status == 200);
    std::fs::remove_file(gateway.dir.path().join("conf/two.toml")).expect("it is there");
    until("a removed file goes", || gateway.get("/two").status == 404);
    assert_eq!((gateway.get("/one").status, gateway.get("/three").status), (200, 200));
}

#[test]
fn a_torn_file_keeps_its_last_good_content_and_says_so() {
    let server = Server::whoami("a");
    let (one, two) = (yaml("one", &server.url()), yaml("two", &server.url()));
    let gateway = with_directory(&[("one.yaml", one.clone()), ("two.yaml", two.clone())]);
    gateway.dir.overwrite("conf/one.yaml", &one[..one.find("`)'").expect("a rule in quotes")]);
    until("the fault is shown", || gateway.api("/api/fairlead/status")["rejections"].to_string().contains("one.yaml"));
    assert_eq!((gateway.get("/one").status, gateway.get("/two").status), (200, 200));
    gateway.dir.overwrite("conf/two.yaml", &two.replace("/two", "/zwei"));
    until("the other file still follows", || gateway.get("/zwei").status == 200);
    gateway.dir.overwrite("conf/one.yaml", &one.replace("/one", "/eins"));
    until("mended, it counts again", || gateway.get("/eins").status == 200);
    until("the fault is forgotten", || gateway.api("/api/fairlead/status")["rejectionsTotal"] == 0);
}

#[test]
fn a_directory_that_is_emptied_keeps_everything() {
    let server = Server::whoami("a");
    let gateway = with_directory(&[("one.yaml", yaml("one", &server.url()))]);
    let conf = gateway.dir.path().join("conf");
    std::fs::rename(&conf, gateway.dir.path().join("gone")).expect("it is there");
    until("somebody says so", || {
        let status = gateway.api("/api/fairlead/status");
        status["providers"][0]["healthy"] == false || status["rejectionsTotal"].as_u64().is_some_and(|n| n > 0)
    });
    assert_eq!(gateway.get("/one").status, 200);
    std::fs::rename(gateway.dir.path().join("gone"), &conf).expect("it is there");
    gateway.dir.overwrite("conf/two.yaml", &yaml("two", &server.url()));
    until("back again, it follows", || gateway.get("/two").status == 200);
}

fn put_route(etcd: &Etcd, name: &str, url: &str) {
    etcd.put(&format!("traefik/http/services/{name}/loadbalancer/servers/0/url"), url);
    etcd.put(&format!("traefik/http/routers/{name}/service"), name);
    etcd.put(&format!("traefik/http/routers/{name}/rule"), &format!("Path(`/{name}`)"));
}

#[test]
fn etcd_may_restart_and_forget_its_history() {
    let mut etcd = Etcd::start();
    let server = Server::whoami("a");
    put_route(&etcd, "one", &server.url());
    let gateway = Setup::new().section("providers", json!({ "etcd": { "endpoints": [etcd.endpoint()] } })).start();
    assert_eq!(gateway.get("/one").status, 200);

    etcd.kill();
    until("the silence is shown", || gateway.api("/api/fairlead/status")["providers"][0]["healthy"] == false);
    assert_eq!(gateway.get("/one").status, 200, "what was good stays");
    assert_eq!(get(gateway.port("traefik"), "/ready").status, 200, "and the gateway stays ready");

    etcd.restart();
    for round in 0..20 {
        etcd.put("traefik/http/routers/one/priority", &round.to_string());
    }
    etcd.delete("traefik/http/routers/one/priority");
    put_route(&etcd, "two", &server.url());
    etcd.compact();
    until("after the restart it follows again", || gateway.get("/two").status == 200);

    etcd.put("traefik/unrelated", "1");
    etcd.compact();
    put_route(&etcd, "three", &server.url());
    until("a compaction under the watch harms nothing", || gateway.get("/three").status == 200);
    for key in ["rule", "service"] {
        etcd.delete(&format!("traefik/http/routers/two/{key}"));
    }
    until("deletions arrive", || gateway.get("/two").status == 404);
    assert_eq!(gateway.get("/one").status, 200);
}

#[test]
fn keys_are_read_without_regard_to_case() {
    let etcd = Etcd::start();
    let server = Server::whoami("a");
    etcd.put("traefik/HTTP/Services/Up/LoadBalancer/Servers/0/URL", &server.url());
    etcd.put("traefik/http/Routers/up/Rule", "Path(`/up`)");
    etcd.put("traefik/http/routers/up/SERVICE", "Up");
    let gateway = Setup::new().section("providers", json!({ "etcd": { "endpoints": [etcd.endpoint()] } })).start();
    until("the route is there", || gateway.get("/up").status == 200);
}

#[test]
fn etcd_behind_tls_is_believed_by_its_authority_only() {
    let authority = Authority::new();
    let etcd = Etcd::with_tls(&authority, &authority.issue(&["127.0.0.1", "localhost"]));
    let server = Server::whoami("a");
    put_route(&etcd, "one", &server.url());
    let setup = Setup::new();
    let ca = authority.file(setup.dir());
    let etcd_with = |ca: &str| json!({ "etcd": { "endpoints": [etcd.endpoint()], "tls": { "ca": ca } } });
    let gateway = setup.section("providers", etcd_with(&ca)).start();
    assert_eq!(gateway.get("/one").server(), "a");
    etcd.put("traefik/http/routers/one/rule", "Path(`/uno`)");
    until("changes arrive", || gateway.get("/uno").status == 200);

    let setup = Setup::new();
    let stranger = Authority::new().file(setup.dir());
    let gateway = setup.section("providers", etcd_with(&stranger)).spawn();
    until("the log speaks of the certificate", || gateway.log().to_lowercase().contains("certificate"));
    assert_eq!(get(gateway.port("traefik"), "/ready").status, 503);
}
