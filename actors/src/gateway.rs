//! The whole gateway, put together: workers, actors, providers; from start to drain.
//!
//! Used by the binary and by the simulator alike. Owns the order of starting and of stopping, and nothing of what happens between.

use crate::{
    backend_pool,
    certificates::{self, Kept},
    config_watch::ProviderStatus,
    ending::Ending,
    entry_point::EntryPoint,
    internal::Internals,
    published::{Cell, Published},
    router,
    supervisor::{self, Supervisor},
    telemetry::Telemetry,
    worker::{self, Command, Shared},
};
use arc_swap::ArcSwapOption;
use fairlead_core::{
    config::static_::{Protocol, StaticConfig},
    drain::{Action, Event, Outcome, Periods, Phase},
    snapshot::{EntryPointId, EntryPointSpec},
};
use fairlead_net::{
    random,
    time::{self, Duration},
};
use parking_lot::Mutex;
use ractor::{Actor, ActorRef};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// What a gateway is made of.
pub struct Options {
    pub config: StaticConfig,
    pub telemetry: Telemetry,
    /// Data-plane workers; at least one.
    pub workers: usize,
    /// Each worker on a CPU of its own.
    pub pin: bool,
    /// For `X-Forwarded-Server`.
    pub host_name: String,
    /// Providers by name, each with a way to make it.
    pub providers: Vec<(String, crate::config_watch::Make)>,
}

/// A running gateway.
pub struct Gateway {
    shared: Arc<Shared>,
    directory: Arc<Directory>,
    workers: Vec<worker::Handle>,
    supervisor: ActorRef<supervisor::Msg>,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// How far a gateway has come in what it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Served {
    Nothing,
    /// What Fairlead declares itself: `/ping`, `/ready`, metrics, the API.
    Internals,
    /// What every provider has said, too.
    Everything,
}

/// The actors that there are now, and how far starting has come. Outlives every one of them.
pub struct Directory {
    router: ArcSwapOption<ActorRef<router::Msg>>,
    backend_pool: ArcSwapOption<ActorRef<backend_pool::Msg>>,
    certificates: ArcSwapOption<ActorRef<certificates::Msg>>,
    bound: Mutex<BTreeMap<String, SocketAddr>>,
    served: watch::Sender<Served>,
    listening: AtomicBool,
    draining: AtomicBool,
    pub providers: Vec<Arc<ProviderStatus>>,
    pub inputs: Arc<router::Inputs>,
    pub certificates_kept: Arc<Kept>,
}

impl Directory {
    fn new(providers: Vec<Arc<ProviderStatus>>) -> Self {
        Self {
            router: ArcSwapOption::empty(),
            backend_pool: ArcSwapOption::empty(),
            certificates: ArcSwapOption::empty(),
            bound: Mutex::default(),
            served: watch::Sender::new(Served::Nothing),
            listening: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            providers,
            inputs: Arc::default(),
            certificates_kept: Arc::default(),
        }
    }

    /// The Router that runs now.
    pub fn router(&self) -> Option<ActorRef<router::Msg>> {
        self.router.load().as_deref().cloned()
    }

    /// A Router has begun.
    pub fn set_router(&self, actor: ActorRef<router::Msg>) {
        self.router.store(Some(Arc::new(actor)));
    }

    /// The BackendPool that runs now.
    pub fn backend_pool(&self) -> Option<ActorRef<backend_pool::Msg>> {
        self.backend_pool.load().as_deref().cloned()
    }

    /// A BackendPool has begun.
    pub fn set_backend_pool(&self, actor: ActorRef<backend_pool::Msg>) {
        self.backend_pool.store(Some(Arc::new(actor)));
    }

    /// The Certificates actor that runs now.
    pub fn certificates(&self) -> Option<ActorRef<certificates::Msg>> {
        self.certificates.load().as_deref().cloned()
    }

    /// A Certificates actor has begun.
    pub fn set_certificates(&self, actor: ActorRef<certificates::Msg>) {
        self.certificates.store(Some(Arc::new(actor)));
    }

    /// Where an entry point listens.
    pub fn bound(&self, entry_point: &str) -> Option<SocketAddr> {
        self.bound.lock().get(entry_point).copied()
    }

    /// An entry point listens.
    pub fn set_bound(&self, entry_point: &str, address: SocketAddr) {
        self.bound.lock().insert(entry_point.to_owned(), address);
    }

    /// So much is served now. Never goes back.
    pub fn set_served(&self, served: Served) {
        self.served.send_if_modified(|known| std::mem::replace(known, served.max(*known)) < served);
    }

    /// Whether every provider has spoken.
    pub fn is_synced(&self) -> bool {
        *self.served.borrow() == Served::Everything
    }

