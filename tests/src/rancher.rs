//! Rancher's metadata service: an HTTP server that knows versions and waits for another, as the real one does.

use crate::server::{After, Exchange, Server};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A running service. Stops with the handle.
pub struct Metadata {
    said: Arc<Said>,
    server: Option<Server>,
    port: u16,
}

struct Said {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    version: u64,
    stacks: Vec<Value>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self::start()
    }
}

impl Metadata {
    /// An environment without stacks.
    pub fn start() -> Self {
        let said = Arc::new(Said { state: Mutex::default(), changed: Condvar::new() });
        let mut metadata = Self { said, server: None, port: 0 };
        metadata.restart();
        metadata
    }

    /// As the provider's option wants it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Dies at once.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts (again) on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let said = self.said.clone();
        let port = if self.port == 0 { crate::free_port() } else { self.port };
        self.server = Some(Server::start_on(port, move |exchange| answer(&said, exchange)));
        self.port = port;
    }

    /// Replaces all stacks, which makes another version.
    pub fn set(&self, stacks: Vec<Value>) {
        let mut state = lock(&self.said.state);
        state.stacks = stacks;
        state.version += 1;
        drop(state);
        self.said.changed.notify_all();
    }
}

/// A stack with its services.
pub fn stack(name: &str, services: Vec<Value>) -> Value {
    json!({ "name": name, "uuid": format!("stack-{name}"), "environment_name": "Default", "system": false, "services": services })
}

/// A service, with one running container for each address.
pub fn service(stack: &str, name: &str, addresses: &[&str], labels: &[(&str, &str)]) -> Value {
    let containers = addresses.iter().enumerate().map(|(index, address)| {
        json!({
            "name": format!("{stack}-{name}-{}", index + 1), "uuid": format!("container-{stack}-{name}-{address}"),
            "primary_ip": address, "ips": [address], "state": "running", "health_state": null, "host_uuid": "host-1",
            "service_name": name, "stack_name": stack, "labels": {}, "ports": [], "create_index": index + 1,
        })
    });
    let labels: serde_json::Map<String, Value> = labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "name": name, "uuid": format!("service-{stack}-{name}"), "stack_name": stack, "state": "active", "kind": "service",
        "scale": addresses.len(), "labels": labels, "containers": containers.collect::<Vec<_>>(), "vip": null, "links": {},
    })
}

fn answer(said: &Said, exchange: &mut Exchange<'_>) -> std::io::Result<After> {
    exchange.body()?;
    let target = exchange.head.target().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let body = match path {
        "/latest/version" => {
            let mut state = lock(&said.state);
            if parameter("wait") == Some("true") {
                let most = Duration::from_secs(parameter("maxWait").and_then(|seconds| seconds.parse().ok()).unwrap_or(60));
                let known = parameter("value").unwrap_or_default().to_owned();
                let waited = said.changed.wait_timeout_while(state, most, |state| state.version.to_string() == known);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            json!(state.version.to_string())
        }
        "/latest/stacks" => json!(lock(&said.state).stacks),
        _ => {
            let error = json!({ "type": "error", "code": 404, "message": "Not found" });
            exchange.reply(404, "Content-Type: application/json\r\n", &error.to_string())?;
            return Ok(After::Keep);
        }
    };
    exchange.reply(200, "Content-Type: application/json\r\n", &body.to_string())?;
    Ok(After::Keep)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
