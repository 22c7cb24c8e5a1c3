//! The Engine API over one endpoint: which version is spoken, and what its refusals mean.
//!
//! Owns negotiation and the sorting of failures by what may help: asking again, waiting for an election, or the operator.
//! Deliberately absent: what the answers mean, and when to ask.

use super::{
    api::{DaemonVersion, Refusal},
    list::List,
};
use crate::provider::http::{self, Endpoint, Notation, Options, Response, Stream};
use bytes::Bytes;
use fairlead_core::config::static_::DockerProvider;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The newest dialect that is known here.
const NEWEST: Version = Version(1, 44);

/// The oldest in which services can be read: Docker 1.12.
const OLDEST: Version = Version(1, 24);

/// Where nobody says: what every daemon of the last years understands.
const ASSUMED: Version = Version(1, 41);

/// Of the API: major, minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// For the operator, with the remedy where there is one; does not name the endpoint.
    pub message: String,
}

/// See [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// May be gone the next time.
    Transient,
    /// The managers are choosing a leader, or this one is not ready yet.
    Electing,
    /// Stays until somebody does something about it.
    Configuration,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// How the endpoints of the provider are reached.
///
/// # Errors
///
/// One of them is none.
pub fn endpoints(options: &DockerProvider) -> Result<Vec<Endpoint>, Failure> {
    let option = if options.settings.provider == "swarm" { "--providers.swarm.endpoint" } else { "--providers.docker.endpoint" };
    let notation = Notation { option, ports: (2375, 2376) };
    let parse = |text: &String| Endpoint::parse(text, options.tls.is_some(), notation);
    let parsed: Result<_, _> = options.endpoints.iter().map(parse).collect();
    parsed.map_err(|message| Failure::new(FailureKind::Configuration, message))
}

/// A connection to one daemon.
pub struct Engine {
    http: http::Client,
    version: Version,
}

impl Engine {
    /// Connects, and agrees on a version.
    ///
    /// # Errors
    ///
    /// The endpoint does not answer, or is too old.
    pub async fn connect(endpoint: &Endpoint, options: &DockerProvider) -> Result<Self, Failure> {
        let name = &options.settings.provider;
        let mut http_options = Options::new(if name == "swarm" { "--providers.swarm.tls" } else { "--providers.docker.tls" });
        http_options.tls.clone_from(&options.tls);
        http_options.head = options.timeout.unwrap_or(http_options.head);
        if !options.username.is_empty() {
            http_options.credentials = Some((options.username.clone(), options.password.clone()));
        }
        let mut engine = Self { http: http::Client::new(endpoint.clone(), http_options), version: NEWEST };
        let spoken = engine.spoken().await?;
        if spoken < OLDEST {
            let message = format!(
                "the daemon speaks version {}.{} of the API, and {}.{} or later is needed: upgrade it to Docker 1.12 or later",
                spoken.0, spoken.1, OLDEST.0, OLDEST.1
            );
            return Err(Failure::new(FailureKind::Configuration, message));
        }
        engine.version = spoken.min(NEWEST);
        Ok(engine)
    }

    /// The daemon's newest version: from `_ping`, else from `/version`, else assumed.
    async fn spoken(&mut self) -> Result<Version, Failure> {
        let ping = self.http.get("/_ping").await.map_err(|e| transport(&e))?;
        if ping.status >= 500 {
            return Err(refused("/_ping", &ping));
        }
        if let Some(version) = ping.fields.get_str("Api-Version").and_then(Version::parse) {
            return Ok(version);
        }
        // Something on the way took the field off, or does not let `_ping` through.
        let answer = self.http.get("/version").await.map_err(|e| transport(&e))?;
        let told: Option<DaemonVersion> = (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok()).flatten();
        Ok(told.and_then(|told| Version::parse(&told.api)).unwrap_or(ASSUMED))
    }

