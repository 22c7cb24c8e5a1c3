//! The actor BackendPool: every server of every service, from its joining to its end.
//!
//! Owns endpoints and backends and what they keep over configuration changes, and supervises a HealthCheck for each service that
//! has one. Supervised by the Supervisor; after a panic it finds its endpoints again in what is published.
//!
//! Never: picks a server for a request, or closes a connection that a request uses.

use crate::{
    backend::{self, Backend, Security},
    endpoint::{Endpoint, Key},
    gateway::Directory,
    health_check::{self, HealthCheck},
    transport,
    worker::Shared,
};
use fairlead_core::{
    Name,
    balance::{Balancer, Sticky},
    config::{
        Config,
        dynamic::{LoadBalancer, Service, ServiceKind, Transport},
    },
    endpoint::{Event, Life},
    map::Map,
    outlier::OutlierPolicy,
    retry::{Budget, BudgetConfig},
    snapshot::Layer,
};
use fairlead_net::time::{self, Duration};
use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use std::{collections::BTreeMap, sync::Arc};

/// The actor.
pub struct BackendPool;

/// What the actor is told.
pub enum Msg {
    /// Make ready what this configuration needs; nothing is withdrawn yet.
    Prepare(Arc<Config>, RpcReplyPort<Map<backend::Key, Arc<Backend>>>),
    /// The configuration is served: servers that it lacks leave.
    Published(Arc<Config>),
    /// Time passes for draining and ejected servers.
    Tick,
    /// Fail, for tests of supervision.
    #[cfg(any(test, madsim))]
    Crash,
    /// The same for the check of this service.
    #[cfg(any(test, madsim))]
    CrashCheck(String),
}

/// What the actor is started with.
pub struct Arguments {
    pub shared: Arc<Shared>,
    pub directory: Arc<Directory>,
    pub workers: usize,
    /// How long a withdrawn server's requests may go on.
    pub grace: Duration,
}

/// See [`BackendPool`].
pub struct State {
    arguments: Arguments,
    endpoints: BTreeMap<Arc<Key>, Arc<Endpoint>>,
    backends: Map<backend::Key, Arc<Backend>>,
    /// The configuration that backends are in line with, and whether it is served yet.
    prepared: Option<Arc<Config>>,
    awaits: bool,
    /// The configuration that is served. `None`: some backends may be of one that never was.
    served: Option<Arc<Config>>,
    /// Backends whose checks are as they should be.
    checked: Map<backend::Key, Arc<Backend>>,
    /// Backends that others have taken the place of since a configuration was last published: their servers may have to leave.
    replaced: Vec<Arc<Backend>>,
    leaving: Vec<Arc<Endpoint>>,
    /// Of services that ask for no other.
    usual_policy: Arc<OutlierPolicy>,
    checks: BTreeMap<backend::Key, Check>,
    transports: BTreeMap<Name, Known>,
}

/// A transport as it was last seen.
#[derive(Clone)]
struct Known {
    transport: Arc<Transport>,
    security: Security,
    revision: u64,
}

struct Check {
    actor: ActorRef<health_check::Msg>,
    backend: Arc<Backend>,
}

