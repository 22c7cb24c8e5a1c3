//! The judge of shares (O8): in quiet times every server of a service gets its share of the requests.
//!
//! Model: the services of worlds take turns (`wrr`), and a gateway has one rotation for each, whichever worker picks. A window is a time in
//! which the rotation can be followed: one snapshot is in force, all servers of the service have been well and reachable since before it,
//! the gateway passes over none of them, and nothing makes it ask a second one. Then any run of turns is a piece of the rotation:
//!
//! - Of equal weights, no server has two turns more than another.
//! - Of others, a server of weight w in W has n·w/W of n turns, more or less 1 + (k − 2)·w/W where there are k servers: in any span of the
//!   wheel's time each server has one turn more or less than it should, and so the length of the span is known by the turns of all.
//!
//! A request's first arrival is its turn. What cannot be seen is granted to whichever server lacks it: turns of requests that are under way,
//! and of those that began before the window. Where no request is under way, the rule is exact.
//!
//! Never judged, and why: what is written key by key, until it stands whole; worlds with sticky cookies, whose holders take no turn;
//! worlds in which a connection may take longer than the gateway's shortest patience, after which it asks another server as well; services
//! with a server that was ever cut off or lost, whose kernels repeat for minutes what nobody waits for.

use super::{Judge, Oracle, UNDER_WAY, Verdict, broken};
use crate::plan::Plan;
use fairlead_core::race;
use std::collections::{BTreeMap, BTreeSet};

/// Turns that a request may take in a window: its own, a retry's, and one more in which the server that failed it is passed over.
const TURNS: u64 = 3;
/// The same for one that began in less quiet times: it may be racing.
const LOOSE: u64 = TURNS + race::RUNNERS as u64;
/// After a disturbance it takes so long until nobody waits for what came of it, suspicion included.
const CALM: u64 = 2_000;
/// Of the shortest patience, what goes by between a packet's arrival and the gateway's look at it.
const MARGIN: u64 = 2_000;

/// What the judge of a gateway knows of rotations.
pub(super) struct Shares {
    /// Whether this world's can be followed at all.
    judged: bool,
    services: Vec<Turns>,
    /// What makes connections take longer than usual at present.
    hurries: BTreeSet<String>,
    hurried_at: Option<u64>,
}

/// Of one service.
#[derive(Default)]
pub(super) struct Turns {
    open: BTreeMap<u64, Open>,
    /// Requests of which nobody knows whether they will take a turn, or have: until when.
    loose: Vec<u64>,
    window: Option<Window>,
    /// The gateway passes over no server.
    all_picked: bool,
}

/// A request that is under way.
struct Open {
    /// It began in the present window.
    within: bool,
    arrivals: u64,
}

struct Window {
    since: u64,
    /// Turns that somebody may have had without being seen.
    unsure: u64,
    /// By server.
    had: BTreeMap<usize, u64>,
}

impl Shares {
    pub(super) fn new(plan: &Plan) -> Self {
        let there_and_back = 2 * plan.network.latency.1 + MARGIN;
        Self {
            judged: !plan.gateway.sticky && u128::from(there_and_back) < race::SHORTEST.as_micros(),
            services: (0..plan.services).map(|_| Turns::default()).collect(),
            hurries: BTreeSet::new(),
            hurried_at: None,
        }
    }

    /// All windows end.
    pub(super) fn begin_anew(&mut self) {
        self.services.iter_mut().for_each(|turns| turns.window = None);
    }

    fn are_calm_since(&self, then: u64) -> bool {
        self.judged && self.hurries.is_empty() && self.hurried_at.is_none_or(|at| at + CALM < then)
    }
}

impl Turns {
    fn asked(&mut self, now: u64, id: u64, is_quiet: bool) {
        self.loose.retain(|until| now <= *until);
        let rests = self.open.is_empty() && self.loose.is_empty();
        if !is_quiet {
            self.window = None;
        } else if self.window.as_ref().is_none_or(|window| window.unsure > 0 && rests) {
            self.open.values_mut().for_each(|open| open.within = false);
            let unsure = LOOSE * (self.open.len() + self.loose.len()) as u64;
            self.window = Some(Window { since: now, unsure, had: BTreeMap::new() });
        }
        self.open.insert(id, Open { within: self.window.is_some(), arrivals: 0 });
    }

