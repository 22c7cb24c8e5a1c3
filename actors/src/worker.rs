//! Data-plane workers: one thread each, with its own listeners and its own idle upstream connections.
//!
//! A worker accepts and serves; it decides nothing about configuration. It is told what to do through a queue by the Listener
//! actors, and finds what to serve in [`Shared`].

use crate::{
    connections::Connections, ending::Ending, entry_point::EntryPoint, internal::Internals, proxy::connection, published::Cell,
    telemetry::Telemetry,
};
use fairlead_core::config::static_::{Limits, RequestId};
use fairlead_net::{
    http::ResponseHead,
    task,
    tcp::{ListenOptions, Listener},
    time::{self, Duration, Instant},
};
use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
};
use tokio::sync::{mpsc, oneshot};

/// What all workers see.
pub struct Shared {
    pub published: Cell,
    pub telemetry: Telemetry,
    pub internals: Internals,
    /// Opt-in response field that names the reason of an answer of Fairlead's own.
    pub reason_header: Option<String>,
    pub request_id: Option<RequestId>,
    pub limits: Limits,
    /// This gateway's name in `Via`; empty: no `Via`, and no loop detection by it.
    pub pseudonym: String,
    pub epoch: Instant,
    pub ending: Ending,
}

impl Shared {
    /// Core's time: since this gateway began.
    pub fn since_epoch(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.epoch)
    }

    /// Back from core's time.
    pub fn instant(&self, since_epoch: Duration) -> Instant {
        self.epoch + since_epoch
    }

    /// Whether every provider has spoken, so that no route means that there is none.
    pub fn is_synced(&self) -> bool {
        self.internals.is_synced()
    }

    /// Writes what every response carries, a server's and Fairlead's own.
    pub fn stamp(&self, response: &mut ResponseHead, request_id: Option<&str>) {
        if let (Some(wanted), Some(id)) = (&self.request_id, request_id) {
            response.fields.set(&wanted.header, id.as_bytes());
        }
    }
}

/// One worker, as its connections see it.
pub struct Worker {
    pub id: usize,
    pub shared: Arc<Shared>,
    /// With this worker's own counters and buffers.
    pub telemetry: Telemetry,
    pub connections: Connections,
    /// Accept loops that have not ended.
    accepting: AtomicUsize,
    /// Requests that went over a kept connection, not yet told to the metrics: all workers share that counter.
    pub reuses: AtomicU64,
    idle_seen: AtomicI64,
    tasks_seen: AtomicI64,
}

impl Worker {
    fn new(id: usize, shared: Arc<Shared>) -> Self {
        Self {
            id,
            telemetry: shared.telemetry.for_worker(id),
            shared,
            connections: Connections::default(),
            accepting: AtomicUsize::new(0),
            reuses: AtomicU64::new(0),
            idle_seen: AtomicI64::new(0),
            tasks_seen: AtomicI64::new(0),
        }
    }

    /// Whether it takes, or may still take, new connections.
    pub fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Acquire) > 0
    }
}

/// What a Listener actor asks of a worker.
pub enum Command {
    /// Listen here; the answer is the address bound.
    Listen { entry: Arc<EntryPoint>, address: SocketAddr, bound: oneshot::Sender<io::Result<SocketAddr>> },
    /// Take what waits in the queue, then listen no more.
    Close { entry: String },
    /// Listen no more, close idle connections; others close after their exchange.
    Drain,
    /// Drop every connection now.
    Stop,
}

/// A worker, as the control plane sees it.
pub struct Handle {
    pub worker: Arc<Worker>,
    pub commands: mpsc::UnboundedSender<Command>,
    pub ended: task::Worker<()>,
}

/// Starts worker number `id`, on that CPU if `pin`.
///
/// # Errors
/// The thread could not be started.
pub fn start(id: usize, pin: bool, shared: Arc<Shared>) -> io::Result<Handle> {
    let worker = Arc::new(Worker::new(id, shared));
    let (commands, queue) = mpsc::unbounded_channel();
    let run = worker.clone();
    let ended = task::spawn_worker(&format!("worker-{id}"), pin.then_some(id), move || run_worker(run, queue))?;
    Ok(Handle { worker, commands, ended })
}

