//! Timers. Durations and instants are those of `std`; in the simulator they run on virtual time.
//!
//! A timer is late by up to a millisecond on the real arm, never early. Deliberately absent: the wall clock
//! (see [`crate::clock`]) and a way to stop time.

pub use crate::arm::time::Sleep;
pub use deadline::Deadline;
pub use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::{Context, Poll},
};

mod deadline;

/// The present, as far as durations are concerned.
#[expect(clippy::disallowed_methods, reason = "this is what others are to call; madsim answers it with virtual time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Ends after `d`.
pub fn sleep(d: Duration) -> Sleep {
    sleep_until(after(d))
}

/// Ends at `at`, or at once if that has passed.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep::until(at)
}

/// `d` from now; a sum that overflows is thirty years off.
pub fn after(d: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    let now = now();
    now.checked_add(d).unwrap_or_else(|| now + FAR)
}

/// Lets `future` run for at most `d`. Its result wins if both are ready at the same time.
pub fn timeout<F: Future>(d: Duration, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(d) }
}

/// Lets `future` run until `at`. Its result wins if both are ready at the same time.
pub fn timeout_at<F: Future>(at: Instant, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep_until(at) }
}

/// The time was up first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(_: Elapsed) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}

pin_project! {
    /// See [`timeout`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(v) = this.future.poll(cx) {
            return Poll::Ready(Ok(v));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed))
    }
}

/// Ticks at once and then every `period` (at least a millisecond). A tick that comes late moves the later ones:
/// nobody is made to catch up.
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks at `start` and then every `period`; see [`interval`].
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval { sleep: Box::pin(sleep_until(start)), next: start, period: period.max(Duration::from_millis(1)) }
}

/// See [`interval`].
pub struct Interval {
    sleep: Pin<Box<Sleep>>,
    next: Instant,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick; loses none if it is dropped before.
    pub async fn tick(&mut self) {
        poll_fn(|cx| self.poll_tick(cx)).await;
    }

    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        std::task::ready!(self.sleep.as_mut().poll(cx));
        let now = now();
        let planned = self.next + self.period;
        self.next = if planned > now { planned } else { now + self.period };
        self.sleep.as_mut().reset(self.next);
        Poll::Ready(())
    }
}
