//! The actor BackendPool: every server of every service, from its joining to its end.
//!
//! Owns endpoints and backends and what they keep over configuration changes, and supervises a HealthCheck for each service that
//! has one. Supervised by [`Supervisor`](crate::supervisor); after a panic it finds its endpoints again in what is published.
//!
//! Never: picks a server for a request, or closes a connection that a request uses.

use crate::{
    backend::{Backend, Security},
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
    outlier::OutlierPolicy,
    retry::{Budget, BudgetConfig},
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
    Prepare(Arc<Config>, RpcReplyPort<BTreeMap<Name, Arc<Backend>>>),
    /// The configuration is served: servers that it lacks leave.
    Published(Arc<Config>),
    /// Time passes for draining and ejected servers.
    Tick,
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
    endpoints: BTreeMap<Key, Arc<Endpoint>>,
    backends: BTreeMap<Name, Arc<Backend>>,
    leaving: Vec<Arc<Endpoint>>,
    checks: BTreeMap<Name, Check>,
    transports: BTreeMap<Name, (Arc<Transport>, Security)>,
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
        let backends: BTreeMap<_, _> = published.backends().map(|b| (b.name.clone(), b.clone())).collect();
        let endpoints = backends.values().flat_map(|b| &b.endpoints).map(|e| (e.key.clone(), e.clone())).collect();
        let mut state =
            State { arguments, endpoints, backends, leaving: Vec::new(), checks: BTreeMap::new(), transports: BTreeMap::new() };
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
                for backend in state.backends.values().cloned().collect::<Vec<_>>() {
                    state.check(&me, &backend).await?;
                }
            }
            Msg::Tick => state.tick(),
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
        let ended = state.checks.iter().find(|(_, check)| check.actor.get_id() == cell.get_id()).map(|(name, _)| name.clone());
        if let Some(check) = ended.and_then(|name| state.checks.remove(&name)) {
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
    async fn prepare(&mut self, config: &Config) {
        for service in config.services.values() {
            let ServiceKind::LoadBalancer(balancer) = &service.kind else { continue };
            let (transport, security) = self.transport(config, &balancer.transport).await;
            let unchanged =
                self.backends.get(&service.name).is_some_and(|b| b.config == *balancer && Arc::ptr_eq(&b.transport, &transport));
            if !unchanged {
                let backend = self.build(service, balancer, transport, security);
                self.backends.insert(service.name.clone(), Arc::new(backend));
            }
        }
    }

    fn build(&mut self, service: &Service, config: &LoadBalancer, transport: Arc<Transport>, security: Security) -> Backend {
        let now = self.now();
        let policy = OutlierPolicy::of(config.passive_health_check.as_ref(), config.health_check.is_some());
        let endpoints: Vec<_> = config
            .servers
            .iter()
            .map(|server| {
                let key = Key { service: service.name.clone(), url: server.url.text.clone(), transport: transport.name.clone() };
                let workers = self.arguments.workers;
                let known = self.endpoints.get(&key).filter(|e| e.standing().life != Life::Gone).cloned();
                let endpoint =
                    known.unwrap_or_else(|| Arc::new(Endpoint::new(key.clone(), server.url.clone(), workers, policy.clone())));
                endpoint.judge_by(policy.clone());
                endpoint.handle(now, Event::Ready);
                endpoint.handle(now, Event::Announced);
                if config.health_check.is_none() {
                    endpoint.probed(now, true);
                }
                self.endpoints.insert(key, endpoint.clone());
                endpoint
            })
            .collect();
        let before = self.backends.get(&service.name);
        let balancer = before.map_or_else(|| Arc::new(Mutex::new(Balancer::new(config))), |b| b.balancer.clone());
        balancer.lock().update(config);
        let budget = before.map_or_else(|| Arc::new(Mutex::new(Budget::new(BudgetConfig::default(), now))), |b| b.budget.clone());
        Backend {
            name: service.name.clone(),
            sticky: config.sticky.as_ref().map(|c| Sticky::new(c, config.servers.iter().map(|s| s.url.text.as_str()))),
            config: config.clone(),
            endpoints,
            balancer,
            transport,
            security,
            budget,
            series: self.arguments.shared.telemetry.service(service.name.as_str()),
        }
    }

    async fn transport(&mut self, config: &Config, name: &Name) -> (Arc<Transport>, Security) {
        let Some(wanted) = config.transports.get(name) else {
            let broken = Security::Broken(format!("the serversTransport {name} does not exist"));
            return (Arc::new(Transport::new(name.clone())), broken);
        };
        if let Some((known, security)) = self.transports.get(name)
            && **known == **wanted
        {
            return (known.clone(), security.clone());
        }
        let security = transport::load(wanted).await;
        self.transports.insert(name.clone(), (wanted.clone(), security.clone()));
        (wanted.clone(), security)
    }

    /// Servers that the configuration lacks take no new request from now on.
    fn withdraw(&mut self, config: &Config) {
        self.backends.retain(|name, _| config.services.contains_key(name));
        let now = self.now();
        let kept: std::collections::BTreeSet<_> =
            self.backends.values().flat_map(|b| &b.endpoints).map(|e| e.key.clone()).collect();
        let grace = self.arguments.grace;
        let (stay, leave): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.endpoints).into_iter().partition(|(key, _)| kept.contains(key));
        self.endpoints = stay;
        for endpoint in leave.into_values() {
            let in_flight = endpoint.in_flight() as usize;
            endpoint.handle(now, Event::Withdrawn { in_flight, keeps_sessions: false, grace });
            self.arguments.shared.telemetry.server_up(endpoint.key.service.as_str(), &endpoint.url.text, None);
            self.leaving.push(endpoint);
        }
        let ended: Vec<_> =
            self.checks.iter().filter(|(name, _)| !self.backends.contains_key(*name)).map(|(n, _)| n.clone()).collect();
        for name in ended {
            self.stop_check(&name);
        }
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
            endpoint.standing().life != Life::Gone
        });
    }

    /// Starts the active check of a backend, or a new one where the backend has changed.
    async fn check(&mut self, me: &ActorRef<Msg>, backend: &Arc<Backend>) -> Result<(), ActorProcessingErr> {
        match self.checks.get(&backend.name) {
            Some(check) if Arc::ptr_eq(&check.backend, backend) => return Ok(()),
            Some(_) => self.stop_check(&backend.name),
            None => {}
        }
        if backend.config.health_check.is_none() {
            return Ok(());
        }
        let arguments = health_check::Arguments { shared: self.arguments.shared.clone(), backend: backend.clone() };
        let cell: ActorCell = me.get_cell();
        let (actor, _) = Actor::spawn_linked(None, HealthCheck, arguments, cell).await?;
        self.checks.insert(backend.name.clone(), Check { actor, backend: backend.clone() });
        Ok(())
    }

    fn stop_check(&mut self, name: &Name) {
        if let Some(check) = self.checks.remove(name) {
            check.actor.stop(Some("its service has changed".into()));
        }
    }
}
