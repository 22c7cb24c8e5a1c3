//! Everything at once: one to five gateways behind one source of any kind, whose configuration changes, and a handful of the kinds of
//! faults there are, each as often and as heavy as the seed has it. One seed in ten has no fault, one in ten only what is killed.
//!
//! At the end a part of it may stay broken for good; the rest must be as it should all the same.

use super::{Draft, Scenario, config_race, environment, swarm_discovery};
use crate::plan::{
    Manner, Node, Source, Unit, What, gateway,
    swarm::{Event, Fault, Language},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "whole",
    about: "all of it: gateways, sources, deploys and any mixture of faults, some of them for good",
    draw,
};

/// Milliseconds in which things happen, at most.
const SPAN: u64 = 9_000;

/// Milliseconds between two keys of one write, at most. A write has fewer than thirty.
const TORN: u64 = 20;

/// Draws one fault that begins at a time and lasts a while.
type Kind = fn(&mut Draft, u64, u64);

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::Swarm, Source::Swarm, Source::Etcd, Source::Etcd, Source::File]);
    let until = draft.chance.magnitude(2_000, SPAN);
    let (planned, every, killing): (fn(&mut Draft, u64), &[Kind], &[Kind]) = match source {
        Source::Swarm => {
            swarm(draft);
            (deploy, &[managers, kill_task, lose_node, upheaval, environment::ground], &[kill_task, lose_node, kill_gateway])
        }
        Source::Etcd => {
            services(draft, source);
            (
                write,
                &[store, torn_write, cut_server, cut_member, kill_server, upheaval, crash, environment::surroundings],
                &[kill_server, kill_gateway],
            )
        }
        // What else there is has scenarios of its own.
        Source::File | Source::Rancher | Source::Kontena => {
            services(draft, source);
            (
                write,
                &[torn_write, cut_server, kill_server, upheaval, crash, environment::surroundings],
                &[kill_server, kill_gateway],
            )
        }
    };
    let most = if draft.chance.percent(25) { 5 } else { 3 };
    draft.several_gateways(1, most);
    for _ in 0..draft.chance.magnitude(1, 10) {
        let at = draft.chance.within(200, until);
        planned(draft, at);
    }
    let kinds = match draft.chance.count(0, 9) {
        0 => Vec::new(),
        1 => killing.to_vec(),
        // Some of them, some more often than others.
        _ => {
            let some = draft.chance.count(1, every.len());
            (0..some).flat_map(|_| vec![draft.chance.pick(every); draft.chance.magnitude(1, 8) as usize]).collect()
        }
    };
    if !kinds.is_empty() {
        for _ in 0..draft.chance.magnitude(1, 12) {
            let (at, lasts) = (draft.chance.within(200, until), draft.chance.magnitude(5, 5_000));
            let kind = draft.chance.pick(&kinds);
            kind(draft, at, lasts);
        }
        if draft.chance.percent(40) {
            stays_broken(draft, until);
        }
    }
    let settled = draft.plan.steps.iter().map(|step| step.at).max().unwrap_or(0).max(until);
    if source != Source::Swarm {
        // A last word on everything that may be contested.
        // Begun when all that is written key by key is written.
        let calm = settled + 600.max(40 * longest_pause(draft) + 200);
        let units = (0..draft.plan.services).map(|service| Unit { service, servers: draft.desired[service].clone() }).collect();
        draft.write_all(calm, units, Manner::Whole);
    }
    draft.workload(settled.min(SPAN) + 1_500);
    draft.cookies();
    draft.clients_of_gateways();
    draft.plan.quiet_at = settled + 2_500;
}

/// Between two keys of a torn write, in milliseconds.
fn longest_pause(draft: &Draft) -> u64 {
    let pauses = draft.plan.steps.iter().filter_map(|step| match &step.what {
        What::Write(write) => match write.manner {
            Manner::Torn { pause, .. } => Some(pause),
            Manner::Whole => None,
        },
        _ => None,
    });
    pauses.max().unwrap_or(0)
}

// ---- a source of writes ----

fn services(draft: &mut Draft, source: Source) {
    draft.source(source);
    draft.plan.gateway.health_check = draft.chance.percent(30);
    for _ in 0..draft.chance.count(1, 5) {
        let servers = draft.chance.count(1, 4);
        let service = draft.service(servers);
        draft.server(service, true);
    }
}

fn some_service(draft: &mut Draft) -> usize {
    draft.chance.count(0, draft.plan.services - 1)
}

fn some_server(draft: &mut Draft) -> usize {
    draft.chance.count(0, draft.plan.servers.len() - 1)
}

fn some_gateway(draft: &mut Draft) -> usize {
    draft.chance.count(0, draft.plan.gateway.count - 1)
}

/// One or two services are given other servers.
fn units(draft: &mut Draft) -> Vec<Unit> {
    let (first, second) = (some_service(draft), some_service(draft));
    let mut chosen = vec![first];
    if second != first && draft.chance.percent(40) {
        chosen.push(second);
    }
    let pick = |service: usize| {
        let all: Vec<_> = (0..draft.plan.servers.len()).filter(|i| draft.plan.servers[*i].service == service).collect();
        let sure = draft.chance.pick(&all);
        let servers = all.into_iter().filter(|server| *server == sure || draft.chance.percent(60)).collect();
        Unit { service, servers: Some(servers) }
    };
    chosen.into_iter().map(pick).collect()
}

fn write(draft: &mut Draft, at: u64) {
    let units = units(draft);
    draft.write_all(at, units, Manner::Whole);
}

fn torn_write(draft: &mut Draft, at: u64, lasts: u64) {
    let (order, units) = (draft.chance.draw(), units(draft));
    draft.write_all(at, units, Manner::Torn { order, pause: (lasts / 40).clamp(1, TORN) });
}

