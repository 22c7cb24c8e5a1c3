//! Machine `health`: the servers of one service, each with its life, its probes and its record, put together as a backend does.
//!
//! Three models beside three machines: lives by their declared diagram, probes by the last results in a row, records by all outcomes since
//! the server came back. What holds of all of them: the last server is never ejected, what is withdrawn gets nothing new and loses nothing
//! before its time, and every ejection and every drain ends.

mod life;
mod probes;
mod record;

use super::{Judge, Machine, Mix};
use crate::{
    chance::Chance,
    oracle::{Oracle, Verdict},
};
use fairlead_core::{
    endpoint::{Event, Life, PanicFloor, Standing},
    outlier::{Outcome, OutlierPolicy},
};
use life::Server;
use probes::{Probes, Timing};
use record::Record;
use std::time::Duration;

const SERVERS: usize = 5;

#[derive(Clone, Debug)]
pub(super) struct Knobs {
    mix: Mix,
    servers: usize,
    policy: OutlierPolicy,
    timing: Timing,
    floor: u8,
    /// Per hundred: how many outcomes are failures, and how many of the others are errors of the server.
    failures: u64,
    errors: u64,
    longest_pause: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// A request goes to one of the servers that may get it.
    Request {
        which: u64,
    },
    /// A request of this server ends.
    Ends {
        server: usize,
        outcome: Outcome,
    },
    /// So many requests to one server, one after the other, that go alike.
    Burst {
        server: usize,
        outcome: Outcome,
        times: u64,
    },
    Probe {
        server: usize,
        passes: bool,
        random: u64,
    },
    /// Milliseconds pass; timers that come due are served at the end of them.
    Pass(u64),
    Withdraw {
        server: usize,
        keeps_sessions: bool,
        grace: u64,
    },
    Announce {
        server: usize,
    },
    /// What is not there yet is; what is gone comes again, as another one.
    Ready {
        server: usize,
    },
    /// A timer that nobody set.
    StrayTick {
        server: usize,
    },
    /// The service's rule for ejection changes.
    Policy(OutlierPolicy),
    /// Its probes change.
    Timing {
        timing: Timing,
        random: u64,
    },
}

pub(super) struct Health {
    now: Duration,
    floor: PanicFloor,
    policy: OutlierPolicy,
    timing: Timing,
    servers: Vec<(Server, Probes, Record)>,
}

fn policy(chance: &mut Chance) -> OutlierPolicy {
    let base = Duration::from_millis(chance.magnitude(1, 10_000));
    match chance.percent(70) {
        true if chance.percent(30) => OutlierPolicy::default(),
        true => OutlierPolicy::Adaptive {
            consecutive: chance.magnitude(1, 10) as u32,
            window: Duration::from_millis(chance.magnitude(10, 60_000)),
            min_requests: chance.magnitude(1, 50) as u32,
            min_success_percent: chance.pick(&[0, 50, 90]),
            base,
            max: base * chance.magnitude(1, 64) as u32,
        },
        false => OutlierPolicy::Traefik {
            window: base,
            max_failed_attempts: chance.magnitude(1, 10) as u32,
            restored_by_probe: chance.percent(40),
        },
    }
}

