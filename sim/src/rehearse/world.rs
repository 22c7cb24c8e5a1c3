//! The world of a rehearsal: the gateway with the operator's configuration, a machine for each that its servers' URLs call for,
//! and a crowd of clients.
//!
//! Owns the nodes and the one list of what happened. A run has phases: start, load with incidents, rest, and the gateway's end.
//! Deliberately absent: judgement (`finding`), and chance: what the plan leaves open follows from numbers of requests.

mod client;
mod gateway;
mod incident;
mod material;
mod server;

pub use incident::DEPLOYED;

use super::{
    blueprint::{Blueprint, GATEWAY},
    plan::Plan,
    probe::{CROWD, Client, crowd},
    record::Asked,
};
use crate::trace::{Keep, Trace};
use fairlead_actors::worker::Shared;
use fairlead_core::drain::Outcome;
use fairlead_net::{
    sim::{Answer, Config, HostId, Net},
    task,
    time::{Duration, Instant, now, sleep, sleep_until, timeout},
};
use madsim::runtime::{Handle, NodeHandle};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
};

/// How long the gateway may take to be ready.
const START: Duration = Duration::from_secs(60);
/// How long things may take to come to rest.
const REST: Duration = Duration::from_secs(30);

/// A world while it runs.
pub struct World {
    pub plan: Plan,
    pub blueprint: Blueprint,
    net: Net,
    zero: OnceLock<Instant>,
    gateway: Machine,
    /// By index into the blueprint's nodes.
    nodes: Vec<Machine>,
    clients: BTreeMap<IpAddr, NodeHandle>,
    processes: BTreeMap<String, Arc<server::Process>>,
    /// Where each host is now.
    addresses: Mutex<BTreeMap<String, IpAddr>>,
    material: material::Material,
    shared: OnceLock<Arc<Shared>>,
    seen: Mutex<Seen>,
    trace: Mutex<Trace>,
}

