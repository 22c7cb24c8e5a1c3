//! The life of a gateway's process, as its clients may count on it: what they may lose to its end, and what they may not.
//!
//! What is promised: from readiness until the listeners close, every connection is accepted; while readiness fails already and they
//! are open still, too. Whatever came over a connection that was made before they closed is answered, if that can be done before the
//! deadline. Nothing is promised by a process that is killed.
//!
//! What is excused, and why:
//! - Requests over a connection to a process that was killed since, and connections that are tried while none listens: there is nobody.
//! - Requests on a kept connection that went out when the gateway was about to close it: HTTP lets either end close an idle
//!   connection, and what was under way is the client's to repeat ([`Lifecycle::new`]'s `gap`: there and back again).
//! - Connections that were made so shortly before the listeners closed, for the same reason.
//! - Requests that last beyond the deadline.
//! - Answers that end a request during which the process was stopped, and soon after: its timers ran out while it could not see that
//!   what they waited for was there. [`RECOVERED`] is what health checks take to believe in servers again.

use super::{Oracle, Verdict, broken};

/// From a process's going on to the end of what its stop may have spoilt.
const RECOVERED: u64 = 6_000;
/// A drain ends so soon after its deadline.
const ENDED: u64 = 2_000;

/// A client's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// When it was made; none: it was refused, or nobody answered.
    pub made_at: Option<u64>,
    /// The request is its first.
    pub fresh: bool,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Lifecycle {
    gap: u64,
    /// The present process listens since then.
    listens_since: Option<u64>,
    going: Option<Going>,
    /// The last process was killed, or has ended.
    gone_at: Option<u64>,
    stopped: Option<u64>,
    went_on_at: Option<u64>,
}

/// An orderly end.
#[derive(Clone, Copy, Debug)]
struct Going {
    /// The process that goes has listened since then.
    listened_since: u64,
    lame_duck: u64,
    grace: u64,
    /// Listeners close.
    closes: u64,
    deadline: u64,
    /// The same, if it was stopped before it could hear of its end.
    latest: u64,
}

impl Lifecycle {
    /// Before the first process. `gap`: milliseconds to a peer and back, at most.
    pub fn new(gap: u64) -> Self {
        Self { gap, ..Self::default() }
    }

    /// Another process begins.
    pub fn begins(&mut self) {
        self.going = None;
    }

    /// Whether it is on its way down.
    pub fn is_going(&self) -> bool {
        self.going.is_some()
    }

    /// A process is ready.
    pub fn ready(&mut self, now: u64) {
        (self.listens_since, self.going, self.gone_at) = (Some(now), None, None);
    }

    /// It is told to end.
    pub fn terminated(&mut self, now: u64, lame_duck: u64, grace: u64) {
        let deadline = now + lame_duck + grace;
        let listened_since = self.listens_since.unwrap_or(now);
        self.going = Some(Going { listened_since, lame_duck, grace, closes: now + lame_duck, deadline, latest: deadline });
    }

    /// It has ended; `clean`: by its own account nothing was cut off.
    pub fn ended(&mut self, now: u64, clean: bool) -> Verdict {
        (self.listens_since, self.gone_at, self.stopped) = (None, Some(now), None);
        match self.going {
            Some(going) if !clean && now < going.deadline && self.went_on_at.is_none() => {
                broken(Oracle::Answer, format!("a drain cut requests off {} ms before its deadline", going.deadline - now))
            }
            _ => Ok(()),
        }
    }

    /// It was killed, or its machine was.
    pub fn dies(&mut self, now: u64) {
        (self.listens_since, self.going, self.gone_at, self.stopped) = (None, None, Some(now), None);
    }

    /// It is stopped, and goes on as if nothing had been.
    pub fn stops(&mut self, now: u64) {
        self.stopped = Some(now);
    }

    /// See [`Self::stops`].
    pub fn goes_on(&mut self, now: u64) {
        if self.stopped.take().is_some() {
            self.went_on_at = Some(now);
            if let Some(going) = &mut self.going {
                going.latest = going.latest.max(now + going.lame_duck + going.grace);
            }
        }
    }

    /// Whether a process is there that is to go on.
    pub fn is_up(&self) -> bool {
        self.listens_since.is_some() && self.going.is_none() && self.stopped.is_none()
    }

