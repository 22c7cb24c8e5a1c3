//! What the gateway stands on gives way: CPU time, the network's quality, its clock, descriptors, disk, names, its own actors; and
//! servers are not what they say of their health.
//!
//! Which kinds a seed has, how often, and how hard, differs by orders of magnitude; one seed in ten has none, and one in ten only
//! what crashes.

use super::{Draft, Scenario};
use crate::{
    chance::Chance,
    fault::Fault,
    plan::{
        Node, Source, What,
        environment::{self, Actor, Event, Name},
        telemetry::Telemetry,
        tls::{Change, File, Manner, Tls, Validity, Visit},
    },
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "environment",
    about: "tasks are starved, packets lost, clocks wrong, descriptors and disks gone, names wrong, actors crash, and health flaps",
    draw,
};

/// The kinds that are drawn here.
const KINDS: [Fault; 10] = [
    Fault::Starvation,
    Fault::Packets,
    Fault::HalfOpen,
    Fault::Clock,
    Fault::Flap,
    Fault::Exhaustion,
    Fault::Actor,
    Fault::Names,
    Fault::Collector,
    Fault::Kill,
];
/// Those that need nothing but something that ends.
const CRASHES: [Fault; 2] = [Fault::Actor, Fault::Kill];

fn draw(draft: &mut Draft) {
    let source = draft.chance.pick(&[Source::File, Source::Etcd]);
    draft.source(source);
    let gateway = &mut draft.plan.gateway;
    gateway.health_check = draft.chance.percent(60);
    gateway.names = draft.chance.percent(50);
    gateway.port_taken = draft.chance.percent(10);
    gateway.telemetry = draft.chance.percent(70).then(|| Telemetry {
        log_buffer: draft.chance.magnitude(512, 1 << 20) as usize,
        span_buffer: draft.chance.magnitude(4, 4_096) as usize,
    });
    for _ in 0..draft.chance.count(1, 3) {
        let servers = draft.chance.count(1, 4);
        draft.service(servers);
    }
    let span = draft.chance.magnitude(2_000, 16_000);
    for _ in 0..draft.chance.count(0, 5) {
        let at = draft.chance.within(200, span);
        let service = draft.chance.count(0, draft.plan.services - 1);
        let all: Vec<_> = (0..draft.plan.servers.len()).filter(|i| draft.plan.servers[*i].service == service).collect();
        let sure = draft.chance.pick(&all);
        let servers = all.into_iter().filter(|server| *server == sure || draft.chance.percent(60)).collect();
        draft.write(at, service, Some(servers));
    }
    let until = draft.environment(span);
    let end = span.max(until.min(2 * span)) + 3_000;
    draft.workload(end);
    draft.cookies();
    draft.slow_readers(end);
    if source == Source::File && draft.plan.gateway.torn_reads == 0 {
        draft.certificates(span.max(until));
    }
}

/// One fault of what gateways and servers stand on, for scenarios whose configuration is written to a source.
pub(super) fn surroundings(draft: &mut Draft, at: u64, lasts: u64) {
    const KINDS: [Fault; 7] =
        [Fault::Starvation, Fault::Packets, Fault::HalfOpen, Fault::Clock, Fault::Flap, Fault::Exhaustion, Fault::Actor];
    some(draft, &KINDS, at, lasts);
}

/// The same where servers are a Swarm's.
pub(super) fn ground(draft: &mut Draft, at: u64, lasts: u64) {
    some(draft, &[Fault::Clock, Fault::Exhaustion], at, lasts);
}

fn some(draft: &mut Draft, kinds: &[Fault], at: u64, lasts: u64) {
    let mut chance = Chance::new(draft.chance.draw(), "surroundings");
    let kind = chance.pick(kinds);
    if kind == Fault::Exhaustion {
        // A gateway that begins while its files cannot be read is not one that serves.
        let (gateway, accepts) = (chance.count(0, draft.plan.gateway.count - 1), chance.magnitude(1, 200) as u32);
        let over = Event::Descriptors { gateway, accepts: 0 };
        return draft.environment_lasts(at, at + lasts, Event::Descriptors { gateway, accepts }, over);
    }
    draft.environment_fault(&mut chance, kind, at, lasts);
}

