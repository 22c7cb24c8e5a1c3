//! Machine `retry`: what follows a failed attempt, the budget that bounds it, races of connects, and requests taken for lost.
//!
//! The model of the decision is the table at the head of `core/src/retry.rs`, row by row. The model of the budget is an account kept to
//! the nanosecond, where core counts whole milliseconds: one millisecond's worth is the tolerance between the two.

mod account;

use super::{Judge, Machine, Mix};
use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict},
};
use account::Account;
use fairlead_core::{
    race::{ConnectTimes, Delivery, FIRST_LOOK, Fate, LONGEST, RUNNERS, Race, SHORTEST, fate},
    retry::{Attempt, Budget, BudgetConfig, Decision, Failure, MAX_ATTEMPTS, Retries, RetryPolicy},
};
use std::time::Duration;

const SERVICES: usize = 2;
const SLOTS: usize = 6;
const FAILURES: [Failure; 8] = [
    Failure::ConnectFailed,
    Failure::ConnectTimeout,
    Failure::Tls,
    Failure::Closed,
    Failure::Lost,
    Failure::Refused,
    Failure::ResponseTimeout,
    Failure::Protocol,
];

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    budgets: [BudgetConfig; SERVICES],
    /// Attempts and interval of the Retry middleware, where a service has it.
    middleware: [Option<(u32, Duration)>; SERVICES],
    /// Failures that this seed knows.
    failures: Vec<Failure>,
    idempotent: u64,
    others: u64,
    longest_pause: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A new request takes the slot.
    Begin { slot: usize, idempotent: bool },
    /// The attempt of a slot fails.
    Fail { slot: usize, failure: Failure, sent: bool, reused: bool, started: bool, lost_body: bool, others: bool, random: u64 },
    /// The newest attempt of a slot to connect is slower than usual, or so its timer says.
    Overdue { slot: usize, others: bool },
    /// One of several attempts to connect fails.
    Fell { slot: usize },
    /// A connection stood after so many microseconds.
    Connected { service: usize, took: u64 },
    /// What the network knows of a request without an answer, in microseconds.
    Look { waited: u64, unacknowledged: bool, since_sent: u64, round_trip: u64 },
    /// Nanoseconds pass.
    Pass(u64),
}

/// A request, as the model sees it.
struct Exchange {
    service: usize,
    idempotent: bool,
    retries: Retries,
    failed: u32,
    /// Failures after which a server may have acted.
    seen: u32,
    /// Servers that may have acted on it.
    deliveries: u32,
    over: bool,
    race: Race,
    runners: usize,
}

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    GiveUp,
    /// At once, or after a pause of the middleware's.
    Other {
        pause: bool,
        pays: bool,
    },
    Same {
        pause: bool,
        pays: bool,
    },
}

pub(super) struct Retry {
    knobs: Knobs,
    now: Duration,
    budgets: [Budget; SERVICES],
    accounts: [Account; SERVICES],
    times: [ConnectTimes; SERVICES],
    slots: Vec<Exchange>,
}

