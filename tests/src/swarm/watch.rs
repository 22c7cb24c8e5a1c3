//! When tasks began to run and when they were meant to stop, as Swarm's own store says, while a test changes things.

use super::{Engine, Swarm, Task};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What became of one task. Times are since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// It ran from then on.
    pub running: Option<Duration>,
    /// It was meant to run no longer from then on, while it still ran.
    pub leaving: Option<Duration>,
    /// It ended without being meant to.
    pub crashed: bool,
}

/// A look at all tasks again and again, until [`Watch::end`].
pub struct Watch {
    ended: Arc<AtomicBool>,
    changes: Arc<Mutex<BTreeMap<String, Change>>>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    ///
    /// # Panics
    /// The engine does not answer.
    pub fn begin() -> Self {
        let (ended, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let (until, into) = (ended.clone(), changes.clone());
        let mut engine = Engine::connect(&Swarm::socket()).expect("the engine answers");
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let tasks = engine.get("/tasks").expect("the engine lists tasks");
                let mut changes = into.lock().unwrap_or_else(PoisonError::into_inner);
                for task in tasks.as_array().into_iter().flatten().map(Task::of_json) {
                    note(changes.entry(task.id.clone()).or_default(), &task);
                }
                drop(changes);
                pause();
            }
        });
        Self { ended, changes, thread }
    }

    /// Looks no more, and tells what was seen, by task.
    pub fn end(self) -> BTreeMap<String, Change> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the engine answered throughout");
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn note(change: &mut Change, task: &Task) {
    match (task.state.as_str(), task.desired.as_str()) {
        ("running", "running") => change.running = change.running.or(Some(task.since)),
        // The first write after the change is the change itself: the agent's report comes seconds later.
        ("running", _) => change.leaving = change.leaving.or(Some(task.updated)),
        ("failed" | "complete", _) if change.leaving.is_none() => change.crashed = true,
        _ => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "the pace of looking, not a wait for anything")]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}
