//! Provider `docker`: the containers of one daemon.
//!
//! A daemon tells of its containers' lives by events: what is about to go is taken out at once, everything else is listed
//! anew. What a list or an event means is decided by [`state`], which does no I/O. Lists are asked for every 15 s all the
//! same, and every second while there is no stream of events.
//!
//! Whatever fails, the last workloads stay in force (`round`).

pub mod state;
mod translate;

use super::{
    api::Container,
    client::{Engine, Failure, endpoints},
    events::{Events, News as Heard},
    list::List,
    place::{Identity, Secrets},
    round::{self, Round, Sessions},
    tell::Teller,
};
use crate::provider::{EventKind, Provider, ProviderError, Sender, http::Endpoint};
use fairlead_core::config::static_::DockerProvider as Options;
use fairlead_net::{
    dns, random,
    time::{Duration, Instant, now, sleep_until, timeout},
};
use state::{CONFIRM, News, State};
use std::{future::Future, net::IpAddr, pin::Pin, sync::Arc};

const EVENTS: &str = concat!(
    r#"{"type":["container","network"],"event":["start","die","stop","kill","destroy","pause","unpause","rename","update","#,
    r#""health_status","connect","disconnect"]}"#
);

/// Between two lists while events tell of changes.
const AT_REST: Duration = Duration::from_secs(15);

/// Between two lists because of events.
const APART: Duration = Duration::from_millis(50);

/// How long the first list waits for the stream of events.
const OPENING: Duration = Duration::from_secs(1);

/// Names under which containers know their host, in the order of preference.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// The provider. Remembers what it read between runs.
pub struct PlainProvider {
    options: Options,
    round: Round,
    teller: Teller,
    secrets: Secrets,
    identity: Option<Identity>,
    state: State,
    /// The list that was applied last.
    known: Arc<List<Container>>,
}

/// One session's own.
struct Session<'a> {
    engine: Engine,
    events: Option<Events>,
    listed: Option<Instant>,
    out: &'a Sender,
}

