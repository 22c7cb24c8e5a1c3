//! One server as the data path sees it: whether it may be picked, what is in flight, and its idle connections.
//!
//! Lives outside the snapshot, keyed by service, server, instance and transport, so that a renamed router cools nothing, and another
//! container at the same address inherits nothing. The life and
//! health machines are core's; what they say is mirrored in one atomic byte that a pick reads.

use crate::proxy::upstream::Kept;
use fairlead_core::{
    Name,
    config::dynamic::{Server, ServerUrl, UpstreamScheme},
    endpoint::{self, Action, Event, Life, Standing},
    health::Health,
    outlier::{Change, Outcome, Outlier, OutlierPolicy},
    race,
};
use fairlead_net::{
    http2,
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

/// What makes two servers the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub service: Name,
    pub url: Arc<str>,
    /// Which task or container it is; empty where nobody knows.
    pub instance: String,
    pub transport: Name,
    /// How often that transport has changed: connections made under its old options serve nobody after a change.
    pub revision: u64,
}

/// One server.
pub struct Endpoint {
    pub key: Arc<Key>,
    pub url: ServerUrl,
    /// `host:port`, for `Host` where the client's is not passed, and for logs.
    pub authority: String,
    /// Where it runs; empty where nobody knows.
    pub node: String,
    in_flight: AtomicU32,
    flags: AtomicU8,
    machine: Mutex<Machine>,
    outlier: Mutex<Outlier>,
    /// What active checks have found, kept over changes of the service and restarts of its check.
    health: Mutex<Option<Box<Health>>>,
    /// Until then, in milliseconds of core's time, it is avoided, unless it answers before.
    suspected_until: AtomicU64,
    /// Until then, in milliseconds of core's time, successes count too: there was a failure to weigh them against.
    doubted_until: AtomicU64,
    idle: Box<[Mutex<Idle>]>,
    /// `None`: no name was looked up, as there is none in most URLs.
    addresses: Mutex<Option<Box<Addresses>>>,
    turn: AtomicUsize,
}

/// Idle connections of one worker.
#[derive(Default)]
pub struct Idle {
    /// With the time since when each is idle.
    pub h1: Vec<(Box<Kept>, Instant)>,
    pub h2: Option<Box<Shareable>>,
}

/// An HTTP/2 connection that requests share.
pub struct Shareable {
    pub client: http2::client::Client,
    /// When a request last went over it.
    pub since: Instant,
}

struct Addresses {
    since: Instant,
    known: Arc<[IpAddr]>,
    stale: bool,
}

struct Machine {
    life: endpoint::Endpoint,
    probe_up: bool,
    /// Why no request can get there, as discovery says.
    unreachable: Option<String>,
}

/// How long a failure keeps successes counted: longer than any window in which they are weighed.
const DOUBT: Duration = Duration::from_secs(120);

const NEW_WORK: u8 = 1;
const SESSIONS: u8 = 2;
const KEEPS: u8 = 4;
const EJECTED: u8 = 8;
const SUSPECTED: u8 = 16;

