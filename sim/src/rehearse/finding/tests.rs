//! Findings from made-up records: what each rule says, and what it lets pass.

use super::*;
use crate::rehearse::plan::{Assumed, Incident, Texts, VERSION};

const TWO: &str = "http:
  routers:
    shop: { rule: 'Host(`shop.test`)', service: shop }
  services:
    shop:
      loadBalancer:
        servers:
          - url: http://10.1.0.1:8080
          - url: http://10.1.0.2:8080
";

/// What is found when `asked` was seen under `what`, from 5 s to 15 s.
fn found(dynamic: &str, what: What, asked: Vec<Asked>) -> Vec<String> {
    let (blueprint, plan) = world(dynamic, what);
    let seen = Seen { asked, struck: vec![0], ..Seen::default() };
    judge(&blueprint, &plan, &seen).findings.into_iter().map(|finding| finding.code).collect()
}

fn world(dynamic: &str, what: What) -> (Blueprint, Plan) {
    let texts = Texts {
        flags: vec!["--entryPoints.web.address=:80".into()],
        place: "dynamic.yml".into(),
        dynamic: [("dynamic.yml".to_owned(), dynamic.to_owned())].into(),
        ..Texts::default()
    };
    let assumed = Assumed::default();
    let blueprint = Blueprint::new(&texts, &assumed).unwrap();
    assert_eq!(blueprint.probes[0].router, "shop@file");
    let incidents = vec![Incident { at: 5_000, lasts: 10_000, what }];
    let plan = Plan { rehearsal: VERSION, seed: 1, texts, assumed, latency: (100, 1_000), rate: 10.0, lasts: 60_000, incidents };
    (blueprint, plan)
}

fn asked(at: u64, repeatable: bool, ended: Ended) -> Asked {
    Asked { probe: 0, repeatable, why: Why::Load, at, took: 50, arrived: true, ended }
}

fn by_gateway(status: u16, reason: &str) -> Ended {
    Ended::Gateway { status, reason: reason.into() }
}

fn by_server(status: u16) -> Ended {
    Ended::Server { key: "10.1.0.1:8080".into(), status }
}

#[test]
fn what_is_answered_is_no_finding() {
    let node = What::NodeDies { node: "10.1.0.1".into() };
    assert_eq!(found(TWO, node, vec![asked(1_000, true, by_server(200)), asked(6_000, true, by_server(404))]), [""; 0]);
}

#[test]
fn a_failure_without_an_incident_is_one_at_rest() {
    let failed = vec![asked(1_000, true, by_gateway(502, "upstream_tls"))];
    assert_eq!(found(TWO, What::Reload, failed), ["fails-at-rest"]);
    assert_eq!(found(TWO, What::Reload, vec![asked(1_000, true, by_gateway(429, "rate_limited"))]), ["limits-refuse"]);
}

#[test]
fn the_death_of_the_only_machine_is_told_from_that_of_one_of_two() {
    let one = TWO.replace("10.1.0.2:8080", "10.1.0.1:8081");
    let node = || What::NodeDies { node: "10.1.0.1".into() };
    let failed = || vec![asked(6_000, true, by_gateway(504, "connect_timeout"))];
    assert_eq!(found(&one, node(), failed()), ["single-node"]);
    assert_eq!(found(TWO, node(), failed()), ["node-loss-leaks"]);
    assert_eq!(found(TWO, node(), vec![asked(6_000, true, Ended::Patience)]), ["no-response-timeout"]);
}

#[test]
fn a_post_at_a_server_that_dies_is_lost_whatever_is_configured() {
    let crash = || What::ServerCrashes { server: "10.1.0.1:8080".into() };
    assert_eq!(found(TWO, crash(), vec![asked(6_000, false, by_gateway(502, "upstream_closed"))]), [""; 0]);
    assert_eq!(found(TWO, crash(), vec![asked(6_000, true, by_gateway(502, "upstream_closed"))]), ["no-retry"]);
}

#[test]
fn a_reload_that_fails_requests_is_not_the_configurations_fault() {
    assert_eq!(found(TWO, What::Reload, vec![asked(6_000, true, by_gateway(502, "upstream_closed"))]), ["unexplained"]);
}

#[test]
fn errors_count_once_they_could_have_been_noticed() {
    let errors = || What::ServerErrors { server: "10.1.0.1:8080".into() };
    assert_eq!(found(TWO, errors(), vec![asked(6_000, true, by_server(500))]), [""; 0]);
    assert_eq!(found(TWO, errors(), vec![asked(15_500, true, by_server(500))]), ["errors-pass"]);
}

#[test]
fn a_drain_is_judged_by_what_was_accepted_before() {
    let (blueprint, plan) = world(TWO, What::GatewayStops);
    let cut = |at, took, arrived| Asked { took, arrived, ..asked(at, true, Ended::Cut { begun: false, how: String::new() }) };
    let judged = |asked| {
        let seen = Seen { asked, struck: vec![0], stopped: Some(5_500), ..Seen::default() };
        judge(&blueprint, &plan, &seen)
    };
    let codes = |judged: Judged| judged.findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>();
    assert_eq!(codes(judged(vec![cut(5_100, 10_000, true)])), ["drain-cuts"]);
    // Still on its way to the gateway, and after it.
    let late = judged(vec![cut(5_495, 6, false), cut(6_000, 1, false)]);
    assert_eq!((late.refused_at_the_end, codes(late)), (2, vec![]));
}

#[test]
fn an_open_door_is_a_defect_and_a_crowd_that_is_limited_is_not() {
    let seen = Seen { broken: vec![("O1", "a POST twice".into())], ..Seen::default() };
    let (blueprint, plan) = world(TWO, What::Reload);
    assert_eq!(judge(&blueprint, &plan, &seen).findings[0].severity, Severity::Defect);
    let burst = What::ConnectionBurst { connections: 100 };
    let crowd = Asked { why: Why::Burst, ..asked(6_000, true, by_gateway(429, "rate_limited")) };
    assert_eq!(found(TWO, burst, vec![crowd, asked(6_000, true, by_gateway(429, "rate_limited"))]), [""; 0]);
}

#[test]
fn a_limit_that_is_too_low_is_put_down_to_nothing_else() {
    let refused = || vec![asked(6_000, true, by_gateway(429, "rate_limited"))];
    let crash = What::ServerCrashes { server: "10.1.0.1:8080".into() };
    for what in [What::Reload, What::GatewayStops, crash, What::HealthFlaps { service: "shop@file".into() }] {
        assert_eq!(found(TWO, what, refused()), ["limits-refuse"]);
    }
    let both = [refused(), vec![asked(6_000, true, by_gateway(502, "connect_failed"))]].concat();
    let crash = What::ServerCrashes { server: "10.1.0.1:8080".into() };
    assert_eq!(found(TWO, crash, both), ["limits-refuse", "no-retry"]);
}
