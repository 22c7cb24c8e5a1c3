//! The life of a task: through its states to running, and, once it is no longer wanted, two seconds later to its end.

use super::{Action, Cluster, Desired, Facts, State, model::Task};
use crate::{chance::mix, plan::swarm::Failing};
use std::sync::Arc;

/// From a task's withdrawal from Swarm's own balancing to SIGTERM.
const WITHDRAWN: u64 = 2_000;
/// How long an agent takes to hear of something or to report it, at most.
const AGENT: u64 = 100;

impl Cluster {
    /// Every task whose time has come moves on.
    pub(super) fn advance_tasks(&mut self, now: u64) {
        // Nothing moves on a node without power.
        let alive = |task: &Task| task.node.is_none_or(|node| self.dead[node].is_none());
        let due = |task: &&Arc<Task>| {
            alive(task) && (task.due.is_some_and(|due| due <= now) || task.starts.is_some_and(|starts| starts <= now))
        };
        let due: Vec<_> = self.view.tasks.values().filter(due).map(|task| task.id.clone()).collect();
        due.into_iter().for_each(|task| self.advance_task(now, &task));
    }

    fn advance_task(&mut self, now: u64, id: &str) {
        let task = self.view.tasks[id].clone();
        if task.starts.is_some_and(|starts| starts <= now) && task.desired == Desired::Ready {
            self.change_task(now, id, |task| (task.starts, task.desired) = (None, Desired::Running));
            return;
        }
        if task.due.is_none_or(|due| due > now) {
            return;
        }
        if task.desired >= Desired::Shutdown {
            return self.end_task(now, &task);
        }
        let next = |state, due| move |task: &mut Task| (task.state, task.due) = (state, due);
        let later = |state| Some(now + self.stage(task.number, state));
        match task.state {
            State::New => self.change_task(now, id, next(State::Pending, later(State::Pending))),
            State::Pending => self.change_task(now, id, next(State::Assigned, later(State::Assigned))),
            State::Assigned => self.change_task(now, id, next(State::Accepted, later(State::Accepted))),
            State::Accepted => self.change_task(now, id, next(State::Preparing, later(State::Preparing))),
            State::Preparing => self.change_task(now, id, next(State::Ready, Some(now))),
            State::Ready if task.desired == Desired::Ready => self.touch(id, |task| task.due = Some(now + 20)),
            State::Ready => self.start(now, &task),
            State::Starting if task.template.fails == Some(Failing::AtStart) => {
                self.actions.push(Action::Kill { task: task.number, refuses: true })
            }
            State::Starting => {
                let due = match task.template.fails {
                    Some(Failing::After(after)) => Some(now + after),
                    _ => None,
                };
                self.change_task(now, id, next(State::Running, due));
            }
            // What was to fail while it runs.
            State::Running => self.actions.push(Action::Kill { task: task.number, refuses: true }),
            State::Shutdown | State::Failed => {}
        }
        if task.state == State::Running || task.template.fails == Some(Failing::AtStart) && task.state == State::Starting {
            self.touch(id, |task| task.due = None);
        }
    }

    /// Its process is made; when it counts as running depends on the image's health check.
    fn start(&mut self, now: u64, task: &Task) {
        let Some(service) = self.view.services.get(&task.service).cloned() else { return };
        let app = self.app(&service);
        let running = app.healthy.map_or(0, |healthy| app.listens + healthy) + self.agent(task.number, 1);
        let (listens, (least, most)) = (app.listens, self.plan.attach);
        let reaches = least + mix(task.number as u64 ^ 0xa77a) % (most - least + 1);
        self.boot(&task.id);
        self.later.push((now + listens, Action::Listen(task.number)));
        self.later.push((now + reaches, Action::Reach(task.number)));
        self.change_task(now, &task.id, |task| (task.state, task.due) = (State::Starting, Some(now + running)));
    }

    pub(super) fn boot(&mut self, id: &str) {
        let task = &self.view.tasks[id];
        let Some(service) = self.view.services.get(&task.service) else { return };
        let facts = Facts { id: task.id.clone(), service: service.id.clone(), app: service.app };
        if let Some(address) = task.address {
            self.actions.push(Action::Boot { task: task.number, address, facts });
        }
    }

    /// The agent has heard that it is to end, or its two seconds are over.
    fn end_task(&mut self, now: u64, task: &Task) {
        match task.state {
            State::Starting | State::Running if !task.ending => {
                self.touch(&task.id, |task| (task.ending, task.due) = (true, Some(now + WITHDRAWN)));
            }
            State::Starting | State::Running => {
                let grace = self.plan.apps[self.owner(&task.service)].grace;
                self.actions.push(Action::Terminate { task: task.number, grace });
                self.touch(&task.id, |task| task.due = None);
            }
            State::Shutdown | State::Failed => self.touch(&task.id, |task| task.due = None),
            // Nothing was started yet.
            _ => self.over(now, &task.id, State::Shutdown),
        }
    }

    /// The process of a task has ended, by itself or because it was told to.
    pub fn exited(&mut self, now: u64, number: usize) {
        let Some(task) = self.view.tasks.values().find(|task| task.number == number && !task.is_over()).cloned() else { return };
        // Who lies on a dead node tells nobody.
        if task.node.is_none_or(|node| self.dead[node].is_none()) {
            self.over(now, &task.id, if task.ending { State::Shutdown } else { State::Failed });
        }
    }

    fn over(&mut self, now: u64, id: &str, state: State) {
        let (network, address) = (self.view.tasks[id].network, self.view.tasks[id].address);
        self.change_task(now, id, |task| (task.state, task.due) = (state, None));
        if let Some(address) = address {
            self.addresses[network].release(now, address);
        }
    }

    /// The orchestrator changes its mind about a task. It only ever wants less.
    pub(super) fn want(&mut self, now: u64, id: &str, desired: Desired) {
        let Some(task) = self.view.tasks.get(id).cloned() else { return };
        if task.desired >= desired {
            return;
        }
        let heard = now + self.agent(task.number, 2);
        self.change_task(now, id, |task| {
            task.desired = desired;
            if desired >= Desired::Shutdown && !task.is_over() && !task.ending {
                task.due = Some(heard);
            }
        });
    }

    pub(super) fn change_task(&mut self, now: u64, id: &str, change: impl FnOnce(&mut Task)) {
        let version = self.write();
        let Some(task) = self.view.tasks.get_mut(id).map(Arc::make_mut) else { return };
        change(task);
        (task.version, task.updated) = (version, now);
    }

    /// A change that no store knows of.
    fn touch(&mut self, id: &str, change: impl FnOnce(&mut Task)) {
        if let Some(task) = self.view.tasks.get_mut(id) {
            change(Arc::make_mut(task));
        }
    }

    /// Which app a service was made from, also after it was removed.
    fn owner(&self, service: &str) -> usize {
        self.owners.get(service).copied().unwrap_or(0)
    }

    pub(super) fn stage(&self, number: usize, state: State) -> u64 {
        let (least, most) = self.plan.stage;
        least + mix(number as u64 ^ (state as u64) << 32) % (most - least + 1)
    }

    fn agent(&self, number: usize, what: u64) -> u64 {
        10 + mix(number as u64 ^ what << 40) % (AGENT - 9)
    }
}
