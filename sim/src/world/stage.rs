//! The Swarm's stage: machines for managers and tasks, addresses that wander between them, and what of them the gateways' nodes know.

use super::{Machine, World};
use crate::{
    chance::mix,
    oracle::{Oracle, broken},
    plan::{self, swarm::Fault},
    swarm::{Action, Facts, Swarm, json},
    trace::{Mark, State},
};
use fairlead_net::{
    clock,
    sim::{Answer, Net, Packet, Verdict},
    time::{Duration, Instant, sleep},
};
use madsim::runtime::Handle;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Weak, atomic::Ordering},
};

/// Where managers listen.
pub(super) const PORT: u16 = 2375;
/// How often the cluster moves on.
const PACE: Duration = Duration::from_millis(10);
/// For how long a dead container's address refuses connections, where it does.
const REFUSES: Duration = Duration::from_millis(400);

/// See the head of this file.
pub(super) struct Stage {
    pub(super) swarm: Swarm,
    managers: Vec<Machine>,
    /// Managers whose process or machine is gone.
    absent: Mutex<BTreeSet<usize>>,
    tasks: Mutex<Tasks>,
    gates: Arc<Mutex<Gates>>,
}

#[derive(Default)]
struct Tasks {
    addresses: BTreeMap<usize, Ipv4Addr>,
    holders: BTreeMap<Ipv4Addr, usize>,
    listening: BTreeSet<usize>,
    reached: BTreeSet<usize>,
    /// The last write that the judge was told of.
    told: u64,
}

/// What passes between the gateways and the overlay networks.
#[derive(Default)]
struct Gates {
    attached: BTreeSet<u8>,
    /// Addresses that the gateways' nodes do not know yet.
    hidden: BTreeSet<Ipv4Addr>,
}

impl Stage {
    pub(super) fn new(
        plan: &plan::Plan,
        net: &Net,
        zero: Instant,
        world: Weak<World>,
        machine: impl Fn(String, &[&str]) -> Machine,
    ) -> Option<Self> {
        let swarm = plan.swarm.as_ref()?;
        let heard = move |manager: usize, method: &fairlead_net::http::Method, target: &str| {
            let Some(world) = world.upgrade() else { return };
            let name = format!("manager-{}", manager + 1);
            world.note(&name, &format!("is asked {method:?} {target}"));
            world.mark(&name, || Mark::Happens { what: format!("{} {target}", method.as_str()) });
            if method.as_str() != "GET" {
                world.judged(broken(Oracle::ReadOnly, format!("a manager was asked {method:?} {target}")));
            }
        };
        let gates = Arc::new(Mutex::new(Gates::default()));
        let managers = (0..swarm.managers).map(|i| {
            let (name, address) = (format!("manager-{}", i + 1), format!("10.0.9.{}", i + 1));
            net.dns(&name, Answer::Addresses(vec![address.parse().expect("a constant address")]));
            machine(name, &[&address])
        });
        let guard = gates.clone();
        net.rule(move |packet| if guard.lock().pass(packet) { Verdict::Pass } else { Verdict::Drop });
        Some(Self {
            managers: managers.collect(),
            swarm: Swarm::new(swarm, plan.servers.len(), zero, clock::now(), Box::new(heard)),
            absent: Mutex::default(),
            tasks: Mutex::default(),
            gates,
        })
    }

    /// Endpoints as an operator names them.
    pub(super) fn endpoints(&self) -> String {
        self.managers.iter().map(|manager| format!("tcp://{}:{PORT}", manager.name)).collect::<Vec<_>>().join(",")
    }
}

impl Gates {
    fn pass(&self, packet: &Packet) -> bool {
        let passes = |ip: IpAddr| match ip {
            IpAddr::V4(ip) if ip.octets()[..2] == [10, 10] => {
                self.attached.contains(&ip.octets()[2]) && !self.hidden.contains(&ip)
            }
            _ => true,
        };
        passes(packet.src().ip()) && passes(packet.dst().ip())
    }
}

