use super::*;
use crate::plan::{
    gateway::{self, Event::*},
    swarm::{Event, Fault},
};

#[test]
fn a_seed_gives_one_plan_which_survives_its_json() {
    for scenario in &ALL {
        for seed in 0..50 {
            let plan = scenario.plan(seed);
            assert_eq!(plan, scenario.plan(seed));
            assert_eq!(plan, Plan::from_json(&plan.to_json()).unwrap(), "{} {seed}", scenario.name);
        }
    }
}

#[test]
fn every_kind_of_step_is_drawn_by_some_seed() {
    let plans = ALL.iter().flat_map(|scenario| (0..200).map(|seed| scenario.plan(seed)));
    let steps: Vec<_> = plans.flat_map(|plan| plan.steps).map(|step| step.what).collect();
    type Is = fn(&What) -> bool;
    let gateway = |w: &What, wanted: gateway::Event| matches!(w, What::Gateway { event, .. } if *event == wanted);
    for event in [Stop, Kill, PowerOff, Start, Pause, Resume] {
        assert!(steps.iter().any(|what| gateway(what, event)), "no seed draws {event:?} of a gateway");
    }
    let kinds: [(&str, Is); 26] = [
        ("start", |w| matches!(w, What::Start(_))),
        ("terminate", |w| matches!(w, What::Terminate { .. })),
        ("kill", |w| matches!(w, What::Kill(_))),
        ("power off", |w| matches!(w, What::PowerOff(_))),
        ("delete", |w| matches!(w, What::Write(w) if w.units.iter().any(|u| u.servers.is_none()))),
        ("torn", |w| matches!(w, What::Write(w) if w.manner != Manner::Whole)),
        ("cut", |w| matches!(w, What::Cut { .. })),
        ("leader", |w| matches!(w, What::Leader(false))),
        ("compact", |w| matches!(w, What::Compact)),
        ("disconnect", |w| matches!(w, What::Disconnect(_))),
        ("crash", |w| matches!(w, What::CrashRouter)),
        ("create", |w| matches!(w, What::Swarm(Event::Create(_)))),
        ("remove", |w| matches!(w, What::Swarm(Event::Remove(_)))),
        ("scale", |w| matches!(w, What::Swarm(Event::Scale { .. }))),
        ("update", |w| matches!(w, What::Swarm(Event::Update { fails: None, .. }))),
        ("failing update", |w| matches!(w, What::Swarm(Event::Update { fails: Some(_), .. }))),
        ("relabel", |w| matches!(w, What::Swarm(Event::Relabel { .. }))),
        ("death of a task", |w| matches!(w, What::Swarm(Event::KillTask { .. }))),
        ("drain", |w| matches!(w, What::Swarm(Event::Drain { .. }))),
        ("death of a node", |w| matches!(w, What::Swarm(Event::NodeDies { .. }))),
        ("detach", |w| matches!(w, What::Swarm(Event::Attach { present: false, .. }))),
        ("empty", |w| matches!(w, What::Swarm(Event::Manager { fault: Fault::Empty, .. }))),
        ("stale", |w| matches!(w, What::Swarm(Event::Manager { fault: Fault::Stale { .. }, .. }))),
        ("election", |w| matches!(w, What::Swarm(Event::Leader(false)))),
        ("events cut", |w| matches!(w, What::Swarm(Event::CutEvents(_)))),
        ("events dropped", |w| matches!(w, What::Swarm(Event::DropEvents { drop: true, .. }))),
    ];
    for (name, is) in kinds {
        assert!(steps.iter().any(is), "no seed draws {name}");
    }
}

#[test]
fn what_is_cut_is_mended_before_the_quiet() {
    for seed in 0..200 {
        let plan = named("partition").unwrap().plan(seed);
        let mut cut = std::collections::BTreeSet::new();
        for step in &plan.steps {
            match &step.what {
                What::Cut { from, to } => drop(cut.insert((*from, *to))),
                What::Mend { from, to } => drop(cut.remove(&(*from, *to))),
                _ => {}
            }
        }
        assert!(cut.is_empty() && plan.steps.iter().all(|step| step.at <= plan.quiet_at), "seed {seed}");
    }
}

#[test]
fn what_is_wrong_with_a_swarm_is_mended_before_the_quiet() {
    for name in ["swarm_update", "swarm_discovery"] {
        for seed in 0..200 {
            let plan = named(name).unwrap().plan(seed);
            let mut wrong = std::collections::BTreeSet::new();
            for step in &plan.steps {
                let What::Swarm(event) = &step.what else { continue };
                let (what, mended) = match event {
                    Event::Manager { manager, fault } => (("manager", *manager), *fault == Fault::None),
                    Event::DropEvents { manager, drop } => (("events", *manager), !drop),
                    Event::Leader(present) => (("leader", 0), *present),
                    Event::NodeDies { node } => (("node", *node), false),
                    Event::NodeReturns { node } => (("node", *node), true),
                    Event::Attach { network, present } => (("network", *network), *present),
                    _ => continue,
                };
                let _changed = if mended { wrong.remove(&what) } else { wrong.insert(what) };
            }
            assert!(wrong.is_empty() && plan.steps.iter().all(|step| step.at <= plan.quiet_at), "{name} {seed}: {wrong:?}");
        }
    }
}

#[test]
fn what_stays_broken_for_good_leaves_a_core_that_can_do_without() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let plan = named("whole").unwrap().plan(seed);
        assert!(!plan.broken.gateways.contains(&0) && plan.broken.gateways.len() < plan.gateway.count);
        let members = plan.swarm.as_ref().map_or(plan.gateway.members, |swarm| swarm.managers);
        assert!(plan.broken.members.is_empty() || plan.broken.members.len() < members, "seed {seed}");
        for gateway in &plan.broken.gateways {
            let of_it = plan.steps.iter().filter_map(|step| match step.what {
                What::Gateway { gateway: of, event } if of == *gateway => Some(event),
                _ => None,
            });
            assert!(matches!(of_it.last(), Some(Kill | PowerOff)), "seed {seed}: gateway {gateway} comes back");
        }
        let faults = plan.faults();
        kinds.insert((faults == 0, plan.broken.is_nothing(), plan.gateway.source == Source::Swarm));
    }
    assert!(kinds.len() >= 6, "seeds differ in kind: {kinds:?}");
}
