//! Where events go to be judged: to the model of exchanges, and to the judge of the gateway that they concern, or of every gateway.

use super::{
    World, client, gateway,
    instance::{Instance, Model},
};
use crate::{
    fault::{Fault, Phase},
    oracle::{
        Answer, Counts, Oracle, Verdict, broken,
        exchange::{Caller, Fate},
        lifecycle::Connection,
        telemetry::Seen,
        wire::Head,
    },
    plan::Ask,
    trace::{Mark, State},
};

/// How long a request may take, whatever happens: a minute for a kernel to give up what nobody acknowledges, and what is around it.
const REQUEST_BOUND: u64 = 75_000;

/// To whom a request went, and when.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    gateway: usize,
    began: u64,
}

impl World {
    /// The gateway that was asked. A request that nobody sent is any judge's affair.
    fn asked_at(&self, id: u64) -> (&Instance, u64) {
        let asked = self.asked.lock().get(&id).copied().unwrap_or_default();
        (&self.gateways[asked.gateway], asked.began)
    }

    fn judge_of(&self, id: u64) -> &Model {
        &self.asked_at(id).0.model
    }

    /// How a request ended was judged, or is nobody's fault.
    fn excuse(&self, id: u64) {
        match self.judge_of(id) {
            Model::Source(judge) => judge.lock().excuse(self.now(), id),
            Model::Swarm(judge) => judge.lock().excuse(id),
        }
    }

    /// What clients saw of the gateway that was asked.
    fn seen_of(&self, id: u64, tell: impl FnOnce(&mut Seen)) {
        let asked = self.asked.lock().get(&id).copied().unwrap_or_default();
        tell(&mut self.recorders[asked.gateway].seen.lock());
    }

    /// A client asks a gateway.
    pub(super) fn asked(&self, gateway: usize, id: u64, ask: &Ask, caller: Caller) {
        let now = self.now();
        self.mark(self.client_of(id), || Mark::Asked {
            id,
            gateway: self.gateways[gateway].machine.name.clone(),
            method: if ask.post { "POST" } else { "GET" }.to_owned(),
            service: ask.service,
        });
        self.exchange.lock().asked(now, id, ask, caller);
        self.asked.lock().insert(id, Asked { gateway, began: now });
        match &self.gateways[gateway].model {
            Model::Source(judge) => {
                self.tell_picks(gateway, ask.service);
                judge.lock().asked(now, id, ask);
            }
            Model::Swarm(judge) => judge.lock().asked(now, id, ask),
        }
    }

    /// A client got a whole response; `head` as its bytes were, where the client reads bytes.
    pub(super) fn answered_with(&self, id: u64, answer: &Answer, head: Option<&Head>) {
        let (status, reason) = (answer.status, &answer.reason);
        self.seen_of(id, |seen| seen.answered(status, reason.as_deref()));
        self.mark(self.client_of(id), || Mark::Answered { id, status, reason: reason.clone() });
        let fate = self.exchange.lock().answered(self.now(), id, answer, head);
        match fate {
            Err(violation) => self.judged(Err(violation)),
            Ok(Fate::Odd) => self.excuse(id),
            Ok(Fate::Usual) => {
                let Asked { gateway, began } = self.asked.lock().get(&id).copied().unwrap_or_default();
                self.judged(self.stays(gateway, began, id, answer));
                self.answered(id, answer);
            }
        }
    }

    fn answered(&self, id: u64, answer: &Answer) {
        let now = self.now();
        let (instance, began) = self.asked_at(id);
        if answer.reason.is_some() && instance.life.lock().is_disturbed(began) {
            return self.excuse(id);
        }
        let verdict = match &instance.model {
            Model::Source(judge) => judge.lock().answered(now, id, answer),
            Model::Swarm(judge) => judge.lock().answered(now, id, answer),
        };
        self.judged(verdict);
    }

