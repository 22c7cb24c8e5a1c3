//! Whether a failed attempt is made again, and where.
//!
//! | what failed | may go on | where | budget |
//! |---|---|---|---|
//! | no connection, no TLS, or closed before a byte was sent | any method | another server, at once | no |
//! | the request and its repetitions stayed unacknowledged ([`crate::race`]) | idempotent | another server, at once | no |
//! | a kept connection was closed before the response | idempotent, or no byte sent | the same server, fresh connection | no |
//! | the server refused it unprocessed (HTTP/2) | any method | another server, else a fresh connection | after the first |
//! | closed before the response, no head in time, or a broken one | idempotent | another server, once | yes |
//!
//! All of it only while no byte of a response has gone to the client and the request's body can be sent again from its
//! start. The Retry middleware grants more attempts in each row, with a pause before them, and lets them return to the same
//! server where there is no other.
//!
//! The budget bounds the work that retries add to servers: a fifth of the requests, and a few per second. An attempt that
//! no server saw adds none.

use crate::{health::fraction, planted::planted, reason::Reason};
use std::time::Duration;

/// No request is tried more often than this, whatever there is to try.
pub const MAX_ATTEMPTS: u32 = 32;

/// How an attempt failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// Refused, unreachable, or the name did not resolve.
    ConnectFailed,
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// Closed or reset before any byte of the response.
    Closed,
    /// The server vanished from the network: nothing of the request was acknowledged, nor of what was sent again.
    Lost,
    /// HTTP/2 says that it was not processed: REFUSED_STREAM, or a stream above GOAWAY's last.
    Refused,
    /// No response head in time.
    ResponseTimeout,
    /// What came is no HTTP.
    Protocol,
}

impl Failure {
    /// What the client is told if it stays at that.
    pub fn reason(self) -> Reason {
        match self {
            Self::ConnectFailed => Reason::ConnectFailed,
            Self::ConnectTimeout => Reason::ConnectTimeout,
            Self::Tls => Reason::UpstreamTls,
            Self::Closed | Self::Lost | Self::Refused => Reason::UpstreamClosed,
            Self::ResponseTimeout => Reason::UpstreamTimeout,
            Self::Protocol => Reason::UpstreamProtocol,
        }
    }
}

/// The facts of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub failure: Failure,
    /// The method is safe to repeat ([`is_idempotent`]).
    pub idempotent: bool,
    /// Some byte of the request was written to the server.
    pub sent: bool,
    /// Some byte of a response, a 1xx included, has gone to the client.
    pub response_started: bool,
    /// The body can be sent again from its start: there is none, or nothing of it is lost.
    pub replayable: bool,
    /// The connection had carried a request before.
    pub reused: bool,
    /// A usable server remains that this request has not failed on ([`crate::balance::Balancer::has_other`], with the
    /// server of this attempt among the tried).
    pub others: bool,
}

impl Attempt {
    /// The connection died of age, most likely: servers close kept connections whenever they like.
    fn is_stale_reuse(&self) -> bool {
        self.reused && self.failure == Failure::Closed
    }

    /// No server has seen anything of the request, or, for all that the network knows, none that is still there.
    fn is_unseen(&self) -> bool {
        match self.failure {
            Failure::ConnectFailed | Failure::ConnectTimeout | Failure::Tls | Failure::Lost => true,
            Failure::Closed => !self.sent,
            Failure::Refused | Failure::ResponseTimeout | Failure::Protocol => false,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Pick a server that was not tried, after this pause.
    RetryOther { after: Duration },
    /// The same server over a fresh connection, after this pause.
    RetrySame { after: Duration },
    /// Answer with [`Failure::reason`].
    GiveUp,
}

/// How far a route goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RetryPolicy {
    middleware: Option<Middleware>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Middleware {
    attempts: u32,
    initial_interval: Duration,
}

impl RetryPolicy {
    /// With the Retry middleware: `attempts` in all, the first included.
    pub fn with_middleware(attempts: u32, initial_interval: Duration) -> Self {
        Self { middleware: Some(Middleware { attempts: attempts.clamp(1, MAX_ATTEMPTS), initial_interval }) }
    }
}

/// The attempts of one request.
#[derive(Clone, Debug)]
pub struct Retries {
    policy: RetryPolicy,
    /// All that have failed.
    attempts: u32,
    /// Those of them that a server may have acted on.
    seen: u32,
    /// The budget refused the last retry.
    refused: bool,
}

impl Retries {
    /// Before the first attempt.
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, attempts: 0, seen: 0, refused: false }
    }

