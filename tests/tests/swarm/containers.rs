//! Containers without a Swarm, the gateway beside them on the host: events tell of them.

use crate::ground::swarm;
use fairlead_tests::{Gateway, Setup, Swarm, http::get_host, load::Steady, until, wait};
use serde_json::json;
use std::time::{Duration, Instant};

/// A container of the backend on the bridge `yard`, until it is dropped.
struct Container<'a>(&'a Swarm, String);

impl<'a> Container<'a> {
    fn run(swarm: &'a Swarm, name: &str, labels: &[&str]) -> Self {
        let instance = format!("INSTANCE={name}");
        let mut arguments = vec!["run", "--detach", "--name", name, "--network", "yard", "--env", &instance];
        labels.iter().for_each(|label| arguments.extend(["--label", label]));
        swarm.docker(&[&arguments[..], &["backend:test"]].concat());
        Self(swarm, name.to_owned())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.0.attempt(&["rm", "--force", &self.1]);
    }
}

fn gateway(swarm: &Swarm) -> Gateway {
    let output = swarm.attempt(&["network", "create", "yard"]);
    assert!(output.status.success() || String::from_utf8_lossy(&output.stderr).contains("already exists"));
    let endpoint = format!("unix://{}/docker.sock", Swarm::proxy_folder());
    Setup::new().section("providers", json!({ "docker": { "endpoint": endpoint, "exposedByDefault": false } })).start()
}

fn labels(name: &str) -> [String; 3] {
    [
        "traefik.enable=true".to_owned(),
        format!("traefik.http.routers.{name}.rule=Host(`{name}.local`)"),
        format!("traefik.http.services.{name}.loadBalancer.server.port=8080"),
    ]
}

#[test]
fn a_container_is_served_when_it_starts_and_no_longer_when_it_stops() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let gateway = gateway(swarm);
    assert_eq!(get_host(gateway.web(), "solo.local", "/").status, 404);
    let labels = labels("solo");
    let container = Container::run(swarm, "solo", &labels.each_ref().map(String::as_str));
    let begun = Instant::now();
    wait::eventually("it is served", || match get_host(gateway.web(), "solo.local", "/").status {
        200 => Ok(()),
        status => Err(status),
    });
    println!("docker run ended → first answer: {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    swarm.docker(&["stop", "solo"]);
    until("it is gone", || get_host(gateway.web(), "solo.local", "/").status != 200);
    drop(container);
    assert_eq!(swarm.proxy.refused(), []);
}

#[test]
fn containers_of_one_compose_service_stop_one_by_one_without_a_failed_request() {
    let Some(swarm) = swarm() else { return };
    let _alone = swarm.alone();
    let gateway = gateway(swarm);
    let own = labels("shop");
    let mut labels = own.each_ref().map(String::as_str).to_vec();
    labels.extend(["com.docker.compose.project=yard", "com.docker.compose.service=shop"]);
    let containers = ["yard_shop_1", "yard_shop_2", "yard_shop_3"].map(|name| Container::run(swarm, name, &labels));
    let served_by = |names: usize| {
        let mut found: Vec<_> = (0..12).filter_map(|_| get_host(gateway.web(), "shop.local", "/").line("Hostname")).collect();
        found.sort_unstable();
        found.dedup();
        found.len() == names
    };
    until("all three are used", || served_by(3));
    let load = Steady::new(gateway.web(), "shop.local", 500).begin();
    until("the load has begun", || load.sent() > 500);
    for container in &containers[..2] {
        swarm.docker(&["stop", &container.1]);
        let sent = load.sent();
        until("the load goes on", || load.sent() > sent + 500);
    }
    swarm.docker(&["start", &containers[0].1]);
    until("the first is back", || served_by(2));
    let report = load.end();
    println!("docker stop, twice, and docker start: {report}");
    assert_eq!(report.failed(), 0, "{report}");
}
