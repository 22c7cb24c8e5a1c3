//! Which version of each unit is served: the new one, the last good one, or none.
//!
//! A unit that refers to what is not there falls back; that may leave another without what it refers to, and so on until all is quiet. Each round
//! judges all units by the same state, so the outcome does not depend on their order; each unit falls at most twice, so there is an end.
//!
//! What is written decides over what was: where units contain themselves by way of versions that were fallen back to, those are given up first.
//! So what is served does not change when the same is said again. Nor does what is said of it: where a version that was served is given up, all
//! is judged once more without it, at most as often as there are versions to give up.

use super::{Settled, memo::Entry};
use crate::{
    Name,
    config::{Rejection, Severity, Tree, written::Written},
    map::Map,
    planted::planted,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Units that contain units that contain units: more levels than anyone needs.
const MAX_LEVELS: usize = 32;

pub(super) type Candidates<T> = BTreeMap<Name, Candidate<T>>;

/// One unit before it is settled.
#[derive(Debug)]
pub(super) struct Candidate<T> {
    /// `None`: Fairlead's own.
    written: Option<Arc<Written>>,
    new: Option<Arc<T>>,
    last: Option<Arc<T>>,
    rejections: Vec<Rejection>,
    /// The new version, if it was given up, and how much had been said before.
    refused: Option<(Arc<T>, usize)>,
}

/// Why a version of a unit cannot be served.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Vec<&'static str>,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl<T: Settled> Candidate<T> {
    pub(super) fn new(written: Option<Arc<Written>>, new: Option<T>, last: Option<Arc<T>>, rejections: Vec<Rejection>) -> Self {
        let new = new.map(|new| match &last {
            Some(last) if last.same(&new) => last.clone(),
            _ => Arc::new(new),
        });
        let last = last.filter(|_| new.is_some() || !planted!("last_good_forgotten"));
        Self { written, new, last, rejections, refused: None }
    }

    /// As it was built before.
    pub(super) fn again(entry: &Entry<T>, last: Option<Arc<T>>) -> Self {
        let same = |last: &&Arc<T>| Arc::ptr_eq(last, &entry.unit) || last.same(&entry.unit);
        let new = last.as_ref().filter(same).unwrap_or(&entry.unit).clone();
        Self { written: Some(entry.written.clone()), new: Some(new), last, rejections: entry.rejections.to_vec(), refused: None }
    }

    /// What was built, for the next time.
    pub(super) fn built(&self, written: &Arc<Written>, name: &Name) -> Option<Entry<T>> {
        self.new.as_ref().map(|new| Entry::new(written, name, new, &self.rejections))
    }

    /// With another version to fall back to.
    pub(super) fn with_last(mut self, last: Option<Arc<T>>) -> Self {
        if let (Some(new), Some(last)) = (&mut self.new, &last)
            && last.same(new)
        {
            *new = last.clone();
        }
        Self { last, ..self }
    }
}

impl<T> Candidate<T> {
    /// What was found wrong with another of the same name is reported too.
    pub(super) fn join(&mut self, mut other: Self) {
        self.rejections.append(&mut other.rejections);
    }

    pub(super) fn current(&self) -> Option<&Arc<T>> {
        self.new.as_ref().or(self.last.as_ref())
    }

    /// Gives up each version that has a fault, the new one with a word about it.
    pub(super) fn demote_if(&mut self, faults: impl Fn(&T) -> Vec<Fault>) {
        while let Some(current) = self.current() {
            let faults = faults(current);
            if faults.is_empty() {
                break;
            }
            self.demote(faults);
        }
        self.refused = None;
    }

    /// Brings the version to fall back to in line with what is written, where that is not the version served now.
    pub(super) fn amend_last(&mut self, amend: impl FnOnce(&Tree, &T) -> Option<T>) {
        let (Some(written), Some(last)) = (&self.written, &self.last) else { return };
        let served = self.new.as_ref().is_some_and(|new| Arc::ptr_eq(new, last));
        if let Some(amended) = (!served).then(|| amend(&written.tree(), last)).flatten() {
            self.last = Some(Arc::new(amended));
        }
    }

    /// Gives up the version that is to be served. Whether that is the one that was.
    fn demote(&mut self, faults: Vec<Fault>) -> bool {
        match self.new.take() {
            Some(new) => {
                self.refused = Some((new.clone(), self.rejections.len()));
                if let Some(written) = &self.written {
                    let tree = written.tree();
                    let rejection = |fault: Fault| tree.reject_at(Severity::Error, &fault.path, fault.message, fault.remedy);
                    self.rejections.extend(faults.into_iter().map(rejection));
                }
                // What did not change has no other version to fall back to.
                self.last.take_if(|last| Arc::ptr_eq(last, &new));
                false
            }
            None => self.last.take().is_some(),
        }
    }

