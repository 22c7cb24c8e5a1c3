//! tokio tasks; data-plane workers as pinned threads with a runtime each.

use crate::task::{JoinError, Worker};
use std::{
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};
use tokio::{runtime, sync::oneshot};

pub(crate) struct Joined<T>(tokio::task::JoinHandle<T>);

impl<T> Joined<T> {
    pub(crate) fn abort(&self) {
        self.0.abort();
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn poll_join(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)).map_err(told))
    }
}

fn told(e: tokio::task::JoinError) -> JoinError {
    match e.try_into_panic() {
        Ok(payload) => JoinError::from_panic(&*payload),
        Err(_) => JoinError::Aborted,
    }
}

#[track_caller]
pub(crate) fn spawn<F>(future: F) -> Joined<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Joined(tokio::spawn(future))
}

pub(crate) async fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    tokio::task::spawn_blocking(f).await.map_err(told)
}

pub(crate) fn alive() -> Option<usize> {
    Some(runtime::Handle::try_current().ok()?.metrics().num_alive_tasks())
}

/// CPUs this process may use, after affinity masks and control-group quotas; at least 1.
pub fn available_cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) type WorkerJoin<T> = Outcome<T>;

pub(crate) struct Outcome<T>(oneshot::Receiver<Result<T, JoinError>>);

impl<T> Future for Outcome<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)).unwrap_or(Err(JoinError::Aborted)))
    }
}

/// Starts a worker: a thread named `name` with a runtime of its own that runs what `make` returns, and all that it
/// spawns. `cpu` counts the CPUs this process may use, modulo their number; the thread is pinned to that one.
/// When the future ends, the tasks it left behind are dropped with the runtime.
pub fn spawn_worker<M, F>(name: &str, cpu: Option<usize>, make: M) -> io::Result<Worker<F::Output>>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output: Send + 'static> + 'static,
{
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = oneshot::channel();
    let run = {
        let name = name.to_owned();
        move || {
            if let Some(cpu) = cpu {
                pin_to(&name, cpu);
            }
            let end = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async move { make().await })));
            // Work on blocking threads must not hold up the end of a drain.
            runtime.shutdown_background();
            if tell.send(end.map_err(|payload| JoinError::from_panic(&*payload))).is_err() {
                tracing::debug!(worker = name, "ended with nobody waiting for it");
            }
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(Worker { inner: Outcome(told) })
}

fn pin_to(name: &str, cpu: usize) {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    let pinned = !ids.is_empty() && core_affinity::set_for_current(ids[cpu % ids.len()]);
    if !pinned {
        tracing::warn!(worker = name, cpu, "could not be pinned to a CPU; it runs wherever the scheduler puts it");
    }
}
