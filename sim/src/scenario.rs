//! Scenarios: how a seed becomes a plan.
//!
//! Each scenario draws a topology, a workload and a script, magnitudes over orders of magnitude, so that seeds differ in kind and
//! not in detail only. Owns what all scenarios draw alike; each file below owns one script.

mod config_race;
mod environment;
mod gateway_restart;
mod grammar;
mod large;
mod metadata;
mod partition;
mod rolling_update;
mod swarm;
mod swarm_discovery;
mod swarm_update;
#[cfg(test)]
mod tests;
mod traffic;
mod whole;

use crate::{
    chance::Chance,
    plan::{Ask, Broken, Client, Gateway, Manner, Network, Plan, Server, Source, Step, Unit, What, Write},
};

/// A kind of rehearsal.
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    draw: fn(&mut Draft),
}

/// All of them.
pub const ALL: [Scenario; 11] = [
    rolling_update::SCENARIO,
    config_race::SCENARIO,
    partition::SCENARIO,
    swarm_update::SCENARIO,
    swarm_discovery::SCENARIO,
    environment::SCENARIO,
    metadata::SCENARIO,
    traffic::SCENARIO,
    gateway_restart::SCENARIO,
    whole::SCENARIO,
    large::SCENARIO,
];

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut draft = Draft::new(self.name, seed);
        (self.draw)(&mut draft);
        draft.finish()
    }
}

/// A plan in the making.
struct Draft {
    chance: Chance,
    plan: Plan,
    /// The servers of each service after the last write.
    desired: Vec<Option<Vec<usize>>>,
    generation: u64,
    /// Seeds differ in how busy servers are, how large bodies, and how long clients pause.
    think: u64,
    body: u64,
}

impl Draft {
    fn new(name: &str, seed: u64) -> Self {
        let mut chance = Chance::new(seed, name);
        let low = chance.magnitude(50, 2_000);
        let network = Network {
            latency: (low, low + chance.magnitude(1, 15_000)),
            duplicate: if chance.percent(30) { chance.magnitude(1, 100) as u32 } else { 0 },
            reorder: chance.percent(30),
            short_io: if chance.percent(30) { chance.magnitude(10, 500) as u32 } else { 0 },
        };
        let gateway = Gateway {
            count: 1,
            workers: chance.count(1, 3),
            source: Source::File,
            health_check: false,
            torn_reads: 0,
            members: 0,
            names: false,
            telemetry: None,
            port_taken: false,
            sticky: false,
            secure: false,
            lame_duck: 0,
            grace: 10_000,
            api: false,
        };
        let (think, body) = (chance.magnitude(1, 800), chance.magnitude(1, 200_000));
        let first = Write { generation: 1, units: Vec::new(), manner: Manner::Whole };
        let plan = Plan {
            scenario: name.to_owned(),
            seed,
            network,
            gateway,
            services: 0,
            servers: Vec::new(),
            first,
            clients: Vec::new(),
            steps: Vec::new(),
            swarm: None,
            metadata: None,
            tls: None,
            quiet_at: 0,
            broken: Broken::default(),
        };
        Self { chance, plan, desired: Vec::new(), generation: 1, think, body }
    }

    /// Where the configuration comes from.
    fn source(&mut self, source: Source) {
        self.plan.gateway.source = source;
        match source {
            Source::File if self.chance.percent(20) => self.plan.gateway.torn_reads = self.chance.within(1, 300) as u32,
            Source::File => {}
            Source::Swarm | Source::Rancher => {}
            Source::Etcd | Source::Kontena => self.plan.gateway.members = self.chance.count(1, 3),
        }
    }

    /// A service with so many servers that run from the beginning and are configured.
    fn service(&mut self, servers: usize) -> usize {
        let service = self.plan.services;
        self.plan.services += 1;
        let indices: Vec<_> = (0..servers).map(|_| self.server(service, true)).collect();
        self.plan.first.units.push(Unit { service, servers: Some(indices.clone()) });
        self.desired.push(Some(indices));
        service
    }

