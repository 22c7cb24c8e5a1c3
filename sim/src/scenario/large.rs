//! A world of fixed size, for figures: three gateways, three managers, thirty tasks, a hundred clients, two minutes of ordinary life.

use super::{Draft, Scenario};
use crate::plan::{Ask, Client, swarm::Event, swarm::Language};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "large",
    about: "three gateways, three managers, thirty backends, a hundred clients: what simulating costs",
    draw,
};

const SPAN: u64 = 120_000;
const HOSTS: usize = 6;
const REPLICAS: usize = 5;
const CLIENTS: usize = 100;

fn draw(draft: &mut Draft) {
    draft.swarm(true);
    let swarm = draft.plan.swarm.as_mut().expect("it was drawn");
    (swarm.managers, swarm.nodes) = (3, 5);
    (draft.plan.gateway.count, draft.plan.gateway.workers) = (3, 2);
    (draft.think, draft.body) = (draft.think.min(300), draft.body.min(20_000));
    for _ in 0..HOSTS {
        let host = draft.claimed_host();
        draft.app(true, Some(host), Language::Traefik, Some(REPLICAS));
    }
    draft.tasks();
    for minute in [30_000, 75_000] {
        let app = draft.chance.count(0, HOSTS - 1);
        draft.event(minute, Event::Update { app, fails: None });
    }
    for gateway in (0..3).cycle().take(CLIENTS) {
        let (mut asks, mut at) = (Vec::new(), 0);
        let (mean, keep) = (draft.chance.magnitude(1_000, 8_000), draft.chance.percent(60));
        while at < SPAN {
            let pause = draft.chance.within(1, 2 * mean);
            at += pause;
            let (service, post) = (draft.chance.count(0, HOSTS - 1), draft.chance.percent(20));
            asks.push(Ask {
                pause,
                service,
                post,
                body: if post { draft.chance.magnitude(1, 10_000) } else { 0 },
                keep,
                ..Ask::default()
            });
        }
        draft.plan.clients.push(Client { gateway, elsewhere: true, asks, ..Client::default() });
    }
    draft.plan.quiet_at = SPAN;
}
