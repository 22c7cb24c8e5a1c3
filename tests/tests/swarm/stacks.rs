//! The stack files of `deploy/`, as `docker stack deploy` takes them, on the ports that they name.

use crate::ground::{NAMED, swarm};
use fairlead_tests::{
    Connection, Swarm,
    http::get_host,
    swarm::{Engine, Service},
    until, wait,
};
use std::{path::Path, sync::OnceLock};

const FAIRLEAD: (&str, &str) = ("FAIRLEAD_IMAGE", "fairlead:test");

/// A stack that is deployed, until it is dropped.
struct Stack(&'static Swarm, &'static str);

impl Stack {
    fn deploy(swarm: &'static Swarm, name: &'static str, file: &str) -> Self {
        swarm.image_of_fairlead();
        image_of_haproxy(swarm);
        swarm.deploy(name, file, &[FAIRLEAD]);
        Self(swarm, name)
    }

    fn service(&self, name: &str) -> std::mem::ManuallyDrop<Service<'static>> {
        std::mem::ManuallyDrop::new(Service::adopt(self.0, &format!("{}_{name}", self.1)))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tasks = self.0.attempt(&["stack", "ps", "--no-trunc", self.1]);
            eprintln!("{}", String::from_utf8_lossy(&tasks.stdout));
            for service in self.0.docker(&["stack", "services", "--format", "{{.Name}}", self.1]).lines() {
                eprintln!("--- {service}\n{}", std::mem::ManuallyDrop::new(Service::adopt(self.0, service)).log());
            }
        }
        self.0.attempt(&["stack", "rm", self.1]);
    }
}

/// Debian's HAProxy under the name of the official image, with that one's arguments.
fn image_of_haproxy(swarm: &Swarm) {
    static DONE: OnceLock<()> = OnceLock::new();
    let arguments = ["-f", "/usr/local/etc/haproxy/haproxy.cfg"];
    DONE.get_or_init(|| swarm.image("haproxy:3.2-alpine", Path::new("/usr/sbin/haproxy"), &arguments));
}

fn labelled(name: &str, network: &str, labels: &[&str]) -> Service<'static> {
    let swarm = swarm().expect("the test would not have come here");
    let mut options = [&NAMED[..], &["--network", network]].concat();
    labels.iter().for_each(|label| options.extend(["--label", label]));
    let service = swarm.service(name, &options, &["backend:test"]);
    service.settle(1);
    service
}

fn until_served(port: u16, host: &str) {
    wait::eventually(&format!("{host} is served on {port}"), || {
        Connection::try_open(port).map_err(|e| e.to_string())?;
        let answer = get_host(port, host, "/");
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    });
}

#[test]
fn the_stack_serves_on_labelled_nodes_and_drains_when_it_is_updated() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let stack = Stack::deploy(swarm, "fairlead-stack", "swarm-stack.yml");
    let gateway = stack.service("gateway");
    assert_eq!(gateway.tasks().len(), 0, "no node is labelled yet");
    swarm.label_node("fairlead=true");
    gateway.settle(1);
    let labels = [
        "traefik.enable=true",
        "traefik.http.routers.shop.rule=Host(`shop.example.com`)",
        "traefik.http.services.shop.loadBalancer.server.port=8080",
    ];
    let _shop = labelled("shop", "web", &labels);
    let _hidden = labelled("hidden", "web", &["traefik.http.routers.hidden.rule=Host(`hidden.example.com`)"]);
    until_served(80, "shop.example.com");
    assert_eq!(get_host(80, "hidden.example.com", "/").status, 404, "it does not say traefik.enable=true");

    let mut slow = Connection::open(80);
    slow.send("GET /slow?ms=4000 HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    let before = gateway.running().remove(0);
    gateway.update(&["--force"]);
    until("it is told to end", || gateway.running().iter().all(|task| task.id != before.id));
    assert_eq!(slow.answer().status, 200, "a request under way was cut off by the update");
    wait::within(std::time::Duration::from_secs(60), "the next one runs", || match gateway.running().is_empty() {
        true => Err("not yet"),
        false => Ok(()),
    });
    until_served(80, "shop.example.com");
    let task = swarm.api("/tasks").as_array().into_iter().flatten().find(|task| task["ID"] == before.id.as_str()).cloned();
    let exit = task.map(|task| task["Status"]["ContainerStatus"]["ExitCode"].clone()).unwrap_or_default();
    assert!(exit.is_null() || exit == 0, "it was cut off: exit code {exit}");
}

#[test]
fn interlocks_stack_has_a_gateway_for_each_service_cluster() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    swarm.label_node("fairlead.cluster=east");
    let stack = Stack::deploy(swarm, "interlock-stack", "interlock-stack.yml");
    stack.service("east").settle(1);
    assert_eq!(stack.service("west").tasks().len(), 0, "no node is labelled for it");
    let cluster = |name: &str| format!("com.docker.lb.service_cluster={name}");
    let port = "com.docker.lb.port=8080";
    let _east = labelled("stack-east", "east", &["com.docker.lb.hosts=east.example.com", port, &cluster("east")]);
    let _west = labelled("stack-west", "east", &["com.docker.lb.hosts=west.example.com", port, &cluster("west")]);
    until_served(8080, "east.example.com");
    assert_ne!(get_host(8080, "west.example.com", "/").status, 200);
}

#[test]
fn the_engine_proxy_lets_pass_what_fairlead_reads_and_nothing_else() {
    let Some(swarm) = swarm() else { return };
    let _beside = swarm.beside();
    let dir = fairlead_tests::dir::Dir::new();
    let socket = dir.path().join("proxy.sock");
    let file = fairlead_tests::process::root().join("deploy/engine-proxy.cfg");
    let config = std::fs::read_to_string(file).expect("it is there").replace(":2375", &socket.display().to_string());
    let mut command = std::process::Command::new("/usr/sbin/haproxy");
    command.args(["-f", &dir.put("haproxy.cfg", &config)]);
    let _haproxy = fairlead_tests::process::Process::start(&mut command, &dir.path().join("log"));
    until("it listens", || Engine::connect(&socket).is_ok());
    let ask =
        |method, path| Engine::connect(&socket).and_then(|mut engine| engine.ask(method, path)).map_or(0, |(status, _)| status);
    for path in ["/_ping", "/version", "/info", "/v1.41/services?status=true", "/v1.41/tasks", "/v1.41/nodes", "/networks"] {
        assert_eq!(ask("GET", path), 200, "{path}");
    }
    for path in
        ["/secrets", "/v1.41/configs", "/v1.41/swarm", "/v1.41/swarm/unlockkey", "/containers/x/export", "/tasks/../swarm"]
    {
        assert_eq!(ask("GET", path), 403, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(ask(method, "/v1.41/services"), 403, "{method}");
    }
}
