//! The writers: how a desired state comes to stand in a file or in the store, whole or torn.

use super::{World, environment, secure, server, server_ip};
use crate::{
    chance::Chance,
    plan::{Gateway, Manner, Plan, Source, Unit, Write, traffic::COOKIE},
    store::Change,
    trace::{Mark, State},
};
use fairlead_net::time::{Duration, sleep};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The configuration file on every gateway's host.
pub(super) const FILE: &str = "/etc/fairlead/dynamic.yml";
/// Where members of the store listen.
pub(super) const MEMBER_PORT: u16 = 2379;

const ROOT: &str = "traefik/http";
/// Where Kontena's agents keep the services of the load balancer `lb`.
const KONTENA: &str = "/kontena/haproxy/lb/services";

/// What a file holds: by service, the generation and the servers.
#[derive(Default)]
pub(super) struct Desired(Mutex<BTreeMap<usize, (u64, Vec<usize>)>>);

impl World {
    /// Writes, and returns when the last piece stands.
    pub(super) async fn write(self: &Arc<Self>, write: &Write) {
        self.note("writer", &format!("writes {write:?}"));
        self.mark("writer", || Mark::State { state: State::Starts });
        self.mark("writer", || Mark::Happens { what: format!("writes {}", write.generation) });
        self.each_source(|judge| judge.write_begins(self.now(), write));
        match self.plan.gateway.source {
            Source::File => self.write_file(write).await,
            Source::Etcd | Source::Kontena => self.write_store(write).await,
            Source::Rancher => self.write_metadata(write),
            // Labels are no file: what happens there are events.
            Source::Swarm => {}
        }
        self.each_source(|judge| judge.write_ends(self.now(), write));
        self.note("writer", &format!("wrote {}", write.generation));
        self.mark("writer", || Mark::State { state: State::Ended });
    }

    async fn write_file(&self, write: &Write) {
        let document = {
            let mut desired = self.source.0.lock();
            for unit in &write.units {
                match &unit.servers {
                    Some(servers) => desired.insert(unit.service, (write.generation, servers.clone())),
                    None => desired.remove(&unit.service),
                };
            }
            document(&desired, &self.plan)
        };
        let document = document + &self.plan.tls.as_ref().map(secure::section).unwrap_or_default();
        if let Manner::Torn { order, pause } = write.manner {
            let mut chance = Chance::new(order, "pieces");
            for end in [0, chance.count(0, document.len())] {
                self.place_file(&document[..end]);
                sleep(Duration::from_millis(chance.within(1, pause.max(1)))).await;
            }
        }
        self.place_file(&document);
    }

    fn place_file(&self, document: &str) {
        self.gateways.iter().for_each(|gateway| self.net.write_file(gateway.machine.host, FILE, document));
    }

    async fn write_store(&self, write: &Write) {
        let changes = write.units.iter().flat_map(|unit| self.changes(unit, write.generation));
        match write.manner {
            Manner::Whole => {
                self.store.txn(changes.collect::<Vec<_>>());
            }
            Manner::Torn { order, pause } => {
                let mut chance = Chance::new(order, "keys");
                let mut left: Vec<_> = changes.collect();
                while !left.is_empty() {
                    let change = left.swap_remove(chance.count(0, left.len() - 1));
                    self.store.txn([change]);
                    sleep(Duration::from_millis(chance.within(0, pause))).await;
                }
            }
        }
    }

    /// What leads from the store's present keys of a service to the desired ones.
    fn changes(&self, unit: &Unit, generation: u64) -> Vec<Change> {
        let name = format!("s{}", unit.service);
        let wanted: BTreeMap<String, String> = match &unit.servers {
            Some(servers) if self.plan.gateway.source == Source::Kontena => {
                kontena(&name, generation, servers, self.plan.gateway.health_check).into_iter().collect()
            }
            Some(servers) => keys(&name, generation, servers, &self.plan).into_iter().collect(),
            None => BTreeMap::new(),
        };
        let own = [
            format!("{KONTENA}/{name}/"),
            format!("{ROOT}/routers/{name}/"),
            format!("{ROOT}/services/{name}/"),
            format!("{ROOT}/middlewares/mark-{name}/"),
        ];
        let present = self.store.map();
        let stale = present
            .keys()
            .filter_map(|key| std::str::from_utf8(key).ok())
            .filter(|key| own.iter().any(|prefix| key.starts_with(prefix.as_str())) && !wanted.contains_key(*key));
        stale.map(Change::delete).chain(wanted.iter().map(|(key, value)| Change::put(key, value))).collect()
    }
}