impl Actor for BackendPool {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        arguments.directory.set_backend_pool(me.clone());
        me.send_interval(Duration::from_millis(250), || Msg::Tick);
        let published = arguments.shared.published.load();
        let backends: Map<_, _> = published.backends().map(|b| (b.key(), b.clone())).collect();
        let endpoints: BTreeMap<_, _> =
            backends.values().flat_map(|b| &b.endpoints).map(|e| (e.key.clone(), e.clone())).collect();
        let transports = backends
            .values()
            .filter_map(|b| {
                let revision = b.endpoints.first()?.key.revision;
                let known = Known { transport: b.transport.clone(), security: b.security.clone(), revision };
                Some((b.transport.name.clone(), known))
            })
            .collect();
        let mut state = State {
            arguments,
            endpoints,
            prepared: None,
            awaits: false,
            served: None,
            checked: backends.clone(),
            backends,
            replaced: Vec::new(),
            leaving: Vec::new(),
            usual_policy: Arc::default(),
            checks: BTreeMap::new(),
            transports,
        };
        for backend in state.backends.values().cloned().collect::<Vec<_>>() {
            state.check(&me, &backend).await?;
        }
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Prepare(config, reply) => {
                state.prepare(&config).await;
                if reply.send(state.backends.clone()).is_err() {
                    tracing::debug!("nobody waits for the backends any more");
                }
            }
            Msg::Published(config) => {
                state.withdraw(&config);
                let checked = std::mem::replace(&mut state.checked, state.backends.clone());
                let changes = state.checked.changes(&checked, Arc::ptr_eq);
                let changed: Vec<_> = changes.into_iter().filter_map(|(_, _, now)| now.cloned()).collect();
                for backend in changed {
                    state.check(&me, &backend).await?;
                }
            }
            Msg::Tick => state.tick(),
            #[cfg(any(test, madsim))]
            Msg::Crash => panic!("crashed on request"),
            #[cfg(any(test, madsim))]
            Msg::CrashCheck(service) => {
                let check = state.checks.iter().find(|((_, name), _)| name.as_str() == service);
                if let Some((_, check)) = check {
                    check.actor.cast(health_check::Msg::Crash)?;
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (SupervisionEvent::ActorFailed(cell, _) | SupervisionEvent::ActorTerminated(cell, ..)) = event else { return Ok(()) };
        let ended = state.checks.iter().find(|(_, check)| check.actor.get_id() == cell.get_id()).map(|(key, _)| key.clone());
        if let Some(check) = ended.and_then(|key| state.checks.remove(&key)) {
            tracing::error!(service = %check.backend.name, "a health check ended by itself and is started again");
            state.check(&me, &check.backend).await?;
        }
        Ok(())
    }
}

impl State {
    fn now(&self) -> Duration {
        self.arguments.shared.since_epoch(time::now())
    }

    /// Brings backends in line with the configuration; endpoints that are new join and are ready at once.
    async fn prepare(&mut self, config: &Arc<Config>) {
        if std::mem::replace(&mut self.awaits, true) {
            self.served = None;
        }
        let before = self.prepared.take().filter(|before| self.keeps_transports(before, config));
        let wanted: Vec<_> = match &before {
            Some(before) => changes(before, config).filter_map(|(layer, _, service)| Some((layer, service?))).collect(),
            None => services(config).collect(),
        };
        let mut transports: BTreeMap<&Name, Known> = BTreeMap::new();
        for (layer, service) in wanted {
            let ServiceKind::LoadBalancer(balancer) = &service.kind else { continue };
            let known = match transports.get(&balancer.transport) {
                Some(known) => known.clone(),
                None => {
                    let known = self.transport(config, &balancer.transport).await;
                    transports.insert(&balancer.transport, known.clone());
                    known
                }
            };
            let key = (layer, service.name.clone());
            let unchanged = self.backends.get(&key).is_some_and(|b| {
                (b.made_from.as_ref().is_some_and(|from| Arc::ptr_eq(from, service)) || b.config == *balancer)
                    && Arc::ptr_eq(&b.transport, &known.transport)
                    && b.security.is_broken() == known.security.is_broken()
            });
            #[cfg(planted = "withdrawn_stays")]
            let unchanged = unchanged || fairlead_net::sim::is_planted("withdrawn_stays") && self.backends.contains_key(&key);
            if !unchanged {
                let backend = self.build(layer, service, balancer, known);
                self.replaced.extend(self.backends.insert(key, Arc::new(backend)));
            }
        }
        self.prepared = Some(config.clone());
    }

    /// Whether servers are spoken to as they were, so that a service that did not change has no need of another backend.
    fn keeps_transports(&self, before: &Config, config: &Config) -> bool {
        config.transports.holds_those_of(&before.transports) && !self.transports.values().any(|known| known.security.is_broken())
    }