async fn run_worker(worker: Arc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut accepting: BTreeMap<String, Vec<Arc<Accept>>> = BTreeMap::new();
    let _sweeper = task::spawn(sweep(worker.clone())).owned();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { entry, address, bound } => {
                let listener = Listener::bind(address, ListenOptions { reuse_port: true, ..ListenOptions::default() });
                let outcome = listener.and_then(|listener| {
                    let at = listener.local_addr()?;
                    let accept = Arc::new(Accept::default());
                    accepting.entry(entry.name.clone()).or_default().push(accept.clone());
                    worker.accepting.fetch_add(1, Ordering::AcqRel);
                    task::spawn(accept_loop(worker.clone(), entry, listener, accept));
                    Ok(at)
                });
                if bound.send(outcome).is_err() {
                    tracing::debug!(worker = worker.id, "nobody waits for the address bound");
                }
            }
            Command::Close { entry } => accepting.remove(&entry).into_iter().flatten().for_each(|accept| accept.close()),
            Command::Drain => {
                accepting.values().flatten().for_each(|accept| accept.close());
                #[cfg(planted = "drain_cuts")]
                if fairlead_net::sim::is_planted("drain_cuts") {
                    worker.connections.stop();
                }
                worker.connections.drain();
            }
            Command::Stop => break,
        }
    }
    for accept in accepting.into_values().flatten() {
        accept.close();
    }
    worker.connections.stop();
}

/// Tells an accept loop to end.
#[derive(Default)]
struct Accept {
    closed: AtomicBool,
    waker: parking_lot::Mutex<Option<Waker>>,
}

impl Accept {
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}

struct Accepting<'a>(&'a Worker);

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long accepting rests when the system has no descriptor or memory to give.
const EXHAUSTED: Duration = Duration::from_millis(20);

async fn accept_loop(worker: Arc<Worker>, entry: Arc<EntryPoint>, listener: Listener, accept: Arc<Accept>) {
    let _accepting = Accepting(&worker);
    loop {
        let accepted = poll_fn(|cx| {
            // What waits in the queue is taken even when closing: its clients have a connection already.
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(Some(accepted));
            }
            *accept.waker.lock() = Some(cx.waker().clone());
            if accept.closed.load(Ordering::Acquire) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await;
        match accepted {
            None => return,
            Some(Ok((stream, peer))) => connection::start(&worker, &entry, stream, peer),
            Some(Err(_)) if planted!("accept_stops") => return,
            Some(Err(e)) => {
                if entry.may_complain() {
                    tracing::warn!(entry_point = entry.name, error = %e, "could not accept; is the limit of open files reached?");
                }
                if accept.closed.load(Ordering::Acquire) {
                    return;
                }
                time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// Once a second: idle upstream connections that are dead or too old are closed.
async fn sweep(worker: Arc<Worker>) {
    let mut every = time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let published = worker.shared.published.load();
        let mut idle = 0;
        for backend in published.backends() {
            let limit = backend.transport.idle_timeout;
            let oldest = if limit.is_zero() { None } else { time::now().checked_sub(limit) };
            for endpoint in &backend.endpoints {
                idle += endpoint.sweep(worker.id, oldest) as i64;
                endpoint.tick(worker.shared.since_epoch(time::now()));
            }
        }
        let process = worker.telemetry.process();
        process.upstream_idle.add(idle - worker.idle_seen.swap(idle, Ordering::Relaxed));
        if let Some(tasks) = task::alive() {
            let tasks = tasks as i64;
            process.worker_tasks.add(tasks - worker.tasks_seen.swap(tasks, Ordering::Relaxed));
        }
        process.upstream_reuses.add(worker.reuses.swap(0, Ordering::Relaxed));
    }
}
