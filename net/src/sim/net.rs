//! The handle to the simulated network: hosts, links, faults, and what can be observed.
//!
//! The socket types of the sibling modules go through [`Net::with`]; wakers run after its lock is released.

use super::{packet::Packet, segment::Config, world::World};
use madsim::task::NodeId;
use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub(super) u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(pub(super) u64);

/// One direction between two hosts.
#[derive(Clone, Debug)]
pub struct Link {
    /// Drawn per packet; later packets never overtake earlier ones unless `reorder`.
    pub latency: Range<Duration>,
    pub loss: f64,
    pub duplicate: f64,
    pub reorder: bool,
    /// Nothing passes, and what is on the way is lost.
    pub blocked: bool,
}

impl Default for Link {
    fn default() -> Self {
        let latency = Duration::from_micros(200)..Duration::from_micros(1000);
        Self { latency, loss: 0.0, duplicate: 0.0, reorder: false, blocked: false }
    }
}

/// What a rule does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Drop,
    Delay(Duration),
    /// A router answers "host unreachable".
    Reject,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub events: u64,
    pub sent: u64,
    pub delivered: u64,
    pub delivered_bytes: u64,
    pub lost: u64,
    /// Packets to or from an address that nobody holds, or to a host without power.
    pub unroutable: u64,
    /// Hash over every delivery: time, addresses, flags, lengths. Never the bytes: TLS ones differ between runs.
    pub trace: u64,
}

/// One line of `netstat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    pub local: SocketAddr,
    pub peer: SocketAddr,
    pub state: &'static str,
    /// Bytes received but not read.
    pub recv_q: usize,
    /// Bytes written but not acknowledged.
    pub send_q: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Net>> = const { RefCell::new(None) };
}

/// Handle to the simulated network of this simulation.
#[derive(Clone)]
pub struct Net(Arc<Mutex<World>>);

impl Net {
    /// Starts the network of this simulation. Call it from the main task, before nodes use sockets: the driver that
    /// plays kernels and wires must live on a node that is never killed or paused.
    pub fn start(cfg: Config) -> Net {
        let net = Net(Arc::new(Mutex::new(World::new(cfg))));
        CURRENT.with(|c| *c.borrow_mut() = Some(net.clone()));
        madsim::task::spawn(super::world::drive(net.clone()));
        net
    }

    /// The network that was started last in this simulation.
    ///
    /// # Panics
    /// If there is none.
    pub fn current() -> Net {
        Net::try_current().expect("Net::start comes first")
    }

    pub(super) fn try_current() -> Option<Net> {
        CURRENT.with(|c| c.borrow().clone())
    }

    /// Makes `node` a host with these addresses.
    pub fn host(&self, node: NodeId, addrs: &[&str]) -> HostId {
        self.with(|w| {
            let host = w.add_host(node);
            addrs.iter().for_each(|a| w.attach(host, ip(a)));
            host
        })
    }

    /// The host of the task that asks.
    pub fn this_host(&self) -> std::io::Result<HostId> {
        self.with(|w| w.caller())
    }

    /// Gives a host one more address. Panics if another host holds it.
    pub fn attach(&self, host: HostId, addr: &str) {
        self.with(|w| w.attach(host, ip(addr)));
    }

    /// Takes an address away. Its sockets stay, but neither hear nor are heard.
    pub fn detach(&self, host: HostId, addr: &str) {
        self.with(|w| w.detach(host, ip(addr)));
    }

    /// Changes what sockets made from now on by this host are like.
    pub fn configure(&self, host: HostId, f: impl FnOnce(&mut Config)) {
        self.with(|w| f(&mut w.host(host).cfg));
    }

    /// CPUs that [`crate::task::available_cpus`] tells; 2 unless set.
    pub fn cpus(&self, host: HostId, n: usize) {
        self.with(|w| w.host(host).cpus = n.max(1));
    }

