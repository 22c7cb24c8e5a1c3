//! Rancher's metadata service, scripted: stacks, services and containers as JSON, and a version that can be waited for.
//!
//! Owns what it says, and how it fails. It is asked by the production provider over simulated sockets.

use super::{Machine, World, server, wire};
use crate::plan::{
    Plan, Source, Write,
    metadata::{Fault, Metadata as Options},
};
use bytes::BytesMut;
use fairlead_net::{
    http::{Downstream as _, Error, Framing, RequestHead, ResponseHead},
    http1::{Limits, ServerConn},
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, timeout},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, future::poll_fn, sync::Arc};
use tokio::sync::watch;

/// Where it is.
pub(super) const ADDRESS: &str = "10.0.9.100";
/// A number of words that nobody reads to the end of.
const SOME: u64 = 1 << 16;

/// See the head of this file.
pub(super) struct Metadata {
    machine: Machine,
    options: Options,
    /// By service: its generation and servers.
    services: Mutex<BTreeMap<usize, (u64, Vec<usize>)>>,
    version: watch::Sender<u64>,
    fault: watch::Sender<Fault>,
}

impl Metadata {
    pub(super) fn new(plan: &Plan, machine: impl Fn(String, &[&str]) -> Machine) -> Option<Self> {
        let options = plan.metadata.clone().filter(|_| plan.gateway.source == Source::Rancher)?;
        let machine = machine("metadata".into(), &[ADDRESS]);
        Some(Self {
            machine,
            options,
            services: Mutex::default(),
            version: watch::Sender::new(1),
            fault: watch::Sender::new(Fault::None),
        })
    }

    /// What an operator writes.
    pub(super) fn flags(&self) -> Vec<String> {
        vec![
            format!("--providers.rancher.endpoint=http://{ADDRESS}"),
            format!("--providers.rancher.intervalPoll={}", self.options.interval_poll),
            format!("--providers.rancher.refreshSeconds={}", self.options.refresh),
            "--providers.rancher.labels=traefik".into(),
        ]
    }

    fn raise(&self) {
        if *self.fault.borrow() != Fault::Stale {
            self.version.send_modify(|version| *version += 1);
        }
    }
}

impl World {
    /// A writer changes services. It is one transaction: Rancher's own server makes the lists.
    pub(super) fn write_metadata(&self, write: &Write) {
        let Some(metadata) = &self.metadata else { return };
        let mut services = metadata.services.lock();
        for unit in &write.units {
            match &unit.servers {
                Some(servers) => services.insert(unit.service, (write.generation, servers.clone())),
                None => services.remove(&unit.service),
            };
        }
        drop(services);
        metadata.raise();
        if *metadata.fault.borrow() == Fault::Stale {
            self.blur_metadata();
        }
    }

    /// Something is wrong with it, or no longer.
    pub(super) fn break_metadata(&self, fault: Fault) {
        let Some(metadata) = &self.metadata else { return };
        self.note("metadata", &format!("{fault:?}"));
        if metadata.fault.send_replace(fault) == Fault::Stale {
            metadata.raise();
        }
        let unread = !matches!(fault, Fault::None | Fault::Stale);
        self.each_source(|judge| judge.source(self.now(), "metadata", unread));
        if fault == Fault::Stale {
            self.blur_metadata();
        }
    }

    /// It can be read, but nobody is told that it is time to: the bound is that of a look without an occasion.
    fn blur_metadata(&self) {
        self.each_source(|judge| judge.source(self.now(), "version", true));
        self.each_source(|judge| judge.source(self.now(), "version", false));
    }

