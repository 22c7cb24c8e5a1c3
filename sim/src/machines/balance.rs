//! Machine `balance`: picks of all strategies among servers that come, go, fail, drain and change their weights; sticky cookies.
//!
//! The model knows who may be picked and how the share of each is reckoned; it never knows who will be. Shares of what is drawn at random
//! (`p2c`, `hrw`) are judged once a seed, six deviations off: a false alarm in 5·10⁸ judgements. Those of `wrr` are held to its exact bound.

mod cookies;
mod share;

use super::{Judge, Machine, Mix};
use crate::{
    chance::{Chance, mix},
    oracle::{Oracle, Verdict},
};
use cookies::{Cookies, Forgery};
use fairlead_core::{
    Name,
    balance::{Balancer, Key, Pick},
    config::dynamic::{LoadBalancer, Server, ServerUrl, Strategy, UpstreamScheme},
    endpoint::{Life, Standing},
};
use share::Share;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// Servers that a seed has to do with, configured or not.
const POOL: usize = 10;
/// Clients that come again and again.
const REGULARS: u64 = 6;
const STRATEGIES: [Strategy; 4] = [Strategy::Wrr, Strategy::P2c, Strategy::LeastConn, Strategy::Hrw];

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    strategy: Strategy,
    /// Weights are drawn up to this.
    heaviest: u32,
    /// Per hundred: how many requests are over before the next.
    brief: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A request of this client that has failed on these servers. It stays in flight, or is over at once.
    Request { client: u64, random: u64, tried: u16, stays: bool },
    /// One of the requests in flight ends.
    End { which: u64 },
    /// A server of the pool changes.
    Turn { server: usize, to: Fitness },
    /// So many requests, one after the other, while nothing else happens.
    Quiet { requests: u32, random: u64 },
    /// So many requests that all stay, on servers that had none.
    Crowd { requests: u32, random: u64 },
    /// Another configuration: these of the pool, in this order, with these weights.
    Configure { present: u16, order: u64, weights: [u32; POOL] },
    /// The configuration of before, with another strategy.
    Strategy(Strategy),
    /// A request with a cookie: of this server, altered like this.
    Cookie { server: usize, forgery: Forgery, random: u64 },
}

/// What a server is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Healthy,
    Ejected,
    Draining,
    Down,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Its place in the pool.
    id: usize,
    weight: u32,
}

pub(super) struct Balance {
    balancer: Balancer,
    service: LoadBalancer,
    cookies: Cookies,
    seats: Vec<Seat>,
    fitness: [Fitness; POOL],
    in_flight: [u32; POOL],
    /// The servers of requests in flight.
    requests: Vec<usize>,
    /// Turns since each was picked, while it could have been at each of them.
    waited: [u32; POOL],
    /// `hrw`: who was preferred to whom by a regular client.
    preferred: BTreeMap<u64, BTreeSet<((usize, u32), (usize, u32))>>,
    shares: [Share; POOL],
}

