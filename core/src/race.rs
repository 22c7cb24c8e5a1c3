//! When another server is asked beside one that is slow to answer, and when a request is taken for lost on the way.
//!
//! A server that vanished from the network refuses nothing: packets to its address are swallowed. A connection attempt that outlasts
//! what this service's usually take is raced by another one, at another server; the first connection that stands is used. Nothing of
//! the request has been sent, so this is right for every method. What racing adds is bounded by the retry budget.
//!
//! A request on a connection that stood already is watched from the moment when any peer would have acknowledged it: if it was not, and
//! what the system sent again was not either, then the peer is gone. What may follow is `retry`'s decision.
//!
//! Deliberately absent: which server is asked, and the connections themselves.

use crate::retry::Budget;
use std::time::Duration;

/// Patience is never shorter: a gateway that is busy is late itself.
pub const SHORTEST: Duration = Duration::from_millis(20);
/// Patience is never longer, and is this long for a client that is bound to its server.
pub const LONGEST: Duration = Duration::from_millis(120);
/// Patience with a service of which no connection is known.
const UNKNOWN: Duration = Duration::from_millis(100);
/// Attempts of one request that are under way at the same time.
pub const RUNNERS: usize = 3;
/// How long a server that did not answer in time is avoided, unless it answers.
pub const SUSPICION: Duration = Duration::from_secs(1);

/// How long connections to the servers of one service take: a moving mean and the deviation from it, as TCP keeps its round trips
/// (RFC 6298), in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectTimes {
    known: Option<Known>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mean: u64,
    deviation: u64,
}

impl ConnectTimes {
    /// A connection stood after this time, handshakes included.
    pub fn observe(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(10_000_000);
        self.known = Some(match self.known {
            None => Known { mean: took, deviation: took / 2 },
            Some(Known { mean, deviation }) => {
                Known { mean: (mean * 7 + took) / 8, deviation: (deviation * 3 + mean.abs_diff(took)) / 4 }
            }
        });
    }

    /// After this time an attempt is slower than usual.
    pub fn patience(&self) -> Duration {
        let usual = |known: Known| Duration::from_micros(2 * (known.mean + 4 * known.deviation));
        self.known.map_or(UNKNOWN, |known| usual(known).clamp(SHORTEST, LONGEST))
    }
}

/// The attempts of one request to connect, from its first.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    patience: Duration,
    due: Option<Duration>,
    runners: usize,
}

impl Race {
    /// The first attempt begins.
    pub fn new(now: Duration, patience: Duration) -> Self {
        Self { patience, due: Some(now.saturating_add(patience)), runners: 1 }
    }

    /// When the newest attempt is slower than usual; `None`: nothing follows from it any more.
    pub fn due(&self) -> Option<Duration> {
        self.due
    }

    /// An attempt failed while others are under way: the next may begin at once.
    pub fn fell(&mut self, now: Duration) {
        self.runners = self.runners.saturating_sub(1);
        self.due = Some(now);
    }

    /// The time has come. Whether another attempt begins, if there is a server for it.
    pub fn overdue(&mut self, now: Duration, others: bool, budget: &mut Budget) -> bool {
        let begins = others && self.runners < RUNNERS && budget.withdraw(now);
        self.due = begins.then(|| now.saturating_add(self.patience));
        self.runners += usize::from(begins);
        begins
    }
}

/// What the network knows of a request that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Bytes are on their way that the peer has not acknowledged.
    pub unacknowledged: bool,
    /// Since bytes were last sent, for the first time or again.
    pub since_sent: Duration,
    pub round_trip: Duration,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server has it. How long it takes to answer is its own affair.
    Delivered,
    /// Look again after this time.
    Open(Duration),
    /// Neither the request nor its repetition was acknowledged.
    Lost,
}

/// When a request without an answer is looked at first. Acknowledgements are delayed by 40 ms, rarely by more.
pub const FIRST_LOOK: Duration = Duration::from_millis(100);
/// Then how often.
const NEXT_LOOK: Duration = Duration::from_millis(20);
/// How long an acknowledgement of a repetition may take besides a round trip. A repetition is acknowledged at once.
const GRACE: Duration = Duration::from_millis(10);
/// No system delays an acknowledgement for longer, a round trip aside.
const NO_LATER: Duration = Duration::from_millis(300);

