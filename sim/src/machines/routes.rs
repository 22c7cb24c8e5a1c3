//! Machine `routes`: routing tables that change, and requests through them, beside every rule evaluated in order of priority.
//!
//! Two snapshots are asked: one that was built after the one before and may share its tables, and one that was built alone. The explanation
//! must say of every router what the model says of it.

use super::{
    Judge, Machine, Mix,
    rules::{Ask, Cond, Rank, first},
};
use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict, broken},
};
use fairlead_core::{
    Name, Snapshot,
    config::{
        Config,
        dynamic::{Internal, Observability, Router, RouterTls, Service, ServiceKind},
    },
    explain::{Outcome, explain},
    http::{Host, Request, Scheme, VecFields},
    rule::{self, Syntax},
    snapshot::{EntryPointId, EntryPointSpec},
};
use std::{collections::BTreeMap, sync::Arc};

const NAMES: [&str; 20] = [
    "a@file", "b@file", "c@file", "d@file", "e@file", "a@swarm", "b@swarm", "c@swarm", "a@docker", "b@docker", "c@docker",
    "a@etcd", "b@etcd", "c@etcd", "d@etcd", "a@http", "b@http", "a@zz", "b@zz", "z@swarm",
];
const ENTRY_POINTS: [&str; 2] = ["web", "websecure"];

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    /// Priorities are drawn from so many; 0: the rule's length decides.
    priorities: u64,
    depth: u32,
    /// Rules of many routers that differ in one host or path only.
    alike: u64,
}

/// A router, as the model knows it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    rule: Cond,
    priority: i64,
    tls: bool,
    /// On the first, on the second entry point.
    on: [bool; 2],
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Ask {
        ask: Ask,
        entry_point: usize,
    },
    Put {
        name: usize,
        router: Known,
    },
    /// As it is, of another priority.
    Rank {
        name: usize,
        priority: i64,
    },
    Remove {
        name: usize,
    },
    Explain {
        ask: Ask,
        entry_point: usize,
    },
    /// Something changes that is no router.
    Touch,
}

pub(super) struct Routes {
    config: Config,
    known: BTreeMap<&'static str, Known>,
    number: u64,
    entry_points: [EntryPointSpec; 2],
    after: Snapshot,
    alone: Snapshot,
}

impl Machine for Routes {
    const NAME: &'static str = "routes";
    const ABOUT: &'static str = "routing tables against every rule in order of priority, and the explanation of both";
    const TRANSITIONS: &'static [&'static str] = &[
        "routed",
        "no route",
        "two of equal priority",
        "exact name under a wildcard",
        "by a wildcard",
        "router replaced",
        "router of another priority",
        "router removed",
        "tables shared",
        "explained",
        "would match on the other side",
        "shadowed",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        Knobs {
            mix: Mix::draw(chance, 6, 2).rarer(1, 10).rarer(2, 30).rarer(3, 20).rarer(4, 30).rarer(5, 20),
            priorities: chance.pick(&[1, 2, 5, 1_000]),
            depth: chance.within(0, 3) as u32,
            alike: chance.pick(&[0, 0, 80]),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        let (name, entry_point) = (chance.count(0, NAMES.len() - 1), chance.count(0, 1));
        match knobs.mix.pick(chance) {
            0 => Op::Ask { ask: Ask::draw(chance), entry_point },
            1 => {
                let depth = if chance.percent(knobs.alike) { 0 } else { knobs.depth };
                let on = chance.pick(&[[true, true], [true, true], [true, false], [false, true]]);
                let rule = Cond::draw(chance, depth);
                Op::Put {
                    name,
                    router: Known { rule, priority: chance.within(0, knobs.priorities - 1) as i64, tls: chance.percent(30), on },
                }
            }
            2 => Op::Remove { name },
            3 => Op::Explain { ask: Ask::draw(chance), entry_point },
            4 => Op::Touch,
            _ => Op::Rank { name, priority: chance.within(0, knobs.priorities - 1) as i64 },
        }
    }

    fn new(_: &Knobs) -> Self {
        let entry_points = ENTRY_POINTS.map(|name| EntryPointSpec { name: name.to_owned() });
        let config = Config::default();
        let build = || Snapshot::build(0, &config, &entry_points);
        let (after, alone) = (build(), build());
        let mut new = Self { config, known: BTreeMap::new(), number: 0, entry_points, after, alone };
        new.touch();
        new
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        match op {
            Op::Ask { ask, entry_point } => self.ask(ask, *entry_point, judge),
            Op::Put { name, router } => {
                let name = NAMES[*name];
                if self.known.contains_key(name) {
                    judge.moved("router replaced")?;
                }
                self.put(name, router.clone(), judge)
            }
            Op::Rank { name, priority } => {
                let name = NAMES[*name];
                let Some(known) = self.known.get(name).cloned() else { return Ok(()) };
                let now = if *priority == 0 { known.rule.to_string().len() as i64 } else { *priority };
                if known.priority != now {
                    judge.moved("router of another priority")?;
                }
                self.put(name, Known { priority: *priority, ..known }, judge)
            }
            Op::Remove { name } => {
                if self.known.remove(NAMES[*name]).is_some() {
                    judge.moved("router removed")?;
                    self.config.routers.remove(NAMES[*name]);
                }
                self.build(judge)
            }
            Op::Explain { ask, entry_point } => self.explain(ask, *entry_point, judge),
            Op::Touch => {
                self.touch();
                self.build(judge)
            }
        }
    }
}