impl Machine for Balance {
    const NAME: &'static str = "balance";
    const ABOUT: &'static str = "picks among servers that come, go, fail and drain; sticky cookies";
    const TRANSITIONS: &'static [&'static str] = &[
        "picked",
        "nobody is left",
        "only ejected servers are left",
        "all were tried",
        "configured anew",
        "removed with requests in flight",
        "equal weights",
        "different weights",
        "no servers",
        "quiet window",
        "crowd",
        "cookie leads to its server",
        "cookie leads to a draining server",
        "cookie of a server that is out",
        "forged cookie",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        Knobs {
            mix: Mix::draw(chance, 8, 2).rarer(3, 8).rarer(4, 8).rarer(5, 3).rarer(6, 20),
            strategy: chance.pick(&STRATEGIES),
            heaviest: chance.pick(&[1, 1, 3, 10, 1_000]),
            brief: chance.pick(&[0, 50, 90, 100]),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        use Fitness::{Down, Draining, Ejected, Healthy};
        match knobs.mix.pick(chance) {
            0 => Op::Request {
                client: chance.within(0, REGULARS - 1),
                random: chance.draw(),
                tried: if chance.percent(15) { chance.draw() as u16 } else { 0 },
                stays: !chance.percent(knobs.brief),
            },
            1 => Op::End { which: chance.draw() },
            2 => Op::Turn {
                server: chance.count(0, POOL - 1),
                to: chance.pick(&[Healthy, Healthy, Healthy, Ejected, Draining, Down]),
            },
            3 => Op::Quiet { requests: chance.magnitude(10, 300) as u32, random: chance.draw() },
            4 => Op::Crowd { requests: chance.magnitude(10, 300) as u32, random: chance.draw() },
            5 => Op::Configure {
                present: chance.draw() as u16,
                order: if chance.percent(50) { 0 } else { chance.draw() },
                weights: std::array::from_fn(|_| {
                    let least = u64::from(!chance.percent(8));
                    chance.within(least, knobs.heaviest.into()) as u32
                }),
            },
            6 => Op::Strategy(chance.pick(&STRATEGIES)),
            _ => Op::Cookie { server: chance.count(0, POOL - 1), forgery: Forgery::draw(chance), random: chance.draw() },
        }
    }

    fn new(knobs: &Knobs) -> Self {
        let mut service = LoadBalancer::new(Name::whole("default@internal"));
        service.strategy = knobs.strategy;
        let mut new = Self {
            balancer: Balancer::new(&service),
            service,
            cookies: Cookies::new((0..POOL).map(url).collect()),
            seats: Vec::new(),
            fitness: [Fitness::Healthy; POOL],
            in_flight: [0; POOL],
            requests: Vec::new(),
            waited: [0; POOL],
            preferred: BTreeMap::new(),
            shares: Default::default(),
        };
        new.configure((0..3).map(|id| Seat { id, weight: 1 }).collect());
        new
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        match op {
            Op::Request { client, random, tried, stays } => {
                let picked = self.pick(*client, *random, *tried, None, judge)?;
                if let (Some(id), true) = (picked, *stays) {
                    self.enter(id);
                }
                Ok(())
            }
            Op::End { which } => {
                if !self.requests.is_empty() {
                    let id = self.requests.swap_remove(*which as usize % self.requests.len());
                    self.in_flight[id] -= 1;
                }
                Ok(())
            }
            Op::Turn { server, to } => {
                self.fitness[*server] = *to;
                Ok(())
            }
            Op::Quiet { requests, random } => self.quiet(*requests, *random, judge),
            Op::Crowd { requests, random } => self.crowd(*requests, *random, judge),
            Op::Configure { present, order, weights } => {
                let mut seats: Vec<Seat> =
                    (0..POOL).filter(|id| present >> id & 1 == 1).map(|id| Seat { id, weight: weights[id] }).collect();
                if *order > 0 {
                    seats.sort_by_key(|seat| mix(order ^ seat.id as u64));
                }
                if self.requests.iter().any(|id| !seats.iter().any(|seat| seat.id == *id)) {
                    judge.moved("removed with requests in flight")?;
                }
                self.configure(seats);
                judge.moved("configured anew")?;
                let mut above = self.seats.iter().map(|seat| seat.weight).filter(|weight| *weight > 0);
                judge.moved(match above.next() {
                    None => "no servers",
                    Some(first) if above.all(|weight| weight == first) => "equal weights",
                    Some(_) => "different weights",
                })
            }
            Op::Strategy(strategy) => {
                self.service.strategy = *strategy;
                self.configure(self.seats.clone());
                Ok(())
            }
            Op::Cookie { server, forgery, random } => self.cookie(*server, *forgery, *random, judge),
        }
    }

    fn end(&mut self, judge: &mut Judge) -> Verdict {
        for (id, share) in self.shares.iter().enumerate() {
            judge.holds(Oracle::Weights, share.is_likely(), || format!("server {id} was picked {share}"))?;
        }
        Ok(())
    }
}

impl Balance {
    fn configure(&mut self, seats: Vec<Seat>) {
        self.service.servers = seats.iter().map(|seat| server(seat.id, seat.weight)).collect();
        self.balancer.update(&self.service);
        self.cookies.configure(seats.iter().map(|seat| seat.id).collect());
        self.seats = seats;
        self.waited = [0; POOL];
    }

    fn enter(&mut self, id: usize) {
        self.requests.push(id);
        self.in_flight[id] += 1;
    }

    fn standing(&self, seat: usize) -> Standing {
        let fitness = self.fitness[self.seats[seat].id];
        Standing {
            life: if fitness == Fitness::Draining { Life::Draining } else { Life::Active },
            reachable: true,
            probe_up: fitness != Fitness::Down,
            ejected: fitness == Fitness::Ejected,
        }
    }

    /// The places of seats from which one must come: those that are well before those that are ejected, and of either those that were not
    /// tried before those that were.
    fn rightful(&self, tried: u16) -> Vec<usize> {
        let fit = |fitness: Fitness| {
            let places = 0..self.seats.len();
            move |fresh: bool| -> Vec<usize> {
                let admitted = |at: &usize| {
                    let Seat { id, weight } = self.seats[*at];
                    weight > 0 && self.fitness[id] == fitness && !(fresh && tried >> id & 1 == 1)
                };
                places.clone().filter(admitted).collect()
            }
        };
        let choices = [
            fit(Fitness::Healthy)(true),
            fit(Fitness::Healthy)(false),
            fit(Fitness::Ejected)(true),
            fit(Fitness::Ejected)(false),
        ];
        choices.into_iter().find(|seats| !seats.is_empty()).unwrap_or_default()
    }

