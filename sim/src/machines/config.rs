//! Machine `config`: what several providers write, unit by unit, through `resolve` and the compilation of a snapshot.
//!
//! Units come, go, change, are renamed, refer to each other across providers and in circles, and are written wrongly. After each
//! publication the reference reducer ([`reduce`]) says which version of each unit is served: names, contents, what is refused, and where
//! requests go. Beside it: the order of writing changes nothing, nor does saying the same again, and the explanation agrees with the route.

mod reduce;
mod unit;

use super::{
    Judge, Machine, Mix,
    routes::{routed, with_request},
    rules::{Ask, Rank, first},
};
use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict},
};
use fairlead_core::{
    Name, Snapshot,
    config::{Config, RawDynamic, Rejection, Severity, StaticConfig, flags, resolve, resolve_static},
    explain::explain,
    map::Map,
    snapshot::{EntryPointId, EntryPointSpec},
};
use reduce::{Served, reduce};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use unit::{Identity, Provider, Router, Unit};

/// Of so many requests, one is explained.
const EXPLAINED: u64 = 8;

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    /// Per hundred: how many units are written wrongly, and how many references lead nowhere on purpose.
    flaws: u64,
    lost: u64,
    providers: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        at: Identity,
        unit: Unit,
    },
    Remove {
        at: Identity,
    },
    /// The same unit under another name; what was there is gone.
    Rename {
        at: Identity,
        to: usize,
    },
    /// Everything written so far becomes the configuration. `twice`: in another order too.
    Publish {
        twice: bool,
    },
    /// The same is said again.
    Again,
    Ask(Ask),
    /// A provider is switched off, or on again.
    Switch(Provider),
}

pub(super) struct Configs {
    static_: StaticConfig,
    entry_points: [EntryPointSpec; 2],
    written: BTreeMap<Identity, Unit>,
    off: BTreeSet<Provider>,
    /// Each unit as it was read first; what is not written anew is not read anew, as with files and labels.
    read: BTreeMap<Identity, RawDynamic>,
    inputs: BTreeMap<String, RawDynamic>,
    served: Served,
    /// The routers of these, by their full names.
    routers: Vec<(String, Router)>,
    asked: u64,
    config: Config,
    snapshot: Snapshot,
    number: u64,
}

impl Machine for Configs {
    const NAME: &'static str = "config";
    const ABOUT: &'static str = "edits of several providers through resolve and compilation, beside a reference reducer";
    const TRANSITIONS: &'static [&'static str] = &[
        "new→served",
        "new→refused",
        "served→served, unchanged",
        "served→served, changed",
        "served→last good kept",
        "last good kept→served",
        "last good kept→gone",
        "served→gone",
        "a circle is refused",
        "kept although what it refers to changed",
        "nothing changes",
        "another order",
        "routed",
        "no route",
        "provider switched",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        Knobs {
            mix: Mix::draw(chance, 7, 4).rarer(3, 12).rarer(4, 60).rarer(6, 60),
            flaws: chance.pick(&[0, 5, 30, 60]),
            lost: chance.pick(&[0, 10, 40]),
            providers: chance.count(1, 3),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        let at = Identity::draw(chance, knobs.providers);
        match knobs.mix.pick(chance) {
            0 => Op::Write { at, unit: Unit::draw(at.kind, knobs.flaws, knobs.lost, chance) },
            1 => Op::Remove { at },
            2 => Op::Ask(Ask::draw(chance)),
            3 => Op::Publish { twice: chance.percent(20) },
            4 => Op::Again,
            5 => Op::Rename { at, to: chance.count(0, unit::NAMES.len() - 1) },
            _ => Op::Switch(at.provider),
        }
    }

    fn new(_: &Knobs) -> Self {
        let args = ["--entryPoints.web.address=:80", "--entryPoints.websecure.address=:443"].map(str::to_owned);
        let static_ = flags::tree(&args).and_then(|tree| resolve_static(&tree)).map(|(config, _)| config);
        let static_ = static_.unwrap_or_else(|rejections| panic!("{rejections:?}"));
        let entry_points = ["web", "websecure"].map(|name| EntryPointSpec { name: name.to_owned() });
        let snapshot = Snapshot::build(0, &Config::default(), &entry_points);
        Self {
            entry_points,
            written: BTreeMap::new(),
            off: BTreeSet::new(),
            read: BTreeMap::new(),
            // Before the first publication there is what Fairlead declares itself.
            config: resolve(&BTreeMap::new(), &static_, None).0,
            static_,
            inputs: BTreeMap::new(),
            served: Served::default(),
            routers: Vec::new(),
            asked: 0,
            snapshot,
            number: 0,
        }
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        match op {
            Op::Write { at, unit } => {
                self.write(*at, unit.clone());
                Ok(())
            }
            Op::Remove { at } => {
                self.written.remove(at);
                self.read.remove(at);
                Ok(())
            }
            Op::Rename { at, to } => {
                if let Some(unit) = self.written.remove(at) {
                    self.read.remove(at);
                    self.write(Identity { name: *to, ..*at }, unit);
                }
                Ok(())
            }
            Op::Publish { twice } => self.publish(*twice, judge),
            Op::Again => self.again(judge),
            Op::Ask(ask) => self.ask(ask, judge),
            Op::Switch(provider) => {
                if !self.off.remove(provider) {
                    self.off.insert(*provider);
                }
                judge.moved("provider switched")
            }
        }
    }
}

