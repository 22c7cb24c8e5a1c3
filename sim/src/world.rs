//! A world built from a plan, and its run: real gateways, a source of configuration, scripted servers and clients.
//!
//! Owns the nodes, the clock's zero, and the one place where an event is written down and judged. A run has phases: start, load
//! with steps, convergence, rest, drain; the first violation ends it.
//!
//! Deliberately absent: chance. What the plan leaves open follows from identifiers.

mod api;
mod bench;
mod client;
mod environment;
mod gateway;
mod instance;
mod metadata;
mod recorder;
mod rest;
mod restart;
mod secure;
mod server;
mod source;
mod stage;
mod standing;
mod steps;
pub(crate) mod wire;

use crate::{
    fault::{Fault, Phase},
    oracle::{self, Oracle, Verdict, Violation, exchange},
    plan::{Node, Plan},
    store::{Member, Store},
    swarm::json,
    trace::{Keep, Mark, State, Trace},
};
use fairlead_net::{
    sim::{Config, HostId, Net},
    task,
    time::{Duration, Instant, now, sleep, timeout},
};
use madsim::runtime::{Handle, NodeHandle};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};
use tokio::sync::watch;

/// How long a phase may take.
const PHASE_BOUND: Duration = Duration::from_secs(300);
/// How often the gateways' published state is looked at. Configurations are at least 20 ms apart.
const LOOK: Duration = Duration::from_millis(2);

/// Bytes of recorded packets at most.
const CAPTURE: usize = 1 << 28;

/// A world while it runs.
pub struct World {
    pub plan: Plan,
    net: Net,
    zero: Instant,
    /// Milliseconds from zero to the gateways' readiness, from which the plan's times count.
    ready: OnceLock<u64>,
    trace: Mutex<Trace>,
    exchange: Mutex<exchange::Judge>,
    failed: watch::Sender<Option<Violation>>,
    gateways: Vec<instance::Instance>,
    /// Which gateway each request was sent to.
    asked: Mutex<BTreeMap<u64, bench::Asked>>,
    /// What can be mended is.
    healed: AtomicBool,
    servers: Vec<Machine>,
    processes: Vec<Mutex<Option<Arc<server::Process>>>>,
    members: Vec<(Machine, Member)>,
    clients: Vec<Machine>,
    source: source::Desired,
    store: Store,
    /// The Swarm, where the configuration comes from one.
    stage: Option<stage::Stage>,
    environment: environment::State,
    /// Rancher's metadata service, where the configuration comes from it.
    metadata: Option<metadata::Metadata>,
    /// One per gateway.
    recorders: Vec<recorder::Recorder>,
    /// The entry point with TLS.
    secure: Option<secure::Secure>,
}

/// A node and its host.
struct Machine {
    node: NodeHandle,
    host: HostId,
    name: String,
}

impl Machine {
    /// The node as it is now: one that was started again is another one behind the same number.
    fn node(&self) -> NodeHandle {
        Handle::current().get_node(self.node.id()).expect("nodes are never removed")
    }
}

/// What a run leaves behind.
#[derive(Debug)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Milliseconds of virtual time.
    pub virtual_ms: u64,
    pub counts: oracle::Counts,
}

/// Runs a plan to its end or to its first violation. `look` is given the world first, so that a panic leaves it behind.
pub async fn rehearse(plan: Plan, keep: Keep, look: impl FnOnce(&Arc<World>)) -> Outcome {
    let world = World::new(plan, keep);
    look(&world);
    let mut failed = world.failed.subscribe();
    let violation = tokio::select! {
        biased;
        // The sender lives in `world`.
        _ = failed.wait_for(Option::is_some) => world.failed.borrow().clone(),
        ended = world.clone().play() => ended.err(),
    };
    world.trace.lock().seal(world.net.stats().trace);
    let counts = world.counts();
    Outcome { violation, virtual_ms: world.now(), counts }
}

