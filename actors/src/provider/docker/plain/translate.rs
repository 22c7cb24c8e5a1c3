//! From a daemon's containers to workloads.

use super::state::State;
use crate::provider::docker::api::Container;
use fairlead_core::discovery::{Instance, Kind, Network, Published, Workload};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

/// Compose's labels: project and service say what a container is an instance of; the others differ from one to the next.
const COMPOSE: &str = "com.docker.compose.";
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// A container that names another one's network may name one that does so itself.
const MAX_HOPS: usize = 8;

/// Every workload, by id.
pub(super) fn workloads(state: &State) -> Vec<Workload> {
    let mut groups: BTreeMap<Group<'_>, Vec<&Container>> = BTreeMap::new();
    for container in state.containers.values().filter(|container| is_shown(container)) {
        groups.entry(Group::of(container)).or_default().push(container);
    }
    let mut made: Vec<Workload> = groups.into_values().map(|group| workload(state, group)).collect();
    made.sort_by(|a, b| a.id.cmp(&b.id));
    made
}

/// What makes containers instances of the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Group<'a> {
    Alone(&'a str),
    Compose { project: &'a str, service: &'a str, labels: BTreeMap<&'a str, &'a str> },
}

impl<'a> Group<'a> {
    fn of(container: &'a Container) -> Self {
        let label = |key| container.labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let is_one_off = label(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        match (label(PROJECT), label(SERVICE)) {
            (Some(project), Some(service)) if !is_one_off => {
                let own = container.labels.iter().filter(|(key, _)| !key.starts_with(COMPOSE));
                Self::Compose { project, service, labels: own.map(|(key, value)| (key.as_str(), value.as_str())).collect() }
            }
            _ => Self::Alone(&container.id),
        }
    }
}

/// Those that run; and those that the operator wants to be seen anyway.
fn is_shown(container: &Container) -> bool {
    let anyway = |(key, value): (&String, &String)| {
        key.eq_ignore_ascii_case("traefik.docker.allownonrunning") && value.eq_ignore_ascii_case("true")
    };
    container.state == "running" || container.labels.iter().any(anyway)
}

/// Whether new requests may go there.
fn is_ready(state: &State, container: &Container) -> bool {
    container.state == "running" && ill(container).is_none() && !state.leaving.contains_key(&container.id)
}

/// What its health check says against it. Before version 1.52 of the API only the text for humans tells.
fn ill(container: &Container) -> Option<&'static str> {
    let (status, text) = (container.health.status.as_str(), container.status.as_str());
    if status == "unhealthy" || text.contains("(unhealthy)") {
        Some("unhealthy")
    } else if status == "starting" || text.contains("(health: starting)") {
        Some("starting")
    } else {
        None
    }
}

fn workload(state: &State, mut group: Vec<&Container>) -> Workload {
    group.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    let oldest = group[0];
    let mut networks: BTreeMap<String, Network> = BTreeMap::new();
    for container in &group {
        for (network, _) in attachments(state, container, MAX_HOPS) {
            networks.insert(network.id.clone(), network);
        }
    }
    let mut networks: Vec<Network> = networks.into_values().collect();
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let ports: BTreeSet<u16> =
        group.iter().flat_map(|c| &c.ports).filter(|port| port.protocol == "tcp").map(|port| port.private).collect();
    let remark = |c: &&&Container| ill(c).map(|how| format!("its container {} is {how}", container_name(c)));
    let mut instances: Vec<Instance> =
        group.iter().filter(|container| is_ready(state, container)).map(|container| instance(state, container)).collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    Workload {
        kind: Kind::Container,
        id: oldest.id.clone(),
        name: name(oldest),
        created: Duration::from_secs(u64::try_from(oldest.created).unwrap_or_default()),
        labels: oldest.labels.clone(),
        ports: ports.into_iter().collect(),
        networks,
        instances,
        remarks: group.iter().filter(|c| c.state == "running").filter_map(|c| remark(&c)).collect(),
    }
}

/// `service_project` of compose, as Traefik has it; else the container's own.
fn name(container: &Container) -> String {
    match Group::of(container) {
        Group::Compose { project, service, .. } => format!("{service}_{project}"),
        Group::Alone(_) => container_name(container),
    }
}

/// Old links are names as well, with a further slash.
fn container_name(container: &Container) -> String {
    let bare = container.names.iter().map(|name| name.trim_start_matches('/'));
    let own = bare.clone().find(|name| !name.contains('/')).or_else(|| bare.clone().next());
    own.unwrap_or(&container.id).to_owned()
}

fn instance(state: &State, container: &Container) -> Instance {
    Instance {
        id: container.id.clone(),
        name: container_name(container),
        node: String::new(),
        addresses: attachments(state, container, MAX_HOPS)
            .into_iter()
            .flat_map(|(network, ips)| ips.into_iter().map(move |ip| (network.id.clone(), ip)))
            .collect(),
        node_address: None,
        published: published(container),
    }
}

/// Its networks, with its addresses there.
fn attachments(state: &State, container: &Container, hops: usize) -> Vec<(Network, Vec<IpAddr>)> {
    let mode = container.host_config.network_mode.as_str();
    if let Some(other) = mode.strip_prefix("container:") {
        let is_it = |c: &&Arc<Container>| c.id.starts_with(other) || container_name(c) == other;
        let found = state.containers.values().find(is_it).filter(|_| hops > 0 && !other.is_empty());
        return found.map(|found| attachments(state, found, hops - 1)).unwrap_or_default();
    }
    let networks = container.network_settings.networks.iter().filter(|(name, _)| *name != "none");
    let made = networks.map(|(name, settings)| {
        let id = if settings.id.is_empty() { name } else { &settings.id };
        let is_host = name == "host";
        let ips = match is_host {
            true => vec![state.host.unwrap_or(Ipv4Addr::LOCALHOST.into())],
            false => [&settings.ip, &settings.ip6].into_iter().filter_map(|text| text.parse().ok()).collect(),
        };
        let shared = if is_host { None } else { state.shared.as_ref().map(|shared| shared.contains(id)) };
        (Network { id: id.clone(), name: name.clone(), shared, vip: None }, ips)
    });
    made.collect()
}

/// Ports of the host, those bound to one address first.
fn published(container: &Container) -> Vec<Published> {
    let bound = container.ports.iter().filter(|port| port.protocol == "tcp" && port.public != 0);
    let found: BTreeSet<(u16, bool, u16, Option<IpAddr>)> = bound
        .map(|port| {
            let address: Option<IpAddr> = port.ip.parse().ok();
            (port.private, address.is_none_or(|ip| ip.is_unspecified()), port.public, address)
        })
        .collect();
    found.into_iter().map(|(target, _, port, address)| Published { target, port, address }).collect()
}