impl World {
    /// Managers serve, and what runs from the beginning runs.
    pub(super) async fn open_stage(self: &Arc<Self>) {
        let Some(stage) = &self.stage else { return };
        (0..stage.managers.len()).for_each(|manager| self.serve_manager(manager));
        // What the kernel of a container tells.
        for (index, gateway) in self.gateways.iter().enumerate() {
            let (id, host) = (json::container_id(index), gateway.machine.host);
            let mounts = format!("9 2 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/vda rw\n");
            self.net.write_file(host, "/proc/self/mountinfo", mounts);
            self.net.write_file(host, "/proc/sys/kernel/hostname", json::gateway_name(index));
        }
        let networks = self.plan.swarm.as_ref().map_or(0, |swarm| swarm.networks);
        (0..networks).for_each(|network| self.attach_gateways(network, true));
        self.move_on();
        // Their processes bind.
        sleep(PACE).await;
        let world = self.clone();
        madsim::task::spawn(async move {
            loop {
                sleep(PACE).await;
                world.move_on();
            }
        });
    }

    /// Something happens to the cluster, to a manager, or to the gateways' networks.
    pub(super) fn take_event(self: &Arc<Self>, event: &plan::swarm::Event) {
        let Some(stage) = &self.stage else { return };
        self.note("swarm", &format!("{event:?}"));
        stage.swarm.happens(event);
        match event {
            plan::swarm::Event::Manager { manager, fault } => self.break_manager(*manager, *fault),
            plan::swarm::Event::Attach { network, present } => self.attach_gateways(*network, *present),
            _ => {}
        }
        self.move_on();
    }

    fn move_on(self: &Arc<Self>) {
        let Some(stage) = &self.stage else { return };
        let now = self.now();
        for action in stage.swarm.step() {
            self.act(&action);
        }
        let told = stage.tasks.lock().told;
        let news = stage.swarm.view_since(told);
        if let Some(view) = &news {
            stage.tasks.lock().told = view.index;
        }
        let excepted: &[usize] = if self.healed.load(Ordering::Relaxed) { &self.plan.broken.members } else { &[] };
        let well = stage.swarm.is_well(excepted);
        self.each_swarm(|judge| {
            judge.managers(now, well);
            if let Some(view) = &news {
                judge.emptied(view.services.is_empty());
                judge.truth(now, view.routes());
            }
        });
    }

    fn act(self: &Arc<Self>, action: &Action) {
        let Some(stage) = &self.stage else { return };
        match action {
            Action::Boot { task, address, facts } => self.boot_task(*task, *address, facts.clone()),
            Action::Listen(task) if self.is_up(*task) => self.start_server(*task, 0),
            Action::Reach(task) => {
                let address = stage.tasks.lock().addresses.get(task).copied();
                if let Some(address) = address.filter(|_| self.is_up(*task)) {
                    stage.gates.lock().hidden.remove(&address);
                    stage.tasks.lock().reached.insert(*task);
                    self.count_task(*task);
                }
            }
            Action::Terminate { task, grace } if self.is_listening(*task) => self.terminate_server(*task, *grace),
            // Its process has not begun to listen.
            Action::Terminate { task, .. } => self.task_ends(*task, false, false),
            Action::Kill { task, refuses } => {
                self.each_swarm(|judge| judge.dies(self.now(), *task));
                self.kill_server(*task, false);
                self.task_ends(*task, false, *refuses);
            }
            Action::Dies(task) => {
                self.each_swarm(|judge| judge.dies(self.now(), *task));
                self.kill_server(*task, true);
                self.task_ends(*task, true, false);
            }
            Action::Listen(_) => {}
        }
    }

    fn boot_task(&self, task: usize, address: Ipv4Addr, facts: Facts) {
        let Some(stage) = &self.stage else { return };
        self.note(&self.servers[task].name, &format!("is task {} of app{} at {address}", facts.id, facts.app));
        self.mark(&self.servers[task].name, || Mark::Bears { identity: facts.id.clone() });
        let before = stage.tasks.lock().holders.get(&address).copied();
        if let Some(before) = before {
            self.release_address(before);
        }
        let mut tasks = stage.tasks.lock();
        tasks.addresses.insert(task, address);
        tasks.holders.insert(address, task);
        drop(tasks);
        stage.gates.lock().hidden.insert(address);
        self.net.attach(self.servers[task].host, &address.to_string());
        self.each_swarm(|judge| judge.booted(task, address, facts.clone()));
    }

