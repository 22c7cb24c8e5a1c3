//! Provider `kontena`: the tree that Kontena's agents keep in etcd for one load balancer.
//!
//! ```text
//! etcd v2: GET the tree, again at every event of a watch and at least every second → answer → State ─┐
//! etcd v3: the provider `etcd`'s own session over the same keys → Tree ──────────────────→ State ─┴→ compose → Event
//! ```
//!
//! Every look takes the whole tree, as Kontena's own reader does, so nothing that was missed stays missed; the watch only says when to look.
//! Reads are linearizable: a member that lost the others answers with an error, not with the past.
//!
//! Deliberately absent: what keys mean (`fairlead_core`), and writing: Kontena's reader creates its directory, this one never writes.

mod answer;
mod certificates;
mod gateway;
mod keys;
mod state;
#[cfg(test)]
mod tests;

use super::{
    EventKind, Provider, ProviderError, Sender,
    http::{self, Client, Endpoint, Notation, Stream},
};
use answer::Reading;
use bytes::Bytes;
use fairlead_core::{
    config::{
        RawDynamic, Rejection,
        static_::{EtcdApi, KontenaProvider as Options},
    },
    discovery::kontena::{compose, own},
};
use fairlead_net::{
    clock, random, task,
    time::{Duration, Instant, now, sleep, sleep_until},
    tls::UnixTime,
};
use state::State;
use std::{collections::BTreeMap, future::Future, pin::Pin};

const NOTATION: Notation = Notation { option: "--providers.kontena.endpoints", ports: (2379, 2379) };

/// Bytes of a tree; ten thousand services need less.
const MAX_BODY: usize = 64 << 20;

/// What follows an event within this time is read with it.
const GATHER: Duration = Duration::from_millis(10);

/// Pause after a watch that could not be set up. Meanwhile the tree is read all the same.
const REST: Duration = Duration::from_secs(1);

/// The provider. Remembers the tree between runs.
pub struct KontenaProvider {
    options: Options,
    /// Entry points for TCP by the port that they listen on.
    ports: BTreeMap<u16, String>,
    state: State,
    /// Times that [`State`] knows are counted from here.
    started: Instant,
    /// The load balancer's own part, once its certificates were read.
    own: Option<(RawDynamic, Vec<Rejection>)>,
    /// Index of the endpoint to try next.
    next: usize,
}

