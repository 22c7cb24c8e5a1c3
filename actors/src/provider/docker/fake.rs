//! A Docker daemon for tests, on both arms: a Swarm manager with services, tasks and events, or containers, that tells what the test
//! puts into it, and fails as the test says. Knows of the API what the providers use, and nothing of what Swarm does by itself.

use crate::provider::{
    EventKind, Provider, Receiver, channel,
    fake::{Fake, Reply, Request},
};
use fairlead_core::config::{
    StaticConfig,
    dynamic::ServiceKind,
    resolve,
    static_::{DockerProvider, Secret},
};
use fairlead_core::discovery::Settings;
use fairlead_net::{
    task,
    time::{Duration, Instant, now, sleep, timeout},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Nothing in a test takes longer than this, unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// See the head of this file. Dropping it closes everything.
pub(crate) struct Daemon {
    fake: Fake,
    world: Arc<Mutex<World>>,
    events: watch::Sender<Vec<String>>,
}

/// What the daemon knows. Objects are as they go over the wire.
pub(crate) struct World {
    pub(crate) services: BTreeMap<String, Value>,
    pub(crate) tasks: BTreeMap<String, Value>,
    pub(crate) networks: Vec<Value>,
    pub(crate) nodes: Vec<Value>,
    pub(crate) containers: BTreeMap<String, Value>,
    /// `Api-Version`; empty: the field is left out.
    pub(crate) version: String,
    /// Bodies in chunks of this many bytes.
    pub(crate) chunk: Option<usize>,
    /// How long all tasks take.
    pub(crate) slow: Option<Duration>,
    /// What is answered instead, by the beginning of the path behind the version.
    pub(crate) spoilt: BTreeMap<&'static str, Reply>,
    index: u64,
}

impl Daemon {
    /// A manager with one node and the network `front`, on which nothing runs yet.
    pub(crate) fn start() -> Self {
        let world = Arc::new(Mutex::new(World {
            services: BTreeMap::new(),
            tasks: BTreeMap::new(),
            networks: vec![
                json!({"Id": "n0", "Name": "ingress", "Scope": "swarm", "Driver": "overlay", "Ingress": true}),
                json!({"Id": "n1", "Name": "front", "Scope": "swarm", "Driver": "overlay", "Ingress": false, "Labels": null}),
                json!({"Id": "nh", "Name": "host", "Scope": "local", "Driver": "host", "Ingress": false}),
            ],
            nodes: vec![
                json!({"ID": "node1", "Description": {"Hostname": "alpha"}, "Status": {"State": "ready", "Addr": "192.168.0.1"}}),
            ],
            containers: BTreeMap::new(),
            version: "1.41".into(),
            chunk: None,
            slow: None,
            spoilt: BTreeMap::new(),
            index: 10,
        }));
        let events = watch::Sender::new(Vec::new());
        let (theirs, lines) = (world.clone(), events.subscribe());
        let fake = Fake::start(move |request| theirs.lock().answer(request, &lines));
        Self { fake, world, events }
    }

    /// Changes what the daemon knows, without a word.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock());
    }

    /// Says that something happened.
    pub(crate) fn say(&self, kind: &str, action: &str, id: &str) {
        let event = json!({"Type": kind, "Action": action, "Actor": {"ID": id, "Attributes": {"name": id, "signal": "15"}}, "scope": "swarm"});
        self.events.send_modify(|lines| lines.push(event.to_string()));
    }

    /// Closes every connection.
    pub(crate) fn cut(&self) {
        self.fake.cut();
    }

    /// Everything that was asked, as method and path without the version.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.fake.asked().iter().map(|request| format!("{} {}", request.method, path(request))).collect()
    }

    /// How often this path was asked for.
    pub(crate) fn count(&self, wanted: &str) -> usize {
        self.fake.asked().iter().filter(|request| path(request) == wanted).count()
    }

    /// Requests as they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.fake.asked()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("tcp://{}", self.fake.address)
    }

    /// Options of a provider that asks this daemon.
    pub(crate) fn options(&self, name: &str) -> DockerProvider {
        DockerProvider {
            endpoints: vec![self.endpoint()],
            swarm: name == "swarm",
            username: String::new(),
            password: Secret::default(),
            tls: None,
            watch: true,
            timeout: None,
            refresh: Duration::from_millis(400),
            secrets_directory: "/nonexistent/secrets".into(),
            settings: Settings::new(name),
        }
    }
}

