//! Everything the network knows: hosts and their sockets, links, one queue of events in virtual time.
//!
//! A driver task sleeps until the next event. Each delivery and each draw goes through madsim's seeded generator and
//! clock, so madsim's own determinism check covers the network. All maps are ordered.

use super::{
    conn::Conn,
    dns::Records,
    fs::Files,
    net::{HostId, Link, Net, RuleId, SocketInfo, Stats, Verdict},
    packet::Packet,
    pcap::Capture,
    segment::Config,
    unix,
};
use madsim::{plugin, task::NodeId, time::Sleep};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::{Future, poll_fn},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime},
};
use tcp::{Listener, Sock};

mod tcp;
mod udp;
mod wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SockId(u64);

type Rule = Box<dyn FnMut(&Packet) -> Verdict + Send>;
type Bound = BTreeMap<SocketAddr, Vec<SockId>>;

pub(super) struct Host {
    pub(super) up: bool,
    pub(super) cfg: Config,
    pub(super) cpus: usize,
    pub(super) skew_millis: i64,
    pub(super) failing_accepts: u32,
    pub(super) starvation: Option<Duration>,
    pub(super) files: Files,
    pub(super) unix: BTreeMap<PathBuf, unix::Backlog>,
    addrs: Vec<IpAddr>,
    tuples: BTreeMap<(SocketAddr, SocketAddr), SockId>,
    tcp: Bound,
    udp: Bound,
    next_port: u16,
}

enum Event {
    /// A packet sent by this host reaches the end of its wire. Boxed, since the queue moves its events about.
    Arrive(HostId, Box<Packet>),
    Timer(SockId),
}

struct Queued(Instant, u64, Event);

pub(super) struct World {
    cfg: Config,
    start: (Instant, SystemTime),
    hosts: BTreeMap<HostId, Host>,
    by_node: BTreeMap<NodeId, HostId>,
    owner: BTreeMap<IpAddr, HostId>,
    socks: BTreeMap<SockId, Sock>,
    listeners: BTreeMap<SockId, Listener>,
    datagrams: BTreeMap<SockId, udp::Sock>,
    pub(super) records: Records,
    pub(super) default_link: Link,
    pub(super) links: BTreeMap<(HostId, HostId), Link>,
    last_arrival: BTreeMap<(HostId, HostId), Instant>,
    pub(super) rules: BTreeMap<RuleId, Rule>,
    queue: BinaryHeap<Reverse<Queued>>,
    next: u64,
    driver: Option<Waker>,
    armed: Option<Instant>,
    pub(super) wakes: Vec<Waker>,
    pub(super) stats: Stats,
    pub(super) short_io: f64,
    /// Hosts that are starved.
    pub(super) starving: usize,
    pub(super) capture: Option<Capture>,
}

/// Delivers events as their time comes. madsim's `sleep` is never shorter than 1 ms; `reset` is exact.
pub(super) async fn drive(net: Net) {
    let mut sleep: Option<(Instant, Pin<Box<Sleep>>)> = None;
    poll_fn::<(), _>(|cx| {
        loop {
            let now = Instant::now();
            let next = net.with(|w| {
                w.driver = Some(cx.waker().clone());
                w.run_due(now);
                w.armed = w.queue.peek().map(|e| e.0.0);
                w.armed
            });
            let Some(at) = next else { return Poll::Pending };
            if sleep.as_ref().is_some_and(|(armed, _)| *armed == at && *armed > now) {
                return Poll::Pending; // polling it again would add a second timer
            }
            let mut timer = Box::pin(madsim::time::sleep(Duration::ZERO));
            timer.as_mut().reset(at);
            if timer.as_mut().poll(cx).is_pending() {
                sleep = Some((at, timer));
                return Poll::Pending;
            }
        }
    })
    .await
}