impl Draft {
    /// Faults of the environment, from now to `span`. When the last is over. Drawn from a chance of their own.
    pub(super) fn environment(&mut self, span: u64) -> u64 {
        let mut chance = Chance::new(self.plan.seed, "environment");
        let kinds: Vec<_> = match chance.count(0, 9) {
            0 => return 0,
            1 => CRASHES.to_vec(),
            // Each with a weight of its own, and most of them out.
            _ => {
                let mut kinds = Vec::new();
                for kind in KINDS {
                    if chance.percent(35) {
                        let weight = chance.magnitude(1, 16) as usize;
                        kinds.extend(std::iter::repeat_n(kind, weight));
                    }
                }
                kinds
            }
        };
        if kinds.is_empty() {
            return 0;
        }
        let mut until = 0;
        for _ in 0..chance.magnitude(1, 24) {
            let (at, kind) = (chance.within(100, span), chance.pick(&kinds));
            let lasts = chance.magnitude(20, 12_000);
            until = until.max(self.environment_fault(&mut chance, kind, at, lasts));
        }
        until
    }

    /// One fault of this kind. When it is over.
    fn environment_fault(&mut self, chance: &mut Chance, kind: Fault, at: u64, lasts: u64) -> u64 {
        let server = chance.count(0, self.plan.servers.len() - 1);
        let until = at + lasts;
        let gateway = chance.count(0, self.plan.gateway.count - 1);
        match kind {
            Fault::Starvation => {
                let node =
                    chance.pick(&[Node::GatewayAt(gateway), Node::GatewayAt(gateway), Node::Server(server), Node::Client(0)]);
                let most = chance.magnitude(10, 10_000);
                self.environment_lasts(at, until, Event::Starve { node, most }, Event::Starve { node, most: 0 });
            }
            Fault::Packets => self.packets(chance, at, until, server, gateway),
            Fault::HalfOpen => {
                self.step(at, What::Environment(Event::HalfOpen(server)));
                for gateway in (0..self.plan.gateway.count).map(Node::GatewayAt) {
                    self.step(until, What::Mend { from: gateway, to: Node::Server(server) });
                    self.step(until, What::Mend { from: Node::Server(server), to: gateway });
                }
                self.step(until + 1, What::Start(server));
            }
            Fault::Kill => {
                self.step(at, if chance.percent(50) { What::Kill(server) } else { What::PowerOff(server) });
                self.step(until, What::Start(server));
            }
            Fault::Clock => {
                // From what a time server corrects to what a dead battery forgets.
                let by = chance.magnitude(1, 100_000_000_000) as i64;
                let ahead = if chance.percent(50) { by } else { -by };
                self.environment_lasts(at, until, Event::Clock { gateway, ahead }, Event::Clock { gateway, ahead: 0 });
            }
            Fault::Flap => {
                let manner = match chance.count(0, 4) {
                    0 | 1 => environment::Manner::Flaps { period: chance.within(300, 3_000) },
                    2 => environment::Manner::Ill,
                    3 => environment::Manner::Slow { by: chance.magnitude(50, 5_000) },
                    _ => environment::Manner::Lies,
                };
                let over = Event::Health { server, manner: environment::Manner::Well };
                self.environment_lasts(at, until, Event::Health { server, manner }, over);
            }
            Fault::Exhaustion if chance.percent(60) => {
                self.step(at, What::Environment(Event::Descriptors { gateway, accepts: chance.magnitude(1, 200) as u32 }));
                self.step(until, What::Environment(Event::Descriptors { gateway, accepts: 0 }));
            }
            Fault::Exhaustion => {
                self.environment_lasts(at, until, Event::Disk { gateway, broken: true }, Event::Disk { gateway, broken: false });
            }
            Fault::Collector => {
                let over = Event::Collector { gateway, stalled: false };
                self.environment_lasts(at, until, Event::Collector { gateway, stalled: true }, over);
            }
            Fault::Names => self.name_fault(chance, at, until, server),
            _ => {
                let service = chance.count(0, self.plan.services - 1);
                let actor = chance.pick(&[
                    Actor::Router,
                    Actor::BackendPool,
                    Actor::Certificates,
                    Actor::ConfigWatch,
                    Actor::Listener,
                    Actor::HealthCheck(service),
                ]);
                self.step(at, What::Environment(Event::Crash { gateway, actor }));
                return at;
            }
        }
        until
    }

