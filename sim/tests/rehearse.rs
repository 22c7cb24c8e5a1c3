//! Rehearsals of configurations with a weakness that is known, and without it: what must be found is found, and only that.
#![cfg(madsim)]

use serde_json::Value;
use std::process::{Command, Output};

fn sim(args: &[&str]) -> Output {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    Command::new(env!("CARGO_BIN_EXE_fairlead-sim"))
        .args(args)
        .current_dir(root)
        .output()
        .expect("the binary was built for this test")
}

/// What a rehearsal's report says, as JSON.
fn rehearse(dynamic: &str, more: &[&str]) -> Value {
    let path = format!("sim/tests/rehearse/{dynamic}.yml");
    let output = sim(&[&["rehearse", "--entryPoints.web.address=:80", "--dynamic", &path, "--json"], more].concat());
    let told = String::from_utf8_lossy(&output.stdout);
    let report: Value =
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}{}", String::from_utf8_lossy(&output.stderr)));
    let findings = report["findings"].as_array().map_or(0, Vec::len);
    assert_eq!(output.status.code(), Some(i32::from(findings > 0)), "{told}");
    assert!(codes(&report).iter().all(|code| code != "defect" && code != "unexplained"), "{told}");
    report
}

fn codes(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The finding of this code, whose evidence must be there.
fn found<'a>(report: &'a Value, code: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    let finding = findings.iter().find(|finding| finding["code"] == code).unwrap_or_else(|| panic!("no {code}: {report:#}"));
    assert_eq!(finding["seen"], true, "{finding:#}");
    assert!(finding["what"].as_str().is_some_and(|what| what.contains(" failed")), "{finding:#}");
    assert!(finding["replay"].as_str().is_some_and(|replay| replay.contains("--seed ")), "{finding:#}");
    finding
}

fn holds(report: &Value, code: &str) {
    assert!(!codes(report).contains(&code.to_owned()), "{report:#}");
}

const SEEDS: [&str; 2] = ["--seeds", "0..4"];

#[test]
fn a_service_on_one_machine_is_found() {
    let with = |dynamic| rehearse(dynamic, &[&["--faults", "node-dies,partition"], &SEEDS[..]].concat());
    let weak = with("single-node.weak");
    let finding = found(&weak, "single-node");
    assert_eq!((&finding["subject"], &finding["severity"]), (&"shop@file".into(), &"error".into()), "{finding:#}");
    assert_eq!(finding["place"], "sim/tests/rehearse/single-node.weak.yml:8", "{finding:#}");
    holds(&with("single-node.mended"), "single-node");
    // Two hosts that are one machine are one machine.
    let together =
        rehearse("single-node.mended", &["--faults", "node-dies", "--node", "10.1.0.1,10.1.0.2=rack", "--seeds", "0..3"]);
    found(&together, "single-node");
}

#[test]
fn a_health_check_that_is_slower_than_a_deploy_is_found() {
    let with = |dynamic| rehearse(dynamic, &["--faults", "deploy", "--seeds", "0..3"]);
    let finding = with("deploy-drops.weak");
    let finding = found(&finding, "deploy-drops");
    assert_eq!(finding["key"], "http.services.shop.loadBalancer.healthCheck.interval", "{finding:#}");
    found(&with("deploy-drops.absent"), "deploy-drops");
    holds(&with("deploy-drops.mended"), "deploy-drops");
}

#[test]
fn a_drain_that_is_shorter_than_requests_is_found() {
    let with = |grace: &str| {
        let grace = format!("--entryPoints.web.transport.lifeCycle.graceTimeOut={grace}");
        let timeout = "--serversTransport.forwardingTimeouts.responseHeaderTimeout=20s";
        rehearse("single-node.mended", &["--faults", "gateway-stops", "--seeds", "0..3", &grace, timeout])
    };
    let weak = with("5s");
    let finding = found(&weak, "drain-cuts");
    assert_eq!(finding["key"], "entryPoints.web.transport.lifeCycle.graceTimeOut", "{finding:#}");
    holds(&with("25s"), "drain-cuts");
}

