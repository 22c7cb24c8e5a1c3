//! Configuration from Rancher's metadata service, or from the tree that Kontena's agents keep in etcd: services come, go and get other
//! containers, while what is read from hangs, lists nothing, is not found, stands still, or ends in the middle.
//!
//! Servers are well, but for what comes of their environment, so that what clients meet comes of the configuration.

use super::{Draft, Scenario};
use crate::plan::{
    Manner, Source, Unit, What,
    metadata::{Fault, Metadata},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "metadata",
    about: "services change in Rancher's metadata or in Kontena's tree, while those hang, empty themselves, vanish, stand still and cut",
    draw,
};

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::Rancher, Source::Kontena]);
    draft.source(source);
    draft.plan.gateway.health_check = draft.chance.percent(15);
    if source == Source::Rancher {
        let (interval_poll, apart) = (draft.chance.percent(40), draft.chance.percent(40));
        draft.plan.metadata = Some(Metadata { interval_poll, refresh: draft.chance.within(1, 15), apart });
    }
    let mut choice = Vec::new();
    for _ in 0..draft.chance.count(1, 4) {
        let servers = draft.chance.count(1, 3);
        let service = draft.service(servers);
        draft.server(service, true);
        let all = draft.plan.servers.iter().enumerate().filter(|(_, s)| s.service == service).map(|(index, _)| index);
        choice.push(all.collect::<Vec<_>>());
    }
    let (deletes, pace) = (draft.chance.within(0, 25), draft.chance.magnitude(10, 4_000));
    let mut at = draft.chance.within(100, 1_000);
    for _ in 0..draft.chance.count(2, 16) {
        at += draft.chance.within(0, 2 * pace);
        let service = draft.chance.count(0, choice.len() - 1);
        let goes =
            draft.desired[service].is_some() && draft.desired.iter().flatten().count() > 1 && draft.chance.percent(deletes);
        let servers = (!goes).then(|| some_of(draft, &choice[service]));
        let manner = manner(draft, source);
        draft.write_all(at, vec![Unit { service, servers }], manner);
    }
    let until = faults(draft, source, at).max(at);
    // A last word on everything: an environment without services would not be believed.
    let calm = until + 600;
    for (service, of) in choice.iter().enumerate() {
        let servers = Some(some_of(draft, of));
        draft.write_all(calm + 200 * service as u64, vec![Unit { service, servers }], Manner::Whole);
    }
    draft.workload(calm + 3_000);
}

/// Rancher's server changes everything at once; Kontena's agents write key by key.
fn manner(draft: &mut Draft, source: Source) -> Manner {
    match source {
        Source::Kontena => Manner::Torn { order: draft.chance.draw(), pause: draft.chance.within(0, 12) },
        _ => Manner::Whole,
    }
}

/// At least one of them.
fn some_of(draft: &mut Draft, servers: &[usize]) -> Vec<usize> {
    let sure = draft.chance.pick(servers);
    servers.iter().copied().filter(|server| *server == sure || draft.chance.percent(50)).collect()
}

/// When the last is over.
fn faults(draft: &mut Draft, source: Source, until: u64) -> u64 {
    let mut over = 0;
    let apart = draft.plan.metadata.as_ref().is_some_and(|metadata| metadata.apart);
    for _ in 0..draft.chance.count(0, 4) {
        let at = over + draft.chance.within(50, until.max(100));
        let lasts = draft.chance.magnitude(20, 30_000);
        over = at + lasts;
        if source == Source::Kontena {
            store_fault(draft, at, lasts);
            continue;
        }
        let fault = match draft.chance.count(0, 5) {
            0 => Fault::Hangs,
            1 => Fault::Empty,
            2 => Fault::Missing,
            3 => Fault::Cut,
            // Whoever needs several lists has no way to know that something changed between them.
            _ if apart => Fault::Cut,
            _ => Fault::Stale,
        };
        draft.step(at, What::Metadata(fault));
        if fault == Fault::Stale && draft.chance.percent(30) {
            // It never tells again.
            return until.max(at);
        }
        draft.step(over, What::Metadata(Fault::None));
    }
    if draft.chance.percent(15) {
        let at = draft.chance.within(100, until.max(200));
        draft.step(at, What::CrashRouter);
    }
    over
}

fn store_fault(draft: &mut Draft, at: u64, lasts: u64) {
    let member = draft.chance.count(0, draft.plan.gateway.members - 1);
    match draft.chance.count(0, 3) {
        0 => draft.step(at, What::Compact),
        1 => {
            draft.step(at, What::Leader(false));
            draft.step(at + lasts, What::Leader(true));
        }
        2 => {
            draft.step(at, What::Disconnect(member));
            draft.step(at + 1, What::Compact);
        }
        _ => {
            let kind = draft.chance.count(0, 2);
            draft.step(at, What::Member { member, stall: kind == 0, withhold: kind == 1, hang: kind == 2 });
            draft.step(at + lasts, What::Member { member, stall: false, withhold: false, hang: false });
        }
    }
}