impl Machine for Health {
    const NAME: &'static str = "health";
    const ABOUT: &'static str = "lives of servers, probes, ejections, probation";
    const TRANSITIONS: &'static [&'static str] = &[
        "joining→active",
        "joining→gone",
        "active→draining",
        "active→gone",
        "draining→active",
        "draining→gone, idle",
        "draining→gone at the deadline",
        "up→down",
        "down→up",
        "clear→ejected",
        "ejected→probation",
        "ejected→clear",
        "ejected→clear by a probe",
        "probation→ejected",
        "probation→clear",
        "ejections are forgotten",
        "the floor forbids an ejection",
        "ejections are ignored",
        "nobody is left",
        "idle, and kept for sessions",
    ];
    type Knobs = Knobs;
    type Op = Op;

    fn knobs(chance: &mut Chance) -> Knobs {
        Knobs {
            mix: Mix::draw(chance, 11, 3).rarer(9, 30).rarer(10, 30),
            servers: chance.count(1, SERVERS),
            policy: policy(chance),
            timing: Timing::draw(chance),
            floor: chance.pick(&[70, 70, 70, 50, 100, 10]),
            failures: chance.pick(&[2, 20, 50, 90]),
            errors: chance.pick(&[0, 20]),
            longest_pause: chance.magnitude(10, 300_000),
        }
    }

    fn draw(knobs: &Knobs, chance: &mut Chance) -> Op {
        let server = chance.count(0, knobs.servers - 1);
        let outcome = |chance: &mut Chance| match chance.percent(knobs.failures) {
            true => Outcome::Failure,
            false if chance.percent(knobs.errors) => Outcome::ServerError,
            false => Outcome::Success,
        };
        match knobs.mix.pick(chance) {
            0 => Op::Request { which: chance.draw() },
            1 => Op::Ends { server, outcome: outcome(chance) },
            2 => Op::Pass(chance.magnitude(1, knobs.longest_pause)),
            3 => Op::Burst { server, outcome: outcome(chance), times: chance.magnitude(1, 40) },
            4 => Op::Probe { server, passes: !chance.percent(knobs.failures), random: chance.draw() },
            5 => Op::Withdraw {
                server,
                keeps_sessions: chance.percent(30),
                grace: if chance.percent(10) { 0 } else { chance.magnitude(1, 60_000) },
            },
            6 => Op::Announce { server },
            7 => Op::Ready { server },
            8 => Op::StrayTick { server },
            9 => Op::Policy(policy(chance)),
            _ => Op::Timing { timing: Timing::draw(chance), random: chance.draw() },
        }
    }

    fn new(knobs: &Knobs) -> Self {
        let now = Duration::from_secs(1_000);
        let server = |_| (Server::new(), Probes::new(knobs.timing, now, 0), Record::new(knobs.policy.clone()));
        Self {
            now,
            floor: PanicFloor { max_ejected_percent: knobs.floor },
            policy: knobs.policy.clone(),
            timing: knobs.timing,
            servers: (0..knobs.servers).map(server).collect(),
        }
    }

    fn step(&mut self, op: &Op, judge: &mut Judge) -> Verdict {
        let now = self.now;
        match op {
            Op::Request { which } => self.request(*which, judge)?,
            Op::Ends { server: at, outcome } => {
                let at = *at;
                let server = &mut self.servers[at].0;
                if server.in_flight == 0 {
                    return Ok(());
                }
                server.in_flight -= 1;
                if server.in_flight == 0 && server.life() == Life::Draining {
                    server.handle(now, Event::Idle, judge)?;
                }
                self.observe(at, *outcome, judge)?;
            }
            Op::Burst { server, outcome, times } => (0..*times).try_for_each(|_| self.observe(*server, *outcome, judge))?,
            Op::Probe { server, passes, random } => {
                let (_, probes, record) = &mut self.servers[*server];
                probes.probed(now, *passes, *random, judge)?;
                if probes.is_up() {
                    record.restore(now, judge)?;
                }
            }
            Op::Pass(millis) => {
                self.now += Duration::from_millis(*millis);
                for (server, _, record) in &mut self.servers {
                    server.pass(self.now, judge)?;
                    record.tick(self.now, judge)?;
                }
            }
            Op::Withdraw { server, keeps_sessions, grace } => {
                let server = &mut self.servers[*server].0;
                let (in_flight, grace) = (server.in_flight, Duration::from_millis(*grace));
                server.handle(now, Event::Withdrawn { in_flight, keeps_sessions: *keeps_sessions, grace }, judge)?;
            }
            Op::Announce { server } => self.servers[*server].0.handle(now, Event::Announced, judge)?,
            Op::Ready { server } => {
                if self.servers[*server].0.life() == Life::Gone {
                    let fresh = (Server::new(), Probes::new(self.timing, now, 0), Record::new(self.policy.clone()));
                    self.servers[*server] = fresh;
                }
                self.servers[*server].0.handle(now, Event::Ready, judge)?;
            }
            Op::StrayTick { server } => self.servers[*server].0.handle(now, Event::Tick, judge)?,
            Op::Policy(policy) => {
                self.policy = policy.clone();
                self.servers.iter_mut().for_each(|(_, _, record)| record.update(policy.clone()));
            }
            Op::Timing { timing, random } => {
                self.timing = *timing;
                self.servers.iter_mut().try_for_each(|(_, probes, _)| probes.update(*timing, now, *random, judge))?;
            }
        }
        self.floor_holds(judge)
    }
}

