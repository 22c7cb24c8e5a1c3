//! From workloads to what a provider says.

use crate::provider::{EventKind, Sender};
use fairlead_core::discovery::{Discovery, Mounts, Settings, Workload};
use fairlead_net::{task, time::now};
use parking_lot::Mutex;
use std::sync::Arc;

/// Keeps what was made of each workload, so that a change of one does not decode the others again.
pub struct Teller {
    discovery: Arc<Mutex<Discovery>>,
    told: u64,
}

impl Teller {
    /// Nothing was told yet.
    pub fn new(settings: Settings) -> Self {
        Self { discovery: Arc::new(Mutex::new(Discovery::new(settings))), told: 0 }
    }

    /// Says what these workloads, all that there are, ask for. `extent` names their number in the revision.
    pub async fn tell(&mut self, workloads: Arc<Vec<Workload>>, mounts: &Mounts, extent: &str, out: &Sender) {
        self.told += 1;
        let revision = format!("{} ({extent})", self.told);
        let (discovery, mounts) = (self.discovery.clone(), mounts.clone());
        // Thousands of services take their time, and other actors share this thread.
        let composed = task::spawn_blocking(move || {
            let (raw, rejections) = discovery.lock().compose(&workloads, &mounts);
            EventKind::Configuration { raw, rejections, revision }
        });
        let failed = |e| EventKind::Failing { message: format!("the labels could not be decoded: {e}"), since: now() };
        out.send(composed.await.unwrap_or_else(failed));
    }
}