    /// Attempts that have failed.
    pub fn failed_attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the last decision was to give up because the budget had no retry left.
    pub fn was_refused(&self) -> bool {
        self.refused
    }

    /// Decides on what follows a failed attempt.
    pub fn decide(&mut self, attempt: &Attempt, budget: &mut Budget, now: Duration, random: u64) -> Decision {
        self.attempts += 1;
        self.refused = false;
        if !attempt.is_unseen() && !attempt.is_stale_reuse() {
            self.seen += 1;
        }
        if attempt.response_started || !attempt.replayable || self.attempts >= MAX_ATTEMPTS {
            return Decision::GiveUp;
        }
        if attempt.failure == Failure::Refused {
            return self.after_refusal(attempt, budget, now, random);
        }
        if attempt.sent && !attempt.idempotent && !(planted!("lost_post_retried") && attempt.failure == Failure::Lost) {
            return Decision::GiveUp;
        }
        if attempt.is_stale_reuse() {
            // A fresh connection is not reused, so this happens once per server.
            return Decision::RetrySame { after: Duration::ZERO };
        }
        if attempt.is_unseen() && attempt.others {
            return Decision::RetryOther { after: Duration::ZERO };
        }
        let first_chance = self.seen == 1 && attempt.others;
        if !first_chance && !self.middleware_grants() || !attempt.is_unseen() && !self.withdraw(budget, now) {
            return Decision::GiveUp;
        }
        let after = if first_chance { Duration::ZERO } else { self.pause(random) };
        if attempt.others { Decision::RetryOther { after } } else { Decision::RetrySame { after } }
    }

    fn withdraw(&mut self, budget: &mut Budget, now: Duration) -> bool {
        self.refused = !budget.withdraw(now);
        !self.refused
    }

    fn after_refusal(&mut self, attempt: &Attempt, budget: &mut Budget, now: Duration, random: u64) -> Decision {
        let first = self.attempts == 1;
        let decision = if attempt.others {
            Decision::RetryOther { after: Duration::ZERO }
        } else if first {
            Decision::RetrySame { after: Duration::ZERO }
        } else if self.middleware_grants() {
            Decision::RetrySame { after: self.pause(random) }
        } else {
            return Decision::GiveUp;
        };
        // Only what is made is paid for.
        if first || self.withdraw(budget, now) { decision } else { Decision::GiveUp }
    }

    fn middleware_grants(&self) -> bool {
        self.policy.middleware.is_some_and(|middleware| self.attempts < middleware.attempts)
    }

    /// Traefik's back-off: `initialInterval`, growing by `2^(1/(attempts-1))` each time, give or take a half.
    fn pause(&self, random: u64) -> Duration {
        let Some(Middleware { attempts: all, initial_interval }) = self.policy.middleware else {
            return Duration::ZERO;
        };
        let growth = 2_f64.powf(f64::from(self.attempts.saturating_sub(1)) / f64::from(all.saturating_sub(1).max(1)));
        let mean = Duration::try_from_secs_f64(initial_interval.as_secs_f64() * growth).unwrap_or(initial_interval);
        mean / 2 + fraction(mean, random)
    }
}

/// Retries that a service's servers can be asked to bear. One per service and worker.
#[derive(Clone, Debug)]
pub struct Budget {
    config: BudgetConfig,
    /// Thousandths of a retry.
    level: u64,
    last: Duration,
}

/// Bounds of a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetConfig {
    /// Retries per hundred requests.
    pub percent: u32,
    /// Retries per second besides, so that a quiet service has some.
    pub per_second: u32,
    /// Unused retries that are kept for a burst, as when a server dies under many requests.
    pub reserve: u32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        Self { percent: 20, per_second: 10, reserve: 1_000 }
    }
}

impl Budget {
    /// Begins with what ten quiet seconds give.
    pub fn new(config: BudgetConfig, now: Duration) -> Self {
        let level = (u64::from(config.per_second) * 10).min(u64::from(config.reserve)) * 1_000;
        Self { config, level, last: now }
    }

    /// A request, not a retry, goes to the service.
    pub fn deposit(&mut self, now: Duration) {
        self.refill(now);
        self.add(u64::from(self.config.percent) * 10);
    }

    /// Takes one retry, if there is one.
    pub fn withdraw(&mut self, now: Duration) -> bool {
        self.refill(now);
        let granted = self.level >= 1_000;
        if granted && !planted!("budget_unbounded") {
            self.level -= 1_000;
        }
        granted
    }

