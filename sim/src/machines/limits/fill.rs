//! A bucket beside what it may hold at most and at least.
//!
//! A changed period turns tokens into parts of others, which do not always come out even: the model keeps both roundings, and judges only
//! where they agree.

use super::{Judge, Rate};
use crate::oracle::{Oracle, Verdict};
use fairlead_core::bucket::{Bucket, Limit};
use std::{collections::VecDeque, time::Duration};

/// Grants that are remembered for windows.
const REMEMBERED: usize = 48;

pub(super) struct Source {
    bucket: Bucket,
    /// In tokens × period.
    least: u128,
    most: u128,
    rate: Rate,
    last: u128,
    /// When tokens were taken under the present limit, by the bucket's own clock.
    grants: VecDeque<u128>,
}

impl Source {
    pub(super) fn full(limit: &Limit, rate: Rate, now: Duration) -> Self {
        let level = capacity(rate);
        let bucket = Bucket::full(limit, now);
        Self { bucket, least: level, most: level, rate, last: now.as_nanos(), grants: VecDeque::new() }
    }

    pub(super) fn take(&mut self, limit: &Limit, rate: Rate, now: Duration, judge: &mut Judge) -> Verdict {
        let taken = self.bucket.take(limit, now);
        judge.notes(taken.err().map_or(0, |wait| wait.as_nanos() as u64));
        if rate.average == 0 {
            judge.moved("unlimited")?;
            return judge.holds(Oracle::Legality, taken.is_ok(), || format!("no limit, and {taken:?}"));
        }
        self.pass(rate, now);
        let token = u128::from(rate.period);
        let told = |this: &Self| {
            let tokens = |level: u128| level as f64 / token as f64;
            format!("{rate:?} holds {:.6} to {:.6} tokens: {taken:?}", tokens(this.least), tokens(this.most))
        };
        match taken {
            Ok(()) => {
                judge.moved("token taken")?;
                judge.holds(Oracle::Bounded, self.most >= token, || told(self))?;
                self.least = self.least.saturating_sub(token);
                self.most -= token;
                self.grants.push_back(self.last);
                self.windows(judge)
            }
            Err(wait) => {
                judge.moved("token refused")?;
                judge.holds(Oracle::Baseline, self.least < token, || told(self))?;
                // What it says of the time to wait is neither too short nor too long.
                if now.as_nanos() < self.last {
                    return Ok(());
                }
                let then = |at: Duration| self.bucket.clone().take(limit, at).is_ok();
                let exact = !wait.is_zero() && then(now + wait) && !then(now + wait - Duration::from_nanos(1));
                judge.holds(Oracle::Baseline, exact, || format!("{}, which is not the time until the next token", told(self)))
            }
        }
    }

    /// In no window there are more grants than the burst and the rate allow.
    fn windows(&mut self, judge: &mut Judge) -> Verdict {
        if self.grants.len() > REMEMBERED {
            self.grants.pop_front();
        }
        let (newest, Rate { average, period, burst }) = (self.last, self.rate);
        let allowed = |since: u128| u128::from(burst) * u128::from(period) + (newest - since) * u128::from(average);
        let crowded = self.grants.iter().rev().zip(1..).find(|(since, count)| count * u128::from(period) > allowed(**since));
        judge.holds(Oracle::Bounded, crowded.is_none(), || {
            let (since, count) = crowded.map(|(since, count)| (*since, count)).unwrap_or_default();
            format!("{count} tokens of {:?} within {} ns", self.rate, newest - since)
        })
    }

    fn pass(&mut self, rate: Rate, now: Duration) {
        if (rate.average, rate.period, rate.burst) != (self.rate.average, self.rate.period, self.rate.burst) {
            self.grants.clear();
        }
        if rate.period != self.rate.period {
            let (old, new) = (u128::from(self.rate.period), u128::from(rate.period));
            self.least = self.least * new / old;
            self.most = (self.most * new).div_ceil(old);
        }
        self.rate = rate;
        let now = now.as_nanos().max(self.last);
        let gained = (now - self.last) * u128::from(rate.average);
        self.last = now;
        self.least = (self.least + gained).min(capacity(rate));
        self.most = (self.most + gained).min(capacity(rate));
    }
}

fn capacity(rate: Rate) -> u128 {
    u128::from(rate.burst) * u128::from(rate.period)
}
