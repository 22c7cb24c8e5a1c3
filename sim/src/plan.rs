//! A plan: everything that a run does, as data. Drawn from a seed, printed, edited, stored and replayed.
//!
//! Times are milliseconds of virtual time since the gateway became ready. Servers, services and clients are meant by their
//! index. A run draws nothing: what it needs beyond the plan (a body, a pause of a server) follows from identifiers, and the
//! order of tasks and packets from madsim, seeded with [`Plan::seed`].

pub mod environment;
pub mod gateway;
pub mod metadata;
pub mod swarm;
pub mod telemetry;
pub mod tls;
pub mod traffic;

use serde::{Deserialize, Serialize};

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub scenario: String,
    pub seed: u64,
    pub network: Network,
    pub gateway: Gateway,
    /// Number of services, named `s0`, `s1`, …, each behind the host `<name>.test`.
    pub services: usize,
    pub servers: Vec<Server>,
    /// What the source holds when the gateway starts.
    pub first: Write,
    pub clients: Vec<Client>,
    pub steps: Vec<Step>,
    /// The cluster that the configuration comes from, where it comes from one. `servers` then say how tasks behave, in the order of
    /// their creation, and services are hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<swarm::Swarm>,
    /// Rancher's metadata service, where the configuration comes from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<metadata::Metadata>,
    /// A second entry point, with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::Tls>,
    /// By then every step is done, and what was broken is mended, but for `broken`.
    pub quiet_at: u64,
    /// What stays broken for good.
    #[serde(default, skip_serializing_if = "Broken::is_nothing")]
    pub broken: Broken,
}

/// What is not mended at the end, while all else must be as it should: the plan vouches that the rest can do without. Servers and links
/// that stay broken need no word here: judges know them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub gateways: Vec<usize>,
    /// Of the store, or of the Swarm's managers.
    pub members: Vec<usize>,
}

/// Every link, unless a step says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Microseconds one way, drawn per packet.
    pub latency: (u64, u64),
    /// Thousandths.
    pub duplicate: u32,
    pub reorder: bool,
    /// Reads and writes that move less than they could, in thousandths.
    pub short_io: u32,
}

/// The gateway's static side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// How many of them there are, each like the other.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: usize,
    pub workers: usize,
    pub source: Source,
    /// Services have an active health check.
    pub health_check: bool,
    /// Reads of the configuration file that see its beginning only, in thousandths.
    pub torn_reads: u32,
    /// Members of the store.
    pub members: usize,
    /// Servers are configured by names of their own instead of addresses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names: bool,
    /// What is recorded of requests is read, and must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<telemetry::Telemetry>,
    /// Another process has the gateway's port when it starts, and gives it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_taken: bool,
    /// Services bind clients to servers by a cookie.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sticky: bool,
    /// There is an entry point with TLS, which speaks HTTP/2.
    #[serde(default, skip_serializing_if = "is_false")]
    pub secure: bool,
    /// Milliseconds for which connections are accepted after SIGTERM.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub lame_duck: u64,
    /// Milliseconds for requests to end after that.
    #[serde(default = "grace", skip_serializing_if = "is_usual_grace")]
    pub grace: u64,
    /// The API and readiness are served, on a port of their own, and looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub api: bool,
}

/// Where the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    File,
    Etcd,
    Swarm,
    /// Rancher's metadata service.
    Rancher,
    /// Kontena's tree in the store.
    Kontena,
}

/// A server of one service: how it behaves for as long as it lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    pub service: usize,
    /// Runs from the beginning.
    pub up: bool,
    /// Milliseconds to a response, from this to that; which one follows from the request's identifier.
    pub think: (u64, u64),
    /// Largest response body in bytes.
    pub body: u64,
    pub chunked: bool,
    /// Closes connections that were idle for so long.
    pub idle_close: Option<u64>,
    /// Closes connections after so many requests, saying so with the last response.
    pub requests_per_connection: Option<u64>,
    /// Its share of its service's requests, where the source can say so: files and the store.
    #[serde(default = "one_part", skip_serializing_if = "is_one_part")]
    pub weight: u32,
    /// It speaks HTTP/1.1 byte by byte, reads what it gets strictly, and has these habits; the first that a request meets counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub habits: Option<Vec<traffic::Habit>>,
}