impl World {
    fn new(plan: Plan, keep: Keep) -> Arc<Self> {
        let net = Net::start(Config::default());
        if keep.packets {
            net.capture(CAPTURE);
        }
        let network = &plan.network;
        net.default_link(|link| {
            link.latency = Duration::from_micros(network.latency.0)..Duration::from_micros(network.latency.1 + 1);
            (link.duplicate, link.reorder) = (f64::from(network.duplicate) / 1000.0, network.reorder);
        });
        net.short_io(f64::from(network.short_io) / 1000.0);
        let wires = net.clone();
        let machine = |name: String, addresses: &[&str]| {
            let node = Handle::current().create_node().name(&name).build();
            let host = wires.host(node.id(), addresses);
            Machine { node, host, name }
        };
        let gateways: Vec<_> = (0..plan.gateway.count)
            .map(|i| {
                let machine = machine(json::gateway_name(i), &[&gateway::ip(i)]);
                net.torn_reads(machine.host, f64::from(plan.gateway.torn_reads) / 1000.0);
                instance::Instance::new(&plan, machine)
            })
            .collect();
        let servers: Vec<_> = (0..plan.servers.len())
            .map(|i| match plan.swarm {
                // Tasks are given their addresses by the Swarm.
                Some(_) => machine(format!("task-{i}"), &[]),
                None => machine(format!("server-{i}"), &[&server_ip(i)]),
            })
            .collect();
        let store = Store::new(0xfa1e);
        let members = (0..plan.gateway.members)
            .map(|i| (machine(format!("member-{i}"), &[&format!("10.0.9.{}", i + 1)]), store.member()))
            .collect();
        // One more for each gateway, to probe it when everything is over.
        let clients = (0..plan.clients.len() + plan.gateway.count).map(|i| machine(format!("client-{i}"), &[&client_ip(i)]));
        let zero = now();
        let clients = clients.collect();
        let secure = secure::Secure::new(&plan, &machine);
        let metadata = metadata::Metadata::new(&plan, &machine);
        Arc::new_cyclic(|world| Self {
            stage: stage::Stage::new(&plan, &net, zero, world.clone(), machine),
            zero,
            ready: OnceLock::new(),
            trace: Mutex::new(Trace::new(keep)),
            exchange: Mutex::new(exchange::Judge::new(&plan)),
            failed: watch::Sender::new(None),
            processes: servers.iter().map(|_| Mutex::default()).collect(),
            clients,
            source: source::Desired::default(),
            environment: environment::State::default(),
            metadata,
            recorders: gateways.iter().map(|_| recorder::Recorder::new()).collect(),
            secure,
            gateways,
            asked: Mutex::default(),
            healed: AtomicBool::new(false),
            servers,
            members,
            store,
            net,
            plan,
        })
    }

    async fn play(self: Arc<Self>) -> Verdict {
        self.within("start", self.clone().start()).await??;
        // Whoever sees it set may count plan time from it.
        self.ready.get_or_init(|| self.now());
        self.note("world", "is ready");
        self.each_swarm(|judge| judge.begins(self.now()));
        let baseline = rest::Baseline::measure(&self).await;
        let _watch = task::spawn(self.clone().watch()).owned();
        self.phase("load");
        self.within("load", self.clone().load()).await?;
        self.phase("convergence");
        self.within("convergence", self.until_converged()).await?;
        self.phase("probe");
        for (gateway, _) in self.core() {
            let prober = self.clone();
            let node = &self.clients[self.plan.clients.len() + gateway].node;
            let probe = node.spawn(async move {
                client::probe(&prober, gateway).await;
                if prober.plan.gateway.api {
                    api::look(&prober, gateway).await;
                }
            });
            if self.within("probe", probe).await?.is_err() {
                return oracle::broken(Oracle::Panic, "the probe ended before its end");
            }
        }
        self.phase("rest");
        self.within("rest", baseline.returns(&self)).await??;
        self.records_are_true().await?;
        self.phase("drain");
        self.within("drain", rest::drain(&self)).await??;
        self.note("world", "rests");
        Ok(())
    }

    async fn start(self: Arc<Self>) -> Verdict {
        self.tell_names();
        self.write_certificates();
        self.serve_metadata();
        for (machine, member) in &self.members {
            let at = (member.clone(), source::MEMBER_PORT);
            self.mark(&machine.name, || Mark::State { state: State::Serves });
            machine.node.spawn(async move {
                let address = format!("0.0.0.0:{}", at.1).parse().expect("a constant address");
                // A member ends with its node.
                let _ended = at.0.serve(address).await;
            });
        }
        for (index, server) in self.plan.servers.iter().enumerate() {
            if server.up {
                self.start_server(index, 0);
            }
        }
        if self.stage.is_some() {
            self.open_stage().await;
        } else {
            let first = self.plan.first.clone();
            self.write(&first).await;
        }
        let starts: Vec<_> = (0..self.gateways.len())
            .map(|index| {
                let world = self.clone();
                madsim::task::spawn(async move { gateway::start(&world, index).await })
            })
            .collect();
        for start in starts {
            start.await.unwrap_or_else(|_| oracle::broken(Oracle::Panic, "the start of a gateway was cut off"))?;
        }
        Ok(())
    }

