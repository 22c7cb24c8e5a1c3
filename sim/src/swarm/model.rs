//! What the managers agree on: services, tasks, nodes; and what of it the outside world has to do.

use crate::plan::swarm::{Failing, Language};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

/// A consistent state of the store. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The last write.
    pub index: u64,
    pub at: u64,
    pub services: BTreeMap<String, Arc<Service>>,
    pub tasks: BTreeMap<String, Arc<Task>>,
    pub nodes: Vec<Arc<Node>>,
    /// Networks that the gateway's container is on.
    pub attached: BTreeSet<usize>,
}

/// A service as it was last specified.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: String,
    pub app: usize,
    pub version: u64,
    pub created: u64,
    pub updated: u64,
    pub host: Option<usize>,
    pub language: Language,
    /// None: one on each node.
    pub replicas: Option<usize>,
    pub network: usize,
    pub vip: Ipv4Addr,
    /// Which task template: tasks of another one are replaced.
    pub template: Template,
    pub previous: Option<Template>,
    /// State and message of the last update.
    pub update: Option<(&'static str, String)>,
}

/// What tasks are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    pub number: u64,
    pub fails: Option<Failing>,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: String,
    /// Counts tasks: the machine that plays it.
    pub number: usize,
    pub container: String,
    pub version: u64,
    pub created: u64,
    pub updated: u64,
    pub service: String,
    pub slot: u64,
    pub node: Option<usize>,
    pub template: Template,
    pub state: State,
    pub desired: Desired,
    pub network: usize,
    pub address: Option<Ipv4Addr>,
    /// When it moves on by itself.
    pub due: Option<u64>,
    /// When it is to be started, where that waits.
    pub starts: Option<u64>,
    /// The agent was told to end it.
    pub ending: bool,
}

/// Only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    New,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Shutdown,
    Failed,
}

/// Where the orchestrator wants a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    /// Prepared, to be started later.
    Ready,
    Running,
    Shutdown,
    Remove,
}

/// A node that runs tasks.
#[derive(Clone, Debug)]
pub struct Node {
    pub index: usize,
    pub version: u64,
    pub ready: bool,
    pub drained: bool,
}

/// Something that must happen to the machine of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It exists, under this address.
    Boot { task: usize, address: Ipv4Addr, facts: Facts },
    /// Its process listens.
    Listen(usize),
    /// The gateway's node knows its address.
    Reach(usize),
    /// SIGTERM, and SIGKILL after so many milliseconds.
    Terminate { task: usize, grace: u64 },
    /// SIGKILL. `refuses`: its address answers for a while that nobody listens.
    Kill { task: usize, refuses: bool },
    /// Its machine dies without a word.
    Dies(usize),
}

/// Whose a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub id: String,
    pub service: String,
    pub app: usize,
}

/// What a host should be routed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The oldest service that claims it.
    pub service: String,
    pub app: usize,
    /// Its tasks that run and are to run.
    pub runs: BTreeSet<usize>,
    /// Those of them that should get requests: on a network of the gateway's.
    pub tasks: BTreeSet<usize>,
}

impl View {
    /// What a gateway that sees this should serve. Of the services that claim a host the oldest has it, with or without a running task.
    pub fn routes(&self) -> BTreeMap<usize, Route> {
        let mut services: Vec<_> = self.services.values().collect();
        services.sort_by_key(|service| (service.created, &service.id));
        let mut routes = BTreeMap::new();
        for service in services {
            let Some(host) = service.host else { continue };
            routes.entry(host).or_insert_with(|| {
                let reachable = |task: &&Arc<Task>| self.attached.contains(&task.network);
                let (runs, tasks) = (self.runs_of(service), self.runs_of(service).filter(reachable));
                let numbers = |task: &Arc<Task>| task.number;
                Route {
                    service: service.id.clone(),
                    app: service.app,
                    runs: runs.map(numbers).collect(),
                    tasks: tasks.map(numbers).collect(),
                }
            });
        }
        routes
    }

    /// Tasks of a service that should get requests.
    fn runs_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Arc<Task>> {
        self.tasks.values().filter(move |task| task.service == service.id && task.is_routable())
    }
}

impl Task {
    /// Whether new requests may go to it.
    pub fn is_routable(&self) -> bool {
        self.state == State::Running && self.desired == Desired::Running
    }

    /// Whether it counts for its slot.
    pub fn is_wanted(&self) -> bool {
        self.desired <= Desired::Running && self.state <= State::Running
    }

    /// Whether it has ended for good.
    pub fn is_over(&self) -> bool {
        self.state > State::Running
    }
}

impl State {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
        }
    }
}

impl Desired {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Shutdown => "shutdown",
            Self::Remove => "remove",
        }
    }
}