impl Endpoint {
    /// A server that is known and not yet to be given work.
    pub fn new(key: Arc<Key>, server: &Server, workers: usize, policy: Arc<OutlierPolicy>) -> Self {
        let url = server.url.clone();
        let host = if url.host.contains(':') { format!("[{}]", url.host) } else { (*url.host).to_owned() };
        let default_port = match url.scheme {
            UpstreamScheme::Https => Some(443),
            UpstreamScheme::Http | UpstreamScheme::H2c => Some(80),
            UpstreamScheme::Tcp => None,
        };
        let authority = if Some(url.port) == default_port { host } else { format!("{host}:{}", url.port) };
        Self {
            key,
            url,
            authority,
            node: server.node.clone(),
            in_flight: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            machine: Mutex::new(Machine {
                life: endpoint::Endpoint::new(),
                probe_up: true,
                unreachable: server.unreachable.clone(),
            }),
            outlier: Mutex::new(Outlier::new(policy)),
            health: Mutex::default(),
            suspected_until: AtomicU64::new(0),
            doubted_until: AtomicU64::new(0),
            idle: (0..workers).map(|_| Mutex::default()).collect(),
            addresses: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether a new request may go here.
    pub fn takes_new(&self) -> bool {
        self.flags() & (NEW_WORK | EJECTED | SUSPECTED) == NEW_WORK
    }

    /// The same with ejection and suspicion, which are guesses, left out of account.
    pub fn would_take_new(&self) -> bool {
        self.flags() & NEW_WORK != 0
    }

    /// Whether what requests met here has it ejected for now.
    pub fn is_ejected(&self) -> bool {
        self.flags() & EJECTED != 0
    }

    /// When its ejection ends, in core's time; `None`: it is not ejected, or until a probe passes.
    pub fn ejected_until(&self) -> Option<Duration> {
        self.is_ejected().then(|| self.outlier.lock().ejected_until()).flatten()
    }

    /// When its last suspicion ends or ended, in core's time.
    pub fn suspected_until(&self) -> Duration {
        Duration::from_millis(self.suspected_until.load(Ordering::Relaxed))
    }

    /// Whether it was slower to answer than it usually is, and has not answered since.
    pub fn is_suspected(&self) -> bool {
        self.flags() & SUSPECTED != 0
    }

    /// It did not answer in time: for a while others are asked first.
    pub fn suspect(&self, now: Duration) {
        self.suspected_until.store((now + race::SUSPICION).as_millis() as u64, Ordering::Relaxed);
        self.set(SUSPECTED, true);
    }

    /// It swallowed a request: whatever connections are kept to it, their fate is the same.
    pub fn lost(&self, now: Duration) {
        self.suspect(now);
        self.close_idle();
    }

    /// It has answered.
    pub fn answered(&self) {
        if self.is_suspected() {
            self.set(SUSPECTED, false);
        }
    }

    /// Whether a client bound to this server by a cookie may still come: true while it drains, false while it is ejected.
    pub fn serves_sessions(&self) -> bool {
        self.flags() & (SESSIONS | EJECTED) == SESSIONS
    }

    /// Whether idle connections are worth keeping.
    pub fn keeps_connections(&self) -> bool {
        self.flags() & KEEPS != 0
    }

    fn flags(&self) -> u8 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Feeds the life machine, and hands on what its caller has to do beyond the pick set and the pools.
    pub fn handle(&self, now: Duration, event: Event) -> Vec<Action> {
        let mut machine = self.machine.lock();
        let actions = machine.life.handle(now, event);
        self.mirror(&machine);
        drop(machine);
        #[cfg(planted = "pool_kept")]
        if fairlead_net::sim::is_planted("pool_kept") {
            return actions;
        }
        if !self.keeps_connections() {
            self.close_idle();
        }
        actions
    }

    /// What the active health check says.
    pub fn probed(&self, now: Duration, up: bool) {
        let mut machine = self.machine.lock();
        machine.probe_up = up;
        self.mirror(&machine);
        drop(machine);
        if up && self.outlier.lock().restore(now) == Change::Restored {
            self.set(EJECTED, false);
        }
    }

    /// What discovery says about the way to it.
    pub fn set_unreachable(&self, why: Option<&str>) {
        let mut machine = self.machine.lock();
        machine.unreachable = why.map(str::to_owned);
        self.mirror(&machine);
    }

    /// Why no request can get there, as discovery says.
    pub fn unreachable(&self) -> Option<String> {
        self.machine.lock().unreachable.clone()
    }

    /// What active checks have found so far.
    pub fn health(&self) -> Option<Health> {
        self.health.lock().as_deref().cloned()
    }

    /// Notes what active checks have found; `None`: there are none.
    pub fn set_health(&self, health: Option<Health>) {
        *self.health.lock() = health.map(Box::new);
    }

    /// Takes over what is known of the same server under other options.
    pub fn succeed(&self, other: &Self) {
        self.set_health(other.health());
        let probe_up = other.standing().probe_up;
        let mut machine = self.machine.lock();
        machine.probe_up = probe_up;
        self.mirror(&machine);
    }

    /// Where the server is in its life, and what speaks for or against it.
    pub fn standing(&self) -> Standing {
        let machine = self.machine.lock();
        Standing { ejected: self.is_ejected(), ..machine.standing() }
    }

    /// Takes over a changed rule for ejection. Whoever was ejected by another rule is back.
    pub fn judge_by(&self, policy: Arc<OutlierPolicy>) {
        let mut outlier = self.outlier.lock();
        outlier.update(policy);
        self.set(EJECTED, outlier.is_ejected());
    }

    /// Whether this outcome changes nothing: the common case, without a lock.
    pub fn is_unmoved_by(&self, now: Duration, outcome: Outcome) -> bool {
        outcome == Outcome::Success && now.as_millis() as u64 > self.doubted_until.load(Ordering::Relaxed)
    }

    /// Tells the outlier detection what a request met; true when that ejects the server.
    pub fn observe(&self, now: Duration, outcome: Outcome, may_eject: bool) -> bool {
        let mut outlier = self.outlier.lock();
        let change = outlier.observe(now, outcome, may_eject);
        if outlier.is_ejected() {
            // The success that ends its probation counts however late it comes.
            self.doubted_until.store(u64::MAX, Ordering::Relaxed);
        } else if outcome != Outcome::Success || self.doubted_until.load(Ordering::Relaxed) == u64::MAX {
            self.doubted_until.store((now + DOUBT).as_millis() as u64, Ordering::Relaxed);
        }
        if matches!(change, Change::Ejected { .. }) {
            self.set(EJECTED, true);
        }
        matches!(change, Change::Ejected { .. })
    }

    /// Lets an ejection or a suspicion end when its time has come.
    pub fn tick(&self, now: Duration) {
        if self.is_suspected() && now.as_millis() as u64 >= self.suspected_until.load(Ordering::Relaxed) {
            self.set(SUSPECTED, false);
        }
        if self.is_ejected() && self.outlier.lock().tick(now) == Change::Restored {
            self.set(EJECTED, false);
        }
    }

    /// This worker's idle connections.
    pub fn idle(&self, worker: usize) -> &Mutex<Idle> {
        &self.idle[worker]
    }

    /// Drops idle connections of this worker that are dead or idle since before `oldest`; tells how many are left.
    pub fn sweep(&self, worker: usize, oldest: Option<Instant>) -> usize {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let fresh = |since: Instant| oldest.is_none_or(|t| since >= t);
        let mut idle = self.idle[worker].lock();
        idle.h1.retain_mut(|(kept, since)| fresh(*since) && kept.connection.poll_idle(&mut cx).is_pending());
        let lives = |h2: &Shareable| !h2.client.is_closed() && (h2.client.active() > 0 || fresh(h2.since));
        idle.h2 = idle.h2.take().filter(|h2| lives(h2));
        idle.h1.len() + usize::from(idle.h2.as_ref().is_some_and(|h2| h2.client.active() == 0))
    }

    /// Number of idle connections over all workers.
    pub fn idle_connections(&self) -> usize {
        self.idle.iter().map(|idle| idle.lock().h1.len()).sum()
    }

    fn close_idle(&self) {
        for idle in &self.idle {
            *idle.lock() = Idle::default();
        }
    }

    fn mirror(&self, machine: &Machine) {
        let standing = machine.standing();
        let life = standing.life;
        self.set(NEW_WORK, standing.takes_new());
        self.set(SESSIONS, standing.serves_sessions());
        self.set(KEEPS, life != Life::Gone && life != Life::Draining);
    }

    fn set(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Addresses believed for `ttl` since they were found.
    pub fn addresses(&self, now: Instant, ttl: Duration) -> Option<Arc<[IpAddr]>> {
        let addresses = self.addresses.lock();
        let addresses = addresses.as_ref()?;
        (!addresses.stale && now.duration_since(addresses.since) < ttl).then(|| addresses.known.clone())
    }

    /// Addresses found at some time, however long ago.
    pub fn last_addresses(&self) -> Option<Arc<[IpAddr]>> {
        self.addresses.lock().as_ref().map(|addresses| addresses.known.clone())
    }

    /// Remembers what the resolver said.
    pub fn set_addresses(&self, now: Instant, found: Vec<IpAddr>) -> Arc<[IpAddr]> {
        let found: Arc<[IpAddr]> = found.into();
        *self.addresses.lock() = Some(Box::new(Addresses { since: now, known: found.clone(), stale: false }));
        found
    }

    /// None of the addresses answered: the resolver is asked again before they are used again.
    pub fn forget_addresses(&self) {
        if let Some(addresses) = &mut *self.addresses.lock() {
            addresses.stale = true;
        }
    }

    /// Where the next connection begins among several addresses.
    pub fn next_address(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

impl Machine {
    /// With ejection, which is kept elsewhere, left out.
    fn standing(&self) -> Standing {
        let reachable = self.unreachable.is_none();
        Standing { life: self.life.life(), reachable, probe_up: self.probe_up, ejected: false }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("key", &self.key).field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl Idle {
    /// Keeps a connection, the oldest giving way when there are `limit` already.
    pub fn keep(&mut self, connection: Box<Kept>, since: Instant, limit: usize) {
        if limit == 0 {
            return;
        }
        if self.h1.len() >= limit {
            self.h1.remove(0);
        }
        self.h1.push((connection, since));
    }
}

/// One request under way to a server.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

impl InFlight {
    /// The server.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        #[cfg(planted = "in_flight_leaked")]
        if fairlead_net::sim::is_planted("in_flight_leaked") && self.0.in_flight() > 1 {
            return;
        }
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
