//! The orchestrator: makes tasks until there are as many as operators want, and ends what is too much.

use super::{
    Cluster, Desired, State,
    model::{Service, Task},
};
use crate::swarm::json::identity;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Ended tasks that are kept for each slot.
const HISTORY: usize = 2;

impl Cluster {
    /// Brings every service to its count.
    pub(super) fn orchestrate(&mut self, now: u64) {
        for id in self.unsettled() {
            let service = self.view.services[&id].clone();
            self.leave_lost_nodes(now, &id);
            let slots = self.slots(&service);
            let stray: Vec<_> =
                self.of(&id).filter(|task| task.is_wanted() && !slots.contains(&task.slot)).map(|t| t.id.clone()).collect();
            stray.into_iter().for_each(|task| self.want(now, &task, Desired::Remove));
            for slot in slots {
                let in_slot = || self.of(&id).filter(|task| task.slot == slot);
                if in_slot().any(|task| task.is_wanted()) || self.is_updating(&id, slot) {
                    continue;
                }
                // A successor waits, so that what fails at once does not spin.
                let failed = in_slot().any(|task| task.state == State::Failed);
                let due = if failed { now + self.plan.restart } else { now };
                self.make(now, &id, slot, Some(due));
            }
        }
    }

    /// The services that something is to be done for: nearly always none, which has to be seen cheaply.
    fn unsettled(&self) -> Vec<String> {
        let mut tasks = BTreeMap::<&str, Vec<&Task>>::new();
        for task in self.view.tasks.values() {
            tasks.entry(&task.service).or_default().push(task);
        }
        let is_settled = |(id, service): &(&String, &Arc<Service>)| {
            let (tasks, slots) = (tasks.get(id.as_str()).map_or(&[][..], Vec::as_slice), self.slots(service));
            let wanted: BTreeSet<u64> = tasks.iter().filter(|task| task.is_wanted()).map(|task| task.slot).collect();
            !tasks.iter().any(|task| self.is_lost(task))
                && wanted.is_subset(&slots)
                && slots.iter().all(|slot| wanted.contains(slot) || self.is_updating(id, *slot))
        };
        self.view.services.iter().filter(|service| !is_settled(service)).map(|(id, _)| id.clone()).collect()
    }

    fn slots(&self, service: &Service) -> BTreeSet<u64> {
        match service.replicas {
            Some(count) => (1..=count as u64).collect(),
            None => self.nodes().map(|node| node as u64).collect(),
        }
    }

    /// Tasks on nodes that are drained or down are to end; so are tasks that failed.
    fn leave_lost_nodes(&mut self, now: u64, service: &str) {
        let lost: Vec<_> = self.of(service).filter(|task| self.is_lost(task)).map(|task| task.id.clone()).collect();
        lost.into_iter().for_each(|task| self.want(now, &task, Desired::Shutdown));
    }

    fn is_lost(&self, task: &Task) -> bool {
        let node = task.node.map(|node| &self.view.nodes[node]);
        task.desired <= Desired::Running && (task.is_over() || node.is_some_and(|node| node.drained || !node.ready))
    }

    /// A task in this slot, to be started at `due`, or once somebody says so.
    pub(super) fn make(&mut self, now: u64, service: &str, slot: u64, due: Option<u64>) -> Option<String> {
        let of = self.view.services.get(service)?.clone();
        let node = if of.replicas.is_none() { Some(slot as usize) } else { self.emptiest_node(service) }?;
        if self.tasks == self.capacity {
            return None;
        }
        let address = self.addresses[of.network].take(now)?;
        let (id, version, number) = (self.name(), self.write(), self.tasks);
        self.tasks += 1;
        let task = Task {
            id: id.clone(),
            number,
            container: format!("{}{}", identity(number as u64), identity(!(number as u64))),
            version,
            created: now,
            updated: now,
            service: service.to_owned(),
            slot,
            node: Some(node),
            template: of.template,
            state: State::New,
            desired: if due == Some(now) { Desired::Running } else { Desired::Ready },
            network: of.network,
            address: Some(address),
            due: Some(now + self.stage(number, State::New)),
            starts: due.filter(|due| *due > now),
            ending: false,
        };
        self.view.tasks.insert(id.clone(), Arc::new(task));
        Some(id)
    }

    /// From the beginning everything runs.
    pub(super) fn all_run(&mut self) {
        let tasks: Vec<_> = self.view.tasks.values().map(|task| (task.id.clone(), task.number)).collect();
        for (id, number) in tasks {
            self.boot(&id);
            self.actions.push(super::Action::Listen(number));
            self.actions.push(super::Action::Reach(number));
            self.change_task(0, &id, |task| (task.state, task.due) = (State::Running, None));
        }
    }

    /// Nodes that may be given tasks.
    fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        self.view.nodes.iter().filter(|node| node.ready && !node.drained).map(|node| node.index)
    }

    fn emptiest_node(&self, service: &str) -> Option<usize> {
        self.nodes().min_by_key(|node| self.of(service).filter(|task| task.is_wanted() && task.node == Some(*node)).count())
    }

    pub(super) fn of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Arc<Task>> {
        self.view.tasks.values().filter(move |task| task.service == service)
    }

    /// Forgets tasks that have ended: those that are to go, and the older ones of each slot.
    pub(super) fn reap(&mut self) {
        let over = |task: &&Arc<Task>| task.is_over();
        let mut by_slot = BTreeMap::<_, Vec<_>>::new();
        for task in self.view.tasks.values().filter(over) {
            by_slot.entry((task.service.clone(), task.slot)).or_default().push((
                task.created,
                task.number,
                task.id.clone(),
                task.desired,
            ));
        }
        for mut tasks in by_slot.into_values() {
            tasks.sort();
            let surplus = tasks.len().saturating_sub(HISTORY);
            for (n, (_, _, id, desired)) in tasks.into_iter().enumerate() {
                if n < surplus || desired == Desired::Remove {
                    self.view.tasks.remove(&id);
                    self.write();
                }
            }
        }
    }
}
