//! The oracles: what must hold in every run, judged event by event.
//!
//! Owns the reference model: the history of every request, of every server, of the configuration as it was written, and of what
//! the gateway published. Pure: events and times (milliseconds) come in, a [`Violation`] comes out.
//!
//! Deliberately absent: the judging of sockets, tasks and permits at the end of a run, which only [`crate::world`] can see; and
//! any leniency that is not stated at its rule below.

pub mod admin;
pub mod certificates;
pub mod exchange;
mod identity;
mod ledger;
pub mod lifecycle;
mod shares;
mod source;
pub mod standing;
pub mod swarm;
pub mod telemetry;
pub mod wire;

#[cfg(test)]
mod tests;

pub use identity::{Class, Oracle, Verdict, Violation, broken};
pub use ledger::{Cell, Counts};

use crate::plan::{Ask, Plan, Source};
use std::collections::{BTreeMap, BTreeSet};

/// A response as the client got it, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Why the gateway made it; `None`: a server did.
    pub reason: Option<String>,
    /// The server that says it made it.
    pub server: Option<usize>,
    /// The request that it says it answers.
    pub echo: Option<u64>,
    /// The generation that the gateway marked the response with.
    pub mark: Option<u64>,
    /// The generation that the gateway had marked the request with, as the server saw it.
    pub request_mark: Option<u64>,
    /// The value of the cookie that it binds the client with.
    pub set_cookie: Option<String>,
    /// The body is what that server gives to that request.
    pub body_is_right: bool,
}

/// A request that was under way when its server was withdrawn arrives within this time, or not at all.
const UNDER_WAY: u64 = 20_000;
/// A server that closed idle connections so recently may have met a request on its way: twice the longest latency that is drawn.
const CLOSING: u64 = 50;
/// So long after something happened to a server, connections to it may have to be made anew.
const SPOILT: u64 = 2_000;
/// A health check takes so long to believe in a server again.
const PROBED: u64 = 4_000;

/// The reference model.
pub struct Judge {
    servers: Vec<Server>,
    services: Vec<source::Service>,
    settle: u64,
    bounds: source::Bounds,
    requests: BTreeMap<u64, Request>,
    /// The requests that have not ended, and when each began.
    open: BTreeMap<u64, u64>,
    number: u64,
    /// Services of transactions over more than one, by their generations.
    joint: BTreeMap<u64, Vec<usize>>,
    source: source::Health,
    shares: shares::Shares,
    pub counts: Counts,
}

struct Server {
    service: usize,
    weight: u32,
    running: bool,
    cuts: BTreeSet<Direction>,
    hindrances: BTreeSet<Hindrance>,
    /// Checks of it fail, every one, since then.
    ill_since: Option<u64>,
    /// Accepts and is reachable, since then.
    serving_since: Option<u64>,
    /// It once ended without its connections being closed: some in the pool are dead, and found so only when they are used.
    vanished: bool,
    was_cut: bool,
    /// It last closed idle connections of its own accord.
    closed_at: Option<u64>,
    /// It last left the published set, and came into it.
    left_at: Option<u64>,
    published_since: Option<u64>,
}

/// Of a cut link, seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Out,
    In,
}

/// Why a server cannot be counted on although it runs and its link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hindrance {
    /// Packets to it, or from it, are lost or slow.
    PacketsOut,
    PacketsIn,
    /// Its answers to checks are not what it is.
    Health,
    /// Its name does not lead to it.
    Name,
    /// Names take long to resolve.
    Names,
}

struct Request {
    began: u64,
    service: usize,
    post: bool,
    /// The highest generation that the service's requests had met when this one began.
    floor: u64,
    published: Option<BTreeSet<usize>>,
    /// The generation of the state that was in force then.
    in_force: Option<u64>,
    arrivals: u32,
}

impl Judge {
    /// Before the first event.
    pub fn new(plan: &Plan) -> Self {
        let server = |s: &crate::plan::Server| Server {
            service: s.service,
            weight: s.weight,
            running: false,
            cuts: BTreeSet::new(),
            hindrances: BTreeSet::new(),
            ill_since: None,
            serving_since: None,
            vanished: false,
            was_cut: false,
            closed_at: None,
            left_at: None,
            published_since: None,
        };
        let refresh = plan.metadata.as_ref().filter(|asked| asked.interval_poll).map_or(0, |asked| asked.refresh);
        Self {
            servers: plan.servers.iter().map(server).collect(),
            services: (0..plan.services).map(|_| source::Service::default()).collect(),
            settle: if plan.gateway.health_check { PROBED } else { 0 },
            bounds: source::Bounds::of(plan.gateway.source, refresh, plan.gateway.torn_reads > 0),
            requests: BTreeMap::new(),
            open: BTreeMap::new(),
            number: 0,
            joint: BTreeMap::new(),
            source: source::Health::default(),
            shares: shares::Shares::new(plan),
            counts: Counts::default(),
        }
    }