impl World {
    /// Creates a service on `front` that is to have so many tasks, with Traefik's label for port 80.
    pub(crate) fn service(&mut self, id: &str, replicas: u64, labels: Value) {
        let mut all = json!({ format!("traefik.http.services.{id}.loadbalancer.server.port"): "80" });
        for (label, value) in labels.as_object().into_iter().flatten() {
            all[label] = value.clone();
        }
        let service = json!({
            "ID": id, "Version": {"Index": self.next()}, "CreatedAt": "2026-11-21T06:23:47.082546055Z",
            "Spec": {
                "Name": id, "Labels": all, "Mode": {"Replicated": {"Replicas": replicas}},
                "TaskTemplate": {"Networks": [{"Target": "n1"}]}, "EndpointSpec": {"Mode": "vip"},
            },
            "Endpoint": {"VirtualIPs": [{"NetworkID": "n1", "Addr": "10.0.1.2/24"}]},
        });
        self.services.insert(id.into(), service);
    }

    /// Creates a running task on `front`.
    pub(crate) fn task(&mut self, id: &str, service: &str, slot: u64, ip: &str) {
        let task = json!({
            "ID": id, "Version": {"Index": self.next()}, "ServiceID": service, "Slot": slot, "NodeID": "node1",
            "Status": {"State": "running", "ContainerStatus": {"ContainerID": format!("{id}container")}, "PortStatus": {}},
            "DesiredState": "running",
            "NetworksAttachments": [
                {"Network": {"ID": "n0", "Spec": {"Name": "ingress", "Ingress": true}}, "Addresses": ["10.0.0.9/24"]},
                {"Network": {"ID": "n1", "Spec": {"Name": "front"}}, "Addresses": [format!("{ip}/24")]},
            ],
        });
        self.tasks.insert(id.into(), task);
    }

    /// A service with running tasks `<id>-1`, … at 10.0.1.`first` and on.
    pub(crate) fn serve(&mut self, id: &str, tasks: u64, first: u64) {
        self.service(id, tasks, json!({}));
        for slot in 1..=tasks {
            self.task(&format!("{id}-{slot}"), id, slot, &format!("10.0.1.{}", first + slot - 1));
        }
    }

    /// A running container on the network `bridge`.
    pub(crate) fn container(&mut self, id: &str, ip: &str, labels: Value) {
        let container = json!({
            "Id": id, "Names": [format!("/{id}")], "Created": 1_795_242_227 + self.next(), "State": "running", "Status": "Up 2 minutes",
            "Labels": labels, "Ports": [{"PrivatePort": 80, "Type": "tcp"}], "HostConfig": {"NetworkMode": "default"},
            "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "nb", "IPAddress": ip}}},
        });
        self.containers.insert(id.into(), container);
    }

    /// Writes into an object, as an update does: its version grows.
    pub(crate) fn update(&mut self, id: &str, write: impl FnOnce(&mut Value)) {
        let index = self.next();
        let object = self.services.get_mut(id).or_else(|| self.tasks.get_mut(id)).expect("it was created");
        object["Version"]["Index"] = index.into();
        write(object);
    }

    fn next(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    fn answer(&self, request: &Request, events: &watch::Receiver<Vec<String>>) -> Reply {
        let path = path(request);
        if let Some((_, reply)) = self.spoilt.iter().find(|(beginning, _)| path.starts_with(**beginning)) {
            return reply.clone();
        }
        let refusal = |status, text: String| Reply::status(status, json!({ "message": text }).to_string());
        let list = |list: Vec<&Value>| self.ok(serde_json::to_string(&list).expect("JSON"));
        let one = |found: Option<&Value>, what: String| match found {
            Some(value) => self.ok(value.to_string()),
            None => refusal(404, what),
        };
        match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
            ["_ping"] => {
                let fields = if self.version.is_empty() { Vec::new() } else { vec![("Api-Version", self.version.clone())] };
                Reply::Whole { status: 200, fields, body: "OK".into() }
            }
            ["version"] => self.ok(json!({ "ApiVersion": self.version }).to_string()),
            ["events"] => Reply::Follow(events.clone()),
            ["services"] => list(self.services.values().collect()),
            ["services", id] => one(self.services.get(id), format!("service {id} not found")),
            ["tasks"] => {
                let filters = filters(request);
                let asked = |key: &str| filters[key][0].as_str();
                if let Some(id) = asked("service").filter(|id| !self.services.contains_key(*id)) {
                    return refusal(404, format!("service {id} not found"));
                }
                let suits = |task: &&Value| {
                    asked("service").is_none_or(|id| task["ServiceID"] == id)
                        && asked("desired-state").is_none_or(|state| task["DesiredState"] == state)
                };
                let found = list(self.tasks.values().filter(suits).collect());
                match self.slow.filter(|_| asked("service").is_none()) {
                    Some(pause) => Reply::After(pause, Box::new(found)),
                    None => found,
                }
            }
            ["networks"] => list(self.networks.iter().collect()),
            ["nodes"] => list(self.nodes.iter().collect()),
            ["containers", "json"] => list(self.containers.values().collect()),
            ["containers", id, "json"] => one(self.containers.get(id), format!("No such container: {id}")),
            _ => refusal(404, "page not found".into()),
        }
    }

