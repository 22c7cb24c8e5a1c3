//! Incidents, one after the other, as the plan has them.

use super::{World, client, gateway};
use crate::{
    chance::mix,
    rehearse::{
        plan::{Incident, What},
        probe::Expect,
        record::Why,
    },
};
use fairlead_net::{
    sim::{Answer, HostId},
    tcp::Stream,
    time::{Duration, sleep},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::io::AsyncWriteExt as _;

/// Between a process that ended in a deploy and its successor.
const GAP: Duration = Duration::from_secs(2);
/// Between two servers of a deploy.
const NEXT: Duration = Duration::from_secs(3);
/// Servers that one deploy replaces at most.
pub const DEPLOYED: usize = 6;
/// Long requests that a stopping gateway has to finish, at most.
const LONG: usize = 20;

impl World {
    /// All of them. The gateway comes back unless it was told to stop.
    pub(super) async fn incidents(self: &Arc<Self>, gateway: gateway::Running) -> Option<gateway::Running> {
        let mut gateway = Some(gateway);
        for (index, incident) in self.plan.incidents.iter().enumerate() {
            self.until(incident.at).await;
            self.note("world", &format!("begins: {}", incident.what.told()));
            if incident.what == What::GatewayStops {
                if let Some(gateway) = gateway.take() {
                    self.stop_gateway(gateway).await;
                }
            } else {
                self.strike(incident).await;
            }
            self.note("world", &format!("over: {}", incident.what.told()));
            self.seen.lock().struck.push(index);
        }
        gateway
    }

    async fn strike(self: &Arc<Self>, incident: &Incident) {
        let lasts = Duration::from_millis(incident.lasts);
        match &incident.what {
            What::NodeDies { node } => {
                let Some(index) = self.node_of(node) else { return };
                self.net.power_off(self.nodes[index].host);
                let keys = self.on_node(index);
                keys.iter().for_each(|key| self.kill_server(key));
                sleep(lasts).await;
                self.net.power_on(self.nodes[index].host);
                keys.iter().for_each(|key| self.start_server(key));
            }
            What::Partition { node } => {
                let Some(index) = self.node_of(node) else { return };
                self.net.partition(self.gateway.host, self.nodes[index].host, true);
                sleep(lasts).await;
                self.net.partition(self.gateway.host, self.nodes[index].host, false);
            }
            What::PacketLoss { node, permille } => {
                let Some(index) = self.node_of(node) else { return };
                self.both_ways(self.nodes[index].host, |link| link.loss = f64::from(*permille) / 1000.0);
                sleep(lasts).await;
                self.both_ways(self.nodes[index].host, |link| link.loss = 0.0);
            }
            What::Latency { node, millis } => {
                let Some(index) = self.node_of(node) else { return };
                let (far, near) = (Duration::from_millis(*millis), self.plan.latency);
                self.both_ways(self.nodes[index].host, |link| link.latency = far..far * 2);
                sleep(lasts).await;
                let near = Duration::from_micros(near.0)..Duration::from_micros(near.1 + 1);
                self.both_ways(self.nodes[index].host, |link| link.latency = near.clone());
            }
            What::ServerCrashes { server } | What::ServerRestarts { server } => {
                self.kill_server(server);
                sleep(lasts).await;
                self.start_server(server);
            }
            What::SlowServer { server, millis } => {
                self.behaves(server, |manners| manners.slow = *millis);
                sleep(lasts).await;
                self.behaves(server, |manners| manners.slow = 0);
            }
            What::ServerErrors { server } => {
                self.behaves(server, |manners| manners.errs = true);
                sleep(lasts).await;
                self.behaves(server, |manners| manners.errs = false);
            }
            What::ServerHangs { server } => {
                self.behaves(server, |manners| manners.hangs = true);
                sleep(lasts).await;
                // What hung is gone with its process.
                self.kill_server(server);
                self.start_server(server);
            }
            What::Deploy { service } => self.deploy(service).await,
            What::ServiceDies { service } => {
                let keys: Vec<String> = self.blueprint.servers_of(service).into_iter().map(str::to_owned).collect();
                keys.iter().for_each(|key| self.kill_server(key));
                sleep(lasts).await;
                keys.iter().for_each(|key| self.start_server(key));
            }
            What::HealthFlaps { service } => {
                for key in self.blueprint.servers_of(service) {
                    self.behaves(key, |manners| manners.fails_checks = 1);
                }
                sleep(lasts).await;
                for key in self.blueprint.servers_of(service) {
                    self.behaves(key, |manners| manners.fails_checks = 0);
                }
            }
            What::DnsFails { name } => {
                let known = self.addresses.lock().get(name).copied();
                self.net.dns(name, Answer::Failure);
                sleep(lasts).await;
                self.net.dns(name, known.map_or(Answer::NoSuchName, |ip| Answer::Addresses(vec![ip])));
            }
            What::DnsMoves { name } => self.moves(name, lasts).await,
            What::Reload | What::TornWrite | What::BrokenUnit => self.rewrite(incident).await,
            What::ConnectionBurst { connections } => {
                let open = self.serving_probes();
                let tasks: Vec<_> = (0..u64::from(*connections))
                    .filter_map(|n| Some(client::one(self, *open.get(n as usize % open.len().max(1))?, n, Why::Burst)))
                    .collect();
                for task in tasks {
                    if task.await.is_err() {
                        self.breaks("O17", "a client ended before its end".into());
                    }
                }
            }
            What::SlowClients { connections } => {
                let ports: Vec<u16> = self.blueprint.probes.iter().map(|probe| probe.port).collect();
                let Some(node) = self.clients.get(&crate::rehearse::probe::crowd(0)) else { return };
                for n in 0..*connections as usize {
                    let Some(port) = ports.get(n % ports.len().max(1)).copied() else { break };
                    node.spawn(trickle(port, lasts));
                }
                sleep(lasts).await;
            }
            What::GatewayStops => {}
        }
    }

    fn behaves(&self, key: &str, change: impl FnOnce(&mut super::server::Manners)) {
        if let Some(process) = self.processes.get(key) {
            process.behave(change);
        }
    }

    fn on_node(&self, index: usize) -> Vec<String> {
        self.blueprint.servers.iter().filter(|(_, server)| server.node == index).map(|(key, _)| key.clone()).collect()
    }

    fn both_ways(&self, far: HostId, change: impl Fn(&mut fairlead_net::sim::Link)) {
        self.net.link(self.gateway.host, far, &change);
        self.net.link(far, self.gateway.host, &change);
    }

    /// Stop-first: the health check fails from SIGTERM on, and the process serves on until its grace is over; its successor says 503
    /// until it is warm.
    async fn deploy(self: &Arc<Self>, service: &str) {
        let keys: Vec<String> = self.blueprint.servers_of(service).into_iter().take(DEPLOYED).map(str::to_owned).collect();
        for key in keys {
            self.note(&key, "gets SIGTERM");
            self.behaves(&key, |manners| manners.is_leaving = true);
            sleep(Duration::from_millis(self.plan.assumed.stop_grace)).await;
            self.close_server(&key);
            sleep(Duration::from_secs(1)).await;
            self.kill_server(&key);
            sleep(GAP).await;
            self.behaves(&key, |manners| manners.warms_up = true);
            self.start_server(&key);
            sleep(Duration::from_millis(self.plan.assumed.warm_up)).await;
            self.behaves(&key, |manners| manners.warms_up = false);
            sleep(NEXT).await;
        }
    }

    /// A name gets another address, and what listened at the old one listens there.
    async fn moves(self: &Arc<Self>, name: &str, lasts: Duration) {
        let Some(index) = self.blueprint.nodes.iter().position(|node| node.hosts.contains_key(name)) else { return };
        let Some(old) = self.addresses.lock().get(name).copied() else { return };
        let taken = |ip: &IpAddr| self.addresses.lock().values().any(|known| known == ip);
        let free = (1..=255).map(|n| IpAddr::V4(Ipv4Addr::new(198, 19, 255, n))).find(|ip| !taken(ip));
        let Some(new) = free else { return };
        let keys: Vec<String> =
            self.blueprint.servers.iter().filter(|(_, s)| s.host == name).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.kill_server(key));
        self.net.attach(self.nodes[index].host, &new.to_string());
        self.addresses.lock().insert(name.to_owned(), new);
        self.net.detach(self.nodes[index].host, &old.to_string());
        self.net.dns(name, Answer::Addresses(vec![new]));
        keys.iter().for_each(|key| self.start_server(key));
        sleep(lasts).await;
    }

    async fn rewrite(&self, incident: &Incident) {
        let texts = &self.plan.texts;
        let Some((path, text)) = texts.dynamic.iter().next() else { return };
        let changed = format!("{text}\n# {}\n", incident.at);
        let write = |text: &str| self.net.write_file(self.gateway.host, path, text);
        match incident.what {
            What::TornWrite => {
                let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                write(&text[..half]);
                sleep(Duration::from_millis(1 + mix(incident.at) % 50)).await;
                write(&changed);
                sleep(Duration::from_millis(incident.lasts)).await;
            }
            What::BrokenUnit if texts.directory => {
                let beside = format!("{}/zz-rehearsal.yml", texts.place.trim_end_matches('/'));
                let broken = "http:\n  routers:\n    zz-rehearsal:\n      rule: Host(`\n      service: nowhere\n";
                self.net.write_file(self.gateway.host, &beside, broken);
                sleep(Duration::from_millis(incident.lasts)).await;
                self.net.remove_file(self.gateway.host, &beside);
            }
            What::BrokenUnit => {
                write(&format!("{text}\n: [ broken\n"));
                sleep(Duration::from_millis(incident.lasts)).await;
                write(text);
            }
            _ => {
                write(&changed);
                sleep(Duration::from_millis(incident.lasts)).await;
            }
        }
    }

    /// Probes that are answered by servers.
    fn serving_probes(&self) -> Vec<usize> {
        let probes = self.blueprint.probes.iter().enumerate();
        probes.filter(|(_, probe)| probe.expects == Expect::Server).map(|(index, _)| index).collect()
    }

    /// SIGTERM, with long requests under way.
    async fn stop_gateway(self: &Arc<Self>, gateway: gateway::Running) {
        let probes = self.serving_probes();
        let long = probes.iter().cycle().take(LONG.min(2 * probes.len())).enumerate();
        let long: Vec<_> = long.map(|(n, index)| client::one(self, *index, n as u64, Why::Long)).collect();
        sleep(Duration::from_millis(500)).await;
        self.note("gateway", "gets SIGTERM");
        let now = self.now();
        self.seen.lock().stopped = Some(now);
        let drained = gateway.drain(self).await;
        self.note("gateway", &format!("ended: {drained:?}"));
        if drained.is_none() {
            self.breaks("O17", "the gateway's end was cut off".into());
        }
        self.seen.lock().drained = drained;
        for task in long {
            if task.await.is_err() {
                self.breaks("O17", "a client ended before its end".into());
            }
        }
    }
}

/// A head that never ends, byte by byte.
async fn trickle(port: u16, lasts: Duration) {
    let gateway = SocketAddr::new(crate::rehearse::blueprint::GATEWAY.into(), port);
    let Ok(mut stream) = Stream::connect(gateway).await else { return };
    let head = b"GET / HTTP/1.1\r\nHost: slow.example\r\nX-Slow: ";
    for n in 0..lasts.as_millis() as usize / 500 {
        let byte = head.get(n).copied().unwrap_or(b'x');
        // The gateway may well have had enough.
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(500)).await;
    }
}
