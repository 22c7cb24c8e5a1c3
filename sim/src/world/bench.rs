//! Where events go to be judged: to the judge of the gateway that they concern, or of every gateway.

use super::{
    World,
    instance::{Instance, Model},
};
use crate::{
    fault::{Fault, Phase},
    oracle::{Answer, Counts, Oracle, Verdict, broken},
    plan::Ask,
};

/// How long a request may take, whatever happens.
const REQUEST_BOUND: u64 = 60_000;

impl World {
    /// The judge who knows of a request. One that nobody sent is any judge's affair.
    fn judge_of(&self, id: u64) -> &Model {
        let asked = self.asked.lock().get(&id).copied().unwrap_or(0);
        &self.gateways[asked].model
    }

    /// A client asks a gateway.
    pub(super) fn asked(&self, gateway: usize, id: u64, ask: &Ask) {
        let now = self.now();
        self.asked.lock().insert(id, gateway);
        match &self.gateways[gateway].model {
            Model::Source(judge) => judge.lock().asked(now, id, ask),
            Model::Swarm(judge) => judge.lock().asked(now, id, ask),
        }
    }

    pub(super) fn answered(&self, id: u64, answer: &Answer) {
        let now = self.now();
        let verdict = match self.judge_of(id) {
            Model::Source(judge) => judge.lock().answered(now, id, answer),
            Model::Swarm(judge) => judge.lock().answered(now, id, answer),
        };
        self.judged(verdict);
    }

    pub(super) fn cut_off(&self, id: u64, server: Option<usize>, how: &str) {
        let now = self.now();
        let verdict = match self.judge_of(id) {
            Model::Source(judge) => judge.lock().cut_off(now, id, server, how),
            Model::Swarm(judge) => judge.lock().cut_off(now, id, server, how),
        };
        self.judged(verdict);
    }

    pub(super) fn left(&self, id: u64) {
        match self.judge_of(id) {
            Model::Source(judge) => judge.lock().left(id),
            Model::Swarm(judge) => judge.lock().left(id),
        }
    }

    pub(super) fn arrived(&self, server: usize, id: u64, host: &str) {
        let now = self.now();
        let verdict = match self.judge_of(id) {
            Model::Source(judge) => judge.lock().arrived(now, server, id, host),
            Model::Swarm(judge) => judge.lock().arrived(now, server, id, host),
        };
        self.judged(verdict);
    }

    /// A server takes connections, or no longer. `since` is when its clients may count on it.
    pub(super) fn runs(&self, since: u64, server: usize, running: bool) {
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
        self.gateways.iter().all(Instance::is_converged)
    }

    /// What takes too long, or is not as it should be by now.
    pub(super) fn overdue(&self) -> Verdict {
        self.judges(Oracle::Liveness);
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
        self.gateways.iter().fold(Counts::default(), |mut sum, instance| {
            instance.count(|counts| sum.add(counts));
            sum
        })
    }

    /// A fault strikes, begins, or ends: its cells of the table can be reached meanwhile.
    pub(super) fn strikes(&self, fault: Fault, phase: Phase) {
        let now = self.now();
        self.gateways.iter().for_each(|instance| instance.count(|counts| counts.strikes(now, fault, phase)));
    }

    /// An oracle judges something that only the world can see.
    pub(super) fn judges(&self, oracle: Oracle) {
        let now = self.now();
        self.gateways[0].count(|counts| counts.judges(now, oracle));
    }
}
