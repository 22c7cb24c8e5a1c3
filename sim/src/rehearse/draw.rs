//! From a seed to a plan: which incidents, how long, how strong.
//!
//! Seed 0 has none. The others share out all pairs of kind and target among them, in an order of their own, so that a few dozen seeds
//! have tried everything; what is left of a seed's time is drawn at random. Incidents come one after the other, with time to recover
//! between them: what fails then has one cause.

use super::{
    blueprint::Blueprint,
    plan::{Assumed, Incident, Plan, Texts, VERSION, What},
    world::DEPLOYED,
};
use crate::chance::Chance;
use fairlead_core::config::dynamic::ServiceKind;
use std::{collections::BTreeSet, net::IpAddr};

/// Incidents that every seed takes from the common list.
const SHARE: usize = 4;
/// Requests of one seed, about.
const REQUESTS: f64 = 5_000.0;
/// ms before the first incident.
const CALM: u64 = 5_000;
/// How long seed 0 lasts.
const QUIET: u64 = 20_000;

/// Draws the plan of a seed. `kinds` are those that may occur.
pub fn plan(texts: &Texts, assumed: &Assumed, blueprint: &Blueprint, kinds: &BTreeSet<String>, seed: u64) -> Plan {
    let mut chance = Chance::new(seed, "rehearsal");
    let most = chance.magnitude(300, 20_000);
    let mut plan = Plan {
        rehearsal: VERSION,
        seed,
        texts: texts.clone(),
        assumed: assumed.clone(),
        latency: (100.min(most), most),
        rate: assumed.load,
        lasts: QUIET,
        incidents: Vec::new(),
    };
    if seed > 0 {
        let list = shared(blueprint, kinds);
        let mut chosen: Vec<What> = Vec::new();
        if !list.is_empty() {
            let first = (seed as usize - 1) * SHARE;
            chosen.extend((first..first + SHARE.min(list.len())).map(|n| list[n % list.len()].clone()));
            chosen.extend((0..chance.count(0, 2)).map(|_| chance.pick(&list)));
        }
        let stops = kinds.contains(What::GatewayStops.kind()) && (seed % 3 == 1 || chosen.is_empty());
        chosen.extend(stops.then_some(What::GatewayStops));
        let mut at = CALM;
        for what in chosen {
            let incident = incident(blueprint, assumed, what, at, &mut chance);
            at += incident.lasts + recovery(blueprint);
            plan.incidents.push(incident);
        }
        plan.lasts = at;
    }
    let asking = blueprint.probes.len().max(1) as f64;
    plan.rate = plan.rate.min(REQUESTS / asking / (plan.lasts as f64 / 1000.0));
    plan
}

/// Seeds that are needed to try everything once.
pub fn seeds(blueprint: &Blueprint, kinds: &BTreeSet<String>) -> u64 {
    (shared(blueprint, kinds).len().div_ceil(SHARE) as u64 + 1).clamp(4, 60)
}

/// ms after an incident in which what fails is still put down to it.
pub fn recovery(blueprint: &Blueprint) -> u64 {
    let checks = blueprint.dynamic.services.values().filter_map(|service| match &service.kind {
        ServiceKind::LoadBalancer(balancer) => balancer.health_check.as_ref(),
        _ => None,
    });
    let slowest = checks.map(|check| check.unhealthy_interval.max(check.interval) * check.rise + check.timeout).max();
    15_000 + slowest.map_or(0, |slowest| (slowest.as_millis() as u64).min(60_000))
}

