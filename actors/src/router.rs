//! The actor Router: from what providers say to what workers serve.
//!
//! Owns the last good configuration, the snapshot number, and what routers keep between snapshots. Applies the first change of
//! a burst at once and what follows in one go. Supervised by the Supervisor; after a panic it begins again
//! from the [`Inputs`], which outlive it, and from what is published.
//!
//! Never: touches a connection, waits for a provider, or publishes half of a change.

use crate::{
    backend::{self, Backend},
    backend_pool, certificates,
    gateway::{Directory, Served},
    provider::{Event, EventKind},
    published::{Published, Route, Service, Slot, Weighted},
    telemetry::Telemetry,
    worker::Shared,
};
use fairlead_core::{
    Name,
    balance::{Sticky, WeightedPicker},
    config::{
        Config, RawDynamic, Rejection, Severity,
        dynamic::{Middleware, ServiceKind, Tls},
        resolve,
        static_::StaticConfig,
    },
    map::Map,
    middleware::{Stage, StageState},
    retry::RetryPolicy,
    slots::Slots,
    snapshot::{CompiledKind, CompiledRouter, CompiledService, EntryPointSpec, Snapshot},
};
use fairlead_net::{
    clock,
    time::{self, Instant},
    tls::ServerConfig,
};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, call_t};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The actor.
pub struct Router;

/// What the actor is told.
pub enum Msg {
    /// A provider has said something new, which stands in the [`Inputs`].
    Provided,
    /// Apply what has come in since.
    Apply,
    /// The certificates on disk have changed.
    Certificates,
    /// Free what no request uses any more.
    Sweep,
    /// Fail, for tests of supervision.
    #[cfg(any(test, madsim))]
    Crash,
}

/// What providers have said: survives the actor.
#[derive(Default)]
pub struct Inputs {
    by_provider: Mutex<BTreeMap<String, Input>>,
    rejections: Mutex<Vec<Rejection>>,
    /// When the first word came that is not served yet.
    waiting_since: Mutex<Option<Instant>>,
}

struct Input {
    raw: RawDynamic,
    rejections: Vec<Rejection>,
    revision: String,
}

impl Inputs {
    /// Notes what a provider said; true when there is something to apply. Called before the Router is told, so that nothing is
    /// lost with it.
    pub fn hear(&self, event: Event) -> bool {
        match event.kind {
            EventKind::Configuration { raw, rejections, revision } => {
                self.waiting_since.lock().get_or_insert_with(time::now);
                self.by_provider.lock().insert(event.provider, Input { raw, rejections, revision });
                true
            }
            // Fail static: what a provider said last stays in force.
            EventKind::Failing { message, .. } => {
                #[cfg(planted = "last_good_dropped")]
                if fairlead_net::sim::is_planted("last_good_dropped")
                    && let Some(input) = self.by_provider.lock().get_mut(&event.provider)
                {
                    input.raw = RawDynamic::default();
                    return true;
                }
                tracing::warn!(provider = event.provider, message, "provider is failing; its last configuration stays in force");
                false
            }
            EventKind::Healthy => {
                tracing::info!(provider = event.provider, "provider answers");
                false
            }
        }
    }

    /// What is refused now, in the order of its sources.
    pub fn rejections(&self) -> Vec<Rejection> {
        self.rejections.lock().clone()
    }

    /// The revision of each provider's last configuration.
    pub fn revisions(&self) -> BTreeMap<String, String> {
        self.by_provider.lock().iter().map(|(name, input)| (name.clone(), input.revision.clone())).collect()
    }
}

/// What the actor is started with.
pub struct Arguments {
    pub shared: Arc<Shared>,
    pub config: Arc<StaticConfig>,
    pub inputs: Arc<Inputs>,
    pub directory: Arc<Directory>,
    /// Providers that must have spoken before anything is served.
    pub awaited: BTreeSet<String>,
    /// The salt under which credentials and rate-limit sources are remembered.
    pub salt: [u8; 16],
}

/// See [`Router`].
pub struct State {
    arguments: Arguments,
    entry_points: Vec<EntryPointSpec>,
    last: Option<Arc<Config>>,
    tls: Option<(Tls, certificates::Loaded)>,
    weighted: BTreeMap<backend::Key, Arc<Weighted>>,
    /// Those of what is published. `None`: another Router published it.
    backends: Option<Backends>,
    retired: Vec<Arc<Published>>,
    applying: bool,
}

type Backends = Map<backend::Key, Arc<Backend>>;

type TlsTable = BTreeMap<Name, Option<Arc<ServerConfig>>>;

/// How long a part of the control plane may take to answer another.
const PATIENCE_MS: u64 = 10_000;

