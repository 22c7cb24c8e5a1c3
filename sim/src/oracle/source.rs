//! The configuration's side of the reference model: what was written, what is published, and by when the one becomes the other.

use super::{Judge, Oracle, Source, Verdict, broken};
use crate::plan::{Manner, Write};
use std::collections::{BTreeMap, BTreeSet};

/// By when a change is served, in milliseconds.
pub(super) struct Bounds {
    /// While nothing is wrong with the source.
    usual: u64,
    /// After something was.
    mended: u64,
    /// What is written at once is served in two parts: Kontena's containers count at once, and settings when they have come to rest.
    in_parts: bool,
}

impl Bounds {
    /// `refresh`: seconds between two questions, where the gateway has to ask.
    /// `torn`: looks may see a file that is being written.
    pub(super) fn of(source: Source, refresh: u64, torn: bool) -> Self {
        match source {
            // A look every 5 s where no change is told, and a second of patience with files that were cut.
            // Where looks are cut at random, three of them in a row may be.
            Source::File => {
                let bound = if torn { 8_000 + 3 * 6_000 } else { 8_000 };
                Self { usual: bound, mended: bound, in_parts: false }
            }
            // A silent watch is found out after 20 to 32 s, and the longest pause between two attempts is 10 s.
            // A Swarm has a model of its own.
            Source::Etcd | Source::Swarm => Self { usual: 2_000, mended: 60_000, in_parts: false },
            Source::Kontena => Self { usual: 2_000, mended: 60_000, in_parts: true },
            // A question each time that the longest pause between two is over, with what it takes to answer it; and where no version tells, a
            // look at everything each minute, or after the longest pause between two attempts.
            Source::Rancher => Self { usual: 3_000 + 1_000 * refresh, mended: 90_000, in_parts: false },
        }
    }
}

/// From reading to publishing, the restart of an actor included.
const APPLIED: u64 = 500;

/// A service as it was written and as it is published.
#[derive(Default)]
pub(super) struct Service {
    /// By generation: the servers, or none for a service that was taken away.
    pub(super) versions: BTreeMap<u64, Option<BTreeSet<usize>>>,
    /// Writers that are in the middle of it.
    writers: u32,
    /// Writes overlapped: nobody can say what came of them until it is written again.
    contested: bool,
    /// The last write ended.
    written_at: u64,
    /// A write key by key has begun, and what came of it is not published yet.
    mixed: bool,
    whole_since: u64,
    /// The gateway has read the last write.
    read_at: Option<u64>,
    /// It has a route.
    pub(super) routed_since: Option<u64>,
    /// The servers of its route; none: there is no route.
    pub(super) published: Option<BTreeSet<usize>>,
    /// The generation that the snapshot in force marks its requests with.
    pub(super) in_force: Option<u64>,
    /// The highest generation that a response was marked with.
    pub(super) seen: u64,
}

impl Service {
    pub(super) fn version(&self, generation: u64) -> Option<&BTreeSet<usize>> {
        self.versions.get(&generation)?.as_ref()
    }

    pub(super) fn is_whole_since(&self, then: u64) -> bool {
        !self.mixed && self.whole_since <= then
    }

    /// The last write is served: its servers, and the mark of its generation, which is one of its settings. Servers alone say little where
    /// settings come later, and may be kept back for as long as their source cannot be read.
    fn is_served(&self) -> bool {
        let last = self.versions.last_key_value().filter(|_| self.desired().is_some());
        last.is_some_and(|(generation, servers)| {
            *servers == self.published && self.in_force.is_none_or(|mark| mark == *generation)
        })
    }

    fn desired(&self) -> Option<&Option<BTreeSet<usize>>> {
        self.versions.values().next_back().filter(|_| self.writers == 0 && !self.contested)
    }
}

/// Faults that are the gateway's own: its process is gone, or stopped.
const BLIND: [&str; 2] = ["gone", "stopped"];