impl Health {
    fn standings(&self) -> Vec<Standing> {
        let standing = |(server, probes, record): &(Server, Probes, Record)| Standing {
            life: server.life(),
            reachable: true,
            probe_up: probes.is_up(),
            ejected: record.is_ejected(),
        };
        self.servers.iter().map(standing).collect()
    }

    /// What the models say: active and up, and whether ejected besides.
    fn candidates(&self) -> Vec<(usize, bool)> {
        let candidate = |(at, (server, probes, record)): (usize, &(Server, Probes, Record))| {
            (server.model == Life::Active && probes.model_up()).then(|| (at, record.model_ejected()))
        };
        self.servers.iter().enumerate().filter_map(candidate).collect()
    }

    fn request(&mut self, which: u64, judge: &mut Judge) -> Verdict {
        let usable: Vec<usize> =
            self.floor.usable(&self.standings()).iter().enumerate().filter(|(_, usable)| **usable).map(|(at, _)| at).collect();
        if usable.is_empty() {
            return judge.moved("nobody is left");
        }
        let at = usable[which as usize % usable.len()];
        judge.notes(at as u64);
        let server = &mut self.servers[at].0;
        server.in_flight += 1;
        judge.holds(Oracle::Drain, server.model == Life::Active, || {
            format!("server {at} gets a request and is {:?}", server.model)
        })
    }

    /// As a backend tells of an outcome.
    fn observe(&mut self, at: usize, outcome: Outcome, judge: &mut Judge) -> Verdict {
        let standings = self.standings();
        let would = |standing: &&Standing| Standing { ejected: false, ..**standing }.takes_new();
        let candidates = standings.iter().filter(would).count();
        let ejected = standings.iter().filter(would).filter(|standing| standing.ejected).count();
        let may_eject = self.floor.allows_ejection(candidates, ejected);
        let was_ejected = self.servers[at].2.is_ejected();
        self.servers[at].2.observe(self.now, outcome, may_eject, judge)?;
        if self.servers[at].2.is_ejected() && !was_ejected {
            let candidates = self.candidates();
            let left = candidates.iter().filter(|(_, ejected)| !ejected).count();
            judge.holds(Oracle::Legality, left > 0 || candidates.is_empty(), || {
                format!("server {at} was ejected, and none is left")
            })?;
            let out = candidates.len() - left;
            let most = usize::from(self.floor.max_ejected_percent);
            judge.holds(Oracle::Legality, out * 100 <= candidates.len() * most, || {
                format!("{out} of {} servers are ejected, and at most {most}% may be", candidates.len())
            })?;
        }
        Ok(())
    }

    /// Who may get a request, by the words at the floor: those that are active and up, but the ejected, unless too many are.
    fn floor_holds(&self, judge: &mut Judge) -> Verdict {
        let candidates = self.candidates();
        let ejected = candidates.iter().filter(|(_, ejected)| *ejected).count();
        let too_many =
            ejected == candidates.len() || ejected * 100 > candidates.len() * usize::from(self.floor.max_ejected_percent);
        if ejected > 0 && too_many {
            judge.moved("ejections are ignored")?;
        }
        let right = |at: usize| candidates.iter().any(|(candidate, ejected)| *candidate == at && (!ejected || too_many));
        let usable = self.floor.usable(&self.standings());
        let wrong = usable.iter().enumerate().find(|(at, usable)| right(*at) != **usable);
        judge.holds(Oracle::Legality, wrong.is_none(), || format!("usable are {usable:?}; active, up, ejected: {candidates:?}"))
    }
}
