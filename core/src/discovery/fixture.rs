//! Workloads for tests, and what is served of them.

use super::{Discovery, Instance, Kind, Mounts, Network, Published, Settings, Workload};
use crate::config::{Config, Rejection, StaticConfig, dynamic::ServiceKind, flags, resolve, resolve_static};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// A Swarm service on the network `front`, which listens on 8080 and has the given number of tasks.
pub(crate) fn service(name: &str, tasks: u8, labels: &[(&str, &str)]) -> Workload {
    let network =
        Network { id: "n1".to_owned(), name: "front".to_owned(), shared: Some(true), vip: Some(IpAddr::from([10, 0, 1, 2])) };
    Workload {
        kind: Kind::SwarmService,
        id: format!("id-{name}"),
        name: name.to_owned(),
        created: Duration::from_secs(1000),
        labels: labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
        ports: vec![8080, 9090],
        networks: vec![network],
        instances: (1..=tasks).map(|slot| instance(name, slot)).collect(),
        remarks: Vec::new(),
    }
}

/// A running container, like [`service`] for the rest.
pub(crate) fn container(name: &str, last: u8, labels: &[(&str, &str)]) -> Workload {
    let mut workload = service(name, 0, labels);
    workload.kind = Kind::Container;
    workload.networks[0].vip = None;
    workload.instances = vec![Instance { name: name.to_owned(), ..instance(name, last) }];
    workload
}

fn instance(name: &str, last: u8) -> Instance {
    Instance {
        id: format!("{name}-task-{last}"),
        name: format!("{name}.{last}"),
        node: "node-1".to_owned(),
        addresses: vec![("n1".to_owned(), IpAddr::from([10, 0, 1, 10 + last]))],
        node_address: Some(IpAddr::from([192, 168, 0, 1])),
        published: Vec::new(),
    }
}

pub(crate) fn publish(workload: &mut Workload, target: u16, port: u16) {
    workload.instances[0].published.push(Published { target, port, address: None });
}

/// A gateway with the entry points `web` and `websecure`.
pub(crate) fn gateway() -> StaticConfig {
    let flags = ["--entryPoints.web.address=:80", "--entryPoints.websecure.address=:443"].map(str::to_owned);
    resolve_static(&flags::tree(&flags).unwrap()).unwrap().0
}

/// What is served of `workloads`, read for the first time, and all that was refused.
pub(crate) fn serve(settings: Settings, workloads: &[Workload]) -> (Config, Vec<Rejection>) {
    let provider = settings.provider.clone();
    let (raw, mut rejections) = Discovery::new(settings).compose(workloads, &Mounts::default());
    let (config, refused) = resolve(&BTreeMap::from([(provider, raw)]), &gateway(), None);
    rejections.extend(refused);
    (config, rejections)
}

/// Servers of a service as texts: `http://10.0.1.11:8080 (web-task-1)`.
pub(crate) fn servers(config: &Config, name: &str) -> Vec<String> {
    match &config.services[name].kind {
        ServiceKind::LoadBalancer(balancer) => {
            let text = |server: &crate::config::dynamic::Server| match server.instance.as_str() {
                "" => server.url.text.to_string(),
                instance => format!("{} ({instance})", server.url.text),
            };
            balancer.servers.iter().map(text).collect()
        }
        other => panic!("{name} is {other:?}"),
    }
}