    // ---- requests ----

    /// A client begins a request.
    pub fn asked(&mut self, now: u64, id: u64, ask: &Ask) {
        self.counts.asked += 1;
        let service = &self.services[ask.service];
        let request = Request {
            began: now,
            service: ask.service,
            post: ask.post,
            floor: service.seen,
            published: service.published.clone(),
            in_force: service.in_force,
            arrivals: 0,
        };
        self.requests.insert(id, request);
        self.open.insert(id, now);
        self.may_take_a_turn(now, id, ask.service);
    }

    /// A server read a request's head.
    pub fn arrived(&mut self, now: u64, server: usize, id: u64, host: &str) -> Verdict {
        self.counts.arrivals += 1;
        self.counts.judges(now, Oracle::CrossTalk);
        self.counts.judges(now, Oracle::Drain);
        let it = &self.servers[server];
        let Some(request) = self.requests.get_mut(&id) else {
            return broken(Oracle::CrossTalk, format!("server {server} got request {id}, which no client sent"));
        };
        request.arrivals += 1;
        if request.service != it.service || host != format!("s{}.test", it.service) {
            let detail =
                format!("request {id} for s{} (host {host:?}) came to server {server} of s{}", request.service, it.service);
            return broken(Oracle::CrossTalk, detail);
        }
        // Found out after so long, and asked no more while another one is well. One that was given to the service since then is believed to
        // be well until it was asked.
        let began = request.began;
        let known = |it: &Server| it.ill_since.is_some_and(|since| since.max(it.published_since.unwrap_or(0)) + PROBED < began);
        if self.servers.iter().any(|other| other.service == it.service && known(other)) {
            self.counts.judges(now, Oracle::Legality);
        }
        if known(it) {
            let others = self.services[it.service].published.iter().flatten().filter(|other| **other != server);
            let well = |other: &&usize| {
                let other = &self.servers[**other];
                other.steady_since(began, self.settle) && other.published_since.is_some_and(|since| since + PROBED < began)
            };
            if let Some(other) = others.copied().find(|other| well(&other)) {
                let detail = format!("server {server} fails its checks, server {other} is well, and the one got request {id}");
                return broken(Oracle::Legality, detail);
            }
        }
        if request.post {
            self.counts.judges(now, Oracle::Answer);
        }
        if request.post && request.arrivals > 1 {
            return broken(Oracle::Answer, format!("request {id} is a POST and reached servers {} times", request.arrivals));
        }
        // A request that was under way keeps its snapshot, and a connection that is being opened its server; a kernel repeats for
        // minutes what went into a link that was cut.
        let late = |left: u64| left + UNDER_WAY < now && !it.was_cut;
        if let Some(left) = it.left_at.filter(|left| *left < request.began || late(*left)) {
            return broken(Oracle::Drain, format!("server {server} was withdrawn {} ms ago and got request {id}", now - left));
        }
        self.admitted(now, server, id)?;
        self.takes_a_turn(now, server, id)
    }

    /// A request is with a server of some state that was in force since it began. While states are served that are mixtures, it cannot
    /// be said which.
    fn admitted(&mut self, now: u64, server: usize, id: u64) -> Verdict {
        let request = &self.requests[&id];
        let service = &self.services[request.service];
        let (Some(first), true) = (&request.published, service.is_whole_since(request.began)) else { return Ok(()) };
        self.counts.judges(now, Oracle::Removed);
        let it = &self.servers[server];
        let since = it.published_since.is_some() || it.left_at.is_some_and(|left| left >= request.began);
        if first.contains(&server) || since {
            return Ok(());
        }
        broken(Oracle::Removed, format!("request {id} came to server {server}, which no state had since it began"))
    }

    /// Whether a request that began then would have been served by this server, had it been asked.
    pub fn is_sound(&self, began: u64, server: usize) -> bool {
        self.servers.get(server).is_some_and(|it| {
            let listed = it.published_since.is_some_and(|since| since < began);
            let kept = it.closed_at.is_none_or(|at| at + SPOILT < began);
            listed && kept && it.ill_since.is_none() && it.steady_since(began, self.settle.max(SPOILT))
        })
    }

