//! What a timeline shows: lanes, and what is on them. Pure, from the marks of a run; times are microseconds.

use crate::trace::{Mark, Marked, State};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// See the head of this file. Lanes are meant by their index.
#[derive(Debug, Default, Serialize)]
pub(super) struct Model {
    pub end: u64,
    pub lanes: Vec<Lane>,
    pub states: Vec<Segment<State>>,
    /// Of gateways: the number of the configuration in force.
    pub configurations: Vec<Segment<u64>>,
    /// Of servers: the share of gateways that may send requests there.
    pub picks: Vec<Segment<f64>>,
    pub requests: Vec<Request>,
    pub faults: Vec<Fault>,
    pub happenings: Vec<Happening>,
    pub phases: Vec<Happening>,
    /// When an invariant broke.
    pub broken: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lane {
    pub name: String,
    pub group: Group,
}

/// Lanes of one kind stand together, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    Gateways,
    Sources,
    Servers,
    Clients,
}

/// Something that is so for a while.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Segment<T> {
    pub lane: usize,
    pub from: u64,
    pub to: u64,
    pub is: T,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Request {
    pub id: u64,
    pub lane: usize,
    pub from: u64,
    /// None: it was open when the run ended.
    pub to: Option<u64>,
    /// The one that was asked.
    pub gateway: Option<usize>,
    pub method: String,
    pub service: usize,
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// Why the gateway made the answer.
    pub reason: Option<String>,
    pub arrivals: Vec<Arrival>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    #[default]
    Open,
    Answered,
    /// The gateway's own answer.
    Invented,
    Lost,
    Aborted,
}

/// A request at a server.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Arrival {
    pub lane: usize,
    pub at: u64,
    /// None: no response of it left the server.
    pub replied: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Fault {
    pub fault: &'static str,
    pub what: String,
    pub from: u64,
    pub to: u64,
    /// Over as soon as it struck.
    pub once: bool,
    /// The nodes that it strikes, where it strikes some in particular.
    pub lanes: Vec<usize>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Happening {
    pub at: u64,
    pub what: String,
    /// None: it concerns the whole world.
    pub lane: Option<usize>,
}

impl Model {
    /// What these marks, in the order of their times, amount to.
    pub(super) fn new(marks: &[Marked], end: u64) -> Self {
        let end = marks.last().map_or(end, |last| end.max(last.at));
        let lanes = lanes(marks);
        let index = lanes.iter().enumerate().map(|(index, lane)| (lane.name.clone(), index)).collect();
        let mut builder = Builder { index, model: Self { end, lanes, ..Self::default() }, ..Builder::default() };
        marks.iter().for_each(|mark| builder.add(mark));
        builder.finish()
    }
}

fn lanes(marks: &[Marked]) -> Vec<Lane> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for mark in marks {
        let group = match &mark.mark {
            Mark::Configuration { .. } => Group::Gateways,
            Mark::Asked { .. } => Group::Clients,
            Mark::Arrived { .. } | Mark::Bears { .. } => Group::Servers,
            Mark::State { .. } if mark.node.starts_with("gateway") => Group::Gateways,
            Mark::State { .. } if mark.node.starts_with("server") || mark.node.starts_with("task") => Group::Servers,
            Mark::State { .. } => Group::Sources,
            _ => continue,
        };
        let known = groups.entry(mark.node.as_str()).or_insert(group);
        // What a node does says more than its name.
        if *known == Group::Sources {
            *known = group;
        }
    }
    let mut lanes: Vec<_> = groups.into_iter().map(|(name, group)| Lane { name: name.to_owned(), group }).collect();
    lanes.sort_by_cached_key(|lane| (lane.group, numbered(&lane.name)));
    lanes
}

/// `server-10` comes after `server-9`.
fn numbered(name: &str) -> (String, u64) {
    match name.rsplit_once('-').and_then(|(kind, number)| Some((kind, number.parse().ok()?))) {
        Some((kind, number)) => (kind.to_owned(), number),
        None => (name.to_owned(), 0),
    }
}

/// What is meant by index in the words of a step.
fn numbers(what: &str) -> Vec<&str> {
    what.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).collect()
}

#[derive(Default)]
struct Builder {
    model: Model,
    index: BTreeMap<String, usize>,
    states: BTreeMap<usize, (u64, State)>,
    configurations: BTreeMap<usize, (u64, u64)>,
    /// By gateway, while it is up.
    sets: BTreeMap<usize, BTreeSet<usize>>,
    picked: BTreeMap<usize, (u64, f64)>,
    identities: BTreeMap<String, usize>,
    requests: BTreeMap<u64, usize>,
    /// Faults that last, by their index.
    lasting: Vec<usize>,
}