    /// An entry point with TLS, in half of the seeds: files that are changed well and badly, and certificates that run out.
    pub(super) fn certificates(&mut self, until: u64) {
        let mut chance = Chance::new(self.plan.seed, "certificates");
        if chance.percent(50) {
            return;
        }
        let hosts: Vec<_> = (0..self.plan.services).map(|service| format!("s{service}.test")).collect();
        let seconds = until.div_ceil(1_000);
        let validity = |chance: &mut Chance| {
            // A certificate of usual length, one that runs out soon, or one that begins soon.
            let far = 30 * 86_400;
            match chance.count(0, 3) {
                0 => Validity { from: -far, until: chance.within(1, seconds + 5) as i64 },
                1 => Validity { from: chance.within(1, seconds + 5) as i64, until: 2 * far },
                _ => Validity { from: -far, until: far + chance.within(0, 100) as i64 },
            }
        };
        let mut files = Vec::new();
        for _ in 0..chance.count(1, 4) {
            let names = match chance.count(0, 3) {
                0 => vec!["*.test".to_owned()],
                1 => hosts.clone(),
                _ => vec![chance.pick(&hosts)],
            };
            files.push(File { names, first: validity(&mut chance) });
        }
        if chance.percent(50) {
            files.push(File { names: Vec::new(), first: validity(&mut chance) });
        }
        let last = until + chance.pick(&[4_000, 20_000]);
        let mut changes: Vec<_> = (0..chance.magnitude(1, 12))
            .map(|_| {
                let manner = match chance.count(0, 5) {
                    0 => Manner::Mismatched,
                    1 => Manner::Cut,
                    2 => Manner::Removed,
                    _ => Manner::Rotated { pause: chance.magnitude(1, 2_000), key_first: chance.percent(50) },
                };
                let file = chance.count(0, files.len() - 1);
                Change { at: chance.within(100, until), file, manner, validity: validity(&mut chance) }
            })
            .collect();
        changes.sort_by_key(|change| change.at);
        let others = ["x.elsewhere.org", "a.s0.test", "test"];
        let visits = (0..chance.count(10, 80))
            .map(|_| {
                let name = if chance.percent(85) { chance.pick(&hosts) } else { chance.pick(&others).to_owned() };
                let gateway = chance.count(0, self.plan.gateway.count - 1);
                Visit { at: chance.within(0, last), gateway, name, clear: chance.percent(4) }
            })
            .collect();
        self.plan.tls = Some(Tls { strict: chance.percent(40), files, changes, visits });
    }

    fn packets(&mut self, chance: &mut Chance, at: u64, until: u64, server: usize, gateway: usize) {
        let members = self.plan.gateway.members;
        let other = match members {
            0 => Node::Server(server),
            _ if chance.percent(70) => Node::Server(server),
            _ => Node::Member(chance.count(0, members - 1)),
        };
        let (loss, slower) = match chance.count(0, 2) {
            0 => (chance.magnitude(1, 300) as u32, 0),
            1 => (0, chance.magnitude(5, 2_000)),
            _ => (chance.magnitude(1, 300) as u32, chance.magnitude(5, 500)),
        };
        let gateway = Node::GatewayAt(gateway);
        let directions = [(gateway, other), (other, gateway)];
        for (from, to) in chance.pick(&[&directions[..1], &directions[1..], &directions[..]]).to_vec() {
            let over = Event::Packets { from, to, loss: 0, slower: 0 };
            self.environment_lasts(at, until, Event::Packets { from, to, loss, slower }, over);
        }
    }

    fn name_fault(&mut self, chance: &mut Chance, at: u64, until: u64, server: usize) {
        match chance.count(0, 3) {
            0 => {
                let delay = chance.magnitude(1, 6_000);
                self.environment_lasts(at, until, Event::Names { delay }, Event::Names { delay: 0 });
            }
            1 if self.plan.gateway.names => {
                self.step(at, What::Environment(Event::Move { server, told: until - at }));
            }
            _ => {
                let answer = chance.pick(&[Name::NoSuchName, Name::Failure]);
                let over = Event::Name { server, answer: Name::Right };
                self.environment_lasts(at, until, Event::Name { server, answer }, over);
            }
        }
    }

    fn environment_lasts(&mut self, at: u64, until: u64, begins: Event, ends: Event) {
        self.step(at, What::Environment(begins));
        self.step(until, What::Environment(ends));
    }
}
