//! A gateway's process: the real actors with a real static configuration, and what can be seen of them.

use super::{World, server_ip, source};
use crate::{
    oracle::{Oracle, Verdict, broken},
    plan::Source,
};
use fairlead_actors::{
    compose,
    gateway::{Gateway, Options},
    published::Published,
    telemetry::{self, Telemetry},
};
use fairlead_core::{
    config::{flags, resolve_static, static_::StaticConfig},
    drain::Outcome,
    http::{Host, Request, Scheme, VecFields},
    snapshot::CompiledRouter,
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// A gateway that is ready, held by its node.
pub(super) struct Running {
    gateway: Gateway,
}

/// The port of every gateway.
pub(super) const PORT: u16 = 80;

/// Where a gateway is.
pub(super) fn ip(index: usize) -> String {
    format!("10.0.0.{}", index + 1)
}

/// Where it listens.
pub(super) fn address(index: usize) -> SocketAddr {
    SocketAddr::new(ip(index).parse().expect("an address"), PORT)
}

/// Starts it, and waits until it is ready.
pub(super) async fn start(world: &Arc<World>, index: usize) -> Verdict {
    let machine = &world.gateways[index].machine;
    let config = configuration(world);
    let providers = compose::providers(&config);
    let workers = world.plan.gateway.workers;
    let telemetry =
        Telemetry::new(telemetry::Options { workers, seed: world.plan.seed ^ index as u64, ..telemetry::Options::default() });
    let options = Options { config, telemetry, workers, pin: false, host_name: machine.name.clone(), providers };
    match machine.node.spawn(Gateway::start(options)).await {
        Ok(Ok(gateway)) => {
            world.gateways[index].runs(Running { gateway });
            world.note(&machine.name, "ready");
            Ok(())
        }
        Ok(Err(e)) => broken(Oracle::Liveness, format!("the gateway did not start: {e}")),
        Err(_) => broken(Oracle::Panic, "the gateway's start was cut off"),
    }
}

impl Running {
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Goes down on its own node.
    pub(super) async fn drain(self, world: &World, index: usize) -> Option<Outcome> {
        world.gateways[index].machine.node.spawn(self.gateway.drain(pending::<()>)).await.ok()
    }
}

/// From flags, as an operator would write them.
fn configuration(world: &World) -> StaticConfig {
    let mut args: Vec<String> = [
        "--entryPoints.web.address=0.0.0.0:80",
        "--entryPoints.web.transport.lifeCycle.graceTimeOut=10s",
        "--serversTransport.forwardingTimeouts.dialTimeout=5s",
        "--serversTransport.forwardingTimeouts.responseHeaderTimeout=4s",
        "--fairlead.reasonHeader=true",
    ]
    .map(str::to_owned)
    .into();
    match world.plan.gateway.source {
        Source::File => args.push(format!("--providers.file.filename={}", source::FILE)),
        Source::Etcd => {
            let members = (0..world.plan.gateway.members).map(|i| format!("10.0.9.{}:{}", i + 1, source::MEMBER_PORT));
            args.push(format!("--providers.etcd.endpoints={}", members.collect::<Vec<_>>().join(",")));
        }
        Source::Swarm => {
            let endpoints = world.stage.as_ref().map(super::stage::Stage::endpoints).unwrap_or_default();
            args.push(format!("--providers.swarm.endpoint={endpoints}"));
        }
    }
    let tree = flags::tree(&args).unwrap_or_else(|e| panic!("the world's own flags are refused: {e:?}"));
    resolve_static(&tree).unwrap_or_else(|e| panic!("the world's own configuration is refused: {e:?}")).0
}

/// The hosts that have a route, with the tasks that a request may meet there, by their identities.
pub(super) fn tasks(published: &Published, hosts: usize) -> BTreeMap<usize, Vec<String>> {
    let mut routes = BTreeMap::new();
    for index in 0..hosts {
        let Some(router) = route(published, &format!("s{index}.test")) else { continue };
        let service = published.snapshot.service(router.service).map(|service| service.name.as_str());
        let backend = published.backends().find(|backend| Some(backend.name.as_str()) == service);
        let servers = backend.iter().flat_map(|backend| &backend.config.servers);
        routes
            .insert(index, servers.filter(|server| server.unreachable.is_none()).map(|server| server.instance.clone()).collect());
    }
    routes
}

/// Where a request for this host would go.
fn route<'a>(published: &'a Published, name: &str) -> Option<&'a CompiledRouter> {
    let (host, _) = Host::parse(name.as_bytes()).ok()?;
    let fields = VecFields(vec![("Host".to_owned(), name.as_bytes().to_vec())]);
    let client = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
    let path = Cow::Borrowed("/request/0");
    let request =
        Request { method: "GET", scheme: Scheme::Http, host: &host, port: None, path, query: None, client, fields: &fields };
    published.snapshot.route(published.snapshot.entry_point("web")?, false, &request)
}

/// The services that have a route, with the servers that a request may meet there.
pub(super) fn routes(published: &Published) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut routes = BTreeMap::new();
    for router in published.snapshot.routers() {
        let Some(index) = router.name.as_str().strip_prefix('s').and_then(|n| n.split('@').next()?.parse::<usize>().ok()) else {
            continue;
        };
        let service = published.snapshot.service(router.service).map(|service| service.name.as_str());
        let backend = published.backends().find(|backend| Some(backend.name.as_str()) == service);
        let servers = backend.map(|backend| backend.endpoints.iter().filter_map(|e| server_at(&e.url.host)).collect());
        routes.insert(index, servers.unwrap_or_default());
    }
    routes
}

fn server_at(host: &str) -> Option<usize> {
    let (rest, last) = host.rsplit_once('.')?;
    let (_, block) = rest.rsplit_once('.')?;
    let index = block.parse::<usize>().ok()? * 250 + last.parse::<usize>().ok()? - 1;
    (server_ip(index) == host).then_some(index)
}
