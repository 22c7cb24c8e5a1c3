//! A way to a server: a connection that was kept, or a new one; and where that takes longer than usual, new ones to several servers
//! side by side, of which the first that stands is taken.
//!
//! Owns the race. When another attempt joins it is `core::race`'s decision. Those that come too late are kept for later requests.

use super::{Exchange, Failed};
use crate::{
    endpoint::{Endpoint, InFlight},
    proxy::upstream::{self, ConnectError, ConnectErrorKind, Connection, Opening},
    telemetry::AttemptOutcome,
};
use fairlead_core::{
    outlier::Outcome,
    race::{self, Race},
    retry::Failure,
};
use fairlead_net::{
    http::{Downstream, Error},
    time::Duration,
};
use smallvec::SmallVec;
use std::{future::poll_fn, task::Poll};

/// How long a server may take to accept a connection while another one could be asked instead.
pub(in crate::proxy) const IMPATIENCE: Duration = Duration::from_millis(1000);

/// By then a kernel has asked for a connection a second time.
const REPEATED: Duration = Duration::from_millis(900);

/// What came of it.
pub(super) enum Connected {
    Up(Way),
    Gone(Error),
    Failed(Failed),
}

/// A connection, and the server it leads to.
pub(super) struct Way {
    pub index: usize,
    pub served: InFlight,
    pub up: Connection,
    /// It was there before this request.
    pub reused: bool,
}

/// An attempt under way.
struct Runner {
    index: usize,
    served: InFlight,
    opening: Opening,
    begun: Duration,
}

enum Step {
    Stands(usize, Connection),
    Fell(usize, ConnectError),
    Overdue,
    Gone(Error),
}