    pub(super) fn serve_metadata(self: &Arc<Self>) {
        let Some(metadata) = &self.metadata else { return };
        let world = self.clone();
        metadata.machine.node.spawn(async move {
            let address = "0.0.0.0:80".parse().expect("a constant address");
            let listener = Listener::bind(address, ListenOptions::default()).expect("its port is free");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let world = world.clone();
                // A gateway that goes away in the middle is none of its business.
                fairlead_net::task::spawn(async move { drop(world.answer_metadata(stream).await) });
            }
        });
    }

    async fn answer_metadata(&self, stream: Stream) -> Result<(), Error> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        let mut conn = ServerConn::new(stream, Limits::default(), BytesMut::new());
        let (mut head, mut response) = (RequestHead::default(), ResponseHead::default());
        while poll_fn(|cx| conn.poll_request(cx, &mut head)).await? {
            wire::receive(&mut conn).await?;
            self.note("metadata", &format!("is asked {}", head.target));
            let (status, body) = self.metadata_says(metadata, &head.target).await;
            response.clear();
            response.status = status;
            response.fields.append("Content-Type", b"application/json");
            let cut = *metadata.fault.borrow() == Fault::Cut;
            response.framing = Framing::Length(body.len() as u64 + if cut { SOME } else { 0 });
            conn.send_head(&response);
            if cut {
                // What was promised does not come.
                let _ended = timeout(Duration::from_millis(50), wire::send(&mut conn, body)).await;
                return Ok(());
            }
            wire::send(&mut conn, body).await?;
            if !conn.is_reusable() {
                break;
            }
        }
        Ok(())
    }

    async fn metadata_says(&self, metadata: &Metadata, target: &str) -> (u16, Vec<u8>) {
        let mut fault = metadata.fault.subscribe();
        // The sender lives in the world.
        let _well = fault.wait_for(|fault| *fault != Fault::Hangs).await.map(drop);
        if *metadata.fault.borrow() == Fault::Missing {
            return (404, b"Not found".to_vec());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let value = match path {
            "/latest/version" => {
                self.next_metadata(metadata, query).await;
                json!(metadata.version.borrow().to_string())
            }
            _ if *metadata.fault.borrow() == Fault::Empty => json!([]),
            "/latest/stacks" => self.stacks(metadata),
            "/latest/services" => Value::Array(self.each_service(metadata)),
            "/latest/containers" => Value::Array(self.each_container(metadata)),
            _ => return (404, b"Not found".to_vec()),
        };
        (200, value.to_string().into_bytes())
    }

    /// A long poll: until there is another version than the asker knows, or its patience is over.
    async fn next_metadata(&self, metadata: &Metadata, query: &str) {
        let of = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok());
        if let (true, Some(known), Some(most)) = (query.contains("wait=true"), of("value"), of("maxWait")) {
            let mut version = metadata.version.subscribe();
            let _changed = timeout(Duration::from_secs(most), version.wait_for(|version| *version != known)).await;
        }
    }

    fn stacks(&self, metadata: &Metadata) -> Value {
        let services = match metadata.options.apart {
            true => metadata.services.lock().keys().map(|index| json!(format!("s{index}"))).collect(),
            false => self.each_service(metadata),
        };
        json!([{ "name": "shop", "services": services }])
    }

    fn each_service(&self, metadata: &Metadata) -> Vec<Value> {
        let services = metadata.services.lock();
        let one = |(index, (generation, servers)): (&usize, &(u64, Vec<usize>))| {
            let containers: Vec<_> = servers
                .iter()
                .map(|server| if metadata.options.apart { json!(container_name(*server)) } else { self.container(*server) })
                .collect();
            let name = format!("s{index}");
            json!({
                "name": name, "stack_name": "shop", "uuid": format!("service-{index}"), "state": "active",
                "labels": labels(&name, *generation, self.plan.gateway.health_check), "containers": containers,
            })
        };
        services.iter().map(one).collect()
    }

    fn each_container(&self, metadata: &Metadata) -> Vec<Value> {
        let services = metadata.services.lock();
        services.values().flat_map(|(_, servers)| servers).map(|server| self.container(*server)).collect()
    }

    fn container(&self, server: usize) -> Value {
        json!({
            "name": container_name(server), "uuid": format!("container-{server}"), "state": "running", "health_state": "healthy",
            "primary_ip": super::server_ip(server),
        })
    }
}

fn container_name(server: usize) -> String {
    format!("shop_{server}")
}

fn labels(name: &str, generation: u64, health_check: bool) -> Value {
    let (router, balancer) = (format!("traefik.http.routers.{name}"), format!("traefik.http.services.{name}.loadbalancer"));
    let mark = format!("traefik.http.middlewares.mark-{name}.headers");
    let mut labels = BTreeMap::from([
        (format!("{router}.rule"), format!("Host(`{name}.test`)")),
        (format!("{router}.middlewares"), format!("mark-{name}")),
        (format!("{balancer}.server.port"), server::PORT.to_string()),
        (format!("{mark}.customrequestheaders.X-Config"), generation.to_string()),
        (format!("{mark}.customresponseheaders.X-Config"), generation.to_string()),
    ]);
    if health_check {
        for (key, value) in [("path", "/health"), ("interval", "1s"), ("timeout", "1s")] {
            labels.insert(format!("{balancer}.healthcheck.{key}"), value.to_owned());
        }
    }
    json!(labels)
}