    /// As before it was settled, but for the version that was given up.
    fn rewind(&mut self) {
        if let Some((new, said)) = self.refused.take() {
            self.new = Some(new);
            self.rejections.truncate(said);
        }
    }
}

/// Settles one kind. `references` are names of the same kind; `missing` says what is wrong when one of them is not served.
pub(super) fn settle<T>(
    mut candidates: Candidates<T>,
    expansion: usize,
    references: impl Fn(&T) -> Vec<Name>,
    missing: impl Fn(&T, &Name) -> Option<Fault>,
    rejections: &mut Vec<Rejection>,
) -> Map<Name, Arc<T>> {
    // Each time, there are fewer versions to give up: those that were had their chance.
    while settle_once(&mut candidates, expansion, &references, &missing) {
        candidates.values_mut().for_each(Candidate::rewind);
    }
    let conclude = |(name, mut unit): (Name, Candidate<T>)| {
        let bad = unit.rejections.iter().any(|rejection| rejection.severity == Severity::Error);
        if bad && unit.current().is_some() {
            for rejection in unit.rejections.iter_mut().filter(|rejection| rejection.severity == Severity::Error) {
                rejection.message.push_str("; the last good version is still served");
            }
        }
        rejections.append(&mut unit.rejections);
        unit.new.or(unit.last).map(|unit| (name, unit))
    };
    candidates.into_iter().filter_map(conclude).collect()
}

/// Gives up versions until every reference leads somewhere and nothing contains itself. Whether one was given up that was served.
fn settle_once<T>(
    candidates: &mut Candidates<T>,
    expansion: usize,
    references: impl Fn(&T) -> Vec<Name>,
    missing: impl Fn(&T, &Name) -> Option<Fault>,
) -> bool {
    let mut gave_up = false;
    // Who must be looked at again when a unit is gone. Versions given up leave their traces, which costs a look and no more.
    let mut users: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    let refers = |unit: &&Arc<T>| !references(unit).is_empty();
    let mut dirty: BTreeSet<Name> = candidates
        .iter()
        .filter(|(_, candidate)| candidate.current().as_ref().is_some_and(refers))
        .map(|(name, _)| name.clone())
        .collect();
    loop {
        while !dirty.is_empty() {
            let mut faults: Vec<(Name, Vec<Fault>)> = Vec::new();
            for name in std::mem::take(&mut dirty) {
                let Some(unit) = candidates.get(&name).and_then(Candidate::current) else { continue };
                let targets: BTreeSet<Name> = references(unit).into_iter().collect();
                let gone = targets.iter().filter(|target| candidates.get(*target).and_then(Candidate::current).is_none());
                let found: Vec<Fault> = gone.filter_map(|target| missing(unit, target)).collect();
                for target in targets {
                    users.entry(target).or_default().insert(name.clone());
                }
                if !found.is_empty() {
                    faults.push((name, found));
                }
            }
            dirty = demote_all(candidates, faults, &users, &mut gave_up);
        }
        let mut faults = entangled(&edges(candidates, &references), expansion);
        let has_fallen = |name: &Name| candidates.get(name).is_some_and(|candidate| candidate.new.is_none());
        if faults.iter().any(|(name, _)| has_fallen(name)) {
            faults.retain(|(name, _)| has_fallen(name));
        }
        if faults.is_empty() {
            return gave_up;
        }
        dirty = demote_all(candidates, faults, &users, &mut gave_up);
    }
}

/// Who refers to whom. Units that neither refer nor are referred to are left out: they are the most.
fn edges<'c, T>(candidates: &'c Candidates<T>, references: &impl Fn(&T) -> Vec<Name>) -> BTreeMap<&'c Name, Vec<Name>> {
    let mut edges = BTreeMap::new();
    for (name, candidate) in candidates {
        let targets = candidate.current().map(|unit| references(unit)).unwrap_or_default();
        if targets.is_empty() {
            continue;
        }
        for target in &targets {
            if let Some((target, candidate)) = candidates.get_key_value(target)
                && let Some(unit) = candidate.current()
            {
                edges.entry(target).or_insert_with(|| references(unit));
            }
        }
        edges.insert(name, targets);
    }
    edges
}

/// Gives up versions that have faults; returns what must be looked at again.
fn demote_all<T>(
    candidates: &mut Candidates<T>,
    faults: Vec<(Name, Vec<Fault>)>,
    users: &BTreeMap<Name, BTreeSet<Name>>,
    gave_up: &mut bool,
) -> BTreeSet<Name> {
    let mut dirty = BTreeSet::new();
    for (name, faults) in faults {
        let Some(unit) = candidates.get_mut(&name) else { continue };
        *gave_up |= unit.demote(faults);
        match unit.current() {
            Some(_) => {
                dirty.insert(name);
            }
            None => dirty.extend(users.get(&name).into_iter().flatten().cloned()),
        }
    }
    dirty
}

