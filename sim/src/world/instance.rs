//! A gateway of the world: its node, what is seen of it from outside, and the judge of what it does.
//!
//! Every gateway has a judge of its own, the same rules for all. What happens to the source, to servers and to links is told to each
//! judge whom it concerns; a request, its arrivals and its answer are told to the judge of the gateway that was asked. So no
//! judge needs to know that there are others.

use super::{Machine, World, api, gateway, standing::Watched};
use crate::{
    oracle::{Counts, Judge, Verdict, admin::Admin, lifecycle::Lifecycle, swarm::Discovery},
    plan::{Plan, Source},
    trace::Mark,
};
use fairlead_actors::{
    endpoint::Endpoint,
    gateway::{Crashes, Directory},
    worker::Shared,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

/// See the head of this file.
pub(super) struct Instance {
    pub(super) machine: Machine,
    pub(super) model: Model,
    /// What can be seen of the process that runs now.
    seen: Mutex<Option<Seen>>,
    pub(super) running: Mutex<Option<gateway::Running>>,
    pub(super) life: Mutex<Lifecycle>,
    pub(super) admin: Mutex<Admin>,
    pub(super) watched: Mutex<Watched>,
    process: Mutex<Process>,
}

/// Which process it is, and whether it is there.
#[derive(Clone, Copy, Default)]
struct Process {
    /// Counts beginnings and ends.
    number: u64,
    alive: bool,
    /// Another one is to begin.
    awaited: bool,
    /// It ended without a word to its peers.
    dark: bool,
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
    crashes: Arc<Crashes>,
}

impl Instance {
    pub(super) fn new(plan: &Plan, machine: Machine) -> Self {
        let model = match plan.gateway.source {
            Source::Swarm => Model::Swarm(Mutex::new(Discovery::new(plan.services))),
            Source::File | Source::Etcd | Source::Rancher | Source::Kontena => Model::Source(Mutex::new(Judge::new(plan))),
        };
        // There and back again, and a little for what has to be opened first.
        let gap = 2 * plan.network.latency.1 / 1_000 + 20;
        Self {
            machine,
            model,
            seen: Mutex::default(),
            running: Mutex::default(),
            life: Mutex::new(Lifecycle::new(gap)),
            admin: Mutex::default(),
            watched: Mutex::default(),
            process: Mutex::new(Process { alive: true, ..Process::default() }),
        }
    }

    /// Its process runs and is ready.
    pub(super) fn runs(&self, now: u64, running: gateway::Running) {
        self.life.lock().ready(now);
        let gateway = running.gateway();
        let (shared, directory, crashes) = (gateway.shared().clone(), gateway.directory().clone(), Arc::new(gateway.crashes()));
        *self.seen.lock() = Some(Seen { shared, directory, crashes });
        *self.running.lock() = Some(running);
    }

    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.seen.lock().as_ref().map(|seen| seen.shared.clone())
    }

    pub(super) fn directory(&self) -> Option<Arc<Directory>> {
        self.seen.lock().as_ref().map(|seen| seen.directory.clone())
    }

    /// The means to make its actors fail.
    pub(super) fn crashes(&self) -> Option<Arc<Crashes>> {
        self.seen.lock().as_ref().map(|seen| seen.crashes.clone())
    }

    // ---- processes ----

    /// The number of the process, by which it is told from others.
    pub(super) fn process(&self) -> u64 {
        self.process.lock().number
    }

    pub(super) fn is_alive(&self) -> bool {
        self.process.lock().alive
    }

    /// Whether its machine has died without a word.
    pub(super) fn is_dark(&self) -> bool {
        self.process.lock().dark
    }

    /// Whether nobody else waits for the process to end, to start another.
    pub(super) fn may_begin(&self) -> bool {
        !std::mem::replace(&mut self.process.lock().awaited, true)
    }

    /// A process begins; its number.
    pub(super) fn begins(&self) -> u64 {
        let mut process = self.process.lock();
        *process = Process { number: process.number + 1, alive: true, awaited: false, dark: false };
        process.number
    }

    /// It ends.
    pub(super) fn ends(&self, silently: bool) {
        let mut process = self.process.lock();
        *process = Process { number: process.number + 1, alive: false, dark: silently, ..*process };
        drop(process);
        *self.seen.lock() = None;
        *self.running.lock() = None;
    }

    /// Its judge begins anew with the process.
    pub(super) fn restarted(&self) {
        self.admin.lock().restarted();
        *self.watched.lock() = Watched::default();
        match &self.model {
            Model::Source(judge) => judge.lock().restarted(),
            Model::Swarm(judge) => judge.lock().restarted(),
        }
    }

    /// The process that began at `started` is ready.
    pub(super) fn is_ready(&self, now: u64, started: u64) -> Verdict {
        match &self.model {
            Model::Source(judge) => judge.lock().ready(now, started),
            Model::Swarm(judge) => judge.lock().ready(now, started),
        }
    }

    /// It cannot look at the source, or can again.
    pub(super) fn blind(&self, now: u64, why: &'static str, present: bool) {
        match &self.model {
            Model::Source(judge) => judge.lock().source(now, why, present),
            Model::Swarm(judge) => judge.lock().blind(now, why, present),
        }
    }

    /// What its judge has counted, to be read or added to.
    pub(super) fn count<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        match &self.model {
            Model::Source(judge) => f(&mut judge.lock().counts),
            Model::Swarm(judge) => f(&mut judge.lock().counts),
        }
    }

    /// Whether a request that began then would have been served by this server, had it been asked.
    pub(super) fn is_sound(&self, began: u64, server: usize) -> bool {
        match &self.model {
            Model::Source(judge) => judge.lock().is_sound(began, server),
            Model::Swarm(judge) => judge.lock().is_sound(began, server),
        }
    }

    /// The server that an endpoint stands for.
    pub(super) fn server_of(&self, endpoint: &Endpoint) -> Option<usize> {
        match &self.model {
            Model::Source(_) => gateway::server_at(&endpoint.url.host),
            Model::Swarm(judge) => judge.lock().task_of(&endpoint.key.instance),
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
    /// The gateways that are to be well at the end.
    pub(super) fn core(&self) -> impl Iterator<Item = (usize, &Instance)> {
        self.gateways.iter().enumerate().filter(|(index, _)| !self.plan.broken.gateways.contains(index))
    }

    /// What can be mended is mended now: of the rest, nothing is an excuse any more.
    pub(super) fn heal(&self) {
        self.healed.store(true, Ordering::Relaxed);
        self.note("world", "is healed");
        self.each_source(|judge| judge.heals(self.now()));
    }

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
                self.mark(name, || Mark::Configuration { number, picks: routes.values().flatten().cloned().collect() });
                let verdict = judge.lock().published(self.now(), number, routes);
                self.judged(verdict);
            }
            Model::Source(judge) if judge.lock().is_new(number) => {
                let routes = gateway::routes(&published);
                self.note(name, &format!("snapshot {number} {}", told(&routes)));
                let server = |index: &usize| self.servers[*index].name.clone();
                self.mark(name, || Mark::Configuration { number, picks: routes.values().flatten().map(server).collect() });
                let mut judge = judge.lock();
                let verdict = judge.published(self.now(), number, routes).and_then(|()| judge.marks(gateway::marks(&published)));
                drop(judge);
                self.judged(verdict);
            }
            _ => return,
        }
        if self.plan.gateway.api {
            instance.admin.lock().in_force(self.now(), api::state(&published));
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
            // Writes there are whole.
            Source::Rancher => true,
            Source::Etcd | Source::Kontena => status.view().revision.parse() == Ok(self.store.revision()),
        }
    }
}

fn told(routes: &BTreeMap<usize, BTreeSet<usize>>) -> String {
    routes.iter().map(|(service, servers)| format!("s{service}={servers:?} ")).collect()
}
