//! Servers that vanish from the network under load, as a container that is killed: what that costs, in virtual time.
#![cfg(madsim)]

use fairlead_actors::{
    compose,
    gateway::{Gateway, Options},
    telemetry::{self, Telemetry},
};
use fairlead_core::config::{flags, resolve_static};
use fairlead_net::{
    sim::{Config, Net},
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, now, sleep, timeout},
};
use madsim::runtime::{Handle, NodeHandle};
use std::{collections::BTreeMap, net::SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SERVERS: usize = 5;
const ROUTES: &str = "/routes.yml";
/// What a request may cost beyond the server's own time, whatever server vanishes.
const BOUND: Duration = Duration::from_millis(300);
/// What a server takes to answer.
const THINKS: Duration = Duration::from_millis(4);

fn address(server: usize) -> SocketAddr {
    format!("10.0.1.{}:80", server + 1).parse().unwrap()
}

/// Answers whatever ends with an empty line.
async fn serve(server: usize) {
    let listener = Listener::bind(address(server), ListenOptions::default()).unwrap();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        madsim::task::spawn(async move {
            let mut read = Vec::new();
            while let Ok(1..) = stream.read_buf(&mut read).await {
                if read.ends_with(b"\r\n\r\n") {
                    read.clear();
                    sleep(THINKS).await;
                    if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

struct World {
    net: Net,
    servers: Vec<(NodeHandle, fairlead_net::sim::HostId)>,
    client: NodeHandle,
    _gateway: Gateway,
}

async fn world() -> World {
    let net = Net::start(Config::default());
    net.default_link(|link| link.latency = Duration::from_micros(100)..Duration::from_micros(600));
    let handle = Handle::current();
    let node = |name: String, address: &str| {
        let node = handle.create_node().name(name).build();
        let host = net.host(node.id(), &[address]);
        (node, host)
    };
    let servers: Vec<_> = (0..SERVERS).map(|i| node(format!("server-{i}"), &address(i).ip().to_string())).collect();
    for (i, (node, _)) in servers.iter().enumerate() {
        node.spawn(serve(i));
    }
    let (gateway, host) = node("gateway".into(), "10.0.0.1");
    let urls: String = (0..SERVERS).map(|i| format!("          - url: http://{}\n", address(i))).collect();
    let routes = format!(
        "http:\n  routers:\n    all:\n      rule: PathPrefix(`/`)\n      service: s\n  services:\n    s:\n      loadBalancer:\n        servers:\n{urls}"
    );
    net.write_file(host, ROUTES, routes);
    let args = ["--entryPoints.web.address=0.0.0.0:80".to_owned(), format!("--providers.file.filename={ROUTES}")];
    let (config, _) = resolve_static(&flags::tree(&args).unwrap()).unwrap();
    let telemetry = Telemetry::new(telemetry::Options { workers: 1, ..telemetry::Options::default() });
    let providers = compose::providers(&config);
    let options = Options { config, telemetry, workers: 1, pin: false, host_name: "gateway".into(), providers };
    let running = gateway.spawn(Gateway::start(options)).await.unwrap().unwrap();
    let client = node("client".into(), "10.0.2.1").0;
    World { net, servers, client, _gateway: running }
}

/// Requests one after the other, over one connection or a new one each; the worst time, and how many were answered with 502.
async fn ask(requests: usize, method: &'static str, keeps: bool) -> (Duration, usize) {
    let (mut worst, mut failed) = (Duration::ZERO, 0);
    let mut kept: Option<Stream> = None;
    for n in 0..requests {
        let begun = now();
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => Stream::connect("10.0.0.1:80".parse().unwrap()).await.unwrap(),
        };
        let head = format!("{method} /{n} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nok") && !answer.starts_with(b"HTTP/1.1 502") {
            let read = timeout(Duration::from_secs(20), stream.read_buf(&mut answer)).await;
            assert!(read.expect("an answer").expect("no reset") > 0, "{}", String::from_utf8_lossy(&answer));
        }
        failed += usize::from(answer.starts_with(b"HTTP/1.1 502"));
        worst = worst.max(now() - begun);
        kept = Some(stream).filter(|_| keeps);
        sleep(Duration::from_millis(3)).await;
    }
    (worst, failed)
}

/// Load of every kind while `event` happens; the worst time of each kind, and failures.
async fn under_load(world: &World, event: impl AsyncFnOnce(&World)) -> BTreeMap<&'static str, (Duration, usize)> {
    let kinds = [("GET kept", "GET", true), ("GET new", "GET", false), ("POST new", "POST", false)];
    let tasks: Vec<_> = kinds
        .iter()
        .cycle()
        .take(15)
        .map(|(kind, method, keeps)| (*kind, world.client.spawn(ask(400, method, *keeps))))
        .collect();
    sleep(Duration::from_millis(500)).await;
    event(world).await;
    let mut worst = BTreeMap::<_, (Duration, usize)>::new();
    for (kind, task) in tasks {
        let (took, failed) = task.await.expect("the client asks to its end");
        let known = worst.entry(kind).or_default();
        *known = (took.max(known.0), failed + known.1);
    }
    worst
}

/// The process ends, its connections are reset, and from then on its address swallows packets.
#[madsim::test]
async fn a_container_that_is_killed_costs_no_request_and_no_time() {
    let world = world().await;
    let worst = under_load(&world, async |world| {
        let (node, host) = &world.servers[2];
        world.net.exit(*host);
        Handle::current().kill(node.id());
        sleep(Duration::from_millis(2)).await;
        world.net.power_off(*host);
    })
    .await;
    assert!(worst.values().all(|(worst, _)| *worst <= BOUND), "{worst:?}");
    // A POST that the server had when it was killed is not repeated; there is one under way there for each client at most.
    assert!(worst.iter().all(|(kind, (_, failed))| *failed <= if kind.starts_with("POST") { 5 } else { 0 }), "{worst:?}");
}

/// Not even a reset comes: a node is cut off with its containers. What was sent and must not be repeated cannot be saved, so there are
/// no POSTs here.
#[madsim::test]
async fn a_node_that_is_cut_off_costs_repeatable_requests_a_moment() {
    let world = world().await;
    let tasks: Vec<_> = [true, false].iter().cycle().take(10).map(|keeps| world.client.spawn(ask(400, "GET", *keeps))).collect();
    sleep(Duration::from_millis(500)).await;
    for (_, host) in &world.servers[1..3] {
        world.net.power_off(*host);
    }
    let mut worst = Duration::ZERO;
    for task in tasks {
        let (took, failed) = task.await.expect("the client asks to its end");
        assert_eq!(failed, 0);
        worst = worst.max(took);
    }
    // Two servers at once: a request may meet both.
    assert!(worst <= 2 * BOUND, "{worst:?}");
}

/// SYNs are swallowed from the beginning: a server that is configured and not there.
#[madsim::test]
async fn a_server_that_was_never_there_costs_any_method_a_moment() {
    let world = world().await;
    for (_, host) in &world.servers[3..] {
        world.net.power_off(*host);
    }
    let worst = under_load(&world, async |_| {}).await;
    assert!(worst.values().all(|(worst, failed)| *worst <= BOUND && *failed == 0), "{worst:?}");
}
