//! When to look at a Swarm again, and at what. Pure: the present, the news and random numbers are arguments.
//!
//! Rules
//! - At rest: services and tasks every interval (one second, give or take a tenth). Services too, although events tell of
//!   them: a daemon drops events when it is busy, and says nothing of it.
//! - In motion (an event in the last three seconds; an update, a rollback, tasks fewer or more than wanted in the last
//!   minute): every 250 ms. Never so often that asking takes more than an eighth of the time.
//! - An event is looked after at once, however soon after a poll; the next event at least 100 ms later.
//! - An event about a few services: those alone, and their tasks; also while another look is under way.
//! - Everything, with networks, nodes and this gateway's own container: at first, when the stream of events was opened anew,
//!   and every 30 s.

use crate::provider::docker::events::News;
use fairlead_net::time::{Duration, Instant};
use std::collections::BTreeSet;

/// Between two looks while something is in motion.
pub const BRISK: Duration = Duration::from_millis(250);

/// Between two looks because of events.
pub const APART: Duration = Duration::from_millis(100);

/// Between two looks at everything.
pub const EVERYTHING: Duration = Duration::from_secs(30);

/// How long after an event, or a change, something may still be on its way.
const AFTERMATH: Duration = Duration::from_secs(3);

/// How long what is in motion and does not change is taken for being in motion.
const STUCK: Duration = Duration::from_secs(60);

/// Asking takes at most one part in so many of the time.
const SHARE: u32 = 8;

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub services: bool,
    pub tasks: bool,
    pub networks: bool,
    pub nodes: bool,
    /// These services, each with its tasks, and none else.
    pub only: BTreeSet<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Plan {
    interval: Duration,
    /// When everything was looked at.
    everything: Option<Instant>,
    /// When the last look began, of any kind.
    last: Option<Instant>,
    /// When the last look because of events began.
    hurried: Option<Instant>,
    /// When all tasks were looked at.
    polled: Option<Instant>,
    /// How long that took.
    took: Duration,
    stirred: Option<Instant>,
    changed: Option<Instant>,
}