impl PlainProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options) -> Self {
        Self {
            round: Round::new(),
            teller: Teller::new(options.settings.clone()),
            secrets: Secrets::new(&options.secrets_directory),
            identity: None,
            state: State::default(),
            known: Arc::default(),
            options: options.clone(),
        }
    }

    async fn converse(&mut self, endpoint: &Endpoint, out: &Sender) -> Result<Never, Failure> {
        let engine = Engine::connect(endpoint, &self.options).await?;
        if self.identity.is_none() {
            self.identity = Some(Identity::read().await);
        }
        let events = self.options.watch.then(|| Events::follow(&engine, EVENTS));
        let mut session = Session { engine, events, listed: None, out };
        if let Some(events) = &session.events {
            // Without the stream it works as well, only later.
            timeout(OPENING, events.opened()).await.ok();
        }
        let mut heard = Heard { connected: true, ..session.take() };
        loop {
            self.hear(&heard, &session).await;
            session.until_list_is_due(&heard).await;
            // What was said meanwhile is part of what the list shows.
            let more = session.take();
            self.hear(&more, &session).await;
            self.list(&mut session, heard.connected || heard.networks || more.connected || more.networks).await?;
            if !self.options.watch && !self.state.is_doubted() {
                std::future::pending::<()>().await;
            }
            session.pause(self.state.is_doubted()).await;
            heard = session.take();
        }
    }

    /// Takes out what is about to go, without asking.
    async fn hear(&mut self, heard: &Heard, session: &Session<'_>) {
        if heard.connected {
            self.state.forget_leaving();
        }
        if !heard.containers.is_empty() && self.state.hear(&heard.containers, now()) == News::Changed {
            self.tell(session).await;
        }
    }

    async fn list(&mut self, session: &mut Session<'_>, networks: bool) -> Result<(), Failure> {
        session.listed = Some(now());
        if networks {
            self.locate(&mut session.engine).await;
        }
        let answer = session.engine.list::<Container>("/containers/json?all=1", &self.known).await?;
        let news = match answer {
            None => self.state.unchanged(now()),
            Some(list) => {
                let news = self.state.apply(list.values(), now());
                self.known = if matches!(news, News::Doubt(_)) { Arc::default() } else { Arc::new(list) };
                news
            }
        };
        let is_first = self.round.good.is_none();
        let mounted = self.secrets.look().await;
        let moved = self.find_host().await;
        match news {
            News::Doubt(message) => {
                let since = *self.round.good.get_or_insert_with(now);
                session.out.send(EventKind::Failing { message, since });
                return Ok(());
            }
            News::Changed => self.tell(session).await,
            News::Nothing if is_first || mounted || moved => self.tell(session).await,
            // Said each time: how long ago it was said last is how stale the configuration is.
            News::Nothing => session.out.send(EventKind::Healthy),
        }
        self.round.good = Some(now());
        Ok(())
    }

    async fn tell(&mut self, session: &Session<'_>) {
        let extent = format!("{} containers", self.state.extent());
        self.teller.tell(self.state.workloads(), self.secrets.mounts(), &extent, session.out).await;
    }

    /// Finds out which networks this gateway is on. Where it shares the host's, it reaches every bridge.
    async fn locate(&mut self, engine: &mut Engine) {
        let Some(identity) = &self.identity else { return };
        match identity.inspect(engine).await {
            Ok(found) => {
                let networks = found.map(|(_, networks)| networks).filter(|networks| !networks.contains_key("host"));
                self.state.is_on(networks.map(|networks| networks.into_values().collect()));
            }
            Err(failure) => {
                tracing::debug!(provider = "docker", %failure, "this gateway's own container cannot be inspected");
            }
        }
    }

    /// The host's address as containers know it, once it is needed. Tells whether that changes anything.
    async fn find_host(&mut self) -> bool {
        if !self.state.wants_host() {
            return false;
        }
        let mut found: IpAddr = std::net::Ipv4Addr::LOCALHOST.into();
        for name in HOST_NAMES {
            let resolved = timeout(Duration::from_secs(1), dns::resolve(name)).await;
            if let Ok(Ok(addresses)) = resolved
                && let Some(ip) = addresses.first()
            {
                found = *ip;
                break;
            }
        }
        self.state.reaches_host_at(found);
        self.state.settle() == News::Changed
    }
}

impl Session<'_> {
    fn take(&self) -> Heard {
        self.events.as_ref().map(Events::take).unwrap_or_default()
    }

    /// Events come in flocks: each is heard at once, lists are apart.
    async fn until_list_is_due(&self, heard: &Heard) {
        if let Some(listed) = self.listed
            && !heard.is_empty()
        {
            sleep_until(listed + APART).await;
        }
    }

    /// Waits until something happened, or it is time.
    async fn pause(&self, doubted: bool) {
        let Some(events) = &self.events else { return sleep_until(now() + CONFIRM).await };
        let pause = if events.is_up() && !doubted { AT_REST } else { CONFIRM };
        let tenth = pause / 10;
        let jitter = Duration::from_nanos(random::below(tenth.as_nanos() as u64 + 1));
        let due = now() + pause + jitter;
        tokio::select! {
            biased;
            () = events.wait() => {}
            () = sleep_until(due) => {}
        }
    }
}

impl Sessions for PlainProvider {
    fn round(&mut self) -> &mut Round {
        &mut self.round
    }

    async fn session(&mut self, endpoint: &Endpoint, out: &Sender) -> Failure {
        let Err(failure) = self.converse(endpoint, out).await;
        failure
    }
}

impl Provider for PlainProvider {
    fn name(&self) -> &str {
        &self.options.settings.provider
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        let name = self.options.settings.provider.clone();
        Box::pin(async move { round::run(&name, endpoints(&self.options), self, out).await })
    }
}

/// Not reached: a session ends by a failure only.
enum Never {}

#[cfg(test)]
mod tests;