    /// What a client lost to the end of its gateway.
    pub fn excuse(&mut self, now: u64, id: u64) {
        self.counts.excused += 1;
        self.open.remove(&id);
        self.turn_is_unsure(now, id);
    }

    /// A client got a whole response.
    pub fn answered(&mut self, now: u64, id: u64, answer: &Answer) -> Verdict {
        self.counts.answered += 1;
        self.counts.judges(now, Oracle::Answer);
        self.counts.judges(now, Oracle::CrossTalk);
        if self.open.remove(&id).is_none() {
            return broken(Oracle::Answer, format!("request {id} was answered and had ended before"));
        }
        let service = self.requests[&id].service;
        self.took_its_turn(now, id, service, answer.reason.is_none())?;
        match &answer.reason {
            Some(reason) => self.invented(id, answer.status, reason),
            None if answer.status != 200 => {
                broken(Oracle::CrossTalk, format!("request {id} got status {}, which no server gives", answer.status))
            }
            None => {
                self.echoed(id, service, answer)?;
                self.marked(now, id, service, answer)
            }
        }
    }

    /// A client's request ended without a whole response. `server`: the one whose response had begun.
    pub fn cut_off(&mut self, now: u64, id: u64, server: Option<usize>, how: &str) -> Verdict {
        self.open.remove(&id);
        self.turn_is_unsure(now, id);
        let Some(Request { began, .. }) = self.requests.get(&id) else { return Ok(()) };
        let began = *began;
        self.counts.judges(now, Oracle::Answer);
        match server.and_then(|server| self.servers.get(server)) {
            // Its bytes were on their way to the client; the gateway cannot take them back.
            Some(server) if !server.steady_since(began, 0) => {
                self.counts.excused += 1;
                Ok(())
            }
            _ => broken(Oracle::Answer, format!("request {id} got no whole response: {how}; the server of its head: {server:?}")),
        }
    }

    /// A client left on purpose.
    pub fn left(&mut self, now: u64, id: u64) {
        self.counts.aborted += 1;
        self.open.remove(&id);
        self.turn_is_unsure(now, id);
    }

    /// Requests that have not ended.
    pub fn open(&self) -> impl Iterator<Item = (u64, u64)> {
        self.open.iter().map(|(id, began)| (*id, *began))
    }

    fn echoed(&self, id: u64, service: usize, answer: &Answer) -> Verdict {
        if answer.echo != Some(id) {
            return broken(Oracle::CrossTalk, format!("request {id} got the response to {:?}", answer.echo));
        }
        let of = answer.server.and_then(|server| self.servers.get(server)).map(|server| server.service);
        if of != Some(service) {
            return broken(
                Oracle::CrossTalk,
                format!("request {id} for s{service} was answered by server {:?} of s{of:?}", answer.server),
            );
        }
        if !answer.body_is_right {
            return broken(Oracle::CrossTalk, format!("request {id} got a body that server {:?} did not send", answer.server));
        }
        Ok(())
    }

    /// One snapshot per request, whole, and never an older one than before.
    fn marked(&mut self, now: u64, id: u64, index: usize, answer: &Answer) -> Verdict {
        let request = &self.requests[&id];
        let service = &mut self.services[index];
        service.seen = service.seen.max(answer.mark.unwrap_or(0));
        // While a unit is written key by key, any mixture of its old and new state may be served.
        if !service.is_whole_since(request.began) {
            return Ok(());
        }
        self.counts.judges(now, Oracle::Atomic);
        self.counts.judges(now, Oracle::Removed);
        if answer.request_mark < request.in_force {
            let detail = format!(
                "request {id} to s{index} was admitted under generation {:?}, and {:?} was in force when it began",
                answer.request_mark, request.in_force
            );
            return broken(Oracle::Removed, detail);
        }
        if let Some(mark) = answer.mark.filter(|mark| *mark < request.floor) {
            let detail = format!("request {id} to s{index} met generation {mark}, after others had met {}", request.floor);
            return broken(Oracle::Atomic, detail);
        }
        if answer.mark != answer.request_mark || answer.mark.is_none() {
            let detail =
                format!("request {id} went out under generation {:?} and came back under {:?}", answer.request_mark, answer.mark);
            return broken(Oracle::Atomic, detail);
        }
        let written = answer.mark.and_then(|mark| service.version(mark));
        let Some(servers) = written else {
            return broken(
                Oracle::Atomic,
                format!("request {id} to s{index} met generation {:?}, which nobody wrote", answer.mark),
            );
        };
        match answer.server {
            Some(server) if servers.contains(&server) => Ok(()),
            server => {
                let detail = format!(
                    "request {id} to s{index} met generation {:?} with servers {servers:?}, and server {server:?} at {now}",
                    answer.mark
                );
                broken(Oracle::Removed, detail)
            }
        }
    }

