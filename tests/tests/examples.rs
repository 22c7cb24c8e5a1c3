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
fn nothing_in_an_example_is_refused() {
    let etcd = Etcd::start();
    let endpoint = format!("--providers.etcd.endpoints={}", etcd.endpoint());
    let mut folders: Vec<_> = fs::read_dir(root().join("examples"))
        .expect("there are examples")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    folders.sort();
    assert!(folders.len() >= 8, "{folders:?}");
    for folder in folders {
        let file = format!("examples/{folder}/fairlead.yml");
        let mut arguments = vec!["check", "--configFile", &file];
        // An etcd is asked where the test's own one listens.
        arguments.extend((folder == "etcd").then_some(endpoint.as_str()));
        let output = run(&arguments);
        let clean = output.status.success() && text(&output).contains("0 rejected, 0 warnings");
        // Its certificate is the reader's to make; until then that, and nothing else, is missing.
        let only_certificate =
            folder == "tls" && text(&output).contains("shop.pem: No such file") && text(&output).contains("1 rejected");
        assert!(clean || only_certificate, "{file}: {}", text(&output));
    }
}

#[test]
fn the_readmes_question_is_answered() {
    let output = run(&["explain", "--configFile=examples/file/fairlead.yml", "GET", "http://shop.localhost/api/users"]);
    assert!(output.status.success() && text(&output).contains("@file"), "{}", text(&output));
}

#[test]
fn the_etcd_example_serves() {
    let etcd = Etcd::start();
    let (one, two) = (Server::whoami("one"), Server::whoami("two"));
    let load = Command::new(root().join("examples/etcd/load.sh"))
        .args([one.url(), two.url()])
        .env("ETCDCTL_ENDPOINTS", etcd.endpoint())
        .output()
        .expect("the script starts");
    assert!(load.status.success(), "{}", text(&load));
    let gateway = Setup::new().section("providers", json!({ "etcd": { "endpoints": [etcd.endpoint()] } })).start();
    until("every route is served", || ["/whoami", "/foo", "/bar"].iter().all(|path| gateway.get(path).status == 200));
    assert_eq!((gateway.get("/foo").server().as_str(), gateway.get("/bar").server().as_str()), ("one", "two"));
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
