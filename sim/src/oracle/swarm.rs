//! The reference model of a Swarm: what is true of services and tasks, what the gateway shows of it, and by when the one becomes the other.
//!
//! What can be promised has a bound, and the bounds are here. A gateway learns from its next poll: [`SEEN`]. While a manager does not
//! tell the truth it can learn nothing, and [`MENDED`] after all of them do again it has caught up. Until then it keeps what it has: it
//! loses nothing that lives, takes back nothing that it knew to be gone, and shows nothing that never ran. An address that is given to
//! another service within that time cannot be told from the one before; such arrivals are excused, and counted.

#[cfg(test)]
mod tests;

use super::{Answer, CLOSING, Counts, Oracle, Verdict, broken};
use crate::{
    plan::Ask,
    swarm::{Facts, model::Route},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// From a change in the cluster to what the gateway serves: a poll of one second, its jitter, and the answers' way.
pub const SEEN: u64 = 1_300;
/// After the last manager was mended: the longest pause between two attempts, or the next look at everything.
pub const MENDED: u64 = 31_000;
/// A request that was on its way when the gateway learned of a change arrives within this time.
const UNDER_WAY: u64 = 500;
/// What a death that nobody planned may do to requests ends within this time: managers believe in a dead node for 15 s.
const MOURNING: u64 = 20_000;

/// Later than any run lasts.
const NEVER: u64 = u64::MAX / 2;

/// The reference model.
pub struct Discovery {
    hosts: Vec<Host>,
    tasks: BTreeMap<usize, Task>,
    ids: BTreeMap<String, usize>,
    tenants: BTreeMap<Ipv4Addr, Vec<usize>>,
    well: bool,
    managers_are_well: bool,
    /// Why the gateway cannot look.
    blind: BTreeSet<&'static str>,
    /// Nothing is wrong with any manager since then; zero: nothing ever was.
    well_since: u64,
    /// An empty Swarm is not believed soon.
    empty: bool,
    /// The gateway began to look.
    began: u64,
    requests: BTreeMap<u64, Request>,
    /// The requests that have not ended, and when each began.
    open: BTreeMap<u64, u64>,
    number: u64,
    pub counts: Counts,
}

#[derive(Default)]
struct Host {
    truth: Option<Route>,
    /// It was last given to a service, or taken from one.
    moved_at: u64,
    /// When each task last began or ceased to be one of its.
    turned: BTreeMap<usize, u64>,
    /// Tasks that ever ran for a service that had it, or was next in turn.
    ran: BTreeSet<usize>,
    /// What the gateway shows, and since when.
    shown: Option<BTreeMap<usize, u64>>,
    /// When tasks were shown last that are no longer.
    left: BTreeMap<usize, u64>,
    /// It has had a route since then.
    shown_since: u64,
    /// Until then no task of it both was to get requests and could.
    bare_until: u64,
    /// One of its tasks died unplanned.
    death: Option<u64>,
}

struct Task {
    facts: Facts,
    address: Ipv4Addr,
    /// It listens and is reachable.
    serving_since: Option<u64>,
    closed_at: Option<u64>,
    /// The gateway was off its network once: what that swallowed may have been the word of an end.
    was_cut: bool,
}

struct Request {
    began: u64,
    host: usize,
    post: bool,
    shown: Option<BTreeSet<usize>>,
    arrivals: u32,
}

impl Discovery {
    /// Before the first event.
    pub fn new(hosts: usize) -> Self {
        Self {
            hosts: (0..hosts).map(|_| Host::default()).collect(),
            tasks: BTreeMap::new(),
            ids: BTreeMap::new(),
            tenants: BTreeMap::new(),
            well: true,
            managers_are_well: true,
            blind: BTreeSet::new(),
            well_since: 0,
            empty: false,
            began: 0,
            requests: BTreeMap::new(),
            open: BTreeMap::new(),
            number: 0,
            counts: Counts::default(),
        }
    }

    // ---- the cluster ----

    /// A task has an address.
    pub fn booted(&mut self, task: usize, address: Ipv4Addr, facts: Facts) {
        self.ids.insert(facts.id.clone(), task);
        self.tenants.entry(address).or_default().push(task);
        self.tasks.insert(task, Task { facts, address, serving_since: None, closed_at: None, was_cut: false });
    }

    /// What hosts should be routed to from now on.
    pub fn truth(&mut self, now: u64, mut routes: BTreeMap<usize, Route>) {
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let route = routes.remove(&index);
            if route == host.truth {
                continue;
            }
            let service = |route: &Option<Route>| route.as_ref().map(|route| route.service.clone());
            if service(&route) != service(&host.truth) {
                host.moved_at = now;
            }
            let tasks =
                |route: &Option<Route>| route.iter().flat_map(|route| route.tasks.iter().copied()).collect::<BTreeSet<_>>();
            for task in tasks(&route).symmetric_difference(&tasks(&host.truth)) {
                host.turned.insert(*task, now);
            }
            host.ran.extend(route.iter().flat_map(|route| route.runs.iter().chain(&route.heirs)));
            host.truth = route;
        }
        self.count_bare(now);
    }

    /// Whether the Swarm has services at all.
    pub fn emptied(&mut self, empty: bool) {
        self.empty = empty;
    }

    /// A task listens and can be reached, or no longer.
    pub fn serves(&mut self, now: u64, task: usize, serves: bool) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.serving_since = if serves { task.serving_since.or(Some(now)) } else { None };
        }
        self.count_bare(now);
    }

    /// A task ended that was to go on.
    pub fn dies(&mut self, now: u64, task: usize) {
        let Some(service) = self.tasks.get(&task).map(|task| task.facts.service.clone()) else { return };
        for host in self.hosts.iter_mut().filter(|host| host.truth.as_ref().is_some_and(|route| route.service == service)) {
            host.death = Some(now);
        }
    }

    /// A task's server closed idle connections of its own accord.
    pub fn closed_idle(&mut self, now: u64, task: usize) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.closed_at = Some(now);
        }
    }

    /// The gateway left a network.
    pub fn leaves(&mut self, network: u8) {
        self.tasks.values_mut().filter(|task| task.address.octets()[2] == network).for_each(|task| task.was_cut = true);
    }

    /// The gateway is ready.
    pub fn begins(&mut self, now: u64) {
        self.began = now;
    }

    /// Whether every manager tells the truth, soon.
    pub fn managers(&mut self, now: u64, well: bool) {
        self.managers_are_well = well;
        self.look_at_sight(now);
    }

    /// The gateway cannot look, or can again.
    pub fn blind(&mut self, now: u64, why: &'static str, present: bool) {
        if why == "gone" {
            // Until the next process is ready, which says so.
            self.began = if present { NEVER } else { self.began };
            return;
        }
        let _changed = if present { self.blind.insert(why) } else { self.blind.remove(why) };
        self.look_at_sight(now);
    }

    fn look_at_sight(&mut self, now: u64) {
        let well = self.managers_are_well && self.blind.is_empty();
        if self.well != well {
            (self.well, self.well_since) = (well, now);
        }
    }

    /// Another process of the gateway begins: it knows nothing, and its snapshots count from the beginning.
    pub fn restarted(&mut self) {
        self.number = 0;
        for host in &mut self.hosts {
            host.shown = None;
            host.left.clear();
        }
    }

    /// That process, which began at `started`, is ready: what was true all the while, and told, is shown.
    pub fn ready(&mut self, now: u64, started: u64) -> Verdict {
        self.counts.judges(now, Oracle::Convergence);
        self.began = now;
        if !self.well || self.empty || self.well_since > started {
            return Ok(());
        }
        for (index, host) in self.hosts.iter().enumerate() {
            let Some(truth) = host.truth.as_ref().filter(|_| host.moved_at < started) else { continue };
            let mut steady = truth.tasks.iter().filter(|task| host.turned.get(*task).is_some_and(|turned| *turned < started));
            if let Some(task) = steady.find(|task| !host.shown.as_ref().is_some_and(|shown| shown.contains_key(*task))) {
                let detail =
                    format!("ready {} ms after its start, and s{index} lacks task {task}, which ran before", now - started);
                return broken(Oracle::Convergence, detail);
            }
        }
        Ok(())
    }

    /// The task with this identity.
    pub fn task(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// To be told after every change: a host is bare while no task both is to get requests and can.
    fn count_bare(&mut self, now: u64) {
        let tasks = &self.tasks;
        let can = |task: &usize| tasks.get(task).is_some_and(|task| task.serving_since.is_some());
        for host in &mut self.hosts {
            let covered = host.truth.as_ref().is_some_and(|route| route.tasks.iter().any(can));
            // Once covered, it was bare until now if it was before.
            host.bare_until = match (covered, host.bare_until) {
                (false, _) => u64::MAX,
                (true, u64::MAX) => now,
                (true, until) => until,
            };
        }
    }

    /// By when the gateway knows what changed at `then`: `None` while it cannot.
    fn known_by(&self, then: u64) -> Option<u64> {
        let mended = if self.well_since > 0 { self.well_since + MENDED } else { 0 };
        (self.well && !self.empty).then_some(then.max(mended).max(self.began) + SEEN)
    }

    // ---- what the gateway shows ----

    /// Whether this is not the snapshot that was published last.
    pub fn is_new(&self, number: u64) -> bool {
        number != self.number
    }

    /// The gateway published a snapshot in which hosts are routed to tasks with these identities.
    pub fn published(&mut self, now: u64, number: u64, mut routes: BTreeMap<usize, Vec<String>>) -> Verdict {
        self.counts.snapshots += 1;
        [Oracle::Atomic, Oracle::View, Oracle::Static].into_iter().for_each(|oracle| self.counts.judges(now, oracle));
        if number <= self.number {
            return broken(Oracle::Atomic, format!("snapshot {number} was published after {}", self.number));
        }
        self.number = number;
        for index in 0..self.hosts.len() {
            let mut shown = None;
            if let Some(ids) = routes.remove(&index) {
                let tasks = shown.get_or_insert_with(BTreeSet::new);
                for id in ids {
                    let Some(task) = self.task(&id) else {
                        return broken(Oracle::View, format!("s{index} is routed to a task {id:?}, which does not run"));
                    };
                    tasks.insert(task);
                }
            }
            self.shows(now, index, shown)?;
        }
        Ok(())
    }

    fn shows(&mut self, now: u64, index: usize, shown: Option<BTreeSet<usize>>) -> Verdict {
        let host = &mut self.hosts[index];
        let before = host.shown.take();
        let (truth, turns) = (host.truth.clone(), host.turned.clone());
        let is_true = |task: &usize| truth.as_ref().is_some_and(|route| route.tasks.contains(task));
        let turned = |task: &usize| turns.get(task).copied().unwrap_or(0);
        for (task, since) in before.iter().flatten() {
            if shown.as_ref().is_some_and(|shown| shown.contains(task)) {
                continue;
            }
            if is_true(task) && turned(task) <= *since {
                let detail = format!("s{index} lost task {task}, which runs and is to run since {} ms", now - turned(task));
                return broken(Oracle::Static, detail);
            }
            host.left.insert(*task, now);
        }
        if before.is_some()
            && shown.is_none()
            && host.truth.as_ref().is_some_and(|route| !route.tasks.is_empty())
            && host.moved_at <= host.shown_since
        {
            return broken(Oracle::Static, format!("s{index} lost its route, and the service that claims it is there"));
        }
        for task in shown.iter().flatten().filter(|task| !before.as_ref().is_some_and(|before| before.contains_key(task))) {
            if !host.ran.contains(task) {
                return broken(Oracle::View, format!("s{index} is routed to task {task}, which was never to get its requests"));
            }
            // One that runs on a network that the gateway left is there, and may be taken for reachable.
            let runs = truth.as_ref().is_some_and(|route| route.runs.contains(task));
            // What the gateway let go for another service it may find again as it was.
            let same = host.moved_at < turned(task);
            if !runs && same && host.left.get(task).is_some_and(|left| *left >= turned(task)) {
                let since = now - turned(task);
                return broken(
                    Oracle::View,
                    format!("s{index} is routed to task {task} again, {since} ms after it ceased to run"),
                );
            }
            host.left.remove(task);
        }
        if before.is_none() {
            host.shown_since = now;
        }
        let since = |task: usize| before.as_ref().and_then(|before| before.get(&task).copied()).unwrap_or(now);
        host.shown = shown.map(|shown| shown.into_iter().map(|task| (task, since(task))).collect());
        Ok(())
    }

    /// Whether the gateway shows what is true.
    pub fn is_converged(&self) -> bool {
        self.well && self.hosts.iter().all(|host| host.differs().is_empty() && !host.is_misrouted())
    }

    /// Whether it shows what has been true for long enough. To be asked now and then.
    pub fn converges(&mut self, now: u64) -> Verdict {
        self.counts.judges(now, Oracle::View);
        self.counts.judges(now, Oracle::Convergence);
        for (index, host) in self.hosts.iter().enumerate() {
            let late = |then: u64| self.known_by(then).is_some_and(|by| by < now);
            if host.is_misrouted() && late(host.moved_at) && host.differs().is_empty() {
                let detail = format!(
                    "s{index} should be {} and is {}, {} ms after its last change",
                    if host.truth.is_some() { "routed" } else { "unknown" },
                    if host.shown.is_some() { "routed" } else { "unknown" },
                    now - host.moved_at
                );
                return broken(Oracle::View, detail);
            }
            let turned = |task: &usize| host.turned.get(task).copied().unwrap_or(0);
            if let Some(task) = host.differs().into_iter().find(|task| late(turned(task))) {
                let what =
                    if host.shown.as_ref().is_some_and(|shown| shown.contains_key(&task)) { "still has" } else { "still lacks" };
                let detail = format!("s{index} {what} task {task}, {} ms after that changed", now - turned(&task));
                return broken(Oracle::View, detail);
            }
        }
        Ok(())
    }

    // ---- requests ----

    /// A client begins a request.
    pub fn asked(&mut self, now: u64, id: u64, ask: &Ask) {
        self.counts.asked += 1;
        let shown = self.hosts[ask.service].shown.as_ref().map(|shown| shown.keys().copied().collect());
        self.requests.insert(id, Request { began: now, host: ask.service, post: ask.post, shown, arrivals: 0 });
        self.open.insert(id, now);
    }

    /// A task read a request's head.
    pub fn arrived(&mut self, now: u64, task: usize, id: u64, host: &str) -> Verdict {
        self.counts.arrivals += 1;
        [Oracle::CrossTalk, Oracle::Tenant, Oracle::Drain].into_iter().for_each(|oracle| self.counts.judges(now, oracle));
        let Some(request) = self.requests.get_mut(&id) else {
            return broken(Oracle::CrossTalk, format!("task {task} got request {id}, which no client sent"));
        };
        request.arrivals += 1;
        if host != format!("s{}.test", request.host) {
            return broken(
                Oracle::CrossTalk,
                format!("request {id} for s{} came to task {task} as one for {host:?}", request.host),
            );
        }
        if request.post && request.arrivals > 1 {
            return broken(Oracle::Answer, format!("request {id} is a POST and reached tasks {} times", request.arrivals));
        }
        let (began, host) = (request.began, request.host);
        let Some(it) = self.tasks.get(&task) else {
            return broken(Oracle::Tenant, format!("request {id} came to task {task}, which has no address"));
        };
        let at = &self.hosts[host];
        if at.truth.as_ref().is_none_or(|route| route.service != it.facts.service) {
            self.may_be_mistaken(now, host, task, id)?;
        } else if let Some(left) = at.left.get(&task).filter(|left| **left < began) {
            return broken(Oracle::Drain, format!("task {task} was withdrawn {} ms ago and got request {id}", now - left));
        } else if let Some(first) = &self.requests[&id].shown {
            self.counts.judges(now, Oracle::Removed);
            // One that has the address of another task of its service may be taken for that one, as one of another service may.
            let had = |task: &usize| {
                first.contains(task)
                    || at.left.contains_key(task)
                    || at.shown.as_ref().is_some_and(|shown| shown.contains_key(task))
            };
            if !self.tenants.get(&it.address).into_iter().flatten().any(had) {
                return broken(Oracle::Removed, format!("request {id} came to task {task}, which no state had since it began"));
            }
        }
        Ok(())
    }

    /// A request is with a service that its host does not name: only where the gateway could not know better.
    fn may_be_mistaken(&mut self, now: u64, index: usize, task: usize, id: u64) -> Verdict {
        let (host, it) = (&self.hosts[index], &self.tasks[&task]);
        let tenants = self.tenants.get(&it.address).into_iter().flatten();
        // A kernel repeats for minutes what went into a network that it was cut off from.
        if it.was_cut && host.ran.contains(&task) {
            self.counts.excused += 1;
            return Ok(());
        }
        // When the address last belonged to a task that the host did name.
        let last = tenants.filter_map(|tenant| host.turned.get(tenant)).max();
        match last {
            Some(last) if self.known_by(*last).is_none_or(|by| now <= by + UNDER_WAY) => {
                self.counts.excused += 1;
                Ok(())
            }
            _ => {
                let since = last.map_or_else(|| "never".to_owned(), |last| format!("not since {} ms", now - last));
                let detail = format!(
                    "request {id} for s{index} came to task {task} of app{}; its address {} belonged to s{index} {since}",
                    it.facts.app, it.address
                );
                broken(Oracle::Tenant, detail)
            }
        }
    }

    /// A client got a whole response.
    pub fn answered(&mut self, now: u64, id: u64, answer: &Answer) -> Verdict {
        self.counts.answered += 1;
        [Oracle::Answer, Oracle::CrossTalk].into_iter().for_each(|oracle| self.counts.judges(now, oracle));
        if self.open.remove(&id).is_none() {
            return broken(Oracle::Answer, format!("request {id} was answered and had ended before"));
        }
        match &answer.reason {
            Some(reason) => {
                let sent = matches!(reason.as_str(), "upstream_closed" | "upstream_timeout" | "upstream_protocol");
                self.fails(now, id, &format!("got {} ({reason})", answer.status), answer.status >= 500, sent)
            }
            None if answer.status != 200 => {
                broken(Oracle::CrossTalk, format!("request {id} got status {}, which no task gives", answer.status))
            }
            None if answer.echo != Some(id) => {
                broken(Oracle::CrossTalk, format!("request {id} got the response to {:?}", answer.echo))
            }
            None if !answer.body_is_right => {
                broken(Oracle::CrossTalk, format!("request {id} got a body that task {:?} did not send", answer.server))
            }
            None => Ok(()),
        }
    }

    /// A client's request ended without a whole response.
    pub fn cut_off(&mut self, now: u64, id: u64, task: Option<usize>, how: &str) -> Verdict {
        self.open.remove(&id);
        let Some(Request { began, .. }) = self.requests.get(&id) else { return Ok(()) };
        let began = *began;
        self.counts.judges(now, Oracle::Answer);
        let told = format!("got no whole response: {how}");
        match task.and_then(|task| self.tasks.get(&task)) {
            // The bytes of a task that died were on their way; whether it was to die is judged all the same.
            Some(task) if task.serving_since.is_none_or(|since| since > began) => self.planned(now, id, &told, true),
            _ => broken(Oracle::Answer, format!("request {id} {told}; the task of its head: {task:?}")),
        }
    }

    /// Whether a request that began then would have been served by this task, had it been asked.
    pub fn is_sound(&self, began: u64, task: usize) -> bool {
        self.blind.is_empty()
            && self.tasks.get(&task).is_some_and(|it| {
                let spoilt = |at: u64| at + super::SPOILT >= began;
                !it.was_cut && !it.closed_at.is_some_and(spoilt) && it.serving_since.is_some_and(|since| !spoilt(since))
            })
    }

    /// The task of this identity.
    pub fn task_of(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// What a client lost to the end of its gateway.
    pub fn excuse(&mut self, id: u64) {
        self.counts.excused += 1;
        self.open.remove(&id);
    }

    /// A client left on purpose.
    pub fn left(&mut self, id: u64) {
        self.counts.aborted += 1;
        self.open.remove(&id);
    }

    /// Requests that have not ended.
    pub fn open(&self) -> impl Iterator<Item = (u64, u64)> {
        self.open.iter().map(|(id, began)| (*id, *began))
    }

    /// A response of the gateway's own making, or none: when may it be?
    fn fails(&mut self, now: u64, id: u64, told: &str, routed: bool, sent: bool) -> Verdict {
        self.planned(now, id, told, sent)?;
        let request = &self.requests[&id];
        let (host, post) = (&self.hosts[request.host], request.post);
        let (Some(first), Some(last)) = (&request.shown, &host.shown) else { return Ok(()) };
        if !routed {
            return if host.moved_at < request.began.saturating_sub(SEEN) {
                broken(
                    Oracle::Answer,
                    format!("request {id} to s{} {told}, and its route stood from beginning to end", request.host),
                )
            } else {
                Ok(())
            };
        }
        let steady = |task: &&usize| {
            let serving = self.tasks.get(task).and_then(|task| task.serving_since);
            last.get(task).is_some_and(|since| *since <= request.began) && serving.is_some_and(|since| since <= request.began)
        };
        let good: Vec<_> = first.iter().filter(steady).collect();
        let seen: BTreeSet<_> = first.iter().chain(last.keys()).collect();
        let bad = seen.len() - good.len();
        if good.is_empty() || sent && (bad >= 2 || post && (bad >= 1 || self.was_closing(request))) {
            return Ok(());
        }
        broken(
            Oracle::Answer,
            format!("request {id} to s{} {told}, while tasks {good:?} ran and were shown since before it", request.host),
        )
    }

    /// Where only planned things happened, and some task could be asked all the time, nothing fails.
    fn planned(&mut self, now: u64, id: u64, told: &str, sent: bool) -> Verdict {
        self.counts.judges(now, Oracle::Planned);
        let request = &self.requests[&id];
        let host = &self.hosts[request.host];
        let before = request.began.saturating_sub(SEEN);
        let calm = self.known_by(0).is_some_and(|by| by <= request.began) && host.moved_at <= before && host.bare_until <= before;
        let mourned = host.death.is_some_and(|death| death + MOURNING >= request.began && death <= now);
        if calm && !mourned && !(sent && request.post && self.was_closing(request)) {
            let detail = format!(
                "request {id} to s{} {told}, while one task at least could be asked since {} ms",
                request.host,
                now - host.bare_until
            );
            return broken(Oracle::Planned, detail);
        }
        self.counts.excused += 1;
        Ok(())
    }

    /// A server may have closed a connection just when a request went out on it.
    fn was_closing(&self, request: &Request) -> bool {
        let shown = self.hosts[request.host].shown.iter().flat_map(BTreeMap::keys).chain(request.shown.iter().flatten());
        let closed = |task: &Task| task.was_cut || task.closed_at.is_some_and(|at| at + CLOSING >= request.began);
        shown.filter_map(|task| self.tasks.get(task)).any(closed)
    }
}

impl Host {
    /// It has a route and should have none, or the reverse. Without a task it may be as it likes.
    fn is_misrouted(&self) -> bool {
        match (&self.truth, &self.shown) {
            (None, shown) => shown.is_some(),
            (Some(truth), shown) => !truth.tasks.is_empty() && shown.is_none(),
        }
    }

    /// Tasks that are true and not shown, or shown and not true.
    fn differs(&self) -> BTreeSet<usize> {
        let shown: BTreeSet<_> = self.shown.iter().flat_map(BTreeMap::keys).copied().collect();
        let is_true: BTreeSet<_> = self.truth.iter().flat_map(|route| &route.tasks).copied().collect();
        shown.symmetric_difference(&is_true).copied().collect()
    }
}
