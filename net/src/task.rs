//! Tasks and data-plane workers.
//!
//! A task runs where it was spawned: on the real arm on the current tokio runtime, in the simulator on the current
//! node, whose death ends it. A panic ends the task and is told to whoever waits for it; one that nobody waits for is
//! printed by the panic hook. In the simulator a panic ends the run instead: a rehearsal must not survive one.

pub use crate::arm::task::{available_cpus, spawn_worker};

use pin_project_lite::pin_project;
use std::{
    any::Any,
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
};

/// Starts a task. Dropping the handle leaves it running.
#[track_caller]
pub fn spawn<F>(future: F) -> Handle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Handle { inner: crate::arm::task::spawn(future) }
}

/// Runs `f` where blocking is allowed (hashing a password, reading a large directory) and waits for it. In the
/// simulator it runs in place. If the caller is dropped, `f` still runs to its end.
pub async fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    crate::arm::task::spawn_blocking(f).await
}

/// Tasks of this thread's runtime that have not ended; `None` where that is not counted.
pub fn alive() -> Option<usize> {
    crate::arm::task::alive()
}

/// Lets other tasks run first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A running task: await it for its result.
pub struct Handle<T> {
    inner: crate::arm::task::Joined<T>,
}

impl<T> Handle<T> {
    /// Asks the task to end at its next await. Waiting for it then yields [`JoinError::Aborted`], or its result if it
    /// was done already.
    pub fn abort(&self) {
        self.inner.abort();
    }

    pub fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    /// Aborts the task when the handle is dropped.
    pub fn owned(self) -> Owned<T> {
        Owned { handle: Some(self) }
    }
}

impl<T> Future for Handle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.poll_join(cx)
    }
}

/// A task that lives no longer than this value: await it through `&mut`, or [`Owned::detach`] it.
pub struct Owned<T> {
    handle: Option<Handle<T>>,
}

impl<T> Owned<T> {
    /// Lets the task live on.
    pub fn detach(mut self) -> Handle<T> {
        self.handle.take().expect("taken only by detach, which consumes the value")
    }
}

impl<T> Deref for Owned<T> {
    type Target = Handle<T>;

    fn deref(&self) -> &Handle<T> {
        self.handle.as_ref().expect("taken only by detach, which consumes the value")
    }
}

impl<T> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut Handle<T> {
        self.handle.as_mut().expect("taken only by detach, which consumes the value")
    }
}

impl<T> Future for Owned<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut **self).poll(cx)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

pin_project! {
    /// A data-plane worker: await it for the result of its future.
    #[must_use = "a worker's end, by panic or return, is told here only"]
    pub struct Worker<T> {
        #[pin]
        pub(crate) inner: crate::arm::task::WorkerJoin<T>,
    }
}

impl<T> Future for Worker<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// It panicked, with this message.
    Panicked(String),
    /// It was aborted, or its runtime or node ended.
    Aborted,
}

impl JoinError {
    #[cfg_attr(madsim, expect(dead_code, reason = "a panic ends the simulation before anyone could ask"))]
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(text.unwrap_or("a panic without a message").to_owned())
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(message) => write!(f, "the task panicked: {message}"),
            Self::Aborted => f.write_str("the task was aborted"),
        }
    }
}

impl std::error::Error for JoinError {}