/// A node and its host.
struct Machine {
    node: NodeHandle,
    host: HostId,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub asked: Vec<Asked>,
    /// Servers that a request came to, by its number.
    pub(super) arrivals: BTreeMap<u64, Vec<String>>,
    /// What Fairlead promises and did not keep: oracle, and what was seen.
    pub broken: Vec<(&'static str, String)>,
    /// When the gateway got SIGTERM, in ms.
    pub stopped: Option<u64>,
    /// How the gateway's end went, if it was told to end.
    pub drained: Option<Outcome>,
    /// Incidents in the order in which they ended, as indices into the plan.
    pub struck: Vec<usize>,
    /// When the run was over, in ms.
    pub(super) ended: u64,
}

/// Runs a plan to its end.
///
/// # Errors
/// The configuration is unusable.
pub async fn play(plan: Plan, keep: Keep, look: impl FnOnce(&Arc<World>)) -> anyhow::Result<()> {
    let blueprint = Blueprint::new(&plan.texts, &plan.assumed)?;
    let world = World::new(plan, blueprint, keep)?;
    look(&world);
    world.run().await;
    Ok(())
}

impl World {
    fn new(plan: Plan, blueprint: Blueprint, keep: Keep) -> anyhow::Result<Arc<Self>> {
        let net = Net::start(Config::default());
        net.default_link(|link| link.latency = Duration::from_micros(plan.latency.0)..Duration::from_micros(plan.latency.1 + 1));
        let mut owners: BTreeMap<IpAddr, NodeHandle> = BTreeMap::new();
        let mut machine = |name: &str, addresses: Vec<IpAddr>| -> anyhow::Result<Machine> {
            let node = Handle::current().create_node().name(name).build();
            let host = net.host(node.id(), &[]);
            for address in addresses {
                if owners.insert(address, node.clone()).is_some() {
                    anyhow::bail!("{address}: two machines of the simulated world would have this address");
                }
                net.attach(host, &address.to_string());
            }
            Ok(Machine { node, host })
        };
        let six = blueprint.nodes.iter().any(|node| node.hosts.values().any(IpAddr::is_ipv6));
        let own = std::iter::once(IpAddr::V4(GATEWAY)).chain(six.then(|| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1u16])));
        let gateway = machine("gateway", own.collect())?;
        let mut nodes = Vec::new();
        let mut addresses = BTreeMap::new();
        for node in &blueprint.nodes {
            addresses.extend(node.hosts.clone());
            if node.is_gateway {
                nodes.push(Machine { node: gateway.node.clone(), host: gateway.host });
                continue;
            }
            let mut own: Vec<_> = node.hosts.values().copied().collect();
            own.sort_unstable();
            own.dedup();
            nodes.push(machine(&node.name, own)?);
            for (host, address) in &node.hosts {
                if host.parse::<IpAddr>().is_err() {
                    net.dns(host, Answer::Addresses(vec![*address]));
                }
            }
        }
        net.dns("localhost", Answer::Addresses(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
        for member in 0..CROWD {
            machine(&format!("client-{member}"), vec![crowd(member)])?;
        }
        let others = blueprint.probes.iter().filter_map(|probe| match probe.client {
            Client::At(ip) => Some(ip),
            Client::Crowd => None,
        });
        let others: std::collections::BTreeSet<_> = others.collect();
        for ip in others {
            if !addresses.values().any(|taken| *taken == ip) && ip != crowd(0) {
                machine(&format!("client-{ip}"), vec![ip])?;
            }
        }
        let material = material::Material::new(&plan.texts, &blueprint)?;
        let processes = blueprint.servers.iter().map(|(key, server)| (key.clone(), server::Process::new(key, server)));
        Ok(Arc::new(Self {
            processes: processes.collect(),
            zero: OnceLock::new(),
            gateway,
            nodes,
            clients: owners,
            addresses: Mutex::new(addresses),
            material,
            shared: OnceLock::new(),
            seen: Mutex::default(),
            trace: Mutex::new(Trace::new(keep)),
            net,
            plan,
            blueprint,
        }))
    }

    async fn run(self: &Arc<Self>) {
        for key in self.processes.keys() {
            self.start_server(key);
        }
        self.write_files();
        let Ok(gateway) = timeout(START, gateway::start(self)).await else {
            return self.breaks("O7", format!("the gateway was not ready after {START:?}"));
        };
        let Some(gateway) = gateway else { return };
        self.zero.get_or_init(now);
        self.note("gateway", "ready");
        let watch = task::spawn(self.clone().watch_snapshots()).owned();
        let work = client::load(self);
        let incidents = self.incidents(gateway).await;
        for task in work {
            if task.await.is_err() {
                self.breaks("O17", "a client ended before its end".into());
            }
        }
        if let Some(gateway) = incidents {
            self.comes_to_rest(&gateway).await;
            match gateway.drain(self).await {
                Some(Outcome::Clean) => {}
                other => self.breaks("O10", format!("the drain of an idle gateway ended with {other:?}")),
            }
        }
        drop(watch);
        self.check_arrivals();
        self.seen.lock().ended = self.now();
        self.trace.lock().seal(self.net.stats().trace);
    }

    /// After the load everything that requests took is given back.
    async fn comes_to_rest(&self, gateway: &gateway::Running) {
        let deadline = now() + REST;
        loop {
            let in_flight = self.shared.get().map_or(0, |shared| {
                shared.published.load().backends().flat_map(|b| &b.endpoints).map(|e| e.in_flight() as usize).sum::<usize>()
            });
            let open = gateway.connections();
            if open == 0 && in_flight == 0 {
                return;
            }
            if now() > deadline {
                let left = format!(
                    "{open} connections of clients and {in_flight} requests to servers are open {REST:?} after the last request"
                );
                return self.breaks("O10", left);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Snapshot numbers only rise.
    async fn watch_snapshots(self: Arc<Self>) {
        let mut last = 0;
        loop {
            if let Some(shared) = self.shared.get() {
                let number = shared.published.load().snapshot.number();
                if number < last {
                    self.breaks("O5", format!("snapshot {number} after {last}"));
                }
                last = number;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What must not be repeated reached one server at most.
    fn check_arrivals(&self) {
        let twice: Vec<_> = {
            let seen = self.seen.lock();
            let twice = seen.arrivals.iter().filter(|(id, servers)| !client::is_repeatable(**id) && servers.len() > 1);
            twice.map(|(id, servers)| format!("request {id}, a POST, reached {}", servers.join(" and "))).collect()
        };
        twice.into_iter().for_each(|detail| self.breaks("O1", detail));
    }

    // ---- time and record ----

    /// ms since the gateway was ready.
    pub fn now(&self) -> u64 {
        self.zero.get().map_or(0, |zero| (now() - *zero).as_millis() as u64)
    }

    async fn until(&self, ms: u64) {
        if let Some(zero) = self.zero.get() {
            sleep_until(*zero + Duration::from_millis(ms)).await;
        }
    }

    fn note(&self, node: &str, event: &str) {
        let micros = self.zero.get().map_or(0, |zero| (now() - *zero).as_micros() as u64);
        self.trace.lock().add(micros, node, event);
    }

    fn breaks(&self, oracle: &'static str, detail: String) {
        self.note("oracle", &format!("{oracle} {detail}"));
        self.seen.lock().broken.push((oracle, detail));
    }

    /// What was seen so far.
    pub fn seen(&self) -> parking_lot::MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// How long the run took, in ms; asked after its end.
    pub fn ended(&self) -> u64 {
        self.seen.lock().ended
    }

    /// Records every packet from now on.
    pub fn capture(&self, limit: usize) {
        self.net.capture(limit);
    }

    /// What was recorded, as a pcap file.
    pub fn end_capture(&self) -> Vec<u8> {
        self.net.end_capture()
    }

    /// The trace so far.
    pub fn trace(&self) -> parking_lot::MutexGuard<'_, Trace> {
        self.trace.lock()
    }

    fn node_of(&self, name: &str) -> Option<usize> {
        self.blueprint.nodes.iter().position(|node| node.name == name)
    }
}
