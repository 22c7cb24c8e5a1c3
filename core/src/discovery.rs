//! Discovery: from what an orchestrator runs to dynamic configuration.
//!
//! ```text
//! lists and events of Docker, Swarm, Rancher → Workload → label languages → Draft → Reading → RawDynamic → resolve
//! ```
//!
//! A provider (in `actors`) turns the orchestrator's answers into [`Workload`]s; what their labels mean is decided here, by one module
//! per label language, each with names and defaults of its own, so that several live side by side on one cluster.
//!
//! A language that reads each workload by itself is a function `read(&Workload, &Settings, &Mounts) -> Reading`, listed in `read` below; what it
//! made of a workload is kept as long as nothing changes that it was made of. A language that sees several workloads as one thing keeps
//! its own state, and hands out [`Claim`]s.
//!
//! [`Discovery`] owns what was made of each workload, so that a change of one does not decode the others again, and decides between owners
//! of one name: the older keeps it, and both are told.
//!
//! Deliberately absent: I/O, polling, and what an orchestrator's JSON looks like.

pub mod constraints;
pub mod draft;
#[cfg(test)]
pub(crate) mod fixture;
pub mod interlock;
pub mod kontena;
pub mod mesh;
pub mod naming;
pub mod placement;
pub mod reading;
pub mod settings;
pub mod speech;
pub mod tags;
pub mod template;
#[cfg(test)]
mod tests;
pub mod traefik;
mod traefik1;
pub mod workload;

pub use constraints::Constraints;
pub use draft::Draft;
pub use placement::{Mode, Place, Problem, Wanted};
pub use reading::{Claim, Reading};
pub use settings::{InterlockOptions, Language, Mounts, Settings};
pub use template::Template;
pub use workload::{Instance, Kind, Network, Published, Workload};

use crate::config::{Join, RawDynamic, Rejection, Severity, Unions};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Everything that is made of workloads. See the module.
#[derive(Debug)]
pub struct Discovery {
    settings: Settings,
    mounts: Mounts,
    /// In order of age.
    known: Vec<Known>,
    unions: Unions,
    hosts: interlock::Hosts,
}

/// One workload as it was last, and what was made of it.
#[derive(Debug)]
struct Known {
    workload: Workload,
    readings: Vec<Reading>,
    /// What it asks for in languages that see several workloads as one thing.
    asked: Vec<Arc<interlock::Asked>>,
}

impl Discovery {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            mounts: Mounts::default(),
            known: Vec::new(),
            unions: Unions::default(),
            hosts: interlock::Hosts::default(),
        }
    }

    /// What `workloads`, all that there are, ask for. What did not change since the last call is taken from it; the outcome depends neither on
    /// that nor on the order of `workloads`, but for Interlock's labels that cannot be read: of those the last that could stay in force.
    ///
    /// Of several that declare one name, the oldest by creation, then by id, has it; the others are refused, and it is told of them. What
    /// they declare alike is no conflict, and containers that declare a service alike but for its servers are one service.
    pub fn compose(&mut self, workloads: &[Workload], mounts: &Mounts) -> (RawDynamic, Vec<Rejection>) {
        self.read(workloads, mounts);
        let asked = self.known.iter().flat_map(|known| &known.asked);
        let claims: BTreeMap<String, Vec<Claim>> = self.hosts.claims(asked, &self.settings.interlock);

        let mut join = Join::default();
        let mut rejections = Vec::new();
        for Known { workload, readings, .. } in &self.known {
            let claimed = claims.get(&workload.id).into_iter().flatten().map(|claim| &*claim.reading);
            let mut served = false;
            for reading in readings.iter().chain(claimed) {
                join.add(&reading.raw, workload.kind == Kind::Container);
                rejections.extend_from_slice(&reading.rejections);
                served |= !reading.raw.is_empty();
            }
            rejections.extend(workload.remarks.iter().filter(|_| served).map(|remark| remarked(workload, remark)));
        }
        let (raw, refused) = join.finish(&mut self.unions);
        rejections.extend(refused);
        rejections.sort_by(|a, b| (&a.source, &a.key, &a.message).cmp(&(&b.source, &b.key, &b.message)));
        // What keeps several services of one workload from being served is told once.
        rejections.dedup();
        (raw, rejections)
    }

    /// Brings what is known up to `workloads`: what did not change is kept, what is new or changed is read, what is gone is forgotten.
    fn read(&mut self, workloads: &[Workload], mounts: &Mounts) {
        if self.mounts != *mounts {
            self.mounts = mounts.clone();
            self.known.clear();
        }
        let mut by_age: Vec<&Workload> =
            workloads.iter().filter(|workload| tags::hold(&self.settings.tags, &workload.labels)).collect();
        by_age.sort_unstable_by(|a, b| age(a).cmp(&age(b)));
        let mut last = std::mem::replace(&mut self.known, Vec::with_capacity(by_age.len())).into_iter().peekable();
        for workload in by_age {
            while last.next_if(|known| age(&known.workload) < age(workload)).is_some() {}
            let known = match last.next_if(|known| age(&known.workload) == age(workload)) {
                Some(known) if known.workload == *workload => known,
                known => self.make_of(workload, &known.map(|known| known.asked).unwrap_or_default()),
            };
            self.known.push(known);
        }
    }

    /// Reads one workload in every language. `last`: what it asked for until now.
    fn make_of(&self, workload: &Workload, last: &[Arc<interlock::Asked>]) -> Known {
        let settings = &self.settings;
        let mut known = Known { workload: workload.clone(), readings: Vec::new(), asked: Vec::new() };
        if settings.constraints.as_ref().is_none_or(|constraints| constraints.admit(&workload.labels)) {
            let languages = settings.languages.iter();
            known.readings = languages.filter_map(|language| read(*language, workload, settings, &self.mounts)).collect();
            let (asked, own) = interlock::read(workload, settings, &self.mounts, last);
            known.readings.push(own);
            known.asked = asked;
        }
        known
    }
}

/// Orders workloads: no two are equal.
fn age(workload: &Workload) -> (Duration, &str) {
    (workload.created, &workload.id)
}

/// What the orchestrator says of a workload that is served.
fn remarked(workload: &Workload, remark: &str) -> Rejection {
    let (source, key) = (workload.title(), "status".to_owned());
    Rejection { severity: Severity::Warning, source, key, message: remark.to_owned(), remedy: String::new() }
}

/// What `language` makes of one workload; `None` where it sees several at once.
fn read(language: Language, workload: &Workload, settings: &Settings, mounts: &Mounts) -> Option<Reading> {
    match language {
        Language::Traefik => Some(traefik::read(workload, settings)),
        Language::Traefik1 => Some(traefik1::read(workload, settings, mounts)),
        Language::Interlock | Language::Mesh => None,
    }
}