    fn refill(&mut self, now: Duration) {
        // Whole milliseconds only; what is left counts next time.
        let passed = u64::try_from(now.saturating_sub(self.last).as_millis()).unwrap_or(u64::MAX);
        self.last = self.last.saturating_add(Duration::from_millis(passed));
        self.add(passed.saturating_mul(u64::from(self.config.per_second)));
    }

    fn add(&mut self, thousandths: u64) {
        self.level = self.level.saturating_add(thousandths).min(u64::from(self.config.reserve) * 1_000);
    }
}

/// RFC 9110 section 9.2.2: repeating it has the effect of doing it once.
pub fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FAILED: Attempt = Attempt {
        failure: Failure::ConnectFailed,
        idempotent: true,
        sent: false,
        response_started: false,
        replayable: true,
        reused: false,
        others: true,
    };
    const CLOSED: Attempt = Attempt { failure: Failure::Closed, sent: true, ..FAILED };
    const OTHER: Decision = Decision::RetryOther { after: Duration::ZERO };
    const SAME: Decision = Decision::RetrySame { after: Duration::ZERO };

    fn budget() -> Budget {
        Budget::new(BudgetConfig::default(), Duration::ZERO)
    }

    fn spent() -> Budget {
        Budget::new(BudgetConfig { percent: 0, per_second: 0, reserve: 0 }, Duration::ZERO)
    }

    fn run(policy: RetryPolicy, budget: &mut Budget, attempts: &[Attempt]) -> Vec<Decision> {
        let mut retries = Retries::new(policy);
        attempts.iter().map(|attempt| retries.decide(attempt, budget, Duration::ZERO, u64::MAX / 2)).collect()
    }

    #[test]
    fn a_server_that_cannot_be_reached_costs_no_request_while_there_is_another() {
        let post = Attempt { idempotent: false, ..FAILED };
        let last = Attempt { others: false, ..post };
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[post, post, post, last]), [OTHER, OTHER, OTHER, Decision::GiveUp]);
        for failure in [Failure::ConnectTimeout, Failure::Tls] {
            assert_eq!(run(RetryPolicy::default(), &mut spent(), &[Attempt { failure, ..post }]), [OTHER]);
        }
    }

    #[test]
    fn a_stale_connection_is_replaced_without_anybody_noticing() {
        let stale = Attempt { reused: true, ..CLOSED };
        // Fresh after stale, then the server is really gone, then the next one's kept connection is stale too.
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[stale, FAILED, stale]), [SAME, OTHER, SAME]);
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[Attempt { idempotent: false, ..stale }]), [Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[Attempt { idempotent: false, sent: false, ..stale }]), [SAME]);
    }

    #[test]
    fn a_server_that_dies_in_the_middle_is_left_once_and_within_the_budget() {
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[CLOSED, CLOSED]), [OTHER, Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[CLOSED]), [Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[Attempt { others: false, ..CLOSED }]), [Decision::GiveUp]);
    }

    #[test]
    fn a_request_lost_on_the_way_goes_to_another_server_if_it_may_be_repeated() {
        let lost = Attempt { failure: Failure::Lost, reused: true, ..CLOSED };
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[lost, lost]), [OTHER, OTHER]);
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[Attempt { idempotent: false, ..lost }]), [Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[Attempt { others: false, ..lost }]), [Decision::GiveUp]);
    }

    #[test]
    fn a_refused_stream_was_not_processed() {
        let refused = Attempt { failure: Failure::Refused, idempotent: false, ..CLOSED };
        assert_eq!(run(RetryPolicy::default(), &mut spent(), &[refused, refused]), [OTHER, Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut budget(), &[refused, refused]), [OTHER, OTHER]);
        assert_eq!(
            run(RetryPolicy::default(), &mut budget(), &[Attempt { others: false, ..refused }; 2]),
            [SAME, Decision::GiveUp]
        );
    }

    #[test]
    fn a_retry_that_is_not_made_costs_nothing() {
        let mut budget = Budget::new(BudgetConfig { percent: 100, per_second: 0, reserve: 1 }, Duration::ZERO);
        budget.deposit(Duration::ZERO);
        let alone = Attempt { failure: Failure::Refused, others: false, ..CLOSED };
        assert_eq!(run(RetryPolicy::default(), &mut budget, &[alone; 2]), [SAME, Decision::GiveUp]);
        assert_eq!(run(RetryPolicy::default(), &mut budget, &[CLOSED]), [OTHER], "the budget still has its one retry");
    }

    #[test]
    fn the_middleware_adds_attempts_with_pauses() {
        let policy = RetryPolicy::with_middleware(4, Duration::from_millis(100));
        let alone = Attempt { others: false, ..FAILED };
        let decisions = run(policy, &mut spent(), &[alone; 4]);
        let pauses: Vec<_> = decisions
            .iter()
            .map_while(|decision| match decision {
                Decision::RetrySame { after } => Some(after.as_millis()),
                _ => None,
            })
            .collect();
        // 100 ms, growing to twice that over the retries.
        assert_eq!((pauses, decisions[3]), (vec![99, 125, 158], Decision::GiveUp));
        let timeout = Attempt { failure: Failure::ResponseTimeout, ..CLOSED };
        let decisions = run(policy, &mut budget(), &[timeout; 4]);
        assert!(decisions[..3].iter().all(|decision| matches!(decision, Decision::RetryOther { .. })));
        assert_eq!(decisions[3], Decision::GiveUp);
    }

    #[test]
    fn idempotent_means_what_the_standard_says() {
        assert!(["GET", "HEAD", "PUT", "DELETE", "OPTIONS"].iter().all(|method| is_idempotent(method)));
        assert!(["POST", "PATCH", "CONNECT", "LOCK", "get", ""].iter().all(|method| !is_idempotent(method)));
    }

    fn attempt() -> impl Strategy<Value = Attempt> {
        let failure = prop::sample::select(vec![
            Failure::ConnectFailed,
            Failure::ConnectTimeout,
            Failure::Tls,
            Failure::Closed,
            Failure::Lost,
            Failure::Refused,
            Failure::ResponseTimeout,
            Failure::Protocol,
        ]);
        (failure, any::<[bool; 6]>()).prop_map(|(failure, [idempotent, sent, response_started, replayable, reused, others])| {
            Attempt { failure, idempotent, sent, response_started, replayable, reused, others }
        })
    }

    proptest! {
        /// Nothing non-idempotent is sent twice unless it was provably not processed; nothing at all once a response has
        /// begun or the body is lost; never to the server that failed while there is another, but for a stale connection.
        #[test]
        fn what_may_have_been_done_is_not_done_again(
            attempts in prop::collection::vec(attempt(), 1..60),
            middleware in prop::option::of((1_u32..50, 0_u64..1_000)),
        ) {
            let policy = middleware.map_or_else(RetryPolicy::default, |(count, pause)| {
                RetryPolicy::with_middleware(count, Duration::from_millis(pause))
            });
            let (mut retries, mut budget) = (Retries::new(policy), budget());
            for attempt in attempts {
                let decision = retries.decide(&attempt, &mut budget, Duration::ZERO, 3);
                if attempt.response_started || !attempt.replayable {
                    prop_assert_eq!(decision, Decision::GiveUp);
                }
                if attempt.sent && !attempt.idempotent && attempt.failure != Failure::Refused {
                    prop_assert_eq!(decision, Decision::GiveUp);
                }
                match decision {
                    Decision::RetryOther { .. } => prop_assert!(attempt.others),
                    Decision::RetrySame { .. } => {
                        prop_assert!(!attempt.others || (attempt.reused && attempt.failure == Failure::Closed));
                    }
                    Decision::GiveUp => {}
                }
                if retries.failed_attempts() >= MAX_ATTEMPTS {
                    prop_assert_eq!(decision, Decision::GiveUp);
                }
            }
        }

        /// Retries granted never exceed the share of requests, the rate and the first reserve together.
        #[test]
        fn the_budget_holds(steps in prop::collection::vec((any::<bool>(), 0_u64..400), 1..400)) {
            let config = BudgetConfig { percent: 20, per_second: 2, reserve: 50 };
            let mut budget = Budget::new(config, Duration::ZERO);
            let (mut now, mut requests, mut granted) = (Duration::ZERO, 0_u64, 0_u64);
            for (request, passed) in steps {
                now += Duration::from_micros(passed * 700);
                if request {
                    budget.deposit(now);
                    requests += 1;
                } else {
                    granted += u64::from(budget.withdraw(now));
                }
                prop_assert!(granted as f64 <= 20.0 + requests as f64 * 0.2 + now.as_secs_f64() * 2.0 + 1e-9);
            }
        }
    }
}
