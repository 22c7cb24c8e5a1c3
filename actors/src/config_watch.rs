//! The actor ConfigWatch: one per provider.
//!
//! Owns the provider's task, starts it again after an error or a panic, and passes on what it says, at most one
//! configuration per gathering time. Keeps a [`ProviderStatus`] that the admin API, the metrics and readiness read.
//! Supervised by the root; it has no name of its own, because the registry of names is shared by the whole process.
//!
//! Never: waits for the source, reads a configuration's meaning, or tells a failure as an empty configuration.

mod backoff;
mod status;

pub use status::{ProviderStatus, StatusView};

use crate::provider::{Event, EventKind, Provider, ProviderError, Receiver, channel};
use backoff::Backoff;
use fairlead_core::config::{RawDynamic, Rejection};
use fairlead_net::{
    random,
    task::{JoinError, Owned, spawn},
    time::{Duration, Instant, now, sleep},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;

/// How long further changes are gathered after one was passed on. The first of a burst is passed on at once.
pub const GATHER: Duration = Duration::from_millis(20);

/// Where events go. Called from the actor, so it must not block.
pub type Forward = Arc<dyn Fn(Event) + Send + Sync>;

/// Makes the provider: at the start, and anew after a panic, when nothing of the old one can be trusted.
pub type Make = Box<dyn Fn() -> Box<dyn Provider> + Send + Sync>;

/// The actor.
pub struct ConfigWatch;

/// What the actor is started with.
pub struct Arguments {
    pub make: Make,
    pub forward: Forward,
    /// Shared with whoever reads it. Survives a restart of the actor.
    pub status: Arc<ProviderStatus>,
    /// At most [`GATHER`] is honoured: longer, and a change is late for no gain.
    pub gather: Duration,
}

/// What the actor is told.
pub enum Msg {
    /// The provider spoke.
    Said(EventKind),
    /// The provider's task ended: with its error, or by a panic.
    Ended(Result<(Box<dyn Provider>, ProviderError), JoinError>),
    /// The pause after an end is over.
    Again,
    /// Whoever hears the events lost what it heard: the last configuration is passed on once more.
    Repeat,
}

/// See [`ConfigWatch`].
pub struct State {
    arguments: Arguments,
    /// Kept between two runs, while no task has it.
    idle: Option<Box<dyn Provider>>,
    backoff: Backoff,
    /// The last configuration passed on.
    last: Option<EventKind>,
    /// The provider's task, or the pause before its next.
    task: Option<Owned<()>>,
    healthy_since: Option<Instant>,
}

impl Actor for ConfigWatch {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let mut state = State { arguments, idle: None, backoff: Backoff::default(), last: None, task: None, healthy_since: None };
        state.start(me);
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Said(kind) => state.said(kind),
            Msg::Ended(Ok((provider, error))) => {
                state.idle = Some(provider);
                state.pause(me, error.message);
            }
            Msg::Ended(Err(error)) => state.pause(me, error.to_string()),
            Msg::Again => state.start(me),
            Msg::Repeat => state.repeat(),
        }
        Ok(())
    }
}

impl State {
    fn start(&mut self, me: ActorRef<Msg>) {
        let mut provider = self.idle.take().unwrap_or_else(|| (self.arguments.make)());
        let gather = self.arguments.gather.min(GATHER);
        let run = async move {
            let (out, mut heard) = channel();
            let mut task = spawn(async move {
                let error = provider.run(&out).await;
                (provider, error)
            })
            .owned();
            let ended = tokio::select! {
                biased;
                () = tell(&mut heard, &me, gather) => return,
                ended = &mut task => ended,
            };
            // The last words first: a provider that resumes does not repeat them.
            while let Some(kind) = heard.try_recv() {
                me.cast(Msg::Said(kind)).ok();
            }
            // An actor that cannot be told is gone, and this task with it.
            me.cast(Msg::Ended(ended)).ok();
        };
        self.task = Some(spawn(run).owned());
    }

    fn pause(&mut self, me: ActorRef<Msg>, message: String) {
        let status = &self.arguments.status;
        let well_for = self.healthy_since.map_or(Duration::ZERO, |since| now().saturating_duration_since(since));
        let pause = self.backoff.next(well_for, random::u64());
        tracing::warn!(provider = status.name(), error = %message, ?pause, "provider ended; its last configuration stays in force");
        status.restarted();
        self.said(EventKind::Failing { message, since: now() });
        let later = async move {
            sleep(pause).await;
            me.cast(Msg::Again).ok();
        };
        self.task = Some(spawn(later).owned());
    }

    fn said(&mut self, kind: EventKind) {
        let status = &self.arguments.status;
        let news = match kind {
            EventKind::Configuration { raw, rejections, revision } => {
                self.healthy_since.get_or_insert_with(now);
                let recovered = status.healthy(now());
                let same = self.last.as_ref().is_some_and(|last| says(last, &raw, &rejections));
                status.configured(&revision, rejections.len(), same);
                let now = EventKind::Configuration { raw, rejections, revision };
                self.last = Some(now.clone());
                if same { recovered.then_some(EventKind::Healthy) } else { Some(now) }
            }
            EventKind::Failing { message, since } => {
                self.healthy_since = None;
                status.failing(&message, since).then_some(EventKind::Failing { message, since })
            }
            EventKind::Healthy => {
                self.healthy_since.get_or_insert_with(now);
                status.healthy(now()).then_some(EventKind::Healthy)
            }
        };
        if let Some(kind) = news {
            self.forward(kind);
        }
        self.arguments.status.applied(self.last.is_some());
    }

    fn repeat(&self) {
        if let Some(last) = &self.last {
            self.forward(last.clone());
        }
    }

    fn forward(&self, kind: EventKind) {
        (self.arguments.forward)(Event { provider: self.arguments.status.name().to_owned(), kind });
    }
}

/// Whether `last` is a configuration of the same content, whatever its revision.
fn says(last: &EventKind, raw: &RawDynamic, rejections: &[Rejection]) -> bool {
    matches!(last, EventKind::Configuration { raw: r, rejections: j, .. } if r == raw && j == rejections)
}

/// Brings the provider's words to the actor, the latest only and a configuration at most once per `gather`. Ends when
/// the actor is gone.
async fn tell(heard: &mut Receiver, me: &ActorRef<Msg>, gather: Duration) {
    loop {
        let kind = heard.recv().await;
        let configuration = matches!(kind, EventKind::Configuration { .. });
        if me.cast(Msg::Said(kind)).is_err() {
            return;
        }
        if configuration {
            sleep(gather).await;
        }
    }
}

#[cfg(test)]
mod tests;
