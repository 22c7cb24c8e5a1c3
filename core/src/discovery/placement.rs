//! Where a workload's instances are reached: which network, which port, which address.
//!
//! An instance that cannot be reached is kept, with the reason, so that it is shown instead of missed.

use super::{Instance, Network, Workload};
use std::net::{IpAddr, SocketAddr};

/// What a label language wants of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Network by name or id, from a label or the provider's options. `None`: found out.
    pub network: Option<&'a str>,
    /// Port inside the container.
    pub port: u16,
    pub mode: Mode,
}

/// How instances are addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each by its own address.
    Instances,
    /// All by the workload's virtual address.
    Virtual,
    /// Each by the port published on its node.
    Published,
}

/// One address to send requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: SocketAddr,
    pub instance: String,
    pub node: String,
    /// Why no request can get there.
    pub unreachable: Option<String>,
}

/// Why no address can be told for a whole workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("it is not on the network `{wanted}`, but on {present}")]
    NotOn { wanted: String, present: String },
    #[error("it is on several networks, {present}, and it is not said which to use")]
    Ambiguous { present: String },
    #[error("it is on no network and publishes no port")]
    NoNetwork,
    #[error("it has no virtual address on `{network}`")]
    NoVirtualAddress { network: String },
}

impl Problem {
    /// What to do about it, where `label` is the one that names a network.
    pub fn remedy(&self, label: &str) -> String {
        match self {
            Self::NotOn { .. } => format!("set {label} to one of those, or attach the service to that network"),
            Self::Ambiguous { .. } => format!("set {label} to the one that this gateway shares"),
            Self::NoNetwork => "attach it to a network that this gateway is on too".to_owned(),
            Self::NoVirtualAddress { .. } => "use the endpoint mode vip, or the mode that addresses tasks".to_owned(),
        }
    }
}

/// Addresses of the workload's instances as `wanted`. None at all is no problem: it may have no instance yet.
///
/// # Errors
///
/// The network is missing or ambiguous: nothing is sent to an address that was guessed.
pub fn place(workload: &Workload, wanted: &Wanted<'_>) -> Result<Vec<Place>, Problem> {
    if wanted.mode == Mode::Published {
        return Ok(workload.instances.iter().filter_map(|instance| published(instance, wanted.port)).collect());
    }
    let network = match network(workload, wanted.network) {
        Ok(network) => network,
        // Not on an overlay at all, yet published on the nodes: Swarm's host mode.
        Err(Problem::NoNetwork) if workload.instances.iter().any(|instance| published(instance, wanted.port).is_some()) => {
            return Ok(workload.instances.iter().filter_map(|instance| published(instance, wanted.port)).collect());
        }
        // Before the first task there may be no network to be seen.
        Err(Problem::NoNetwork) if workload.instances.is_empty() => return Ok(Vec::new()),
        Err(problem) => return Err(problem),
    };
    let unreachable = (network.shared == Some(false)).then(|| not_shared(&network.name));
    if wanted.mode == Mode::Virtual {
        let Some(vip) = network.vip else {
            return Err(Problem::NoVirtualAddress { network: network.name.clone() });
        };
        // Behind the virtual address nobody stands while there is no instance.
        let unreachable = unreachable.or_else(|| workload.instances.is_empty().then(|| "no task is running".to_owned()));
        let address = SocketAddr::new(vip, wanted.port);
        return Ok(vec![Place { address, instance: workload.id.clone(), node: String::new(), unreachable }]);
    }
    let place = |instance: &Instance| {
        let ip = instance.addresses.iter().find(|(id, _)| *id == network.id).map(|(_, ip)| *ip);
        // A task that is not attached yet has no address there; the next look finds it.
        ip.map(|ip| Place {
            address: SocketAddr::new(ip, wanted.port),
            instance: instance.id.clone(),
            node: instance.node.clone(),
            unreachable: unreachable.clone(),
        })
    };
    Ok(workload.instances.iter().filter_map(place).collect())
}

/// The network to use: the one wanted; else the only one; else the only one that this gateway is on too.
///
/// # Errors
///
/// See [`Problem`].
pub fn network<'a>(workload: &'a Workload, wanted: Option<&str>) -> Result<&'a Network, Problem> {
    let names = || workload.networks.iter().map(|network| format!("`{}`", network.name)).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        let found = workload.networks.iter().find(|network| network.name == wanted || network.id == wanted);
        return found.ok_or_else(|| Problem::NotOn {
            wanted: wanted.to_owned(),
            present: if workload.networks.is_empty() { "none".to_owned() } else { names() },
        });
    }
    match &workload.networks[..] {
        [] => Err(Problem::NoNetwork),
        [only] => Ok(only),
        several => {
            let mut shared = several.iter().filter(|network| network.shared == Some(true));
            match (shared.next(), shared.next()) {
                (Some(network), None) => Ok(network),
                _ => Err(Problem::Ambiguous { present: names() }),
            }
        }
    }
}

/// What to say of an address on a network that this gateway is not on.
pub fn not_shared(network: &str) -> String {
    format!("this gateway is not on the network `{network}`: attach it, or put the service on a network of the gateway's")
}

fn published(instance: &Instance, port: u16) -> Option<Place> {
    let found = instance.published.iter().find(|published| published.target == port)?;
    let bound: Option<IpAddr> = found.address.filter(|ip| !ip.is_unspecified());
    let ip = bound.or(instance.node_address)?;
    Some(Place {
        address: SocketAddr::new(ip, found.port),
        instance: instance.id.clone(),
        node: instance.node.clone(),
        unreachable: None,
    })
}
