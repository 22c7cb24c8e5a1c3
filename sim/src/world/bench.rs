//! Where events go to be judged: to the model of exchanges, and to that of a source or of a Swarm.

use super::World;
use crate::{
    fault::{Fault, Phase},
    oracle::{
        Answer, Counts, Oracle, Verdict, broken,
        exchange::{Caller, Fate},
        wire::Head,
    },
    plan::Ask,
};

/// How long a request may take, whatever happens.
const REQUEST_BOUND: u64 = 60_000;

impl World {
    /// A client begins a request.
    pub(super) fn asked_by(&self, id: u64, ask: &Ask, caller: Caller) {
        let now = self.now();
        self.exchange.lock().asked(now, id, ask, caller);
        match &self.stage {
            Some(stage) => stage.judge.lock().asked(now, id, ask),
            None => self.judge.lock().asked(now, id, ask),
        }
    }

    /// A client got a whole response; `head` as its bytes were, where the client reads bytes.
    pub(super) fn answered_with(&self, id: u64, answer: &Answer, head: Option<&Head>) {
        let fate = self.exchange.lock().answered(self.now(), id, answer, head);
        match fate {
            Err(violation) => self.judged(Err(violation)),
            Ok(Fate::Odd) => self.is_over(id),
            Ok(Fate::Usual) => self.answered(id, answer),
        }
    }

    fn answered(&self, id: u64, answer: &Answer) {
        let now = self.now();
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().answered(now, id, answer),
            None => self.judge.lock().answered(now, id, answer),
        };
        self.judged(verdict);
    }

    /// A client's request ended without a whole response. `right`: the bytes that came were a server's.
    pub(super) fn cut_off_with(&self, id: u64, server: Option<usize>, right: bool, how: &str) {
        let fate = self.exchange.lock().cut_off(self.now(), id, server, right);
        match fate {
            Err(violation) => self.judged(Err(violation)),
            Ok(Fate::Odd) => self.is_over(id),
            Ok(Fate::Usual) => self.cut_off(id, server, how),
        }
    }

    fn cut_off(&self, id: u64, server: Option<usize>, how: &str) {
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().cut_off(self.now(), id, server, how),
            None => self.judge.lock().cut_off(self.now(), id, server, how),
        };
        self.judged(verdict);
    }

    /// Its end was judged.
    fn is_over(&self, id: u64) {
        match &self.stage {
            Some(stage) => stage.judge.lock().ends(id),
            None => self.judge.lock().ends(id),
        }
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
        self.exchange.lock().left(self.now(), id);
        match &self.stage {
            Some(stage) => stage.judge.lock().left(id),
            None => self.judge.lock().left(id),
        }
    }

    pub(super) fn arrived(&self, server: usize, id: u64, host: &str) {
        let now = self.now();
        let verdict = match &self.stage {
            Some(stage) => stage.judge.lock().arrived(now, server, id, host),
            None => self.judge.lock().arrived(now, server, id, host),
        };
        self.judged(verdict);
    }

    /// A server takes connections, or no longer. `since` is when its clients may count on it.
    pub(super) fn runs(&self, since: u64, server: usize, running: bool) {
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
        self.exchange.lock().overdue(now)?;
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
        let mut counts = self.count(|counts| counts.clone());
        counts.add(&self.exchange.lock().counts);
        counts
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
        let now = self.now();
        self.count(|counts| counts.strikes(now, fault, phase));
        self.exchange.lock().counts.strikes(now, fault, phase);
    }

    /// An oracle judges something that only the world can see.
    pub(super) fn judges(&self, oracle: Oracle) {
        let now = self.now();
        self.count(|counts| counts.judges(now, oracle));
    }
}
