//! What is known of a daemon's containers, and what a list or an event means. Pure: answers come in as arguments, workloads
//! come out.
//!
//! Rules
//! - **An instance** is a container that runs, and is healthy or has no health check. An event that says that it is about to go
//!   (a signal that ends it, its death) takes it out at once; the daemon lists it as running until it is gone. It comes back by
//!   an event, or when it is still listed after [`GRACE`].
//! - Containers of one compose service with the same labels are instances of one workload.
//! - Containers of Swarm tasks are the provider `swarm`'s.
//! - **Doubt.** A list without any container, although some were known that no event said were going, is not believed before
//!   it came again [`CONFIRM`] later.
//!
//! Deliberately absent: when to ask, and what labels mean (`fairlead_core`).

use super::translate;
use crate::provider::docker::api::Container;
use fairlead_core::discovery::Workload;
use fairlead_net::time::{Duration, Instant};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// How long a container may take to end. Docker's own default is 10 s.
pub const GRACE: Duration = Duration::from_secs(60);

/// How long everything has to be gone before it is gone.
pub const CONFIRM: Duration = Duration::from_secs(1);

/// What a list or an event meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// [`State::workloads`] differ from what they were.
    Changed,
    /// It is not believed, for this reason; the workloads stay.
    Doubt(String),
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct State {
    pub(super) containers: BTreeMap<String, Arc<Container>>,
    /// Containers on their way out, and since when.
    pub(super) leaving: BTreeMap<String, Instant>,
    /// Networks that this gateway shares, by id, as far as that is known.
    pub(super) shared: Option<BTreeSet<String>>,
    /// The address at which what has the host's network is reached.
    pub(super) host: Option<IpAddr>,
    doubted: Option<Instant>,
    workloads: Arc<Vec<Workload>>,
}

impl State {
    /// A list of all containers.
    pub fn apply(&mut self, list: Vec<Arc<Container>>, now: Instant) -> News {
        let list: BTreeMap<String, Arc<Container>> = list
            .into_iter()
            .filter(|container| !is_of_swarm(container))
            .map(|container| (container.id.clone(), container))
            .collect();
        let unannounced = || self.containers.keys().any(|id| !self.leaving.contains_key(id));
        if list.is_empty() && unannounced() {
            let since = *self.doubted.get_or_insert(now);
            if now.saturating_duration_since(since) < CONFIRM {
                return News::Doubt(format!(
                    "the daemon suddenly lists no container: the {} known stay in force until it says so again",
                    self.containers.len()
                ));
            }
        }
        self.containers = list;
        self.unchanged(now)
    }

    /// The list is the one that was applied last.
    pub fn unchanged(&mut self, now: Instant) -> News {
        self.doubted = None;
        let containers = &self.containers;
        self.leaving.retain(|id, since| {
            let runs = containers.get(id).is_some_and(|container| container.state == "running");
            runs && now.saturating_duration_since(*since) < GRACE
        });
        self.settle()
    }

    /// Events about containers: on their way out, or not (any more).
    pub fn hear(&mut self, containers: &BTreeMap<String, bool>, now: Instant) -> News {
        for (id, leaves) in containers {
            if !leaves {
                self.leaving.remove(id);
            } else if self.containers.contains_key(id) {
                self.leaving.insert(id.clone(), now);
            }
        }
        self.settle()
    }

    /// The stream of events was interrupted: who was on the way out may have come back since.
    pub fn forget_leaving(&mut self) {
        self.leaving.clear();
    }

    /// Networks that this gateway is on; `None`: not known.
    pub fn is_on(&mut self, networks: Option<BTreeSet<String>>) {
        self.shared = networks;
    }

    /// Where the host is.
    pub fn reaches_host_at(&mut self, ip: IpAddr) {
        self.host = Some(ip);
    }

    /// Whether a container shares the host's network, so that the host's address is needed.
    pub fn wants_host(&self) -> bool {
        self.host.is_none() && self.containers.values().any(|container| container.host_config.network_mode == "host")
    }

    /// Everything that is to be served, by id.
    pub fn workloads(&self) -> Arc<Vec<Workload>> {
        self.workloads.clone()
    }

    /// Whether the last list is not believed.
    pub fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    /// For messages: how much is known.
    pub fn extent(&self) -> usize {
        self.containers.len()
    }

    /// Makes the workloads anew.
    pub fn settle(&mut self) -> News {
        let made = translate::workloads(self);
        if *self.workloads == made {
            return News::Nothing;
        }
        self.workloads = Arc::new(made);
        News::Changed
    }
}

fn is_of_swarm(container: &Container) -> bool {
    container.labels.get("com.docker.swarm.task.id").is_some_and(|id| !id.is_empty())
}

#[cfg(test)]
mod tests;
