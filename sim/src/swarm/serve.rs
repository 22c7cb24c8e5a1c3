//! Managers on the wire: the Engine API over HTTP/1.1 on simulated sockets.
//!
//! Owns the handle that the world and the managers' connections share. What an answer says is in `json`, whether there is one in
//! [`manager`](super::manager).

use super::{
    Action, Cluster, Manager, View,
    json::{self, Words},
    manager::Answer,
};
use crate::{plan::swarm as plan, world::wire};
use bytes::BytesMut;
use fairlead_net::{
    http::{Downstream as _, Error, Framing, Method, RequestHead, ResponseHead, Sink},
    http1::{Limits, ServerConn},
    task,
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, Instant, now, sleep},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

/// The newest dialect that these managers speak.
const API: &str = "1.47";
/// How often an event stream looks for something to tell.
const PACE: Duration = Duration::from_millis(10);

/// Told of each request to a manager: which one, the method, the target.
pub type Heard = Box<dyn Fn(usize, &Method, &str) + Send + Sync>;

/// The whole. Clones are handles on the same.
#[derive(Clone)]
pub struct Swarm(Arc<Inner>);

struct Inner {
    zero: Instant,
    words: Words,
    networks: usize,
    lag: u64,
    cluster: Mutex<Cluster>,
    managers: Vec<Mutex<Manager>>,
    led: AtomicBool,
    heard: Heard,
    /// Lists as they were said last, by what was asked, and of which state.
    said: Mutex<BTreeMap<String, (Of, String)>>,
}

/// Which state of the cluster: its last write, and how much is in it.
type Of = (u64, usize, usize, usize);

type Conn = ServerConn<Stream>;

impl Swarm {
    /// A cluster of this plan. `zero` and `wall` are when the world began, by the two clocks.
    pub fn new(plan: &plan::Swarm, capacity: usize, zero: Instant, wall: SystemTime, heard: Heard) -> Self {
        Self(Arc::new(Inner {
            zero,
            words: Words { zero: wall, sticky: plan.sticky },
            networks: plan.networks,
            lag: plan.lag,
            cluster: Mutex::new(Cluster::new(plan.clone(), capacity)),
            managers: (0..plan.managers).map(|index| Mutex::new(Manager::new(index))).collect(),
            led: AtomicBool::new(true),
            heard,
            said: Mutex::default(),
        }))
    }

    /// Time passes. What must happen to machines now.
    pub fn step(&self) -> Vec<Action> {
        let now = self.now();
        self.0.cluster.lock().step(now)
    }

    /// What is true now, if it is not what it was at this index.
    pub fn view_since(&self, index: u64) -> Option<View> {
        let cluster = self.0.cluster.lock();
        Some(cluster.view()).filter(|view| view.index != index).cloned()
    }

    /// A task's process has ended.
    pub fn exited(&self, task: usize) {
        let now = self.now();
        self.0.cluster.lock().exited(now, task);
    }

    /// Something happens to the cluster or to a manager, other than that its machine or process dies.
    pub fn happens(&self, event: &plan::Event) {
        match event {
            plan::Event::Manager { manager, fault } => self.0.managers[*manager].lock().set(*fault),
            plan::Event::Leader(present) => self.0.led.store(*present, Ordering::Relaxed),
            plan::Event::CutEvents(manager) => self.0.managers[*manager].lock().cuts += 1,
            plan::Event::DropEvents { manager, drop } => self.0.managers[*manager].lock().silent = *drop,
            other => {
                let now = self.now();
                self.0.cluster.lock().happens(now, other);
            }
        }
    }

    /// Whether every manager answers what is true, soon; those that are excepted need not.
    pub fn is_well(&self, excepted: &[usize]) -> bool {
        let mut managers = self.0.managers.iter().enumerate().filter(|(index, _)| !excepted.contains(index));
        self.0.led.load(Ordering::Relaxed) && managers.all(|(_, manager)| manager.lock().is_well())
    }

    /// Serves as this manager at `address` on the current node, until that node dies.
    ///
    /// # Errors
    /// The address cannot be listened at, or accepting fails.
    pub async fn serve(self, manager: usize, address: SocketAddr) -> io::Result<()> {
        let listener = Listener::bind(address, ListenOptions::default())?;
        loop {
            let (stream, _) = listener.accept().await?;
            let swarm = self.clone();
            task::spawn(async move { swarm.connection(manager, stream).await });
        }
    }

    fn now(&self) -> u64 {
        (now() - self.0.zero).as_millis() as u64
    }

    async fn connection(self, manager: usize, stream: Stream) {
        let mut conn = ServerConn::new(stream, Limits::default(), BytesMut::new());
        let mut head = RequestHead::default();
        let breaks = || self.0.managers[manager].lock().breaks;
        let before = breaks();
        loop {
            match poll_fn(|cx| conn.poll_request(cx, &mut head)).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
            if breaks() != before {
                return;
            }
            (self.0.heard)(manager, &head.method, &head.target);
            // An error here is a client that went away, or a connection that was to be cut.
            if wire::receive(&mut conn).await.is_err() || !self.exchange(manager, &mut conn, &head).await.unwrap_or(false) {
                return;
            }
            if !conn.is_reusable() {
                let _closed = poll_fn(|cx| conn.poll_close(cx)).await;
                return;
            }
        }
    }

