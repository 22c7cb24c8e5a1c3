//! What is read of the Engine API's answers: each field may be missing or null, states are text, what is not named here is
//! skipped. Versions 1.24 to 1.56 agree on all of it.

use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Absent and null are the same: nothing.
fn lenient<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($key:literal $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
        #[serde(default)]
        pub struct $name {
            $(#[serde(rename = $key, deserialize_with = "lenient")] pub $field: $type,)*
        }
    )*};
}

shapes! {
    /// Grows with each write to an object; to be compared with the same object's only.
    Version { "Index" index: u64 }

    Service {
        "ID" id: String,
        "Version" version: Version,
        "CreatedAt" created_at: String,
        "Spec" spec: ServiceSpec,
        "Endpoint" endpoint: Endpoint,
        "UpdateStatus" update_status: UpdateStatus,
    }

    ServiceSpec {
        "Name" name: String,
        "Labels" labels: BTreeMap<String, String>,
        "TaskTemplate" task_template: TaskTemplate,
        "Networks" networks: Vec<Target>,
        "Mode" mode: Mode,
        "EndpointSpec" endpoint_spec: EndpointSpec,
    }

    TaskTemplate { "Networks" networks: Vec<Target> }

    Target { "Target" target: String }

    Mode { "Replicated" replicated: Option<Replicated> }

    Replicated { "Replicas" replicas: Option<u64> }

    EndpointSpec { "Mode" mode: String, "Ports" ports: Vec<Port> }

    Port {
        "Protocol" protocol: String,
        "TargetPort" target: u16,
        "PublishedPort" published: u16,
        "PublishMode" mode: String,
    }

    Endpoint { "Ports" ports: Vec<Port>, "VirtualIPs" virtual_ips: Vec<VirtualIp> }

    VirtualIp { "NetworkID" network: String, "Addr" address: String }

    UpdateStatus { "State" state: String, "Message" message: String }

    Task {
        "ID" id: String,
        "Version" version: Version,
        "ServiceID" service: String,
        "Slot" slot: u64,
        "NodeID" node: String,
        "Status" status: TaskStatus,
        "DesiredState" desired: String,
        "NetworksAttachments" attachments: Vec<Attachment>,
    }

    TaskStatus {
        "State" state: String,
        "ContainerStatus" container: ContainerStatus,
        "PortStatus" ports: PortStatus,
    }

    ContainerStatus { "ContainerID" id: String }

    PortStatus { "Ports" ports: Vec<Port> }

    Attachment { "Network" network: AttachedNetwork, "Addresses" addresses: Vec<String> }

    AttachedNetwork { "ID" id: String, "Spec" spec: NetworkSpec, "DriverState" driver: Driver }

    NetworkSpec { "Name" name: String, "Ingress" ingress: bool }

    Driver { "Name" name: String }

    Network { "Id" id: String, "Name" name: String, "Driver" driver: String, "Ingress" ingress: bool }

    Node {
        "ID" id: String,
        "Description" description: NodeDescription,
        "Status" status: NodeStatus,
        "ManagerStatus" manager: ManagerStatus,
    }

    NodeDescription { "Hostname" host_name: String }

    NodeStatus { "State" state: String, "Addr" address: String }

    ManagerStatus { "Addr" address: String }

    /// Of the list of containers. `created` is in seconds since the Unix epoch.
    Container {
        "Id" id: String,
        "Names" names: Vec<String>,
        "Created" created: i64,
        "Labels" labels: BTreeMap<String, String>,
        "State" state: String,
        "Status" status: String,
        "Ports" ports: Vec<ContainerPort>,
        "NetworkSettings" network_settings: NetworkSettings,
        "HostConfig" host_config: HostConfig,
        "Health" health: Health,
    }

    ContainerPort {
        "IP" ip: String,
        "PrivatePort" private: u16,
        "PublicPort" public: u16,
        "Type" protocol: String,
    }

    NetworkSettings { "Networks" networks: BTreeMap<String, EndpointSettings> }

    EndpointSettings {
        "NetworkID" id: String,
        "IPAddress" ip: String,
        "GlobalIPv6Address" ip6: String,
    }

    HostConfig { "NetworkMode" network_mode: String }

    Health { "Status" status: String }

    /// Of one container.
    Inspected {
        "Id" id: String,
        "Config" config: ContainerConfig,
        "NetworkSettings" network_settings: NetworkSettings,
    }

    ContainerConfig { "Hostname" host_name: String }

    Event { "Type" kind: String, "Action" action: String, "Actor" actor: Actor }

    Actor { "ID" id: String, "Attributes" attributes: BTreeMap<String, String> }

    DaemonVersion { "ApiVersion" api: String }

    Refusal { "message" message: String }
}

/// `10.0.1.5/24` or `10.0.1.5`, of either family.
pub fn address(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

/// `2026-11-21T06:23:47.082546055Z` since the Unix epoch; zero where it is no such time.
pub fn since_epoch(text: &str) -> Duration {
    parse_time(text).unwrap_or_default()
}

fn parse_time(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    let digits: String = fraction.chars().take(9).collect();
    let nanos: u32 = if digits.is_empty() { 0 } else { format!("{digits:0<9}").parse().ok()? };
    Some(Duration::new(days * 86_400 + hour * 3600 + minute * 60 + second.min(60), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_null_and_unknown_are_all_borne() {
        let text =
            r#"{"ID":"a","Spec":{"Name":"web","Labels":null,"EndpointSpec":{"Ports":null}},"Endpoint":null,"New":{"x":[1]}}"#;
        let service: Service = serde_json::from_str(text).expect("a service");
        assert_eq!((service.id.as_str(), service.spec.name.as_str(), service.spec.labels.len()), ("a", "web", 0));
        let task: Task = serde_json::from_str(r#"{"Status":{"State":"hovering","ContainerStatus":null}}"#).expect("a task");
        assert_eq!(task.status.state, "hovering");
        assert_eq!(serde_json::from_str::<Task>("{}").expect("an empty one"), Task::default());
    }

    #[test]
    fn times_and_addresses_as_the_engine_writes_them() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29T12:00:00.5Z", 951_825_600, 500_000_000),
            ("2026-11-21T06:23:47.082546055Z", 1_795_242_227, 82_546_055),
            ("0001-01-01T00:00:00Z", 0, 0),
            ("2026-13-01T00:00:00Z", 0, 0),
            ("yesterday", 0, 0),
            ("", 0, 0),
        ] {
            assert_eq!(since_epoch(text), Duration::new(seconds, nanos), "{text}");
        }
        assert_eq!(address("10.0.1.5/24"), "10.0.1.5".parse().ok());
        assert_eq!(address("fd00::5/64"), "fd00::5".parse().ok());
        assert_eq!((address(""), address("web/24")), (None, None));
    }
}