    /// Picks as a backend does, and judges it: the server's place in the pool. `in_flight`: instead of what there is.
    fn pick(
        &mut self,
        client: u64,
        random: u64,
        tried: u16,
        in_flight: Option<&[u32; POOL]>,
        judge: &mut Judge,
    ) -> Result<Option<usize>, crate::oracle::Violation> {
        let rightful = self.rightful(tried);
        let standings: Vec<Standing> = (0..self.seats.len()).map(|seat| self.standing(seat)).collect();
        let busy = |seat: usize| in_flight.unwrap_or(&self.in_flight)[self.seats[seat].id];
        let gone: Vec<usize> = (0..self.seats.len()).filter(|seat| tried >> self.seats[*seat].id & 1 == 1).collect();
        let balancer = &mut self.balancer;
        let mut among = |usable: &dyn Fn(usize) -> bool| {
            balancer.pick(&Pick { usable, in_flight: &busy, tried: &gone, random, key: key(client) })
        };
        let picked = among(&|seat| standings[seat].takes_new())
            .or_else(|| among(&|seat| Standing { ejected: false, ..standings[seat] }.takes_new()));
        judge.notes(picked.map_or(u64::MAX, |seat| seat as u64));
        let name = |seat: usize| self.seats[seat].id;
        judge.holds(Oracle::Weights, picked.is_some() != rightful.is_empty(), || {
            format!("{picked:?} was picked, and any of {rightful:?} could be")
        })?;
        let Some(seat) = picked else {
            judge.moved("nobody is left")?;
            return Ok(None);
        };
        judge.holds(Oracle::Weights, rightful.contains(&seat), || {
            let (id, fitness) = (name(seat), self.fitness[name(seat)]);
            let others: Vec<_> = rightful.iter().map(|seat| name(*seat)).collect();
            format!("server {id} ({fitness:?}, weight {}) was picked; there are {others:?}", self.seats[seat].weight)
        })?;
        judge.moved("picked")?;
        if gone.contains(&seat) {
            judge.moved("all were tried")?;
        }
        if self.fitness[name(seat)] == Fitness::Ejected {
            judge.moved("only ejected servers are left")?;
        }
        match self.service.strategy {
            Strategy::LeastConn => {
                // Compared as fractions: requests with this one, by weight.
                let load = |at: usize| (u64::from(busy(at)) + 1, u64::from(self.seats[at].weight));
                let (mine, weight) = load(seat);
                let lighter = rightful.iter().find(|other| load(**other).0 * weight < mine * load(**other).1);
                judge.holds(Oracle::Weights, lighter.is_none(), || {
                    format!(
                        "server {} has {} for its weight of {weight}, and {:?} has less",
                        name(seat),
                        mine - 1,
                        lighter.map(|s| name(*s))
                    )
                })?;
            }
            Strategy::P2c => {
                let beaten = rightful.len() < 2 || rightful.iter().any(|other| *other != seat && busy(*other) >= busy(seat));
                judge.holds(Oracle::Weights, beaten, || format!("server {} is busier than every other one", name(seat)))?;
            }
            Strategy::Hrw if client < REGULARS => self.prefers(client, seat, &rightful, judge)?,
            Strategy::Hrw => {}
            Strategy::Wrr => self.waits(seat, &rightful, judge)?,
        }
        Ok(Some(self.seats[seat].id))
    }

    /// A client that preferred one server to another does so for ever, as long as their weights stay.
    fn prefers(&mut self, client: u64, seat: usize, rightful: &[usize], judge: &mut Judge) -> Verdict {
        let identity = |at: usize| (self.seats[at].id, self.seats[at].weight);
        let known = self.preferred.entry(client).or_default();
        for other in rightful.iter().filter(|other| **other != seat) {
            let now = (identity(seat), identity(*other));
            let before = known.contains(&(now.1, now.0));
            judge.holds(Oracle::Weights, !before, || {
                format!("client {client} left server {} (weight {}) for {:?} without need", now.1.0, now.1.1, now.0)
            })?;
            known.insert(now);
        }
        Ok(())
    }

    /// Who could have had each of the last turns gets one before everybody else has had theirs.
    fn waits(&mut self, seat: usize, rightful: &[usize], judge: &mut Judge) -> Verdict {
        let total: u64 = self.seats.iter().map(|seat| u64::from(seat.weight)).sum();
        for (at, Seat { id, weight }) in self.seats.iter().enumerate() {
            let waited = &mut self.waited[*id];
            *waited = if at != seat && rightful.contains(&at) { *waited + 1 } else { 0 };
            let bound = total.div_ceil(u64::from(*weight).max(1)) + self.seats.len() as u64;
            judge.holds(Oracle::Weights, u64::from(*waited) <= bound, || {
                format!("server {id} of weight {weight} (all: {total}) has waited for {waited} turns")
            })?;
        }
        Ok(())
    }