    fn ok(&self, body: String) -> Reply {
        self.chunk.map_or_else(|| Reply::ok(body.clone()), |size| Reply::Chunked(size, body.clone()))
    }
}

/// Without the version.
fn path(request: &Request) -> String {
    let path = request.path();
    match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, rest)) if version.starts_with(|c: char| c.is_ascii_digit()) => format!("/{rest}"),
        _ => path.to_owned(),
    }
}

fn filters(request: &Request) -> Value {
    let Some((_, escaped)) = request.target.split_once("filters=") else { return Value::Null };
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| std::str::from_utf8(&tail[..2]).ok()).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => (bytes, rest) = ([&bytes[..], &[byte]].concat(), &tail[2..]),
            None => (bytes, rest) = ([&bytes[..], &[*first]].concat(), tail),
        }
    }
    serde_json::from_slice(&bytes).expect("filters are JSON")
}

/// A provider at work, and what it said.
pub(crate) struct Running {
    name: String,
    heard: Receiver,
    _task: task::Owned<()>,
}

/// Runs a provider as its watch would: again after each error.
pub(crate) fn run(mut provider: impl Provider) -> Running {
    let name = provider.name().to_owned();
    let (out, heard) = channel();
    let runs = async move {
        loop {
            provider.run(&out).await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    Running { name, heard, _task: task::spawn(runs).owned() }
}

/// Servers by service: address, instance, and why it cannot be reached.
pub(crate) type Served = BTreeMap<String, Vec<String>>;

impl Running {
    /// The next word.
    pub(crate) async fn word(&mut self) -> EventKind {
        timeout(PATIENCE, self.heard.recv()).await.expect("it speaks")
    }

    /// The next configuration; what is said on health before is left out.
    pub(crate) async fn served(&mut self) -> Served {
        loop {
            if let EventKind::Configuration { raw, .. } = self.word().await {
                let (config, _) = resolve(&[(self.name.clone(), raw)].into(), &StaticConfig::default(), None);
                let servers = config.services.iter().filter_map(|(name, service)| match &service.kind {
                    ServiceKind::LoadBalancer(balancer) => {
                        let text = |server: &fairlead_core::config::dynamic::Server| {
                            let url = server.url.text.trim_start_matches("http://").trim_end_matches('/');
                            format!("{url} {}{}", server.instance, if server.unreachable.is_some() { " unreachable" } else { "" })
                        };
                        Some((name.as_str().split('@').next()?.to_owned(), balancer.servers.iter().map(text).collect()))
                    }
                    _ => None,
                });
                return servers.collect();
            }
        }
    }

    /// Waits for a configuration in which `service` has these servers, and tells how long that took.
    pub(crate) async fn until(&mut self, service: &str, expected: &[&str]) -> Duration {
        let began = now();
        loop {
            let served = self.served().await;
            // A service without servers may be left out, as its labels say.
            if served.get(service).map_or(&[][..], Vec::as_slice) == expected {
                return now().saturating_duration_since(began);
            }
        }
    }

    /// Waits for a word of failure.
    pub(crate) async fn failing(&mut self) -> (String, Instant) {
        loop {
            match self.word().await {
                EventKind::Failing { message, since } => return (message, since),
                EventKind::Configuration { .. } | EventKind::Healthy => {}
            }
        }
    }

    /// Waits for a word of health.
    pub(crate) async fn healthy(&mut self) {
        while !matches!(self.word().await, EventKind::Healthy) {}
    }

    /// Whether nothing is said for so long but on health.
    pub(crate) async fn is_steady(&mut self, span: Duration) -> bool {
        let told = async { while !matches!(self.heard.recv().await, EventKind::Configuration { .. }) {} };
        timeout(span, told).await.is_err()
    }
}

/// Defines tests that run on both arms.
macro_rules! both {
    ($($(#[$meta:meta])* $name:ident $body:block)*) => { $(
        $(#[$meta])*
        #[cfg_attr(madsim, madsim::test)]
        #[cfg_attr(not(madsim), tokio::test)]
        async fn $name() {
            $crate::provider::fake::Fake::world();
            $body
        }
    )* };
}
pub(crate) use both;
