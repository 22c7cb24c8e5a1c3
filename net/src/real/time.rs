//! tokio's timer, with `std`'s instants.

use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

pin_project! {
    /// Ends at an instant that can be moved.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Sleep {
        #[pin]
        inner: tokio::time::Sleep,
    }
}

impl Sleep {
    pub(crate) fn until(at: Instant) -> Self {
        Self { inner: tokio::time::sleep_until(at.into()) }
    }

    /// Moves the end; a sleep that had ended waits again.
    pub fn reset(self: Pin<&mut Self>, at: Instant) {
        self.project().inner.reset(at.into());
    }

    /// Whether the timer has fired.
    pub fn is_elapsed(&self) -> bool {
        self.inner.is_elapsed()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll(cx)
    }
}