/// Whether the source can be read.
#[derive(Default)]
pub(super) struct Health {
    faults: BTreeSet<String>,
    /// It was broken at some time.
    ever: bool,
    well_since: u64,
}

impl Judge {
    /// A writer begins.
    pub fn write_begins(&mut self, now: u64, write: &Write) {
        if write.manner == Manner::Whole && write.units.len() > 1 {
            self.joint.insert(write.generation, write.units.iter().map(|unit| unit.service).collect());
        }
        for unit in &write.units {
            let service = &mut self.services[unit.service];
            service.contested = service.writers > 0 || service.contested && write.manner != Manner::Whole;
            service.writers += 1;
            service.versions.insert(write.generation, unit.servers.as_ref().map(|servers| servers.iter().copied().collect()));
            service.mixed |= write.manner != Manner::Whole || self.bounds.in_parts;
            service.written_at = now;
        }
    }

    /// The writer is done.
    pub fn write_ends(&mut self, now: u64, write: &Write) {
        for unit in &write.units {
            let service = &mut self.services[unit.service];
            service.writers -= 1;
            service.written_at = now;
            service.read_at = None;
        }
    }

    /// Whether this is not the snapshot that was published last.
    pub fn is_new(&self, number: u64) -> bool {
        number != self.number
    }

    /// The gateway published a snapshot with these routes and their servers.
    pub fn published(&mut self, now: u64, number: u64, mut routes: BTreeMap<usize, BTreeSet<usize>>) -> Verdict {
        self.counts.snapshots += 1;
        self.counts.judges(now, Oracle::Atomic);
        if number <= self.number {
            return broken(Oracle::Atomic, format!("snapshot {number} was published after {}", self.number));
        }
        self.number = number;
        // Whoever builds a service anew may build its rotation anew, and copies where it stood a moment before.
        self.shares.begin_anew();
        for (index, service) in self.services.iter_mut().enumerate() {
            let servers = routes.remove(&index);
            if !service.mixed && !service.versions.values().any(|written| *written == servers) {
                let detail = format!("snapshot {number} serves s{index} with {servers:?}, which no writer ever wrote");
                return broken(Oracle::Atomic, detail);
            }
            for gone in service.published.iter().flatten().filter(|s| !servers.iter().flatten().any(|other| other == *s)) {
                let gone = &mut self.servers[*gone];
                (gone.left_at, gone.published_since) = (Some(now), None);
            }
            for present in servers.iter().flatten() {
                let present = &mut self.servers[*present];
                present.left_at = None;
                present.published_since.get_or_insert(now);
            }
            service.routed_since = servers.as_ref().map(|_| service.routed_since.unwrap_or(now));
            service.published = servers;
        }
        Ok(())
    }

    /// The generations that the snapshot in force marks requests with, by service. A transaction is in it as a whole: where one of its
    /// services is as it says, no other is as it was before. Services that are written key by key have no say.
    pub fn marks(&mut self, mut marks: BTreeMap<usize, u64>) -> Verdict {
        for (index, service) in self.services.iter_mut().enumerate() {
            service.in_force = marks.remove(&index);
        }
        let steady = |index: &usize| !self.services[*index].mixed;
        for (generation, services) in &self.joint {
            let is_older = |index: &usize| {
                let service = &self.services[*index];
                match service.in_force {
                    Some(mark) => mark < *generation,
                    // It went with this write or with a later one, or is not there yet.
                    None => !service.versions.range(generation..).any(|(_, servers)| servers.is_none()),
                }
            };
            let shown = services.iter().filter(|index| steady(index));
            let (old, new): (Vec<&usize>, Vec<&usize>) = shown.partition(|index| is_older(index));
            let of_it = new.iter().find(|index| self.services[***index].in_force == Some(*generation));
            if let (Some(new), Some(old)) = (of_it, old.first()) {
                let detail = format!(
                    "snapshot {} has s{new} of transaction {generation}, and s{old} as it was before (generation {:?})",
                    self.number, self.services[**old].in_force
                );
                return broken(Oracle::Atomic, detail);
            }
        }
        Ok(())
    }