    fn build(&mut self, layer: Layer, service: &Arc<Service>, config: &Arc<LoadBalancer>, known: Known) -> Backend {
        let Known { transport, security, revision } = known;
        let now = self.now();
        let policy = OutlierPolicy::of(config.passive_health_check.as_ref(), config.health_check.is_some());
        let policy = if policy == *self.usual_policy { self.usual_policy.clone() } else { Arc::new(policy) };
        let endpoints: Vec<_> = config
            .servers
            .iter()
            .map(|server| {
                let key = Arc::new(Key {
                    service: service.name.clone(),
                    url: server.url.text.clone(),
                    instance: server.instance.clone(),
                    transport: transport.name.clone(),
                    revision,
                });
                let workers = self.arguments.workers;
                // One that is on its way out may be wanted again.
                let known = self.endpoints.get(&key).or_else(|| self.leaving.iter().find(|e| e.key == key));
                let known = known.filter(|e| e.standing().life != Life::Gone).cloned();
                let endpoint = known.unwrap_or_else(|| {
                    let new = Endpoint::new(key.clone(), server, workers, policy.clone());
                    // The same server under other options of its transport.
                    let first = Key { transport: Name::whole(""), revision: 0, ..Key::clone(&key) };
                    let same = |k: &Arc<Key>| (&k.service, &k.url, &k.instance) == (&key.service, &key.url, &key.instance);
                    if let Some((_, before)) = self.endpoints.range(first..).next().filter(|(k, _)| same(k)) {
                        new.succeed(before);
                    }
                    Arc::new(new)
                });
                self.leaving.retain(|e| !Arc::ptr_eq(e, &endpoint));
                endpoint.judge_by(policy.clone());
                endpoint.set_unreachable(server.unreachable.as_deref());
                endpoint.handle(now, Event::Ready);
                endpoint.handle(now, Event::Announced);
                if config.health_check.is_none() {
                    if endpoint.health().is_some() {
                        self.arguments.shared.telemetry.server_up(service.name.as_str(), &server.url.text, None);
                    }
                    endpoint.set_health(None);
                    endpoint.probed(now, true);
                }
                self.endpoints.insert(key, endpoint.clone());
                endpoint
            })
            .collect();
        let before = self.backends.get(&(layer, service.name.clone()));
        // A copy: requests go on picking from the backend before by the places of its own servers.
        let mut balancer = before.map_or_else(|| Balancer::new(config), |b| b.balancer.lock().clone());
        balancer.update(config);
        if planted!("balancer_shared")
            && let Some(before) = before
        {
            before.balancer.lock().clone_from(&balancer);
        }
        let budget = before.map_or_else(|| Arc::new(Mutex::new(Budget::new(BudgetConfig::default(), now))), |b| b.budget.clone());
        let connect_times = before.map_or_else(Arc::default, |b| b.connect_times.clone());
        Backend {
            layer,
            name: service.name.clone(),
            sticky: config.sticky.as_ref().map(|c| Box::new(Sticky::new(c, config.servers.iter().map(|s| &*s.url.text)))),
            config: config.clone(),
            made_from: Some(service.clone()),
            endpoints,
            balancer: Mutex::new(balancer),
            transport,
            security,
            budget,
            connect_times,
            series: self.arguments.shared.telemetry.service(&service.name),
        }
    }

    async fn transport(&mut self, config: &Config, name: &Name) -> Known {
        let Some(wanted) = config.transports.get(name) else {
            let security = Security::Broken(format!("the serversTransport {name} does not exist"));
            return Known { transport: Arc::new(Transport::new(name.clone())), security, revision: 0 };
        };
        let known = match self.transports.get(name) {
            Some(known) if *known.transport == **wanted && !known.security.is_broken() => known.clone(),
            // The files may have come since.
            Some(known) if *known.transport == **wanted => Known { security: transport::load(wanted).await, ..known.clone() },
            before => {
                let revision = before.map_or(0, |known| known.revision + 1);
                Known { transport: wanted.clone(), security: transport::load(wanted).await, revision }
            }
        };
        self.transports.insert(name.clone(), known.clone());
        known
    }