impl Configs {
    fn write(&mut self, at: Identity, unit: Unit) {
        self.read.remove(&at);
        self.written.insert(at, unit);
    }

    fn declared(&self) -> BTreeMap<Identity, Unit> {
        let on = |(at, _): &(&Identity, &Unit)| !self.off.contains(&at.provider);
        self.written.iter().filter(on).map(|(at, unit)| (*at, unit.clone())).collect()
    }

    /// Each provider's configuration. A store is read as a whole, the others bring their units together.
    fn gather(&self, backwards: bool) -> BTreeMap<String, RawDynamic> {
        let mut inputs = BTreeMap::new();
        for provider in Provider::ALL.into_iter().filter(|provider| !self.off.contains(provider)) {
            let of: Vec<_> =
                self.written.iter().filter(|(at, _)| at.provider == provider).map(|(at, unit)| (*at, unit)).collect();
            let raw = match (provider, backwards) {
                (Provider::Etcd, _) => unit::read(&of),
                (_, false) => of.iter().fold(RawDynamic::default(), |mut all, (at, _)| {
                    all.merge(self.read[at].clone());
                    all
                }),
                (_, true) => of.iter().rev().fold(RawDynamic::default(), |mut all, one| {
                    all.merge(unit::read(&[*one]));
                    all
                }),
            };
            inputs.insert(provider.name().to_owned(), raw);
        }
        inputs
    }

    fn publish(&mut self, twice: bool, judge: &mut Judge) -> Verdict {
        let declared = self.declared();
        for (at, unit) in self.written.iter().filter(|(at, _)| at.provider != Provider::Etcd) {
            self.read.entry(*at).or_insert_with(|| unit::read(&[(*at, unit)]));
        }
        let inputs = self.gather(false);
        let (config, rejections) = resolve(&inputs, &self.static_, Some(&self.config));
        if twice {
            let (other, told) = resolve(&self.gather(true), &self.static_, Some(&self.config));
            judge.moved("another order")?;
            judge.holds(Oracle::Atomic, image(&config) == image(&other) && rejections == told, || {
                format!("read in another order, it is another configuration: {}", difference(&image(&config), &image(&other)))
            })?;
        }
        let reduced = reduce(&declared, &self.served);
        let (is, ought) = (image(&config), reduced.image());
        judge.notes(
            is.iter()
                .flat_map(|(name, text)| name.bytes().chain(text.bytes()))
                .fold(7, |sum, byte| sum * 31 + u64::from(byte) & 0xffff_ffff),
        );
        judge.holds(Oracle::Atomic, is == ought, || difference(&is, &ought))?;
        for (at, unit) in &declared {
            let told = errors(&rejections, &at.key());
            let as_written = reduced.units.get(at) == Some(unit);
            judge.holds(Oracle::Atomic, told.is_empty() == as_written, || match told.first() {
                Some(rejection) => format!("{} is served as written, and refused: {rejection}", at.key()),
                None => format!("{} is not served as written, and nothing is said of it: {unit:?}", at.key()),
            })?;
            judge.moved(match (self.served.units.get(at), reduced.units.get(at)) {
                (None, Some(_)) => "new→served",
                (None, None) => "new→refused",
                (Some(before), Some(now)) if before == now && now != unit => "served→last good kept",
                (Some(before), Some(now)) if before == now && self.served.kept.contains(at) => "last good kept→served",
                (Some(before), Some(now)) if before == now => "served→served, unchanged",
                (Some(_), Some(_)) if self.served.kept.contains(at) => "last good kept→served",
                (Some(_), Some(_)) => "served→served, changed",
                (Some(_), None) if self.served.kept.contains(at) => "last good kept→gone",
                (Some(_), None) => "served→gone",
            })?;
            if reduced.kept.contains(at) && unit.is_readable() {
                judge.moved("kept although what it refers to changed")?;
            }
        }
        if reduced.circles {
            judge.moved("a circle is refused")?;
        }
        self.number += 1;
        self.snapshot = Snapshot::build_after(Some(&self.snapshot), self.number, &config, &self.entry_points);
        let routers = self.snapshot.routers().map(|router| router.name.as_str());
        let whole = routers.eq(config.routers.keys().map(Name::as_str));
        judge.holds(Oracle::Atomic, whole, || "not every router of the configuration is in the snapshot".to_owned())?;
        self.routers = reduced.routers().map(|(at, router)| (at.full(), router.clone())).collect();
        (self.inputs, self.config, self.served) = (inputs, config, reduced);
        Ok(())
    }