    fn server(&mut self, service: usize, up: bool) -> usize {
        let chance = &mut self.chance;
        let most = chance.within(1, self.think);
        let server = Server {
            service,
            up,
            think: (chance.within(0, most / 2), most),
            body: self.body,
            chunked: chance.percent(30),
            idle_close: chance.percent(20).then(|| chance.magnitude(50, 5_000)),
            requests_per_connection: chance.percent(15).then(|| chance.magnitude(1, 20)),
            weight: 1,
            habits: None,
        };
        self.plan.servers.push(server);
        self.plan.servers.len() - 1
    }

    fn step(&mut self, at: u64, what: What) {
        self.plan.steps.push(Step { at, what });
    }

    /// Writes the desired state of one service.
    fn write(&mut self, at: u64, service: usize, servers: Option<Vec<usize>>) {
        self.write_all(at, vec![Unit { service, servers }], Manner::Whole);
    }

    fn write_all(&mut self, at: u64, units: Vec<Unit>, manner: Manner) {
        for unit in &units {
            self.desired[unit.service].clone_from(&unit.servers);
        }
        // Numbered in order of time when the plan is whole.
        self.step(at, What::Write(Write { generation: 0, units, manner }));
    }

    /// Clients that are busy from the beginning to `end`, more or less.
    fn workload(&mut self, end: u64) {
        let services = self.plan.services;
        let hot = self.chance.percent(30).then(|| self.chance.count(0, services - 1));
        let (posts, aborts) = (self.chance.within(0, 60), if self.chance.percent(30) { self.chance.within(1, 15) } else { 0 });
        let uploads = self.chance.magnitude(1, 100_000);
        for _ in 0..self.chance.count(2, 8) {
            let chance = &mut self.chance;
            let (mean, keeps, bursts) = (chance.magnitude(20, 2_000), chance.pick(&[0, 50, 95, 100]), chance.within(0, 60));
            let start = chance.within(0, 500);
            let (mut asks, mut at) = (Vec::new(), start);
            while at < end && asks.len() < 120 {
                let pause = if chance.percent(bursts) { 0 } else { chance.within(1, 2 * mean) };
                let post = chance.percent(posts);
                at += pause + 5;
                asks.push(Ask {
                    pause,
                    service: hot.filter(|_| chance.percent(80)).unwrap_or_else(|| chance.count(0, services - 1)),
                    post,
                    body: if post && chance.percent(70) { chance.within(1, uploads) } else { 0 },
                    keep: chance.percent(keeps),
                    abort: chance.percent(aborts).then(|| chance.magnitude(1, 1_000)),
                    ..Ask::default()
                });
            }
            self.plan.clients.push(Client { start, asks, ..Client::default() });
        }
    }

    /// Servers get shares of their own in some seeds, where their source can say so. Drawn from a chance of their own.
    fn weights(&mut self) {
        let mut chance = Chance::new(self.plan.seed, "weights");
        if matches!(self.plan.gateway.source, Source::File | Source::Etcd) && chance.count(0, 3) == 3 {
            self.plan.servers.iter_mut().for_each(|server| server.weight = chance.pick(&[1, 1, 2, 3, 5]));
        }
    }

    fn finish(mut self) -> Plan {
        self.weights();
        self.plan.steps.sort_by_key(|step| step.at);
        let mut last = 0;
        for step in &mut self.plan.steps {
            if let What::Write(write) = &mut step.what {
                // One begins after the other, so that it is known which one is the later.
                step.at = step.at.max(last + 1);
                last = step.at;
                self.generation += 1;
                write.generation = self.generation;
            }
        }
        self.plan.steps.sort_by_key(|step| step.at);
        self.plan.quiet_at = self.plan.quiet_at.max(self.plan.steps.last().map_or(0, |step| step.at) + 100);
        self.plan
    }
}
