//! Provider `etcd`: the keys under a root in an etcd store, read whole and then watched.
//!
//! Owns the endpoints, tried in turn, and one session at a time: connect, authenticate, read or resume, watch. What the
//! answers mean, and what to ask next, is decided by [`state`], which does no I/O.
//!
//! A watch that falls silent is found out in three ways: HTTP/2 pings (the connection), progress requests (the server's
//! watching), and an audit that asks for keys newer than what the watch told (everything else).
//!
//! Deliberately absent: the pause between rounds (`config_watch`), and the meaning of keys (`fairlead_core`): a router
//! that is half written is core's affair, though never half a transaction.

mod client;
pub mod proto;
pub mod state;

use super::{EventKind, Provider, ProviderError, Sender};
use bytes::Bytes;
use client::{CALL, Client, Endpoint, Watch, wants_token};
use fairlead_core::config::{RawDynamic, Rejection, kv, static_::EtcdProvider as Options};
use fairlead_net::{
    grpc::{Code, Status},
    random, task,
    time::{Duration, Instant, now, sleep_until, timeout},
};
use proto::{RequestUnion, WatchCreateRequest, WatchProgressRequest};
use state::{Fault, News, Next, State};
use std::{future::Future, pin::Pin};

/// Time between two looks at whether the watch lives.
const CHECK: Duration = Duration::from_secs(10);

/// A watch that said nothing for so long, although asked, is dead.
const SILENT: Duration = Duration::from_secs(20);

/// How long the watch may owe events that an audit knows of.
const OWED: Duration = Duration::from_secs(2);

/// A watch that lasted so long makes its endpoint a good one: the round of endpoints starts anew.
const STEADY: Duration = Duration::from_secs(5);

/// Configurations are decoded this often at most while events keep coming.
const GATHER: Duration = Duration::from_millis(20);

/// Full reads in a row, with no good watch between, before the endpoint is given up.
const MAX_READS: u32 = 5;

/// Takes keys and values as they are, with the revision.
pub(super) type Reader = Box<dyn Fn(Vec<(Bytes, Bytes)>, String) + Send + Sync>;

/// The provider. Remembers the store's last state between runs.
pub struct EtcdProvider {
    options: Options,
    state: State,
    /// Index of the endpoint to try next.
    next: usize,
    /// The store's own words on why it is not believed.
    doubt: Option<String>,
    /// `None`: the keys are Traefik's.
    reader: Option<Reader>,
    /// What Traefik's keys came to. `None`: nothing was decoded yet, or it is being decoded.
    decoder: Option<kv::Decoder>,
}

/// A session's end.
struct End {
    why: String,
    /// It lasted: the watch was well for [`STEADY`].
    steady: bool,
}

