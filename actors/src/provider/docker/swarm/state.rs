//! What is known of a Swarm, and what a further look at it means. Pure: answers come in as arguments, workloads come out.
//!
//! Rules
//! - **Order of reading.** A list is one state of the managers' store, but two lists are two states. Tasks are read after
//!   services. A task of a service that was not there yet is an orphan: it is kept aside, and its service comes with the
//!   next reading. A service that went between the two is served without tasks, since tasks that
//!   are to run are all that is asked for: what the later list lacks is not running by the managers' own word. New labels
//!   with older tasks exist in truth, for as long as an update lasts. Older labels with newer tasks would not, and cannot last: a
//!   task takes a container's start to run, and the next reading brings the labels. What was read alone while a reading
//!   was under way is the later of the two, and stays ([`State::apply_beside`]).
//! - **An instance** is a task that is meant to run and runs, of a service that exists. Swarm calls a task `running` only
//!   after its health check passed, and no longer means it to run when that fails.
//! - **A node** that is `unknown` keeps its tasks: during an election all are. One that is `down` loses those that run
//!   elsewhere already, in the same slot.
//! - **Doubt.** A reading is not believed, as a whole, if it is older than what is known: an object's version fell, one that went is
//!   there again, or, over another connection, nothing is as new as what was seen already. It is not believed either where everything vanished at once: all
//!   services; or all tasks of several services that want some. Nothing is withdrawn on doubt. That no task is left is believed if it is
//!   still read after the time given to [`State::new`]; an older state, or none, after [`STALE`]: then somebody restored a backup, or made
//!   the Swarm anew.
//!
//! Deliberately absent: when to read what ([`super::plan`]), and what labels mean (`fairlead_core`).

mod buried;

use super::translate;
use crate::provider::docker::api::{Network, Node, Service, Task};
use buried::Buried;
use fairlead_core::discovery::Workload;
use fairlead_net::time::{Duration, Instant};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How long managers may answer with an older state, or with none, before it is taken for the present one. A leader that lost its
/// followers gives up after 10 s.
pub const STALE: Duration = Duration::from_secs(15);

/// The desired state of what is meant to run.
const RUNNING: &str = "running";

/// What was read in one go. What did not change since the last time is shared with it, and compared by that.
#[derive(Debug, Default)]
pub struct Reading {
    pub services: Seen<Vec<Arc<Service>>>,
    /// Those that are meant to run.
    pub tasks: Seen<Vec<Arc<Task>>>,
    pub networks: Seen<Vec<Arc<Network>>>,
    pub nodes: Seen<Vec<Arc<Node>>>,
    /// Networks that this gateway's container is on; `None`: there is no such container here.
    pub inspected: Seen<Option<BTreeSet<String>>>,
}

/// One answer.
#[derive(Debug, Default)]
pub enum Seen<T> {
    #[default]
    Unasked,
    /// Byte for byte what was applied last.
    Same,
    New(T),
}

impl<T> Seen<T> {
    fn as_new(&self) -> Option<&T> {
        match self {
            Self::New(value) => Some(value),
            Self::Unasked | Self::Same => None,
        }
    }
}

/// What a reading meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// [`State::workloads`] differ from what they were.
    Changed,
    /// It is not believed, for this reason; the workloads stay.
    Doubt(String),
}

/// See the head of this file.
#[derive(Debug)]
pub struct State {
    pub(super) services: BTreeMap<String, Arc<Service>>,
    /// By service; each by id.
    pub(super) tasks: BTreeMap<String, Vec<Arc<Task>>>,
    pub(super) networks: BTreeMap<String, Arc<Network>>,
    pub(super) nodes: BTreeMap<String, Arc<Node>>,
    /// The beginning of this gateway's container's id.
    me: Option<String>,
    inspected: Option<BTreeSet<String>>,
    /// Networks that this gateway shares, as far as that is known.
    pub(super) shared: Option<BTreeSet<String>>,
    confirm: Duration,
    doubt: Option<(Suspicion, Instant)>,
    /// Over another connection: nothing older than this is believed.
    reach: Option<u64>,
    buried: Buried,
    /// Services differed from what was known when they were last read.
    moved: bool,
    /// Sorted by id.
    workloads: Arc<Vec<Workload>>,
}