    fn quiet(&mut self, requests: u32, random: u64, judge: &mut Judge) -> Verdict {
        let rightful = self.rightful(0);
        if rightful.is_empty() {
            return Ok(());
        }
        judge.moved("quiet window")?;
        let mut counts = [0_u32; POOL];
        for n in 0..requests {
            let random = mix(random.wrapping_add(n.into()));
            if let Some(id) = self.pick(REGULARS + (random >> 40), random, 0, Some(&[0; POOL]), judge)? {
                counts[id] += 1;
            }
        }
        let weights: u64 = rightful.iter().map(|seat| u64::from(self.seats[*seat].weight)).sum();
        let heaviest = rightful.iter().map(|seat| self.seats[*seat].weight).max().unwrap_or_default();
        let idle_first = rightful.iter().filter(|seat| self.seats[**seat].weight == heaviest).count();
        for Seat { id, weight } in rightful.iter().map(|seat| self.seats[*seat]) {
            let count = counts[id];
            let (part, slack) = match self.service.strategy {
                Strategy::P2c => {
                    self.shares[id].add(count, requests, 1.0 / rightful.len() as f64);
                    continue;
                }
                Strategy::Hrw => {
                    self.shares[id].add(count, requests, f64::from(weight) / weights as f64);
                    continue;
                }
                // Each server is at most one turn of its own off, and so the length of the window is by one turn of each.
                Strategy::Wrr => (f64::from(weight) / weights as f64, rightful.len() as f64 + 1.0),
                Strategy::LeastConn if weight == heaviest => (1.0 / idle_first as f64, 1.0),
                Strategy::LeastConn => (0.0, 0.0),
            };
            let expected = f64::from(requests) * part;
            judge.holds(Oracle::Weights, (f64::from(count) - expected).abs() <= slack + 1e-6, || {
                format!("server {id} of weight {weight} had {count} of {requests} requests, and {expected:.1} are its share")
            })?;
        }
        Ok(())
    }

    fn crowd(&mut self, requests: u32, random: u64, judge: &mut Judge) -> Verdict {
        let rightful = self.rightful(0);
        if rightful.len() < 2 {
            return Ok(());
        }
        judge.moved("crowd")?;
        let mut busy = [0_u32; POOL];
        for n in 0..requests {
            let random = mix(random.wrapping_add(n.into()));
            if let Some(id) = self.pick(REGULARS + (random >> 40), random, 0, Some(&busy), judge)? {
                busy[id] += 1;
            }
        }
        if self.service.strategy == Strategy::P2c {
            // Two choices keep the most and the least within log log n on one side and log n on the other; this is far outside of both.
            let loads = || rightful.iter().map(|seat| busy[self.seats[*seat].id]);
            let spread = loads().max().unwrap_or_default() - loads().min().unwrap_or_default();
            judge.holds(Oracle::Weights, spread <= 24, || {
                format!("a crowd of {requests} stands {:?}", loads().collect::<Vec<_>>())
            })?;
        }
        Ok(())
    }

    fn cookie(&mut self, id: usize, forgery: Forgery, random: u64, judge: &mut Judge) -> Verdict {
        let standings: Vec<Standing> = (0..self.seats.len()).map(|seat| self.standing(seat)).collect();
        let Some((line, honest)) = self.cookies.line(id, forgery, random) else { return Ok(()) };
        let found = self.cookies.find(&line, &|seat| standings[seat].serves_sessions());
        let place = self.seats.iter().position(|seat| seat.id == id);
        let serves = matches!(self.fitness[id], Fitness::Healthy | Fitness::Draining);
        let expected = place.filter(|_| honest && serves);
        judge.moved(match (expected, honest) {
            (Some(_), _) if self.fitness[id] == Fitness::Draining => "cookie leads to a draining server",
            (Some(_), _) => "cookie leads to its server",
            (None, true) => "cookie of a server that is out",
            (None, false) => "forged cookie",
        })?;
        judge.notes(found.map_or(u64::MAX, |seat| seat as u64));
        judge.holds(Oracle::Sticky, found == expected, || {
            format!("`Cookie: {line}` leads to seat {found:?}, and {expected:?} is right: server {id} is {:?}", self.fitness[id])
        })
    }
}

fn key(client: u64) -> Key {
    IpAddr::from(Ipv4Addr::from_bits(client as u32)).into()
}

fn url(id: usize) -> String {
    format!("http://10.0.0.{id}:8080")
}

fn server(id: usize, weight: u32) -> Server {
    let host = format!("10.0.0.{id}");
    Server::new(
        ServerUrl { scheme: UpstreamScheme::Http, host: host.into(), port: 8080, path: String::new(), text: url(id).into() },
        weight,
    )
}
