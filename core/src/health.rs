//! Active health: what probes say of a server.
//!
//! A server starts up, and leaves after `fall` failures in a row; it returns after `rise` successes in a row.
//!
//! Unlike Traefik, whose first probe comes after a whole interval, the first comes within a second (or an interval, if
//! that is shorter), so that a server that was dead from the start is found soon. Times are jittered by a tenth, so that
//! the probes of many servers and gateways do not fall together. State outlives a change of the configuration.

use crate::config::dynamic::HealthCheck;
use std::time::Duration;

/// The first probe comes within this.
const PROMPTLY: Duration = Duration::from_secs(1);

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    Pass,
    /// Refused, timed out, broken off, or answered with another status than wanted.
    Fail,
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    None,
    Up,
    Down,
}

/// One server's probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    timing: Timing,
    up: bool,
    /// Results in a row that speak against the present state.
    streak: u32,
    next_probe: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timing {
    interval: Duration,
    unhealthy_interval: Duration,
    rise: u32,
    fall: u32,
}

impl Health {
    /// Up, with the first probe soon.
    pub fn new(check: &HealthCheck, now: Duration, random: u64) -> Self {
        let timing = Timing::of(check);
        let first = fraction(timing.interval.min(PROMPTLY), random);
        Self { timing, up: true, streak: 0, next_probe: now.saturating_add(first) }
    }

    /// Takes over changed thresholds and intervals; the state and the time of the next probe stay, unless that would now
    /// be later than the new interval has it.
    pub fn update(&mut self, check: &HealthCheck, now: Duration, random: u64) {
        self.timing = Timing::of(check);
        self.next_probe = self.next_probe.min(self.after(now, random));
    }

    /// Whether the server may be used as far as probes tell.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// When to probe next. A probe takes place once this time is reached, and its result goes to [`Self::handle`].
    pub fn next_probe(&self) -> Duration {
        self.next_probe
    }

    /// Takes the result of a probe that ended at `now`.
    pub fn handle(&mut self, now: Duration, result: ProbeResult, random: u64) -> Transition {
        let confirms = (result == ProbeResult::Pass) == self.up;
        self.streak = if confirms { 0 } else { self.streak.saturating_add(1) };
        let threshold = if self.up { self.timing.fall } else { self.timing.rise };
        let transition = if self.streak < threshold {
            Transition::None
        } else {
            self.streak = 0;
            self.up = !self.up;
            if self.up { Transition::Up } else { Transition::Down }
        };
        self.next_probe = self.after(now, random);
        transition
    }

    fn after(&self, now: Duration, random: u64) -> Duration {
        let interval = if self.up { self.timing.interval } else { self.timing.unhealthy_interval };
        // From nine to eleven tenths.
        now.saturating_add(interval - interval / 10).saturating_add(fraction(interval / 5, random))
    }
}

impl Timing {
    fn of(check: &HealthCheck) -> Self {
        Self {
            interval: check.interval,
            unhealthy_interval: check.unhealthy_interval,
            rise: check.rise.max(1),
            fall: check.fall.max(1),
        }
    }
}

/// Whether a probe's status is the wanted one.
pub fn accepts(check: &HealthCheck, status: u16) -> bool {
    check.status.map_or((200..400).contains(&status), |wanted| wanted == status)
}

/// A uniform part of a span.
pub(crate) fn fraction(span: Duration, random: u64) -> Duration {
    let nanos = (span.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