impl Builder {
    fn add(&mut self, marked: &Marked) {
        let at = marked.at;
        let lane = self.index.get(&marked.node).copied();
        match (&marked.mark, lane) {
            (Mark::State { state }, Some(lane)) => self.state(at, lane, *state),
            (Mark::Bears { identity }, Some(lane)) => {
                self.identities.insert(identity.clone(), lane);
            }
            (Mark::Configuration { number, picks }, Some(lane)) => {
                self.end_configuration(at, lane);
                self.configurations.insert(lane, (at, *number));
                let set = picks.iter().filter_map(|name| self.identities.get(name).or_else(|| self.index.get(name)).copied());
                let set = set.collect();
                self.sets.insert(lane, set);
                self.share(at);
            }
            (Mark::Asked { id, gateway, method, service }, Some(lane)) => {
                let (gateway, method, service) = (self.index.get(gateway).copied(), method.clone(), *service);
                self.requests.insert(*id, self.model.requests.len());
                self.model.requests.push(Request { id: *id, lane, from: at, gateway, method, service, ..Request::default() });
            }
            (Mark::Arrived { id }, Some(lane)) => {
                if let Some(request) = self.request(*id) {
                    request.arrivals.push(Arrival { lane, at, replied: None });
                }
            }
            (Mark::Replied { id }, Some(lane)) => {
                let request = self.request(*id);
                let arrival = request.and_then(|r| r.arrivals.iter_mut().rfind(|a| a.lane == lane && a.replied.is_none()));
                if let Some(arrival) = arrival {
                    arrival.replied = Some(at);
                }
            }
            (Mark::Answered { id, status, reason }, _) => {
                let outcome = if reason.is_some() { Outcome::Invented } else { Outcome::Answered };
                if let Some(request) = self.ended(at, *id, outcome) {
                    (request.status, request.reason) = (Some(*status), reason.clone());
                }
            }
            (Mark::Lost { id }, _) => drop(self.ended(at, *id, Outcome::Lost)),
            (Mark::Aborted { id }, _) => drop(self.ended(at, *id, Outcome::Aborted)),
            (Mark::Fault { fault, phase, what, nodes }, _) => self.fault(at, fault, phase, what, nodes),
            (Mark::Phase { name }, lane) => self.model.phases.push(Happening { at, what: name.to_string(), lane }),
            (Mark::Happens { what }, lane) => self.model.happenings.push(Happening { at, what: what.clone(), lane }),
            (Mark::Violation { .. }, _) => self.model.broken = self.model.broken.or(Some(at)),
            // A node without a lane: nothing that is shown happens on it.
            _ => {}
        }
    }

    fn request(&mut self, id: u64) -> Option<&mut Request> {
        self.requests.get(&id).map(|index| &mut self.model.requests[*index])
    }

    fn ended(&mut self, at: u64, id: u64, outcome: Outcome) -> Option<&mut Request> {
        let request = self.request(id)?;
        (request.to, request.outcome) = (Some(at), outcome);
        Some(request)
    }

    fn state(&mut self, at: u64, lane: usize, state: State) {
        if self.states.get(&lane).is_some_and(|(_, old)| *old == state) {
            return;
        }
        if let Some((from, is)) = self.states.insert(lane, (at, state)) {
            self.model.states.push(Segment { lane, from, to: at, is });
        }
        if matches!(state, State::Ended | State::Dark) {
            self.end_configuration(at, lane);
            if self.sets.remove(&lane).is_some() {
                self.share(at);
            }
        }
    }

    fn end_configuration(&mut self, at: u64, lane: usize) {
        if let Some((from, is)) = self.configurations.remove(&lane) {
            self.model.configurations.push(Segment { lane, from, to: at, is });
        }
    }

    /// The pick sets have changed.
    fn share(&mut self, at: u64) {
        let all = self.sets.len().max(1) as f64;
        for lane in 0..self.model.lanes.len() {
            let by = self.sets.values().filter(|set| set.contains(&lane)).count();
            let share = by as f64 / all;
            let old = self.picked.get(&lane).map_or(0.0, |(_, share)| *share);
            if (share - old).abs() < f64::EPSILON {
                continue;
            }
            self.end_pick(at, lane);
            if by > 0 {
                self.picked.insert(lane, (at, share));
            }
        }
    }

    fn end_pick(&mut self, at: u64, lane: usize) {
        if let Some((from, is)) = self.picked.remove(&lane) {
            self.model.picks.push(Segment { lane, from, to: at, is });
        }
    }

    fn fault(&mut self, at: u64, fault: &'static str, phase: &str, what: &str, nodes: &[String]) {
        let lanes: Vec<_> = nodes.iter().filter_map(|node| self.index.get(node).copied()).collect();
        // The end of a fault is told in other words than its beginning; what it strikes is the same.
        let same = |known: &Fault| {
            known.fault == fault && known.lanes == lanes && (!lanes.is_empty() || numbers(&known.what) == numbers(what))
        };
        match phase {
            "ends" => {
                let place = self.lasting.iter().rposition(|index| same(&self.model.faults[*index]));
                if let Some(place) = place {
                    let index = self.lasting.remove(place);
                    self.model.faults[index].to = at;
                    return;
                }
                // What is mended was not broken.
                self.model.happenings.push(Happening { at, what: what.to_owned(), lane: None });
            }
            phase => {
                let once = phase == "once";
                if !once {
                    self.lasting.push(self.model.faults.len());
                }
                let to = if once { at } else { self.model.end };
                self.model.faults.push(Fault { fault, what: what.to_owned(), from: at, to, once, lanes });
            }
        }
    }

    fn finish(mut self) -> Model {
        let end = self.model.end;
        for (lane, (from, is)) in std::mem::take(&mut self.states) {
            self.model.states.push(Segment { lane, from, to: end, is });
        }
        for lane in 0..self.model.lanes.len() {
            self.end_configuration(end, lane);
            self.end_pick(end, lane);
        }
        self.model
    }
}