    /// A client's request ended without a whole response. `right`: the bytes that came were a server's.
    pub(super) fn cut_off_with(&self, id: u64, server: Option<usize>, right: bool, how: &str, connection: Connection) {
        self.mark(self.client_of(id), || Mark::Lost { id });
        self.seen_of(id, |seen| seen.unsure += 1);
        let now = self.now();
        let (instance, began) = self.asked_at(id);
        let life = instance.life.lock();
        // A connection that waited for a descriptor is lost when its listener closes.
        let waited = || !life.is_up() && connection.fresh && self.lacks_descriptors(self.asked.lock()[&id].gateway);
        let is_excused = life.may_lose(now, began, connection) || waited();
        drop(life);
        if is_excused {
            self.exchange.lock().left(now, id);
            return self.excuse(id);
        }
        let fate = self.exchange.lock().cut_off(now, id, server, right);
        match fate {
            Err(violation) => self.judged(Err(violation)),
            Ok(Fate::Odd) => self.excuse(id),
            Ok(Fate::Usual) => self.cut_off(id, server, how),
        }
    }

    fn cut_off(&self, id: u64, server: Option<usize>, how: &str) {
        let now = self.now();
        let verdict = match self.judge_of(id) {
            Model::Source(judge) => judge.lock().cut_off(now, id, server, how),
            Model::Swarm(judge) => judge.lock().cut_off(now, id, server, how),
        };
        self.judged(verdict);
    }

    /// A client's connection ended in order before this request's turn came.
    pub(super) fn unanswered(&self, id: u64) {
        let verdict = self.exchange.lock().unanswered(id);
        self.judged(verdict);
        self.left(id);
    }

    /// A server read a request's head; as its bytes were, where the server reads bytes.
    pub(super) fn visited(&self, server: usize, id: u64, head: Option<&Head>, reused: bool) {
        let verdict = self.exchange.lock().arrived(self.now(), server, id, head, reused);
        self.judged(verdict);
    }

    pub(super) fn uploaded(&self, server: usize, id: u64, bytes: u64, right: bool) {
        let verdict = self.exchange.lock().uploaded(self.now(), server, id, bytes, right);
        self.judged(verdict);
    }

    /// A server has flushed so many bytes of a body in all.
    pub(super) fn produced(&self, server: usize, id: u64, total: u64) {
        let verdict = self.exchange.lock().produced(self.now(), server, id, total);
        self.judged(verdict);
    }

    /// A client has read so many bytes of a body in all.
    pub(super) fn got(&self, id: u64, total: u64) {
        self.exchange.lock().got(self.now(), id, total);
    }

    /// A server is done with a request.
    pub(super) fn let_go(&self, server: usize, id: u64) {
        self.exchange.lock().let_go(server, id);
    }

    pub(super) fn left(&self, id: u64) {
        self.seen_of(id, |seen| seen.unsure += 1);
        self.mark(self.client_of(id), || Mark::Aborted { id });
        self.exchange.lock().left(self.now(), id);
        match self.judge_of(id) {
            Model::Source(judge) => judge.lock().left(self.now(), id),
            Model::Swarm(judge) => judge.lock().left(id),
        }
    }

    pub(super) fn arrived(&self, server: usize, id: u64, host: &str) {
        let now = self.now();
        self.mark(&self.servers[server].name, || Mark::Arrived { id });
        let asked = self.asked.lock().get(&id).copied().unwrap_or_default();
        self.tell_picks(asked.gateway, self.plan.servers[server].service);
        let verdict = match self.judge_of(id) {
            Model::Source(judge) => judge.lock().arrived(now, server, id, host),
            Model::Swarm(judge) => judge.lock().arrived(now, server, id, host),
        };
        self.judged(verdict);
        let Asked { gateway, began } = self.asked.lock().get(&id).copied().unwrap_or_default();
        self.judged(self.may_be_given(gateway, began, server, id));
    }

    /// Whether the gateway may pick every server of a service. Told before each event by which shares are judged.
    fn tell_picks(&self, gateway: usize, service: usize) {
        let instance = &self.gateways[gateway];
        let (Model::Source(judge), Some(shared)) = (&instance.model, instance.shared()) else { return };
        judge.lock().picks(service, || gateway::may_be_picked(&shared.published.load(), service));
    }