impl Machine for Retry {
    const NAME: &'static str = "retry";
    const ABOUT: &'static str = "what follows a failed attempt, retry budgets, races of connects";
    const TRANSITIONS: &'static [&'static str] = &[
        "unseen → other server",
        "unseen → same server by the middleware",
        "unseen → over",
        "stale connection → same server",
        "refused → other server",
        "refused → same server",
        "refused → over",
        "seen → other server",
        "seen → same server by the middleware",
        "seen → over",
        "budget refuses",
        "must not be repeated",
        "most attempts",
        "race begins",
        "race is refused",
        "race is full",
        "delivered",
        "open",
        "lost",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        let budget = |chance: &mut Chance| BudgetConfig {
            percent: chance.pick(&[0, 20, 20, 100]),
            per_second: chance.pick(&[0, 1, 10, 100]),
            reserve: chance.pick(&[0, 1, 10, 1_000]),
        };
        let middleware = |chance: &mut Chance| {
            chance.percent(50).then(|| (chance.magnitude(1, 64) as u32, Duration::from_micros(chance.magnitude(1, 1_000_000))))
        };
        let mut failures: Vec<_> = FAILURES.into_iter().filter(|_| chance.percent(60)).collect();
        failures.push(chance.pick(&FAILURES));
        Knobs {
            mix: Mix::draw(chance, 7, 2),
            budgets: std::array::from_fn(|_| budget(chance)),
            middleware: std::array::from_fn(|_| middleware(chance)),
            failures,
            idempotent: chance.pick(&[0, 50, 90, 100]),
            others: chance.pick(&[10, 50, 90, 100]),
            longest_pause: chance.magnitude(1_000, 3_000_000_000),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        let slot = chance.count(0, SLOTS - 1);
        match knobs.mix.pick(chance) {
            0 => Op::Begin { slot, idempotent: chance.percent(knobs.idempotent) },
            1 => {
                let failure = chance.pick(&knobs.failures);
                let (sent, reused) = match failure {
                    Failure::ConnectFailed | Failure::ConnectTimeout | Failure::Tls => (false, false),
                    Failure::Closed | Failure::Refused => (chance.percent(60), chance.percent(50)),
                    Failure::Lost | Failure::ResponseTimeout | Failure::Protocol => (true, chance.percent(50)),
                };
                Op::Fail {
                    slot,
                    failure,
                    sent,
                    reused,
                    started: sent && chance.percent(3),
                    lost_body: sent && chance.percent(3),
                    others: chance.percent(knobs.others),
                    random: chance.draw(),
                }
            }
            2 => Op::Overdue { slot, others: chance.percent(knobs.others) },
            3 => Op::Fell { slot },
            4 => Op::Connected { service: slot % SERVICES, took: chance.magnitude(1, 20_000_000) },
            5 => Op::Look {
                waited: chance.magnitude(1, 2_000_000),
                unacknowledged: chance.percent(80),
                since_sent: chance.magnitude(1, 2_000_000),
                round_trip: chance.magnitude(1, 500_000),
            },
            _ => Op::Pass(chance.magnitude(1, knobs.longest_pause)),
        }
    }

    fn new(knobs: &Knobs) -> Self {
        let now = Duration::from_secs(1);
        let mut new = Self {
            now,
            budgets: knobs.budgets.map(|config| Budget::new(config, now)),
            accounts: knobs.budgets.map(|config| Account::new(config, now)),
            times: Default::default(),
            slots: Vec::new(),
            knobs: knobs.clone(),
        };
        new.slots = (0..SLOTS).map(|slot| new.exchange(slot, true)).collect();
        new
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        match op {
            Op::Begin { slot, idempotent } => {
                let service = slot % SERVICES;
                self.budgets[service].deposit(self.now);
                self.accounts[service].deposit(self.now);
                self.slots[*slot] = self.exchange(*slot, *idempotent);
                Ok(())
            }
            Op::Fail { slot, failure, sent, reused, started, lost_body, others, random } => {
                let attempt = Attempt {
                    failure: *failure,
                    idempotent: self.slots[*slot].idempotent,
                    sent: *sent,
                    response_started: *started,
                    replayable: !lost_body,
                    reused: *reused,
                    others: *others,
                };
                self.fail(*slot, &attempt, *random, judge)
            }
            Op::Overdue { slot, others } => self.overdue(*slot, *others, judge),
            Op::Fell { slot } => {
                let exchange = &mut self.slots[*slot];
                if exchange.runners > 1 {
                    exchange.race.fell(self.now);
                    exchange.runners -= 1;
                    let due = exchange.race.due();
                    judge
                        .holds(Oracle::Liveness, due == Some(self.now), || format!("after a fall the next is due at {due:?}"))?;
                }
                Ok(())
            }
            Op::Connected { service, took } => {
                let times = &mut self.times[*service];
                times.observe(Duration::from_micros(*took));
                let patience = times.patience();
                judge.holds(Oracle::Bounded, (SHORTEST..=LONGEST).contains(&patience), || format!("patience of {patience:?}"))
            }
            Op::Look { waited, unacknowledged, since_sent, round_trip } => {
                // Nothing was sent before the request was.
                let since_sent = Duration::from_micros(*since_sent.min(waited));
                let round_trip = Duration::from_micros(*round_trip);
                look(Duration::from_micros(*waited), Delivery { unacknowledged: *unacknowledged, since_sent, round_trip }, judge)
            }
            Op::Pass(nanos) => {
                self.now += Duration::from_nanos(*nanos);
                Ok(())
            }
        }
    }
}

