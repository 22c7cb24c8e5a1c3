//! A Swarm manager of any size, as its Engine API shows it: thousands of services that no machine here could run.
//!
//! Answers are of the size and shape that a real dockerd gives. For behaviour the tests ask a real one (`swarm`); this is for
//! figures: what it costs to watch a large cluster, and how soon a change is traffic.

use crate::server::{After, Exchange, Server};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The network that every service is on.
const NETWORK: &str = "wkym5tk4zqa1fznoj136jeq7n";

/// A running manager. Stops with the handle.
pub struct Engine {
    server: Server,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something was added to the events.
    news: Condvar,
}

struct State {
    services: Vec<Value>,
    tasks: Vec<Value>,
    /// Each of them as text: a list is put together from these, so that it costs this manager next to nothing.
    texts: BTreeMap<&'static str, Vec<String>>,
    /// Whole lists, until something changes.
    rendered: BTreeMap<&'static str, Arc<str>>,
    events: Vec<String>,
    /// Whether `/events` is answered at all.
    speaks: bool,
    index: u64,
    /// Calls so far, by path without version and query.
    calls: BTreeMap<String, u64>,
    /// Methods other than GET.
    writes: Vec<String>,
}

impl Engine {
    /// A manager of `services` services with `tasks` tasks each, all of them at `port` of this machine: `service-0` answers for
    /// the host `service-0.test`, and so on.
    pub fn start(services: usize, tasks: usize, port: u16) -> Self {
        let services: Vec<Value> = (0..services).map(|i| service(i, port)).collect();
        let tasks: Vec<Value> = (0..services.len()).flat_map(|i| (0..tasks).map(move |slot| task(i, slot))).collect();
        let texts = |of: &[Value]| of.iter().map(Value::to_string).collect::<Vec<_>>();
        let state = State {
            texts: [("services", texts(&services)), ("tasks", texts(&tasks))].into(),
            services,
            tasks,
            rendered: BTreeMap::new(),
            events: Vec::new(),
            speaks: true,
            index: 1_000_000,
            calls: BTreeMap::new(),
            writes: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), news: Condvar::new() });
        let answering = shared.clone();
        let server = Server::start(move |exchange| answer(&answering, exchange));
        Self { server, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// As `--providers.swarm.endpoint` names it.
    pub fn endpoint(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.server.port())
    }

    /// Sets a label of a service, as `docker service update --label-add` does, with its event.
    pub fn set_label(&self, service: usize, label: &str, value: &str) {
        let mut state = self.shared.lock();
        state.index += 1;
        let index = state.index;
        let entry = &mut state.services[service];
        entry["Version"]["Index"] = json!(index);
        entry["Spec"]["Labels"][label] = json!(value);
        let (id, name, text) = (entry["ID"].clone(), entry["Spec"]["Name"].clone(), entry.to_string());
        if let Some(texts) = state.texts.get_mut("services") {
            texts[service] = text;
        }
        state.rendered.remove("services");
        let event = json!({ "Type": "service", "Action": "update", "scope": "swarm", "time": 1_795_000_000, "timeNano": index,
            "Actor": { "ID": id, "Attributes": { "name": name } } });
        state.events.push(format!("{event}\n"));
        self.shared.news.notify_all();
    }

    /// From now on there are no events: the stream ends, and is refused.
    pub fn fall_silent(&self) {
        self.shared.lock().speaks = false;
        self.shared.news.notify_all();
    }

    /// Calls so far, by path.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.lock().calls.clone()
    }

    /// What was asked with a method other than GET: nothing, if all is well.
    pub fn writes(&self) -> Vec<String> {
        self.shared.lock().writes.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(shared: &Shared, exchange: &mut Exchange<'_>) -> std::io::Result<After> {
    let (method, target) = (exchange.head.method().to_owned(), exchange.head.target().to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.strip_prefix("/v1.41").unwrap_or(path).to_owned();
    {
        let mut state = shared.lock();
        let kind = path.split('/').nth(1).unwrap_or_default().to_owned();
        *state.calls.entry(kind).or_default() += 1;
        if method != "GET" {
            state.writes.push(format!("{method} {path}"));
        }
    }
    let (status, body) = match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        _ if method != "GET" => (403, Arc::from(r#"{"message":"read only"}"#)),
        ["_ping"] => {
            exchange.reply(200, "Api-Version: 1.41\r\nSwarm: active/manager\r\n", "OK")?;
            return Ok(After::Keep);
        }
        ["version"] => (200, json!({ "ApiVersion": "1.41", "MinAPIVersion": "1.12" }).to_string().into()),
        ["info"] => {
            (200, json!({ "Swarm": { "NodeID": "n1", "LocalNodeState": "active", "ControlAvailable": true } }).to_string().into())
        }
        ["events"] => return stream(shared, exchange),
        ["services"] => (200, shared.lock().render("services")),
        ["services", id] => match shared.lock().services.iter().find(|service| service["ID"] == id) {
            Some(service) => (200, service.to_string().into()),
            None => (404, json!({ "message": format!("service {id} not found") }).to_string().into()),
        },
        ["tasks"] => (200, shared.lock().tasks_of(query)),
        ["networks"] => (200, json!([network()]).to_string().into()),
        ["nodes"] => (200, json!([node()]).to_string().into()),
        _ => (404, json!({ "message": "page not found" }).to_string().into()),
    };
    exchange.reply(status, "Api-Version: 1.41\r\nContent-Type: application/json\r\n", &body)?;
    Ok(After::Keep)
}

/// Events as they come, until the gateway goes or the manager falls silent.
fn stream(shared: &Shared, exchange: &mut Exchange<'_>) -> std::io::Result<After> {
    let mut next = {
        let state = shared.lock();
        if !state.speaks {
            drop(state);
            exchange.reply(500, "", r#"{"message":"no events"}"#)?;
            return Ok(After::Close);
        }
        state.events.len()
    };
    exchange.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        let (lines, speaks) = {
            let state = shared.lock();
            let waited =
                shared.news.wait_timeout_while(state, Duration::from_millis(500), |s| s.speaks && s.events.len() == next);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            let lines = state.events[next..].concat();
            next = state.events.len();
            (lines, state.speaks)
        };
        if !lines.is_empty() {
            exchange.send(format!("{:x}\r\n{lines}\r\n", lines.len()))?;
        }
        if !speaks {
            return Ok(After::Close);
        }
    }
}

impl State {
    fn render(&mut self, what: &'static str) -> Arc<str> {
        let State { texts, rendered, .. } = self;
        rendered.entry(what).or_insert_with(|| format!("[{}]", texts[what].join(",")).into()).clone()
    }

    /// Tasks that the filter asks for: all, or those of one service.
    fn tasks_of(&mut self, query: &str) -> Arc<str> {
        let of_one = self.services.iter().position(|service| {
            let id = service["ID"].as_str().unwrap_or_default();
            query.contains(id)
        });
        match of_one {
            None => self.render("tasks"),
            Some(index) => {
                let id = &self.services[index]["ID"];
                let tasks: Vec<&Value> = self.tasks.iter().filter(|task| task["ServiceID"] == *id).collect();
                json!(tasks).to_string().into()
            }
        }
    }
}

fn service(i: usize, port: u16) -> Value {
    let spec = json!({
        "Name": format!("service-{i}"),
        "Labels": {
            "traefik.enable": "true",
            format!("traefik.http.routers.service-{i}.rule"): format!("Host(`service-{i}.test`)"),
            format!("traefik.http.services.service-{i}.loadbalancer.server.port"): port.to_string(),
            "com.docker.stack.namespace": "shop",
            "com.docker.stack.image": "registry.example.com/shop/service:1.24.3",
        },
        "TaskTemplate": {
            "ContainerSpec": { "Image": "registry.example.com/shop/service:1.24.3@sha256:cce88d1a22a8eda8bdf9e6f31087b50e30617167f57f9206dbd559e4a227877d",
                "Labels": { "com.docker.stack.namespace": "shop" }, "Env": ["LOG_LEVEL=info", "DATABASE_URL=postgres://db.internal/shop"],
                "Init": false, "DNSConfig": {}, "Isolation": "default" },
            "Resources": { "Limits": { "MemoryBytes": 268435456 }, "Reservations": {} },
            "Placement": { "Platforms": [{ "Architecture": "amd64", "OS": "linux" }] },
            "Networks": [{ "Target": NETWORK, "Aliases": [format!("service-{i}")] }], "ForceUpdate": 0, "Runtime": "container",
        },
        "Mode": { "Replicated": { "Replicas": 10 } },
        "UpdateConfig": { "Parallelism": 1, "FailureAction": "rollback", "Monitor": 5_000_000_000_u64, "MaxFailureRatio": 0, "Order": "start-first" },
        "EndpointSpec": { "Mode": "vip" },
    });
    json!({
        "ID": format!("svc{i:022}"), "Version": { "Index": 1000 + i },
        "CreatedAt": format!("2026-11-21T06:{:02}:{:02}.082546055Z", i / 60 % 60, i % 60), "UpdatedAt": "2026-11-21T06:59:59.083559871Z",
        "Spec": spec,
        "Endpoint": { "Spec": { "Mode": "vip" }, "VirtualIPs": [{ "NetworkID": NETWORK, "Addr": "10.200.0.5/13" }] },
    })
}

/// A task at the loopback address, where one backend answers for all.
fn task(i: usize, slot: usize) -> Value {
    json!({
        "ID": format!("tsk{i:018}{slot:04}"), "Version": { "Index": 26 },
        "CreatedAt": "2026-11-21T06:23:47.083257011Z", "UpdatedAt": "2026-11-21T06:23:48.72954451Z", "Labels": {},
        "Spec": { "ContainerSpec": { "Image": "registry.example.com/shop/service:1.24.3@sha256:cce88d1a22a8eda8bdf9e6f31087b50e30617167f57f9206dbd559e4a227877d",
            "Labels": { "com.docker.stack.namespace": "shop" }, "Env": ["LOG_LEVEL=info", "DATABASE_URL=postgres://db.internal/shop"], "Init": false },
            "Resources": { "Limits": { "MemoryBytes": 268435456 } }, "Networks": [{ "Target": NETWORK }], "ForceUpdate": 0 },
        "ServiceID": format!("svc{i:022}"), "Slot": slot + 1, "NodeID": "k9wxpvyqkdlvtujtgn4pnargq",
        "Status": { "Timestamp": "2026-11-21T06:23:48.688670835Z", "State": "running", "Message": "started",
            "ContainerStatus": { "ContainerID": format!("{i:032x}{slot:032x}"), "PID": 19769, "ExitCode": 0 }, "PortStatus": {} },
        "DesiredState": "running",
        "NetworksAttachments": [{ "Network": network_of_task(), "Addresses": ["127.0.0.1/8"] }],
    })
}

fn network_of_task() -> Value {
    json!({ "ID": NETWORK, "Version": { "Index": 12 }, "Spec": { "Name": "front", "Labels": {}, "DriverConfiguration": { "Name": "overlay" },
        "Attachable": true, "IPAMOptions": { "Driver": { "Name": "default" } }, "Scope": "swarm" },
        "DriverState": { "Name": "overlay", "Options": { "com.docker.network.driver.overlay.vxlanid_list": "4097" } },
        "IPAMOptions": { "Driver": { "Name": "default" }, "Configs": [{ "Subnet": "10.200.0.0/13", "Gateway": "10.200.0.1" }] } })
}

fn network() -> Value {
    json!({ "Name": "front", "Id": NETWORK, "Created": "2026-11-21T06:23:46.826194915Z", "Scope": "swarm", "Driver": "overlay",
        "EnableIPv6": false, "IPAM": { "Driver": "default", "Config": [{ "Subnet": "10.200.0.0/13", "Gateway": "10.200.0.1" }] },
        "Internal": false, "Attachable": true, "Ingress": false, "Labels": null })
}

fn node() -> Value {
    json!({ "ID": "k9wxpvyqkdlvtujtgn4pnargq", "Version": { "Index": 9 }, "Spec": { "Role": "manager", "Availability": "active" },
        "Description": { "Hostname": "node-1" }, "Status": { "State": "ready", "Addr": "127.0.0.1" },
        "ManagerStatus": { "Leader": true, "Reachability": "reachable", "Addr": "127.0.0.1:2377" } })
}