impl Actor for Router {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let entry_points = arguments.config.entry_points.keys().map(|name| EntryPointSpec { name: name.clone() }).collect();
        arguments.directory.set_router(me.clone());
        me.send_interval(std::time::Duration::from_secs(1), || Msg::Sweep);
        me.cast(Msg::Apply)?;
        let mut state = State {
            arguments,
            entry_points,
            last: None,
            tls: None,
            weighted: BTreeMap::new(),
            backends: None,
            retired: Vec::new(),
            applying: true,
        };
        state.resume();
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Provided => {
                if !std::mem::replace(&mut state.applying, true) {
                    // Behind whatever else is waiting in the mailbox: a burst is applied once.
                    me.cast(Msg::Apply)?;
                }
            }
            Msg::Apply => {
                state.applying = false;
                state.apply().await?;
            }
            Msg::Certificates => {
                state.tls = None;
                state.apply().await?;
            }
            Msg::Sweep => state.retired.retain(|old| Arc::strong_count(old) > 1),
            #[cfg(any(test, madsim))]
            Msg::Crash => panic!("crashed on request"),
        }
        Ok(())
    }
}

impl State {
    /// Finds in what is published what a Router before this one kept: last good units, and whose turn it is among services.
    fn resume(&mut self) {
        let published = self.arguments.shared.published.load();
        if published.snapshot.number() == 0 {
            return;
        }
        self.last = Some(published.config.clone());
        for service in published.snapshot.services() {
            if let Service::Weighted(weighted) = published.service(service.id) {
                self.weighted.insert((service.layer, service.name.clone()), weighted.clone());
            }
        }
    }

    async fn apply(&mut self) -> Result<(), ActorProcessingErr> {
        let Arguments { config: static_, inputs, directory, awaited, .. } = &self.arguments;
        let waiting_since;
        let (spoken, raws, mut rejections) = {
            let inputs = inputs.by_provider.lock();
            // Until every provider has spoken, only what Fairlead declares itself is served: `/ping`, `/ready`, the API.
            let spoken = awaited.iter().all(|name| inputs.contains_key(name));
            if !spoken && self.last.is_some() {
                return Ok(());
            }
            waiting_since = self.arguments.inputs.waiting_since.lock().take();
            let heard = || inputs.iter().filter(|_| spoken);
            let raws: BTreeMap<_, _> = heard().map(|(name, input)| (name.clone(), input.raw.clone())).collect();
            (spoken, raws, heard().flat_map(|(_, input)| input.rejections.clone()).collect::<Vec<_>>())
        };
        let (config, refused) = resolve(&raws, static_, self.last.as_deref());
        rejections.extend(refused);
        let config = Arc::new(config);

        let tls = match &self.tls {
            Some((known, loaded)) if *known == config.tls => loaded.clone(),
            _ => {
                let certificates = directory.certificates().ok_or("the Certificates actor is not running")?;
                let loaded = call_t!(certificates, certificates::Msg::Load, PATIENCE_MS, config.tls.clone())?;
                self.tls = Some((config.tls.clone(), loaded.clone()));
                loaded
            }
        };
        rejections.extend(tls.rejections);
        let pool = directory.backend_pool().ok_or("the BackendPool actor is not running")?;
        let backends = call_t!(pool, backend_pool::Msg::Prepare, PATIENCE_MS, config.clone())?;

        #[cfg(planted = "snapshot_per_router")]
        if fairlead_net::sim::is_planted("snapshot_per_router")
            && let Some((half, backends)) = self.first_router_alone(&config, &backends)
        {
            let before = self.arguments.shared.published.load();
            let number = before.snapshot.number() + 1;
            let half = Arc::new(half);
            let snapshot = Snapshot::build_after(Some(&before.snapshot), number, &half, &self.entry_points);
            let published = self.assemble(&before, snapshot, half, &backends, tls.table.clone());
            self.retired.push(self.arguments.shared.published.publish(published));
            time::sleep(time::Duration::from_millis(5)).await;
        }
        let before = self.arguments.shared.published.load();
        let number = before.snapshot.number() + 1;
        let snapshot = Snapshot::build_after(Some(&before.snapshot), number, &config, &self.entry_points);
        let published = self.assemble(&before, snapshot, config.clone(), &backends, tls.table);
        drop(before);
        self.report(&rejections);
        let old = self.arguments.shared.published.publish(published);
        self.retired.push(old);
        pool.cast(backend_pool::Msg::Published(config.clone()))?;
        let process = self.arguments.shared.telemetry.process();
        if let Some(since) = waiting_since {
            process.event_to_served.observe(time::now().saturating_duration_since(since));
        }
        process.config_reloads.inc();
        process.config_last_reload_success.set(clock::unix_seconds(clock::now()) as i64);
        process.snapshot.set(number as i64);
        process.rejections.set(rejections.iter().filter(|r| r.severity == Severity::Error).count() as i64);
        if !rejections.is_empty() {
            process.config_reloads_with_rejections.inc();
        }
        *self.arguments.inputs.rejections.lock() = rejections;
        self.last = Some(config);
        self.arguments.directory.set_served(if spoken { Served::Everything } else { Served::Internals });
        if spoken {
            tracing::info!(number, "configuration applied");
        }
        Ok(())
    }

