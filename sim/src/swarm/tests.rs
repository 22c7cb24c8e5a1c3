//! The cluster does what Swarm does, in Swarm's order.

use super::*;
use crate::plan::swarm::{Event, Failing, Language, Update};
use std::collections::BTreeSet;

fn app(replicas: usize, start_first: bool) -> plan::App {
    plan::App {
        first: true,
        host: Some(0),
        language: Language::Traefik,
        replicas: Some(replicas),
        network: 0,
        update: Update { start_first, parallelism: 1, delay: 0, monitor: 1_000, rollback: true },
        listens: 100,
        healthy: Some(200),
        grace: 5_000,
    }
}

/// A cluster whose processes end 500 ms after SIGTERM, and at once when they are killed.
struct Rig {
    cluster: Cluster,
    now: u64,
    ends: Vec<(u64, usize)>,
    /// Every change of what host 0 is routed to.
    routes: Vec<(u64, BTreeSet<usize>)>,
    listening: BTreeSet<usize>,
}

impl Rig {
    fn new(apps: Vec<plan::App>) -> Self {
        let plan = plan::Swarm {
            managers: 1,
            nodes: 3,
            networks: 1,
            reuse: 0,
            attach: (0, 0),
            stage: (10, 50),
            restart: 1_000,
            lag: 0,
            sticky: false,
            apps,
        };
        let mut rig =
            Self { cluster: Cluster::new(plan, 100), now: 0, ends: Vec::new(), routes: Vec::new(), listening: BTreeSet::new() };
        rig.run(100);
        rig
    }

    fn run(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.now < until {
            self.now += 10;
            for (_, task) in self.ends.extract_if(.., |(at, _)| *at <= self.now).collect::<Vec<_>>() {
                self.cluster.exited(self.now, task);
            }
            for action in self.cluster.step(self.now) {
                match action {
                    Action::Listen(task) => drop(self.listening.insert(task)),
                    Action::Terminate { task, .. } => {
                        self.listening.remove(&task);
                        self.ends.push((self.now + 500, task));
                    }
                    Action::Kill { task, .. } => {
                        self.listening.remove(&task);
                        self.ends.push((self.now, task));
                    }
                    Action::Boot { .. } | Action::Reach(_) | Action::Dies(_) => {}
                }
            }
            let tasks = self.cluster.view().routes().remove(&0).map(|route| route.tasks).unwrap_or_default();
            let dying = |task: &usize| self.ends.iter().any(|(_, ending)| ending == task);
            assert!(
                tasks.iter().all(|task| self.listening.contains(task) || dying(task)),
                "{tasks:?} {:?} at {}",
                self.listening,
                self.now
            );
            if self.routes.last().is_none_or(|(_, last)| *last != tasks) {
                self.routes.push((self.now, tasks));
            }
        }
    }

    fn happens(&mut self, event: Event) {
        self.cluster.happens(self.now, &event);
    }

    fn counts(&self) -> Vec<usize> {
        self.routes.iter().map(|(_, tasks)| tasks.len()).collect()
    }

    fn status(&self) -> Option<&str> {
        Some(self.cluster.view().services.values().next()?.update.as_ref()?.0)
    }
}

#[test]
fn start_first_has_one_more_for_a_while_and_stop_first_one_less() {
    for (start_first, expected) in [(true, [2, 3, 2, 3, 2]), (false, [2, 1, 2, 1, 2])] {
        let mut rig = Rig::new(vec![app(2, start_first)]);
        rig.happens(Event::Update { app: 0, fails: None });
        rig.run(20_000);
        assert_eq!(rig.counts(), expected, "start first: {start_first}");
        assert_eq!(rig.routes.last().unwrap().1, [2, 3].into());
        assert_eq!(rig.status(), Some("completed"));
    }
}

