//! What the gateway stands on, and what of it fails: see [`crate::plan::environment`].
//!
//! Owns the state of these faults, and what each means to the model: which servers cannot be counted on meanwhile, and when the
//! source cannot be read.

use super::{World, instance::Model, server_ip};
use crate::{
    oracle::Hindrance,
    plan::{
        Gateway, Node, What,
        environment::{Actor, Event, Manner, Name},
    },
};
use fairlead_net::{
    sim::Answer,
    tcp::{ListenOptions, Listener},
    time::{Duration, sleep},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// How long the gateway believes an answer of the name service, and a little more (`proxy::upstream`).
const BELIEVED: Duration = Duration::from_millis(2_200);
/// Look-ups that take longer than this may cost a connection its time: checks have a second, with their way.
const SLOW_NAMES: u64 = 300;

/// See the head of this file.
#[derive(Default)]
pub(super) struct State {
    manners: Mutex<BTreeMap<usize, Manner>>,
    /// Servers that moved: how often.
    moves: Mutex<BTreeMap<usize, usize>>,
    /// The address that a server holds, where it is not its first.
    held: Mutex<BTreeMap<usize, String>>,
    /// What the name service is to say of a server whose name fails at present.
    names: Mutex<BTreeMap<usize, Name>>,
}

impl World {
    /// Something happens to what the gateway stands on.
    pub(super) fn take_environment(self: &Arc<Self>, event: &Event) {
        self.note("environment", &format!("{event:?}"));
        match event {
            Event::Starve { node, most } => {
                let late = (*most > 0).then(|| Duration::from_micros(*most));
                self.net.starve(self.host(*node), late);
                if let Some(gateway) = node.gateway() {
                    // What it is late to read is late to be served.
                    self.source_of(gateway, "starvation", late.is_some());
                }
            }
            Event::Packets { from, to, loss, slower } => self.spoil(*from, *to, *loss, *slower),
            Event::HalfOpen(server) => {
                for gateway in (0..self.gateways.len()).map(Node::GatewayAt) {
                    self.link(gateway, Node::Server(*server), true);
                    self.link(Node::Server(*server), gateway, true);
                }
                self.kill_server(*server, false);
            }
            Event::Clock { gateway, ahead } => {
                self.net.skew(self.gateways[*gateway].machine.host, *ahead);
                self.tell_certificates(*gateway, |judge, now| judge.clock(now, *ahead));
            }
            Event::Health { server, manner } => {
                self.environment.manners.lock().insert(*server, *manner);
                let asked = self.plan.gateway.health_check || *manner == Manner::Lies;
                let (now, ill) = (self.now(), self.plan.gateway.health_check && *manner == Manner::Ill);
                self.each_source(|judge| judge.ill(now, *server, ill));
                self.hinder(*server, Hindrance::Health, asked && *manner != Manner::Well);
                if matches!(manner, Manner::Lies) {
                    self.closed_idle(*server);
                }
            }
            Event::Descriptors { gateway, accepts } => self.net.fail_accepts(self.gateways[*gateway].machine.host, *accepts),
            Event::Disk { gateway, broken } => {
                self.net.failing_disk(self.gateways[*gateway].machine.host, *broken);
                self.source_of(*gateway, "disk", *broken);
                self.tell_certificates(*gateway, |judge, now| judge.disk(now, *broken));
            }
            Event::Collector { gateway, stalled } => self.recorders[*gateway].stall(*stalled),
            Event::Crash { gateway, actor } => self.crash(*gateway, *actor),
            Event::Move { server, told } => self.move_server(*server, *told),
            Event::Name { server, answer } => {
                self.environment.names.lock().insert(*server, *answer);
                self.tell_name(*server);
                self.hinder_for_a_while(*server, *answer != Name::Right);
            }
            Event::Names { delay } => {
                self.net.dns_delay(Duration::from_millis(*delay));
                if self.plan.gateway.names {
                    self.each_source(|judge| judge.hurried(self.now(), "names", *delay > 0));
                    (0..self.servers.len()).for_each(|server| self.hinder(server, Hindrance::Names, *delay > SLOW_NAMES));
                }
            }
        }
    }

    fn spoil(&self, from: Node, to: Node, loss: u32, slower: u64) {
        let (least, most) = self.plan.network.latency;
        self.net.link(self.host(from), self.host(to), |link| {
            link.loss = f64::from(loss) / 1000.0;
            link.latency = Duration::from_micros(least)..Duration::from_micros(most + 1 + slower * 1000);
        });
        let (gateway, other, by) = match (from.gateway(), to.gateway()) {
            (Some(gateway), _) => (gateway, to, Hindrance::PacketsOut),
            (None, Some(gateway)) => (gateway, from, Hindrance::PacketsIn),
            _ => return,
        };
        let (now, spoilt) = (self.now(), loss > 0 || slower > 0);
        match (other, &self.gateways[gateway].model) {
            (Node::Server(server), Model::Source(judge)) => judge.lock().hinder(now, server, by, spoilt),
            (Node::Member(_), _) => self.source_of(gateway, &format!("packets {from:?} {to:?}"), spoilt),
            _ => {}
        }
    }

    /// Something is wrong with a gateway's way to its source, or no longer.
    fn source_of(&self, gateway: usize, what: &str, present: bool) {
        if let Model::Source(judge) = &self.gateways[gateway].model {
            judge.lock().source(self.now(), what, present);
        }
    }

    fn hinder(&self, server: usize, by: Hindrance, present: bool) {
        let now = self.now();
        self.each_source(|judge| judge.hinder(now, server, by, present));
    }

    /// As long as the name service is wrong about a server, and until the gateway asks it again.
    fn hinder_for_a_while(self: &Arc<Self>, server: usize, present: bool) {
        if present {
            return self.hinder(server, Hindrance::Name, true);
        }
        let world = self.clone();
        madsim::task::spawn(async move {
            sleep(BELIEVED).await;
            let right = world.environment.names.lock().get(&server).is_none_or(|name| *name == Name::Right);
            if right {
                world.hinder(server, Hindrance::Name, false);
            }
        });
    }

    // ---- servers ----

    /// What a server says when it is asked whether it is well.
    pub(super) async fn health_of(&self, server: usize) -> u16 {
        let manner = self.environment.manners.lock().get(&server).copied().unwrap_or(Manner::Well);
        match manner {
            Manner::Well | Manner::Lies => 200,
            Manner::Ill => 503,
            Manner::Flaps { period } => {
                if (self.now() / period.max(1)).is_multiple_of(2) {
                    200
                } else {
                    503
                }
            }
            Manner::Slow { by } => {
                sleep(Duration::from_millis(by)).await;
                200
            }
        }
    }

    /// Whether accepting was to fail at a gateway by now.
    pub(super) fn lacks_descriptors(&self, gateway: usize) -> bool {
        let now = self.now() - self.ready.get().copied().unwrap_or(0);
        self.plan
            .steps
            .iter()
            .take_while(|step| step.at <= now)
            .any(|step| matches!(step.what, What::Environment(Event::Descriptors { gateway: at, accepts: 1.. }) if at == gateway))
    }

    /// Whether a server closes the connection on which a request comes.
    pub(super) fn fails_requests(&self, server: usize) -> bool {
        self.environment.manners.lock().get(&server) == Some(&Manner::Lies)
    }

    fn crash(&self, gateway: usize, actor: Actor) {
        let Some(crashes) = self.gateways[gateway].crashes() else { return };
        match actor {
            Actor::Router => crashes.crash("Router"),
            Actor::BackendPool => crashes.crash("BackendPool"),
            Actor::Certificates => crashes.crash("Certificates"),
            Actor::ConfigWatch => crashes.crash("ConfigWatch"),
            Actor::Listener => crashes.crash("Listener"),
            Actor::HealthCheck(service) => crashes.crash_check(&format!("s{service}@{}", self.provider())),
        }
    }

    // ---- names ----

    /// The name service knows every server.
    pub(super) fn tell_names(&self) {
        if self.plan.gateway.names {
            (0..self.servers.len()).for_each(|server| self.tell_name(server));
        }
    }

    fn tell_name(&self, server: usize) {
        let answer = match self.environment.names.lock().get(&server).copied().unwrap_or(Name::Right) {
            Name::Right => Answer::Addresses(vec![self.address(server).parse().expect("an address of the world")]),
            Name::NoSuchName => Answer::NoSuchName,
            Name::Failure => Answer::Failure,
        };
        self.net.dns(&format!("server-{server}.test"), answer);
    }

    /// Where a server is that is configured so.
    pub(super) fn address_of(&self, host: &str) -> String {
        server_named(host).map_or_else(|| host.to_owned(), |server| self.address(server))
    }

    fn address(&self, server: usize) -> String {
        match self.environment.moves.lock().get(&server).copied().unwrap_or(0) {
            0 => server_ip(server),
            n => format!("10.3.{server}.{n}"),
        }
    }

    fn move_server(self: &Arc<Self>, server: usize, told: u64) {
        let number = {
            let mut moves = self.environment.moves.lock();
            let number = moves.entry(server).or_default();
            *number += 1;
            *number
        };
        self.hinder(server, Hindrance::Name, true);
        self.environment.names.lock().insert(server, Name::Failure);
        self.kill_server(server, false);
        let world = self.clone();
        madsim::task::spawn(async move {
            // Its last words are on their way.
            sleep(Duration::from_millis(100)).await;
            if world.environment.moves.lock().get(&server) != Some(&number) {
                // It moves once more.
                return;
            }
            let host = world.servers[server].host;
            let before = world.environment.held.lock().insert(server, world.address(server));
            world.net.detach(host, &before.unwrap_or_else(|| server_ip(server)));
            world.net.attach(host, &world.address(server));
            world.start_server(server, 1);
            sleep(Duration::from_millis(told)).await;
            if world.environment.moves.lock().get(&server) != Some(&number) {
                return;
            }
            world.environment.names.lock().insert(server, Name::Right);
            world.tell_name(server);
            world.hinder_for_a_while(server, false);
        });
    }

    // ---- the port ----

    /// Another process has a gateway's port, for a while.
    pub(super) async fn take_port(&self, gateway: usize) -> Option<Listener> {
        let bind = async { Listener::bind("0.0.0.0:80".parse().expect("a constant address"), ListenOptions::default()).ok() };
        self.gateways[gateway].machine.node().spawn(bind).await.ok().flatten()
    }
}

/// How the configuration calls a server.
pub(super) fn server_name(index: usize, gateway: &Gateway) -> String {
    if gateway.names { format!("server-{index}.test") } else { server_ip(index) }
}

/// The server of this name.
pub(super) fn server_named(host: &str) -> Option<usize> {
    host.strip_prefix("server-")?.strip_suffix(".test")?.parse().ok()
}
