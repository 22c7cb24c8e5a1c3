//! Where events go to be judged: to the model of a source, or to that of a Swarm.

use super::{World, client};
use crate::{
    fault::{Fault, Phase},
    oracle::{Answer, Counts, Oracle, Verdict, broken},
    plan::Ask,
    trace::{Mark, State},
};

/// How long a request may take, whatever happens.
const REQUEST_BOUND: u64 = 60_000;

impl World {
    pub(super) fn asked(&self, id: u64, ask: &Ask) {
        let now = self.now();
        self.mark(self.client_of(id), || Mark::Asked {
            id,
            method: if ask.post { "POST" } else { "GET" }.to_owned(),
            service: ask.service,
        });
        match &self.stage {
            Some(stage) => stage.judge.lock().asked(now, id, ask),
            None => self.judge.lock().asked(now, id, ask),
        }
    }

    pub(super) fn answered(&self, id: u64, answer: &Answer) {
        let now = self.now();
        let (status, reason) = (answer.status, &answer.reason);
        self.mark(self.client_of(id), || Mark::Answered { id, status, reason: reason.clone() });
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().answered(now, id, answer),
            None => self.judge.lock().answered(now, id, answer),
        };
        self.judged(verdict);
    }

    pub(super) fn cut_off(&self, id: u64, server: Option<usize>, how: &str) {
        self.mark(self.client_of(id), || Mark::Lost { id });
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().cut_off(self.now(), id, server, how),
            None => self.judge.lock().cut_off(self.now(), id, server, how),
        };
        self.judged(verdict);
    }

    pub(super) fn left(&self, id: u64) {
        self.mark(self.client_of(id), || Mark::Aborted { id });
        match &self.stage {
            Some(stage) => stage.judge.lock().left(id),
            None => self.judge.lock().left(id),
        }
    }

    pub(super) fn arrived(&self, server: usize, id: u64, host: &str) {
        let now = self.now();
        self.mark(&self.servers[server].name, || Mark::Arrived { id });
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().arrived(now, server, id, host),
            None => self.judge.lock().arrived(now, server, id, host),
        };
        self.judged(verdict);
    }

    /// A server takes connections, or no longer. `since` is when its clients may count on it.
    pub(super) fn runs(&self, since: u64, server: usize, running: bool) {
        if running {
            self.mark(&self.servers[server].name, || Mark::State { state: State::Serves });
        }
        match &self.stage {
            Some(_) => self.task_listens(server, running),
            None => self.judge.lock().runs(since, server, running),
        }
    }

    pub(super) fn closed_idle(&self, server: usize) {
        let now = self.now();
        match &self.stage {
            Some(stage) => stage.judge.lock().closed_idle(now, server),
            None => self.judge.lock().closed_idle(now, server),
        }
    }

    pub(super) fn is_converged(&self) -> bool {
        match &self.stage {
            Some(stage) => stage.judge.lock().is_converged(),
            None => self.judge.lock().is_converged(),
        }
    }

    /// What takes too long, or is not as it should be by now.
    pub(super) fn overdue(&self) -> Verdict {
        let now = self.now();
        self.judges(Oracle::Liveness);
        let (verdict, late) = match &self.stage {
            Some(stage) => {
                let mut judge = stage.judge.lock();
                let late = judge.open().find(|(_, began)| began + REQUEST_BOUND < now);
                (judge.converges(now), late)
            }
            None => {
                let mut judge = self.judge.lock();
                if self.gateway_has_read_all() {
                    judge.has_read_all(now);
                }
                let late = judge.open().find(|(_, began)| began + REQUEST_BOUND < now);
                (judge.converges(now), late)
            }
        };
        verdict?;
        late.map_or(Ok(()), |(id, began)| broken(Oracle::Liveness, format!("request {id} has no end after {} ms", now - began)))
    }

    pub(super) fn counts(&self) -> Counts {
        self.count(|counts| counts.clone())
    }

    /// What has been judged, to be read or added to.
    pub(super) fn count<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        match &self.stage {
            Some(stage) => f(&mut stage.judge.lock().counts),
            None => f(&mut self.judge.lock().counts),
        }
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
        self.count(|counts| counts.strikes(now, fault, phase));
    }

    /// The name of the client that sends this request.
    fn client_of(&self, id: u64) -> &str {
        client::index_of(id).and_then(|index| self.clients.get(index)).map_or("clients", |machine| &machine.name)
    }

    /// An oracle judges something that only the world can see.
    pub(super) fn judges(&self, oracle: Oracle) {
        let now = self.now();
        self.count(|counts| counts.judges(now, oracle));
    }
}
