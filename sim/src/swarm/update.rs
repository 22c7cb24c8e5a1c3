//! Rolling updates: batch by batch, start-first or stop-first, watched, and rolled back or paused when tasks fail.

use super::{Cluster, Desired, State};
use std::collections::{BTreeMap, BTreeSet};

/// An update that is under way.
#[derive(Debug)]
pub(super) struct Update {
    /// It takes back one that failed.
    back: bool,
    next_batch: u64,
    /// The new task of each slot that is being updated.
    slots: BTreeMap<u64, String>,
    /// New tasks, and until when each is watched: from its running on.
    watched: BTreeMap<String, Option<u64>>,
}

impl Update {
    pub(super) fn new(now: u64, back: bool) -> Self {
        Self { back, next_batch: now, slots: BTreeMap::new(), watched: BTreeMap::new() }
    }
}

impl Cluster {
    /// Whether the updater has this slot in hand.
    pub(super) fn is_updating(&self, service: &str, slot: u64) -> bool {
        self.updates.get(service).is_some_and(|update| update.slots.contains_key(&slot))
    }

    pub(super) fn advance_updates(&mut self, now: u64) {
        let ids: Vec<_> = self.updates.keys().cloned().collect();
        for id in ids {
            let Some(mut update) = self.updates.remove(&id) else { continue };
            if self.advance_update(now, &id, &mut update) {
                // A rollback has begun another one under this name.
                self.updates.entry(id).or_insert(update);
            }
        }
    }

    /// Whether it goes on.
    fn advance_update(&mut self, now: u64, id: &str, update: &mut Update) -> bool {
        let Some(service) = self.view.services.get(id).cloned() else { return false };
        let plan = self.app(&service).update.clone();
        let state = |task: &String| self.view.tasks.get(task).map(|task| task.state);
        for (_, until) in update.watched.iter_mut().filter(|(task, until)| until.is_none() && state(task) >= Some(State::Running))
        {
            *until = Some(now + plan.monitor);
        }
        let failed =
            |task: &String, until: &Option<u64>| until.is_none_or(|until| until > now) && state(task) == Some(State::Failed);
        if update.watched.iter().any(|(task, until)| failed(task, until)) {
            self.fails(now, id, update.back, plan.rollback);
            return false;
        }
        self.finish_slots(now, id, update, plan.start_first, plan.delay);
        if now >= update.next_batch && update.slots.is_empty() {
            let dirty: BTreeSet<_> =
                self.of(id).filter(|task| task.is_wanted() && task.template != service.template).map(|task| task.slot).collect();
            for slot in dirty.into_iter().take(plan.parallelism) {
                self.begin_slot(now, id, slot, update, plan.start_first);
            }
        }
        if !update.slots.is_empty() || self.of(id).any(|task| task.is_wanted() && task.template != service.template) {
            return true;
        }
        if update.watched.values().all(|until| until.is_none_or(|until| until <= now)) {
            let (state, message) =
                if update.back { ("rollback_completed", "rollback completed") } else { ("completed", "update completed") };
            self.change_service(now, id, |service| service.update = Some((state, message.into())));
            return false;
        }
        true
    }

    fn begin_slot(&mut self, now: u64, id: &str, slot: u64, update: &mut Update, start_first: bool) {
        let old: Vec<_> = self.of(id).filter(|task| task.slot == slot && task.is_wanted()).map(|task| task.id.clone()).collect();
        // Where the old one ends first, the new one is prepared and waits.
        let Some(new) = self.make(now, id, slot, start_first.then_some(now)) else { return };
        if !start_first {
            old.iter().for_each(|task| self.want(now, task, Desired::Shutdown));
        }
        update.watched.insert(new.clone(), None);
        update.slots.insert(slot, new);
    }

    fn finish_slots(&mut self, now: u64, id: &str, update: &mut Update, start_first: bool, delay: u64) {
        for (slot, new) in update.slots.clone() {
            let Some(task) = self.view.tasks.get(&new).cloned() else {
                update.slots.remove(&slot);
                continue;
            };
            let old: Vec<_> = self
                .of(id)
                .filter(|other| other.slot == slot && other.id != new && !other.is_over())
                .map(|other| other.id.clone())
                .collect();
            if task.state == State::Running && start_first {
                old.iter().for_each(|old| self.want(now, old, Desired::Shutdown));
            } else if task.desired == Desired::Ready && old.is_empty() {
                self.change_task(now, &new, |task| task.desired = Desired::Running);
            }
            if task.state >= State::Running || task.desired >= Desired::Shutdown {
                update.slots.remove(&slot);
                update.next_batch = now + delay;
            }
        }
    }

    fn fails(&mut self, now: u64, id: &str, back: bool, rollback: bool) {
        let previous = self.view.services.get(id).and_then(|service| service.previous);
        match previous.filter(|_| rollback && !back) {
            Some(previous) => {
                self.change_service(now, id, |service| {
                    service.template = previous;
                    service.update = Some(("rollback_started", "update rolled back due to failure".into()));
                });
                self.updates.insert(id.to_owned(), Update::new(now, true));
            }
            None => {
                let state = if back { "rollback_paused" } else { "paused" };
                self.change_service(now, id, |service| service.update = Some((state, "update paused due to failure".into())));
            }
        }
    }
}