    fn arrived(&mut self, server: usize, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.arrivals += 1;
        if open.arrivals > 1 {
            // Something failed, and whoever failed may be passed over.
            self.window = None;
        } else if let Some(window) = self.window.as_mut().filter(|_| open.within) {
            *window.had.entry(server).or_default() += 1;
        }
    }

    fn ended(&mut self, id: u64, well: bool) {
        let Some(open) = self.open.remove(&id) else { return };
        if !well || open.arrivals != 1 {
            self.window = None;
        }
    }

    /// A request has ended for its client, and perhaps not for the gateway.
    fn unsure(&mut self, now: u64, id: u64) {
        let Some(open) = self.open.remove(&id) else { return };
        self.loose.push(now + UNDER_WAY);
        if let Some(window) = self.window.as_mut().filter(|_| open.within) {
            window.unsure += LOOSE;
        }
    }

    /// Turns that may have been taken and not been seen.
    fn unseen(&self, window: &Window) -> u64 {
        let left = |open: &Open| TURNS.saturating_sub(open.arrivals);
        window.unsure + self.open.values().filter(|open| open.within).map(left).sum::<u64>()
    }
}

impl Judge {
    /// Whether the gateway passes over no server of a service. Asked only where it matters.
    pub fn picks(&mut self, service: usize, all: impl FnOnce() -> bool) {
        if self.shares.judged {
            self.shares.services[service].all_picked = all();
        }
    }

    /// Something makes connections take longer than usual, or no longer.
    pub fn hurried(&mut self, now: u64, why: &str, present: bool) {
        let hurries = &mut self.shares.hurries;
        let changed = if present { hurries.insert(why.to_owned()) } else { hurries.remove(why) };
        if changed {
            self.shares.hurried_at = Some(now);
        }
    }

    pub(super) fn may_take_a_turn(&mut self, now: u64, id: u64, service: usize) {
        let is_quiet = self.is_quiet_since(service, now);
        self.shares.services[service].asked(now, id, is_quiet);
    }

    pub(super) fn turn_is_unsure(&mut self, now: u64, id: u64) {
        if let Some(request) = self.requests.get(&id) {
            self.shares.services[request.service].unsure(now, id);
        }
    }

    /// A request is with a server.
    pub(super) fn takes_a_turn(&mut self, now: u64, server: usize, id: u64) -> Verdict {
        let service = self.servers[server].service;
        self.shares.services[service].arrived(server, id);
        self.turns_are_right(now, service)
    }

    /// A request has ended; `well`: by a server's answer. Now it is known which turns it took.
    pub(super) fn took_its_turn(&mut self, now: u64, id: u64, service: usize, well: bool) -> Verdict {
        self.shares.services[service].ended(id, well);
        self.turns_are_right(now, service)
    }

    fn turns_are_right(&mut self, now: u64, service: usize) -> Verdict {
        let Some(since) = self.shares.services[service].window.as_ref().map(|window| window.since) else { return Ok(()) };
        if !self.is_quiet_since(service, since) {
            self.shares.services[service].window = None;
            return Ok(());
        }
        let seats: Vec<_> =
            self.services[service].published.iter().flatten().map(|server| (*server, self.servers[*server].weight)).collect();
        let turns = &self.shares.services[service];
        let Some(window) = &turns.window else { return Ok(()) };
        let unseen = turns.unseen(window);
        let all = window.had.values().sum();
        if breach(&seats, &BTreeMap::from([(seats[0].0, all)]), unseen).is_none() {
            // Whatever became of so few, it would be right.
            return Ok(());
        }
        self.counts.judges(now, Oracle::Weights);
        let Some(how) = breach(&seats, &window.had, unseen) else { return Ok(()) };
        let detail = format!(
            "s{service} had {all} requests in {} quiet ms, its servers {:?}: {how}; {unseen} turns may not have been seen",
            now - since,
            window.had
        );
        broken(Oracle::Weights, detail)
    }