impl Retry {
    fn exchange(&self, slot: usize, idempotent: bool) -> Exchange {
        let service = slot % SERVICES;
        let policy = self.knobs.middleware[service]
            .map_or_else(RetryPolicy::default, |(attempts, interval)| RetryPolicy::with_middleware(attempts, interval));
        Exchange {
            service,
            idempotent,
            retries: Retries::new(policy),
            failed: 0,
            seen: 0,
            deliveries: 0,
            over: false,
            race: Race::new(self.now, self.times[service].patience()),
            runners: 1,
        }
    }

    fn fail(&mut self, slot: usize, attempt: &Attempt, random: u64, judge: &mut Judge) -> Verdict {
        let now = self.now;
        let Exchange { service, over, .. } = self.slots[slot];
        if over {
            return Ok(());
        }
        let exchange = &mut self.slots[slot];
        exchange.failed += 1;
        let acted = attempt.sent && attempt.failure != Failure::Refused;
        exchange.deliveries += u32::from(acted);
        let (stale, unseen) = (is_stale(attempt), is_unseen(attempt));
        exchange.seen += u32::from(!stale && !unseen);
        let rule = rule(exchange, attempt, self.knobs.middleware[service].map(|(attempts, _)| attempts));
        let decision = exchange.retries.decide(attempt, &mut self.budgets[service], now, random);
        let refused = exchange.retries.was_refused();
        exchange.over = decision == Decision::GiveUp;
        judge.notes(decision_number(decision));

        let (deliveries, idempotent, failed) = (exchange.deliveries, exchange.idempotent, exchange.failed);
        let told = || format!("attempt {failed} of slot {slot}, {attempt:?}: {decision:?}, and {rule:?} is right");
        judge.holds(Oracle::Answer, idempotent || deliveries == 0 || decision == Decision::GiveUp, told)?;
        judge.holds(Oracle::Answer, idempotent || deliveries <= 1, told)?;
        judge.holds(Oracle::Bounded, failed < MAX_ATTEMPTS || decision == Decision::GiveUp, told)?;

        let pays = matches!(rule, Rule::Other { pays: true, .. } | Rule::Same { pays: true, .. });
        let agrees = match (rule, decision) {
            (Rule::GiveUp, Decision::GiveUp) => !refused,
            (Rule::Other { pays: true, .. } | Rule::Same { pays: true, .. }, Decision::GiveUp) => refused,
            (Rule::Other { pause, .. }, Decision::RetryOther { after })
            | (Rule::Same { pause, .. }, Decision::RetrySame { after }) => {
                let interval = self.knobs.middleware[service].map_or(Duration::ZERO, |(_, interval)| interval);
                // The mean doubles over the retries, give or take a half.
                if pause { after <= 3 * interval && after * 2 + Duration::from_nanos(2) >= interval } else { after.is_zero() }
            }
            _ => false,
        };
        judge.holds(Oracle::Answer, agrees, told)?;
        if pays {
            self.accounts[service].withdraw(now, decision != Decision::GiveUp, judge)?;
        }
        judge.moved(if failed >= MAX_ATTEMPTS {
            "most attempts"
        } else if !idempotent && acted {
            "must not be repeated"
        } else if refused {
            "budget refuses"
        } else {
            match (decision, attempt.failure == Failure::Refused, unseen, stale) {
                (Decision::GiveUp, true, ..) => "refused → over",
                (Decision::GiveUp, false, true, _) => "unseen → over",
                (Decision::GiveUp, false, false, _) => "seen → over",
                (Decision::RetryOther { .. }, true, ..) => "refused → other server",
                (Decision::RetryOther { .. }, false, true, _) => "unseen → other server",
                (Decision::RetryOther { .. }, false, false, _) => "seen → other server",
                (Decision::RetrySame { .. }, true, ..) => "refused → same server",
                (Decision::RetrySame { .. }, false, _, true) => "stale connection → same server",
                (Decision::RetrySame { .. }, false, true, false) => "unseen → same server by the middleware",
                (Decision::RetrySame { .. }, false, false, false) => "seen → same server by the middleware",
            }
        })
    }