    /// Whether new work is welcome: first sync applied, certificates loaded, listeners bound, not going down.
    pub fn is_ready(&self) -> bool {
        self.is_synced() && self.listening.load(Ordering::Acquire) && !self.is_draining()
    }

    /// What is still missing before this gateway is ready, in words.
    pub fn missing(&self) -> Vec<String> {
        let silent = self.providers.iter().filter(|provider| !provider.is_synced());
        let mut missing: Vec<_> = silent.map(|provider| format!("provider {} has not answered yet", provider.name())).collect();
        if missing.is_empty() && !self.is_synced() {
            missing.push("the first configuration is not applied yet".into());
        }
        if !self.listening.load(Ordering::Acquire) {
            missing.push("not every entry point listens yet".into());
        }
        missing
    }

    /// Whether the gateway is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    async fn until_served(&self, wanted: Served) {
        let mut served = self.served.subscribe();
        // The sender lives in `self`, so this cannot fail.
        served.wait_for(|served| *served >= wanted).await.ok();
    }
}

impl Gateway {
    /// Starts everything. Entry points that answer `/ping`, the API or metrics listen at once; the others when every provider has
    /// spoken: nobody is told 404 because this gateway has just begun.
    ///
    /// # Errors
    /// A port could not be bound, or a thread not started.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let Options { config, telemetry, workers, pin, host_name, providers } = options;
        let config = Arc::new(config);
        let specs: Vec<_> = config.entry_points.keys().map(|name| EntryPointSpec { name: name.clone() }).collect();
        let status = |name: &String| Arc::new(ProviderStatus::new(name).recorded_in(telemetry.provider(name)));
        let directory = Arc::new(Directory::new(providers.iter().map(|(name, _)| status(name)).collect()));
        let life_cycles = || config.entry_points.values().filter(|e| e.address.protocol == Protocol::Tcp).map(|e| e.life_cycle);
        let periods = Periods {
            lame_duck: life_cycles().map(|l| l.request_accept_grace).max().unwrap_or_default(),
            grace: life_cycles().map(|l| l.grace).max().unwrap_or_default(),
        };
        let mut secret = [0; 16];
        random::secret(&mut secret);
        let shared = Arc::new(Shared {
            published: Cell::new(Published::empty(&specs)),
            internals: Internals::new(&config, directory.clone()),
            reason_header: config.reason_header.clone(),
            request_id: config.request_id.clone(),
            limits: config.limits,
            pseudonym: String::new(),
            epoch: time::now(),
            ending: Ending::new(periods),
            telemetry: telemetry.clone(),
        });
        let entries: Vec<_> = config
            .entry_points
            .values()
            .enumerate()
            .filter(|(_, entry)| entry.address.protocol == Protocol::Tcp)
            .map(|(i, entry)| {
                let series = telemetry.entry_point(&entry.name);
                Arc::new(EntryPoint::new(EntryPointId(i as u32), entry.clone(), config.limits, &host_name, series))
            })
            .collect();
        let started: Result<Vec<_>, _> = (0..workers.max(1)).map(|id| worker::start(id, pin, shared.clone())).collect();
        let workers = started.map_err(|e| StartError(format!("a worker thread could not be started: {e}")))?;

        let awaited: BTreeSet<_> = providers.iter().map(|(name, _)| name.clone()).collect();
        let arguments = supervisor::Arguments {
            shared: shared.clone(),
            config: config.clone(),
            directory: directory.clone(),
            workers: workers.iter().map(|w| w.commands.clone()).collect(),
            providers: providers.into_iter().map(|(_, make)| make).collect(),
            awaited,
            salt: secret,
            grace: periods.grace,
        };
        let failed = |e: &dyn std::fmt::Display| StartError(e.to_string());
        let (supervisor, _) = Actor::spawn(None, Supervisor, arguments).await.map_err(|e| failed(&e))?;
        let gateway = Self { shared, directory, workers, supervisor };

