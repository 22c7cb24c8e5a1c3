//! The part of a plan that is a Swarm: managers, nodes, services, and what happens to them.
//!
//! Services are meant by their index among `apps`, tasks by what they belong to: which tasks there are follows from the run.

use serde::{Deserialize, Serialize};

/// A cluster of managers and nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swarm {
    pub managers: usize,
    /// Nodes that run tasks.
    pub nodes: usize,
    /// Overlay networks, named `net0`, `net1`, …; the gateway is on all of them, except where a step says otherwise.
    pub networks: usize,
    /// Milliseconds from the end of a task to the day its address may be given to another.
    pub reuse: u64,
    /// Milliseconds for which a new task's address is not yet known on the gateway's node, counted from its process's start.
    pub attach: (u64, u64),
    /// Milliseconds that a task spends in each state before it starts.
    pub stage: (u64, u64),
    /// Milliseconds before a failed task's successor starts.
    pub restart: u64,
    /// Milliseconds that a follower's events lag behind.
    pub lag: u64,
    /// Services bind clients to tasks by a cookie.
    #[serde(default)]
    pub sticky: bool,
    pub apps: Vec<App>,
}

/// A service of the Swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct App {
    /// Exists from the beginning.
    pub first: bool,
    /// The host that it claims by its labels: `s<host>.test`.
    pub host: Option<usize>,
    pub language: Language,
    /// None: one on each node.
    pub replicas: Option<usize>,
    pub network: usize,
    pub update: Update,
    /// Milliseconds from a process's start to its listening.
    pub listens: u64,
    /// The image has a health check, which passes so many milliseconds after the process listens.
    pub healthy: Option<u64>,
    /// Milliseconds from SIGTERM to SIGKILL.
    pub grace: u64,
}

/// The labels that an app is published by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    Traefik,
    Interlock,
}

/// How a service is updated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    pub start_first: bool,
    pub parallelism: usize,
    /// Milliseconds between two batches.
    pub delay: u64,
    /// Milliseconds for which a new task is watched.
    pub monitor: u64,
    /// A failed update is rolled back; otherwise it is paused.
    pub rollback: bool,
}

/// Something that happens to the Swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Create(usize),
    Remove(usize),
    Scale {
        app: usize,
        replicas: usize,
    },
    /// All its tasks are replaced, by ones that fail if it says so.
    Update {
        app: usize,
        fails: Option<Failing>,
    },
    /// It claims another host, or none.
    Relabel {
        app: usize,
        host: Option<usize>,
    },
    /// One of its running tasks is killed. Its address swallows what is sent there, or refuses it for a while.
    KillTask {
        app: usize,
        pick: u64,
        refuses: bool,
    },
    Drain {
        node: usize,
    },
    Activate {
        node: usize,
    },
    /// A machine dies with all its tasks; the managers notice after its heartbeats have failed to come.
    NodeDies {
        node: usize,
    },
    NodeReturns {
        node: usize,
    },
    /// The gateway is on this network from now on, or no longer.
    Attach {
        network: usize,
        present: bool,
    },
    Manager {
        manager: usize,
        fault: Fault,
    },
    /// The managers have no leader, or one again.
    Leader(bool),
    /// A manager ends its event streams.
    CutEvents(usize),
    /// A manager tells no events, or tells them again.
    DropEvents {
        manager: usize,
        drop: bool,
    },
}

/// How the tasks of a bad image fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// Before they run.
    AtStart,
    /// So many milliseconds after they began to run.
    After(u64),
}

/// What is wrong with a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    None,
    /// Takes requests and never answers.
    Hang,
    /// 503: it is being prepared, or there is an election.
    Preparing,
    /// 503: it is no manager any more.
    Worker,
    /// Calls hang for 20 s and end with 500.
    NoQuorum,
    /// It has begun anew and knows nothing yet: every list is empty.
    Empty,
    /// It is cut off from its leader and has not noticed: connections to it end, and on new ones lists are of so many milliseconds ago.
    Stale {
        by: u64,
    },
    /// The connection is cut instead of an answer, in so many thousandths.
    Lost {
        share: u32,
    },
    /// The connection is cut in the middle of the answer.
    Truncated {
        share: u32,
    },
    /// Answers take so many milliseconds.
    Slow {
        least: u64,
        most: u64,
    },
    /// The process is gone: connections are refused.
    Down,
    /// The machine is gone: nothing answers.
    Dark,
}

impl Swarm {
    /// Whether every index of an event leads somewhere.
    pub(super) fn has(&self, event: &Event, hosts: usize) -> bool {
        let (app, node) = (|i: usize| i < self.apps.len(), |i: usize| i < self.nodes);
        match event {
            Event::Create(i) | Event::Remove(i) => app(*i),
            Event::Scale { app: i, .. } | Event::Update { app: i, .. } | Event::KillTask { app: i, .. } => app(*i),
            Event::Relabel { app: i, host } => app(*i) && host.is_none_or(|host| host < hosts),
            Event::Drain { node: i } | Event::Activate { node: i } => node(*i),
            Event::NodeDies { node: i } | Event::NodeReturns { node: i } => node(*i),
            Event::Attach { network, .. } => *network < self.networks,
            Event::Manager { manager, .. } | Event::CutEvents(manager) | Event::DropEvents { manager, .. } => {
                *manager < self.managers
            }
            Event::Leader(_) => true,
        }
    }

    /// Whether its own parts refer to what is there.
    pub(super) fn is_sound(&self, hosts: usize) -> bool {
        let sound =
            |app: &App| app.network < self.networks && app.host.is_none_or(|host| host < hosts) && app.update.parallelism > 0;
        self.managers > 0 && self.nodes > 0 && self.apps.iter().all(sound)
    }
}

impl Event {
    /// Something that operators mean to happen.
    pub fn is_planned(&self) -> bool {
        match self {
            Self::KillTask { .. } | Self::NodeDies { .. } | Self::CutEvents(_) | Self::Leader(false) => false,
            Self::Update { fails, .. } => fails.is_none(),
            Self::Manager { fault, .. } => *fault == Fault::None,
            Self::DropEvents { drop, .. } => !drop,
            _ => true,
        }
    }
}