impl KontenaProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options, ports: BTreeMap<u16, String>) -> Self {
        Self { options: options.clone(), ports, state: State::default(), started: now(), own: None, next: 0 }
    }

    async fn serve(&mut self, out: &Sender) -> ProviderError {
        self.install();
        let endpoints = match &self.options.endpoints[..] {
            [] => gateway::endpoint().await.map(|endpoint| vec![endpoint]),
            given => Ok(given.to_vec()),
        };
        let ended = match (endpoints, self.options.api) {
            (Err(why), _) => Err(why),
            (Ok(endpoints), EtcdApi::V2) => self.round(&endpoints, out).await,
            (Ok(endpoints), EtcdApi::V3) => keys::follow(self, endpoints, out).await,
        };
        let Err(why) = ended;
        ProviderError::new(why)
    }

    /// Reads the certificates, which do not change while the process runs.
    fn install(&mut self) {
        if self.own.is_none() {
            let source = format!("kontena load balancer {}", self.options.load_balancer);
            let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(clock::now())));
            let (installed, mut rejections) = certificates::install(&self.options.bundles, &source, now);
            let (raw, more) = own(&self.options, &installed);
            rejections.extend(more);
            self.own = Some((raw, rejections));
        }
    }

    /// One endpoint after the other, each for as long as it answers, until none does.
    async fn round(&mut self, endpoints: &[String], out: &Sender) -> Result<Never, String> {
        let secure = self.options.tls.is_some();
        let endpoints: Result<Vec<Endpoint>, String> =
            endpoints.iter().map(|text| Endpoint::parse(text, secure, NOTATION)).collect();
        let endpoints = endpoints?;
        let mut failed = Vec::new();
        while failed.len() < endpoints.len() {
            let endpoint = endpoints[self.next % endpoints.len()].clone();
            self.next = (self.next + 1) % endpoints.len();
            let mut answered = false;
            let Err(why) = self.session(endpoint.clone(), out, &mut answered).await;
            let why = format!("{endpoint}: {why}");
            tracing::info!(provider = "kontena", %why, "session ended");
            out.send(EventKind::Failing { message: why.clone(), since: now() });
            if answered {
                failed.clear();
            }
            failed.push(why);
        }
        failed.dedup();
        Err(failed.join("; "))
    }

    /// Looks and waits in turn.
    async fn session(&mut self, endpoint: Endpoint, out: &Sender, answered: &mut bool) -> Result<Never, String> {
        let options = http::Options {
            tls: self.options.tls.clone(),
            credentials: (!self.options.username.is_empty())
                .then(|| (self.options.username.clone(), self.options.password.clone())),
            max_body: MAX_BODY,
            ..http::Options::new("--providers.kontena.tls")
        };
        let root = self.options.root();
        let path = format!("/v2/keys{}", escaped(&root));
        let mut client = Client::new(endpoint, options);
        let mut watch = Watch::default();
        let mut known = Bytes::new();
        let mut last: Option<Reading> = None;
        loop {
            let response = client.get_unless(&format!("{path}?recursive=true&quorum=true"), &known).await;
            let response = response.map_err(|e| e.to_string())?;
            // The same bytes are the same tree; what counts on is the store.
            let reading = match last.take().filter(|_| response.is_known) {
                Some(last) => Reading { index: answer::read_index(&response).unwrap_or(last.index), ..last },
                None => answer::read(&response, &root)?,
            };
            (known, last) = (response.body, Some(reading.clone()));
            *answered = true;
            match self.state.read(self.elapsed(), reading) {
                Ok(tell) => self.well(tell, out).await,
                Err(message) => out.send(EventKind::Failing { message, since: now() }),
            }
            self.wait(&client, &path, &mut watch, out).await;
        }
    }

    /// Until it is time to look again, or an event says so. What settles meanwhile is told.
    async fn wait(&mut self, client: &Client, path: &str, watch: &mut Watch, out: &Sender) {
        let refresh = now() + jittered(self.options.refresh);
        loop {
            let due = self.state.due().map(|due| self.started + due);
            let until = due.map_or(refresh, |due| due.min(refresh));
            tokio::select! {
                biased;
                () = watch.event(client, path, self.state.next_index()) => {
                    // An agent writes several keys at once.
                    sleep(GATHER).await;
                    return;
                }
                () = sleep_until(until) => {}
            }
            if now() >= refresh {
                return;
            }
            if self.state.pass(self.elapsed()) {
                self.tell(out).await;
            }
        }
    }

    /// The source answers, and is believed.
    async fn well(&mut self, tell: bool, out: &Sender) {
        match tell {
            true => self.tell(out).await,
            false => out.send(EventKind::Healthy),
        }
    }

    async fn tell(&mut self, out: &Sender) {
        let (tree, root, revision) = (self.state.tree(), self.options.root(), self.state.revision());
        let (mut raw, mut rejections) = self.own.clone().unwrap_or_default();
        let ports = self.ports.clone();
        // Thousands of services take their time, and other actors share this thread.
        let composed = task::spawn_blocking(move || {
            let (services, more) = compose(&tree, &root, &ports);
            rejections.extend(more);
            rejections.extend(raw.merge(services));
            EventKind::Configuration { raw, rejections, revision }
        });
        let failed = |e| EventKind::Failing { message: format!("the keys could not be read: {e}"), since: now() };
        out.send(composed.await.unwrap_or_else(failed));
    }

    fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.started)
    }
}

impl Provider for KontenaProvider {
    fn name(&self) -> &str {
        "kontena"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(self.serve(out))
    }
}

/// Not reached: a session ends by an error only.
enum Never {}

/// A long poll for the next event, kept over looks.
#[derive(Default)]
struct Watch {
    open: Option<Stream>,
    /// Not before this is another one set up.
    rest: Option<Instant>,
}

impl Watch {
    /// Ready when something happened at or after `index`. A watch that fails is no event, for the tree is read at its pace anyway. Loses
    /// nothing if dropped.
    async fn event(&mut self, client: &Client, path: &str, index: u64) {
        loop {
            if let Some(stream) = &mut self.open {
                let heard = stream.next().await;
                self.open = None;
                match heard {
                    Ok(Some(_)) => return,
                    // The store ends a long poll in which nothing happened.
                    Ok(None) => {}
                    Err(why) => self.failed(&why.to_string()),
                }
            }
            if let Some(rest) = self.rest {
                sleep_until(rest).await;
                self.rest = None;
            }
            match client.stream(&format!("{path}?wait=true&recursive=true&waitIndex={index}")).await {
                Ok(stream) if stream.status == 200 => self.open = Some(stream),
                Ok(mut stream) => {
                    let body = stream.refusal().await;
                    if answer::is_cleared(stream.status, &body) {
                        // More happened than the store remembers: a look is due, and the next watch begins later.
                        self.rest = Some(now() + GATHER);
                        return;
                    }
                    self.failed(&format!("status {}", stream.status));
                }
                Err(why) => self.failed(&why.to_string()),
            }
        }
    }

    fn failed(&mut self, why: &str) {
        tracing::debug!(provider = "kontena", why, "the tree is not watched for now");
        self.rest = Some(now() + REST);
    }
}

/// What stands in a URL's path as it is; the rest as percent triplets.
fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Between nine tenths and eleven tenths.
fn jittered(span: Duration) -> Duration {
    let tenth = span / 10;
    span - tenth + Duration::from_nanos(random::below((tenth.as_nanos() as u64 * 2).max(1)))
}
