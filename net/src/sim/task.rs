//! madsim's tasks, on the current node. A worker is a task, too: its node has one thread of virtual time.

use super::net::Net;
use crate::task::{JoinError, Worker, yield_now};
use madsim::{
    rand::{Rng, thread_rng},
    time::Sleep,
};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
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

/// Not counted.
pub(crate) fn alive() -> Option<usize> {
    None
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
    Joined(madsim::task::spawn(Starved { future, waiting: None }))
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
    Ok(Worker { inner: Joined(madsim::task::spawn_local(Starved { future: async move { make().await }, waiting: None })) })
}

pin_project! {
    /// A task whose polls come late while its host is starved ([`Net::starve`]), as on a machine with more to do than CPUs.
    struct Starved<F> {
        #[pin]
        future: F,
        waiting: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Starved<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.waiting.is_none()
            && let Some(most) = starvation()
        {
            let late = Duration::from_micros(thread_rng().gen_range(0..=most.as_micros() as u64));
            *this.waiting = Some(Box::pin(madsim::time::sleep(late)));
        }
        if let Some(waiting) = this.waiting {
            // Whatever woke this task meanwhile is seen when it is polled at last.
            ready!(waiting.as_mut().poll(cx));
            *this.waiting = None;
        }
        this.future.poll(cx)
    }
}

/// How late the current host polls its tasks at most, if it is starved.
fn starvation() -> Option<Duration> {
    let net = Net::try_current()?;
    net.with(|w| if w.starving == 0 { None } else { w.caller().ok().and_then(|host| w.host(host).starvation) })
}
