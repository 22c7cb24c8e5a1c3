//! Provider `swarm`: the services of a Swarm, from one of its managers.
//!
//! Swarm tells nothing of its tasks by itself, so they are asked for again and again; events only make that sooner. What to ask is
//! decided by [`plan`], what the answers mean by [`state`]; neither does I/O. An answer that is byte for byte the last one is
//! not even parsed.
//!
//! Whatever fails, the last workloads stay in force ([`super::round`]).

pub mod plan;
pub mod state;
mod translate;

use super::{
    api::{Network, Node, Service, Task},
    client::{Engine, Failure, FailureKind, endpoints, escape},
    events::{Events, News as Heard},
    place::{Identity, Secrets},
    round::{self, Round, Sessions},
    tell::Teller,
};
use crate::provider::{EventKind, Provider, ProviderError, Sender, http::Endpoint};
use bytes::Bytes;
use fairlead_core::config::static_::DockerProvider as Options;
use fairlead_net::{
    random,
    time::{Duration, Instant, now, sleep_until, timeout},
};
use plan::{Look, Plan};
use serde::de::DeserializeOwned;
use state::{News, Reading, Seen, State};
use std::{collections::BTreeSet, future::Future, pin::Pin};

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
}

/// Answers that were applied, as they came.
#[derive(Clone, Default)]
struct Known {
    services: Bytes,
    tasks: Bytes,
    networks: Bytes,
    nodes: Bytes,
}

/// One session's own.
struct Session<'a> {
    engine: Engine,
    events: Option<Events>,
    plan: Plan,
    /// A change was found that events owe since then.
    owed: Option<Instant>,
    /// It was said that all is well.
    well: bool,
    out: &'a Sender,
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
        let mut session = Session { engine, events, plan, owed: None, well: false, out };
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
        let hears = session.events.as_ref().is_some_and(Events::is_up);
        let look = session.plan.look(&heard, hears, self.state.wants_services(), now());
        let news = match look.only.is_empty() {
            true => self.read(&look, &mut session.engine).await?,
            false => self.read_only(&look.only, &heard.removed, &mut session.engine).await?,
        };
        session.plan.looked(matches!(news, News::Changed), now());
        session.owe(&heard, self.state.take_moved() && !heard.connected);
        let is_first = self.round.good.is_none() && !matches!(news, News::Doubt(_));
        let mounted = self.secrets.look().await;
        match news {
            News::Doubt(message) => {
                let since = *self.round.good.get_or_insert_with(now);
                session.well = false;
                session.out.send(EventKind::Failing { message, since });
                return Ok(());
            }
            News::Changed => self.tell(session).await,
            News::Nothing if is_first || mounted => self.tell(session).await,
            News::Nothing if !session.well => session.out.send(EventKind::Healthy),
            News::Nothing => {}
        }
        session.well = true;
        self.round.good = Some(now());
        Ok(())
    }

    async fn tell(&mut self, session: &Session<'_>) {
        let (services, tasks) = self.state.extent();
        let extent = format!("{services} services, {tasks} tasks");
        self.teller.tell(self.state.workloads(), self.secrets.mounts(), &extent, session.out).await;
    }

    /// Reads lists, services before tasks: see [`state`].
    async fn read(&mut self, look: &Look, engine: &mut Engine) -> Result<News, Failure> {
        let mut answers = self.known.clone();
        let mut reading = Reading::default();
        if look.networks {
            reading.networks = list::<Network>(engine, "/networks", &mut answers.networks).await?;
            reading.inspected = self.inspect(engine).await;
        }
        if look.nodes {
            reading.nodes = match list::<Node>(engine, "/nodes", &mut answers.nodes).await {
                // Tasks are reached without their nodes' names, unless by ports of the node.
                Err(failure) if failure.kind == FailureKind::Configuration => {
                    tracing::debug!(provider = self.options.settings.provider, %failure, "nodes are not known");
                    Seen::Unasked
                }
                seen => seen?,
            };
        }
        if look.services {
            reading.services = list::<Service>(engine, "/services", &mut answers.services).await?;
        }
        if look.tasks {
            let filters = if planted!("desired_ignored") { "{}" } else { r#"{"desired-state":["running"]}"# };
            let path = format!("/tasks?filters={}", escape(filters));
            reading.tasks = list::<Task>(engine, &path, &mut answers.tasks).await?;
        }
        let news = self.state.apply(reading, now());
        // What is doubted was not applied, and is to be looked at again however often it comes.
        if !matches!(news, News::Doubt(_)) {
            self.known = answers;
        }
        Ok(news)
    }

    /// Reads these services, and the tasks of each after it. One that is not there, and that no event said was removed, is a reason to
    /// read everything: a manager that knows nothing says so too.
    async fn read_only(
        &mut self,
        ids: &BTreeSet<String>,
        removed: &BTreeSet<String>,
        engine: &mut Engine,
    ) -> Result<News, Failure> {
        let mut outcome = News::Nothing;
        for id in ids {
            let service = engine.object::<Service>(&format!("/services/{}", escape(id))).await?;
            let tasks = match service {
                None => None,
                Some(_) => {
                    let filters = format!(r#"{{"desired-state":["running"],"service":["{id}"]}}"#);
                    engine.object::<Vec<Task>>(&format!("/tasks?filters={}", escape(&filters))).await?
                }
            };
            // A service that went while its tasks were asked for went.
            let service = service.filter(|_| tasks.is_some());
            if service.is_none() && !removed.contains(id) && !planted!("empty_believed") {
                let lists = Look { services: true, tasks: true, ..Look::default() };
                (self.known.services, self.known.tasks) = (Bytes::new(), Bytes::new());
                return self.read(&lists, engine).await;
            }
            match self.state.apply_one(id, service, tasks.unwrap_or_default()) {
                News::Nothing => {}
                news => outcome = news,
            }
        }
        // The state is no longer that of the lists: they are to be parsed again.
        (self.known.services, self.known.tasks) = (Bytes::new(), Bytes::new());
        Ok(outcome)
    }

    /// The networks of this gateway's own container. That they cannot be asked for is no reason to serve nothing.
    async fn inspect(&mut self, engine: &mut Engine) -> Seen<Option<BTreeSet<String>>> {
        let Some(identity) = &self.identity else { return Seen::Unasked };
        let seen = match identity.inspect(engine).await {
            Ok(Some((id, networks))) => {
                self.state.is_me(&id);
                Seen::New(Some(networks.into_values().collect()))
            }
            Ok(None) => Seen::New(None),
            Err(failure) => {
                tracing::debug!(provider = self.options.settings.provider, %failure, "this gateway's own container cannot be inspected");
                Seen::Unasked
            }
        };
        if !self.state.is_located() && !matches!(seen, Seen::New(Some(_))) && self.state.is_known() && !self.lost {
            self.lost = true;
            tracing::info!(
                provider = self.options.settings.provider,
                "this gateway's own container is not known to the manager: whether it shares the services' networks is taken for granted"
            );
        }
        seen
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

/// A list, compared with the `last` one, which it replaces.
async fn list<T: DeserializeOwned + Send + 'static>(
    engine: &mut Engine,
    path: &str,
    last: &mut Bytes,
) -> Result<Seen<Vec<T>>, Failure> {
    match engine.list::<T>(path, last).await? {
        None => Ok(Seen::Same),
        Some((list, body)) => {
            *last = body;
            Ok(Seen::New(list))
        }
    }
}

/// Not reached: a session ends by a failure only.
enum Never {}

#[cfg(test)]
mod tests;
