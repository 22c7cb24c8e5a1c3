//! Provider `swarm`: the services of a Swarm, from one of its managers.
//!
//! Swarm tells nothing of its tasks by itself, so they are asked for again and again; events only make that sooner. What to ask is
//! decided by [`plan`], what the answers mean by [`state`]; neither does I/O. An answer that is byte for byte the last one is
//! not even parsed; of another one, only what differs is (`docker::list`). What cannot wait until a large list has come in goes
//! over a connection of its own.
//!
//! Whatever fails, the last workloads stay in force (`round`).

pub mod plan;
pub mod state;
mod translate;

use super::{
    api::{Network, Node, Service, Task},
    client::{Engine, Failure, FailureKind, endpoints, escape},
    events::{Events, News as Heard},
    list::List,
    place::{Identity, Secrets},
    round::{self, Round, Sessions},
    tell::Teller,
};
use crate::provider::{EventKind, Provider, ProviderError, Sender, http::Endpoint};
use fairlead_core::config::static_::DockerProvider as Options;
use fairlead_net::{
    random,
    time::{Duration, Instant, now, sleep_until, timeout},
};
use plan::{Look, Plan};
use serde::de::DeserializeOwned;
use state::{News, Reading, Seen, State};
use std::{
    collections::BTreeSet,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};

/// What makes a look worth while before its time. Of containers, those on the manager itself.
const EVENTS: &str = concat!(
    r#"{"type":["service","node","network","container"],"#,
    r#""event":["create","update","remove","connect","disconnect","destroy","start","die","kill","health_status"]}"#
);

/// How long the first look waits for the stream of events, so that it need not be taken twice.
const OPENING: Duration = Duration::from_secs(1);

/// A change of a service that polling found, and that no event told of for so long, was kept back.
const OWED: Duration = Duration::from_secs(2);

/// The provider. Remembers what it read between runs.
pub struct SwarmProvider {
    options: Options,
    round: Round,
    teller: Teller,
    secrets: Secrets,
    identity: Option<Identity>,
    state: State,
    known: Known,
    /// There was a session before.
    asked: bool,
    /// It was said that this gateway's networks are not known.
    lost: bool,
    /// The lists were read once. Before that a gateway that is asked for a host does not know whether there is none.
    complete: bool,
}

/// Lists that were believed.
#[derive(Clone, Default)]
struct Known {
    services: Kept<Service>,
    tasks: Kept<Task>,
    networks: Kept<Network>,
    nodes: Kept<Node>,
}

/// The last list of its kind.
#[derive(Clone, Default)]
struct Kept<T> {
    list: Arc<List<T>>,
    /// Nothing else was applied since: if it comes again, it is no news.
    in_force: bool,
}

/// One session's own.
struct Session<'a> {
    engine: Engine,
    /// For what cannot wait until a list has come in.
    side: Engine,
    events: Option<Events>,
    plan: Plan,
    /// A change was found that events owe since then.
    owed: Option<Instant>,
    out: &'a Sender,
    /// Connections of `engine` when it was last asked.
    over: u64,
}

