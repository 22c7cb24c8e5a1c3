//! What hyper asks of a runtime: tasks, timers, and its own I/O traits over ours.
//!
//! Use these and never `hyper_util`'s `TokioExecutor` or `TokioTimer`, which know nothing of the simulator.

pub use hyper_util::rt::TokioIo as Io;

use crate::{task, time};
use std::{future::Future, pin::Pin};
use time::{Duration, Instant};

/// Runs hyper's background work (HTTP/2 streams) as tasks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        task::spawn(future);
    }
}

/// Gives hyper its time-outs. Without one, hyper's header time-out is silently off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(time::sleep_until(deadline))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<time::Sleep>() {
            Some(ours) => ours.reset(new_deadline),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

impl hyper::rt::Sleep for time::Sleep {}
