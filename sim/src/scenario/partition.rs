//! Links are cut, one way and both ways, between the gateway and some servers and the store, and mended; machines die without a
//! word and come back; the configuration changes meanwhile.

use super::{Draft, Scenario};
use crate::plan::{Node, Source, What};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "partition",
    about: "links to servers and to the store are cut, one way and both, and mended; machines die silently and come back",
    draw,
};

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::File, Source::Etcd]);
    draft.source(source);
    draft.plan.gateway.health_check = draft.chance.percent(40);
    for _ in 0..draft.chance.count(1, 3) {
        let servers = draft.chance.count(2, 5);
        draft.service(servers);
    }
    let span = draft.chance.magnitude(2_000, 15_000);
    for _ in 0..draft.chance.count(1, 4) {
        let at = draft.chance.within(200, span);
        let lasts = draft.chance.magnitude(50, 15_000);
        let server = draft.chance.count(0, draft.plan.servers.len() - 1);
        match draft.chance.count(0, 5) {
            0..=2 => cut(draft, Node::Server(server), at, lasts),
            3 if source == Source::Etcd => {
                let member = draft.chance.count(0, draft.plan.gateway.members - 1);
                cut(draft, Node::Member(member), at, lasts);
            }
            3 | 4 => {
                draft.step(at, What::PowerOff(server));
                draft.step(at + lasts, What::Start(server));
            }
            _ => {
                draft.step(at, What::Kill(server));
                draft.step(at + lasts, What::Start(server));
            }
        }
    }
    for _ in 0..draft.chance.count(0, 6) {
        let at = draft.chance.within(200, span);
        let service = draft.chance.count(0, draft.plan.services - 1);
        let all: Vec<_> = (0..draft.plan.servers.len()).filter(|i| draft.plan.servers[*i].service == service).collect();
        let sure = draft.chance.pick(&all);
        let servers = all.into_iter().filter(|server| *server == sure || draft.chance.percent(60)).collect();
        draft.write(at, service, Some(servers));
    }
    draft.workload(span + 3_000);
    draft.cookies();
    draft.slow_readers(span + 3_000);
}

fn cut(draft: &mut Draft, other: Node, at: u64, lasts: u64) {
    let directions = [(Node::Gateway, other), (other, Node::Gateway)];
    let chosen = draft.chance.pick(&[&directions[..1], &directions[1..], &directions[..]]).to_vec();
    for (from, to) in chosen {
        draft.step(at, What::Cut { from, to });
        draft.step(at + lasts, What::Mend { from, to });
    }
}
