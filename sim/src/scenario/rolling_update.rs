//! Servers are replaced one by one under load, start-first or stop-first, as orchestrators do it: announced early or late,
//! ended in order or by force, with a gateway that hears of it late.

use super::{Draft, Scenario};
use crate::plan::{Source, What};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "rolling_update",
    about: "servers are replaced under load, start-first and stop-first, with and without time to drain",
    draw,
};

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::File, Source::Etcd]);
    draft.source(source);
    draft.plan.gateway.health_check = draft.chance.percent(30);
    for _ in 0..draft.chance.count(1, 3) {
        let servers = draft.chance.count(1, 4);
        draft.service(servers);
    }
    let mut at = draft.chance.within(300, 1_500);
    let start_first = draft.chance.percent(60);
    // The longest answer, and then some; or too little, in seeds that are about that.
    let grace = if draft.chance.percent(80) { draft.think + 1_000 } else { draft.chance.within(0, draft.think) };
    let settle = draft.chance.magnitude(10, 2_000);
    for service in 0..draft.plan.services {
        for old in draft.desired[service].clone().unwrap_or_default() {
            if draft.chance.percent(15) {
                continue;
            }
            let new = draft.server(service, false);
            at = if start_first {
                start_first_update(draft, at, old, new, grace)
            } else {
                stop_first_update(draft, at, old, new, grace)
            };
            if draft.chance.percent(5) {
                draft.step(at, What::CrashRouter);
            }
            at += draft.chance.within(1, settle);
        }
    }
    draft.workload(at + 1_000);
    draft.cookies();
}

/// The new server runs and is announced before the old one is withdrawn, and then told to end.
fn start_first_update(draft: &mut Draft, at: u64, old: usize, new: usize, grace: u64) -> u64 {
    let service = draft.plan.servers[old].service;
    let mut servers = draft.desired[service].clone().unwrap_or_default();
    draft.step(at, What::Start(new));
    // Some announce a server while it still starts.
    let announced = at + draft.chance.within(0, 1).saturating_mul(draft.chance.magnitude(1, 500));
    servers.push(new);
    draft.write(announced, service, Some(servers.clone()));
    let withdrawn = announced + draft.chance.magnitude(20, 1_000);
    servers.retain(|server| *server != old);
    draft.write(withdrawn, service, Some(servers));
    let ended = withdrawn + draft.chance.magnitude(100, 2_000);
    draft.step(ended, What::Terminate { server: old, within: grace });
    ended
}

/// The old server is told to end before the gateway hears of it; the new one comes when it is gone.
fn stop_first_update(draft: &mut Draft, at: u64, old: usize, new: usize, grace: u64) -> u64 {
    let service = draft.plan.servers[old].service;
    let mut servers = draft.desired[service].clone().unwrap_or_default();
    servers.retain(|server| *server != old);
    let dies = draft.chance.percent(20);
    draft.step(at, if dies { What::Kill(old) } else { What::Terminate { server: old, within: grace } });
    let withdrawn = at + draft.chance.magnitude(1, 1_000);
    draft.write(withdrawn, service, Some(servers.clone()));
    let started = withdrawn + draft.chance.magnitude(1, 1_000);
    draft.step(started, What::Start(new));
    servers.push(new);
    let announced = started + draft.chance.magnitude(1, 300);
    draft.write(announced, service, Some(servers));
    announced
}
