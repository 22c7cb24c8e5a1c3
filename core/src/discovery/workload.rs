//! What an orchestrator runs, in words that Swarm, Docker and Rancher share.
//!
//! Deliberately absent: what labels mean.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// One thing with labels: a Swarm service, a container, the containers of one compose service, a Rancher service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    pub kind: Kind,
    /// The orchestrator's own identity of it, which no other ever has.
    pub id: String,
    /// As operators know it: `shop_web`.
    pub name: String,
    /// Since the Unix epoch: of two that claim one name, the older has it.
    pub created: Duration,
    pub labels: BTreeMap<String, String>,
    /// TCP ports that it is known to listen on (`EXPOSE`, target ports), ascending.
    pub ports: Vec<u16>,
    /// Networks that it is on, without Swarm's ingress network, by name.
    pub networks: Vec<Network>,
    /// Those that new requests may go to as far as the orchestrator knows (running, meant to run, not unhealthy), by id.
    pub instances: Vec<Instance>,
    /// What the orchestrator says of it that an operator should see: an update that was paused or rolled back.
    pub remarks: Vec<String>,
}

/// What a workload is, for messages and for differences between orchestrators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SwarmService,
    Container,
    RancherService,
}

/// One network of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub id: String,
    pub name: String,
    /// Whether this gateway is on it too. `None`: it could not be found out, and is taken for granted.
    pub shared: Option<bool>,
    /// The workload's virtual address there.
    pub vip: Option<IpAddr>,
}

/// One task or container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The task's or container's identity: an address may be given to another later, this never.
    pub id: String,
    /// As operators know it: `shop_web.1`.
    pub name: String,
    /// Name of the node that it runs on; empty: this one.
    pub node: String,
    /// Addresses by network id.
    pub addresses: Vec<(String, IpAddr)>,
    /// Address of its node, for ports published there.
    pub node_address: Option<IpAddr>,
    /// Ports published on its node.
    pub published: Vec<Published>,
}

/// A port published on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Inside the container.
    pub target: u16,
    /// On the node.
    pub port: u16,
    /// Address on the node, where it is bound to one.
    pub address: Option<IpAddr>,
}

impl Workload {
    /// As messages name it: `service shop_web`.
    pub fn title(&self) -> String {
        let kind = match self.kind {
            Kind::SwarmService | Kind::RancherService => "service",
            Kind::Container => "container",
        };
        format!("{kind} {}", self.name)
    }
}