    /// Servers that the configuration lacks take no new request from now on.
    fn withdraw(&mut self, config: &Arc<Config>) {
        let is_wanted = |(layer, name): &backend::Key| {
            let services = if *layer == Layer::Http { &config.services } else { &config.tcp.services };
            matches!(services.get(name).map(|s| &s.kind), Some(ServiceKind::LoadBalancer(_)))
        };
        self.awaits = false;
        let gone: Vec<backend::Key> = match self.served.replace(config.clone()) {
            Some(before) => changes(&before, config).map(|(layer, name, _)| (layer, name.clone())).collect(),
            None => self.backends.keys().cloned().collect(),
        };
        let gone: Vec<_> = gone.into_iter().filter(|key| !is_wanted(key)).collect();
        self.replaced.extend(gone.iter().filter_map(|key| self.backends.remove(key)));
        let now = self.now();
        let grace = self.arguments.grace;
        for backend in std::mem::take(&mut self.replaced) {
            let stays = self.backends.get(&backend.key()).cloned();
            let stay = |endpoint: &Arc<Endpoint>| stays.iter().any(|b| b.endpoints.iter().any(|e| Arc::ptr_eq(e, endpoint)));
            for endpoint in backend.endpoints.iter().filter(|endpoint| !stay(endpoint)) {
                self.leave(endpoint, now, grace);
            }
        }
        let ended: Vec<_> =
            self.checks.iter().filter(|(key, _)| !self.backends.contains_key(*key)).map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.stop_check(&key);
        }
    }

    /// Takes a server out, once.
    fn leave(&mut self, endpoint: &Arc<Endpoint>, now: Duration, grace: Duration) {
        if self.endpoints.get(&endpoint.key).is_none_or(|known| !Arc::ptr_eq(known, endpoint)) {
            return;
        }
        self.endpoints.remove(&endpoint.key);
        let in_flight = endpoint.in_flight() as usize;
        endpoint.handle(now, Event::Withdrawn { in_flight, keeps_sessions: false, grace });
        let Key { service, url, .. } = &*endpoint.key;
        // Unless it is there still, under other options or as another instance.
        let both = [Layer::Http, Layer::Tcp].map(|layer| self.backends.get(&(layer, service.clone())));
        let mut others = both.into_iter().flatten().flat_map(|backend| &backend.endpoints);
        if !others.any(|other| other.key.url == *url) {
            self.arguments.shared.telemetry.server_up(service.as_str(), url, None);
        }
        self.leaving.push(endpoint.clone());
    }

    fn tick(&mut self) {
        let now = self.now();
        for endpoint in self.endpoints.values() {
            endpoint.tick(now);
        }
        self.leaving.retain(|endpoint| {
            if endpoint.in_flight() == 0 {
                endpoint.handle(now, Event::Idle);
            }
            endpoint.handle(now, Event::Tick);
            #[cfg(planted = "pool_kept")]
            if fairlead_net::sim::is_planted("pool_kept") {
                return true;
            }
            endpoint.standing().life != Life::Gone
        });
    }

    /// Starts the active check of a backend, or a new one where the backend has changed.
    async fn check(&mut self, me: &ActorRef<Msg>, backend: &Arc<Backend>) -> Result<(), ActorProcessingErr> {
        match self.checks.get(&backend.key()) {
            Some(check) if Arc::ptr_eq(&check.backend, backend) => return Ok(()),
            Some(_) => self.stop_check(&backend.key()),
            None => {}
        }
        if backend.config.health_check.is_none() {
            return Ok(());
        }
        let arguments = health_check::Arguments { shared: self.arguments.shared.clone(), backend: backend.clone() };
        let cell: ActorCell = me.get_cell();
        let (actor, _) = Actor::spawn_linked(None, HealthCheck, arguments, cell).await?;
        self.checks.insert(backend.key(), Check { actor, backend: backend.clone() });
        Ok(())
    }

    fn stop_check(&mut self, key: &backend::Key) {
        if let Some(check) = self.checks.remove(key) {
            check.actor.stop(Some("its service has changed".into()));
        }
    }
}

/// Services of both layers that are others than before, or gone.
fn changes<'c>(before: &'c Config, now: &'c Config) -> impl Iterator<Item = (Layer, &'c Name, Option<&'c Arc<Service>>)> {
    let of = |layer: Layer, before: &'c Map<Name, Arc<Service>>, now: &'c Map<Name, Arc<Service>>| {
        now.changes(before, Arc::ptr_eq).into_iter().map(move |(name, _, now)| (layer, name, now))
    };
    of(Layer::Http, &before.services, &now.services).chain(of(Layer::Tcp, &before.tcp.services, &now.tcp.services))
}

/// Services of both layers.
fn services(config: &Config) -> impl Iterator<Item = (Layer, &Arc<Service>)> {
    let http = config.services.values().map(|service| (Layer::Http, service));
    http.chain(config.tcp.services.values().map(|service| (Layer::Tcp, service)))
}