/// Why a reading is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspicion {
    NoServices,
    NoTasks,
    Older,
}

/// Which workloads are to be made anew.
enum Dirty {
    Some(BTreeSet<String>),
    All,
}

impl State {
    /// Nothing is known yet. `me` is the beginning of the id of the container that this gateway runs in; `confirm` how long everything
    /// has to be gone before it is gone.
    pub fn new(me: Option<String>, confirm: Duration) -> Self {
        Self {
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            networks: BTreeMap::new(),
            nodes: BTreeMap::new(),
            me,
            inspected: None,
            shared: None,
            confirm,
            doubt: None,
            reach: None,
            buried: Buried::default(),
            moved: false,
            workloads: Arc::default(),
        }
    }

    /// From now on another manager is asked, or perhaps another: who answers behind one address may change with each connection.
    pub fn switched(&mut self) {
        self.reach = self.newest();
    }

    /// A reading of whole lists.
    pub fn apply(&mut self, reading: Reading, now: Instant) -> News {
        let suspicion = self.suspicion(&reading);
        if let Some(suspicion) = suspicion {
            let (known, since) = *self.doubt.get_or_insert((suspicion, now));
            let patience = if suspicion == Suspicion::NoTasks { self.confirm } else { STALE };
            if known != suspicion {
                self.doubt = Some((suspicion, now));
            }
            if known != suspicion || now.saturating_duration_since(since) < patience {
                return News::Doubt(self.message(suspicion));
            }
        }
        self.bury(&reading);
        if suspicion.is_some() {
            self.buried.forget();
        }
        // What was not asked for says nothing about a doubt in what was.
        let answers = (&reading.services, &reading.tasks);
        match self.doubt {
            Some((Suspicion::NoServices, _)) if matches!(answers.0, Seen::Unasked) => {}
            Some((Suspicion::NoTasks, _)) if matches!(answers.1, Seen::Unasked) => {}
            _ => self.doubt = None,
        }
        if !matches!(answers, (Seen::Unasked, _) | (_, Seen::Unasked)) {
            self.reach = None;
        }
        let mut dirty = BTreeSet::new();
        let mut all = false;
        if let Seen::New(list) = reading.services {
            let list: BTreeMap<String, Arc<Service>> = list.into_iter().map(|service| (service.id.clone(), service)).collect();
            mark(&self.services, &list, &mut dirty);
            self.moved = !dirty.is_empty();
            self.services = list;
        }
        if let Seen::New(list) = reading.tasks {
            let list = by_service(list);
            mark(&self.tasks, &list, &mut dirty);
            self.tasks = list;
        }
        if let Seen::New(list) = reading.networks {
            let list: BTreeMap<String, Arc<Network>> = list.into_iter().map(|network| (network.id.clone(), network)).collect();
            all |= list != self.networks;
            self.networks = list;
        }
        if let Seen::New(list) = reading.nodes {
            let list: BTreeMap<String, Arc<Node>> = list.into_iter().map(|node| (node.id.clone(), node)).collect();
            all |= list != self.nodes;
            self.nodes = list;
        }
        if let Seen::New(inspected) = reading.inspected {
            self.inspected = inspected;
        }
        self.settle(if all { Dirty::All } else { Dirty::Some(dirty) })
    }

    /// A reading that had begun when the services in `alone` were read by themselves.
    pub fn apply_beside(&mut self, alone: &BTreeSet<String>, mut reading: Reading, now: Instant) -> News {
        self.keep(alone, &mut reading);
        self.apply(reading, now)
    }

