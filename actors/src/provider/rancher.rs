//! Provider `rancher`: services and containers of a Rancher 1 environment, from its metadata service.
//!
//! ```text
//! GET /latest/version → GET /latest/stacks → wait for another version → GET /latest/stacks → …
//! ```
//!
//! The version is read before the lists, so that a change while they are read is seen by the wait that follows. A wait is a long poll, or
//! a look every `refreshSeconds`. However quiet the service, everything is read again every minute (`RESYNC`).
//!
//! What the answers mean is decided by [`state`], which does no I/O; what labels mean, by `fairlead_core::discovery`.
//!
//! Deliberately absent: the pause after a failure (`config_watch`), Rancher's API with its keys, and any request but GET.

pub mod lists;
pub mod state;
#[cfg(test)]
mod tests;

use super::{
    EventKind, Provider, ProviderError, Sender,
    http::{self, Client, Endpoint, Fault, Notation},
};
use bytes::Bytes;
use fairlead_core::{
    config::static_::RancherProvider as Options,
    discovery::{Discovery, Mounts},
};
use fairlead_net::{
    task,
    time::{Duration, Instant, now, sleep},
};
use lists::{List, Lists};
use state::{News, State};
use std::{fmt::Write, future::Future, pin::Pin};

/// Everything is read again after so long, whatever the version says.
const RESYNC: Duration = Duration::from_secs(60);

/// The least time between two questions for a version that did not change: not every server knows how to wait.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Readings of several lists that a change may fall into, one after the other.
const READINGS: u32 = 5;

/// Bytes of one list. A service with its containers takes a few kilobytes.
const MAX_LIST: usize = 128 << 20;

/// Bytes of a version.
const MAX_VERSION: usize = 4096;

/// The provider. Remembers the environment between runs.
pub struct RancherProvider {
    options: Options,
    state: State,
    /// None while a reading is being composed.
    discovery: Option<Discovery>,
    /// The list of stacks as it was answered last, if it holds everything and was believed.
    whole: Bytes,
    /// The state changed, and nobody was told yet.
    untold: bool,
    revision: String,
}

impl RancherProvider {
    /// A provider that has read nothing yet.
    pub fn new(options: &Options) -> Self {
        Self {
            state: State::new(options.health_filter),
            discovery: None,
            whole: Bytes::new(),
            untold: false,
            revision: String::new(),
            options: options.clone(),
        }
    }

    async fn session(&mut self, out: &Sender) -> ProviderError {
        const NOTATION: Notation = Notation { option: "--providers.rancher.endpoint", ports: (80, 443) };
        let endpoint = match Endpoint::parse(&self.options.endpoint, false, NOTATION) {
            Ok(endpoint) => endpoint,
            Err(message) => return ProviderError::new(message),
        };
        let options = http::Options { max_body: MAX_LIST, ..http::Options::new("--providers.rancher.tls") };
        let mut client = Client::new(endpoint, options);
        let Err(why) = self.follow(&mut client, out).await;
        ProviderError::new(format!("{}: {why}", client.endpoint()))
    }

    async fn follow(&mut self, client: &mut Client, out: &Sender) -> Result<Never, String> {
        let mut version = self.version(client, "").await?;
        loop {
            let doubted;
            (version, doubted) = self.read(client, version, out).await?;
            if !self.options.watch {
                std::future::pending::<()>().await;
            }
            version = self.changed(client, version, doubted, out).await?;
        }
    }

    /// Reads everything; the version that it is of, and whether it is not believed.
    async fn read(&mut self, client: &mut Client, mut version: String, out: &Sender) -> Result<(String, bool), String> {
        for _ in 0..READINGS {
            let Some((lists, asked)) = self.lists(client).await? else {
                self.tell(News::Nothing, out).await;
                return Ok((version, false));
            };
            // Several lists are one reading only if nothing changed between the first and the last of them.
            if asked > 1 && !planted!("lists_mixed") {
                let now = self.version(client, "").await?;
                if now != version {
                    version = now;
                    continue;
                }
            }
            let news = self.state.read(&lists)?;
            let doubted = matches!(news, News::Doubt(_));
            if doubted {
                self.whole = Bytes::new();
            }
            self.untold |= news == News::Changed;
            version.clone_into(&mut self.revision);
            self.tell(news, out).await;
            return Ok((version, doubted));
        }
        Err(format!("the environment changed during each of {READINGS} readings of its lists"))
    }