/// Units that contain themselves, or too much. Every reference leads somewhere.
fn entangled(edges: &BTreeMap<&Name, Vec<Name>>, expansion: usize) -> Vec<(Name, Vec<Fault>)> {
    if edges.values().all(Vec::is_empty) {
        return Vec::new();
    }
    // From the leaves up: how many levels, and how many units when all is written out.
    let mut users: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    let mut open: BTreeMap<&Name, usize> = BTreeMap::new();
    for (&name, targets) in edges {
        open.insert(name, targets.len());
        for target in targets {
            users.entry(target).or_default().push(name);
        }
    }
    let mut measured: BTreeMap<&Name, (usize, usize)> = BTreeMap::new();
    let mut ready: Vec<&Name> = open.iter().filter(|(_, open)| **open == 0).map(|(name, _)| *name).collect();
    let mut large = Vec::new();
    while let Some(name) = ready.pop() {
        let below = edges[name].iter().map(|target| measured.get(target).copied().unwrap_or_default());
        let (levels, size) = below.fold((0, 0_usize), |(levels, size), (l, s)| (levels.max(l), size.saturating_add(s)));
        let (levels, size) = (levels + 1, size.saturating_add(1));
        if levels > MAX_LEVELS || size > expansion {
            let message = format!("contains more than {MAX_LEVELS} levels or {expansion} others when written out");
            large.push((
                name.clone(),
                vec![Fault { path: Vec::new(), message, remedy: "name each only where it is needed".to_owned() }],
            ));
        }
        measured.insert(name, (levels, size));
        for user in users.get(name).into_iter().flatten() {
            if let Some(open) = open.get_mut(user) {
                *open -= 1;
                if *open == 0 {
                    ready.push(user);
                }
            }
        }
    }
    // What is left leads into a circle. Whoever only leads into one, or from one into another, contains itself no more than anybody else.
    let circle = returning(edges, edges.keys().copied().filter(|name| !measured.contains_key(name)).collect());
    let circles = circle.iter().map(|name| {
        let message = format!("contains itself: {}", round_trip(name, edges, &circle));
        (Name::clone(name), vec![Fault { path: Vec::new(), message, remedy: "take one of them out of the circle".to_owned() }])
    });
    large.extend(circles);
    large
}

/// Those of `names` from which references lead back to themselves: what is strongly connected, by two walks (Kosaraju).
fn returning<'e>(edges: &'e BTreeMap<&'e Name, Vec<Name>>, names: BTreeSet<&'e Name>) -> BTreeSet<&'e Name> {
    let targets = |name: &Name| edges.get(name).into_iter().flatten().filter_map(|target| names.get(target).copied());
    let mut users: BTreeMap<&Name, Vec<&Name>> = BTreeMap::new();
    names.iter().for_each(|name| targets(name).for_each(|target| users.entry(target).or_default().push(*name)));
    // Along the references: who is done with all that is below it, in that order.
    let (mut done, mut seen) = (Vec::new(), BTreeSet::new());
    for name in &names {
        let mut open = vec![(*name, false)];
        while let Some((name, left)) = open.pop() {
            if left {
                done.push(name);
            } else if seen.insert(name) {
                open.push((name, true));
                open.extend(targets(name).map(|target| (target, false)));
            }
        }
    }
    // And back, from the last: each walk ends within one strongly connected part.
    let (mut returning, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for name in done.into_iter().rev() {
        let (mut part, mut open) = (Vec::new(), vec![name]);
        while let Some(name) = open.pop() {
            if seen.insert(name) {
                part.push(name);
                open.extend(users.get(name).into_iter().flatten().copied());
            }
        }
        if part.len() > 1 || part.iter().any(|name| targets(name).any(|target| target == *name)) {
            returning.extend(part);
        }
    }
    returning
}

/// `a → b → a`, along first references within the circle.
fn round_trip(start: &Name, edges: &BTreeMap<&Name, Vec<Name>>, circle: &BTreeSet<&Name>) -> String {
    let mut text = start.to_string();
    let mut seen = BTreeSet::from([start]);
    let mut at = start;
    while let Some(next) = edges.get(at).and_then(|targets| targets.iter().find(|target| circle.contains(target))) {
        text.push_str(" → ");
        text.push_str(next.as_str());
        if !seen.insert(next) || seen.len() > 8 {
            break;
        }
        at = next;
    }
    text
}