    /// Puts what was read alone into the lists, in the place of what they say of it, unless they know of a later write.
    fn keep(&self, alone: &BTreeSet<String>, reading: &mut Reading) {
        let is_later = |service: &Arc<Service>| {
            self.services.get(&service.id).is_some_and(|known| service.version.index > known.version.index)
        };
        let listed = reading.services.as_new().map(Vec::as_slice).unwrap_or_default();
        let later: BTreeSet<String> = listed.iter().filter(|s| is_later(s)).map(|service| service.id.clone()).collect();
        let kept = alone - &later;
        if let Seen::New(list) = &mut reading.services {
            list.retain(|service| !kept.contains(&service.id));
            list.extend(kept.iter().filter_map(|id| self.services.get(id)).cloned());
        }
        if let Seen::New(list) = &mut reading.tasks {
            list.retain(|task| !kept.contains(&task.service));
            list.extend(kept.iter().filter_map(|id| self.tasks.get(id)).flatten().cloned());
        }
    }

    /// One service was read, and its tasks after it. `None`: the managers say that there is no such service.
    pub fn apply_one(&mut self, id: &str, service: Option<Service>, tasks: Vec<Task>) -> News {
        let (service, tasks): (_, Vec<_>) = (service.map(Arc::new), tasks.into_iter().map(Arc::new).collect());
        let gone = |task: &&Arc<Task>| !tasks.iter().any(|other| other.id == task.id);
        let gone: Vec<String> = self.tasks.get(id).into_iter().flatten().filter(gone).map(|task| task.id.clone()).collect();
        let Some(service) = service.filter(|service| service.id == id) else {
            gone.iter().map(String::as_str).chain([id]).for_each(|id| self.buried.add(id));
            self.services.remove(id);
            self.tasks.remove(id);
            return self.settle(Dirty::Some([id.to_owned()].into()));
        };
        let newest = |service: &Service, tasks: &[Arc<Task>]| {
            tasks.iter().map(|task| task.version.index).fold(service.version.index, u64::max)
        };
        let known = self.tasks.get(id).map_or(&[][..], Vec::as_slice);
        // It may be another manager that is asked for one service than for all. Where only tasks went, the next lists tell.
        let fell = self.services.get(id).is_some_and(|of| newest(of, known) > newest(&service, &tasks));
        if fell
            || self.services.get(id).is_some_and(|known| known.version.index > service.version.index)
            || self.has_fallen(&tasks)
            || self.has_risen(Some(std::slice::from_ref(&service)), Some(&tasks))
        {
            return News::Doubt(self.message(Suspicion::Older));
        }
        gone.iter().for_each(|id| self.buried.add(id));
        self.services.insert(id.to_owned(), service);
        let mut tasks = by_service(tasks).remove(id).unwrap_or_default();
        std::mem::swap(self.tasks.entry(id.to_owned()).or_default(), &mut tasks);
        self.settle(Dirty::Some([id.to_owned()].into()))
    }

    /// Everything that is to be served, by id.
    pub fn workloads(&self) -> Arc<Vec<Workload>> {
        self.workloads.clone()
    }

    /// Whether anything was read yet.
    pub fn is_known(&self) -> bool {
        !self.services.is_empty() || !self.tasks.is_empty()
    }

