//! What the scenarios of a Swarm draw alike: the cluster, its services, and how the machines behave that play their tasks.

use super::Draft;
use crate::plan::{
    Source, What,
    swarm::{App, Event, Language, Swarm, Update},
};

/// Tasks that there can ever be.
const TASKS: usize = 140;

impl Draft {
    /// A Swarm without services. `apart`: an address comes to another service only after the gateway can have heard.
    pub(super) fn swarm(&mut self, apart: bool) {
        self.plan.gateway.source = Source::Swarm;
        let chance = &mut self.chance;
        let slow = chance.magnitude(5, 400);
        let attach = if chance.percent(50) { chance.magnitude(10, 2_000) } else { 0 };
        let swarm = Swarm {
            managers: chance.count(1, 3),
            nodes: chance.count(2, 5),
            networks: chance.count(1, 3),
            reuse: if apart { chance.magnitude(2_500, 10_000) } else { chance.magnitude(1, 4_000) },
            attach: (attach / 2, attach),
            stage: (slow / 4, slow),
            restart: chance.magnitude(50, 5_000),
            lag: chance.magnitude(1, 500),
            sticky: false,
            apps: Vec::new(),
        };
        self.plan.swarm = Some(swarm);
    }

    fn cluster(&mut self) -> &mut Swarm {
        self.plan.swarm.as_mut().expect("a Swarm was drawn first")
    }

    /// A host that services may claim.
    pub(super) fn claimed_host(&mut self) -> usize {
        self.plan.services += 1;
        self.plan.services - 1
    }

    /// A service.
    pub(super) fn app(&mut self, first: bool, host: Option<usize>, language: Language, replicas: Option<usize>) -> usize {
        let networks = self.cluster().networks;
        let network = self.chance.count(0, networks - 1);
        let chance = &mut self.chance;
        let update = Update {
            start_first: chance.percent(50),
            parallelism: chance.pick(&[1, 1, 1, 2, 3]),
            delay: if chance.percent(50) { 0 } else { chance.magnitude(10, 3_000) },
            monitor: chance.magnitude(50, 5_000),
            rollback: chance.percent(70),
        };
        let healthy = chance.percent(70).then(|| chance.magnitude(1, 1_500));
        let listens = if chance.percent(50) { 0 } else { chance.magnitude(1, 800) };
        // What is under way when a task is told to end can be finished.
        let grace = self.think + 1_500 + chance.magnitude(1, 8_000);
        self.cluster().apps.push(App { first, host, language, replicas, network, update, listens, healthy, grace });
        self.cluster().apps.len() - 1
    }

    /// How tasks behave, in the order in which they are made. To be said when all services are drawn.
    pub(super) fn tasks(&mut self) {
        for _ in 0..TASKS {
            self.server(0, false);
        }
    }

    pub(super) fn event(&mut self, at: u64, event: Event) {
        self.step(at, What::Swarm(event));
    }

    pub(super) fn nodes(&mut self) -> usize {
        self.cluster().nodes
    }

    pub(super) fn managers(&mut self) -> usize {
        self.cluster().managers
    }

    pub(super) fn networks(&mut self) -> usize {
        self.cluster().networks
    }
}