/// A client: one request after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The one that it asks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gateway: usize,
    /// Asks the next gateway where one cannot be reached; otherwise waits for its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    pub start: u64,
    pub asks: Vec<Ask>,
    #[serde(default, skip_serializing_if = "traffic::Conduct::is_orderly")]
    pub conduct: traffic::Conduct,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Milliseconds to wait before it.
    pub pause: u64,
    pub service: usize,
    /// POST, which must not be repeated; else GET.
    pub post: bool,
    /// Bytes of the request's body.
    pub body: u64,
    /// On the connection of the last request, if it still stands.
    pub keep: bool,
    /// Leaves after so many milliseconds without a response.
    pub abort: Option<u64>,
    /// Of clients that are not orderly.
    #[serde(default, skip_serializing_if = "traffic::Act::is_plain")]
    pub act: traffic::Act,
    #[serde(default, skip_serializing_if = "traffic::Cookie::is_none")]
    pub cookie: traffic::Cookie,
    /// Claims to be somebody else in forwarding fields, and brings fields of its own hop.
    #[serde(default, skip_serializing_if = "is_false")]
    pub claims: bool,
}

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub at: u64,
    pub what: What,
}

/// See [`Step`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A server's process begins.
    Start(usize),
    /// SIGTERM: accepts no more, finishes what it has, and ends; SIGKILL after so many milliseconds.
    Terminate { server: usize, within: u64 },
    /// The process dies: its kernel closes what it had open.
    Kill(usize),
    /// The machine dies without a word.
    PowerOff(usize),
    /// A new desired state of some services is written to the source.
    Write(Write),
    /// Packets from one node to another are lost from now on.
    Cut { from: Node, to: Node },
    /// They pass again.
    Mend { from: Node, to: Node },
    /// The store has a leader, or none.
    Leader(bool),
    /// The store forgets its history.
    Compact,
    /// A member cuts all its connections.
    Disconnect(usize),
    /// A member breaks: its watches stall, it withholds events, or it hangs. All false: it is mended.
    Member { member: usize, stall: bool, withhold: bool, hang: bool },
    /// The actor Router panics.
    CrashRouter,
    /// Something happens to the Swarm.
    Swarm(swarm::Event),
    /// Something is wrong with Rancher's metadata service.
    Metadata(metadata::Fault),
    /// Something happens to what the gateway stands on.
    Environment(environment::Event),
    /// A gateway's process ends, begins, or stops.
    Gateway { gateway: usize, event: gateway::Event },
}

/// A node of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// The first, in plans of old.
    Gateway,
    GatewayAt(usize),
    Server(usize),
    Member(usize),
    Client(usize),
}

/// A change of configuration by one writer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// Marks requests and responses that pass under it. Rises from write to write.
    pub generation: u64,
    pub units: Vec<Unit>,
    pub manner: Manner,
}

/// The desired state of a service: its servers, or none if the router and the service are to go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    pub service: usize,
    pub servers: Option<Vec<usize>>,
}

