//! One endpoint after the other, until none of them works: what the providers `docker` and `swarm` have in common.

use super::client::{Failure, FailureKind};
use crate::provider::{EventKind, ProviderError, Sender, http::Endpoint};
use fairlead_net::{
    random,
    time::{Duration, Instant, now, sleep},
};
use std::future::Future;

/// A session that lasted so long makes its endpoint a good one: the round starts anew.
const STEADY: Duration = Duration::from_secs(5);

/// What only the operator can mend is not asked again sooner.
const SLOW: Duration = Duration::from_secs(15);

/// An election takes about so long.
const ELECTION: Duration = Duration::from_secs(1);

/// Which endpoint is asked, and since when none answers.
#[derive(Debug)]
pub struct Round {
    /// Index of the endpoint to try next.
    next: usize,
    /// When the last answer was believed.
    pub good: Option<Instant>,
}

impl Round {
    /// Nothing was asked yet.
    pub fn new() -> Self {
        Self { next: 0, good: None }
    }

    /// The next endpoint of these.
    fn endpoint<'a>(&mut self, endpoints: &'a [Endpoint]) -> Option<&'a Endpoint> {
        let endpoint = endpoints.get(self.next % endpoints.len().max(1));
        self.next = (self.next + 1) % endpoints.len().max(1);
        endpoint
    }
}

/// What holds sessions with a daemon.
pub trait Sessions {
    fn round(&mut self) -> &mut Round;

    /// One session, which ends by a failure only.
    fn session(&mut self, endpoint: &Endpoint, out: &Sender) -> impl Future<Output = Failure> + Send;
}

/// Sessions with one endpoint after the other, until each failed in turn. Returns when it is worth trying again.
pub async fn run(name: &str, endpoints: Result<Vec<Endpoint>, Failure>, of: &mut impl Sessions, out: &Sender) -> ProviderError {
    let began = now();
    let endpoints = match endpoints {
        Ok(endpoints) => endpoints,
        Err(failure) => return ProviderError::new(failure.message),
    };
    let mut failed: Vec<(FailureKind, String)> = Vec::new();
    while failed.len() < endpoints.len() {
        let Some(endpoint) = of.round().endpoint(&endpoints) else { break };
        let since = now();
        let failure = of.session(endpoint, out).await;
        let why = format!("{endpoint}: {failure}");
        tracing::info!(provider = name, %why, "session ended");
        if now().saturating_duration_since(since) >= STEADY {
            failed.clear();
        }
        failed.push((failure.kind, why));
    }
    let kind = failed.iter().map(|(kind, _)| *kind).min().unwrap_or(FailureKind::Configuration);
    let mut messages: Vec<String> = failed.into_iter().map(|(_, why)| why).collect();
    messages.dedup();
    let message = messages.join("; ");
    let since = of.round().good.unwrap_or(began);
    out.send(EventKind::Failing { message: message.clone(), since });
    let pause = match kind {
        FailureKind::Transient => Duration::ZERO,
        FailureKind::Electing => ELECTION,
        FailureKind::Configuration => SLOW,
    };
    let fifth = pause / 5;
    sleep(pause + Duration::from_nanos(random::below(fifth.as_nanos() as u64 + 1))).await;
    ProviderError::new(message)
}