        let (early, late): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| answers_for_itself(&config, &entry.name));
        gateway.directory.until_served(Served::Internals).await;
        gateway.listen(early).await?;
        #[cfg(planted = "ready_before_sync")]
        let waits = !fairlead_net::sim::is_planted("ready_before_sync");
        #[cfg(not(planted = "ready_before_sync"))]
        let waits = true;
        if waits {
            gateway.directory.until_served(Served::Everything).await;
        }
        gateway.listen(late).await?;
        gateway.directory.listening.store(true, Ordering::Release);
        tracing::info!("ready");
        Ok(gateway)
    }

    async fn listen(&self, entries: Vec<Arc<EntryPoint>>) -> Result<(), StartError> {
        for entry in entries {
            let listening = ractor::call!(self.supervisor, supervisor::Msg::Listen, entry);
            listening.map_err(|e| StartError(e.to_string()))?.map_err(StartError)?;
        }
        Ok(())
    }

    /// The root of the actors, for tests of supervision.
    #[cfg(any(test, madsim))]
    pub fn supervisor(&self) -> &ActorRef<supervisor::Msg> {
        &self.supervisor
    }

    /// The means to make its actors fail.
    #[cfg(madsim)]
    pub fn crashes(&self) -> Crashes {
        Crashes { supervisor: self.supervisor.clone(), directory: self.directory.clone() }
    }

    /// What workers see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The actors and the state of starting.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Where an entry point listens.
    pub fn address(&self, entry_point: &str) -> Option<SocketAddr> {
        self.directory.bound(entry_point)
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.workers.iter().map(|w| w.worker.connections.len()).sum()
    }

    /// Goes down: readiness fails, then no new connections, then the old ones end with their requests; what is left at the
    /// deadline is cut off. `hurry` ends the present phase each time it is ready.
    pub async fn drain(self, mut hurry: impl AsyncFnMut()) -> Outcome {
        let mut due = None;
        let mut event = Event::Terminate;
        loop {
            let now = self.shared.since_epoch(time::now());
            for action in self.shared.ending.handle(now, event) {
                match action {
                    Action::FailReadiness => self.directory.draining.store(true, Ordering::Release),
                    Action::Arm(at) => due = Some(self.shared.instant(at)),
                    Action::StopAccepting => self.close_listeners(),
                    Action::FinishConnections => self.tell(|| Command::Drain),
                    Action::Abort => self.tell(|| Command::Stop),
                    Action::Exit(outcome) => {
                        self.stop().await;
                        return outcome;
                    }
                }
            }
            let due = due.unwrap_or_else(|| time::after(Duration::from_secs(3600)));
            let hurried = std::pin::pin!(hurry());
            event = tokio::select! {
                biased;
                () = self.until_idle(), if self.shared.ending.phase() == Phase::Draining => Event::Idle,
                () = time::sleep_until(due) => Event::Tick,
                () = hurried => Event::Terminate,
            };
        }
    }

    async fn until_idle(&self) {
        // Connections that wait in a listener's queue are some too.
        while self.connections() > 0 || self.workers.iter().any(|w| w.worker.is_accepting()) {
            time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn close_listeners(&self) {
        if let Err(e) = self.supervisor.cast(supervisor::Msg::CloseListeners) {
            tracing::error!(error = %e, "the supervisor is gone; its listeners are closed by the workers' end");
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            if worker.commands.send(command()).is_err() {
                tracing::debug!(worker = worker.worker.id, "the worker has ended already");
            }
        }
    }

    async fn stop(self) {
        self.tell(|| Command::Stop);
        self.supervisor.stop_and_wait(None, None).await.ok();
        for worker in self.workers {
            drop(worker.commands);
            if let Err(e) = worker.ended.await {
                tracing::error!(worker = worker.worker.id, error = %e, "the worker did not end in order");
            }
        }
    }
}

/// Makes actors fail, for rehearsals of supervision. One that is down already cannot be told, and stays so.
#[cfg(madsim)]
pub struct Crashes {
    supervisor: ActorRef<supervisor::Msg>,
    directory: Arc<Directory>,
}

#[cfg(madsim)]
impl Crashes {
    /// Those of this kind panic, or are ended where they stand.
    pub fn crash(&self, kind: &'static str) {
        let told = match kind {
            "Router" => self.directory.router().is_none_or(|actor| actor.cast(router::Msg::Crash).is_ok()),
            "BackendPool" => self.directory.backend_pool().is_none_or(|actor| actor.cast(backend_pool::Msg::Crash).is_ok()),
            "Certificates" => self.directory.certificates().is_none_or(|actor| actor.cast(certificates::Msg::Crash).is_ok()),
            _ => self.supervisor.cast(supervisor::Msg::Kill(kind)).is_ok(),
        };
        if !told {
            tracing::debug!(actor = kind, "is down already");
        }
    }

    /// The check of this service panics, if it has one.
    pub fn crash_check(&self, service: &str) {
        if let Some(pool) = self.directory.backend_pool()
            && let Err(e) = pool.cast(backend_pool::Msg::CrashCheck(service.to_owned()))
        {
            tracing::debug!(error = %e, "BackendPool is down");
        }
    }
}

/// Whether `/ping`, metrics or the API are routed here without the operator's doing.
fn answers_for_itself(config: &StaticConfig, entry_point: &str) -> bool {
    config.ping.as_ref().is_some_and(|p| !p.manual_routing && p.entry_point == entry_point)
        || config.prometheus.as_ref().is_some_and(|p| !p.manual_routing && p.entry_point == entry_point)
        || config.api.as_ref().is_some_and(|a| a.insecure) && entry_point == "traefik"
}

#[cfg(all(test, not(madsim)))]
#[expect(clippy::disallowed_methods, reason = "clients on threads of their own, on the real arm only")]
mod tests;