impl World {
    pub(super) fn new(cfg: Config) -> World {
        World {
            cfg,
            start: (Instant::now(), SystemTime::now()),
            hosts: BTreeMap::new(),
            by_node: BTreeMap::new(),
            owner: BTreeMap::new(),
            socks: BTreeMap::new(),
            listeners: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            records: Records::default(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            rules: BTreeMap::new(),
            queue: BinaryHeap::new(),
            next: 0,
            driver: None,
            armed: None,
            wakes: vec![],
            stats: Stats { trace: wire::FNV_START, ..Stats::default() },
            short_io: 0.0,
            starving: 0,
            capture: None,
        }
    }

    // ---- hosts ----

    pub(super) fn add_host(&mut self, node: NodeId) -> HostId {
        let id = HostId(self.hosts.len() as u32);
        let host = Host {
            up: true,
            cfg: self.cfg.clone(),
            cpus: 2,
            skew_millis: 0,
            failing_accepts: 0,
            starvation: None,
            files: Files::default(),
            unix: BTreeMap::new(),
            addrs: vec![],
            tuples: BTreeMap::new(),
            tcp: Bound::new(),
            udp: Bound::new(),
            next_port: *self.cfg.ephemeral.start(),
        };
        self.hosts.insert(id, host);
        self.by_node.insert(node, id);
        id
    }

    pub(super) fn host(&mut self, id: HostId) -> &mut Host {
        self.hosts.get_mut(&id).expect("hosts are never removed")
    }

    /// The host of the current task's node.
    pub(super) fn caller(&self) -> io::Result<HostId> {
        let node = plugin::node();
        let no_host = || io::Error::new(ErrorKind::NetworkUnreachable, format!("node {node} is no host: call Net::host"));
        self.by_node.get(&node).copied().ok_or_else(no_host)
    }

    pub(super) fn attach(&mut self, host: HostId, ip: IpAddr) {
        let before = self.owner.insert(ip, host);
        assert!(before.is_none_or(|h| h == host), "{ip} is an address of {before:?}");
        self.host(host).addrs.push(ip);
    }

    pub(super) fn detach(&mut self, host: HostId, ip: IpAddr) {
        assert_eq!(self.owner.remove(&ip), Some(host), "{ip} is not an address of {host:?}");
        self.host(host).addrs.retain(|a| *a != ip);
    }

    pub(super) fn exit(&mut self, host: HostId) {
        let listeners: Vec<_> = self.listeners.iter().filter(|(_, l)| l.host == host).map(|(id, _)| *id).collect();
        listeners.into_iter().for_each(|id| self.close_listener(id));
        let socks: Vec<_> = self.socks.iter().filter(|(_, s)| s.host == host).map(|(id, _)| *id).collect();
        for id in socks {
            self.on_conn(id, |c, now, out| c.close(now, out));
        }
        self.forget_datagrams(host);
        self.host(host).unix.clear();
    }

    pub(super) fn power_off(&mut self, host: HostId) {
        self.socks.retain(|_, s| s.host != host);
        self.listeners.retain(|_, l| l.host != host);
        self.forget_datagrams(host);
        let h = self.host(host);
        h.up = false;
        h.tuples.clear();
        h.tcp.clear();
        h.unix.clear();
    }

    pub(super) fn netstat(&self, host: HostId) -> Vec<SocketInfo> {
        let info = |c: &Conn| {
            let (recv_q, send_q) = c.queues();
            SocketInfo { local: c.local, peer: c.peer, state: c.name(), recv_q, send_q }
        };
        self.socks.values().filter(|s| s.host == host).map(|s| info(&s.conn)).collect()
    }

    // ---- events ----

    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn push(&mut self, at: Instant, event: Event) {
        let n = self.next();
        self.queue.push(Reverse(Queued(at, n, event)));
    }

    /// Wakes the driver if something is due before it meant to get up.
    pub(super) fn call_driver(&mut self) {
        if let Some(first) = self.queue.peek().map(|e| e.0.0)
            && self.armed.is_none_or(|armed| first < armed)
            && let Some(driver) = self.driver.take()
        {
            self.wakes.push(driver);
        }
    }

    fn run_due(&mut self, now: Instant) {
        while self.queue.peek().is_some_and(|e| e.0.0 <= now) {
            let Some(Reverse(Queued(_, _, event))) = self.queue.pop() else {
                return;
            };
            self.stats.events += 1;
            match event {
                Event::Arrive(from, packet) => self.arrive(now, from, *packet),
                Event::Timer(id) => self.on_timer(id),
            }
        }
    }

    // ---- ports ----

    /// A free port: for a listener, or (as on Linux) free only towards this peer.
    fn port(&mut self, host: HostId, towards: Option<(IpAddr, SocketAddr)>) -> io::Result<u16> {
        let h = self.host(host);
        let range = h.cfg.ephemeral.clone();
        for _ in range.clone() {
            let port = h.next_port;
            h.next_port = if port >= *range.end() { *range.start() } else { port + 1 };
            let taken = towards.is_some_and(|(ip, peer)| h.tuples.contains_key(&(SocketAddr::new(ip, port), peer)));
            if !taken && !h.tcp.keys().chain(h.udp.keys()).any(|b| b.port() == port) {
                return Ok(port);
            }
        }
        Err(ErrorKind::AddrNotAvailable.into())
    }

    /// Checks that the host has the address, and picks a port if none is asked for.
    fn local(&mut self, host: HostId, mut addr: SocketAddr) -> io::Result<SocketAddr> {
        let ip = addr.ip();
        if !(ip.is_unspecified() || ip.is_loopback() || self.host(host).addrs.contains(&ip)) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if addr.port() == 0 {
            addr.set_port(self.port(host, None)?);
        }
        Ok(addr)
    }

    /// The address to speak from: on the peer's network if there is one, else the oldest.
    fn source(&self, host: HostId, dst: IpAddr) -> io::Result<IpAddr> {
        let addrs = &self.hosts[&host].addrs;
        if dst.is_loopback() || addrs.contains(&dst) {
            return Ok(dst);
        }
        let same = addrs.iter().enumerate().filter(|(_, a)| a.is_ipv4() == dst.is_ipv4());
        let best = same.max_by_key(|(i, a)| (common_prefix(**a, dst), Reverse(*i)));
        best.map(|(_, a)| *a).ok_or(ErrorKind::NetworkUnreachable.into())
    }
}

fn common_prefix(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