    /// A drain that does not end.
    pub fn overdue(&self, now: u64) -> Verdict {
        match self.going {
            Some(going) if self.gone_at.is_none() && self.stopped.is_none() => {
                if going.latest + ENDED < now {
                    return broken(
                        Oracle::Liveness,
                        format!("a drain has not ended {} ms after its deadline", now - going.deadline),
                    );
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a request that began at `began` may have ended by now without an answer.
    pub fn may_lose(&self, now: u64, began: u64, connection: Connection) -> bool {
        if self.is_disturbed(began) {
            return true;
        }
        let closing = |at: u64| self.going.is_some_and(|going| at + self.gap >= going.closes);
        let Some(made_at) = connection.made_at else {
            // Nobody listened, at one time or another.
            return self.listens_since.is_none_or(|since| since + self.gap >= began) || closing(now);
        };
        match self.going.filter(|going| made_at >= going.listened_since) {
            // It goes, or went, in order: what it had taken on, it has answered.
            Some(going) => self.spared(going, now, began, connection.fresh, made_at),
            // Its process is not the present one.
            None => self.listens_since.is_none_or(|since| made_at < since),
        }
    }

    /// Whether a process on its way down owes no answer.
    fn spared(&self, going: Going, now: u64, began: u64, fresh: bool, made_at: u64) -> bool {
        let Going { closes, deadline, .. } = going;
        let late = if fresh { made_at } else { began };
        now + self.gap >= deadline || late + self.gap >= closes
    }

    /// Whether the process was stopped while a request that began at `began` lasted, or shortly before.
    pub fn is_disturbed(&self, began: u64) -> bool {
        self.stopped.is_some() || self.went_on_at.is_some_and(|at| began <= at + RECOVERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(at: u64) -> Connection {
        Connection { made_at: Some(at), fresh: true }
    }

    fn kept(at: u64) -> Connection {
        Connection { made_at: Some(at), fresh: false }
    }

    const REFUSED: Connection = Connection { made_at: None, fresh: true };

    fn life() -> Lifecycle {
        let mut life = Lifecycle::new(50);
        life.ready(1_000);
        life
    }

    #[test]
    fn a_gateway_that_is_up_loses_nothing() {
        let life = life();
        assert!(!life.may_lose(5_000, 2_000, made(2_000)) && !life.may_lose(5_000, 2_000, kept(1_500)));
        assert!(!life.may_lose(5_000, 2_000, REFUSED), "it listens");
        assert!(life.may_lose(5_000, 900, REFUSED), "it did not listen yet");
    }

    #[test]
    fn a_drain_answers_what_it_has_accepted_and_goes_on_accepting_while_readiness_fails() {
        let mut life = life();
        life.terminated(10_000, 1_000, 5_000);
        assert!(!life.may_lose(10_500, 10_400, REFUSED), "the lame duck accepts");
        assert!(life.may_lose(11_100, 11_010, REFUSED));
        for accepted in [made(9_000), made(10_900)] {
            assert!(!life.may_lose(12_000, accepted.made_at.unwrap(), accepted), "{accepted:?}");
        }
        assert!(!life.may_lose(12_000, 10_900, kept(5_000)), "its request was there before the end");
        assert!(life.may_lose(12_000, 11_010, kept(5_000)), "an idle connection closes");
        assert!(life.may_lose(16_000, 10_000, made(9_000)), "the deadline has passed");
        let mut cut = Lifecycle::new(50);
        cut.ready(1_000);
        cut.terminated(10_000, 0, 5_000);
        assert_eq!(cut.ended(11_000, false).unwrap_err().oracle, Oracle::Answer);
        assert!(!cut.may_lose(11_100, 9_000, made(9_000)), "it was accepted and did not last long");
        let bound = 16_000 + ENDED;
        life.overdue(bound).unwrap();
        assert_eq!(life.overdue(bound + 1).unwrap_err().oracle, Oracle::Liveness);
        life.ended(bound + 1, true).unwrap();
        life.overdue(30_000).unwrap();
    }

    #[test]
    fn who_is_killed_owes_nothing_and_who_comes_after_does() {
        let mut life = life();
        life.dies(10_000);
        assert!(life.may_lose(10_100, 9_000, made(9_000)) && life.may_lose(10_100, 10_050, REFUSED));
        assert!(!life.is_up());
        life.ready(12_000);
        assert!(life.may_lose(12_500, 12_400, kept(9_000)), "that connection ended with the process before");
        life.terminated(12_450, 0, 5_000);
        assert!(life.may_lose(12_500, 9_000, made(9_000)), "whatever becomes of the one after it");
        life.begins();
        assert!(!life.may_lose(12_500, 12_400, made(12_400)) && !life.may_lose(12_500, 12_400, REFUSED));
    }

    #[test]
    fn what_a_stop_spoils_is_excused_until_it_is_over() {
        let mut life = life();
        life.stops(10_000);
        assert!(!life.is_up() && life.is_disturbed(10_500));
        life.goes_on(14_000);
        assert!(life.is_up() && life.is_disturbed(14_000 + RECOVERED) && !life.is_disturbed(14_001 + RECOVERED));
    }
}
