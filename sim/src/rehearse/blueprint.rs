//! What a plan's texts come to: the configuration as the gateway gets it, and the world that it calls for.
//!
//! Owns which machine each server stands on, and what of the static configuration the world changes. Pure: the same texts give the
//! same blueprint in any process. Deliberately absent: requests (`probe`), and anything that runs.

use super::{
    input,
    plan::{Assumed, Texts},
    probe::{self, Probe},
};
use fairlead_core::{
    config::{
        Config, Rejection, StaticConfig,
        dynamic::{LoadBalancer, ServiceKind, Transport, UpstreamScheme},
        static_::{FilePath, FileProvider, Protocol, Providers},
    },
    snapshot::{EntryPointSpec, Snapshot},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// See the head of this file.
pub struct Blueprint {
    pub config: StaticConfig,
    pub dynamic: Config,
    pub snapshot: Snapshot,
    /// What is not served as written.
    pub rejections: Vec<Rejection>,
    /// What the world puts in the place of something.
    pub replaced: Vec<String>,
    /// By `host:port`.
    pub servers: BTreeMap<String, Server>,
    pub nodes: Vec<Node>,
    pub probes: Vec<Probe>,
    /// Routers to which no request could be made up, and why.
    pub unexercised: Vec<(String, String)>,
}

/// A server's process, however many services name it.
#[derive(Clone, Debug)]
pub struct Server {
    pub host: String,
    pub port: u16,
    /// Where health checks come to, if not there.
    pub health_ports: BTreeSet<u16>,
    /// What they want to hear.
    pub health_status: u16,
    pub scheme: UpstreamScheme,
    /// Index into [`Blueprint::nodes`].
    pub node: usize,
    /// Names of load balancers.
    pub services: BTreeSet<String>,
    /// Names that its certificate needs.
    pub names: BTreeSet<String>,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    /// The hosts that URLs name, with the address of each.
    pub hosts: BTreeMap<String, IpAddr>,
    /// The gateway's own: it cannot die without the gateway.
    pub is_gateway: bool,
}

/// Where the gateway is found.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

impl Blueprint {
    /// Works everything out.
    ///
    /// # Errors
    /// The static configuration is unusable, in the product's words.
    pub fn new(texts: &Texts, assumed: &Assumed) -> anyhow::Result<Self> {
        let written = fairlead_actors::written::Written {
            file: texts.file.clone(),
            variables: texts.variables.clone(),
            flags: texts.flags.clone(),
        };
        let (mut config, mut rejections) = written.resolve().map_err(|unusable| anyhow::anyhow!("{unusable}"))?;
        let mut replaced = texts.replaced.clone();
        adapt(&mut config, texts, &mut replaced);
        let (dynamic, more) = input::resolved(texts, &config);
        rejections.extend(more);
        let specs: Vec<_> = config.entry_points.keys().map(|name| EntryPointSpec { name: name.clone() }).collect();
        let snapshot = Snapshot::build(1, &dynamic, &specs);
        let mut blueprint = Self {
            config,
            dynamic,
            snapshot,
            rejections,
            replaced,
            servers: BTreeMap::new(),
            nodes: Vec::new(),
            probes: Vec::new(),
            unexercised: Vec::new(),
        };
        blueprint.build(assumed);
        let (probes, unexercised) = probe::all(&blueprint);
        (blueprint.probes, blueprint.unexercised) = (probes, unexercised);
        Ok(blueprint)
    }

    fn build(&mut self, assumed: &Assumed) {
        let mut made_up = 0u16;
        for (name, service) in &self.dynamic.services {
            let ServiceKind::LoadBalancer(balancer) = &service.kind else { continue };
            for server in balancer.servers.iter().filter(|server| server.unreachable.is_none()) {
                let (host, port) = (server.url.host.to_string(), server.url.port);
                let literal = host.parse::<IpAddr>().ok();
                let local = host == "localhost" || literal.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
                let node = match (local, assumed.nodes.get(&host)) {
                    (true, _) => "the gateway's own machine".to_owned(),
                    (false, Some(node)) => node.clone(),
                    (false, None) if !server.node.is_empty() => server.node.clone(),
                    (false, None) => host.clone(),
                };
                let index = self.nodes.iter().position(|known| known.name == node).unwrap_or_else(|| {
                    self.nodes.push(Node { name: node.clone(), hosts: BTreeMap::new(), is_gateway: local });
                    self.nodes.len() - 1
                });
                let hosts = &mut self.nodes[index].hosts;
                if !hosts.contains_key(&host) {
                    let address = match literal {
                        Some(literal) if !local => literal,
                        _ if local => IpAddr::V4(Ipv4Addr::LOCALHOST),
                        _ => {
                            made_up += 1;
                            invented(made_up)
                        }
                    };
                    hosts.insert(host.clone(), address);
                }
                let transport = self.dynamic.transports.get(&balancer.transport);
                let entry = self.servers.entry(format!("{host}:{port}")).or_insert_with(|| Server {
                    host: host.clone(),
                    port,
                    health_ports: BTreeSet::new(),
                    health_status: 200,
                    scheme: server.url.scheme,
                    node: index,
                    services: BTreeSet::new(),
                    names: BTreeSet::new(),
                });
                entry.services.insert(name.to_string());
                entry.names.insert(host.clone());
                entry.names.extend(transport.map(|t| t.server_name.clone()).filter(|name| !name.is_empty()));
                if let Some(check) = &balancer.health_check {
                    entry.health_ports.extend(check.port.filter(|other| *other != port));
                    entry.health_status = check.status.unwrap_or(200);
                }
            }
        }
        let local = self.nodes.iter().any(|node| node.is_gateway);
        if local {
            self.replaced
                .push("servers on 127.0.0.1 or localhost: processes beside the gateway; their machine never dies alone".into());
        }
        let hosts: usize = self.nodes.iter().map(|node| node.hosts.len()).sum();
        self.replaced.push(format!(
            "{} servers (machines: {}; hosts: {hosts}): made up, at the addresses that their URLs name",
            self.servers.len(),
            self.nodes.len()
        ));
        let https = self.servers.values().filter(|server| server.scheme == UpstreamScheme::Https).count();
        if https > 0 {
            self.replaced.push(format!("certificates of {https} https servers: made up, by an authority that is trusted as rootCAs say, or by the platform"));
        }
    }

    /// The load balancers that a request to this service may come to, through weighted and failover services.
    pub fn leaves(&self, service: &str) -> BTreeSet<String> {
        let (mut open, mut seen, mut leaves) = (vec![service.to_owned()], BTreeSet::new(), BTreeSet::new());
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            match self.dynamic.services.get(name.as_str()).map(|service| &service.kind) {
                Some(ServiceKind::LoadBalancer(_)) => {
                    leaves.insert(name);
                }
                Some(ServiceKind::Weighted(weighted)) => open.extend(weighted.services.iter().map(|(name, _)| name.to_string())),
                Some(ServiceKind::Failover(failover)) => {
                    open.extend([failover.service.to_string(), failover.fallback.to_string()]);
                }
                Some(ServiceKind::Internal(_)) | None => {}
            }
        }
        leaves
    }

    /// The servers of a load balancer.
    pub fn servers_of(&self, leaf: &str) -> Vec<&str> {
        self.servers.iter().filter(|(_, server)| server.services.contains(leaf)).map(|(key, _)| key.as_str()).collect()
    }

    /// The load balancer of this name.
    pub fn balancer(&self, leaf: &str) -> Option<&LoadBalancer> {
        match self.dynamic.services.get(leaf).map(|service| &service.kind) {
            Some(ServiceKind::LoadBalancer(balancer)) => Some(balancer),
            _ => None,
        }
    }

    /// How the servers of a load balancer are spoken to.
    pub fn transport(&self, leaf: &str) -> Option<&Transport> {
        self.balancer(leaf).and_then(|balancer| self.dynamic.transports.get(&balancer.transport)).map(|t| &**t)
    }

    /// The longest request that time-outs let through, in ms; see [`Assumed::longest`].
    pub fn longest(&self, assumed: &Assumed, leaf: &str) -> u64 {
        let limit = self.transport(leaf).map_or(0, |t| t.response_header_timeout.as_millis() as u64);
        match (assumed.longest, limit) {
            (Some(longest), 0) => longest,
            (Some(longest), limit) => longest.min(limit * 9 / 10),
            (None, 0) => 8_000,
            (None, limit) => limit * 9 / 10,
        }
    }
}