    /// A response of the gateway's own making: when may it be?
    fn invented(&mut self, id: u64, status: u16, reason: &str) -> Verdict {
        let request = &self.requests[&id];
        let (began, post) = (request.began, request.post);
        let at_end = &self.services[request.service].published;
        let told = format!("{} {id} to s{} got {status} ({reason})", if post { "POST" } else { "GET" }, request.service);
        let stood = self.services[request.service].routed_since.is_some_and(|since| since <= began);
        let (Some(first), Some(last), true) = (&request.published, at_end, stood) else {
            // There was no route at the beginning, at the end, or in between.
            self.counts.excused += 1;
            return Ok(());
        };
        if status < 500 {
            return broken(Oracle::Answer, format!("{told}, and its route stood from beginning to end"));
        }
        let steady = |server: &&usize| {
            let server = &self.servers[**server];
            // One that was withdrawn meanwhile and came back is another one to a request that keeps its snapshot.
            server.steady_since(began, self.settle) && server.published_since.is_some_and(|since| since <= began)
        };
        let good: Vec<_> = first.intersection(last).filter(steady).collect();
        let bad = first.union(last).count() - good.len();
        let closing = first.union(last).any(|server| {
            let server = &self.servers[*server];
            // What a cut link swallowed may have been the word of an end.
            server.vanished || server.was_cut || server.closed_at.is_some_and(|at| at + CLOSING >= began)
        });
        // Something of it may have reached a server, so that it must not, or not again, go to another.
        let sent = matches!(reason, "upstream_closed" | "upstream_timeout" | "upstream_protocol");
        let excused = good.is_empty() || sent && (bad >= 2 || post && (bad >= 1 || closing));
        if !excused {
            return broken(Oracle::Answer, format!("{told}, while servers {good:?} were healthy and reachable since before it"));
        }
        self.counts.excused += 1;
        Ok(())
    }

    // ---- servers ----

    /// A server's process takes connections, or does so no longer.
    pub fn runs(&mut self, now: u64, server: usize, running: bool) {
        let it = &mut self.servers[server];
        it.vanished |= !running && !it.cuts.is_empty();
        it.running = running;
        it.moved(now);
    }

    /// A server's machine died without a word.
    pub fn vanishes(&mut self, server: usize) {
        self.servers[server].vanished = true;
    }

    /// A server closed idle connections of its own accord.
    pub fn closed_idle(&mut self, now: u64, server: usize) {
        self.servers[server].closed_at = Some(now);
    }

    /// The link between the gateway and a server.
    pub fn link(&mut self, now: u64, server: usize, direction: Direction, cut: bool) {
        let it = &mut self.servers[server];
        it.was_cut |= cut;
        let _changed = if cut { it.cuts.insert(direction) } else { it.cuts.remove(&direction) };
        it.moved(now);
    }

    /// All checks of a server fail from now on, or no longer.
    pub fn ill(&mut self, now: u64, server: usize, ill: bool) {
        let since = &mut self.servers[server].ill_since;
        *since = ill.then(|| since.unwrap_or(now));
    }

    /// Something keeps a server that runs from being counted on, or no longer.
    pub fn hinder(&mut self, now: u64, server: usize, by: Hindrance, present: bool) {
        let it = &mut self.servers[server];
        // A kernel repeats for minutes what was lost.
        it.was_cut |= present && matches!(by, Hindrance::PacketsOut | Hindrance::PacketsIn);
        let _changed = if present { it.hindrances.insert(by) } else { it.hindrances.remove(&by) };
        it.moved(now);
    }
}

impl Server {
    fn moved(&mut self, now: u64) {
        let serves = self.running && self.cuts.is_empty() && self.hindrances.is_empty();
        self.serving_since = if serves { self.serving_since.or(Some(now)) } else { None };
    }

    /// Healthy and reachable, without a break, since `settle` before then.
    fn steady_since(&self, then: u64, settle: u64) -> bool {
        self.serving_since.is_some_and(|since| since == 0 || since + settle < then)
    }
}
