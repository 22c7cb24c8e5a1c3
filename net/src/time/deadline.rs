//! A deadline that moves with every request and seldom passes.

use super::{Instant, Sleep, now};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A timer to be set, moved and cleared many times and polled beside other work.
///
/// Moving it later or clearing it touches no timer: the one that is armed fires early, finds the deadline moved, and
/// is armed again. So a connection that sets a time-out per request pays for one timer per time-out, not per request.
/// Nothing is allocated before the first poll of a deadline that is set.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Timer>,
}

struct Timer {
    sleep: Pin<Box<Sleep>>,
    fires: Instant,
    /// Whom the timer will wake; `None` if it was not polled since it was armed.
    waker: Option<Waker>,
}

impl Deadline {
    /// A deadline that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets or moves the deadline.
    pub fn set(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Forgets the deadline: it never passes.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// When it passes.
    pub fn get(&self) -> Option<Instant> {
        self.at
    }

    /// Ready once the deadline has passed, and on every poll after that until it is set anew or cleared.
    /// Setting an earlier deadline takes effect at the next poll.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Timer { sleep: Box::pin(Sleep::until(at)), fires: at, waker: None });
        loop {
            if timer.fires > at {
                timer.arm(at);
            }
            if !timer.sleep.is_elapsed() && timer.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            if timer.sleep.as_mut().poll(cx).is_pending() {
                timer.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if timer.fires >= at || at <= now() {
                return Poll::Ready(());
            }
            timer.arm(at);
        }
    }

    /// Waits until it has passed; for ever if it is not set.
    pub async fn expired(&mut self) {
        poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

impl Timer {
    fn arm(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        (self.fires, self.waker) = (at, None);
    }
}
