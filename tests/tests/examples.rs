//! What stands in `examples/` and `deploy/` works as it stands.

use fairlead_tests::{
    Server, Setup,
    etcd::Etcd,
    process::{fairlead, root},
    until,
};
use serde_json::json;
use std::{
    fs,
    process::{Command, Output},
};

fn run(arguments: &[&str]) -> Output {
    Command::new(fairlead()).args(arguments).current_dir(root()).output().expect("the binary starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_file_example_has_nothing_that_is_refused() {
    let output = run(&["check", "--configFile", "examples/file/fairlead.yaml"]);
    assert!(output.status.success() && text(&output).contains("0 rejected, 0 warnings"), "{}", text(&output));
    let output = run(&["explain", "--configFile", "examples/file/fairlead.yaml", "GET", "http://shop.example/api/cart"]);
    assert!(output.status.success() && text(&output).contains("shop@file"), "{}", text(&output));
}

#[test]
fn the_etcd_example_serves() {
    let etcd = Etcd::start();
    let (foo, bar) = (Server::whoami("foo-server"), Server::whoami("bar-server"));
    let put = Command::new(root().join("examples/etcd/put.sh"))
        .args([foo.url(), bar.url()])
        .env("ETCDCTL_API", "3")
        .env("ETCDCTL_ENDPOINTS", etcd.endpoint())
        .output()
        .expect("the script starts");
    assert!(put.status.success(), "{}", text(&put));
    // The example's own file is what the test's is laid over, but for ports.
    let example = fs::read_to_string(root().join("examples/etcd/fairlead.yaml")).expect("it is there");
    assert!(example.contains("etcd:") && example.contains("endpoints:"));
    let gateway = Setup::new().section("providers", json!({ "etcd": { "endpoints": [etcd.endpoint()] } })).start();
    until("both routes are served", || gateway.get("/foo").status == 200 && gateway.get("/bar").status == 200);
    assert_eq!((gateway.get("/foo").server().as_str(), gateway.get("/bar").server().as_str()), ("foo-server", "bar-server"));
    assert_eq!(gateway.api("/api/fairlead/status")["rejectionsTotal"], 0);
}

#[test]
fn deployments_use_commands_that_exist() {
    let help = text(&run(&["help"]));
    for (file, commands) in [("deploy/Dockerfile", &["run", "healthcheck"][..]), ("deploy/fairlead.service", &["run"])] {
        let content = fs::read_to_string(root().join(file)).expect("it is there");
        for command in commands {
            let used = [format!("{command} --configFile"), format!("\"{command}\", \"--configFile")];
            assert!(used.iter().any(|words| content.contains(words)), "{file} does not use {command}");
            assert!(help.contains(command), "{file}: {command}\n{help}");
        }
    }
}