    /// A task's process has ended, or its machine has. Its address is nobody's soon after.
    pub(super) fn task_ends(self: &Arc<Self>, task: usize, silently: bool, refuses: bool) {
        let Some(stage) = &self.stage else { return };
        if !self.is_up(task) {
            return;
        }
        stage.tasks.lock().listening.remove(&task);
        self.count_task(task);
        if silently {
            return self.release_address(task);
        }
        stage.swarm.exited(task);
        // Whether the last word of its kernel is heard differs.
        let last_word = Duration::from_millis(if mix(task as u64 ^ 0xf1).is_multiple_of(3) { 0 } else { 30 });
        let world = self.clone();
        madsim::task::spawn(async move {
            sleep(if refuses { REFUSES } else { last_word }).await;
            world.release_address(task);
        });
    }

    fn release_address(&self, task: usize) {
        let Some(stage) = &self.stage else { return };
        let mut tasks = stage.tasks.lock();
        let Some(address) = tasks.addresses.remove(&task) else { return };
        tasks.holders.remove(&address);
        tasks.reached.remove(&task);
        drop(tasks);
        self.net.detach(self.servers[task].host, &address.to_string());
        self.note(&self.servers[task].name, &format!("gives {address} up"));
    }

    pub(super) fn task_listens(&self, task: usize, listens: bool) {
        let Some(stage) = &self.stage else { return };
        let mut tasks = stage.tasks.lock();
        let _changed = if listens { tasks.listening.insert(task) } else { tasks.listening.remove(&task) };
        drop(tasks);
        self.count_task(task);
    }

    fn count_task(&self, task: usize) {
        let Some(stage) = &self.stage else { return };
        let attached = stage.gates.lock().attached.clone();
        let tasks = stage.tasks.lock();
        let on = tasks.addresses.get(&task).is_some_and(|address| attached.contains(&address.octets()[2]));
        let serves = on && tasks.listening.contains(&task) && tasks.reached.contains(&task);
        drop(tasks);
        self.each_swarm(|judge| judge.serves(self.now(), task, serves));
    }

    fn is_up(&self, task: usize) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.tasks.lock().addresses.contains_key(&task))
    }

    fn is_listening(&self, task: usize) -> bool {
        self.stage.as_ref().is_some_and(|stage| stage.tasks.lock().listening.contains(&task))
    }

    fn attach_gateways(&self, network: usize, present: bool) {
        let Some(stage) = &self.stage else { return };
        let mut gates = stage.gates.lock();
        let changed = if present { gates.attached.insert(network as u8) } else { gates.attached.remove(&(network as u8)) };
        drop(gates);
        if !changed {
            return;
        }
        for (index, gateway) in self.gateways.iter().enumerate() {
            let (host, address) = (gateway.machine.host, json::gateway_address(network, index).to_string());
            if present { self.net.attach(host, &address) } else { self.net.detach(host, &address) }
        }
        if !present {
            self.each_swarm(|judge| judge.leaves(network as u8));
        }
        let tasks: Vec<_> = stage.tasks.lock().addresses.keys().copied().collect();
        tasks.into_iter().for_each(|task| self.count_task(task));
    }

    fn break_manager(self: &Arc<Self>, manager: usize, fault: Fault) {
        let Some(stage) = &self.stage else { return };
        let machine = &stage.managers[manager];
        let gone = matches!(fault, Fault::Down | Fault::Dark);
        let mut absent = stage.absent.lock();
        match (gone, absent.contains(&manager)) {
            (true, false) => {
                absent.insert(manager);
                let state = if fault == Fault::Dark { State::Dark } else { State::Ended };
                self.mark(&machine.name, || Mark::State { state });
                if fault == Fault::Dark {
                    self.net.power_off(machine.host)
                } else {
                    self.net.exit(machine.host)
                }
                Handle::current().kill(machine.node.id());
            }
            (false, true) => {
                absent.remove(&manager);
                self.net.power_on(machine.host);
                Handle::current().restart(machine.node.id());
                self.serve_manager(manager);
            }
            _ => {}
        }
    }

    fn serve_manager(&self, manager: usize) {
        let Some(stage) = &self.stage else { return };
        let swarm = stage.swarm.clone();
        self.mark(&stage.managers[manager].name, || Mark::State { state: State::Serves });
        // A restarted node is another one behind the same number.
        let node = Handle::current().get_node(stage.managers[manager].node.id()).expect("nodes are never removed");
        node.spawn(async move {
            let address = format!("0.0.0.0:{PORT}").parse().expect("a constant address");
            // A manager ends with its node.
            let _ended = swarm.serve(manager, address).await;
        });
    }
}
