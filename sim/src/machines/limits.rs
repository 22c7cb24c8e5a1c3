//! Machine `limits`: token buckets, the pace that clients must keep, and the end of a gateway.
//!
//! Three machines on one clock, each with a model of its own. Buckets also see clocks that go backwards.

mod drain;
mod fill;
mod tempo;

use super::{Judge, Machine, Mix};
use crate::{chance::Chance, oracle::Verdict};
use drain::Gateway;
use fairlead_core::{bucket::Limit, pace::PaceLimit};
use fill::Source;
use std::time::Duration;
use tempo::Client;

const SOURCES: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    limit: Rate,
    lame_duck: Duration,
    grace: Duration,
    pace: PaceLimit,
    longest_pause: u64,
}

/// What a bucket's limit is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    average: u64,
    period: u64,
    burst: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Nanoseconds pass; timers that come due are served at the end of them.
    Pass(u64),
    /// So many requests of a source.
    Take { source: usize, times: u64 },
    /// A source's request by a clock that is this much behind.
    TakeBehind { source: usize, nanos: u64 },
    /// The limit changes.
    Limit(Rate),
    /// The gateway is told to end; once more, if it is ending.
    Terminate,
    /// A connection comes, if the gateway takes any.
    Connect,
    /// A connection ends.
    Disconnect,
    /// A timer fires that nobody set, or that was set for an earlier phase.
    StrayTick,
    /// Whether a connection that has just answered ends with it.
    Answer { random: u64 },
    /// The client is waited for, having sent so much more.
    Wait { bytes: u64 },
    /// Something else than the client is waited for.
    Move,
    /// Another client.
    Renew,
}

pub(super) struct Limits {
    now: Duration,
    limit: Limit,
    rate: Rate,
    sources: Vec<Source>,
    gateway: Gateway,
    client: Client,
    knobs: Knobs,
}

impl Rate {
    fn draw(chance: &mut Chance) -> Self {
        Self {
            average: if chance.percent(5) { 0 } else { chance.magnitude(1, 100_000) },
            period: chance.pick(&[1_000_000_000, 1_000_000_000, 60_000_000_000, 1_000_000, 7]),
            burst: chance.magnitude(1, 1_000),
        }
    }

    fn limit(self) -> Limit {
        Limit::new(self.average, Duration::from_nanos(self.period), self.burst)
    }
}

impl Machine for Limits {
    const NAME: &'static str = "limits";
    const ABOUT: &'static str = "token buckets, the pace of clients, the end of a gateway";
    const TRANSITIONS: &'static [&'static str] = &[
        "token taken",
        "token refused",
        "unlimited",
        "clock goes backwards",
        "period changes",
        "running→lame duck",
        "running→draining",
        "lame duck→draining",
        "lame duck→draining by a second signal",
        "draining→done, all finished",
        "draining→done at the deadline",
        "draining→done by a second signal",
        "connection kept in the lame duck",
        "connection ended in the lame duck",
        "client in time",
        "client silent for too long",
        "client too slow",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        let span = |chance: &mut Chance| match chance.percent(15) {
            true => Duration::ZERO,
            false => Duration::from_nanos(chance.magnitude(1_000_000, 60_000_000_000)),
        };
        Knobs {
            mix: Mix::draw(chance, 12, 2),
            limit: Rate::draw(chance),
            lame_duck: span(chance),
            grace: span(chance),
            pace: PaceLimit {
                idle: span(chance),
                grace: span(chance),
                min_rate: if chance.percent(20) { 0 } else { chance.magnitude(1, 1_000_000) },
            },
            longest_pause: chance.magnitude(1_000, 30_000_000_000),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        let source = chance.count(0, SOURCES - 1);
        match knobs.mix.pick(chance) {
            0 => Op::Pass(chance.magnitude(1, knobs.longest_pause)),
            1 => Op::Take { source, times: chance.magnitude(1, 30) },
            2 => Op::TakeBehind { source, nanos: chance.magnitude(1, 10_000_000_000) },
            3 => Op::Limit(Rate::draw(chance)),
            4 => Op::Terminate,
            5 => Op::Connect,
            6 => Op::Disconnect,
            7 => Op::StrayTick,
            8 => Op::Answer { random: chance.draw() },
            9 => Op::Wait { bytes: if chance.percent(40) { 0 } else { chance.magnitude(1, 10_000_000) } },
            10 => Op::Move,
            _ => Op::Renew,
        }
    }

    fn new(knobs: &Knobs) -> Self {
        let now = Duration::from_secs(100);
        let limit = knobs.limit.limit();
        Self {
            now,
            sources: (0..SOURCES).map(|_| Source::full(&limit, knobs.limit, now)).collect(),
            limit,
            rate: knobs.limit,
            gateway: Gateway::new(knobs.lame_duck, knobs.grace),
            client: Client::new(knobs.pace),
            knobs: knobs.clone(),
        }
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        let (limit, rate) = (self.limit, self.rate);
        match op {
            Op::Pass(nanos) => {
                self.now += Duration::from_nanos(*nanos);
                self.gateway.pass(self.now, judge)
            }
            Op::Take { source, times } => (0..*times).try_for_each(|_| self.sources[*source].take(&limit, rate, self.now, judge)),
            Op::TakeBehind { source, nanos } => {
                judge.moved("clock goes backwards")?;
                let behind = self.now.saturating_sub(Duration::from_nanos(*nanos));
                self.sources[*source].take(&limit, rate, behind, judge)
            }
            Op::Limit(rate) => {
                if rate.period != self.rate.period {
                    judge.moved("period changes")?;
                }
                self.rate = *rate;
                self.limit = rate.limit();
                Ok(())
            }
            Op::Terminate => self.gateway.terminate(self.now, judge),
            Op::Connect => {
                self.gateway.connect();
                Ok(())
            }
            Op::Disconnect => self.gateway.disconnect(self.now, judge),
            Op::StrayTick => self.gateway.tick(self.now, judge),
            Op::Answer { random } => self.gateway.answer(self.now, *random, judge),
            Op::Wait { bytes } => self.client.wait(self.now, *bytes, judge),
            Op::Move => {
                self.client.moving(self.now);
                Ok(())
            }
            Op::Renew => {
                self.client = Client::new(self.knobs.pace);
                self.gateway.renew();
                Ok(())
            }
        }
    }
}