/// How a write reaches the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// In one transaction, or by a rename.
    Whole,
    /// Key by key in an order that follows from `order`, or the file in pieces, with a pause of up to so many milliseconds between.
    Torn { order: u64, pause: u64 },
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Plan {
    /// The plan as JSON, one step or ask per line.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan has no key that is not text")
    }

    /// A plan from JSON.
    ///
    /// # Errors
    /// The text is no plan, or an index in it leads nowhere.
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        let plan: Self = serde_json::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// Requests that clients will send.
    pub fn requests(&self) -> usize {
        self.clients.iter().map(|client| client.asks.len()).sum()
    }

    /// Steps other than writes, starts and orderly ends.
    pub fn faults(&self) -> usize {
        let orderly = |what: &What| match what {
            What::Start(_) | What::Terminate { .. } | What::Mend { .. } | What::Leader(true) => true,
            What::Write(write) => write.manner == Manner::Whole,
            What::Member { stall, withhold, hang, .. } => !(*stall || *withhold || *hang),
            What::Swarm(event) => event.is_planned(),
            What::Environment(event) => event.is_over(),
            What::Metadata(fault) => *fault == metadata::Fault::None,
            What::Gateway { event, .. } => event.is_planned(),
            _ => false,
        };
        self.steps.iter().filter(|step| !orderly(&step.what)).count()
    }

    fn check(&self) -> anyhow::Result<()> {
        let server = |i: &usize| *i < self.servers.len();
        let node = |node: &Node| match node {
            Node::Gateway => true,
            Node::GatewayAt(i) => *i < self.gateway.count,
            Node::Server(i) => server(i),
            Node::Member(i) => *i < self.gateway.members,
            Node::Client(i) => *i < self.clients.len(),
        };
        for (i, step) in self.steps.iter().enumerate() {
            let sound = match &step.what {
                What::Start(i) | What::Kill(i) | What::PowerOff(i) | What::Terminate { server: i, .. } => server(i),
                What::Cut { from, to } | What::Mend { from, to } => node(from) && node(to),
                What::Disconnect(member) | What::Member { member, .. } => *member < self.gateway.members,
                What::Write(write) => {
                    write.units.iter().all(|unit| unit.service < self.services && unit.servers.iter().flatten().all(server))
                }
                What::Swarm(event) => self.swarm.as_ref().is_some_and(|swarm| swarm.has(event, self.services)),
                What::Environment(event) => event.nodes().iter().all(node) && event.service().is_none_or(|s| s < self.services),
                What::Metadata(_) => self.metadata.is_some(),
                What::Gateway { gateway, .. } => *gateway < self.gateway.count,
                What::Leader(_) | What::Compact | What::CrashRouter => true,
            };
            anyhow::ensure!(sound, "step {i} of the plan names a server, service or node that is not in it: {:?}", step.what);
            anyhow::ensure!(step.at <= self.quiet_at, "step {i} of the plan comes after `quiet_at`");
        }
        anyhow::ensure!(
            self.gateway.count > 0 && self.clients.iter().all(|client| client.gateway < self.gateway.count),
            "the plan has no gateway, or a client asks one that is not in it"
        );
        anyhow::ensure!(
            self.tls.as_ref().is_none_or(|tls| {
                self.gateway.source == Source::File && !self.gateway.secure && tls.is_sound(self.gateway.count)
            }),
            "TLS of the plan needs a file as its source, or names a file or gateway that is not in it"
        );
        anyhow::ensure!(self.gateway.workers > 0, "the gateways of the plan have no worker");
        let swarm = self.swarm.as_ref();
        anyhow::ensure!(
            swarm.is_some() == (self.gateway.source == Source::Swarm) && swarm.is_none_or(|swarm| swarm.is_sound(self.services)),
            "the Swarm of the plan is missing, or an app names a network or host that is not in it"
        );
        let asks = self.clients.iter().flat_map(|client| &client.asks);
        anyhow::ensure!(
            asks.map(|ask| ask.service).chain(self.servers.iter().map(|s| s.service)).all(|s| s < self.services),
            "a client or server of the plan names a service that is not in it"
        );
        Ok(())
    }
}

impl Broken {
    /// All is mended.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Node {
    /// The gateway that it is, if it is one.
    pub fn gateway(self) -> Option<usize> {
        match self {
            Self::Gateway => Some(0),
            Self::GatewayAt(index) => Some(index),
            _ => None,
        }
    }
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

fn one_part() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_one_part(weight: &u32) -> bool {
    *weight == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_zero(index: &usize) -> bool {
    *index == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_nothing(millis: &u64) -> bool {
    *millis == 0
}

/// What the worlds of old had.
fn grace() -> u64 {
    10_000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde gives")]
fn is_usual_grace(millis: &u64) -> bool {
    *millis == grace()
}