impl Routes {
    fn put(&mut self, name: &'static str, router: Known, judge: &mut Judge) -> Verdict {
        let text = router.rule.to_string();
        let rule = match rule::parse(&text, Syntax::V3) {
            Ok(rule) => rule,
            Err(error) => return broken(Oracle::Convergence, format!("`{text}` is refused: {error}")),
        };
        // As `resolve` does where none is given.
        let priority = if router.priority == 0 { text.len() as i64 } else { router.priority };
        let names = ENTRY_POINTS.iter().zip(router.on).filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned());
        let tls = router.tls.then(|| RouterTls { options: Name::whole("default"), cert_resolver: None, domains: Vec::new() });
        let compiled = Router {
            name: Name::whole(name),
            declared: Name::whole(name),
            entry_points: names.collect(),
            rule,
            priority,
            middlewares: Vec::new(),
            service: Name::whole("s@file"),
            tls: tls.map(Box::new),
            observability: Observability { access_log: true, metrics: true, tracing: true },
            source: "sim".into(),
        };
        self.config.routers.insert(Name::whole(name), Arc::new(compiled));
        self.known.insert(name, Known { priority, ..router });
        self.build(judge)
    }

    /// Another service, and the routers of before.
    fn touch(&mut self) {
        self.number += 1;
        let service = |name: &str| {
            let name = Name::whole(name);
            (name.clone(), Arc::new(Service { name, kind: ServiceKind::Internal(Internal::Noop), source: "sim".into() }))
        };
        self.config.services.clear();
        self.config.services.extend([service("s@file"), service(&format!("r{}@file", self.number))]);
    }

    fn build(&mut self, judge: &mut Judge) -> Verdict {
        self.number += 1;
        let after = Snapshot::build_after(Some(&self.after), self.number, &self.config, &self.entry_points);
        if after.shares_routing_with(&self.after) {
            judge.moved("tables shared")?;
        }
        self.after = after;
        self.alone = Snapshot::build(self.number, &self.config, &self.entry_points);
        Ok(())
    }

    /// The routers of one side of an entry point.
    fn side(&self, entry_point: usize, tls: bool) -> impl Iterator<Item = Rank<'_>> {
        let serves = move |(_, known): &(&&'static str, &Known)| known.tls == tls && known.on[entry_point];
        self.known.iter().filter(serves).map(|(name, known)| Rank { priority: known.priority, name, rule: &known.rule })
    }

    fn ask(&mut self, ask: &Ask, entry_point: usize, judge: &mut Judge) -> Verdict {
        let expected = first(self.side(entry_point, ask.tls), ask);
        for snapshot in [&self.after, &self.alone] {
            let routed = routed(snapshot, ask, entry_point);
            judge.notes(routed.as_ref().map_or(0, |name| name.bytes().map(u64::from).sum()));
            judge.holds(Oracle::Removed, routed.as_deref() == expected, || {
                let rule = |name: Option<&str>| name.and_then(|name| self.known.get(name)).map(|known| known.rule.to_string());
                format!("{routed:?} ({:?}) serves, and {expected:?} ({:?}) is right", rule(routed.as_deref()), rule(expected))
            })?;
        }
        let Some(name) = expected else { return judge.moved("no route") };
        judge.moved("routed")?;
        let winner = &self.known[name];
        let equal = self.side(entry_point, ask.tls).filter(|r| r.priority == winner.priority && r.rule.holds(ask)).count();
        if equal > 1 {
            judge.moved("two of equal priority")?;
        }
        match &winner.rule {
            Cond::Under(_) => judge.moved("by a wildcard"),
            Cond::Host(_) if self.side(entry_point, ask.tls).any(|r| matches!(r.rule, Cond::Under(_)) && r.rule.holds(ask)) => {
                judge.moved("exact name under a wildcard")
            }
            _ => Ok(()),
        }
    }

    fn explain(&mut self, ask: &Ask, entry_point: usize, judge: &mut Judge) -> Verdict {
        let expected = first(self.side(entry_point, ask.tls), ask);
        let told = with_request(ask, |request| explain(&self.after, id(entry_point), ask.tls, request));
        let Some(told) = told else { return broken(Oracle::Admin, format!("entry point {entry_point} is not known")) };
        judge.moved("explained")?;
        let winner = told.winner.as_ref().map(|winner| winner.router.as_str());
        judge.holds(Oracle::Admin, winner == expected, || format!("{winner:?} is told to serve, and {expected:?} does"))?;
        for one in &told.considered {
            let known = self.known.get(one.router.as_str());
            let here = known.is_some_and(|known| known.tls == ask.tls && known.on[entry_point]);
            let holds = known.is_some_and(|known| known.rule.holds(ask));
            let right = match &one.outcome {
                Outcome::Matched => here && expected == Some(&one.router),
                Outcome::Shadowed { by } => {
                    judge.moved("shadowed")?;
                    here && holds && expected == Some(by) && one.router != *by
                }
                Outcome::FirstFailed { .. } => here && !holds,
                Outcome::OtherSide => {
                    judge.moved("would match on the other side")?;
                    !here && holds
                }
            };
            judge.holds(Oracle::Admin, right, || format!("of {} it is told {:?}; {known:?}", one.router, one.outcome))?;
        }
        let of_this_side = self.side(entry_point, ask.tls).count();
        let listed = told.considered.iter().filter(|one| one.outcome != Outcome::OtherSide).count();
        judge.holds(Oracle::Admin, listed <= of_this_side && listed + told.omitted >= of_this_side, || {
            format!("{listed} routers are listed and {} omitted of {of_this_side}", told.omitted)
        })
    }
}

fn id(entry_point: usize) -> EntryPointId {
    EntryPointId(entry_point as u32)
}

/// The name of the router that core gives the request to.
pub(super) fn routed(snapshot: &Snapshot, ask: &Ask, entry_point: usize) -> Option<String> {
    with_request(ask, |request| snapshot.route(id(entry_point), ask.tls, request).map(|router| router.name.to_string()))
}

/// The request as core sees it.
pub(super) fn with_request<T>(ask: &Ask, see: impl FnOnce(&Request<'_, &VecFields>) -> T) -> T {
    let fields = VecFields::of(&ask.headers);
    let host = Host::parse(ask.host.as_bytes()).map(|(host, _)| host).unwrap_or_default();
    let scheme = if ask.tls { Scheme::Https } else { Scheme::Http };
    let query = ask.query_text().map(Into::into);
    let (path, client) = (ask.path.0.into(), ask.client());
    see(&Request { method: ask.method, scheme, host: &host, port: None, path, query, client, fields: &fields })
}