fn invented(n: u16) -> IpAddr {
    let [high, low] = (n + 256).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 19, high, low))
}

/// What cannot be as it is written, or would only cost time.
fn adapt(config: &mut StaticConfig, texts: &Texts, replaced: &mut Vec<String>) {
    let path = if texts.directory { FilePath::Directory(texts.place.clone()) } else { FilePath::File(texts.place.clone()) };
    config.providers =
        Providers { file: Some(FileProvider { path, watch: true }), throttle: config.providers.throttle, ..Providers::default() };
    config.workers = Some(config.workers.unwrap_or(2).clamp(1, 4));
    config.reason_header.get_or_insert_with(|| "X-Fairlead-Reason".to_owned());
    if config.access_log.take().is_some() || config.tracing.take().is_some() {
        replaced.push("access log and traces: not written".into());
    }
    let mut moved = Vec::new();
    let mut free = 61_000;
    for (name, entry) in &mut config.entry_points {
        if entry.address.port == 0 {
            entry.address.port = free;
            free += 1;
        }
        if entry.address.protocol == Protocol::Tcp && entry.address.ip.is_some() {
            entry.address.ip = None;
            moved.push(name.clone());
        }
    }
    if !moved.is_empty() {
        replaced.push(format!(
            "entry point {}: listens on every address of the simulated gateway, with its own port",
            moved.join(", ")
        ));
    }
    if !texts.certificates.is_empty() {
        replaced.push("certificates: read, and twins with the same names and made-up keys stand in the world".into());
    }
}
