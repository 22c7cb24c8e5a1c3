//! madsim's timers, exact instead of rounded up to a millisecond, and armed once however often they are polled.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Ends at an instant that can be moved.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    at: Instant,
    /// What madsim was asked for: it adds a timer at every poll, and keeps those of dropped sleeps.
    armed: Option<(Instant, Waker)>,
}

impl Sleep {
    pub(crate) fn until(at: Instant) -> Self {
        Self { at, armed: None }
    }

    /// Moves the end; a sleep that had ended waits again.
    pub fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
    }

    /// Whether its time has come.
    pub fn is_elapsed(&self) -> bool {
        self.at <= Instant::now()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_elapsed() {
            self.armed = None;
            return Poll::Ready(());
        }
        if self.armed.as_ref().is_some_and(|(at, waker)| *at == self.at && waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let mut timer = madsim::time::sleep(Duration::ZERO);
        Pin::new(&mut timer).reset(self.at);
        if Pin::new(&mut timer).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.armed = Some((self.at, cx.waker().clone()));
        Poll::Pending
    }
}
