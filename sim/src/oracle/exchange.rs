//! One request and its response, judged where servers and clients misbehave.
//!
//! The reference is the plan: it says which quirk a request meets at a server, and so what may come of it. Beside the judge of the
//! source or of the Swarm: what follows from a quirk is judged here ([`Fate::Odd`]), everything else there too ([`Fate::Usual`]).
//!
//! | the server | the client gets |
//! |---|---|
//! | answers late, in pieces, with interim responses, before it has read, or with a status of its own | that answer, whole |
//! | sends more than it declared | what was declared |
//! | sends less, breaks off, resets or hangs in its body | the beginning, and then an end that cannot be taken for the right one |
//! | hangs before its head | another server's answer, or 504 `upstream_timeout` |
//! | speaks no HTTP | another server's answer, or 502 `upstream_protocol` |
//! | floods with interim responses | 502 `upstream_protocol`: some have gone to the client, so nobody else is asked |
//! | closes a kept connection on a request | the answer over a fresh connection; if it must not be repeated, 502 `upstream_closed` |
//!
//! A GET goes to another server after one failure; after two it may fail. It may after one where it could be that nobody else was to
//! be asked: the service has no other server, another one had five failures and may be ejected, or a hundred failures have used up the
//! retries that a service may make. Where servers also come and go ([`Judge::is_calm`]), one failure is enough here.
//!
//! Deliberately absent: bytes. Who reads them says whether they were right.

mod upstream;

#[cfg(test)]
mod tests;

use super::{Answer, Counts, Oracle, Verdict, Violation, broken, wire::Head};
use crate::plan::{
    Ask, Plan, Server,
    swarm::{App, Language},
    traffic::{Act, Cookie, Quirk},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The gateway waits so long for a response head.
pub const HEAD_TIMEOUT: u64 = 4_000;
/// What may be added to a time-out: the way there and back, and a kernel's delay.
const SLACK: u64 = 1_500;
/// By then a server has been told that its client left.
const CANCELLED: u64 = 3_000;
/// By then what a server flushed is with a client that reads.
const DELIVERED: u64 = 2_000;
/// A request that nothing is wrong with is answered so soon, beyond what its server thinks.
const SERVED: u64 = 5_000;
/// What lies between a server and a client that does not read: four buffers of kernels, of 64 KiB each, the gateway's own two, and
/// half as much again for what is under way.
const HELD: u64 = 9 * (64 << 10);
/// HTTP/2 adds the windows of a stream on the client's side and the gateway's buffer for it.
const HELD_BY_STREAM: u64 = HELD + (256 << 10) + (128 << 10);
/// Failures in a row after which a server is ejected for a while.
const EJECTED: u32 = 5;
/// Retries that a service has in reserve.
const RESERVE: u32 = 90;

/// Who asks.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The client's address.
    pub address: String,
    /// Over TLS.
    pub secure: bool,
    /// It tells what it has read, byte by byte.
    pub tells: bool,
    /// No other request is before it on its connection.
    pub alone: bool,
    /// The value of the service's cookie that it brings.
    pub cookie: Option<String>,
}

/// Whether the usual rules are to be asked as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Usual,
    /// It follows from what a server or the client did.
    Odd,
}

/// The reference model.
pub struct Judge {
    servers: Vec<Server>,
    services: usize,
    /// Nothing happens but traffic.
    calm: bool,
    /// Addresses pass from one server to another.
    inherited: bool,
    /// Services whose clients are not bound, whatever the others are.
    loose: BTreeSet<usize>,
    requests: BTreeMap<u64, Request>,
    /// Those that still matter when nothing happens to them.
    open: BTreeSet<u64>,
    /// Per server.
    failures: Vec<u32>,
    /// Per service: what was given out, and whom it leads to.
    cookies: Vec<BTreeMap<String, usize>>,
    /// Servers that were cut off, from which nothing need be heard any more.
    unsure: BTreeSet<usize>,
    /// How long a window of 64 KiB takes there and back at worst, in microseconds.
    window: u64,
    pub counts: Counts,
}

struct Request {
    began: u64,
    ask: Ask,
    caller: Caller,
    visits: Vec<Visit>,
    left_at: Option<u64>,
    ended: bool,
    got: u64,
    /// Flushed by the server, and not yet with the client: when, and up to which byte.
    due: VecDeque<(u64, u64)>,
}

