//! From what was seen to what is wrong: findings, each with what happened, the key that is concerned and what to do about it.
//!
//! A failed request is put down to the incident during which it was under way, or shortly after; one without such an incident failed
//! at rest. What fails is judged by what the configuration could have done about it. Deliberately absent: reading weaknesses off the
//! configuration without having seen anything fail, save for the few findings that say of themselves that they were read.

mod rule;
mod statics;
#[cfg(test)]
mod tests;

use super::{
    blueprint::Blueprint,
    draw::recovery,
    plan::{Plan, What},
    probe::{Expect, Probe},
    record::{Asked, Ended, Tally, Why},
    world::Seen,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use statics::statics;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Fairlead itself broke a promise.
    Defect,
    /// Users see an outage.
    Error,
    /// Some requests fail that need not.
    Warning,
}

/// Something that is to be mended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind it is, as `docs/rehearse.md` explains it.
    pub code: String,
    pub severity: Severity,
    /// Seen in a run; otherwise read off the configuration.
    pub seen: bool,
    /// The service, router or oracle.
    pub subject: String,
    pub what: String,
    pub faults: Vec<String>,
    pub key: String,
    pub place: String,
    pub remedy: String,
}

/// One run, judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// By router; the empty name is for what no router takes.
    pub tallies: BTreeMap<String, Tally>,
    /// Kinds and targets that were tried.
    pub tried: Vec<String>,
    pub findings: Vec<Finding>,
    /// Failed requests that say nothing against the configuration: nobody could have known better.
    pub tolerated: u64,
    /// Requests that came after SIGTERM and were refused.
    pub refused_at_the_end: u64,
}

/// Judges a run.
pub fn judge(blueprint: &Blueprint, plan: &Plan, seen: &Seen) -> Judged {
    let mut judged = Judged::default();
    let mut failures: BTreeMap<(Option<usize>, bool, &str, &str), Vec<&Asked>> = BTreeMap::new();
    for asked in &seen.asked {
        let probe = &blueprint.probes[asked.probe];
        if comes_too_late(asked, plan, seen) {
            judged.refused_at_the_end += u64::from(fails(asked, probe));
            continue;
        }
        let tally = judged.tallies.entry(probe.router.clone()).or_default();
        tally.asked += 1;
        tally.slowest_ms = tally.slowest_ms.max(asked.took);
        if !fails(asked, probe) {
            continue;
        }
        let incident = during(blueprint, plan, asked);
        let limited = is_limited(asked, incident.map(|index| &plan.incidents[index].what));
        let incident = incident.filter(|_| !limited);
        if incident.is_some_and(|index| is_unavoidable(asked, &plan.incidents[index].what)) {
            tally.unavoidable += 1;
            continue;
        }
        tally.failed += 1;
        failures.entry((incident, limited, &probe.router, &probe.service)).or_default().push(asked);
    }
    let context = rule::Context { blueprint, plan };
    for ((incident, ..), failed) in &failures {
        let probe = &blueprint.probes[failed[0].probe];
        let findings = match incident {
            Some(index) => context.under(&plan.incidents[*index], probe, failed, total(seen, plan, *index, probe, blueprint)),
            None => context.at_rest(probe, failed),
        };
        judged.tolerated += if findings.is_none() { failed.len() as u64 } else { 0 };
        judged.findings.extend(findings);
    }
    judged.findings.extend(seen.broken.iter().map(|(oracle, detail)| defect(oracle, detail.clone(), plan)));
    judged.tried = seen.struck.iter().map(|index| plan.incidents[*index].what.told()).collect();
    judged
}

/// A promise of Fairlead that was broken.
pub fn defect(oracle: &str, detail: String, plan: &Plan) -> Finding {
    Finding {
        code: "defect".into(),
        severity: Severity::Defect,
        seen: true,
        subject: oracle.to_owned(),
        what: detail,
        faults: plan.incidents.iter().map(|incident| incident.what.told()).collect(),
        key: String::new(),
        place: String::new(),
        remedy: "This is a defect of Fairlead, not of the configuration: please report it with the plan (add --plan).".into(),
    }
}