    /// Whether the rotation of a service can be followed since then.
    fn is_quiet_since(&self, service: usize, then: u64) -> bool {
        // A mixture may have a server twice, or with another's weight.
        let it = Some(&self.services[service]).filter(|service| service.is_whole_since(then));
        let published = it.and_then(|service| service.published.as_ref()).filter(|published| published.len() > 1);
        let Some(published) = published else { return false };
        let is_well = |server: &usize| {
            let server = &self.servers[*server];
            let unheard_of = server.vanished || server.was_cut || server.ill_since.is_some();
            !unheard_of && server.steady_since(then, self.settle.max(CALM))
        };
        self.shares.are_calm_since(then) && self.shares.services[service].all_picked && published.iter().all(is_well)
    }
}

/// What is wrong with turns that these servers had, by their weights, if `unseen` more went to whoever lacks them.
fn breach(seats: &[(usize, u32)], had: &BTreeMap<usize, u64>, unseen: u64) -> Option<String> {
    let of = |server: usize| had.get(&server).copied().unwrap_or(0);
    if seats.iter().all(|(_, weight)| *weight == seats[0].1) {
        let most = seats.iter().map(|(server, _)| of(*server)).max().unwrap_or(0);
        let lacking: u64 = seats.iter().map(|(server, _)| (most.saturating_sub(1)).saturating_sub(of(*server))).sum();
        return (lacking > unseen).then(|| format!("of equal weights, they lack {lacking} turns"));
    }
    let all: u64 = seats.iter().map(|(server, _)| of(*server)).sum();
    let weights: f64 = seats.iter().map(|(_, weight)| f64::from(*weight)).sum();
    seats.iter().find_map(|(server, weight)| {
        let part = f64::from(*weight) / weights;
        let (share, slack) = (all as f64 * part, 1.0 + (seats.len() as f64 - 2.0) * part);
        let off = (of(*server) as f64 - share).abs();
        (off > slack + unseen as f64 + 1e-6)
            .then(|| format!("server {server} of weight {weight} had {}, and {share:.1} are its share", of(*server)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oracle::Answer,
        plan::{Ask, Manner, Server, Unit, Write},
        scenario,
    };

    /// One service with servers of these weights, which have run since the beginning and are published.
    fn judge(weights: &[u32]) -> Judge {
        let mut plan = scenario::named("config_race").unwrap().plan(1);
        (plan.services, plan.network.latency, plan.gateway.health_check) = (1, (100, 2_000), false);
        let server = plan.servers[0].clone();
        plan.servers = weights.iter().map(|weight| Server { service: 0, weight: *weight, ..server.clone() }).collect();
        let mut judge = Judge::new(&plan);
        let all: Vec<_> = (0..weights.len()).collect();
        all.iter().for_each(|server| judge.runs(0, *server, true));
        let units = vec![Unit { service: 0, servers: Some(all.clone()) }];
        let write = Write { generation: 1, units, manner: Manner::Whole };
        judge.write_begins(0, &write);
        judge.write_ends(0, &write);
        judge.published(1, 1, BTreeMap::from([(0, all.into_iter().collect())])).unwrap();
        judge.picks(0, || true);
        judge
    }

    /// Requests one after the other, the first at `at`, each to one of these servers.
    fn turns(judge: &mut Judge, at: u64, servers: &[usize]) -> Verdict {
        servers.iter().enumerate().try_for_each(|(n, server)| {
            let (now, id) = (at + 10 * n as u64, at + n as u64);
            judge.asked(now, id, &Ask::default());
            judge.arrived(now + 1, *server, id, "s0.test")?;
            answered(judge, now + 5, id, *server)
        })
    }

    fn answered(judge: &mut Judge, now: u64, id: u64, server: usize) -> Verdict {
        let (mark, body_is_right) = (Some(1), true);
        let answer = Answer {
            status: 200,
            server: Some(server),
            echo: Some(id),
            mark,
            request_mark: mark,
            body_is_right,
            ..Answer::default()
        };
        judge.answered(now, id, &answer)
    }

    fn is_breach(verdict: &Verdict) -> bool {
        verdict.as_ref().is_err_and(|violation| violation.oracle == Oracle::Weights)
    }

    #[test]
    fn turns_go_round_wherever_they_begin() {
        let mut judge = judge(&[1, 1, 1]);
        turns(&mut judge, 10_000, &[1, 2, 0, 1, 2, 0, 1]).unwrap();
        assert!(judge.counts.checks > 0);
        assert!(is_breach(&turns(&mut judge, 20_000, &[2, 2])), "twice before the first has had its turn");
    }

    #[test]
    fn a_server_with_twice_its_share_is_found_out() {
        assert!(is_breach(&turns(&mut judge(&[1, 1, 1]), 10_000, &[0, 0, 1, 2, 0, 0, 1, 2])));
        assert!(is_breach(&turns(&mut judge(&[1, 1, 1]), 10_000, &[0, 1, 2, 0, 1, 2, 0, 0])));
    }

    #[test]
    fn shares_go_by_weight() {
        let mut round = [0, 0, 1].repeat(20);
        turns(&mut judge(&[2, 1]), 10_000, &round).unwrap();
        assert!(is_breach(&turns(&mut judge(&[1, 2]), 10_000, &round)));
        round = [0, 1].repeat(20);
        assert!(is_breach(&turns(&mut judge(&[2, 1]), 10_000, &round)), "as if both had one weight");
    }

    #[test]
    fn what_is_under_way_may_be_what_is_lacking() {
        let mut judge = judge(&[1, 1]);
        for id in [7, 8, 9] {
            judge.asked(10_000, id, &Ask::default());
        }
        judge.arrived(10_010, 0, 7, "s0.test").unwrap();
        judge.arrived(10_010, 0, 8, "s0.test").unwrap();
        answered(&mut judge, 10_020, 7, 0).unwrap();
        answered(&mut judge, 10_020, 8, 0).unwrap();
        assert!(is_breach(&turns(&mut judge, 10_030, &[0, 0, 0, 0])), "one request cannot have had so many turns");
    }

    #[test]
    fn nothing_is_said_of_times_that_are_not_quiet() {
        let unfair = [0; 12];
        let mut ejected = judge(&[1, 1]);
        ejected.picks(0, || false);
        turns(&mut ejected, 10_000, &unfair).unwrap();
        let mut young = judge(&[1, 1]);
        young.runs(9_000, 1, false);
        young.runs(9_500, 1, true);
        turns(&mut young, 10_000, &unfair).unwrap();
        assert!(is_breach(&turns(&mut young, 20_000, &unfair)), "it has run for long enough");
        let mut late = judge(&[1, 1]);
        late.hurried(9_000, "starvation", true);
        turns(&mut late, 10_000, &unfair).unwrap();
        late.hurried(19_000, "starvation", false);
        turns(&mut late, 20_000, &unfair).unwrap();
        assert!(is_breach(&turns(&mut late, 30_000, &unfair)));
    }

    #[test]
    fn a_failure_and_a_snapshot_end_a_window() {
        let mut judge = judge(&[1, 1]);
        turns(&mut judge, 10_000, &[0]).unwrap();
        judge.asked(11_000, 1, &Ask::default());
        judge.arrived(11_001, 1, 1, "s0.test").unwrap();
        judge.arrived(11_002, 0, 1, "s0.test").unwrap();
        answered(&mut judge, 11_003, 1, 0).unwrap();
        turns(&mut judge, 12_000, &[0, 1]).unwrap();
        judge.published(13_000, 2, BTreeMap::from([(0, [0, 1].into())])).unwrap();
        turns(&mut judge, 14_000, &[1, 0]).unwrap();
        assert!(is_breach(&turns(&mut judge, 15_000, &[0, 0])));
    }
}