struct Visit {
    server: usize,
    quirk: Option<Quirk>,
    /// No response comes of it.
    fails: bool,
    uploaded_at: Option<u64>,
    ended: bool,
}

impl Judge {
    /// Before the first event.
    pub fn new(plan: &Plan) -> Self {
        Self {
            servers: plan.servers.clone(),
            services: plan.services,
            calm: plan.steps.is_empty() && plan.swarm.is_none() && plan.gateway.count == 1,
            inherited: plan.swarm.is_some(),
            loose: plan.swarm.iter().flat_map(|swarm| &swarm.apps).filter_map(loose).collect(),
            requests: BTreeMap::new(),
            open: BTreeSet::new(),
            failures: vec![0; plan.servers.len()],
            cookies: vec![BTreeMap::new(); plan.services],
            unsure: BTreeSet::new(),
            window: 4 * plan.network.latency.1,
            counts: Counts::default(),
        }
    }

    /// Whether nobody comes or goes, so that it is known who could be asked.
    pub fn is_calm(&self) -> bool {
        self.calm
    }

    /// A client begins a request.
    pub fn asked(&mut self, now: u64, id: u64, ask: &Ask, caller: Caller) {
        let request = Request {
            began: now,
            ask: ask.clone(),
            caller,
            visits: Vec::new(),
            left_at: None,
            ended: false,
            got: 0,
            due: VecDeque::new(),
        };
        self.requests.insert(id, request);
        self.open.insert(id);
    }

    // ---- at servers ----

    /// A server read a request's head, on a connection that may have carried others before. `head`: as its bytes were.
    pub fn arrived(&mut self, now: u64, server: usize, id: u64, head: Option<&Head>, reused: bool) -> Verdict {
        let Some(request) = self.requests.get_mut(&id) else {
            return broken(Oracle::Headers, format!("server {server} read a request {id} that no client sent as one"));
        };
        let quirk = self.servers.get(server).and_then(|it| it.quirk(server, id)).cloned();
        // Once it has upgraded a server has no more quirks.
        let upgrades = matches!(request.ask.act, Act::WebSocket { .. });
        let quirk = quirk.filter(|quirk| !upgrades || matches!(quirk, Quirk::Forgetful { .. }));
        let fails = quirk.as_ref().is_some_and(|quirk| match quirk {
            Quirk::Forgetful { .. } => reused,
            Quirk::SlowHead(millis) => *millis >= HEAD_TIMEOUT,
            quirk => quirk.is_broken() && !quirk.cuts(),
        });
        if fails && !matches!(quirk, Some(Quirk::Forgetful { .. })) {
            self.failures[server] += 1;
        }
        request.visits.push(Visit { server, quirk, fails, uploaded_at: None, ended: false });
        self.open.insert(id);
        if let Some(head) = head {
            self.counts.judges(now, Oracle::Headers);
            upstream::judge(id, head, &request.ask, &request.caller)?;
        }
        Ok(())
    }

    /// A server read the whole body of a request.
    pub fn uploaded(&mut self, now: u64, server: usize, id: u64, bytes: u64, right: bool) -> Verdict {
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        if let Some(visit) = request.visit(server) {
            visit.uploaded_at = Some(now);
        }
        if !right || bytes != request.ask.body {
            let detail =
                format!("server {server} read {bytes} bytes as the body of request {id}, which has {}", request.ask.body);
            return broken(Oracle::CrossTalk, detail);
        }
        Ok(())
    }

    /// A server has flushed so many bytes of its body in all.
    pub fn produced(&mut self, now: u64, server: usize, id: u64, total: u64) -> Verdict {
        self.counts.judges(now, Oracle::Bounded);
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        if request.ended || !request.caller.tells {
            return Ok(());
        }
        request.due.push_back((now, total));
        let most = if request.caller.secure { HELD_BY_STREAM } else { HELD };
        let held = total.saturating_sub(request.got);
        if held > most {
            let detail =
                format!("server {server} sent {total} bytes to request {id}, whose client read {}: {held} are held", request.got);
            return broken(Oracle::Bounded, detail);
        }
        Ok(())
    }

    /// A server is done with a request: it answered all it wanted, or its connection has ended.
    pub fn let_go(&mut self, server: usize, id: u64) {
        if let Some(visit) = self.requests.get_mut(&id).and_then(|request| request.visit(server)) {
            visit.ended = true;
        }
    }

