//! A rehearsal's plan: the configuration's own text, what was assumed where it says nothing, and the incidents in their order.
//!
//! A plan alone runs again: nothing is read from disk for it. It holds what the operator wrote, secrets of the static configuration
//! included; password hashes and private keys of files are not in it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of this format.
pub const VERSION: u32 = 1;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`]; also what tells this from a plan of a scenario.
    pub rehearsal: u32,
    pub seed: u64,
    pub texts: Texts,
    pub assumed: Assumed,
    /// Packets' way in µs, from and to.
    pub latency: (u64, u64),
    /// Requests per second and router.
    pub rate: f64,
    /// How long clients ask, in ms.
    pub lasts: u64,
    /// One after the other.
    pub incidents: Vec<Incident>,
}

/// What the operator wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    pub file: Option<(String, String)>,
    pub variables: Vec<(String, String)>,
    pub flags: Vec<String>,
    /// Where the dynamic configuration lies: a file's path, or a directory's.
    pub place: String,
    pub directory: bool,
    /// Text by path.
    pub dynamic: BTreeMap<String, String>,
    /// Names in each certificate that could be read, by path.
    pub certificates: BTreeMap<String, Vec<String>>,
    /// Certificates that could not be read or used, and why.
    pub unreadable: Vec<(String, String)>,
    /// What else the world puts in the place of what is written.
    pub replaced: Vec<String>,
}

/// What a configuration does not say, and an operator may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumed {
    /// Requests per second and router.
    pub load: f64,
    /// ms that a client waits for an answer.
    pub patience: u64,
    /// ms that the longest request takes; `None`: nearly as long as the time-outs allow, at most 8 s where they do not say.
    pub longest: Option<u64>,
    /// ms from SIGTERM, when a server's health check begins to fail, to its end.
    pub stop_grace: u64,
    /// ms in which a new server answers 503.
    pub warm_up: u64,
    /// Which node a host is on, where that is another than the host itself.
    pub nodes: BTreeMap<String, String>,
}

impl Default for Assumed {
    fn default() -> Self {
        Self { load: 10.0, patience: 30_000, longest: None, stop_grace: 10_000, warm_up: 4_000, nodes: BTreeMap::new() }
    }
}

/// Something that goes wrong, or is done, from `at` for `lasts` (both in ms after the gateway was ready).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub at: u64,
    pub lasts: u64,
    #[serde(flatten)]
    pub what: What,
}

/// What goes wrong. Servers are `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    NodeDies { node: String },
    Partition { node: String },
    PacketLoss { node: String, permille: u16 },
    Latency { node: String, millis: u64 },
    ServerCrashes { server: String },
    ServerRestarts { server: String },
    SlowServer { server: String, millis: u64 },
    ServerErrors { server: String },
    ServerHangs { server: String },
    Deploy { service: String },
    ServiceDies { service: String },
    HealthFlaps { service: String },
    DnsFails { name: String },
    DnsMoves { name: String },
    Reload,
    TornWrite,
    BrokenUnit,
    ConnectionBurst { connections: u32 },
    SlowClients { connections: u32 },
    GatewayStops,
}

/// Kinds by name, with what they are.
pub const KINDS: [(&str, &str); 20] = [
    ("node-dies", "a machine loses power, and comes back"),
    ("partition", "a machine cannot be reached for a while"),
    ("packet-loss", "packets to and from a machine are lost"),
    ("latency", "the way to a machine takes longer"),
    ("server-crashes", "a server's process dies, and is back after 10 s to 20 s"),
    ("server-restarts", "a server's process dies, and is back within 2 s"),
    ("slow-server", "a server takes seconds to answer"),
    ("server-errors", "a server answers 500 to everything, health checks included"),
    ("server-hangs", "a server takes requests and never answers"),
    ("deploy", "the servers of a service are replaced one after the other"),
    ("service-dies", "all servers of one child of a weighted or failover service die"),
    ("health-flaps", "every health check of a service fails once"),
    ("dns-fails", "the resolver does not answer for a name"),
    ("dns-moves", "a name means another address from now on"),
    ("reload", "the dynamic configuration is written anew"),
    ("torn-write", "the dynamic configuration is written in two pieces"),
    ("broken-unit", "the dynamic configuration is saved with a mistake in it"),
    ("connection-burst", "many clients come at once"),
    ("slow-clients", "clients send their requests byte by byte"),
    ("gateway-stops", "the gateway gets SIGTERM while long requests are under way"),
];

impl What {
    /// Its name in [`KINDS`].
    pub fn kind(&self) -> &'static str {
        let at = match self {
            Self::NodeDies { .. } => 0,
            Self::Partition { .. } => 1,
            Self::PacketLoss { .. } => 2,
            Self::Latency { .. } => 3,
            Self::ServerCrashes { .. } => 4,
            Self::ServerRestarts { .. } => 5,
            Self::SlowServer { .. } => 6,
            Self::ServerErrors { .. } => 7,
            Self::ServerHangs { .. } => 8,
            Self::Deploy { .. } => 9,
            Self::ServiceDies { .. } => 10,
            Self::HealthFlaps { .. } => 11,
            Self::DnsFails { .. } => 12,
            Self::DnsMoves { .. } => 13,
            Self::Reload => 14,
            Self::TornWrite => 15,
            Self::BrokenUnit => 16,
            Self::ConnectionBurst { .. } => 17,
            Self::SlowClients { .. } => 18,
            Self::GatewayStops => 19,
        };
        KINDS[at].0
    }

    /// What it strikes; empty where that goes without saying.
    pub fn target(&self) -> &str {
        match self {
            Self::NodeDies { node } | Self::Partition { node } | Self::PacketLoss { node, .. } | Self::Latency { node, .. } => {
                node
            }
            Self::ServerCrashes { server }
            | Self::ServerRestarts { server }
            | Self::SlowServer { server, .. }
            | Self::ServerErrors { server }
            | Self::ServerHangs { server } => server,
            Self::Deploy { service } | Self::ServiceDies { service } | Self::HealthFlaps { service } => service,
            Self::DnsFails { name } | Self::DnsMoves { name } => name,
            _ => "",
        }
    }

    /// With its target, as a report names it.
    pub fn told(&self) -> String {
        format!("{} {}", self.kind(), self.target()).trim_end().to_owned()
    }
}

impl Plan {
    /// For a person to read and edit.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|e| panic!("a plan is always JSON: {e}"))
    }

    /// As `to_json` printed it.
    ///
    /// # Errors
    /// It is not a rehearsal's plan, or of another version.
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        let plan: Self = serde_json::from_str(text)?;
        anyhow::ensure!(plan.rehearsal == VERSION, "a plan of version {}, and this build knows {VERSION}", plan.rehearsal);
        Ok(plan)
    }
}