    /// Whether the connection goes on.
    async fn exchange(&self, manager: usize, conn: &mut Conn, head: &RequestHead) -> Result<bool, Error> {
        let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
        let path = unversioned(path);
        if path == "/events" {
            return self.events(manager, conn, query).await.map(|()| false);
        }
        let state = self.0.managers[manager].lock().fault;
        if matches!(path, "/_ping" | "/version" | "/info") && state != plan::Fault::Hang {
            let (kind, body) = self.about(path, state);
            return give(conn, 200, kind, body, usize::MAX).await;
        }
        let answer = {
            let (cluster, led) = (self.0.cluster.lock(), self.0.led.load(Ordering::Relaxed));
            let local = path.starts_with("/containers/");
            let led = led || local;
            self.0.managers[manager].lock().answer(self.now(), &cluster, led)
        };
        match answer {
            Answer::Nothing => {
                poll_fn(|cx| conn.poll_gone(cx)).await;
                Ok(false)
            }
            Answer::Error { status, message, after } => {
                if !patient(conn, after).await {
                    return Ok(false);
                }
                give(conn, status, JSON, json!({ "message": message }).to_string(), usize::MAX).await
            }
            Answer::View { view, after } => {
                if !patient(conn, after).await {
                    return Ok(false);
                }
                let (status, body) = self.say(path, query, &view);
                give(conn, status, JSON, body, usize::MAX).await
            }
            Answer::Cut { after_part: 0, .. } => Ok(false),
            Answer::Cut { view, after_part } => {
                let body = self.say(path, query, &view).1;
                let most = body.len() * after_part as usize / 1_000;
                give(conn, 200, JSON, body, most).await
            }
        }
    }

    fn about(&self, path: &str, fault: plan::Fault) -> (&'static str, String) {
        let worker = fault == plan::Fault::Worker;
        let state = if fault == plan::Fault::Preparing { "pending" } else { "active" };
        match path {
            "/_ping" => ("text/plain; charset=utf-8", "OK".into()),
            "/version" => (JSON, json!({"Version": "27.5.1", "ApiVersion": API, "MinAPIVersion": "1.24"}).to_string()),
            _ => {
                let swarm = json!({
                    "NodeID": "m0", "NodeAddr": "192.168.1.2", "LocalNodeState": state, "ControlAvailable": !worker && state == "active",
                    "Error": "", "RemoteManagers": null, "Cluster": {"ID": "cluster"},
                });
                (JSON, json!({"ID": "engine", "Name": "manager", "ServerVersion": "27.5.1", "Swarm": swarm}).to_string())
            }
        }
    }

    /// What is found, as text. A cluster is asked far more often than it changes.
    fn say(&self, path: &str, query: &str, view: &View) -> (u16, String) {
        if !matches!(path, "/services" | "/nodes" | "/networks" | "/tasks") {
            let (status, body) = self.find(path, query, view);
            return (status, body.to_string());
        }
        let of = (view.index, view.services.len(), view.tasks.len(), view.nodes.len());
        let mut said = self.0.said.lock();
        let known = said.entry(format!("{path}?{query}")).or_default();
        if known.0 != of || known.1.is_empty() {
            *known = (of, self.find(path, query, view).1.to_string());
        }
        (200, known.1.clone())
    }

    fn find(&self, path: &str, query: &str, view: &View) -> (u16, Value) {
        let words = &self.0.words;
        let nothing = || (404, json!({ "message": "not found" }));
        match path {
            "/services" => (200, words.services(view)),
            "/nodes" => (200, words.nodes(view)),
            "/networks" => (200, json::networks(self.0.networks)),
            "/tasks" => (200, words.tasks(view.tasks.values().map(AsRef::as_ref).filter(|task| wanted(query, task)))),
            _ => match path.split('/').collect::<Vec<_>>()[..] {
                ["", "services", id] => view.services.get(id).map_or_else(nothing, |service| (200, words.service(service))),
                ["", "tasks", id] => view.tasks.get(id).map_or_else(nothing, |task| (200, words.task(task))),
                ["", "containers", id, "json"] => {
                    let is_it =
                        |gateway: &usize| id == json::gateway_name(*gateway) || json::container_id(*gateway).starts_with(id);
                    // It lives on this machine: no lagging view has a say in it.
                    let found = (0..json::GATEWAYS).find(is_it);
                    found.map_or_else(nothing, |gateway| (200, json::container(self.0.cluster.lock().view(), gateway)))
                }
                _ => nothing(),
            },
        }
    }

