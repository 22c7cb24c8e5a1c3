//! Nothing changes but the traffic: servers and clients of every kind meet, and most of them misbehave.

use super::{Draft, Scenario};
use crate::plan::Source;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "traffic",
    about: "servers answer late, by halves, wrongly or not at all; clients pipeline, trickle, flood, lie and leave",
    draw,
};

fn draw(draft: &mut Draft) {
    draft.source(Source::File);
    draft.plan.gateway.torn_reads = 0;
    draft.plan.gateway.sticky = draft.chance.percent(40);
    draft.plan.gateway.secure = draft.chance.percent(50);
    for _ in 0..draft.chance.count(1, 3) {
        let servers = draft.chance.count(1, 4);
        draft.service(servers);
    }
    let (servers_err, clients_err) = match draft.chance.count(0, 9) {
        0 => (false, false),
        1 => (false, true),
        2 => (true, false),
        _ => (true, true),
    };
    draft.habits(servers_err);
    let end = draft.chance.magnitude(2_000, 15_000);
    draft.customers(end, clients_err);
}