    fn overdue(&mut self, slot: usize, others: bool, judge: &mut Judge) -> Verdict {
        let now = self.now;
        let Exchange { service, .. } = self.slots[slot];
        let exchange = &mut self.slots[slot];
        let may = others && exchange.runners < RUNNERS;
        let begins = exchange.race.overdue(now, others, &mut self.budgets[service]);
        judge.notes(begins.into());
        judge.holds(Oracle::Bounded, may || !begins, || {
            format!("with {} under way, another attempt of slot {slot} begins", exchange.runners)
        })?;
        exchange.runners += usize::from(begins);
        let due = exchange.race.due();
        judge.holds(Oracle::Liveness, due.is_some() == begins && due.is_none_or(|due| due >= now), || {
            format!("the next is due at {due:?}")
        })?;
        if may {
            self.accounts[service].withdraw(now, begins, judge)?;
        }
        judge.moved(match (begins, exchange.runners >= RUNNERS) {
            (true, _) => "race begins",
            (false, true) => "race is full",
            (false, false) => "race is refused",
        })
    }
}

fn is_stale(attempt: &Attempt) -> bool {
    attempt.failure == Failure::Closed && attempt.reused
}

fn is_unseen(attempt: &Attempt) -> bool {
    match attempt.failure {
        Failure::ConnectFailed | Failure::ConnectTimeout | Failure::Tls | Failure::Lost => true,
        Failure::Closed => !attempt.sent,
        Failure::Refused | Failure::ResponseTimeout | Failure::Protocol => false,
    }
}

/// The table, row by row.
fn rule(exchange: &Exchange, attempt: &Attempt, middleware: Option<u32>) -> Rule {
    let granted = middleware.is_some_and(|attempts| exchange.failed < attempts);
    if attempt.response_started || !attempt.replayable || exchange.failed >= MAX_ATTEMPTS {
        return Rule::GiveUp;
    }
    if attempt.failure == Failure::Refused {
        let first = exchange.failed == 1;
        return match (attempt.others, first) {
            (true, _) => Rule::Other { pause: false, pays: !first },
            (false, true) => Rule::Same { pause: false, pays: false },
            (false, false) if granted => Rule::Same { pause: true, pays: true },
            (false, false) => Rule::GiveUp,
        };
    }
    if attempt.sent && !attempt.idempotent {
        return Rule::GiveUp;
    }
    if is_stale(attempt) {
        return Rule::Same { pause: false, pays: false };
    }
    match (is_unseen(attempt), attempt.others) {
        (true, true) => Rule::Other { pause: false, pays: false },
        (true, false) if granted => Rule::Same { pause: true, pays: false },
        (true, false) => Rule::GiveUp,
        (false, true) if exchange.seen == 1 => Rule::Other { pause: false, pays: true },
        (false, true) if granted => Rule::Other { pause: true, pays: true },
        (false, false) if granted => Rule::Same { pause: true, pays: true },
        (false, _) => Rule::GiveUp,
    }
}

fn decision_number(decision: Decision) -> u64 {
    match decision {
        Decision::GiveUp => 0,
        Decision::RetryOther { after } => 1 + 2 * after.as_nanos() as u64,
        Decision::RetrySame { after } => 2 + 2 * after.as_nanos() as u64,
    }
}

/// A request is lost only when an acknowledgement is overdue by what any system takes, and then for ever.
fn look(waited: Duration, delivery: Delivery, judge: &mut Judge) -> Verdict {
    let verdict = fate(waited, &delivery);
    let travels = 2 * delivery.round_trip;
    let repeated = waited - delivery.since_sent > FIRST_LOOK;
    let patience = travels + Duration::from_millis(if repeated { 10 } else { 300 });
    let told = || format!("after {waited:?}, {delivery:?}: {verdict:?}");
    let right = match verdict {
        Fate::Delivered => !delivery.unacknowledged,
        Fate::Lost => delivery.unacknowledged && delivery.since_sent >= patience,
        Fate::Open(again) => {
            let soon = Duration::from_millis(5)..=Duration::from_millis(20);
            delivery.unacknowledged && delivery.since_sent < patience && soon.contains(&again)
        }
    };
    judge.holds(Oracle::Answer, right, told)?;
    let later = |pause: Duration| fate(waited + pause, &Delivery { since_sent: delivery.since_sent + pause, ..delivery });
    if delivery.unacknowledged {
        judge.holds(Oracle::Liveness, later(patience) == Fate::Lost, || format!("{}, and for ever", told()))?;
    }
    judge.moved(match verdict {
        Fate::Delivered => "delivered",
        Fate::Open(_) => "open",
        Fate::Lost => "lost",
    })
}