impl SwarmProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options) -> Self {
        Self {
            round: Round::new(),
            teller: Teller::new(options.settings.clone()),
            secrets: Secrets::new(&options.secrets_directory),
            identity: None,
            state: State::new(None, options.refresh),
            known: Known::default(),
            asked: false,
            lost: false,
            complete: false,
            options: options.clone(),
        }
    }

    async fn converse(&mut self, endpoint: &Endpoint, out: &Sender) -> Result<Never, Failure> {
        let engine = Engine::connect(endpoint, &self.options).await?;
        // Behind one address there may be several managers, as with a socket proxy on each of them.
        if std::mem::replace(&mut self.asked, true) {
            self.state.switched();
        }
        if self.identity.is_none() {
            let identity = Identity::read().await;
            if let Some(id) = &identity.container {
                self.state.is_me(id);
            }
            self.identity = Some(identity);
        }
        let events = self.options.watch.then(|| Events::follow(&engine, EVENTS));
        let plan = Plan::new(self.options.refresh);
        let side = engine.fork();
        let mut session = Session { over: engine.connections(), engine, side, events, plan, owed: None, out };
        if let Some(events) = &session.events {
            // Without the stream it works as well, only later.
            timeout(OPENING, events.opened()).await.ok();
        }
        loop {
            self.look(&mut session).await?;
            if !self.options.watch && !self.state.is_doubted() {
                std::future::pending::<()>().await;
            }
            session.pause(self.state.is_in_motion()).await;
        }
    }

    /// Looks once, and tells what changed.
    async fn look(&mut self, session: &mut Session<'_>) -> Result<(), Failure> {
        let heard = session.events.as_ref().map(Events::take).unwrap_or_default();
        let look = session.plan.look(&heard, now());
        let lists = Look { services: true, tasks: true, ..Look::default() };
        let news = match look.only.is_empty() {
            true => self.read(&look, session).await?,
            // What one service says is nothing to serve without the others.
            false if !self.complete => self.read(&lists, session).await?,
            false => match self.read_only(&look.only, &heard.removed, &mut session.side).await? {
                Some(news) => news,
                // A manager that knows nothing says so too, of each service.
                None => self.read(&lists, session).await?,
            },
        };
        session.plan.looked(matches!(news, News::Changed), now());
        session.owe(&heard, self.state.take_moved() && !heard.connected);
        let mounted = self.secrets.look().await;
        self.say(news, mounted, session.out).await;
        Ok(())
    }

    /// Says what a reading meant.
    async fn say(&mut self, news: News, mounted: bool, out: &Sender) {
        match news {
            News::Doubt(message) => {
                let since = *self.round.good.get_or_insert_with(now);
                out.send(EventKind::Failing { message, since });
                return;
            }
            News::Nothing if self.round.good.is_some() && !mounted => {
                // Said each time: how long ago it was said last is how stale the configuration is. But one service alone
                // does not dispel a doubt in all.
                if !self.state.is_doubted() {
                    out.send(EventKind::Healthy);
                }
            }
            News::Changed | News::Nothing => {
                let (services, tasks) = self.state.extent();
                let extent = format!("{services} services, {tasks} tasks");
                self.teller.tell(self.state.workloads(), self.secrets.mounts(), &extent, out).await;
            }
        }
        self.round.good = Some(now());
    }

    /// Reads lists. An event about a few services does not wait for them: megabytes may be on their way.
    async fn read(&mut self, look: &Look, session: &mut Session<'_>) -> Result<News, Failure> {
        let Session { engine, side, events, plan, out, over, .. } = session;
        let (mut alone, mut beside, complete) = (BTreeSet::new(), false, self.complete);
        let fetched = {
            let mut fetch = pin!(fetch(engine, look, self.known.clone(), self.identity.clone()));
            loop {
                tokio::select! {
                    biased;
                    fetched = &mut fetch => break fetched?,
                    (ids, removed) = aside(events.as_ref(), plan.early(now())), if complete => {
                        plan.aside(now());
                        beside = true;
                        // What cannot be explained is left to the next lists.
                        if let Some(news) = self.read_only(&ids, &removed, side).await? {
                            self.say(news, false, out).await;
                            alone.extend(ids);
                        }
                    }
                }
            }
        };
        let Fetched { reading, answers, me } = fetched;
        let renewed = engine.connections() - std::mem::replace(over, engine.connections());
        // Another connection may be one to another manager. Where each request has one of its own, that would be said each time.
        if renewed == 1 && look.services {
            self.state.switched();
        }
        if let Some(id) = me {
            self.state.is_me(&id);
        }
        let asked_for_me = matches!(reading.inspected, Seen::New(_));
        let news = self.state.apply_beside(&alone, reading, now());
        // What is doubted was not applied, and is to be looked at again however often it comes.
        match news {
            News::Doubt(_) => {}
            _ => {
                self.known = answers;
                if beside {
                    self.known.overlay();
                }
            }
        }
        self.complete |= look.services && look.tasks && !matches!(news, News::Doubt(_));
        if asked_for_me && !self.state.is_located() && self.state.is_known() && !std::mem::replace(&mut self.lost, true) {
            tracing::info!(
                provider = self.options.settings.provider,
                "this gateway's own container is not known to the manager: whether it shares the services' networks is taken for granted"
            );
        }
        Ok(news)
    }

    /// Reads these services, and the tasks of each after it. `None`: one is not there, and no event said that it was removed.
    async fn read_only(
        &mut self,
        ids: &BTreeSet<String>,
        removed: &BTreeSet<String>,
        engine: &mut Engine,
    ) -> Result<Option<News>, Failure> {
        self.known.overlay();
        let (mut outcome, mut unexplained) = (News::Nothing, false);
        for id in ids {
            let service = engine.object::<Service>(&format!("/services/{}", escape(id))).await?;
            let over = engine.connections();
            let tasks = match service {
                None => None,
                Some(_) => {
                    let filters = format!(r#"{{"desired-state":["running"],"service":["{id}"]}}"#);
                    engine.object::<Vec<Task>>(&format!("/tasks?filters={}", escape(&filters))).await?
                }
            };
            // A service that went while its tasks were asked for went.
            let service = service.filter(|_| tasks.is_some());
            // And one whose halves came over two connections may be of two managers.
            let is_missing = service.is_none() && !removed.contains(id);
            if (is_missing || engine.connections() != over) && !planted!("empty_believed") {
                unexplained = true;
                continue;
            }
            match self.state.apply_one(id, service, tasks.unwrap_or_default()) {
                News::Nothing => {}
                news => outcome = news,
            }
        }
        Ok(if unexplained && outcome == News::Nothing { None } else { Some(outcome) })
    }
}

impl Known {
    /// Something was read alone: the state is no longer that of the lists, and they are to be applied again.
    fn overlay(&mut self) {
        (self.services.in_force, self.tasks.in_force) = (false, false);
    }
}