impl Plan {
    /// At rest there is a look every `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            everything: None,
            last: None,
            hurried: None,
            polled: None,
            took: Duration::ZERO,
            stirred: None,
            changed: None,
        }
    }

    /// When to look without being told. `random` is any number.
    pub fn due(&self, in_motion: bool, now: Instant, random: u64) -> Instant {
        let Some(polled) = self.polled else { return now };
        let recent = |at: Option<Instant>, span| at.is_some_and(|at| now.saturating_duration_since(at) < span);
        let moves =
            recent(self.stirred, AFTERMATH) || recent(self.changed, AFTERMATH) || (in_motion && recent(self.changed, STUCK));
        let interval = if moves { BRISK.max(self.took * SHARE).min(self.interval) } else { self.interval };
        // Between nine and eleven tenths, so that several gateways do not ask in step.
        let tenth = interval / 10;
        polled + interval - tenth + tenth.mul_f64((random % 1024) as f64 / 512.0)
    }

    /// When to look because of an event.
    pub fn early(&self, now: Instant) -> Instant {
        self.hurried.map_or(now, |last| (last + APART).max(now))
    }

    /// What to look at now. `heard`: what events said since the last look.
    pub fn look(&mut self, heard: &News, now: Instant) -> Look {
        if !heard.is_empty() {
            (self.stirred, self.hurried) = (Some(now), Some(now));
        }
        self.last = Some(now);
        let connected = heard.connected && !(planted!("event_gap") && self.everything.is_some());
        let all = connected || self.everything.is_none_or(|at| now.saturating_duration_since(at) >= EVERYTHING);
        let only_services =
            *heard == News { services: heard.services.clone(), removed: heard.removed.clone(), ..News::default() };
        if only_services && !heard.services.is_empty() && !all {
            return Look { only: heard.services.clone(), ..Look::default() };
        }
        let kept_back = planted!("event_gap") && !all && !heard.many && heard.services.is_empty();
        if all {
            self.everything = Some(now);
        }
        self.polled = Some(now);
        Look {
            services: !kept_back,
            tasks: true,
            networks: all || heard.networks,
            nodes: all || heard.nodes,
            only: BTreeSet::new(),
        }
    }

    /// A few services are looked at while another look is under way.
    pub fn aside(&mut self, now: Instant) {
        (self.stirred, self.hurried) = (Some(now), Some(now));
    }

    /// A look ended, and brought a change or not.
    pub fn looked(&mut self, changed: bool, now: Instant) {
        if let Some(polled) = self.polled.filter(|polled| self.last == Some(*polled)) {
            self.took = now.saturating_duration_since(polled);
        }
        if changed {
            self.changed = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_net::time::now;

    const SECOND: Duration = Duration::from_secs(1);

    fn services(ids: &[&str]) -> News {
        News { services: ids.iter().map(|id| (*id).to_owned()).collect(), ..News::default() }
    }

    #[test]
    fn at_rest_there_is_a_look_every_interval() {
        let mut plan = Plan::new(SECOND);
        let mut at = now();
        assert_eq!(plan.due(false, at, 0), at);
        let first = plan.look(&News::default(), at);
        assert!(first.services && first.tasks && first.networks && first.nodes);
        plan.looked(false, at);
        for n in 0..10 {
            let due = plan.due(false, at, n * 97);
            let pause = due.saturating_duration_since(at);
            assert!(pause >= SECOND * 9 / 10 && pause <= SECOND * 11 / 10, "{pause:?}");
            at = due;
            let look = plan.look(&News::default(), at);
            assert!(look.tasks && look.services && !look.networks && !look.nodes);
            plan.looked(false, at);
        }
        assert!(plan.look(&News::default(), at + EVERYTHING).nodes);
    }

    #[test]
    fn in_motion_looks_are_brisk_until_it_is_stuck_and_never_take_all_the_time() {
        let mut plan = Plan::new(SECOND);
        let at = now();
        plan.look(&News::default(), at);
        plan.looked(true, at);
        assert!(plan.due(true, at, 0) <= at + BRISK);
        let later = at + AFTERMATH;
        plan.polled = Some(later);
        assert!(plan.due(true, later, 0) <= later + BRISK && plan.due(false, later, 0) > later + BRISK * 2);
        let much_later = at + STUCK;
        plan.polled = Some(much_later);
        assert!(plan.due(true, much_later, 0) > much_later + BRISK * 2);
        // An answer that takes 100 ms is not asked for every 250.
        plan.look(&News::default(), much_later);
        plan.looked(true, much_later + SECOND / 10);
        let pause = plan.due(true, much_later, 0).saturating_duration_since(much_later);
        assert!(pause >= SECOND * 7 / 10 && pause <= SECOND, "{pause:?}");
    }

    #[test]
    fn an_event_is_looked_after_at_once_and_alone_where_that_is_enough() {
        let mut plan = Plan::new(SECOND);
        let at = now();
        plan.look(&News { connected: true, ..News::default() }, at);
        plan.looked(false, at);
        assert_eq!(plan.early(at), at + APART);
        assert_eq!(plan.early(at + SECOND), at + SECOND);
        let look = plan.look(&services(&["a", "b"]), at + SECOND);
        assert_eq!((look.only.len(), look.services && look.tasks), (2, false));
        let look = plan.look(&News { many: true, ..services(&["a"]) }, at + SECOND);
        assert!(look.only.is_empty() && look.services && look.tasks);
        let look = plan.look(&News { nodes: true, ..News::default() }, at + SECOND);
        assert!(look.nodes && look.tasks && look.services && !look.networks);
        let look = plan.look(&News { networks: true, ..services(&["a"]) }, at + SECOND);
        assert!(look.only.is_empty() && look.tasks && look.services && look.networks);
    }

    #[test]
    fn events_wait_for_each_other_and_not_for_polls() {
        let mut plan = Plan::new(SECOND);
        let at = now();
        plan.look(&News::default(), at);
        assert_eq!(plan.early(at), at);
        plan.look(&services(&["a"]), at);
        plan.look(&News::default(), at + APART / 2);
        assert_eq!(plan.early(at + APART / 2), at + APART);
        plan.aside(at + APART);
        assert_eq!(plan.early(at + APART), at + APART * 2);
    }
}
