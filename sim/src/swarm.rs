//! A simulated Swarm: one state that its managers agreed on, an orchestrator that works towards what operators want, and managers
//! that serve it over the Engine API on simulated sockets.
//!
//! [`Cluster`] is pure: [`Cluster::step`] takes the time and gives back what must happen to machines ([`Action`]); the world tells it
//! when a process ended. [`manager`] decides what a manager with its fault answers, [`serve`] puts it on the wire.
//!
//! True to Swarm: the order of a task's states, desired states, rolling updates with monitor and rollback, restarts, draining and dead
//! nodes, addresses that are free only when their task is in a terminal state, versions that rise with every write, no events for
//! tasks. Deliberately absent: raft (a leader is there or not), jobs, published ports, secrets, constraints of placement, and everything
//! that is not GET.

mod address;
mod event;
pub mod json;
pub mod manager;
pub mod model;
mod orchestrate;
mod serve;
mod task;
mod update;

pub use manager::Manager;
pub use model::{Action, Desired, Facts, State, View};
pub use serve::{Heard, Swarm};

use crate::plan::swarm as plan;
use address::Addresses;
use model::{Node, Service};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Views that a lagging manager may still give.
const REMEMBERED: usize = 4_000;

/// The cluster's state, and what is under way in it. Times are milliseconds since the world began.
pub struct Cluster {
    plan: plan::Swarm,
    view: View,
    history: VecDeque<Arc<View>>,
    events: Vec<event::Event>,
    addresses: Vec<Addresses>,
    updates: BTreeMap<String, update::Update>,
    actions: Vec<Action>,
    /// What machines do by themselves after a while.
    later: Vec<(u64, Action)>,
    /// App of each service that ever was.
    owners: BTreeMap<String, usize>,
    /// Service of each app while it exists.
    services: BTreeMap<usize, String>,
    /// Nodes without power, and since when.
    dead: Vec<Option<u64>>,
    named: u64,
    /// Tasks made so far, and the most there can be.
    tasks: usize,
    capacity: usize,
}

impl Cluster {
    /// With the services that exist from the beginning, their tasks running since long ago. `capacity`: tasks that can ever be made.
    pub fn new(plan: plan::Swarm, capacity: usize) -> Self {
        let node = |i: usize| Arc::new(Node { index: i, version: 1, ready: true, drained: false });
        let view = View { index: 10, at: 0, nodes: (0..plan.nodes).map(node).collect(), ..View::default() };
        let mut cluster = Self {
            addresses: (0..plan.networks).map(|network| Addresses::new(network, plan.reuse)).collect(),
            dead: vec![None; plan.nodes],
            view,
            history: VecDeque::new(),
            events: Vec::new(),
            updates: BTreeMap::new(),
            actions: Vec::new(),
            later: Vec::new(),
            owners: BTreeMap::new(),
            services: BTreeMap::new(),
            named: 0,
            tasks: 0,
            capacity,
            plan,
        };
        cluster.view.attached = (0..cluster.plan.networks).collect();
        for app in 0..cluster.plan.apps.len() {
            if cluster.plan.apps[app].first {
                cluster.create(0, app);
            }
        }
        cluster.orchestrate(0);
        cluster.all_run();
        cluster.remember();
        cluster
    }

    /// Time passes. What must happen to machines now.
    pub fn step(&mut self, now: u64) -> Vec<Action> {
        let before = self.view.index;
        self.look_at_nodes(now);
        self.orchestrate(now);
        self.advance_updates(now);
        self.advance_tasks(now);
        self.reap();
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        self.actions.extend(due.into_iter().map(|(_, action): (u64, Action)| action));
        if self.view.index != before {
            self.view.at = now;
            self.remember();
        }
        std::mem::take(&mut self.actions)
    }

    /// What the managers agreed on.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// As it was then, or as far back as is known.
    pub fn view_at(&self, then: u64) -> Arc<View> {
        let found = self.history.iter().rev().find(|view| view.at <= then);
        found.or_else(|| self.history.front()).expect("the first view is remembered at once").clone()
    }

    fn remember(&mut self) {
        self.history.push_back(Arc::new(self.view.clone()));
        if self.history.len() > REMEMBERED {
            self.history.pop_front();
        }
    }

    fn app(&self, service: &Service) -> &plan::App {
        &self.plan.apps[service.app]
    }

    /// The index of the next write.
    fn write(&mut self) -> u64 {
        self.view.index += 1;
        self.view.index
    }

    /// An identity that no other object ever has.
    fn name(&mut self) -> String {
        self.named += 1;
        json::identity(self.named)
    }
}

#[cfg(test)]
mod tests;
