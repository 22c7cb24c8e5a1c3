//! Gateways are restarted under load: in order, with time to drain and with too little, by force, by the loss of their machine, and
//! stopped for a while; while servers are replaced and the configuration changes.

use super::{Draft, Scenario};
use crate::{
    chance::Chance,
    plan::{Manner, Node, Source, Unit, What, gateway::Event},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "gateway_restart",
    about: "gateways drain, are killed, stopped and started again under load, while what they serve changes",
    draw,
};

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::File, Source::Etcd, Source::Etcd]);
    draft.source(source);
    draft.plan.gateway.health_check = draft.chance.percent(25);
    let mut choice = Vec::new();
    for _ in 0..draft.chance.count(1, 4) {
        let servers = draft.chance.count(1, 3);
        let service = draft.service(servers);
        let spare = draft.server(service, true);
        choice.push((draft.desired[service].clone().unwrap_or_default(), spare));
    }
    draft.several_gateways(1, 3);
    let mut at = draft.chance.within(300, 1_500);
    let pace = draft.chance.magnitude(100, 4_000);
    for _ in 0..draft.chance.count(1, 5) {
        let gateway = draft.chance.count(0, draft.plan.gateway.count - 1);
        let back = draft.upheaval(at, gateway);
        // What changes while it is away is there when it comes back.
        for _ in 0..draft.chance.count(0, 2) {
            let at = draft.chance.within(at, back + 200);
            change(draft, at, &choice);
        }
        at = back + draft.chance.within(1, pace);
    }
    draft.workload(at + 1_500);
    draft.cookies();
    draft.clients_of_gateways();
    if source == Source::File && draft.plan.gateway.torn_reads == 0 {
        draft.certificates(at);
    }
}

/// Some services get or lose their spare server, in one transaction.
fn change(draft: &mut Draft, at: u64, choice: &[(Vec<usize>, usize)]) {
    let first = draft.chance.count(0, choice.len() - 1);
    let chosen: Vec<_> = (0..choice.len()).filter(|i| *i == first || draft.chance.percent(40)).collect();
    let units = chosen.into_iter().map(|service| {
        let (usual, spare) = &choice[service];
        let with = draft.chance.percent(50);
        let servers = usual.iter().copied().filter(|s| !with || usual[0] != *s).chain(with.then_some(*spare));
        Unit { service, servers: Some(servers.collect()) }
    });
    let units = units.collect();
    draft.write_all(at, units, Manner::Whole);
}

impl Draft {
    /// So many gateways, alike, with a drain of their own.
    pub(super) fn several_gateways(&mut self, least: usize, most: usize) {
        let mut chance = Chance::new(self.plan.seed, "gateways");
        let gateway = &mut self.plan.gateway;
        gateway.count = chance.count(least, most);
        gateway.lame_duck = if chance.percent(60) { chance.magnitude(20, 2_000) } else { 0 };
        // Long enough for what is under way; or too short, in some seeds.
        gateway.grace = if chance.percent(75) { 10_000 } else { chance.magnitude(50, 3_000) };
        gateway.api = chance.percent(60);
    }

    /// Each client asks one of them, and some the next one where they find nobody.
    pub(super) fn clients_of_gateways(&mut self) {
        let mut chance = Chance::new(self.plan.seed, "clients of gateways");
        let count = self.plan.gateway.count;
        for client in &mut self.plan.clients {
            client.gateway = chance.count(0, count - 1);
            client.elsewhere = chance.percent(50);
        }
    }

    /// A gateway ends or stops, and begins again. When it does.
    pub(super) fn upheaval(&mut self, at: u64, gateway: usize) -> u64 {
        let away = self.chance.magnitude(1, 4_000);
        let event = self.chance.pick(&[Event::Stop, Event::Stop, Event::Stop, Event::Kill, Event::PowerOff, Event::Pause]);
        self.step(at, What::Gateway { gateway, event });
        let back = if event == Event::Pause { Event::Resume } else { Event::Start };
        self.step(at + away, What::Gateway { gateway, event: back });
        at + away
    }

    /// A gateway, as links name it.
    pub(super) fn gateway_node(&self, gateway: usize) -> Node {
        if gateway == 0 { Node::Gateway } else { Node::GatewayAt(gateway) }
    }
}
