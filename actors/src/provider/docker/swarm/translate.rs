//! From a Swarm's service and its tasks to a workload.

use super::state::State;
use crate::provider::docker::api::{Attachment, Node, Port, Service, Task, address, since_epoch};
use fairlead_core::discovery::{Instance, Kind, Network, Published, Workload};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The driver of the network that is the node's own.
const HOST: &str = "host";

/// Meant to run, and running: its health check, if it has one, passed.
pub(super) fn runs(task: &Task) -> bool {
    (task.desired == "running" || planted!("desired_ignored")) && task.status.state == "running"
}

/// What `service` is to the label languages.
pub(super) fn workload(state: &State, service: &Service) -> Workload {
    let tasks = state.tasks.get(&service.id).map_or(&[][..], Vec::as_slice);
    let running: Vec<&Task> =
        tasks.iter().map(|task| &**task).filter(|task| runs(task) && !is_replaced(state, task, tasks)).collect();
    Workload {
        kind: Kind::SwarmService,
        id: service.id.clone(),
        name: service.spec.name.clone(),
        created: age(service),
        labels: service.spec.labels.clone(),
        ports: ports(service),
        networks: networks(state, service, &running),
        instances: running.iter().map(|task| instance(state, service, task)).collect(),
        remarks: remark(service).into_iter().collect(),
    }
}

fn age(service: &Service) -> Duration {
    let created = since_epoch(&service.created_at);
    if planted!("conflict_newcomer_wins") { Duration::MAX - created } else { created }
}

/// Whether its node is down and its slot runs elsewhere since.
fn is_replaced(state: &State, task: &Task, tasks: &[Arc<Task>]) -> bool {
    let is_down = state.nodes.get(&task.node).is_some_and(|node| node.status.state == "down");
    let replaces = |other: &Arc<Task>| {
        runs(other) && other.slot == task.slot && other.node != task.node && other.version.index > task.version.index
    };
    is_down && task.slot != 0 && tasks.iter().any(replaces)
}

fn ports(service: &Service) -> Vec<u16> {
    let ports = service.spec.endpoint_spec.ports.iter().chain(&service.endpoint.ports);
    let ports: BTreeSet<u16> = ports.filter(|port| is_tcp(&port.protocol)).map(|port| port.target).collect();
    ports.into_iter().filter(|port| *port != 0).collect()
}

fn is_tcp(protocol: &str) -> bool {
    protocol.is_empty() || protocol.eq_ignore_ascii_case("tcp")
}

/// Those that the service asks for and those that its tasks have, by name; not the one through which Swarm publishes ports.
fn networks(state: &State, service: &Service, tasks: &[&Task]) -> Vec<Network> {
    let attached: BTreeMap<&str, &Attachment> =
        tasks.iter().flat_map(|task| &task.attachments).map(|attachment| (attachment.network.id.as_str(), attachment)).collect();
    let targets = service.spec.task_template.networks.iter().chain(&service.spec.networks).map(|target| target.target.as_str());
    let mut found: Vec<Network> = targets
        .chain(attached.keys().copied())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter_map(|id| network(state, service, id, attached.get(id).copied()))
        .collect();
    found.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    found
}

fn network(state: &State, service: &Service, id: &str, attachment: Option<&Attachment>) -> Option<Network> {
    let listed = state.networks.get(id);
    let spec = attachment.map(|attachment| &attachment.network.spec);
    if id.is_empty() || listed.is_some_and(|network| network.ingress) || spec.is_some_and(|spec| spec.ingress) {
        return None;
    }
    let name = listed.map(|network| network.name.as_str()).or(spec.map(|spec| spec.name.as_str()));
    let is_host = listed.is_some_and(|network| network.driver == HOST) || attachment.is_some_and(is_host);
    let vip = service.endpoint.virtual_ips.iter().find(|vip| vip.network == id);
    Some(Network {
        id: id.to_owned(),
        name: name.filter(|name| !name.is_empty()).unwrap_or(id).to_owned(),
        // What listens on the node is not behind a network.
        shared: if is_host { None } else { state.shared.as_ref().map(|shared| shared.contains(id)) },
        vip: vip.and_then(|vip| address(&vip.address)),
    })
}

fn is_host(attachment: &Attachment) -> bool {
    attachment.network.driver.name == HOST
}

fn instance(state: &State, service: &Service, task: &Task) -> Instance {
    let node = state.nodes.get(&task.node);
    let host_name = node.map(|node| node.description.host_name.as_str()).filter(|name| !name.is_empty());
    let node_address = node.and_then(|node| node_ip(node));
    let place = if task.slot == 0 { host_name.unwrap_or(&task.node).to_owned() } else { task.slot.to_string() };
    Instance {
        id: task.id.clone(),
        name: format!("{}.{place}", service.spec.name),
        node: host_name.unwrap_or(&task.node).to_owned(),
        addresses: task.attachments.iter().flat_map(|attachment| addresses(attachment, node_address)).collect(),
        node_address,
        published: published(&task.status.ports.ports),
    }
}

fn addresses(attachment: &Attachment, node_address: Option<IpAddr>) -> Vec<(String, IpAddr)> {
    let network = &attachment.network;
    if network.spec.ingress {
        return Vec::new();
    }
    let own: Vec<IpAddr> = match is_host(attachment) {
        true => node_address.into_iter().collect(),
        false => attachment.addresses.iter().filter_map(|text| address(text)).collect(),
    };
    own.into_iter().map(|ip| (network.id.clone(), ip)).collect()
}

/// What others reach the node by. A manager that was never told its address says so with an unspecified one.
fn node_ip(node: &Node) -> Option<IpAddr> {
    let own = address(&node.status.address);
    let manager = || node.manager.address.parse::<SocketAddr>().ok().map(|address| address.ip());
    match own {
        Some(ip) if !ip.is_unspecified() => own,
        _ => manager().or(own),
    }
}

/// Ports of the node that lead to this very task. Those of the routing mesh lead to any.
fn published(ports: &[Port]) -> Vec<Published> {
    let host = ports.iter().filter(|port| port.mode == HOST && is_tcp(&port.protocol) && port.published != 0);
    // Docker 20.10 lists each twice.
    let found: BTreeSet<(u16, u16)> = host.map(|port| (port.target, port.published)).collect();
    found.into_iter().map(|(target, port)| Published { target, port, address: None }).collect()
}

fn remark(service: &Service) -> Option<String> {
    let status = &service.update_status;
    let what = match status.state.as_str() {
        "paused" => "its update is paused",
        "rollback_started" => "its update failed and is being rolled back",
        "rollback_paused" => "the rollback of its update is paused",
        "rollback_completed" => "its last update failed and was rolled back",
        _ => return None,
    };
    Some(if status.message.is_empty() { what.to_owned() } else { format!("{what}: {}", status.message) })
}