#[test]
fn a_task_answers_for_two_seconds_after_it_was_withdrawn() {
    let mut rig = Rig::new(vec![app(2, true)]);
    rig.happens(Event::Scale { app: 0, replicas: 1 });
    rig.run(1_990);
    assert_eq!((rig.counts(), rig.listening.len()), (vec![2, 1], 2));
    rig.run(200);
    assert_eq!(rig.listening.len(), 1);
    rig.run(1_000);
    assert_eq!(rig.cluster.view().tasks.len(), 1, "what is scaled away is forgotten");
}

#[test]
fn an_update_that_fails_is_rolled_back_and_one_that_fails_at_start_never_takes_requests() {
    for (fails, start_first) in [(Failing::AtStart, true), (Failing::After(300), false)] {
        let mut rig = Rig::new(vec![app(3, start_first)]);
        rig.happens(Event::Update { app: 0, fails: Some(fails) });
        rig.run(30_000);
        assert_eq!((rig.status(), rig.routes.last().unwrap().1.len()), (Some("rollback_completed"), 3), "{fails:?}");
        assert_eq!(rig.counts().contains(&2), !start_first, "{fails:?} {:?}", rig.counts());
    }
}

#[test]
fn a_killed_task_is_replaced_after_its_pause_and_its_address_belongs_to_the_next() {
    let mut rig = Rig::new(vec![app(1, true), plan::App { first: false, host: Some(1), ..app(1, true) }]);
    let address = |rig: &Rig, task: usize| rig.cluster.view().tasks.values().find(|t| t.number == task).and_then(|t| t.address);
    let first = address(&rig, 0);
    rig.happens(Event::KillTask { app: 0, pick: 1, refuses: false });
    rig.happens(Event::Create(1));
    rig.run(900);
    assert_eq!(rig.counts(), [1, 0]);
    rig.happens(Event::Scale { app: 1, replicas: 2 });
    rig.run(3_000);
    assert_eq!(rig.counts(), [1, 0, 1]);
    let inherited = rig.cluster.view().tasks.values().filter(|task| task.address == first && !task.is_over()).count();
    assert_eq!(inherited, 1);
}

#[test]
fn a_drained_node_loses_its_tasks_and_a_dead_one_after_its_heartbeats() {
    let mut rig = Rig::new(vec![app(3, true)]);
    rig.happens(Event::Drain { node: 0 });
    rig.run(5_000);
    assert!(rig.cluster.view().tasks.values().filter(|t| t.is_wanted()).all(|t| t.node != Some(0)));
    rig.happens(Event::NodeDies { node: 1 });
    rig.run(14_000);
    let on_dead = |rig: &Rig| rig.cluster.view().tasks.values().filter(|t| t.is_routable() && t.node == Some(1)).count();
    assert!(on_dead(&rig) > 0, "nobody has noticed");
    rig.run(3_000);
    assert_eq!(on_dead(&rig), 0);
    assert_eq!(rig.routes.last().unwrap().1.len(), 3);
}

#[test]
fn of_two_services_that_claim_a_host_the_older_has_it() {
    let mut rig = Rig::new(vec![app(1, true), plan::App { first: false, ..app(2, true) }]);
    rig.happens(Event::Create(1));
    rig.run(2_000);
    assert_eq!(rig.counts(), [1]);
    rig.happens(Event::KillTask { app: 0, pick: 1, refuses: false });
    rig.run(4_000);
    assert_eq!(rig.counts(), [1, 0, 1], "even while it has no task");
    rig.happens(Event::Relabel { app: 0, host: None });
    rig.run(100);
    assert_eq!(rig.counts(), [1, 0, 1, 2]);
}

#[test]
fn versions_rise_with_every_write_and_old_views_stay_as_they_were() {
    let mut rig = Rig::new(vec![app(2, true)]);
    let before = rig.cluster.view_at(rig.now);
    rig.happens(Event::Update { app: 0, fails: None });
    rig.run(3_000);
    let now = rig.cluster.view();
    assert!(
        now.index > before.index
            && before.services.values().next().unwrap().version < now.services.values().next().unwrap().version
    );
    assert_eq!(rig.cluster.view_at(100).index, before.index);
}