impl<D: Downstream> Exchange<'_, D> {
    /// A way to this server, or to another one if that stands first.
    pub(super) async fn connect(&mut self, index: usize, fresh: bool) -> Connected {
        let (worker, backend) = (&self.client.worker, self.backend);
        let served = self.enter(index);
        if !fresh && let Some(up) = upstream::checkout(worker, backend, served.endpoint(), self.open.seen()) {
            return Connected::Up(Way { index, served, up, reused: true });
        }
        let mut runners: SmallVec<[Runner; 1]> = SmallVec::new();
        runners.push(self.runner(index, served));
        // A client that is bound to its server is not taken from it for a moment's delay.
        let patience = if self.bound { race::LONGEST } else { backend.connect_times.lock().patience() };
        let mut race = Race::new(self.now(), patience);
        loop {
            match self.step(&mut runners, race.due()).await {
                Step::Gone(gone) => return Connected::Gone(gone),
                Step::Stands(at, up) => {
                    let Runner { index, served, begun, .. } = runners.swap_remove(at);
                    let now = self.now();
                    if is_strange(served.endpoint(), now.saturating_sub(begun)) {
                        // Nothing of the request went out, and the server is not to blame.
                        self.open.attempt_over(served.endpoint());
                        let failed = failed(index, stranger(served.endpoint()));
                        if runners.is_empty() {
                            return Connected::Failed(failed);
                        }
                        backend.series.attempt(failed.outcome);
                        race.fell(now);
                        continue;
                    }
                    self.leave(runners);
                    return Connected::Up(self.settled(Way { index, served, up, reused: false }));
                }
                Step::Fell(at, e) => {
                    let loser = runners.swap_remove(at);
                    let now = self.now();
                    self.observe(loser.served.endpoint(), Outcome::Failure);
                    self.open.attempt_over(loser.served.endpoint());
                    let failed = failed(loser.index, e);
                    if runners.is_empty() {
                        return Connected::Failed(failed);
                    }
                    backend.series.attempt(failed.outcome);
                    race.fell(now);
                }
                Step::Overdue => {
                    let now = self.now();
                    runners.iter().for_each(|runner| runner.served.endpoint().suspect(now));
                    let next = backend.pick_beside(&self.tried, self.key);
                    let begins = race.overdue(now, next.is_some(), &mut backend.budget.lock());
                    let Some(index) = next.filter(|_| begins) else { continue };
                    self.tried.push(index);
                    backend.series.races.inc();
                    let served = self.enter(index);
                    if let Some(up) = upstream::checkout(worker, backend, served.endpoint(), self.open.seen()) {
                        self.leave(runners);
                        return Connected::Up(self.settled(Way { index, served, up, reused: true }));
                    }
                    runners.push(self.runner(index, served));
                }
            }
        }
    }

    /// Looks at the clock.
    fn now(&mut self) -> Duration {
        self.open.elapsed();
        self.client.worker.shared.since_epoch(self.open.seen())
    }

    /// Counts the request at this server.
    fn enter(&mut self, index: usize) -> InFlight {
        let served = self.backend.endpoints[index].enter();
        self.open.facts.endpoint = Some(served.endpoint().clone());
        let begun = self.open.so_far();
        if let Some(info) = &mut self.open.facts.info {
            info.attempt(served.endpoint(), begun);
        }
        served
    }

    fn runner(&mut self, index: usize, served: InFlight) -> Runner {
        let begun = self.now();
        let dial = Some(self.backend.transport.dial_timeout).filter(|dial| !dial.is_zero());
        let limit = match self.backend.has_other(&self.tried) {
            true => Some(dial.map_or(IMPATIENCE, |dial| dial.min(IMPATIENCE))),
            false => dial,
        };
        let opening = upstream::begin(&self.client.worker, self.backend, served.endpoint(), limit);
        Runner { index, served, opening, begun }
    }

    /// Until something happens in the race.
    async fn step(&mut self, runners: &mut [Runner], due: Option<Duration>) -> Step {
        let Self { client, down, deadline, .. } = self;
        match due {
            None => deadline.clear(),
            Some(due) => deadline.set(client.worker.shared.instant(due)),
        }
        poll_fn(|cx| {
            for (at, runner) in runners.iter_mut().enumerate() {
                if let Poll::Ready(opened) = runner.opening.as_mut().poll(cx) {
                    return Poll::Ready(match opened {
                        Ok(up) => Step::Stands(at, up),
                        Err(e) => Step::Fell(at, e),
                    });
                }
            }
            if let Poll::Ready(gone) = down.poll_gone(cx) {
                return Poll::Ready(Step::Gone(gone));
            }
            deadline.poll_expired(cx).map(|()| Step::Overdue)
        })
        .await
    }

    /// Nobody waits for these any more.
    fn leave(&self, runners: SmallVec<[Runner; 1]>) {
        for late in runners {
            upstream::finish_alone(&self.client.worker, self.backend, late.served.endpoint(), late.opening);
        }
    }

    /// Notes the server that it came to.
    fn settled(&mut self, way: Way) -> Way {
        // The first that is tried is the one that a client is bound to; at another one it gets a new cookie.
        self.bound &= self.tried.first() == Some(&way.index);
        self.open.facts.endpoint = Some(way.served.endpoint().clone());
        if let Some(info) = &mut self.open.facts.info {
            info.settled(way.served.endpoint());
        }
        way
    }
}

/// Whether it may be somebody else who answers: the server was withdrawn in the meantime, and was silent for so long that its first word
/// must have been lost. Where addresses are handed on, as on a Swarm's networks, they may have been in that time.
pub(in crate::proxy) fn is_strange(endpoint: &Endpoint, took: Duration) -> bool {
    let planted = false;
    #[cfg(planted = "stranger_trusted")]
    let planted = planted || fairlead_net::sim::is_planted("stranger_trusted");
    took >= REPEATED && !endpoint.keeps_connections() && !planted
}

fn stranger(endpoint: &Endpoint) -> ConnectError {
    let detail = format!("{}: withdrawn before it answered, so that it may be another one that did", endpoint.url.text);
    ConnectError { kind: ConnectErrorKind::TimedOut, detail }
}

fn failed(index: usize, e: ConnectError) -> Failed {
    let (failure, outcome) = match e.kind {
        ConnectErrorKind::Failed => (Failure::ConnectFailed, AttemptOutcome::ConnectFailed),
        ConnectErrorKind::TimedOut => (Failure::ConnectTimeout, AttemptOutcome::TimedOut),
        ConnectErrorKind::Tls => (Failure::Tls, AttemptOutcome::ConnectFailed),
    };
    Failed { index, failure, outcome, sent: false, reused: false, detail: e.detail }
}