/// Every pair of kind and target but the gateway's own end, shuffled in a way that depends on the list alone.
pub fn shared(blueprint: &Blueprint, kinds: &BTreeSet<String>) -> Vec<What> {
    let leaves: BTreeSet<&String> = blueprint.probes.iter().flat_map(|probe| &probe.leaves).collect();
    let used = |services: &BTreeSet<String>| services.iter().any(|service| leaves.contains(service));
    let mut list = Vec::new();
    for (index, node) in blueprint.nodes.iter().enumerate() {
        if node.is_gateway || !blueprint.servers.values().any(|server| server.node == index && used(&server.services)) {
            continue;
        }
        let node = || node.name.clone();
        list.extend([
            What::NodeDies { node: node() },
            What::Partition { node: node() },
            What::PacketLoss { node: node(), permille: 0 },
            What::Latency { node: node(), millis: 0 },
        ]);
    }
    for (key, server) in blueprint.servers.iter().filter(|(_, server)| used(&server.services)) {
        let server_key = || key.clone();
        list.extend([
            What::ServerCrashes { server: server_key() },
            What::ServerRestarts { server: server_key() },
            What::SlowServer { server: server_key(), millis: 0 },
            What::ServerErrors { server: server_key() },
            What::ServerHangs { server: server_key() },
        ]);
        let name = server.host.clone();
        if name.parse::<IpAddr>().is_err() && !blueprint.nodes[server.node].is_gateway {
            let moves = What::DnsMoves { name: name.clone() };
            if !list.contains(&moves) {
                list.extend([What::DnsFails { name }, moves]);
            }
        }
    }
    for leaf in leaves {
        let service = || leaf.clone();
        list.push(What::Deploy { service: service() });
        if blueprint.balancer(leaf).is_some_and(|balancer| balancer.health_check.is_some()) {
            list.push(What::HealthFlaps { service: service() });
        }
        if blueprint.probes.iter().any(|probe| probe.leaves.len() > 1 && probe.leaves.contains(leaf)) {
            list.push(What::ServiceDies { service: service() });
        }
    }
    list.extend([What::Reload, What::TornWrite, What::BrokenUnit]);
    list.extend([What::ConnectionBurst { connections: 0 }, What::SlowClients { connections: 0 }]);
    list.retain(|what| kinds.contains(what.kind()));
    let mut chance = Chance::new(list.len() as u64, "rehearsal's order");
    for last in (1..list.len()).rev() {
        list.swap(last, chance.count(0, last));
    }
    list
}

/// Gives it a time and a magnitude.
fn incident(blueprint: &Blueprint, assumed: &Assumed, mut what: What, at: u64, chance: &mut Chance) -> Incident {
    let lasts = match &mut what {
        What::NodeDies { .. } | What::Partition { .. } => chance.within(15_000, 60_000),
        What::PacketLoss { permille, .. } => {
            *permille = chance.within(10, 150) as u16;
            20_000
        }
        What::Latency { millis, .. } => {
            *millis = chance.magnitude(20, 400);
            20_000
        }
        What::ServerCrashes { .. } => chance.within(10_000, 20_000),
        What::ServerRestarts { .. } => chance.within(500, 2_000),
        What::SlowServer { millis, .. } => {
            *millis = chance.magnitude(500, 20_000);
            chance.within(15_000, 30_000)
        }
        What::ServerErrors { .. } => chance.within(25_000, 40_000),
        What::ServerHangs { .. } => assumed.patience + 15_000,
        What::Deploy { service } => {
            let each = assumed.stop_grace + 1_000 + 2_000 + assumed.warm_up + 3_000;
            blueprint.servers_of(service).len().clamp(1, DEPLOYED) as u64 * each
        }
        What::ServiceDies { .. } => chance.within(30_000, 40_000),
        What::HealthFlaps { service } => {
            let check = blueprint.balancer(service).and_then(|balancer| balancer.health_check.as_ref());
            check.map_or(1_000, |check| check.interval.as_millis() as u64 * 2 + 1_000).min(120_000)
        }
        What::DnsFails { .. } => chance.within(10_000, 40_000),
        What::DnsMoves { .. } => 60_000,
        What::Reload | What::TornWrite => 3_000,
        What::BrokenUnit => chance.within(2_000, 10_000),
        What::ConnectionBurst { connections } => {
            *connections = chance.magnitude(20, 500) as u32;
            2_000
        }
        What::SlowClients { connections } => {
            *connections = chance.magnitude(5, 100) as u32;
            20_000
        }
        What::GatewayStops => {
            let leaves = blueprint.probes.iter().flat_map(|probe| &probe.leaves);
            leaves.map(|leaf| blueprint.longest(assumed, leaf)).max().unwrap_or(0) + 5_000
        }
    };
    Incident { at, lasts, what }
}