    /// Tells events as they come, until the client leaves or the stream is cut.
    async fn events(&self, manager: usize, conn: &mut Conn, query: &str) -> Result<(), Error> {
        let mut next = self.0.cluster.lock().events.len();
        let cut = |manager: &Manager| (manager.cuts, manager.breaks);
        let before = cut(&self.0.managers[manager].lock());
        let mut response = ResponseHead { status: 200, framing: Framing::Chunked, ..ResponseHead::default() };
        response.fields.append("Content-Type", JSON.as_bytes());
        response.fields.append("Api-Version", API.as_bytes());
        conn.send_head(&response);
        poll_fn(|cx| conn.poll_flush(cx)).await?;
        loop {
            let gone = tokio::select! {
                biased;
                _ = poll_fn(|cx| conn.poll_gone(cx)) => true,
                () = sleep(PACE) => false,
            };
            let (state, now) = (self.0.managers[manager].lock().clone(), self.now());
            if gone || cut(&state) != before {
                return Ok(());
            }
            if matches!(state.fault, plan::Fault::Hang | plan::Fault::NoQuorum) {
                continue;
            }
            // One that is cut off from its leader hears late, as it lists late.
            let lag = match state.fault {
                plan::Fault::Stale { by } => by,
                _ if manager == 0 => 0,
                _ => self.0.lag,
            };
            let due: Vec<_> =
                self.0.cluster.lock().events[next..].iter().take_while(|event| event.at + lag <= now).cloned().collect();
            next += due.len();
            if state.silent || state.fault == plan::Fault::Worker {
                continue;
            }
            let lines: String =
                due.iter().filter(|event| is_asked_for(query, event.kind)).map(|event| self.line(event) + "\n").collect();
            part(conn, lines.as_bytes()).await?;
        }
    }

    fn line(&self, event: &super::event::Event) -> String {
        json!({
            "Type": event.kind, "Action": event.action, "Actor": {"ID": event.id, "Attributes": {"name": event.name}}, "scope": "swarm",
            "time": event.at / 1_000, "timeNano": event.at * 1_000_000,
        })
        .to_string()
    }
}

const JSON: &str = "application/json";

/// `/v1.41/services` without its version.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    rest.unwrap_or(path)
}

/// Whether the filters of a list of tasks let this one pass.
fn wanted(query: &str, task: &super::model::Task) -> bool {
    let filters = filters(query);
    let asked = |key: &str| values(&filters, key);
    let states = asked("desired-state");
    let services = asked("service");
    (states.is_empty() || states.iter().any(|state| state == task.desired.as_str()))
        && (services.is_empty() || services.contains(&task.service))
}

fn is_asked_for(query: &str, kind: &str) -> bool {
    let kinds = values(&filters(query), "type");
    kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind)
}

fn filters(query: &str) -> Value {
    let encoded = query.split('&').find_map(|pair| pair.strip_prefix("filters=")).unwrap_or_default();
    serde_json::from_str(&decoded(encoded)).unwrap_or_default()
}

/// Values of a filter, in the list form or the older one.
fn values(filters: &Value, key: &str) -> Vec<String> {
    match &filters[key] {
        Value::Array(values) => values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
        Value::Object(values) => values.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = more;
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits, unless the client leaves.
async fn patient(conn: &mut Conn, millis: u64) -> bool {
    if millis == 0 {
        return true;
    }
    tokio::select! {
        biased;
        _ = poll_fn(|cx| conn.poll_gone(cx)) => false,
        () = sleep(Duration::from_millis(millis)) => true,
    }
}

/// Answers, as far as `most` bytes of the body. Whether the connection goes on.
async fn give(conn: &mut Conn, status: u16, kind: &str, body: String, most: usize) -> Result<bool, Error> {
    // As the engine does: short ones with their length, long ones in chunks.
    let framing = if body.len() < 2_048 { Framing::Length(body.len() as u64) } else { Framing::Chunked };
    let mut response = ResponseHead { status, framing, ..ResponseHead::default() };
    response.fields.append("Content-Type", kind.as_bytes());
    response.fields.append("Api-Version", API.as_bytes());
    response.fields.append("Server", b"Docker/27.5.1 (linux)");
    response.fields.append("Swarm", b"active/manager");
    conn.send_head(&response);
    if most < body.len() {
        part(conn, &body.as_bytes()[..most]).await?;
        return Ok(false);
    }
    wire::send(conn, body.into_bytes()).await?;
    Ok(true)
}

/// Sends some bytes of a body, to the last one.
async fn part(conn: &mut Conn, bytes: &[u8]) -> Result<(), Error> {
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < bytes.len() {
            sent += std::task::ready!(conn.poll_send(cx, &bytes[sent..]))?;
        }
        conn.poll_flush(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_version_and_filters_are_read_in_both_forms() {
        assert_eq!(unversioned("/v1.41/services/x"), "/services/x");
        assert_eq!(unversioned("/_ping"), "/_ping");
        for query in ["filters=%7B%22type%22%3A%5B%22node%22%5D%7D", "since=1&filters={\"type\":{\"node\":true}}"] {
            assert!(is_asked_for(query, "node") && !is_asked_for(query, "service"), "{query}");
        }
        assert!(is_asked_for("", "service"));
    }
}
