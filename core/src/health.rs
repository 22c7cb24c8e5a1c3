//! Active health: what probes say of a server.
//!
//! A server starts up, and leaves after `fall` failures in a row; it returns after `rise` successes in a row.
//!
//! Unlike Traefik, whose first probe comes after a whole interval, the first comes within a second (or an interval, if
//! that is shorter), so that a server that was dead from the start is found soon. Times are jittered by a tenth, so that
//! the probes of many servers and gateways do not fall together. State outlives a change of the configuration.

use crate::{config::dynamic::HealthCheck, planted::planted};
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
        let threshold = if self.up || planted!("rise_ignored") { self.timing.fall } else { self.timing.rise };
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(rise: u32, fall: u32) -> HealthCheck {
        HealthCheck {
            path: "/health".into(),
            scheme: None,
            hostname: String::new(),
            port: None,
            method: "GET".into(),
            status: None,
            interval: Duration::from_secs(30),
            unhealthy_interval: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            follow_redirects: true,
            headers: Vec::new(),
            fall,
            rise,
        }
    }

    #[test]
    fn traefik_leaves_and_returns_on_one_result() {
        let mut health = Health::new(&check(1, 1), Duration::ZERO, 0);
        assert!(health.is_up());
        assert_eq!(health.handle(Duration::ZERO, ProbeResult::Fail, 0), Transition::Down);
        assert_eq!(health.handle(Duration::ZERO, ProbeResult::Fail, 0), Transition::None);
        assert_eq!(health.handle(Duration::ZERO, ProbeResult::Pass, 0), Transition::Up);
    }

    #[test]
    fn the_first_probe_is_prompt_and_each_state_has_its_interval() {
        let mut health = Health::new(&check(1, 1), Duration::from_secs(100), u64::MAX);
        assert!((Duration::from_secs(100)..Duration::from_secs(101)).contains(&health.next_probe()));
        for (result, mean) in [(ProbeResult::Pass, 30.0), (ProbeResult::Fail, 5.0)] {
            for (random, factor) in [(0, 0.9), (u64::MAX / 2, 1.0), (u64::MAX, 1.1)] {
                let now = Duration::from_secs(200);
                health.handle(now, result, random);
                assert!(((health.next_probe() - now).as_secs_f64() - mean * factor).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_change_of_configuration_keeps_what_is_known() {
        let mut health = Health::new(&check(1, 1), Duration::ZERO, 0);
        health.handle(Duration::ZERO, ProbeResult::Fail, 0);
        let mut slower = check(2, 2);
        slower.unhealthy_interval = Duration::from_secs(500);
        let next = health.next_probe();
        health.update(&slower, Duration::from_secs(1), 0);
        assert!(!health.is_up() && health.next_probe() == next);
        assert_eq!(health.handle(next, ProbeResult::Pass, 0), Transition::None);
        assert_eq!(health.handle(next, ProbeResult::Pass, 0), Transition::Up);
    }

    #[test]
    fn a_wanted_status_is_exact() {
        let mut check = check(1, 1);
        assert!(accepts(&check, 200) && accepts(&check, 399) && !accepts(&check, 400) && !accepts(&check, 199));
        check.status = Some(418);
        assert!(accepts(&check, 418) && !accepts(&check, 200));
    }

    proptest! {
        /// It leaves exactly on the `fall`-th failure in a row and returns exactly on the `rise`-th success in a row.
        #[test]
        fn transitions_are_legal(rise in 0_u32..5, fall in 0_u32..5, results in prop::collection::vec((any::<bool>(), any::<u64>()), 1..100)) {
            let check = check(rise, fall);
            let mut health = Health::new(&check, Duration::ZERO, 7);
            let mut now = health.next_probe();
            let mut since_change: Vec<bool> = Vec::new();
            for (pass, random) in results {
                let was_up = health.is_up();
                let result = if pass { ProbeResult::Pass } else { ProbeResult::Fail };
                let transition = health.handle(now, result, random);
                since_change.push(pass);
                let against = since_change.iter().rev().take_while(|pass| **pass != was_up).count();
                let threshold = if was_up { fall.max(1) } else { rise.max(1) } as usize;
                prop_assert_eq!(transition != Transition::None, against == threshold);
                prop_assert_eq!(health.is_up() != was_up, transition != Transition::None);
                if transition != Transition::None {
                    prop_assert_eq!(transition == Transition::Up, health.is_up());
                    since_change.clear();
                }
                let interval = if health.is_up() { check.interval } else { check.unhealthy_interval };
                let wait = health.next_probe() - now;
                prop_assert!(wait >= interval - interval / 10 && wait <= interval + interval / 10);
                now = health.next_probe();
            }
        }
    }
}