    /// Whether the last reading is not believed.
    pub fn is_doubted(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether tasks are there whose services are not.
    fn has_orphans(&self) -> bool {
        self.tasks.keys().any(|service| !self.services.contains_key(service))
    }

    /// Whether something is on its way: an update or a rollback under way, tasks fewer or more than wanted, or not running yet.
    pub fn is_in_motion(&self) -> bool {
        self.has_orphans() || self.services.values().any(|service| self.moves(service))
    }

    /// Whether the last list of services brought a change, which is forgotten here.
    pub fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The id of the container that this gateway runs in was found out.
    pub fn is_me(&mut self, id: &str) {
        self.me = Some(id.to_owned());
    }

    /// Whether it is known which networks this gateway is on.
    pub fn is_located(&self) -> bool {
        self.shared.is_some()
    }

    /// For messages: how much is known.
    pub fn extent(&self) -> (usize, usize) {
        (self.services.len(), self.tasks.values().map(Vec::len).sum())
    }

    fn moves(&self, service: &Service) -> bool {
        if matches!(service.update_status.state.as_str(), "updating" | "rollback_started") {
            return true;
        }
        let tasks = self.tasks.get(&service.id).map_or(&[][..], Vec::as_slice);
        let running = tasks.iter().filter(|task| translate::runs(task)).count() as u64;
        let wanted = service.spec.mode.replicated.as_ref().map(|mode| mode.replicas.unwrap_or(1));
        running != wanted.unwrap_or(tasks.len() as u64) || running != tasks.len() as u64
    }

    fn suspicion(&self, reading: &Reading) -> Option<Suspicion> {
        self.suspected(reading).filter(|suspicion| match suspicion {
            Suspicion::Older => !planted!("stale_view_applied"),
            Suspicion::NoServices | Suspicion::NoTasks => !planted!("empty_believed"),
        })
    }

    fn suspected(&self, reading: &Reading) -> Option<Suspicion> {
        let (services, tasks) = (reading.services.as_new().map(Vec::as_slice), reading.tasks.as_new().map(Vec::as_slice));
        let fell = |service: &Arc<Service>| {
            self.services.get(&service.id).is_some_and(|known| known.version.index > service.version.index)
        };
        if services.is_some_and(|list| list.iter().any(fell)) || tasks.is_some_and(|list| self.has_fallen(list)) {
            return Some(Suspicion::Older);
        }
        if self.has_risen(services, tasks) {
            return Some(Suspicion::Older);
        }
        if let Some(reach) = self.reach
            && !matches!(reading.services, Seen::Unasked)
            && !matches!(reading.tasks, Seen::Same)
        {
            let newest = |list: &mut dyn Iterator<Item = &Arc<Service>>| list.map(|service| service.version.index).max();
            // The same services as before may come with older tasks.
            let of_services = services.map_or_else(|| newest(&mut self.services.values()), |list| newest(&mut list.iter()));
            let of_tasks = tasks.unwrap_or_default().iter().map(|task| task.version.index).max();
            if !services.is_some_and(<[_]>::is_empty) && of_services.max(of_tasks).is_none_or(|newest| newest < reach) {
                return Some(Suspicion::Older);
            }
        }
        if !self.services.is_empty() && services.is_some_and(<[_]>::is_empty) {
            return Some(Suspicion::NoServices);
        }
        let wants_some =
            |service: &Arc<Service>| service.spec.mode.replicated.as_ref().is_none_or(|mode| mode.replicas != Some(0));
        let bereft = |id: &String| {
            let service = match services {
                Some(list) => list.iter().find(|service| service.id == *id),
                None => self.services.get(id),
            };
            service.is_some_and(wants_some)
        };
        if tasks.is_some_and(<[_]>::is_empty) && self.tasks.keys().filter(|id| bereft(id)).nth(1).is_some() {
            return Some(Suspicion::NoTasks);
        }
        None
    }

    /// Whether a task that is known comes in an older version.
    fn has_fallen(&self, list: &[Arc<Task>]) -> bool {
        let known = |task: &Arc<Task>| {
            let tasks = self.tasks.get(&task.service)?;
            Some(&tasks[tasks.binary_search_by(|known| known.id.cmp(&task.id)).ok()?])
        };
        list.iter().any(|task| known(task).is_some_and(|known| known.version.index > task.version.index))
    }

    /// Whether something is there again that went.
    fn has_risen(&self, services: Option<&[Arc<Service>]>, tasks: Option<&[Arc<Task>]>) -> bool {
        services.is_some_and(|list| list.iter().any(|service| self.buried.has(&service.id)))
            || tasks.is_some_and(|list| list.iter().any(|task| task.desired == RUNNING && self.buried.has(&task.id)))
    }

    /// Remembers what `reading`, which is believed, no longer lists.
    fn bury(&mut self, reading: &Reading) {
        if let Seen::New(list) = &reading.services {
            let present: BTreeSet<&str> = list.iter().map(|service| service.id.as_str()).collect();
            self.services.keys().filter(|id| !present.contains(id.as_str())).for_each(|id| self.buried.add(id));
        }
        if let Seen::New(list) = &reading.tasks {
            let present: BTreeSet<&str> =
                list.iter().filter(|task| task.desired == RUNNING).map(|task| task.id.as_str()).collect();
            let known = self.tasks.values().flatten().map(|task| task.id.as_str());
            known.filter(|id| !present.contains(id)).for_each(|id| self.buried.add(id));
        }
    }

    /// The newest version that was seen of anything.
    fn newest(&self) -> Option<u64> {
        let services = self.services.values().map(|service| service.version.index);
        services.chain(self.tasks.values().flatten().map(|task| task.version.index)).max()
    }

    fn message(&self, suspicion: Suspicion) -> String {
        let (services, tasks) = self.extent();
        match suspicion {
            Suspicion::NoServices => format!(
                "the manager suddenly lists no service: a Swarm that was left or made anew? The {services} services known stay in force until it says so again"
            ),
            Suspicion::NoTasks => format!(
                "the manager suddenly lists no task of any service: the {tasks} tasks known stay in force until it says so again"
            ),
            Suspicion::Older => format!(
                "the manager answers with an older state than was seen already: it lags behind, or was restored from a backup. What is known stays in force, for {STALE:?} at most"
            ),
        }
    }

    /// Makes the workloads anew that may have changed.
    fn settle(&mut self, dirty: Dirty) -> News {
        let shared = self.locate();
        let dirty = if shared == self.shared { dirty } else { Dirty::All };
        self.shared = shared;
        match dirty {
            Dirty::All => {
                let made = self.services.values().map(|service| translate::workload(self, service)).collect();
                if *self.workloads == made {
                    return News::Nothing;
                }
                self.workloads = Arc::new(made);
                News::Changed
            }
            Dirty::Some(ids) => self.renew(ids),
        }
    }

    fn renew(&mut self, ids: BTreeSet<String>) -> News {
        let mut changed = false;
        for id in ids {
            let made = self.services.get(&id).map(|service| translate::workload(self, service));
            match (self.workloads.binary_search_by(|workload| workload.id.cmp(&id)), made) {
                (Ok(at), Some(made)) if self.workloads[at] == made => continue,
                (Ok(at), Some(made)) => Arc::make_mut(&mut self.workloads)[at] = made,
                (Ok(at), None) => drop(Arc::make_mut(&mut self.workloads).remove(at)),
                (Err(at), Some(made)) => Arc::make_mut(&mut self.workloads).insert(at, made),
                (Err(_), None) => continue,
            }
            changed = true;
        }
        if changed { News::Changed } else { News::Nothing }
    }

    /// Networks of this gateway's own container: as its task says, and as the daemon says that runs it. Once found, they
    /// stay until found otherwise.
    fn locate(&self) -> Option<BTreeSet<String>> {
        let mine = |task: &&Arc<Task>| self.me.as_ref().is_some_and(|me| task.status.container.id.starts_with(me.as_str()));
        let task = self.tasks.values().flatten().find(mine);
        let attached = task.map(|task| task.attachments.iter().map(|attachment| attachment.network.id.clone()).collect());
        match (attached, self.inspected.clone()) {
            (None, None) => self.shared.clone(),
            (Some(set), None) | (None, Some(set)) => Some(set),
            (Some(set), Some(more)) => Some(&set | &more),
        }
    }
}

fn by_service(list: Vec<Arc<Task>>) -> BTreeMap<String, Vec<Arc<Task>>> {
    let mut map: BTreeMap<String, Vec<Arc<Task>>> = BTreeMap::new();
    for task in list {
        // A proxy or a manager that ignores the filter is borne.
        if task.desired == RUNNING || planted!("desired_ignored") {
            map.entry(task.service.clone()).or_default().push(task);
        }
    }
    for tasks in map.values_mut() {
        tasks.sort_by(|a, b| a.id.cmp(&b.id));
        tasks.dedup_by(|a, b| a.id == b.id);
    }
    map
}

/// Notes the keys whose values differ.
fn mark<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>, dirty: &mut BTreeSet<String>) {
    let changed = new.iter().filter(|(id, value)| old.get(*id) != Some(value)).map(|(id, _)| id);
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    dirty.extend(changed.chain(gone).cloned());
}

#[cfg(test)]
mod tests;
