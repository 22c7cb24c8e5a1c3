//! The reference reducer: which version of each unit is served, by the words at the head of `core/src/config/resolve.rs`.
//!
//! Each unit has at most two versions, what is written and what was served last. In rounds, every unit that cannot be served gives its
//! present version up, all of them by the same state; so no order decides. Where one that was served is given up, all begin again without it.

use super::unit::{Identity, KINDS, Kind, Router, Unit, What, image_name};
use std::collections::{BTreeMap, BTreeSet};

/// Units that one may come to when all is written out.
const MAX_EXPANSION: usize = 1000;
const MAX_LEVELS: usize = 32;

/// What is served.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    pub(super) units: BTreeMap<Identity, Unit>,
    /// Those whose last good version it is, and not what is written.
    pub(super) kept: BTreeSet<Identity>,
    /// Some unit was found to contain itself.
    pub(super) circles: bool,
}

impl Served {
    pub(super) fn routers(&self) -> impl Iterator<Item = (Identity, &Router)> {
        self.units.iter().filter_map(|(at, unit)| match &unit.what {
            What::Router(router) => Some((*at, router)),
            _ => None,
        })
    }

    pub(super) fn image(&self) -> BTreeMap<String, String> {
        self.units.iter().map(|(at, unit)| (image_name(*at), unit.image(at.provider))).collect()
    }
}

/// A unit's versions, the present one first.
type Versions<'u> = BTreeMap<Identity, Vec<&'u Unit>>;

/// What is served of what is declared, after what was served before.
pub(super) fn reduce(declared: &BTreeMap<Identity, Unit>, last: &Served) -> Served {
    let mut served = Served::default();
    // From the ground up: what a unit refers to is certain before it is looked at.
    for kind in KINDS {
        let mut given_up = BTreeSet::new();
        let versions = loop {
            let (versions, fallen) = pass(kind, declared, last, &given_up, &mut served);
            if fallen.is_empty() {
                break versions;
            }
            given_up.extend(fallen);
        };
        for (at, versions) in versions {
            if let Some(unit) = versions.first() {
                served.units.insert(at, (*unit).clone());
                if **unit != declared[&at] {
                    served.kept.insert(at);
                }
            }
        }
    }
    served
}

/// One kind's versions that can be served, and whose version that was served cannot. `given_up` have no such version.
fn pass<'u>(
    kind: Kind,
    declared: &'u BTreeMap<Identity, Unit>,
    last: &'u Served,
    given_up: &BTreeSet<Identity>,
    served: &mut Served,
) -> (Versions<'u>, BTreeSet<Identity>) {
    let mut fallen = BTreeSet::new();
    let mut versions: Versions<'_> = BTreeMap::new();
    for (at, unit) in declared.iter().filter(|(at, _)| at.kind == kind) {
        let written = Some(unit).filter(|unit| unit.is_readable());
        // The same in other words is no other version.
        let is_another = |before: &&Unit| written.is_none_or(|unit| unit.image(at.provider) != before.image(at.provider));
        let before = last.units.get(at).filter(|_| !given_up.contains(at)).filter(is_another);
        versions.insert(*at, written.into_iter().chain(before).collect());
    }
    loop {
        let mut faulty = missing(&versions, served);
        if faulty.is_empty() {
            faulty = entangled(&versions);
            served.circles |= !faulty.is_empty();
            // What is written decides over what was.
            let has_fallen = |at: &Identity| versions[at].first() != Some(&&declared[at]);
            if faulty.iter().any(has_fallen) {
                faulty.retain(has_fallen);
            }
        }
        if faulty.is_empty() {
            break;
        }
        for at in faulty {
            if let Some(versions) = versions.get_mut(&at) {
                let is_last = versions.remove(0) != &declared[&at];
                fallen.extend(is_last.then_some(at));
            }
        }
    }
    (versions, fallen)
}

/// Units of a kind that have a version, by name.
fn present<'u>(versions: &Versions<'u>) -> BTreeMap<String, (Identity, &'u Unit)> {
    versions.iter().filter_map(|(at, versions)| versions.first().map(|unit| (at.full(), (*at, *unit)))).collect()
}

