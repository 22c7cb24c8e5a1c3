//! A client's pace, beside the sum of all spans in which it was waited for.

use super::Judge;
use crate::oracle::{Oracle, Verdict};
use fairlead_core::pace::{Pace, PaceLimit};
use std::time::Duration;

pub(super) struct Client {
    pace: Pace,
    limit: PaceLimit,
    bytes: u64,
    /// Spans in which it was waited for, each without a byte.
    waits: Vec<(Duration, Duration)>,
    /// Since when, and with how many bytes, it is being waited for.
    since: Option<(Duration, u64)>,
}

impl Client {
    pub(super) fn new(limit: PaceLimit) -> Self {
        Self { pace: Pace::new(limit), limit, bytes: 0, waits: Vec::new(), since: None }
    }

    pub(super) fn wait(&mut self, now: Duration, more: u64, judge: &mut Judge) -> Verdict {
        self.bytes += more;
        let due = self.pace.waiting(now, self.bytes);
        judge.notes(due.map_or(0, |due| due.as_nanos() as u64));
        match self.since {
            Some((_, bytes)) if bytes == self.bytes => {}
            _ => {
                self.close(now);
                self.since = Some((now, self.bytes));
            }
        }
        let since = self.since.map_or(now, |(since, _)| since);
        let PaceLimit { idle, grace, min_rate } = self.limit;
        let silent = (!idle.is_zero()).then(|| since + idle);
        // It is too slow once it was waited for longer than all its bytes take at the least rate.
        let slow = (min_rate > 0).then(|| {
            let takes = u128::from(self.bytes) * 1_000_000_000 / u128::from(min_rate);
            let allowed = grace + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
            since + allowed.saturating_sub(self.waits.iter().map(|(from, to)| *to - *from).sum())
        });
        let expected = match (silent, slow) {
            (Some(silent), Some(slow)) => Some(silent.min(slow)),
            (silent, slow) => silent.or(slow),
        };
        judge.moved(match (silent, slow) {
            (Some(silent), _) if silent <= now => "client silent for too long",
            (_, Some(slow)) if slow <= now => "client too slow",
            _ => "client in time",
        })?;
        // Core reckons in fractions of a second.
        let near = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_micros(1);
        let agrees = match (due, expected) {
            (Some(due), Some(expected)) => near(due, expected),
            (due, expected) => due == expected,
        };
        judge.holds(Oracle::Bounded, agrees, || {
            format!("{:?}, {} bytes, waiting since {since:?}: due at {due:?}, and {expected:?} is right", self.limit, self.bytes)
        })
    }

    pub(super) fn moving(&mut self, now: Duration) {
        self.pace.moving(now);
        self.close(now);
    }

    fn close(&mut self, now: Duration) {
        if let Some((since, _)) = self.since.take() {
            self.waits.push((since, now));
            // One span instead of many says the same.
            if self.waits.len() > 64 {
                let total: Duration = self.waits.drain(..).map(|(from, to)| to - from).sum();
                self.waits.push((Duration::ZERO, total));
            }
        }
    }
}
