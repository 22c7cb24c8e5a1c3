//! Sources of dynamic configuration: what a provider is, and what it says.
//!
//! A provider reads one source (a directory, a store) and tells its *whole* state each time something changed there.
//! [`crate::config_watch`] owns it: starts it, starts it again after an error or a panic, and passes on what it says.
//!
//! Owns the words between the two: [`Event`], the [`Sender`] that keeps only the latest state, and [`Provider`].
//! Deliberately absent: back-off, deduplication and health book-keeping (`config_watch`), and any judgement about what
//! the configuration means (`fairlead_core`).

pub mod docker;
pub mod etcd;
#[cfg(test)]
pub(crate) mod fake;
pub mod file;
pub mod http;
pub mod kontena;
pub mod rancher;
mod tls;

use fairlead_core::config::{RawDynamic, Rejection};
use fairlead_net::time::Instant;
use parking_lot::Mutex;
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::sync::Notify;

/// What one provider has to say.
#[derive(Clone, Debug)]
pub struct Event {
    /// Name of the provider, as in `web@file`.
    pub provider: String,
    pub kind: EventKind,
}

/// See [`Event`].
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The provider's whole state, decoded; what could not be decoded is in `rejections`. Means that the source answers.
    Configuration {
        raw: RawDynamic,
        rejections: Vec<Rejection>,
        /// Which state of the source this is: a digest of files, the revision of a store.
        revision: String,
    },
    /// The source cannot be read, or cannot be believed, since `since`; the last configuration stays in force. A provider
    /// may say so at each attempt: only the change is passed on.
    Failing { message: String, since: Instant },
    /// The source answers again, or confirmed that nothing changed.
    Healthy,
}

/// Why a provider gave up for now. It is started again after a pause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// For the operator: the source, what was expected, and the remedy.
    pub message: String,
}

impl ProviderError {
    /// Builds an error.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A source of configuration.
pub trait Provider: Send + 'static {
    /// The part after `@` in the names of what it provides.
    fn name(&self) -> &str;

    /// Reads and watches the source for as long as that works, and returns why it no longer does. Called again later on
    /// the same value, which may remember what it has read. May be dropped at any await.
    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>>;
}

/// A channel that holds the latest configuration and the latest word on health, and nothing older.
pub fn channel() -> (Sender, Receiver) {
    let shared = Arc::new(Shared { slot: Mutex::default(), filled: Notify::new() });
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// Where a provider speaks. Never waits, never fills up.
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// The other end of [`Sender`].
pub struct Receiver {
    shared: Arc<Shared>,
}

struct Shared {
    slot: Mutex<Slot>,
    filled: Notify,
}

/// What was said and not heard yet. A configuration is heard before what was said on health after it.
#[derive(Default)]
struct Slot {
    configuration: Option<EventKind>,
    health: Option<EventKind>,
}

impl Sender {
    /// Says `kind`; what it supersedes and was not heard yet is forgotten.
    pub fn send(&self, kind: EventKind) {
        let mut slot = self.shared.slot.lock();
        match kind {
            EventKind::Configuration { .. } => *slot = Slot { configuration: Some(kind), health: None },
            EventKind::Failing { .. } | EventKind::Healthy => slot.health = Some(kind),
        }
        drop(slot);
        self.shared.filled.notify_one();
    }
}

impl Receiver {
    /// The next word, as soon as there is one. Loses none if dropped.
    pub async fn recv(&mut self) -> EventKind {
        loop {
            if let Some(kind) = self.try_recv() {
                return kind;
            }
            self.shared.filled.notified().await;
        }
    }

    /// The next word, if there is one.
    pub fn try_recv(&mut self) -> Option<EventKind> {
        let mut slot = self.shared.slot.lock();
        slot.configuration.take().or_else(|| slot.health.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_net::time::now;

    fn configuration(revision: &str) -> EventKind {
        EventKind::Configuration { raw: RawDynamic::default(), rejections: Vec::new(), revision: revision.into() }
    }

    fn failing() -> EventKind {
        EventKind::Failing { message: "gone".into(), since: now() }
    }

    #[test]
    fn only_the_latest_is_heard_and_health_after_the_configuration_it_follows() {
        let (sender, mut receiver) = channel();
        sender.send(configuration("1"));
        sender.send(EventKind::Healthy);
        sender.send(configuration("2"));
        sender.send(failing());
        assert!(matches!(receiver.try_recv(), Some(EventKind::Configuration { revision, .. }) if revision == "2"));
        assert!(matches!(receiver.try_recv(), Some(EventKind::Failing { .. })));
        assert!(receiver.try_recv().is_none());
    }

    #[test]
    fn a_configuration_ends_an_older_failure() {
        let (sender, mut receiver) = channel();
        sender.send(failing());
        sender.send(configuration("3"));
        assert!(matches!(receiver.try_recv(), Some(EventKind::Configuration { .. })));
        assert!(receiver.try_recv().is_none());
    }
}