/// Judges a request that was sent `waited` ago in one piece, and has no answer.
pub fn fate(waited: Duration, delivery: &Delivery) -> Fate {
    if !delivery.unacknowledged {
        return Fate::Delivered;
    }
    let travels = delivery.round_trip.saturating_mul(2);
    // The system repeats after 200 ms at the earliest, so what it sent in the meantime was a repetition.
    let repeated = waited.saturating_sub(delivery.since_sent) > FIRST_LOOK;
    let allowed = if repeated { GRACE } else { NO_LATER }.saturating_add(travels);
    match allowed.checked_sub(delivery.since_sent) {
        None | Some(Duration::ZERO) => Fate::Lost,
        Some(left) => Fate::Open(left.clamp(GRACE / 2, NEXT_LOOK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::BudgetConfig;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn patience_follows_what_is_usual_within_bounds() {
        let mut times = ConnectTimes::default();
        assert_eq!(times.patience(), UNKNOWN);
        (0..20).for_each(|_| times.observe(Duration::from_micros(300)));
        assert_eq!(times.patience(), SHORTEST);
        (0..40).for_each(|_| times.observe(ms(20)));
        assert!((ms(40)..ms(50)).contains(&times.patience()), "{:?}", times.patience());
        (0..40).for_each(|_| times.observe(ms(900)));
        assert_eq!(times.patience(), LONGEST);
    }

    #[test]
    fn attempts_begin_one_patience_apart_and_their_number_is_bounded() {
        let mut budget = Budget::new(BudgetConfig::default(), Duration::ZERO);
        let mut race = Race::new(ms(5), ms(20));
        assert_eq!(race.due(), Some(ms(25)));
        assert!(race.overdue(ms(25), true, &mut budget));
        assert_eq!(race.due(), Some(ms(45)));
        assert!(race.overdue(ms(46), true, &mut budget));
        assert!(!race.overdue(ms(66), true, &mut budget), "three are enough");
        assert_eq!(race.due(), None);
        race.fell(ms(70));
        assert_eq!(race.due(), Some(ms(70)));
        assert!(race.overdue(ms(70), true, &mut budget), "one that failed makes room");
    }

    #[test]
    fn without_budget_or_another_server_nothing_begins() {
        let mut empty = Budget::new(BudgetConfig { percent: 0, per_second: 0, reserve: 0 }, Duration::ZERO);
        assert!(!Race::new(ms(0), ms(20)).overdue(ms(20), true, &mut empty));
        let mut full = Budget::new(BudgetConfig::default(), Duration::ZERO);
        let mut race = Race::new(ms(0), ms(20));
        assert!(!race.overdue(ms(20), false, &mut full));
        assert_eq!(race.due(), None, "nobody is woken for nothing");
    }

    #[test]
    fn a_request_is_lost_when_its_repetition_stays_unanswered_too() {
        let sent = Delivery { unacknowledged: true, since_sent: ms(100), round_trip: ms(1) };
        assert_eq!(fate(ms(900), &Delivery { unacknowledged: false, ..sent }), Fate::Delivered);
        assert_eq!(fate(ms(100), &sent), Fate::Open(ms(20)), "one packet may be late, or lost");
        assert_eq!(fate(ms(210), &Delivery { since_sent: ms(4), ..sent }), Fate::Open(ms(8)), "it was repeated just now");
        assert_eq!(fate(ms(220), &Delivery { since_sent: ms(14), ..sent }), Fate::Lost);
        let far = Delivery { since_sent: ms(20), round_trip: ms(80), ..sent };
        assert_eq!(fate(ms(400), &far), Fate::Open(ms(20)), "a peer far away gets its time");
        assert_eq!(fate(ms(310), &Delivery { since_sent: ms(310), ..sent }), Fate::Lost, "the system could not even repeat it");
    }

    proptest! {
        #[test]
        fn patience_is_bounded_whatever_was_seen(seen in prop::collection::vec(0_u64..100_000_000, 0..50)) {
            let mut times = ConnectTimes::default();
            seen.into_iter().for_each(|micros| times.observe(Duration::from_micros(micros)));
            prop_assert!((SHORTEST..=LONGEST).contains(&times.patience()));
        }

        /// Attempts beyond the first never exceed what the budget gives.
        #[test]
        fn races_are_bounded_by_the_budget(reserve in 0_u32..20, requests in 1_usize..60) {
            let mut budget = Budget::new(BudgetConfig { percent: 0, per_second: 1, reserve }, Duration::ZERO);
            let begun = (0..requests)
                .map(|_| {
                    let mut race = Race::new(Duration::ZERO, SHORTEST);
                    (0..RUNNERS).filter(|_| race.overdue(SHORTEST, true, &mut budget)).count()
                })
                .sum::<usize>();
            prop_assert!(begun <= reserve.min(11) as usize);
        }
    }
}