/// After SIGTERM new work is to go elsewhere: that is the task of whoever stands in front. What was on its way to the gateway just
/// then, and was cut before the gateway can have read it, came too late as well: a connection, its first bytes and a TLS handshake
/// are four ways to and fro.
fn comes_too_late(asked: &Asked, plan: &Plan, seen: &Seen) -> bool {
    let crossing = 8 * plan.latency.1 / 1000 + 10;
    let cut = matches!(asked.ended, Ended::Cut { begun: false, .. } | Ended::Refused(_));
    seen.stopped.is_some_and(|stopped| asked.at >= stopped || cut && !asked.arrived && asked.at + crossing >= stopped)
}

/// Whether it ended in another way than the configuration says.
fn fails(asked: &Asked, probe: &Probe) -> bool {
    let limited = |reason: &str| reason == "rate_limited";
    match (&asked.ended, probe.expects) {
        (Ended::Server { status, .. }, Expect::Server | Expect::Either) => *status >= 500,
        // Refusing a crowd is what a limit is for.
        (Ended::Gateway { reason, .. }, _) if asked.why == Why::Burst && limited(reason) => false,
        (Ended::Gateway { status, .. }, Expect::Redirect | Expect::Either) => !(300..400).contains(status),
        (Ended::Gateway { status, reason }, Expect::Status(expected)) => *status != expected && !limited(reason),
        (Ended::Gateway { status, reason }, Expect::Internal) => *status >= 500 || !reason.is_empty(),
        _ => true,
    }
}

/// The incident that a request was under way in, or shortly after.
fn during(blueprint: &Blueprint, plan: &Plan, asked: &Asked) -> Option<usize> {
    let recovery = recovery(blueprint);
    plan.incidents
        .iter()
        .rposition(|incident| asked.until() >= incident.at && asked.at <= incident.at + incident.lasts + recovery)
}

/// Refused by a rate limit, and not in a crowd: a limit looks at the load only, so whatever else goes wrong has nothing to do with it.
fn is_limited(asked: &Asked, what: Option<&What>) -> bool {
    !matches!(what, Some(What::ConnectionBurst { .. })) && asked.ended.word() == "rate_limited"
}

/// Requests of this router during an incident.
fn total(seen: &Seen, plan: &Plan, index: usize, probe: &Probe, blueprint: &Blueprint) -> usize {
    let of_router = |asked: &&Asked| blueprint.probes[asked.probe].router == probe.router;
    seen.asked.iter().filter(of_router).filter(|asked| during(blueprint, plan, asked) == Some(index)).count()
}

/// Nobody can tell whether a server that died had done what it was asked, so it is not asked of another one; and what has begun to
/// arrive cannot begin anew.
fn is_unavoidable(asked: &Asked, what: &What) -> bool {
    let server_fails = !matches!(
        what,
        What::Reload
            | What::TornWrite
            | What::BrokenUnit
            | What::ConnectionBurst { .. }
            | What::SlowClients { .. }
            | What::GatewayStops
    );
    let lost = match &asked.ended {
        Ended::Gateway { reason, .. } => {
            !asked.repeatable && matches!(reason.as_str(), "upstream_closed" | "upstream_timeout" | "upstream_protocol")
        }
        Ended::Cut { begun, .. } => *begun,
        _ => false,
    };
    server_fails && lost
}

/// Counts, times and reasons of failed requests.
fn evidence(failed: &[&Asked], of: usize) -> String {
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for asked in failed {
        *words.entry(asked.ended.word()).or_default() += 1;
    }
    let words: Vec<_> = words.iter().map(|(word, n)| format!("{word} ×{n}")).collect();
    let first = failed.iter().map(|asked| asked.at).min().unwrap_or_default();
    let last = failed.iter().map(|asked| asked.until()).max().unwrap_or_default();
    let time = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    format!("{} of {of} requests failed between {} and {} ({})", failed.len(), time(first), time(last), words.join(", "))
}
