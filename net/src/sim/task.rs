//! madsim's tasks, on the current node. A worker is a task, too: its node has one thread of virtual time.

use super::net::Net;
use crate::task::{JoinError, Worker, yield_now};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

pub(crate) struct Joined<T>(madsim::task::JoinHandle<T>);

impl<T> Joined<T> {
    pub(crate) fn abort(&self) {
        self.0.abort();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)).map_err(|_| JoinError::Aborted))
    }
}

impl<T> Future for Joined<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_join(cx)
    }
}

pub(crate) type WorkerJoin<T> = Joined<T>;

#[track_caller]
pub(crate) fn spawn<F>(future: F) -> Joined<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Joined(madsim::task::spawn(future))
}

pub(crate) async fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    yield_now().await;
    Ok(f())
}

/// CPUs of the current host (`sim::Net::cpus`).
pub fn available_cpus() -> usize {
    Net::current().with(|w| w.caller().map_or(1, |host| w.host(host).cpus))
}

/// Starts a worker: a task that runs what `make` returns. Name and CPU have no meaning here.
pub fn spawn_worker<M, F>(name: &str, cpu: Option<usize>, make: M) -> io::Result<Worker<F::Output>>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output: Send + 'static> + 'static,
{
    tracing::debug!(worker = name, cpu, "is a task");
    Ok(Worker { inner: Joined(madsim::task::spawn_local(async move { make().await })) })
}
