//! Active health beside the results since the server last changed sides.

use super::Judge;
use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict},
};
use fairlead_core::{
    config::dynamic::HealthCheck,
    health::{Health, ProbeResult, Transition},
};
use std::time::Duration;

/// Thresholds, and milliseconds between probes.
#[derive(Clone, Copy, Debug)]
pub(in crate::machines) struct Timing {
    rise: u32,
    fall: u32,
    interval: u64,
    unhealthy_interval: u64,
}

impl Timing {
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self {
            rise: chance.magnitude(1, 5) as u32,
            fall: chance.magnitude(1, 5) as u32,
            interval: chance.magnitude(10, 60_000),
            unhealthy_interval: chance.magnitude(10, 60_000),
        }
    }

    fn check(self) -> HealthCheck {
        HealthCheck {
            path: "/".into(),
            scheme: None,
            hostname: String::new(),
            port: None,
            method: "GET".into(),
            status: None,
            interval: Duration::from_millis(self.interval),
            unhealthy_interval: Duration::from_millis(self.unhealthy_interval),
            timeout: Duration::from_secs(5),
            follow_redirects: true,
            headers: Vec::new(),
            fall: self.fall,
            rise: self.rise,
        }
    }
}

pub(super) struct Probes {
    health: Health,
    timing: Timing,
    up: bool,
    /// Since it changed sides.
    results: Vec<bool>,
}

impl Probes {
    pub(super) fn new(timing: Timing, now: Duration, random: u64) -> Self {
        Self { health: Health::new(&timing.check(), now, random), timing, up: true, results: Vec::new() }
    }

    pub(super) fn is_up(&self) -> bool {
        self.health.is_up()
    }

    pub(super) fn model_up(&self) -> bool {
        self.up
    }

    pub(super) fn update(&mut self, timing: Timing, now: Duration, random: u64, judge: &mut Judge) -> Verdict {
        let before = self.health.next_probe();
        self.timing = timing;
        self.health.update(&timing.check(), now, random);
        let next = self.health.next_probe();
        judge.holds(Oracle::Liveness, next <= before && next <= now + self.longest(), || format!("the next probe is at {next:?}"))
    }

    pub(super) fn probed(&mut self, now: Duration, passes: bool, random: u64, judge: &mut Judge) -> Verdict {
        let transition = self.health.handle(now, if passes { ProbeResult::Pass } else { ProbeResult::Fail }, random);
        self.results.push(passes);
        let against = self.results.iter().rev().take_while(|passes| **passes != self.up).count();
        let enough = if self.up { self.timing.fall } else { self.timing.rise };
        let expected = match (against >= enough as usize, self.up) {
            (false, _) => Transition::None,
            (true, true) => Transition::Down,
            (true, false) => Transition::Up,
        };
        let told = |this: &Self| format!("{:?}, {against} in a row against up={}: {transition:?}", this.timing, this.up);
        judge.holds(Oracle::Legality, transition == expected, || format!("{}, and {expected:?} is right", told(self)))?;
        if expected != Transition::None {
            judge.moved(if self.up { "up→down" } else { "down→up" })?;
            self.up = !self.up;
            self.results.clear();
        }
        if self.results.len() > 64 {
            self.results.drain(..32);
        }
        judge.notes(u64::from(self.up));
        let next = self.health.next_probe();
        let soonest = now + self.interval() * 9 / 10;
        judge.holds(Oracle::Liveness, (soonest..=now + self.longest()).contains(&next), || {
            format!("the next probe is at {next:?}, now is {now:?}")
        })
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(if self.up { self.timing.interval } else { self.timing.unhealthy_interval })
    }

    fn longest(&self) -> Duration {
        self.interval() * 11 / 10
    }
}