    /// What was published is resolved again: every unit is the very same.
    fn again(&mut self, judge: &mut Judge) -> Verdict {
        let (before, _) = resolve(&self.inputs, &self.static_, Some(&self.config));
        let (config, _) = resolve(&self.inputs, &self.static_, Some(&before));
        judge.moved("nothing changes")?;
        let same = image(&config) == image(&self.config)
            && shared(&config.routers, &self.config.routers)
            && shared(&config.services, &self.config.services)
            && shared(&config.middlewares, &self.config.middlewares);
        judge.holds(Oracle::Convergence, same, || {
            format!("said again, it is another configuration: {}", difference(&image(&config), &image(&self.config)))
        })
    }

    fn ask(&mut self, ask: &Ask, judge: &mut Judge) -> Verdict {
        let side = self.routers.iter().filter(|(_, router)| router.tls == ask.tls);
        let ranks = side.map(|(name, router)| Rank { priority: router.priority, name, rule: &router.rule });
        let expected = first(ranks, ask);
        let routed = routed(&self.snapshot, ask, 1);
        judge.moved(if expected.is_some() { "routed" } else { "no route" })?;
        judge
            .holds(Oracle::Removed, routed.as_deref() == expected, || format!("{routed:?} serves, and {expected:?} is right"))?;
        // Some of them, as it costs more than all the rest.
        self.asked += 1;
        if self.asked % EXPLAINED != 0 {
            return Ok(());
        }
        let told = with_request(ask, |request| explain(&self.snapshot, EntryPointId(1), ask.tls, request));
        let winner = told.and_then(|told| told.winner).map(|winner| winner.router);
        judge.holds(Oracle::Admin, winner == routed, || format!("{routed:?} serves, and {winner:?} is told to"))
    }
}

fn errors<'r>(rejections: &'r [Rejection], key: &str) -> Vec<&'r Rejection> {
    let of = |rejection: &&Rejection| {
        let rest = rejection.key.strip_prefix(key);
        rejection.severity == Severity::Error && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/', '[']))
    };
    rejections.iter().filter(of).collect()
}

fn shared<T>(a: &Map<Name, Arc<T>>, b: &Map<Name, Arc<T>>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a, one), (b, other))| a == b && Arc::ptr_eq(one, other))
}

/// What is served, by kind and name, in words that the model has too.
fn image(config: &Config) -> BTreeMap<String, String> {
    unit::image(config).into_iter().filter(|(name, _)| !name.ends_with("@internal")).collect()
}

fn difference(is: &BTreeMap<String, String>, ought: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&String> = is.keys().chain(ought.keys()).collect();
    let told = names.into_iter().filter(|name| is.get(*name) != ought.get(*name));
    let one = |name: &String| format!("{name} is {:?}, and {:?} is right", is.get(name), ought.get(name));
    told.take(3).map(one).collect::<Vec<_>>().join("; ")
}