/// Those that refer to what is not there.
fn missing(versions: &Versions<'_>, served: &Served) -> Vec<Identity> {
    let present = present(versions);
    let is_served = |kind: Kind, name: &String| served.units.keys().any(|at| at.kind == kind && at.full() == *name);
    let lacks = |(at, unit): &&(Identity, &Unit)| {
        unit.references(at.provider).iter().any(|name| !present.contains_key(name))
            || unit.needs(at.provider).is_some_and(|(service, middlewares)| {
                !is_served(Kind::Service, &service) || middlewares.iter().any(|name| !is_served(Kind::Middleware, name))
            })
    };
    present.values().filter(lacks).map(|(at, _)| *at).collect()
}

/// Those that contain themselves, and those that contain too much.
fn entangled(versions: &Versions<'_>) -> Vec<Identity> {
    let present = present(versions);
    let below = |name: &str| present.get(name).map(|(at, unit)| unit.references(at.provider)).unwrap_or_default();
    if present.keys().all(|name| below(name).is_empty()) {
        return Vec::new();
    }
    // All that is below a unit, however deep.
    let contained = |name: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), below(name));
        while let Some(name) = open.pop() {
            if seen.insert(name.clone()) {
                open.extend(below(&name));
            }
        }
        seen
    };
    let circular: BTreeSet<&String> = present.keys().filter(|name| contained(name).contains(*name)).collect();
    // Levels and size of one that no circle is below.
    fn measure(name: &str, below: &dyn Fn(&str) -> Vec<String>) -> (usize, usize) {
        below(name).iter().map(|name| measure(name, below)).fold((1, 1), |(levels, size), (l, s)| (levels.max(l + 1), size + s))
    }
    let too_much = |name: &String| {
        !circular.contains(name)
            && !contained(name).iter().any(|name| circular.contains(name))
            && matches!(measure(name, &below), (levels, size) if levels > MAX_LEVELS || size > MAX_EXPANSION)
    };
    let faulty = present.iter().filter(|(name, _)| circular.contains(name) || too_much(name));
    faulty.map(|(_, (at, _))| *at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chance::Chance,
        machines::config::unit::{Provider, Reference},
    };

    fn at(kind: Kind, name: usize) -> Identity {
        Identity { kind, provider: Provider::File, name }
    }

    fn chain(names: &[usize]) -> Unit {
        let references = names.iter().map(|name| Reference::local(*name)).collect();
        Unit::of(What::Chain(references))
    }

    fn served(units: &[(usize, Unit)], last: &Served) -> Served {
        reduce(&units.iter().map(|(name, unit)| (at(Kind::Middleware, *name), unit.clone())).collect(), last)
    }

    #[test]
    fn the_last_good_version_stays_and_a_removed_unit_goes() {
        let good = Unit::of(What::Prefix(1));
        let first = served(&[(0, good.clone()), (1, chain(&[0]))], &Served::default());
        assert_eq!(first.units.len(), 2);
        let broken = Unit::draw(Kind::Middleware, 100, 0, &mut Chance::new(1, "reduce"));
        let second = served(&[(0, broken.clone()), (1, chain(&[0]))], &first);
        assert_eq!((second.units.get(&at(Kind::Middleware, 0)), second.kept.len()), (Some(&good), 1));
        let third = served(&[(1, chain(&[0]))], &second);
        assert!(third.units.is_empty(), "what it refers to is gone");
        assert!(served(&[(0, broken)], &third).units.is_empty(), "nothing is remembered of what was removed");
    }

    #[test]
    fn only_members_of_a_circle_are_refused() {
        // a ↔ b, c between them and d, which contains itself.
        let first = served(&[(3, Unit::of(What::Prefix(1)))], &Served::default());
        let tangled = [(0, chain(&[1])), (1, chain(&[0, 2])), (2, chain(&[3])), (3, chain(&[3]))];
        let second = served(&tangled, &first);
        assert_eq!(
            second.units.keys().map(|at| at.name).collect::<Vec<_>>(),
            [2, 3],
            "d keeps its version, and c has what it needs"
        );
        assert!(second.circles);
    }
}