/// As Kontena's agents write a service.
fn kontena(name: &str, generation: u64, servers: &[usize], health_check: bool) -> Vec<(String, String)> {
    let base = format!("{KONTENA}/{name}");
    let marks = format!("http-request set-header X-Config {generation}\nhttp-response set-header X-Config {generation}");
    let mut keys = vec![
        (format!("{base}/virtual_hosts"), format!("{name}.test")),
        (format!("{base}/balance"), "roundrobin".to_owned()),
        (format!("{base}/custom_settings"), marks),
    ];
    keys.extend(
        servers
            .iter()
            .map(|server| (format!("{base}/upstreams/{name}-{server}"), format!("{}:{}", server_ip(*server), server::PORT))),
    );
    if health_check {
        keys.push((format!("{base}/health_check_uri"), "/health".to_owned()));
        keys.push((format!("{base}/health_check_port"), server::PORT.to_string()));
    }
    keys
}

fn keys(name: &str, generation: u64, servers: &[usize], plan: &Plan) -> Vec<(String, String)> {
    let gateway = &plan.gateway;
    let mark = format!("{ROOT}/middlewares/mark-{name}/headers");
    let balancer = format!("{ROOT}/services/{name}/loadbalancer");
    let mut keys = vec![
        (format!("{ROOT}/routers/{name}/rule"), format!("Host(`{name}.test`)")),
        (format!("{ROOT}/routers/{name}/service"), name.to_owned()),
        (format!("{ROOT}/routers/{name}/middlewares/0"), format!("mark-{name}")),
        // Without it a service that loses its last server has no key left, and is no service.
        (format!("{balancer}/passHostHeader"), "true".to_owned()),
        (format!("{mark}/customRequestHeaders/X-Config"), generation.to_string()),
        (format!("{mark}/customResponseHeaders/X-Config"), generation.to_string()),
    ];
    keys.extend(servers.iter().enumerate().map(|(i, server)| (format!("{balancer}/servers/{i}/url"), url(*server, gateway))));
    let weighted = servers.iter().enumerate().filter(|(_, server)| plan.servers[**server].weight != 1);
    keys.extend(weighted.map(|(i, server)| (format!("{balancer}/servers/{i}/weight"), plan.servers[*server].weight.to_string())));
    if gateway.sticky {
        keys.push((format!("{balancer}/sticky/cookie/name"), COOKIE.to_owned()));
    }
    if gateway.health_check {
        let check = [("path", "/health"), ("interval", "1s"), ("timeout", "1s")];
        keys.extend(check.map(|(key, value)| (format!("{balancer}/healthCheck/{key}"), value.to_owned())));
    }
    keys
}

fn document(desired: &BTreeMap<usize, (u64, Vec<usize>)>, plan: &Plan) -> String {
    let gateway = &plan.gateway;
    let (mut routers, mut marks, mut services) = (String::new(), String::new(), String::new());
    for (service, (generation, servers)) in desired {
        let name = format!("s{service}");
        // Writing to a String cannot fail.
        let _ = writeln!(
            routers,
            "    {name}:\n      rule: Host(`{name}.test`)\n      service: {name}\n      middlewares: [mark-{name}]"
        );
        let _ = writeln!(
            marks,
            "    mark-{name}:\n      headers:\n        customRequestHeaders:\n          X-Config: \"{generation}\"\n        \
             customResponseHeaders:\n          X-Config: \"{generation}\""
        );
        let _ = writeln!(services, "    {name}:\n      loadBalancer:");
        if gateway.sticky {
            let _ = writeln!(services, "        sticky:\n          cookie:\n            name: {COOKIE}");
        }
        if gateway.health_check {
            let _ = writeln!(
                services,
                "        healthCheck:\n          path: /health\n          interval: 1s\n          timeout: 1s"
            );
        }
        let _ = writeln!(services, "        servers:{}", if servers.is_empty() { " []" } else { "" });
        for server in servers {
            let _ = writeln!(services, "          - url: {}", url(*server, gateway));
            let weight = plan.servers[*server].weight;
            if weight != 1 {
                let _ = writeln!(services, "            weight: {weight}");
            }
        }
    }
    if routers.is_empty() {
        return "http: {}\n".into();
    }
    format!("http:\n  routers:\n{routers}  middlewares:\n{marks}  services:\n{services}")
}

fn url(index: usize, gateway: &Gateway) -> String {
    format!("http://{}:{}", environment::server_name(index, gateway), server::PORT)
}
