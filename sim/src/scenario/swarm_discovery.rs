//! Services of a Swarm come, go, claim hosts that others have, and inherit each other's addresses, while managers answer late, wrongly,
//! partly, or not at all. Then the faults stop.

use super::{Draft, Scenario};
use crate::plan::swarm::{Event, Fault, Language};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "swarm_discovery",
    about: "services of a Swarm come, go, are relabelled and inherit addresses, while managers fail, lag, lie and change",
    draw,
};

fn draw(draft: &mut Draft) {
    let apart = draft.chance.percent(40);
    draft.swarm(apart);
    draft.think = draft.think.min(300);
    let hosts: Vec<_> = (0..draft.chance.count(2, 4)).map(|_| draft.claimed_host()).collect();
    let mut apps = Vec::new();
    for host in &hosts {
        // A host of Interlock's has one service: there, services of one host are one.
        let language = if draft.chance.percent(25) { Language::Interlock } else { Language::Traefik };
        let replicas = Some(draft.chance.count(1, 3));
        apps.push((draft.app(true, Some(*host), language, replicas), language));
    }
    let spare = draft.chance.count(1, 3);
    for _ in 0..spare {
        let (host, replicas) = (draft.chance.pick(&hosts), Some(draft.chance.count(1, 3)));
        let contested = apps[host].1 == Language::Traefik && draft.chance.percent(60);
        let first = draft.chance.percent(50);
        apps.push((draft.app(first, contested.then_some(host), Language::Traefik, replicas), Language::Traefik));
    }
    draft.tasks();
    let pace = draft.chance.magnitude(100, 3_000);
    let mut at = draft.chance.within(300, 1_500);
    for _ in 0..draft.chance.count(4, 16) {
        change(draft, at, &apps, &hosts);
        at += draft.chance.within(1, 2 * pace);
    }
    let until = faults(draft, at).max(at);
    draft.workload(until + 4_000);
    draft.cookies();
    draft.plan.quiet_at = until + 2_000;
}

/// Something that operators do, or a task's death.
fn change(draft: &mut Draft, at: u64, apps: &[(usize, Language)], hosts: &[usize]) {
    let (app, language) = draft.chance.pick(apps);
    let event = match draft.chance.count(0, 9) {
        8 | 9 => return inherit(draft, at, apps),
        0 => Event::Create(app),
        1 => Event::Remove(app),
        2 if language == Language::Traefik => {
            // Only hosts whose services all speak one language are contested.
            let open: Vec<_> = hosts.iter().copied().filter(|host| apps[*host].1 == Language::Traefik).collect();
            let host = (!open.is_empty() && draft.chance.percent(80)).then(|| draft.chance.pick(&open));
            Event::Relabel { app, host }
        }
        2 | 3 => Event::Scale { app, replicas: draft.chance.count(0, 5) },
        4 => Event::Update { app, fails: None },
        5 | 6 => Event::KillTask { app, pick: draft.chance.draw(), refuses: draft.chance.percent(30) },
        _ => {
            let networks = draft.networks();
            let network = draft.chance.count(0, networks - 1);
            let lasts = draft.chance.magnitude(100, 6_000);
            draft.event(at + lasts, Event::Attach { network, present: true });
            Event::Attach { network, present: false }
        }
    };
    draft.event(at, event);
}

/// All tasks of one service die, and others are made that may be given their addresses.
fn inherit(draft: &mut Draft, at: u64, apps: &[(usize, Language)]) {
    let ((heir, _), (app, _)) = (draft.chance.pick(apps), draft.chance.pick(apps));
    for pick in 0..3 {
        let (at, pick) = (at + pick * 20, draft.chance.draw());
        draft.event(at, Event::KillTask { app, pick, refuses: false });
    }
    let (at, replicas) = (at + draft.chance.magnitude(1, 1_000), draft.chance.count(4, 7));
    draft.event(at, Event::Scale { app: heir, replicas });
}

/// Some kinds of faults, each for a while. When the last is over.
fn faults(draft: &mut Draft, until: u64) -> u64 {
    let kinds: Vec<_> = (0..draft.chance.count(0, 3)).map(|_| draft.chance.count(0, 13)).collect();
    let mut over = 0;
    for _ in 0..if kinds.is_empty() { 0 } else { draft.chance.count(1, 6) } {
        let (at, lasts) = (draft.chance.within(100, until), draft.chance.magnitude(50, 8_000));
        let kind = draft.chance.pick(&kinds);
        over = over.max(of_kind(draft, kind, at, lasts));
    }
    over
}

/// Any of them, once.
pub(super) fn fault_at(draft: &mut Draft, at: u64, lasts: u64) {
    let kind = draft.chance.count(0, 13);
    of_kind(draft, kind, at, lasts);
}

/// When it is over.
fn of_kind(draft: &mut Draft, kind: usize, at: u64, lasts: u64) -> u64 {
    let lasts = match kind {
        // Errors are never believed, however long they last.
        1..=3 if draft.chance.percent(30) => draft.chance.within(15_000, 25_000),
        // A lie that is told for a quarter of a minute is.
        4..=6 => lasts.min(2_400),
        _ => lasts,
    };
    let managers = draft.managers();
    let manager = draft.chance.count(0, managers - 1);
    // All of them, or one.
    let of: Vec<_> = if draft.chance.percent(50) { (0..managers).collect() } else { vec![manager] };
    match kind {
        11 => {
            draft.event(at, Event::Leader(false));
            draft.event(at + lasts, Event::Leader(true));
        }
        12 => draft.event(at, Event::CutEvents(manager)),
        13 => {
            draft.event(at, Event::DropEvents { manager, drop: true });
            draft.event(at + lasts, Event::DropEvents { manager, drop: false });
        }
        _ => {
            let fault = fault(draft, kind);
            for manager in of {
                draft.event(at, Event::Manager { manager, fault });
                draft.event(at + lasts, Event::Manager { manager, fault: Fault::None });
            }
        }
    }
    at + lasts
}

fn fault(draft: &mut Draft, kind: usize) -> Fault {
    let chance = &mut draft.chance;
    let share = chance.magnitude(20, 1_000) as u32;
    match kind {
        0 => Fault::Hang,
        1 => Fault::Preparing,
        2 => Fault::Worker,
        3 => Fault::NoQuorum,
        4 | 5 => Fault::Empty,
        6 => Fault::Stale { by: chance.magnitude(50, 6_000) },
        7 => Fault::Lost { share },
        8 => Fault::Truncated { share },
        9 => Fault::Slow { least: 0, most: chance.magnitude(10, 5_000) },
        _ if chance.percent(50) => Fault::Down,
        _ => Fault::Dark,
    }
}
