//! The client connections of one worker: counted, and told when to end.
//!
//! Registering happens once per connection; between requests a connection only looks at its own flag.

use fairlead_net::task;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Waker},
};

/// All of a worker's connections.
#[derive(Default)]
pub struct Connections {
    next: AtomicU64,
    draining: AtomicBool,
    open: Mutex<BTreeMap<u64, Entry>>,
}

struct Entry {
    token: Arc<Token>,
    task: Option<task::Handle<()>>,
}

/// One connection's side of it.
#[derive(Default)]
pub struct Token {
    id: u64,
    drain: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Token {
    /// Whether the connection is to end after the exchange it is in. Otherwise wakes the task when that changes.
    pub fn poll_drain(&self, cx: &mut Context<'_>) -> bool {
        if self.drain.load(Ordering::Acquire) {
            return true;
        }
        let mut waker = self.waker.lock();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        self.drain.load(Ordering::Acquire)
    }

    /// The same question without a promise to be woken.
    pub fn is_draining(&self) -> bool {
        self.drain.load(Ordering::Relaxed)
    }
}

impl Connections {
    /// A place for a new connection.
    pub fn enter(&self) -> Arc<Token> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let token =
            Arc::new(Token { id, drain: AtomicBool::new(self.draining.load(Ordering::Acquire)), waker: Mutex::default() });
        self.open.lock().insert(id, Entry { token: token.clone(), task: None });
        token
    }

    /// Remembers the task that serves a connection, unless it has ended already.
    pub fn attach(&self, token: &Token, task: task::Handle<()>) {
        if let Some(entry) = self.open.lock().get_mut(&token.id) {
            entry.task = Some(task);
        }
    }

    /// The connection has ended.
    pub fn leave(&self, token: &Token) {
        self.open.lock().remove(&token.id);
    }

    /// Number of open connections.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }

    /// Every connection ends after the exchange it is in; idle ones now, new ones after their first.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        let wakers: Vec<_> = self
            .open
            .lock()
            .values()
            .filter_map(|entry| {
                entry.token.drain.store(true, Ordering::Release);
                entry.token.waker.lock().take()
            })
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops every connection where it stands.
    pub fn stop(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        open.into_values().filter_map(|entry| entry.task).for_each(|task| task.abort());
    }
}