    /// A planted defect: of several routers that change, the first is brought up to date before the others.
    #[cfg(planted = "snapshot_per_router")]
    fn first_router_alone(&self, config: &Config, backends: &Backends) -> Option<(Config, Backends)> {
        let last = self.last.as_deref()?;
        let same = |name: &Name| {
            let (Some(old), Some(new)) = (last.routers.get(name), config.routers.get(name)) else { return false };
            let middlewares =
                |of: &Config| new.middlewares.iter().map(|m| of.middlewares.get(m).map(Arc::as_ptr)).collect::<Vec<_>>();
            old.service == new.service && middlewares(last) == middlewares(config)
        };
        let changed: Vec<_> = config.routers.iter().filter(|(name, _)| !same(name)).collect();
        let [(name, router), _, ..] = changed[..] else { return None };
        let mut half = last.clone();
        half.routers.insert(name.clone(), router.clone());
        for middleware in &router.middlewares {
            half.middlewares.extend(config.middlewares.get_key_value(middleware).map(|(k, v)| (k.clone(), v.clone())));
        }
        half.services.extend(config.services.get_key_value(&router.service).map(|(k, v)| (k.clone(), v.clone())));
        let published = self.arguments.shared.published.load();
        let mut mixed: Backends = published.backends().map(|backend| (backend.key(), backend.clone())).collect();
        mixed.extend(backends.iter().filter(|(key, _)| key.1 == router.service).map(|(k, b)| (k.clone(), b.clone())));
        Some((half, mixed))
    }

    /// Puts the state that outlives snapshots beside a new one.
    fn assemble(
        &mut self,
        before: &Published,
        snapshot: Snapshot,
        config: Arc<Config>,
        backends: &Backends,
        tls: TlsTable,
    ) -> Published {
        let last = self.backends.replace(backends.clone()).unwrap_or_default();
        let telemetry = self.arguments.shared.telemetry.clone();
        let routes = carried(
            &before.routes,
            snapshot.changed_routers(&before.snapshot),
            |router| router.id.0,
            |router, known| {
                let service = snapshot.service(router.service).map_or(&router.router.service, |service| &service.name);
                self.route(router, service, known, &telemetry)
            },
        );
        let tcp_routes = carried(
            &before.tcp_routes,
            snapshot.changed_tcp_routers(&before.snapshot),
            |router| router.id.0,
            |router, _| telemetry.router(&router.name, &router.router.service),
        );
        for (was, is) in snapshot.changed_services(&before.snapshot) {
            if let Some(service) = was.filter(|_| is.is_none()) {
                self.weighted.remove(&(service.layer, service.name.clone()));
            }
        }
        let mut services = carried(
            &before.services,
            snapshot.changed_services(&before.snapshot),
            |service| service.id.0,
            |service, _| self.service(service, backends, &telemetry),
        );
        for ((layer, name), _, now) in backends.changes(&last, Arc::ptr_eq) {
            // BackendPool withdraws what is no load balancer any more only when it is served no more.
            let service = snapshot.service_named(*layer, name).filter(|service| service.kind == CompiledKind::LoadBalancer);
            if let Some((service, now)) = service.zip(now) {
                services.set(service.id.0, Some(Service::Balanced(now.clone())));
            }
        }
        Published { snapshot, config, routes, tcp_routes, services, tls }
    }

    /// What a router keeps: the same as before unless it is another router, or its middlewares are others.
    fn route(&self, router: &CompiledRouter, service: &Name, known: Option<&Arc<Route>>, telemetry: &Telemetry) -> Arc<Route> {
        let retry =
            router.retry.map_or_else(RetryPolicy::default, |r| RetryPolicy::with_middleware(r.attempts, r.initial_interval));
        let same = |route: &&Arc<Route>| {
            route.retry == retry
                && route.series.service() == service.as_str()
                && route.stages.len() == router.stages.len()
                && route.stages.iter().zip(&router.stages).all(|(slot, stage)| Arc::ptr_eq(&slot.middleware, &stage.middleware))
        };
        if let Some(route) = known.filter(same) {
            return route.clone();
        }
        let before = known.map_or(&[][..], |route| &route.stages);
        let stages: Vec<_> = router.stages.iter().map(|stage| self.slot(before, &stage.middleware)).collect();
        Arc::new(Route {
            retry,
            adds_forwarded_for: !stages.iter().any(|slot| slot.stage.omits_forwarded_for()),
            informs: stages.iter().any(|slot| slot.stage.informs()),
            series: telemetry.router(&router.name, service),
            stages,
        })
    }

