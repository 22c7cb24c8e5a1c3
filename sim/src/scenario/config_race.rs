//! Two writers at one store: transactions and torn writes, deletes and re-creation, while the store compacts, loses its leader and
//! cuts connections. Every server is well, so that whatever clients meet comes of the configuration.

use super::{Draft, Scenario};
use crate::plan::{Manner, Source, Unit, What};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "config_race",
    about: "two writers race and tear their writes on a store that compacts, loses its leader and cuts connections",
    draw,
};

/// Servers that a service may be given.
const SPARE: usize = 2;

fn draw(draft: &mut Draft) {
    draft.source(Source::Etcd);
    draft.plan.gateway.health_check = draft.chance.percent(15);
    let services = draft.chance.count(2, 5);
    let mut choice = Vec::new();
    for _ in 0..services {
        let servers = draft.chance.count(1, 3);
        let service = draft.service(servers);
        for _ in 0..SPARE {
            draft.server(service, true);
        }
        choice.push(
            draft.plan.servers.iter().enumerate().filter(|(_, s)| s.service == service).map(|(i, _)| i).collect::<Vec<_>>(),
        );
    }
    let (torn, deletes) = (draft.chance.within(0, 60), draft.chance.within(0, 25));
    let pace = draft.chance.magnitude(20, 1_500);
    let pause = draft.chance.magnitude(1, 150);
    let mut at = draft.chance.within(100, 1_000);
    for _ in 0..draft.chance.count(4, 24) {
        at += draft.chance.within(0, 2 * pace);
        // Both writers may go for the same service at almost the same time.
        let writers = if draft.chance.percent(40) { 2 } else { 1 };
        for _ in 0..writers {
            let units = units(draft, &choice, deletes);
            let order = draft.chance.draw();
            let manner = if draft.chance.percent(torn) { Manner::Torn { order, pause } } else { Manner::Whole };
            let late = draft.chance.within(0, 5);
            draft.write_all(at + late, units, manner);
        }
    }
    let busy_until = at;
    faults(draft, busy_until);
    // A last word on everything, when the torn writes are over: whatever was contested is settled.
    let calm = busy_until + 40 * pause + 200;
    let settled = (0..services).map(|service| Unit { service, servers: Some(some_of(draft, &choice[service])) }).collect();
    draft.write_all(calm, settled, Manner::Whole);
    draft.workload(calm + 1_000);
}

/// What one write says about one or two services.
fn units(draft: &mut Draft, choice: &[Vec<usize>], deletes: u64) -> Vec<Unit> {
    let first = draft.chance.count(0, choice.len() - 1);
    let mut services = vec![first];
    let second = draft.chance.count(0, choice.len() - 1);
    if draft.chance.percent(30) && second != first {
        services.push(second);
    }
    services
        .into_iter()
        .map(|service| {
            let goes = draft.desired[service].is_some() && draft.chance.percent(deletes);
            Unit { service, servers: (!goes).then(|| some_of(draft, &choice[service])) }
        })
        .collect()
}

/// At least one of them.
fn some_of(draft: &mut Draft, servers: &[usize]) -> Vec<usize> {
    let sure = draft.chance.pick(servers);
    servers.iter().copied().filter(|server| *server == sure || draft.chance.percent(50)).collect()
}

fn faults(draft: &mut Draft, until: u64) {
    for _ in 0..draft.chance.count(0, 4) {
        let at = draft.chance.within(100, until);
        fault(draft, at);
    }
    if draft.chance.percent(20) {
        let at = draft.chance.within(100, until);
        draft.step(at, What::CrashRouter);
    }
}

/// Something that befalls a store, for a while.
pub(super) fn fault(draft: &mut Draft, at: u64) {
    let members = draft.plan.gateway.members;
    let lasts = draft.chance.magnitude(10, 4_000);
    match draft.chance.count(0, 4) {
        0 | 1 => draft.step(at, What::Compact),
        2 => {
            draft.step(at, What::Leader(false));
            draft.step(at + lasts, What::Leader(true));
        }
        3 => {
            let member = draft.chance.count(0, members - 1);
            draft.step(at, What::Disconnect(member));
            if draft.chance.percent(50) {
                // While the provider is away, so that it cannot resume.
                draft.step(at + 1, What::Compact);
            }
        }
        _ => {
            let (member, kind) = (draft.chance.count(0, members - 1), draft.chance.count(0, 2));
            draft.step(at, What::Member { member, stall: kind == 0, withhold: kind == 1, hang: kind == 2 });
            draft.step(at + lasts, What::Member { member, stall: false, withhold: false, hang: false });
        }
    }
}