fn store(draft: &mut Draft, at: u64, _: u64) {
    config_race::fault(draft, at);
}

fn cut_server(draft: &mut Draft, at: u64, lasts: u64) {
    let server = some_server(draft);
    cut(draft, Node::Server(server), at, lasts);
}

fn cut_member(draft: &mut Draft, at: u64, lasts: u64) {
    let member = draft.chance.count(0, draft.plan.gateway.members - 1);
    cut(draft, Node::Member(member), at, lasts);
}

/// Between a gateway and another node, one way or both.
fn cut(draft: &mut Draft, other: Node, at: u64, lasts: u64) {
    let gateway = some_gateway(draft);
    let gateway = draft.gateway_node(gateway);
    let both = [(gateway, other), (other, gateway)];
    let chosen = draft.chance.pick(&[&both[..1], &both[1..], &both[..]]).to_vec();
    for (from, to) in chosen {
        draft.step(at, What::Cut { from, to });
        draft.step(at + lasts, What::Mend { from, to });
    }
}

fn kill_server(draft: &mut Draft, at: u64, lasts: u64) {
    let server = some_server(draft);
    let dies = if draft.chance.percent(50) { What::Kill(server) } else { What::PowerOff(server) };
    draft.step(at, dies);
    draft.step(at + lasts, What::Start(server));
}

fn crash(draft: &mut Draft, at: u64, _: u64) {
    draft.step(at, What::CrashRouter);
}

// ---- a Swarm ----

fn swarm(draft: &mut Draft) {
    let apart = draft.chance.percent(50);
    draft.swarm(apart);
    draft.think = draft.think.min(300);
    for _ in 0..draft.chance.count(1, 4) {
        let host = draft.claimed_host();
        let language = if draft.chance.percent(25) { Language::Interlock } else { Language::Traefik };
        let replicas = Some(draft.chance.count(1, 4));
        draft.app(true, Some(host), language, replicas);
    }
    draft.tasks();
}

fn some_app(draft: &mut Draft) -> usize {
    draft.chance.count(0, draft.plan.services - 1)
}

fn deploy(draft: &mut Draft, at: u64) {
    let app = some_app(draft);
    let event = match draft.chance.count(0, 5) {
        0 => Event::Remove(app),
        1 => Event::Create(app),
        2 | 3 => Event::Scale { app, replicas: draft.chance.count(1, 5) },
        _ => Event::Update { app, fails: None },
    };
    draft.event(at, event);
}

fn managers(draft: &mut Draft, at: u64, lasts: u64) {
    swarm_discovery::fault_at(draft, at, lasts);
}

fn kill_task(draft: &mut Draft, at: u64, _: u64) {
    let (app, pick, refuses) = (some_app(draft), draft.chance.draw(), draft.chance.percent(30));
    draft.event(at, Event::KillTask { app, pick, refuses });
}

fn lose_node(draft: &mut Draft, at: u64, lasts: u64) {
    let nodes = draft.nodes();
    let node = draft.chance.count(0, nodes - 1);
    draft.event(at, Event::NodeDies { node });
    draft.event(at + lasts, Event::NodeReturns { node });
}

// ---- gateways ----

fn upheaval(draft: &mut Draft, at: u64, _: u64) {
    let gateway = some_gateway(draft);
    draft.upheaval(at, gateway);
}

fn kill_gateway(draft: &mut Draft, at: u64, lasts: u64) {
    let gateway = some_gateway(draft);
    let event = draft.chance.pick(&[gateway::Event::Kill, gateway::Event::PowerOff]);
    draft.step(at, What::Gateway { gateway, event });
    draft.step(at + lasts, What::Gateway { gateway, event: gateway::Event::Start });
}

// ---- for good ----

/// What is not of a random core breaks, and is mended by nobody. The core can do without it.
fn stays_broken(draft: &mut Draft, until: u64) {
    let at = draft.chance.within(until / 2, until);
    for gateway in 1..draft.plan.gateway.count {
        if draft.chance.percent(30) {
            draft
                .plan
                .steps
                .retain(|step| !(step.at >= at && matches!(step.what, What::Gateway { gateway: of, .. } if of == gateway)));
            let event = draft.chance.pick(&[gateway::Event::Kill, gateway::Event::PowerOff]);
            draft.step(at, What::Gateway { gateway, event });
            draft.plan.broken.gateways.push(gateway);
        }
    }
    let source = draft.plan.gateway.source;
    match source {
        Source::Swarm if draft.managers() > 1 => {
            let (manager, fault) =
                (0, draft.chance.pick(&[Fault::Hang, Fault::Preparing, Fault::Worker, Fault::Down, Fault::Dark]));
            let of_it = |what: &What| matches!(what, What::Swarm(Event::Manager { manager: of, .. }) if *of == manager);
            draft.plan.steps.retain(|step| !(step.at >= at && of_it(&step.what)));
            draft.event(at, Event::Manager { manager, fault });
            draft.plan.broken.members.push(manager);
        }
        Source::Swarm => {}
        _ => {
            if draft.plan.gateway.members > 1 && draft.chance.percent(50) {
                let member = draft.chance.count(0, draft.plan.gateway.members - 1);
                draft
                    .plan
                    .steps
                    .retain(|step| !(step.at >= at && matches!(step.what, What::Member { member: of, .. } if of == member)));
                draft.step(at, What::Member { member, stall: false, withhold: false, hang: true });
                draft.plan.broken.members.push(member);
            }
            if draft.chance.percent(50) {
                let server = some_server(draft);
                draft.plan.steps.retain(|step| !(step.at >= at && step.what == What::Start(server)));
                draft.step(at, What::PowerOff(server));
            }
        }
    }
}
