//! What is known of a provider's health, for whoever asks: admin API, metrics, readiness.

use crate::telemetry::ProviderSeries;
use fairlead_net::{clock, time::Instant};
use parking_lot::Mutex;
use std::{sync::Arc, time::SystemTime};
use tokio::sync::Notify;

/// One provider's health. Shared; a short lock, held by nobody across an await.
pub struct ProviderStatus {
    name: String,
    view: Mutex<StatusView>,
    synced: Notify,
    series: Arc<ProviderSeries>,
}

/// A copy of what is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// The source answers. False before it did for the first time.
    pub healthy: bool,
    /// The first configuration was passed on.
    pub synced: bool,
    /// When the source last gave or confirmed its state: the age of what is served is the time since then.
    pub last_success: Option<Instant>,
    pub failing_since: Option<Instant>,
    /// The latest failure, in words; empty while healthy.
    pub message: String,
    /// The state of the source that was passed on last.
    pub revision: String,
    /// Units that the provider could not read in that state.
    pub rejections: usize,
    /// Configurations passed on.
    pub updates: u64,
    /// Configurations dropped because they said what the last one said.
    pub unchanged: u64,
    /// Ends of the provider's task, by error or panic.
    pub restarts: u64,
}

impl ProviderStatus {
    /// Nothing known yet of the provider called `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), view: Mutex::default(), synced: Notify::new(), series: Arc::default() }
    }

    /// The same, told to the metrics too.
    pub fn recorded_in(self, series: Arc<ProviderSeries>) -> Self {
        Self { series, ..self }
    }

    /// The provider's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known now.
    pub fn view(&self) -> StatusView {
        self.view.lock().clone()
    }

    /// Whether the first configuration was passed on.
    pub fn is_synced(&self) -> bool {
        self.view.lock().synced
    }

    /// Waits until the first configuration was passed on.
    pub async fn synced(&self) {
        loop {
            let notified = self.synced.notified();
            if self.is_synced() {
                return;
            }
            notified.await;
        }
    }

    /// True if it was not healthy before.
    pub(super) fn healthy(&self, now: Instant) -> bool {
        let mut view = self.view.lock();
        self.series.synced(clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        view.last_success = Some(now);
        view.failing_since = None;
        view.message.clear();
        !std::mem::replace(&mut view.healthy, true)
    }

    /// True if it was healthy before, or nothing was known.
    pub(super) fn failing(&self, message: &str, since: Instant) -> bool {
        let mut view = self.view.lock();
        self.series.connected(false);
        self.series.failures.inc();
        view.healthy = false;
        message.clone_into(&mut view.message);
        let first = view.failing_since.is_none();
        view.failing_since.get_or_insert(since);
        first
    }

    pub(super) fn configured(&self, revision: &str, rejections: usize, unchanged: bool) {
        let mut view = self.view.lock();
        revision.clone_into(&mut view.revision);
        view.rejections = rejections;
        if !unchanged {
            self.series.updates.inc();
        }
        *if unchanged { &mut view.unchanged } else { &mut view.updates } += 1;
    }

    /// After the event was passed on, so that "synced" is never true too early.
    pub(super) fn applied(&self, configured: bool) {
        if configured && !std::mem::replace(&mut self.view.lock().synced, true) {
            self.synced.notify_waiters();
        }
    }

    pub(super) fn restarted(&self) {
        self.view.lock().restarts += 1;
    }
}