    /// Another process of the gateway begins: it knows nothing, and its snapshots count from the beginning.
    pub fn restarted(&mut self) {
        self.number = 0;
        self.shares.begin_anew();
        for service in &mut self.services {
            (service.published, service.routed_since, service.in_force) = (None, None, None);
        }
        for server in &mut self.servers {
            server.published_since = None;
        }
    }

    /// That process, which began at `started`, is ready. What stood in the source whole and readable all the while is served.
    pub fn ready(&mut self, now: u64, started: u64) -> Verdict {
        self.counts.judges(now, Oracle::Convergence);
        for server in self.servers.iter_mut().filter(|server| server.published_since.is_none()) {
            server.left_at = Some(now);
        }
        let Health { faults, well_since, .. } = &self.source;
        if !faults.is_empty() || *well_since > started {
            return Ok(());
        }
        for (index, service) in self.services.iter().enumerate() {
            let Some(desired) = service.desired().filter(|_| service.written_at < started && !service.mixed) else { continue };
            if *desired != service.published {
                let detail = format!(
                    "ready {} ms after its start, serving s{index} as {:?}, which was written as {desired:?} before that",
                    now - started,
                    service.published
                );
                return broken(Oracle::Convergence, detail);
            }
        }
        Ok(())
    }

    /// What can be mended is: the plan vouches that the source can be read, whatever of it stays broken. Whether the gateway can look is
    /// another matter.
    pub fn heals(&mut self, now: u64) {
        let faults = self.source.faults.len();
        self.source.faults.retain(|fault| BLIND.contains(&fault.as_str()));
        if self.source.faults.len() < faults {
            self.source.well_since = now;
        }
    }

    /// The gateway has read the source as far as it goes now: what was published [`APPLIED`] later holds all of it.
    pub fn has_read_all(&mut self, now: u64) {
        for service in &mut self.services {
            service.settle(now);
        }
    }

    /// Something is wrong with the source from now on, or no longer.
    pub fn source(&mut self, now: u64, fault: &str, present: bool) {
        if fault == "starvation" || BLIND.contains(&fault) {
            self.hurried(now, fault, present);
        }
        let Health { faults, ever, well_since } = &mut self.source;
        *ever |= present;
        let changed = if present { faults.insert(fault.to_owned()) } else { faults.remove(fault) };
        if changed {
            *well_since = now;
        }
    }

    /// Whether everything written is served by now.
    pub fn is_converged(&self) -> bool {
        self.services.iter().all(Service::is_served)
    }

    /// Whether everything written is served by when it must be. To be asked now and then.
    pub fn converges(&mut self, now: u64) -> Verdict {
        if !self.source.faults.is_empty() {
            return Ok(());
        }
        let bound = if self.source.ever { self.bounds.mended } else { self.bounds.usual };
        for (index, service) in self.services.iter().enumerate() {
            let Some(desired) = service.desired().filter(|_| !service.is_served()) else { continue };
            let since = service.written_at.max(self.source.well_since);
            if now > since + bound {
                let detail = format!(
                    "s{index} was written as {desired:?} and is published as {:?} with the settings of generation {:?}, {} ms after its source was \
                     whole and readable (bound: {bound})",
                    service.published,
                    service.in_force,
                    now - since
                );
                return broken(Oracle::Convergence, detail);
            }
        }
        self.counts.judges(now, Oracle::Convergence);
        Ok(())
    }
}

impl Service {
    /// A mixture ends when the outcome of the last write is read and published.
    fn settle(&mut self, now: u64) {
        if self.writers > 0 {
            return;
        }
        let read_at = *self.read_at.get_or_insert(now);
        if self.mixed && self.is_served() && read_at + APPLIED < now {
            self.mixed = false;
            self.whole_since = now;
        }
    }
}
