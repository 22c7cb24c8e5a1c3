//! How far this gateway is on its way down, as connections see it.
//!
//! Owns the drain machine of core, so that whoever answers a request can ask whether its connection should end with it.
//! Deliberately absent: acting on it, which is the [`Gateway`](crate::gateway::Gateway)'s.

use fairlead_core::drain::{Action, Drain, Event, Periods, Phase};
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// See the module.
pub struct Ending {
    /// Until then nobody takes the lock.
    begun: AtomicBool,
    drain: Mutex<Drain>,
}

impl Ending {
    /// Running.
    pub fn new(periods: Periods) -> Self {
        Self { begun: AtomicBool::new(false), drain: Mutex::new(Drain::new(periods)) }
    }

    /// Moves the machine along, and tells what is to be done.
    pub fn handle(&self, now: Duration, event: Event) -> Vec<Action> {
        let mut drain = self.drain.lock();
        let actions = drain.handle(now, event);
        self.begun.store(drain.phase() != Phase::Running, Ordering::Release);
        actions
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.drain.lock().phase()
    }

    /// Whether a connection should end with the request it has now; the arguments are asked for only on the way down.
    pub fn ends_connection(&self, now: impl FnOnce() -> Duration, random: impl FnOnce() -> u64) -> bool {
        self.begun.load(Ordering::Relaxed) && self.drain.lock().ends_connection(now(), random())
    }
}