    /// Puts this host's wall clock ahead by so many milliseconds (behind, if negative).
    pub fn skew(&self, host: HostId, millis: i64) {
        self.with(|w| w.host(host).skew_millis = millis);
    }

    // ---- wires ----

    /// Every link that has no setting of its own.
    pub fn default_link(&self, f: impl FnOnce(&mut Link)) {
        self.with(|w| f(&mut w.default_link));
    }

    /// One direction, `from` to `to`.
    pub fn link(&self, from: HostId, to: HostId, f: impl FnOnce(&mut Link)) {
        self.with(|w| {
            let default = w.default_link.clone();
            f(w.links.entry((from, to)).or_insert(default));
        });
    }

    /// Cuts both directions between two hosts, or heals them.
    pub fn partition(&self, a: HostId, b: HostId, blocked: bool) {
        self.link(a, b, |l| l.blocked = blocked);
        self.link(b, a, |l| l.blocked = blocked);
    }

    /// A rule sees every packet between hosts, oldest rule first; the first verdict that is not `Pass` holds.
    /// It runs under the network's lock and must not call the network.
    pub fn rule(&self, rule: impl FnMut(&Packet) -> Verdict + Send + 'static) -> RuleId {
        self.with(|w| {
            let id = RuleId(w.next());
            w.rules.insert(id, Box::new(rule));
            id
        })
    }

    pub fn remove_rule(&self, id: RuleId) {
        self.with(|w| w.rules.remove(&id));
    }

    // ---- machines and processes ----

    /// The process dies: the kernel closes all its sockets now (FIN, or RST where bytes were left unread), and their
    /// ports are free. Call it together with madsim's `kill` or `restart`, which drop the tasks only later and in
    /// random order.
    pub fn exit(&self, host: HostId) {
        self.with(|w| w.exit(host));
    }

    /// The machine dies without a word: all its sockets vanish, nothing is sent. Kill the node's tasks as well.
    pub fn power_off(&self, host: HostId) {
        self.with(|w| w.power_off(host));
    }

    pub fn power_on(&self, host: HostId) {
        self.with(|w| w.host(host).up = true);
    }

    /// Reads and writes of streams move fewer bytes than they could, with this probability.
    pub fn short_io(&self, probability: f64) {
        self.with(|w| w.short_io = probability);
    }

    /// The next `n` accepts that find a connection fail with `EMFILE`; the connection goes on waiting.
    pub fn fail_accepts(&self, host: HostId, n: u32) {
        self.with(|w| w.host(host).failing_accepts = n);
    }

    /// Each poll of a task of this host that `fairlead_net::task` started comes late by up to so much, until that is taken back.
    pub fn starve(&self, host: HostId, most: Option<Duration>) {
        self.with(|w| {
            let before = std::mem::replace(&mut w.host(host).starvation, most).is_some();
            w.starving = w.starving + usize::from(most.is_some()) - usize::from(before);
        });
    }

    // ---- what can be observed ----

    pub fn stats(&self) -> Stats {
        self.with(|w| w.stats.clone())
    }

    /// The host's TCP connections, oldest first.
    pub fn netstat(&self, host: HostId) -> Vec<SocketInfo> {
        self.with(|w| w.netstat(host))
    }

    /// Starts to record every packet as it arrives, up to `limit` bytes of file.
    pub fn capture(&self, limit: usize) {
        self.with(|w| w.start_capture(limit));
    }

    /// Ends the recording: a classic pcap file, for Wireshark and tshark. Empty if nothing was recorded.
    pub fn end_capture(&self) -> Vec<u8> {
        self.with(|w| w.capture.take().map(super::pcap::Capture::into_file).unwrap_or_default())
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        let (r, wakes) = {
            let mut w = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let r = f(&mut w);
            w.call_driver();
            (r, std::mem::take(&mut w.wakes))
        };
        wakes.into_iter().for_each(Waker::wake);
        r
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not an IP address"))
}