impl EtcdProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options) -> Self {
        Self { state: State::new(&options.root_key), options: options.clone(), next: 0, doubt: None, reader: None, decoder: None }
    }

    /// The same over keys that mean something else: they go to `reader`, and only health is told.
    pub(super) fn reading(options: &Options, reader: Reader) -> Self {
        Self { reader: Some(reader), ..Self::new(options) }
    }

    /// Sessions with one endpoint after the other, until none of them works.
    async fn round(&mut self, out: &Sender) -> ProviderError {
        let secure = self.options.tls.is_some();
        let endpoints: Result<Vec<_>, _> = self.options.endpoints.iter().map(|e| Endpoint::parse(e, secure)).collect();
        let endpoints = match endpoints {
            Ok(endpoints) if !endpoints.is_empty() => endpoints,
            Ok(_) => return ProviderError::new("--providers.etcd.endpoints names no endpoint"),
            Err(message) => return ProviderError::new(message),
        };
        let mut failed = Vec::new();
        while failed.len() < endpoints.len() {
            let endpoint = &endpoints[self.next % endpoints.len()];
            self.next = (self.next + 1) % endpoints.len();
            let End { why, steady } = self.session(endpoint, out).await;
            tracing::info!(provider = "etcd", %endpoint, %why, "session ended");
            out.send(EventKind::Failing { message: why.clone(), since: now() });
            match steady {
                // The next is tried at once, and a whole round of them.
                true => failed.clear(),
                false => failed.push(why),
            }
        }
        failed.dedup();
        ProviderError::new(failed.join("; "))
    }

    async fn session(&mut self, endpoint: &Endpoint, out: &Sender) -> End {
        let mut steady = false;
        let Err(why) = self.exchange(endpoint, out, &mut steady).await;
        End { why: format!("{endpoint}: {why}"), steady }
    }

    async fn exchange(&mut self, endpoint: &Endpoint, out: &Sender, steady: &mut bool) -> Result<Never, String> {
        let mut client = Client::connect(endpoint, self.options.tls.as_ref()).await?;
        let ended = self.converse(&mut client, endpoint, out, steady).await;
        let hint =
            if client.was_answered() || endpoint.is_secure() { "" } else { " (does the server want TLS? Then write https://)" };
        ended.map_err(|why| why + hint)
    }

    async fn converse(
        &mut self,
        client: &mut Client,
        endpoint: &Endpoint,
        out: &Sender,
        steady: &mut bool,
    ) -> Result<Never, String> {
        self.authenticate(client).await?;
        let mut next = self.state.begin();
        let mut reads = 0;
        loop {
            let outcome = match &next {
                Next::Range(request) => match client.range(request).await {
                    Ok(response) => self.state.page(response),
                    Err(status) => self.refused(status, client).await,
                },
                Next::Watch(from) => {
                    let began = now();
                    let fault = self.watch(client, *from, out).await;
                    if now().saturating_duration_since(began) >= STEADY {
                        (*steady, reads) = (true, 0);
                    }
                    Err(fault)
                }
            };
            next = match outcome {
                Ok((next, news)) => {
                    self.tell(news, out).await;
                    next
                }
                Err(Fault::Unusable(why)) => return Err(why),
                Err(Fault::ReadAgain(why)) if reads >= MAX_READS => return Err(why),
                Err(Fault::ReadAgain(why)) => {
                    tracing::info!(provider = "etcd", %endpoint, %why, "reading everything again");
                    reads += 1;
                    self.state.read()
                }
            };
        }
    }

    /// A page that was refused: what to do instead.
    async fn refused(&mut self, status: Status, client: &mut Client) -> Result<(Next, News), Fault> {
        if wants_token(&status) {
            self.authenticate(client).await.map_err(Fault::Unusable)?;
            return Err(Fault::ReadAgain(status.to_string()));
        }
        match status.code {
            // Compacted while its pages were read.
            Code::OutOfRange => Err(Fault::ReadAgain(status.to_string())),
            Code::ResourceExhausted if status.message.contains("limit") => match self.state.smaller() {
                Some(next) => Ok((next, News::Nothing)),
                None => Err(Fault::Unusable(self.explain(&status))),
            },
            _ => Err(Fault::Unusable(self.explain(&status))),
        }
    }

    /// Watches until that fails.
    async fn watch(&mut self, client: &mut Client, from: i64, out: &Sender) -> Fault {
        let Err(fault) = self.follow(client, from, out).await;
        fault
    }

    async fn follow(&mut self, client: &mut Client, from: i64, out: &Sender) -> Result<Never, Fault> {
        let mut watch = client.watch().await.map_err(|s| self.fault(&s))?;
        let (key, range_end) = self.state.range();
        let create = WatchCreateRequest { key, range_end, start_revision: from, progress_notify: true, fragment: true };
        watch.send(RequestUnion::Create(create)).await.map_err(|s| self.fault(&s))?;
        let created = timeout(CALL, watch.message()).await;
        let created = created.map_err(|_| Fault::Unusable(format!("the watch was not set up within {CALL:?}")))?;
        let created = created.map_err(|s| self.fault(&s))?;
        self.state.created(&created)?;
        match &self.doubt {
            Some(doubt) => out.send(EventKind::Failing { message: doubt.clone(), since: now() }),
            None => out.send(EventKind::Healthy),
        }
        self.listen(client, &mut watch, out).await
    }

    /// Takes events as they come. Decodes at once when nothing more is waiting, and every [`GATHER`] otherwise.
    async fn listen(&mut self, client: &mut Client, watch: &mut Watch, out: &Sender) -> Result<Never, Fault> {
        let mut heard = now();
        let mut check = heard + jittered(CHECK);
        let mut owed: Option<i64> = None;
        let mut dirty: Option<Instant> = None;
        loop {
            if dirty.is_some_and(|since| now().saturating_duration_since(since) >= GATHER) {
                dirty = None;
                self.tell(News::Changed, out).await;
            }
            tokio::select! {
                biased;
                message = watch.message() => {
                    heard = now();
                    let message = message.map_err(|s| self.fault(&s));
                    match message.and_then(|message| self.state.watched(message)) {
                        Ok(News::Changed) => { dirty.get_or_insert(heard); }
                        Ok(_) => {}
                        Err(fault) => {
                            // What was understood before the fault is true.
                            if dirty.is_some() {
                                self.tell(News::Changed, out).await;
                            }
                            return Err(fault);
                        }
                    }
                }
                () = std::future::ready(()), if dirty.is_some() => {
                    dirty = None;
                    self.tell(News::Changed, out).await;
                }
                () = sleep_until(check) => {
                    if now().saturating_duration_since(heard) >= SILENT {
                        return Err(Fault::Unusable(format!("the watch was silent for {SILENT:?}, although asked to speak")));
                    }
                    watch.send(RequestUnion::Progress(WatchProgressRequest {})).await.map_err(|s| self.fault(&s))?;
                    let behind = self.audit(client).await?;
                    if behind.is_some() && behind == owed {
                        return Err(Fault::Unusable("the watch keeps events back".into()));
                    }
                    owed = behind;
                    if owed.is_none() && self.doubt.is_none() {
                        out.send(EventKind::Healthy);
                    }
                    check = now() + if owed.is_some() { OWED } else { jittered(CHECK) };
                }
            }
        }
    }

    /// The revision that the watch stands at, if the store has gone on from there.
    async fn audit(&mut self, client: &mut Client) -> Result<Option<i64>, Fault> {
        let Some(request) = self.state.audit() else { return Ok(None) };
        let mut answer = client.range(&request).await;
        if answer.as_ref().is_err_and(wants_token) {
            self.authenticate(client).await.map_err(Fault::Unusable)?;
            answer = client.range(&request).await;
        }
        let answer = answer.map_err(|s| self.fault(&s))?;
        self.state.audited(&answer)
    }

    async fn authenticate(&self, client: &mut Client) -> Result<(), String> {
        match client.authenticate(&self.options).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                tracing::warn!(
                    provider = "etcd",
                    "--providers.etcd.username is given, but the store has authentication disabled: going on without"
                );
                Ok(())
            }
            Err(status) => Err(self.explain(&status)),
        }
    }

    async fn tell(&mut self, news: News, out: &Sender) {
        match news {
            News::Nothing => {
                if self.doubt.take_if(|_| !self.state.is_doubted()).is_some() {
                    out.send(EventKind::Healthy);
                }
            }
            News::Doubt(message) => {
                out.send(EventKind::Failing { message: message.clone(), since: now() });
                self.doubt = Some(message);
            }
            News::Changed => {
                self.doubt = None;
                let revision = self.state.revision().unwrap_or_default().to_string();
                if let Some(reader) = &self.reader {
                    return reader(self.state.snapshot(), revision);
                }
                match self.decode().await {
                    Ok((raw, rejections)) => out.send(EventKind::Configuration { raw, rejections, revision }),
                    Err(e) => {
                        let message = format!("the keys could not be decoded: {e}");
                        out.send(EventKind::Failing { message, since: now() });
                    }
                }
            }
        }
    }

    /// The keys as they are now: what changed is decoded at once, and all of them away from this thread, which other actors share.
    async fn decode(&mut self) -> Result<(RawDynamic, Vec<Rejection>), task::JoinError> {
        let touched = self.state.take_touched();
        if let (Some(decoder), Some(touched)) = (&mut self.decoder, touched)
            && decoder.update(self.state.map(), touched.iter().map(|key| &key[..]))
        {
            return Ok(decoder.decoded());
        }
        let pairs = self.state.map().clone();
        let mut decoder = self.decoder.take().unwrap_or_else(|| kv::Decoder::new(&self.options.root_key, "etcd"));
        let read = task::spawn_blocking(move || {
            decoder.read(&pairs);
            decoder
        });
        Ok(self.decoder.insert(read.await?).decoded())
    }

    fn fault(&self, status: &Status) -> Fault {
        Fault::Unusable(self.explain(status))
    }

    /// A status in words for the operator, with the remedy where one is known.
    fn explain(&self, status: &Status) -> String {
        let Options { username, root_key, .. } = &self.options;
        let message = &status.message;
        if message.contains("authentication failed") {
            format!(
                "the store refuses user `{username}`: check --providers.etcd.username and --providers.etcd.password ({message})"
            )
        } else if message.contains("user name is empty") {
            format!("the store demands a user: give --providers.etcd.username and --providers.etcd.password ({message})")
        } else if status.code == Code::PermissionDenied || message.contains("permission denied") {
            format!(
                "user `{username}` may not read the keys under {root_key}/: etcdctl role grant-permission ROLE read {root_key}/ --prefix ({message})"
            )
        } else {
            status.to_string()
        }
    }
}

impl Provider for EtcdProvider {
    fn name(&self) -> &str {
        "etcd"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(self.round(out))
    }
}

/// Not reached: a session ends by an error only.
enum Never {}

/// Between four fifths and six fifths.
fn jittered(d: Duration) -> Duration {
    let fifth = d / 5;
    d - fifth + Duration::from_nanos(random::below(fifth.as_nanos() as u64 * 2))
}