    /// A middleware on a router keeps its state for as long as it is there.
    fn slot(&self, before: &[Arc<Slot>], middleware: &Arc<Middleware>) -> Arc<Slot> {
        match before.iter().find(|slot| slot.middleware.name == middleware.name) {
            Some(slot) if Arc::ptr_eq(&slot.middleware, middleware) => slot.clone(),
            known => Arc::new(Slot {
                stage: Stage::new(middleware),
                state: known.map_or_else(|| Arc::new(StageState::new(self.arguments.salt)), |slot| slot.state.clone()),
                middleware: middleware.clone(),
            }),
        }
    }

    fn service(&mut self, service: &CompiledService, backends: &Backends, telemetry: &Telemetry) -> Service {
        match (&service.kind, &service.service.kind) {
            (CompiledKind::Internal(internal), _) => Service::Internal(*internal),
            (CompiledKind::Failover { main, fallback }, _) => Service::Failover(*main, *fallback),
            (CompiledKind::Weighted { children }, ServiceKind::Weighted(config)) => {
                let key = (service.layer, service.name.clone());
                let before = self.weighted.get(&key);
                let mut picker = before.map_or_else(|| WeightedPicker::new(config), |weighted| weighted.picker.lock().clone());
                picker.update(config);
                let weighted = Arc::new(Weighted {
                    picker: Mutex::new(picker),
                    children: children.iter().map(|(id, _)| *id).collect(),
                    sticky: config
                        .sticky
                        .as_ref()
                        .map(|cookie| Sticky::new(cookie, config.services.iter().map(|(name, _)| name.local()))),
                    skips: config.health_check,
                });
                self.weighted.insert(key, weighted.clone());
                Service::Weighted(weighted)
            }
            _ => match backends.get(&(service.layer, service.name.clone())) {
                Some(backend) => Service::Balanced(backend.clone()),
                // BackendPool prepares every load balancer of the configuration; should one be missing, it has no server.
                None => Service::Balanced(Arc::new(Backend::empty(service.layer, service.name.clone(), telemetry))),
            },
        }
    }

    /// Says what is newly refused; what was said before is not said again.
    fn report(&self, rejections: &[Rejection]) {
        let known = self.arguments.inputs.rejections.lock();
        let key = |r: &Rejection| (r.source.clone(), r.key.clone(), r.message.clone());
        let known: BTreeSet<_> = known.iter().map(key).collect();
        for rejection in rejections.iter().filter(|r| !known.contains(&key(r))) {
            match rejection.severity {
                Severity::Error => tracing::error!("configuration: {rejection}"),
                Severity::Warning => tracing::warn!("configuration: {rejection}"),
            }
        }
    }
}

/// What units of a snapshot keep, at their places: of those that are others than before, what `keep` makes of what was kept.
fn carried<'s, U: 's, T: Clone>(
    before: &Slots<T>,
    changes: impl Iterator<Item = (Option<&'s U>, Option<&'s U>)> + Clone,
    place: impl Fn(&U) -> u32,
    mut keep: impl FnMut(&U, Option<&T>) -> T,
) -> Slots<T> {
    let mut now = before.clone();
    // One that goes may have left its place to one that comes.
    for unit in changes.clone().filter_map(|(was, _)| was) {
        now.set(place(unit), None);
    }
    for (was, unit) in changes.filter_map(|(was, is)| Some((was, is?))) {
        let known = was.and_then(|was| before.get(place(was)));
        now.set(place(unit), Some(keep(unit, known)));
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_the_place_of_another_does_not_get_what_it_kept() {
        // Names and places; what is kept is the name, and how often it was carried on.
        type Unit = (&'static str, u32);
        let (goes, moves, moved, comes): (Unit, Unit, Unit, Unit) = (("goes", 0), ("moves", 70), ("moves", 0), ("comes", 1));
        let mut before = Slots::default();
        for (name, place) in [goes, moves, ("stays", 2)] {
            before.set(place, Some((name, 0)));
        }
        let changes = [(Some(&goes), None), (Some(&moves), Some(&moved)), (None, Some(&comes))];
        let keep = |unit: &Unit, known: Option<&(&'static str, u32)>| {
            assert!(known.is_none_or(|(name, _)| *name == unit.0), "{unit:?} was given {known:?}");
            (unit.0, known.map_or(0, |(_, times)| times + 1))
        };
        let now = carried(&before, changes.into_iter(), |unit| unit.1, keep);
        assert_eq!(now.values().copied().collect::<Vec<_>>(), [("moves", 1), ("comes", 0), ("stays", 0)]);
        assert_eq!(now.get(70), None);
    }
}