    /// Clients and steps, until all are done.
    async fn load(self: Arc<Self>) {
        let network = &self.plan.network;
        if network.duplicate > 0 || network.reorder || network.latency.1 > 5_000 {
            self.strikes(Fault::Packets, Phase::Begins);
        }
        let mut tasks: Vec<_> = (0..self.plan.clients.len())
            .map(|index| {
                let world = self.clone();
                self.clients[index].node.spawn(async move { client::run(&world, index).await })
            })
            .collect();
        tasks.push(madsim::task::spawn({
            let world = self.clone();
            async move { world.take_steps().await }
        }));
        if self.plan.tls.is_some() {
            tasks.push(madsim::task::spawn(self.clone().rotate()));
            tasks.push(madsim::task::spawn(self.clone().run_out()));
            tasks.push(madsim::task::spawn(self.clone().visit()));
        }
        let inspectors: Vec<_> = (0..if self.plan.gateway.api { self.gateways.len() } else { 0 })
            .map(|index| {
                let world = self.clone();
                self.clients[self.plan.clients.len() + index].node.spawn(async move { api::inspect(&world, index).await })
            })
            .collect();
        for task in tasks {
            if task.await.is_err() {
                self.judged(oracle::broken(Oracle::Panic, "a client or the script ended before its end"));
            }
        }
        inspectors.iter().for_each(madsim::task::JoinHandle::abort);
    }

    async fn until_converged(&self) {
        while !self.gateways_are_up() || !self.is_converged() {
            sleep(10 * LOOK).await;
        }
        self.note("world", "converged");
    }

    /// Looks at what the gateways publish, and at what takes too long.
    async fn watch(self: Arc<Self>) {
        for look in 0u64.. {
            self.look();
            if look % standing::SELDOM == 0 {
                self.look_at_standings();
            }
            if look % 50 == 0 {
                self.judged(self.overdue());
            }
            sleep(LOOK).await;
        }
    }

    async fn within<F: Future>(&self, phase: &str, work: F) -> Result<F::Output, Violation> {
        match timeout(PHASE_BOUND, work).await {
            Ok(done) => Ok(done),
            Err(_) => oracle::broken(Oracle::Liveness, format!("the phase `{phase}` took longer than {PHASE_BOUND:?}")),
        }
    }

    // ---- time, trace, judgement ----

    /// Milliseconds since the world began.
    fn now(&self) -> u64 {
        (now() - self.zero).as_millis() as u64
    }

    /// When a time of the plan is.
    fn at(&self, plan_ms: u64) -> Instant {
        self.zero + Duration::from_millis(self.ready.get().copied().unwrap_or(0) + plan_ms)
    }

    /// Writes an event down.
    fn note(&self, node: &str, event: &str) {
        let micros = (now() - self.zero).as_micros() as u64;
        self.trace.lock().add(micros, node, event);
    }

    /// Says what an event means.
    fn mark(&self, node: &str, mark: impl FnOnce() -> Mark) {
        let micros = (now() - self.zero).as_micros() as u64;
        self.trace.lock().mark(micros, node, mark);
    }

    fn phase(&self, name: &'static str) {
        self.mark("world", || Mark::Phase { name });
    }

    /// Ends the run if the judgement says so.
    fn judged(&self, verdict: Verdict) {
        if let Err(violation) = verdict
            && self.failed.borrow().is_none()
        {
            self.note("oracle", &format!("{} {}", violation.oracle.id(), violation.detail));
            let (oracle, detail) = (violation.oracle.id(), &violation.detail);
            self.mark("oracle", || Mark::Violation { oracle, detail: detail.clone() });
            self.failed.send_replace(Some(violation));
        }
    }

    /// The packets so far, if they are recorded: a pcap file.
    pub fn packets(&self) -> Vec<u8> {
        self.net.end_capture()
    }

    /// The trace so far.
    pub fn trace(&self) -> parking_lot::MutexGuard<'_, Trace> {
        self.trace.lock()
    }

    fn host(&self, node: Node) -> HostId {
        match node {
            Node::Gateway => self.gateways[0].machine.host,
            Node::GatewayAt(i) => self.gateways[i].machine.host,
            Node::Server(i) => self.servers[i].host,
            Node::Member(i) => self.members[i].0.host,
            Node::Client(i) => self.clients[i].host,
        }
    }
}

fn server_ip(index: usize) -> String {
    format!("10.1.{}.{}", index / 250, index % 250 + 1)
}

fn client_ip(index: usize) -> String {
    format!("10.2.{}.{}", index / 250, index % 250 + 1)
}