    /// A server takes connections, or no longer. `since` is when its clients may count on it.
    pub(super) fn runs(&self, since: u64, server: usize, running: bool) {
        if running {
            self.mark(&self.servers[server].name, || Mark::State { state: State::Serves });
        }
        match &self.stage {
            Some(_) => self.task_listens(server, running),
            None => self.each_source(|judge| judge.runs(since, server, running)),
        }
    }

    pub(super) fn closed_idle(&self, server: usize) {
        let now = self.now();
        self.each_source(|judge| judge.closed_idle(now, server));
        self.each_swarm(|judge| judge.closed_idle(now, server));
    }

    pub(super) fn is_converged(&self) -> bool {
        self.core().all(|(_, instance)| instance.is_converged())
    }

    /// What takes too long, or is not as it should be by now.
    pub(super) fn overdue(&self) -> Verdict {
        self.judges(Oracle::Liveness);
        self.exchange.lock().overdue(self.now())?;
        self.drains_end()?;
        self.gateways.iter().try_for_each(|instance| self.overdue_at(instance))
    }

    fn overdue_at(&self, instance: &Instance) -> Verdict {
        let now = self.now();
        let is_late = |(_, began): &(u64, u64)| began + REQUEST_BOUND < now;
        let (verdict, late) = match &instance.model {
            Model::Swarm(judge) => {
                let mut judge = judge.lock();
                let late = judge.open().find(is_late);
                (judge.converges(now), late)
            }
            Model::Source(judge) => {
                let mut judge = judge.lock();
                if self.has_read_all(instance) {
                    judge.has_read_all(now);
                }
                let late = judge.open().find(is_late);
                (judge.converges(now), late)
            }
        };
        let of_it = |mut violation: crate::oracle::Violation| {
            violation.detail = format!("{}: {}", instance.machine.name, violation.detail);
            violation
        };
        verdict.map_err(of_it)?;
        late.map_or(Ok(()), |(id, began)| broken(Oracle::Liveness, format!("request {id} has no end after {} ms", now - began)))
    }

    /// What all judges have counted.
    pub(super) fn counts(&self) -> Counts {
        let of_exchanges = self.exchange.lock().counts.clone();
        self.gateways.iter().fold(of_exchanges, |mut sum, instance| {
            instance.count(|counts| sum.add(counts));
            sum
        })
    }

    /// A fault strikes, begins, or ends: its cells of the table can be reached meanwhile.
    pub(super) fn strikes(&self, fault: Fault, phase: Phase) {
        self.strikes_as(fault, phase, || (fault.about().to_owned(), Vec::new()));
    }

    /// The same, in words of its own, and at some nodes in particular.
    pub(super) fn strikes_as(&self, fault: Fault, phase: Phase, what: impl FnOnce() -> (String, Vec<String>)) {
        self.mark("world", || {
            let (what, nodes) = what();
            Mark::fault(fault, phase, what, nodes)
        });
        let now = self.now();
        self.gateways.iter().for_each(|instance| instance.count(|counts| counts.strikes(now, fault, phase)));
        self.exchange.lock().counts.strikes(now, fault, phase);
    }

    /// The name of the client that sends this request.
    fn client_of(&self, id: u64) -> &str {
        client::index_of(id).and_then(|index| self.clients.get(index)).map_or("clients", |machine| &machine.name)
    }

    /// An oracle judges something of one gateway.
    pub(super) fn judges_at(&self, gateway: usize, oracle: Oracle) {
        let now = self.now();
        self.gateways[gateway].count(|counts| counts.judges(now, oracle));
    }

    /// An oracle judges something that only the world can see.
    pub(super) fn judges(&self, oracle: Oracle) {
        let now = self.now();
        self.gateways[0].count(|counts| counts.judges(now, oracle));
    }
}