    /// Everything, and how many lists that took; `None`: it is what is known.
    async fn lists(&mut self, client: &mut Client) -> Result<Option<(Lists, u32)>, String> {
        let (mut lists, mut asked) = (Lists::default(), 0);
        let mut next = Some(List::Stacks);
        while let Some(list) = next {
            let target = format!("/{}/{}", self.options.prefix, list.path());
            let response = client.get_unless(&target, &self.whole).await.map_err(|e| format!("{target}: {e}"))?;
            check(&target, &response)?;
            if response.is_known {
                return Ok(None);
            }
            let body = response.body.clone();
            // Megabytes of JSON take their time, and other actors share this thread.
            let parsed = task::spawn_blocking(move || lists.take(list, &body).map(|()| lists)).await;
            lists = parsed.map_err(|e| format!("{target}: {e}"))??;
            next = lists.missing();
            asked += 1;
            self.whole = if next.is_none() && list == List::Stacks { response.body } else { Bytes::new() };
        }
        Ok(Some((lists, asked)))
    }

    /// Waits until there is another version, or the time to read everything again.
    async fn changed(&self, client: &mut Client, version: String, doubted: bool, out: &Sender) -> Result<String, String> {
        let resync = if doubted { self.options.refresh.min(RESYNC) } else { RESYNC };
        let due = now() + resync;
        loop {
            let asked = now();
            let answer = self.next_version(client, &version).await?;
            if answer != version || now() >= due && !planted!("resync_dropped") {
                return Ok(answer);
            }
            if !doubted {
                out.send(EventKind::Healthy);
            }
            pause_since(asked).await;
        }
    }

    async fn next_version(&self, client: &mut Client, version: &str) -> Result<String, String> {
        let refresh = self.options.refresh;
        if self.options.interval_poll {
            sleep(refresh).await;
            return self.version(client, "").await;
        }
        let query = format!("?wait=true&value={}&maxWait={}", escaped(version), refresh.as_secs().max(1));
        match self.version_within(client, &query, refresh + refresh / 3 + Duration::from_secs(1)).await {
            // A quiet server looks at the time only when something happens. Whether it lives, a plain question tells.
            Err((Some(Fault::Late), _)) => self.version(client, "").await,
            answer => answer.map_err(|(_, why)| why),
        }
    }

    async fn version(&self, client: &mut Client, query: &str) -> Result<String, String> {
        self.version_within(client, query, Duration::from_secs(5)).await.map_err(|(_, why)| why)
    }

    async fn version_within(&self, client: &mut Client, query: &str, head: Duration) -> Result<String, (Option<Fault>, String)> {
        let target = format!("/{}/version", self.options.prefix);
        let response = client.get_within(&format!("{target}{query}"), head).await;
        let response = response.map_err(|e| (Some(e.fault), format!("{target}: {e}")))?;
        check(&target, &response).map_err(|why| (None, why))?;
        version_of(&response.body).ok_or_else(|| (None, format!("{target}: expected a version, as a text in JSON")))
    }

    async fn tell(&mut self, news: News, out: &Sender) {
        match news {
            News::Doubt(message) => out.send(EventKind::Failing { message, since: now() }),
            News::Nothing | News::Changed if self.untold => self.compose(out).await,
            News::Nothing | News::Changed => out.send(EventKind::Healthy),
        }
    }

    async fn compose(&mut self, out: &Sender) {
        let mut discovery = self.discovery.take().unwrap_or_else(|| Discovery::new(self.options.settings.clone()));
        let workloads = self.state.workloads().to_vec();
        // As do thousands of labels.
        let composed = task::spawn_blocking(move || {
            let composed = discovery.compose(&workloads, &Mounts::default());
            (discovery, composed)
        });
        match composed.await {
            Ok((discovery, (raw, rejections))) => {
                self.discovery = Some(discovery);
                self.untold = false;
                out.send(EventKind::Configuration { raw, rejections, revision: self.revision.clone() });
            }
            Err(e) => out.send(EventKind::Failing { message: format!("the labels could not be read: {e}"), since: now() }),
        }
    }
}

impl Provider for RancherProvider {
    fn name(&self) -> &str {
        "rancher"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(self.session(out))
    }
}

/// Not reached: a session ends by an error only.
enum Never {}

fn check(target: &str, response: &http::Response) -> Result<(), String> {
    match response.status {
        200 => Ok(()),
        404 => Err(format!(
            "{target}: there is nothing (status 404): is it Rancher's metadata service, and does it know this version? \
                            See --providers.rancher.endpoint and --providers.rancher.prefix"
        )),
        status => Err(format!("{target}: status {status}")),
    }
}

/// A text in JSON, or a number; some versions answer in plain text whatever they are asked for.
fn version_of(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    if text.is_empty() || text.len() > MAX_VERSION {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(serde_json::Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Ok(serde_json::Value::Number(number)) => Some(number.to_string()),
        Ok(_) => None,
        Err(_) => Some(text.to_owned()).filter(|text| !text.contains(['<', '{', '\n'])),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

async fn pause_since(asked: Instant) {
    let passed = now().saturating_duration_since(asked);
    if passed < LEAST_PAUSE {
        sleep(LEAST_PAUSE - passed).await;
    }
}