    /// A server's process is gone.
    pub fn dies(&mut self, server: usize) {
        for id in &self.open {
            if let Some(visit) = self.requests.get_mut(id).and_then(|request| request.visit(server)) {
                visit.ended = true;
            }
        }
    }

    /// Packets between the gateway and a server were lost.
    pub fn cut_link(&mut self, server: usize) {
        self.unsure.insert(server);
    }

    // ---- at clients ----

    /// A client has read so many bytes of the body in all.
    pub fn got(&mut self, now: u64, id: u64, total: u64) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.got = total;
        while request.due.front().is_some_and(|(_, bytes)| *bytes <= total) {
            request.due.pop_front();
            self.counts.judges(now, Oracle::Liveness);
        }
    }

    /// A client got a whole response. `head`: as its bytes were.
    ///
    /// # Errors
    /// It may not be.
    pub fn answered(&mut self, now: u64, id: u64, answer: &Answer, head: Option<&Head>) -> Result<Fate, Violation> {
        self.counts.judges(now, Oracle::Answer);
        let Some(request) = self.requests.get_mut(&id).filter(|request| !request.ended) else {
            return broken(Oracle::Answer, format!("request {id} was answered and had ended before"));
        };
        request.ended = true;
        if let Some(name) = head.and_then(hop_field) {
            self.counts.judges(now, Oracle::Headers);
            return broken(Oracle::Headers, format!("the response to request {id} has the hop-by-hop field {name}"));
        }
        match &answer.reason {
            Some(reason) => self.invented(id, answer.status, reason),
            None => {
                let fate = self.given(id, answer)?;
                self.sticks(now, id, answer)?;
                self.in_time(now, id)?;
                Ok(fate)
            }
        }
    }

    /// A client's request ended without a whole response. `server`: the one whose response had begun; `right`: what came of it was.
    ///
    /// # Errors
    /// It may not be.
    pub fn cut_off(&mut self, now: u64, id: u64, server: Option<usize>, right: bool) -> Result<Fate, Violation> {
        self.counts.judges(now, Oracle::Answer);
        let Some(request) = self.requests.get_mut(&id) else { return Ok(Fate::Usual) };
        request.ended = true;
        if !right {
            return broken(Oracle::CrossTalk, format!("request {id} got bytes that server {server:?} did not send"));
        }
        // A reset of a stream overtakes the head that was queued before it; nobody takes that for an answer.
        let headless = server.is_none() && request.caller.secure;
        let met = |visit: &Visit| (headless || Some(visit.server) == server) && visit.quirk.as_ref().is_some_and(Quirk::cuts);
        Ok(if request.visits.last().is_some_and(met) { Fate::Odd } else { Fate::Usual })
    }

    /// A client's connection ended in order before this request's turn came.
    ///
    /// # Errors
    /// A server had it.
    pub fn unanswered(&mut self, id: u64) -> Verdict {
        match self.requests.get(&id).and_then(|request| request.visits.last()) {
            None => Ok(()),
            Some(visit) => broken(Oracle::Answer, format!("request {id} was with server {} and has no answer", visit.server)),
        }
    }

    /// A client left on purpose.
    pub fn left(&mut self, now: u64, id: u64) {
        if let Some(request) = self.requests.get_mut(&id).filter(|request| !request.ended) {
            (request.ended, request.left_at) = (true, Some(now));
        }
    }

    /// What takes too long. To be asked now and then.
    ///
    /// # Errors
    /// It takes too long.
    pub fn overdue(&mut self, now: u64) -> Verdict {
        let mut done = Vec::new();
        for id in &self.open {
            let Some(request) = self.requests.get(id) else { continue };
            let visits = request.visits.iter().filter(|visit| !visit.ended && !self.unsure.contains(&visit.server));
            for visit in visits {
                // Its end stands behind bytes that such a server has not read yet.
                let looks = !matches!(visit.quirk, Some(Quirk::SlowRead { .. })) && visit.uploaded_at.is_some();
                if let Some(left) = request.left_at.filter(|left| looks && left + CANCELLED < now) {
                    let detail =
                        format!("server {} works on request {id}, whose client left {} ms ago", visit.server, now - left);
                    return broken(Oracle::Liveness, detail);
                }
                let asked = visit.uploaded_at.filter(|_| visit.quirk == Some(Quirk::HangHead));
                if let Some(asked) = asked.filter(|asked| asked + HEAD_TIMEOUT + SLACK < now) {
                    let detail = format!("server {} has hung with request {id} for {} ms", visit.server, now - asked);
                    return broken(Oracle::Liveness, detail);
                }
            }
            let reads = !matches!(request.ask.act, Act::SlowRead { .. } | Act::CutResponse { .. });
            let late = request.due.front().filter(|(since, _)| self.calm && reads && !request.ended && since + DELIVERED < now);
            if let Some((since, bytes)) = late {
                let detail = format!(
                    "{bytes} bytes were flushed for request {id} {} ms ago, and its client has {}",
                    now - since,
                    request.got
                );
                return broken(Oracle::Liveness, detail);
            }
            if request.ended && request.visits.iter().all(|visit| visit.ended) {
                done.push(*id);
            }
        }
        self.open.retain(|id| !done.contains(id));
        Ok(())
    }

    // ---- rules ----

    /// A server's response.
    fn given(&self, id: u64, answer: &Answer) -> Result<Fate, Violation> {
        let request = &self.requests[&id];
        // What a network swallowed is repeated by kernels: an attempt that was given up may come to its server after the one that
        // was answered.
        let seen = if self.calm { request.visits.len().saturating_sub(1) } else { 0 };
        let Some(visit) = request.visits[seen..].iter().rfind(|visit| Some(visit.server) == answer.server) else {
            let visited: Vec<_> = request.visits.iter().map(|visit| visit.server).collect();
            return broken(
                Oracle::CrossTalk,
                format!("request {id} was at servers {visited:?} and answered by {:?}", answer.server),
            );
        };
        if answer.echo != Some(id) {
            return broken(Oracle::CrossTalk, format!("request {id} got the response to {:?}", answer.echo));
        }
        let told =
            format!("request {id} got {} from server {}, which met it with {:?}", answer.status, visit.server, visit.quirk);
        if visit.fails || visit.quirk.as_ref().is_some_and(Quirk::cuts) {
            return broken(Oracle::CrossTalk, format!("{told}, as if that were a whole response"));
        }
        let status = match (&visit.quirk, &request.ask.act) {
            (Some(Quirk::Status(status)), _) => *status,
            (_, Act::WebSocket { .. }) => 101,
            _ => 200,
        };
        if answer.status != status || !answer.body_is_right {
            return broken(Oracle::CrossTalk, format!("{told}; the body is right: {}", answer.body_is_right));
        }
        if let Some(before) = request.visits.iter().rev().skip(1).find(|visit| self.calm && !visit.fails) {
            return broken(
                Oracle::Answer,
                format!("request {id} was with server {}, and asked again of {}", before.server, visit.server),
            );
        }
        Ok(if status == 200 { Fate::Usual } else { Fate::Odd })
    }

    /// A response of the gateway's own making.
    fn invented(&self, id: u64, status: u16, reason: &str) -> Result<Fate, Violation> {
        let request = &self.requests[&id];
        let told = format!("request {id} got {status} ({reason})");
        match (&request.ask.act, status, reason) {
            (Act::Smuggle(_), 400, "malformed_request") | (Act::Trickle { .. }, 408, "request_timeout") => return Ok(Fate::Odd),
            _ => {}
        }
        let Some(visit) = request.visits.last().filter(|visit| visit.fails) else { return Ok(Fate::Usual) };
        if !self.calm && status >= 500 {
            return Ok(Fate::Odd);
        }
        let owed = match visit.quirk {
            Some(Quirk::HangHead | Quirk::SlowHead(_)) => (504, "upstream_timeout"),
            Some(Quirk::Forgetful { .. }) => (502, "upstream_closed"),
            _ => (502, "upstream_protocol"),
        };
        if (status, reason) != owed {
            return broken(Oracle::Answer, format!("{told} for what server {} did: {:?}", visit.server, visit.quirk));
        }
        let flooded = visit.quirk.as_ref().is_some_and(Quirk::floods);
        let seen = request.visits.iter().filter(|visit| visit.fails && !matches!(visit.quirk, Some(Quirk::Forgetful { .. })));
        let seen = seen.count();
        if request.ask.post || flooded || seen >= 2 || seen == 1 && self.is_nobody_left(request, visit.server) {
            return Ok(Fate::Odd);
        }
        broken(Oracle::Answer, format!("{told} after server {} failed, and another one was not asked", visit.server))
    }

    /// Whether it could be that no other server was to be asked after this one.
    fn is_nobody_left(&self, request: &Request, failed: usize) -> bool {
        let of = |index: &usize| self.servers[*index].service == request.ask.service;
        let mut others = (0..self.servers.len()).filter(of).filter(|index| *index != failed).peekable();
        let spent: u32 = (0..self.servers.len()).filter(of).map(|index| self.failures[index]).sum();
        others.peek().is_none() || spent >= RESERVE || others.any(|index| self.failures[index] >= EJECTED)
    }

    /// Whether a request was at this server.
    pub fn has_visited(&self, id: u64, server: usize) -> bool {
        self.requests.get(&id).is_some_and(|request| request.visits.iter().any(|visit| visit.server == server))
    }

    /// Whether a request brings a cookie.
    pub fn is_bound(&self, id: u64) -> bool {
        self.requests.get(&id).is_some_and(|request| request.caller.cookie.is_some())
    }

    /// The server that a request's cookie leads to, as far as is known; where servers come and go, that depends on them.
    pub fn leads_to(&self, id: u64) -> Option<usize> {
        let request = self.requests.get(&id).filter(|request| !self.calm && request.ask.cookie == Cookie::Kept)?;
        self.cookies.get(request.ask.service)?.get(request.caller.cookie.as_ref()?).copied()
    }

    /// A cookie leads to its server; what nobody gave is as good as none.
    fn sticks(&mut self, now: u64, id: u64, answer: &Answer) -> Verdict {
        let request = &self.requests[&id];
        let (service, Some(server)) = (request.ask.service, answer.server) else { return Ok(()) };
        if service >= self.services || self.loose.contains(&service) {
            return Ok(());
        }
        if let Some(value) = &answer.set_cookie {
            let known = self.cookies[service].insert(value.clone(), server).unwrap_or(server);
            // The value is its address's, which another task may have by now.
            if known != server && !self.inherited {
                return broken(
                    Oracle::Sticky,
                    format!("the cookie {value} leads to server {known}, and server {server} gave it"),
                );
            }
        }
        let Some(brought) = &request.caller.cookie else { return Ok(()) };
        if self.calm || request.ask.cookie == Cookie::Forged {
            self.counts.judges(now, Oracle::Sticky);
        }
        if request.ask.cookie == Cookie::Forged {
            return match answer.set_cookie {
                Some(_) => Ok(()),
                None => broken(Oracle::Sticky, format!("request {id} brought {brought}, which nobody gave, and it was believed")),
            };
        }
        let Some(bound) = self.cookies[service].get(brought).filter(|_| self.calm) else { return Ok(()) };
        // One that failed is left for another, and may be ejected.
        let failed = request.visits.iter().any(|visit| visit.fails && visit.server == *bound) || self.failures[*bound] >= EJECTED;
        if server != *bound && !failed {
            return broken(Oracle::Sticky, format!("request {id} is bound to server {bound} and was answered by {server}"));
        }
        Ok(())
    }

    /// Whoever does nothing odd, and meets nothing odd, is served while others are slow.
    fn in_time(&mut self, now: u64, id: u64) -> Verdict {
        let request = &self.requests[&id];
        let [Visit { server, quirk: None, .. }] = request.visits[..] else { return Ok(()) };
        if !self.calm || !request.caller.alone || request.ask.act != Act::Plain || request.ask.abort.is_some() {
            return Ok(());
        }
        self.counts.judges(now, Oracle::Bounded);
        let it = &self.servers[server];
        let moved = (it.body + request.ask.body) >> 16;
        let bound = SERVED + it.think.1 + moved * self.window / 1_000;
        let took = now - request.began;
        if took > bound {
            return broken(
                Oracle::Bounded,
                format!("request {id} took {took} ms, and nothing is wrong with it (bound: {bound})"),
            );
        }
        Ok(())
    }
}

impl Request {
    fn visit(&mut self, server: usize) -> Option<&mut Visit> {
        self.visits.iter_mut().rev().find(|visit| visit.server == server)
    }
}

/// The host of an app whose labels cannot say that its clients are to be bound.
fn loose(app: &App) -> Option<usize> {
    app.host.filter(|_| app.language == Language::Interlock)
}

/// A field of a response that belongs to the connection between gateway and server.
fn hop_field(head: &Head) -> Option<&str> {
    let hop = |name: &str| {
        ["keep-alive", "proxy-connection", "proxy-authenticate", "x-hop"].iter().any(|hop| name.eq_ignore_ascii_case(hop))
    };
    head.fields.iter().map(|(name, _)| name.as_str()).find(|name| hop(name))
}