    /// The list at `path`, or `None` where it is byte for byte the `known` one. The caller keeps it once it believes it.
    ///
    /// # Errors
    ///
    /// There is no list that can be read whole.
    pub async fn list<T: DeserializeOwned + Send + Sync + 'static>(
        &mut self,
        path: &str,
        known: &Arc<List<T>>,
    ) -> Result<Option<List<T>>, Failure> {
        let response = self.ask(path, known.body()).await?;
        if response.status != 200 {
            if planted!("error_as_empty") {
                return Ok(Some(List::default()));
            }
            return Err(refused(path, &response));
        }
        if response.is_known {
            return Ok(None);
        }
        let known = known.clone();
        parse(path, response.body, move |body| List::read(body, &known)).await.map(Some)
    }

    /// The object at `path`, or `None` where the daemon says that there is none.
    ///
    /// # Errors
    ///
    /// Anything else than the object.
    pub async fn object<T: DeserializeOwned + Send + 'static>(&mut self, path: &str) -> Result<Option<T>, Failure> {
        let response = self.ask(path, &Bytes::new()).await?;
        match response.status {
            200 => parse(path, response.body, |body| serde_json::from_slice(&body).map_err(|e| e.to_string())).await.map(Some),
            // A daemon says so in JSON; what else says 404 is something on the way that does not know the path.
            404 if !message(&response).is_empty() => Ok(None),
            _ => Err(refused(path, &response)),
        }
    }

    /// The stream of events for these filters.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub async fn events(&self, filters: &str) -> Result<Stream, Failure> {
        let path = format!("/events?filters={}", escape(filters));
        let mut stream = self.http.stream(&self.target(&path)).await.map_err(|e| transport(&e))?;
        if stream.status == 200 {
            return Ok(stream);
        }
        let body = stream.refusal().await;
        let response = Response { status: stream.status, fields: stream.fields, body, is_known: false };
        Err(refused("/events", &response))
    }

    /// Counts connections: behind one address there may be several daemons.
    pub fn connections(&self) -> u64 {
        self.http.connections()
    }

    /// A second client of the same daemon, with a connection of its own.
    pub fn fork(&self) -> Self {
        Self { http: self.http.fork(), version: self.version }
    }

    async fn ask(&mut self, path: &str, known: &Bytes) -> Result<Response, Failure> {
        let response = self.http.get_unless(&self.target(path), known).await.map_err(|e| transport(&e))?;
        if response.status == 400
            && let Some(least) = least_version(&message(&response))
            && least > self.version
        {
            // A daemon that no longer speaks our newest: what is read here has kept its shape so far.
            self.version = least;
            return self.http.get_unless(&self.target(path), known).await.map_err(|e| transport(&e));
        }
        Ok(response)
    }

    fn target(&self, path: &str) -> String {
        format!("/v{}.{}{path}", self.version.0, self.version.1)
    }
}

/// `{"desired-state":["running"]}` as it stands in a query.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Megabytes take their time, and other actors share this thread.
async fn parse<T: Send + 'static>(
    path: &str,
    body: Bytes,
    read: impl FnOnce(Bytes) -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    const LARGE: usize = 64 << 10;
    let parsed = match body.len() {
        0..LARGE => read(body),
        _ => fairlead_net::task::spawn_blocking(move || read(body)).await.unwrap_or_else(|e| Err(e.to_string())),
    };
    let path = path.split('?').next().unwrap_or_default();
    parsed.map_err(|e| Failure::new(FailureKind::Transient, format!("the answer to GET {path} is not what Docker sends: {e}")))
}

fn transport(error: &http::Error) -> Failure {
    Failure::new(FailureKind::Transient, error.message.clone())
}

fn message(response: &Response) -> String {
    serde_json::from_slice::<Refusal>(&response.body).map(|refusal| refusal.message).unwrap_or_default()
}

/// "client version 1.44 is too old. Minimum supported API version is 1.50, …"
fn least_version(message: &str) -> Option<Version> {
    let (_, rest) = message.split_once("Minimum supported API version is ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    Version::parse(rest[..end].trim_end_matches('.'))
}

/// What a status other than 200 means, and what to do about it.
fn refused(path: &str, response: &Response) -> Failure {
    use FailureKind::{Configuration, Electing, Transient};
    let path = path.split('?').next().unwrap_or_default();
    let said = match message(response) {
        said if said.is_empty() => String::from_utf8_lossy(&response.body[..response.body.len().min(200)]).trim().to_owned(),
        said => said,
    };
    let lower = said.to_ascii_lowercase();
    let has = |text: &str| lower.contains(text);
    let (kind, remedy) = match response.status {
        401 => (Configuration, "give --providers.….username and .password that it accepts"),
        403..=405 => (Configuration, "let the socket proxy pass GET of this path, see docs/swarm.md"),
        503 if has("worker node") => (Configuration, "name a manager as endpoint: workers cannot tell of services"),
        503 if has("docker swarm init") => (Configuration, "run docker swarm init or join, or use providers.docker"),
        503 if has("encrypted") || has("locked") => (Configuration, "unlock it: docker swarm unlock"),
        503 if has("expired") => (Configuration, "renew the node's certificate: docker swarm ca --rotate"),
        500 | 503 if has("leader") || has("manager") => (Electing, "it is asked again"),
        400 => (Configuration, "is this a Docker daemon of a supported version?"),
        _ => (Transient, ""),
    };
    let remedy = if remedy.is_empty() { String::new() } else { format!(" ({remedy})") };
    Failure::new(kind, format!("GET {path} was answered with {}: {said}{remedy}", response.status))
}

#[cfg(test)]
mod tests;
