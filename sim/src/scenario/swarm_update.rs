//! What operators do to services of a Swarm, under steady requests: rolling updates, scaling, drained nodes, updates that fail and are
//! rolled back; and, in some seeds, what nobody planned: tasks killed, machines lost. The managers are well all the time.

use super::{Draft, Scenario};
use crate::plan::swarm::{Event, Failing, Language};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "swarm_update",
    about: "a Swarm's services are updated, scaled, drained and rolled back under load, and some of their tasks die",
    draw,
};

fn draw(draft: &mut Draft) {
    let apart = draft.chance.percent(70);
    draft.swarm(apart);
    draft.think = draft.think.min(500);
    let mut apps = Vec::new();
    for _ in 0..draft.chance.count(1, 3) {
        let host = draft.claimed_host();
        let language = draft.chance.pick(&[Language::Traefik, Language::Traefik, Language::Interlock]);
        let replicas = if draft.chance.percent(10) { None } else { Some(draft.chance.count(1, 4)) };
        apps.push((draft.app(true, Some(host), language, replicas), replicas.is_none()));
    }
    draft.tasks();
    let deaths = draft.chance.percent(40);
    let pace = draft.chance.magnitude(500, 8_000);
    let mut at = draft.chance.within(300, 1_500);
    for _ in 0..draft.chance.count(2, 7) {
        let (app, global) = draft.chance.pick(&apps);
        at = match draft.chance.count(0, if deaths { 7 } else { 4 }) {
            0 | 1 => update(draft, at, app, None),
            2 => {
                let fails =
                    if draft.chance.percent(50) { Failing::AtStart } else { Failing::After(draft.chance.magnitude(10, 3_000)) };
                update(draft, at, app, Some(fails))
            }
            3 if !global => scale(draft, at, app),
            3 | 4 => drain(draft, at),
            5 | 6 => kill(draft, at, app),
            _ => lose(draft, at),
        };
        at += draft.chance.within(1, pace);
    }
    draft.workload(at + 4_000);
    draft.cookies();
    draft.plan.quiet_at = at + 3_000;
}

fn update(draft: &mut Draft, at: u64, app: usize, fails: Option<Failing>) -> u64 {
    draft.event(at, Event::Update { app, fails });
    at + draft.chance.within(500, 6_000)
}

/// 1, 8, 2, 5; or some of it.
fn scale(draft: &mut Draft, mut at: u64, app: usize) -> u64 {
    for replicas in [1, 8, 2, 5] {
        if draft.chance.percent(70) {
            draft.event(at, Event::Scale { app, replicas });
            at += draft.chance.magnitude(100, 5_000);
        }
    }
    at
}

fn drain(draft: &mut Draft, at: u64) -> u64 {
    let node = draft.nodes();
    let node = draft.chance.count(0, node - 1);
    let lasts = draft.chance.magnitude(500, 8_000);
    draft.event(at, Event::Drain { node });
    draft.event(at + lasts, Event::Activate { node });
    at + lasts
}

fn kill(draft: &mut Draft, at: u64, app: usize) -> u64 {
    let (pick, refuses) = (draft.chance.draw(), draft.chance.percent(30));
    draft.event(at, Event::KillTask { app, pick, refuses });
    at + draft.chance.magnitude(50, 2_000)
}

fn lose(draft: &mut Draft, at: u64) -> u64 {
    let node = draft.nodes();
    let node = draft.chance.count(0, node - 1);
    let lasts = draft.chance.magnitude(2_000, 25_000);
    draft.event(at, Event::NodeDies { node });
    draft.event(at + lasts, Event::NodeReturns { node });
    at + draft.chance.within(100, lasts)
}