#[test]
fn a_restart_that_no_retry_bridges_is_found() {
    let with = |dynamic| rehearse(dynamic, &["--faults", "server-restarts", "--seeds", "0..4"]);
    found(&with("no-retry.weak"), "no-retry");
    holds(&with("no-retry.mended"), "no-retry");
}

#[test]
fn a_server_that_hangs_is_found_where_nothing_bounds_it() {
    let with = |more: &[&str]| rehearse("single-node.mended", &[&["--faults", "server-hangs", "--seeds", "0..3"], more].concat());
    found(&with(&[]), "no-response-timeout");
    holds(&with(&["--serversTransport.forwardingTimeouts.responseHeaderTimeout=5s"]), "no-response-timeout");
}

#[test]
fn a_fallback_that_gets_no_traffic_is_found() {
    let with = |dynamic| rehearse(dynamic, &["--faults", "service-dies", "--seeds", "0..3"]);
    found(&with("fallback-idle.weak"), "fallback-idle");
    holds(&with("fallback-idle.mended"), "fallback-idle");
}

#[test]
fn a_limit_below_the_normal_load_is_found() {
    let with = |dynamic| rehearse(dynamic, &["--faults", "none"]);
    found(&with("limits-refuse.weak"), "limits-refuse");
    assert_eq!(codes(&with("limits-refuse.mended")), [""; 0]);
}

#[test]
fn what_can_be_read_off_says_that_it_was_read() {
    let report = rehearse("read", &["--faults", "none"]);
    assert_eq!(codes(&report), ["rejected", "shadowed"], "{report:#}");
    assert!(report["findings"].as_array().expect("findings").iter().all(|finding| finding["seen"] == false), "{report:#}");
    for router in ["all@file", "admin@file", "office@file", "old@file"] {
        let tally = &report["routers"][router];
        assert!(tally["asked"].as_u64().is_some_and(|asked| asked > 20) && tally["failed"] == 0, "{router}: {report:#}");
    }
}

#[test]
fn every_example_rehearses_without_a_defect() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut rehearsed = 0;
    for entry in std::fs::read_dir(format!("{root}/examples")).expect("examples") {
        let folder = entry.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let (config, own) = (format!("examples/{name}/fairlead.yml"), format!("examples/{name}/rehearse.yml"));
        let mut args = vec!["rehearse", "--configFile", &config, "--seeds", "0..4", "--json"];
        if folder.join("rehearse.yml").exists() {
            args.extend(["--dynamic", &own]);
        }
        let output = sim(&args);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{name}: {told}{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_str(&told).expect("a report");
        assert!(codes(&report).iter().all(|code| code != "defect" && code != "unexplained"), "{name}: {told}");
        rehearsed += 1;
    }
    assert!(rehearsed >= 9, "{rehearsed}");
}

#[test]
fn a_seed_gives_the_same_report_in_two_processes_and_so_does_its_plan() {
    let args = ["rehearse", "--entryPoints.web.address=:80", "--dynamic", "sim/tests/rehearse/no-retry.weak.yml", "--seed", "1"];
    let (one, other) = (sim(&args), sim(&args));
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text(&one).starts_with("trace-hash="), "{}", text(&one));
    assert_eq!(text(&one), text(&other));
    let plan = sim(&[&args[..], &["--plan"]].concat());
    let file = std::env::temp_dir().join(format!("fairlead-rehearsal-{}", std::process::id()));
    std::fs::write(&file, &plan.stdout).expect("a temporary file");
    let replayed = sim(&["rehearse", "--replay", &file.to_string_lossy()]);
    std::fs::remove_file(&file).expect("the temporary file");
    assert_eq!(text(&replayed).lines().next(), text(&one).lines().next());
}

#[test]
fn what_cannot_be_used_says_why() {
    for (args, word) in [
        (&["rehearse", "--configFile", "examples/etcd/fairlead.yml"][..], "--dynamic PATH"),
        (&["rehearse", "--entryPoints.web.addres=:80", "--dynamic", "examples/file/dynamic.yml"], "address"),
        (&["rehearse", "--dynamic", "examples/file/dynamic.yml", "--faults", "rain"], "no kind `rain`"),
        (&["rehearse"], "--configFile FILE"),
    ] {
        let output = sim(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
    }
}