impl Session<'_> {
    /// Waits until it is time, or something happened.
    async fn pause(&self, in_motion: bool) {
        let due = self.plan.due(in_motion, now(), random::u64());
        let Some(events) = &self.events else { return sleep_until(due).await };
        tokio::select! {
            biased;
            () = events.wait() => sleep_until(self.plan.early(now())).await,
            () = sleep_until(due) => {}
        }
    }

    /// Takes note of a change that polling found, and gives the stream up that should have told.
    fn owe(&mut self, heard: &Heard, moved: bool) {
        let Some(events) = self.events.as_ref().filter(|events| events.is_up()) else {
            self.owed = None;
            return;
        };
        if heard.many || heard.connected || !heard.services.is_empty() {
            self.owed = None;
        } else if moved {
            self.owed.get_or_insert_with(now);
        }
        if self.owed.is_some_and(|since| now().saturating_duration_since(since) >= OWED) {
            self.owed = None;
            events.distrust();
        }
    }
}

impl Sessions for SwarmProvider {
    fn round(&mut self) -> &mut Round {
        &mut self.round
    }

    async fn session(&mut self, endpoint: &Endpoint, out: &Sender) -> Failure {
        let Err(failure) = self.converse(endpoint, out).await;
        failure
    }
}

impl Provider for SwarmProvider {
    fn name(&self) -> &str {
        &self.options.settings.provider
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        let name = self.options.settings.provider.clone();
        Box::pin(async move { round::run(&name, endpoints(&self.options), self, out).await })
    }
}

/// What was read, and as what it came.
struct Fetched {
    reading: Reading,
    answers: Known,
    /// The id of this gateway's own container.
    me: Option<String>,
}

/// Reads lists, services before tasks, both over one connection: see [`state`].
async fn fetch(engine: &mut Engine, look: &Look, mut answers: Known, identity: Option<Identity>) -> Result<Fetched, Failure> {
    let mut reading = Reading::default();
    let (mut me, mut again) = (None, false);
    if look.networks {
        reading.networks = list::<Network>(engine, "/networks", &mut answers.networks).await?;
        (reading.inspected, me) = inspect(engine, identity).await;
    }
    if look.nodes {
        reading.nodes = match list::<Node>(engine, "/nodes", &mut answers.nodes).await {
            // Tasks are reached without their nodes' names, unless by ports of the node.
            Err(failure) if failure.kind == FailureKind::Configuration => {
                tracing::debug!(%failure, "nodes are not known");
                Seen::Unasked
            }
            seen => seen?,
        };
    }
    let known = answers.clone();
    loop {
        (answers.services, answers.tasks) = (known.services.clone(), known.tasks.clone());
        if look.services {
            reading.services = list::<Service>(engine, "/services", &mut answers.services).await?;
        }
        let over = engine.connections();
        if look.tasks {
            let filters = if planted!("desired_ignored") { "{}" } else { r#"{"desired-state":["running"]}"# };
            let path = format!("/tasks?filters={}", escape(filters));
            reading.tasks = list::<Task>(engine, &path, &mut answers.tasks).await?;
        }
        // Halves that came over two connections may be of two managers. One that never keeps a connection has to be borne.
        if !look.services || engine.connections() == over || std::mem::replace(&mut again, true) {
            break;
        }
    }
    Ok(Fetched { reading, answers, me })
}

/// The networks of this gateway's own container, and its id. That they cannot be asked for is no reason to serve nothing.
async fn inspect(engine: &mut Engine, identity: Option<Identity>) -> (Seen<Option<BTreeSet<String>>>, Option<String>) {
    let Some(identity) = identity else { return (Seen::Unasked, None) };
    match identity.inspect(engine).await {
        Ok(Some((id, networks))) => (Seen::New(Some(networks.into_values().collect())), Some(id)),
        Ok(None) => (Seen::New(None), None),
        Err(failure) => {
            tracing::debug!(%failure, "this gateway's own container cannot be inspected");
            (Seen::Unasked, None)
        }
    }
}

/// A few services that something happened to, and those of them that were removed, no sooner than `spaced`; never, without a stream of events.
async fn aside(events: Option<&Events>, spaced: Instant) -> (BTreeSet<String>, BTreeSet<String>) {
    let Some(events) = events else { return std::future::pending().await };
    events.wait_for_services().await;
    sleep_until(spaced).await;
    events.take_services()
}

/// A list, compared with the `last` one, which it replaces.
async fn list<T: DeserializeOwned + Send + Sync + 'static>(
    engine: &mut Engine,
    path: &str,
    last: &mut Kept<T>,
) -> Result<Seen<Vec<Arc<T>>>, Failure> {
    match engine.list::<T>(path, &last.list).await? {
        None if last.in_force => return Ok(Seen::Same),
        None => {}
        Some(list) => last.list = Arc::new(list),
    }
    last.in_force = true;
    Ok(Seen::New(last.list.values()))
}

/// Not reached: a session ends by a failure only.
enum Never {}

#[cfg(test)]
mod tests;
