//! What the Engine API says of a view, as it says it: fields that are missing in the real one are missing here.

use super::{
    View,
    model::{Node, Service, Task},
};
use crate::{
    chance::mix,
    plan::{swarm::Language, traffic::COOKIE},
};
use serde_json::{Map, Value, json};
use std::{
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where tasks listen.
pub const PORT: u16 = 8080;
/// Gateways that a cluster can have.
pub(super) const GATEWAYS: usize = 5;

/// An identity as Swarm makes them: 25 letters and digits, never two alike.
pub(super) fn identity(number: u64) -> String {
    let mut bits = u128::from(mix(number.wrapping_add(0x5157))) << 64 | u128::from(number);
    let digit = |bits: &mut u128| {
        let digit = (*bits % 36) as u32;
        *bits /= 36;
        char::from_digit(digit, 36).unwrap_or('0')
    };
    (0..25).map(|_| digit(&mut bits)).collect()
}

/// Identity of an overlay network.
pub fn network_id(network: usize) -> String {
    identity(1 << 40 | network as u64)
}

fn node_id(node: usize) -> String {
    identity(1 << 41 | node as u64)
}

/// Of objects, what lists give. `zero` is when the world began.
pub(super) struct Words {
    pub zero: SystemTime,
    /// Services bind clients to tasks by a cookie.
    pub sticky: bool,
}

impl Words {
    pub(super) fn services(&self, view: &View) -> Value {
        view.services.values().map(|service| self.service(service)).collect()
    }

    fn labels(&self, service: &Service) -> Value {
        let Some(host) = service.host else {
            return json!({"com.example.team": "nobody's concern", "traefik.enable": "false"});
        };
        let name = format!("s{host}");
        match service.language {
            Language::Traefik => {
                let balancer = format!("traefik.http.services.{name}.loadbalancer");
                let mut labels = json!({
                    "traefik.enable": "true",
                    format!("traefik.http.routers.{name}.rule"): format!("Host(`{name}.test`)"),
                    format!("{balancer}.server.port"): PORT.to_string(),
                });
                if self.sticky {
                    labels[format!("{balancer}.sticky.cookie.name")] = COOKIE.into();
                }
                labels
            }
            // Its cookie is one that the application sets.
            Language::Interlock => json!({
                "com.docker.lb.hosts": format!("{name}.test"),
                "com.docker.lb.port": PORT.to_string(),
                "com.docker.lb.network": format!("net{}", service.network),
            }),
        }
    }

    pub(super) fn service(&self, service: &Service) -> Value {
        let mode = match service.replicas {
            Some(replicas) => json!({"Replicated": {"Replicas": replicas}}),
            None => json!({"Global": {}}),
        };
        let network = network_id(service.network);
        let spec = json!({
            "Name": format!("app{}", service.app),
            "Labels": self.labels(service),
            "TaskTemplate": {
                "ContainerSpec": {"Image": format!("app:{}", service.template.number), "Isolation": "default"},
                "Networks": [{"Target": network, "Aliases": [format!("app{}", service.app)]}],
                "ForceUpdate": service.template.number,
                "Runtime": "container",
            },
            "Mode": mode,
            "EndpointSpec": {"Mode": "vip"},
        });
        let mut told = json!({
            "ID": service.id,
            "Version": {"Index": service.version},
            "CreatedAt": self.time_of_creation(service.created),
            "UpdatedAt": self.time(service.updated),
            "Spec": spec,
            "Endpoint": {"Spec": {"Mode": "vip"}, "VirtualIPs": [{"NetworkID": network, "Addr": format!("{}/24", service.vip)}]},
        });
        if let Some((state, message)) = &service.update {
            told["UpdateStatus"] = json!({"State": state, "StartedAt": self.time(service.updated), "Message": message});
        }
        told
    }

    pub(super) fn tasks<'a>(&self, tasks: impl Iterator<Item = &'a Task>) -> Value {
        tasks.map(|task| self.task(task)).collect()
    }

    pub(super) fn task(&self, task: &Task) -> Value {
        let mut told = json!({
            "ID": task.id,
            "Version": {"Index": task.version},
            "CreatedAt": self.time(task.created),
            "UpdatedAt": self.time(task.updated),
            "Labels": {},
            "Spec": {"ContainerSpec": {"Image": format!("app:{}", task.template.number)}},
            "ServiceID": task.service,
            "Slot": task.slot,
            "Status": {"Timestamp": self.time(task.updated), "State": task.state.as_str(), "Message": "", "PortStatus": {}},
            "DesiredState": task.desired.as_str(),
        });
        if let Some(node) = task.node {
            told["NodeID"] = json!(node_id(node));
        }
        if task.state >= super::State::Starting {
            told["Status"]["ContainerStatus"] = json!({"ContainerID": task.container, "PID": 1, "ExitCode": 0});
        }
        if let Some(address) = task.address {
            told["NetworksAttachments"] =
                json!([{"Network": network(task.network, false), "Addresses": [format!("{address}/24")]}]);
        }
        told
    }

    pub(super) fn nodes(&self, view: &View) -> Value {
        view.nodes.iter().map(|node| self.node(node)).collect()
    }

    fn node(&self, node: &Node) -> Value {
        json!({
            "ID": node_id(node.index),
            "Version": {"Index": node.version},
            "Spec": {"Role": "worker", "Availability": if node.drained { "drain" } else { "active" }},
            "Description": {"Hostname": format!("node{}", node.index)},
            "Status": {"State": if node.ready { "ready" } else { "down" }, "Addr": format!("192.168.1.{}", node.index + 10)},
        })
    }

    /// RFC 3339 with nanoseconds, `at` milliseconds after the world began.
    pub(super) fn time(&self, at: u64) -> String {
        written(self.zero + Duration::from_millis(at))
    }

    /// Services that are there from the beginning were made an hour ago, one after the other.
    fn time_of_creation(&self, created: u64) -> String {
        match created.checked_sub(super::event::CREATED) {
            Some(at) => self.time(at),
            None => written(self.zero - Duration::from_secs(3_600) + Duration::from_secs(created)),
        }
    }
}

