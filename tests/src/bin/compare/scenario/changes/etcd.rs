//! Fairlead behind a real etcd, with Traefik's keys.
//!
//! Keys are put through etcd's JSON gateway over a kept connection: `etcdctl` takes longer to end than a change takes.

use super::{System, host};
use crate::{
    bench::Bench,
    proxies::{fairlead, fairlead_words},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use fairlead_tests::{Connection, etcd::Etcd, free_port, process::Process};
use serde_json::{Value, json};
use std::time::Duration;

/// How many operations etcd takes in one transaction, by default.
const BATCH: usize = 128;

/// Both, running.
pub struct Following {
    port: u16,
    process: Process,
    store: Store,
    _etcd: Etcd,
}

/// A connection to etcd.
struct Store(Connection);

impl Following {
    /// Fills the store, and starts Fairlead.
    pub fn start(bench: &Bench, services: usize) -> Self {
        let etcd = Etcd::start();
        let mut store = Store::open(&etcd.endpoint());
        let pairs: Vec<_> = (0..services).flat_map(|service| keys(service, bench.backends[0])).collect();
        pairs.chunks(BATCH).for_each(|batch| store.put_all(batch));
        let port = free_port();
        let mut config = fairlead::fixed(port, free_port());
        config["providers"] = json!({ "etcd": { "endpoints": [etcd.endpoint()] } });
        let tag = format!("etcd-{services}");
        let file = bench.dir.put(&format!("{tag}.yaml"), &config.to_string());
        let process = bench.launch_words(&tag, &fairlead_words(&file), port, &host(services - 1));
        Self { port, process, store, _etcd: etcd }
    }
}

impl System for Following {
    fn id(&self) -> u32 {
        self.process.id()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn changes(&self) -> usize {
        100
    }

    fn rest(&self) -> Duration {
        Duration::from_millis(60)
    }

    fn change(&mut self, service: usize, port: u16) {
        let (key, value) = server(service, port);
        self.store.put(&key, &value);
    }
}

fn server(service: usize, port: u16) -> (String, String) {
    (format!("traefik/http/services/service-{service}/loadbalancer/servers/0/url"), format!("http://127.0.0.1:{port}"))
}

fn keys(service: usize, port: u16) -> [(String, String); 3] {
    let router = format!("traefik/http/routers/service-{service}");
    [
        server(service, port),
        (format!("{router}/rule"), format!("Host(`{}`)", host(service))),
        (format!("{router}/service"), format!("service-{service}")),
    ]
}

impl Store {
    fn open(endpoint: &str) -> Self {
        let port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an endpoint ends with its port");
        Self(Connection::open(port))
    }

    /// Returns when etcd has it.
    fn put(&mut self, key: &str, value: &str) {
        self.call("/v3/kv/put", &put(key, value));
    }

    fn put_all(&mut self, pairs: &[(String, String)]) {
        let puts: Vec<_> = pairs.iter().map(|(key, value)| json!({ "requestPut": put(key, value) })).collect();
        self.call("/v3/kv/txn", &json!({ "success": puts }));
    }

    fn call(&mut self, path: &str, body: &Value) {
        let body = body.to_string();
        self.0.send(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let answer = self.0.answer_to("POST");
        assert_eq!(answer.status, 200, "etcd: {}", answer.text());
    }
}

fn put(key: &str, value: &str) -> Value {
    json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_service() {
        let [url, rule, service] = keys(7, 80);
        assert_eq!(url.0, "traefik/http/services/service-7/loadbalancer/servers/0/url");
        assert_eq!((rule.1.as_str(), service.1.as_str()), ("Host(`service-7.test`)", "service-7"));
    }
}
