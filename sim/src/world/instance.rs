//! A gateway of the world: its node, what is seen of it from outside, and the judge of what it does.
//!
//! Every gateway has a judge of its own, the same rules for all. What happens to the source, to servers and to links is told to each
//! judge whom it concerns; a request, its arrivals and its answer are told to the judge of the gateway that was asked. So no
//! judge needs to know that there are others.

use super::{Machine, World, gateway};
use crate::{
    oracle::{Counts, Judge, swarm::Discovery},
    plan::{Plan, Source},
};
use fairlead_actors::{gateway::Directory, worker::Shared};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// See the head of this file.
pub(super) struct Instance {
    pub(super) machine: Machine,
    pub(super) model: Model,
    /// What can be seen of the process that runs now.
    seen: Mutex<Option<Seen>>,
    pub(super) running: Mutex<Option<gateway::Running>>,
}

/// The judge, by where the configuration comes from.
pub(super) enum Model {
    Source(Mutex<Judge>),
    Swarm(Mutex<Discovery>),
}

#[derive(Clone)]
struct Seen {
    shared: Arc<Shared>,
    directory: Arc<Directory>,
}

impl Instance {
    pub(super) fn new(plan: &Plan, machine: Machine) -> Self {
        let model = match plan.gateway.source {
            Source::Swarm => Model::Swarm(Mutex::new(Discovery::new(plan.services))),
            Source::File | Source::Etcd => Model::Source(Mutex::new(Judge::new(plan))),
        };
        Self { machine, model, seen: Mutex::default(), running: Mutex::default() }
    }

    /// Its process runs.
    pub(super) fn runs(&self, running: gateway::Running) {
        let gateway = running.gateway();
        *self.seen.lock() = Some(Seen { shared: gateway.shared().clone(), directory: gateway.directory().clone() });
        *self.running.lock() = Some(running);
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.seen.lock().as_ref().map(|seen| seen.shared.clone())
    }

    pub(super) fn directory(&self) -> Option<Arc<Directory>> {
        self.seen.lock().as_ref().map(|seen| seen.directory.clone())
    }

    /// What its judge has counted, to be read or added to.
    pub(super) fn count<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        match &self.model {
            Model::Source(judge) => f(&mut judge.lock().counts),
            Model::Swarm(judge) => f(&mut judge.lock().counts),
        }
    }

    pub(super) fn is_converged(&self) -> bool {
        match &self.model {
            Model::Source(judge) => judge.lock().is_converged(),
            Model::Swarm(judge) => judge.lock().is_converged(),
        }
    }
}

impl World {
    /// To the judge of each gateway, where they go by a source's writes.
    pub(super) fn each_source(&self, mut f: impl FnMut(&mut Judge)) {
        for instance in &self.gateways {
            if let Model::Source(judge) = &instance.model {
                f(&mut judge.lock());
            }
        }
    }

    /// To the judge of each gateway, where they go by a Swarm.
    pub(super) fn each_swarm(&self, mut f: impl FnMut(&mut Discovery)) {
        for instance in &self.gateways {
            if let Model::Swarm(judge) = &instance.model {
                f(&mut judge.lock());
            }
        }
    }

    /// Takes over what the gateways have published. Done before each event that is judged by it, and often enough in between that no
    /// snapshot is missed.
    pub(super) fn look(&self) {
        self.gateways.iter().for_each(|instance| self.look_at(instance));
    }

    fn look_at(&self, instance: &Instance) {
        let Some(shared) = instance.shared() else { return };
        let published = shared.published.load();
        let number = published.snapshot.number();
        let name = &instance.machine.name;
        match &instance.model {
            Model::Swarm(judge) if judge.lock().is_new(number) => {
                let routes = gateway::tasks(&published, self.plan.services);
                self.note(name, &format!("snapshot {number} {routes:?}"));
                let verdict = judge.lock().published(self.now(), number, routes);
                self.judged(verdict);
            }
            Model::Source(judge) if judge.lock().is_new(number) => {
                let routes = gateway::routes(&published);
                self.note(name, &format!("snapshot {number} {}", told(&routes)));
                let verdict = judge.lock().published(self.now(), number, routes);
                self.judged(verdict);
            }
            _ => {}
        }
    }

    /// Whether the last state that its provider took over is the source's present one.
    pub(super) fn has_read_all(&self, instance: &Instance) -> bool {
        let Some(directory) = instance.directory() else { return false };
        let Some(status) = directory.providers.first() else { return false };
        match self.plan.gateway.source {
            // A file's revision is a digest; its bound is what `Bounds` says, and every look before it finds the same file.
            Source::File => true,
            Source::Swarm => false,
            Source::Etcd => status.view().revision.parse() == Ok(self.store.revision()),
        }
    }
}

fn told(routes: &BTreeMap<usize, BTreeSet<usize>>) -> String {
    routes.iter().map(|(service, servers)| format!("s{service}={servers:?} ")).collect()
}