/// A network as lists have it, or as tasks carry it.
fn network(index: usize, listed: bool) -> Value {
    let (id, name) = (network_id(index), format!("net{index}"));
    if listed {
        return json!({"Id": id, "Name": name, "Scope": "swarm", "Driver": "overlay", "Ingress": false, "Attachable": true, "Labels": {}});
    }
    json!({"ID": id, "Spec": {"Name": name, "Labels": {}, "Attachable": true}, "DriverState": {"Name": "overlay"}})
}

/// All networks, and the one that is no concern of anybody's.
pub(super) fn networks(count: usize) -> Value {
    let ingress = json!({"Id": identity(1 << 42), "Name": "ingress", "Scope": "swarm", "Driver": "overlay", "Ingress": true});
    (0..count).map(|index| network(index, true)).chain([ingress]).collect()
}

/// The name of a gateway's container, which is also its host name.
pub fn gateway_name(gateway: usize) -> String {
    if gateway == 0 { "gateway".into() } else { format!("gateway-{}", gateway + 1) }
}

/// A gateway's own container.
pub(super) fn container(view: &View, gateway: usize) -> Value {
    let on = |index: &usize| {
        let address = gateway_address(*index, gateway).to_string();
        (format!("net{index}"), json!({"NetworkID": network_id(*index), "IPAddress": address, "GlobalIPv6Address": ""}))
    };
    let networks: Map<String, Value> = view.attached.iter().map(on).collect();
    json!({
        "Id": container_id(gateway),
        "Name": format!("/{}", gateway_name(gateway)),
        "State": {"Status": "running", "Running": true},
        "Config": {"Hostname": gateway_name(gateway), "Labels": {}},
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": networks},
    })
}

/// The id of a gateway's container.
pub fn container_id(gateway: usize) -> String {
    format!("{:016x}", mix(0x6a7e + gateway as u64)).repeat(4)
}

/// Where a gateway is on an overlay network.
pub fn gateway_address(network: usize, gateway: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 10, network as u8, 254 - gateway as u8)
}

fn written(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, of_day) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The date so many days after 1970 began.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_engine_writes_them() {
        let at = |seconds, nanos| written(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(at(951_782_399, 5_000_000), "2000-02-28T23:59:59.005000000Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000000000Z");
        assert_eq!(at(1_709_251_200, 1), "2024-03-01T00:00:00.000000001Z");
    }

    #[test]
    fn identities_differ() {
        let made: std::collections::BTreeSet<_> = (0..1000).chain((0..9).map(|n| 1 << 40 | n)).map(identity).collect();
        assert!(made.len() == 1009 && made.iter().all(|id| id.len() == 25));
    }
}
