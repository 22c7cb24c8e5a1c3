//! A gateway's process: the real actors with a real static configuration, and what can be seen of them.

use super::{World, api, environment, metadata, server_ip, source};
use crate::{
    oracle::{Oracle, Verdict, Violation, broken},
    plan::Source,
    trace::{Mark, State},
};
use fairlead_actors::{
    compose,
    gateway::{Gateway, Options},
    published::Published,
};
use fairlead_core::{
    config::{dynamic::MiddlewareKind, flags, resolve_static, static_::StaticConfig},
    drain::Outcome,
    http::{Host, Request, Scheme, VecFields},
    snapshot::CompiledRouter,
};
use madsim::runtime::Handle;
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
/// And for TLS.
pub(super) const SECURE_PORT: u16 = 443;

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
    let instance = &world.gateways[index];
    let (machine, process) = (&instance.machine, instance.process());
    world.mark(&machine.name, || Mark::State { state: State::Starts });
    if world.plan.gateway.port_taken {
        starts_late(world, index).await?;
    }
    let begun = begin(world, index).await;
    if instance.process() != process {
        // It was killed meanwhile.
        return Ok(());
    }
    match begun? {
        Ok(gateway) => {
            instance.runs(world.now(), Running { gateway });
            world.note(&machine.name, "ready");
            world.mark(&machine.name, || Mark::State { state: State::Serves });
            Ok(())
        }
        Err(e) => broken(Oracle::Liveness, format!("the gateway did not start: {e}")),
    }
}

/// Its process begins on its node: ready, or refused in its own words.
async fn begin(world: &Arc<World>, index: usize) -> Result<Result<Gateway, String>, Violation> {
    let machine = &world.gateways[index].machine;
    let config = configuration(world);
    let providers = compose::providers(&config);
    let workers = world.plan.gateway.workers;
    let telemetry = world.recording(index, &config);
    let (reader, records) = (world.clone(), telemetry.clone());
    let options = Options { config, telemetry, workers, pin: false, host_name: machine.name.clone(), providers };
    let process = async move {
        reader.reads(index, &records);
        Gateway::start(options).await
    };
    match machine.node().spawn(process).await {
        Ok(started) => Ok(started.map_err(|e| e.to_string())),
        Err(_) => broken(Oracle::Panic, "the gateway's start was cut off"),
    }
}

/// The port is another process's first: the gateway says so and does not start; when the port is free it does.
async fn starts_late(world: &Arc<World>, index: usize) -> Verdict {
    let machine = &world.gateways[index].machine;
    let squatter = world.take_port(index).await;
    match begin(world, index).await? {
        Ok(_) => return broken(Oracle::Liveness, "the gateway started although its port was taken"),
        Err(e) if e.contains("cannot listen") => world.note(&machine.name, &format!("does not start: {e}")),
        Err(e) => return broken(Oracle::Liveness, format!("the gateway did not say that its port is taken: {e}")),
    }
    drop(squatter);
    // Its process ends with that, and is started again.
    world.net.exit(machine.host);
    Handle::current().restart(machine.node.id());
    Ok(())
}

impl Running {
    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Goes down on its own node.
    pub(super) async fn drain(self, world: &World, index: usize) -> Option<Outcome> {
        world.gateways[index].machine.node().spawn(self.gateway.drain(pending::<()>)).await.ok()
    }
}

impl World {
    /// The provider's name, which names of its units end with.
    pub(super) fn provider(&self) -> &'static str {
        match self.plan.gateway.source {
            Source::File => "file",
            Source::Etcd => "etcd",
            Source::Swarm => "swarm",
            Source::Rancher => "rancher",
            Source::Kontena => "kontena",
        }
    }
}

/// From flags, as an operator would write them.
fn configuration(world: &World) -> StaticConfig {
    let mut args: Vec<String> = [
        "--entryPoints.web.address=0.0.0.0:80",
        "--serversTransport.forwardingTimeouts.dialTimeout=5s",
        "--serversTransport.forwardingTimeouts.responseHeaderTimeout=4s",
        "--fairlead.reasonHeader=true",
    ]
    .map(str::to_owned)
    .into();
    let plan = &world.plan.gateway;
    let is_secure = plan.secure || world.plan.tls.is_some();
    // A gateway waits as long as the most patient of its entry points.
    for (entry_point, present) in [("web", true), ("traefik", plan.api), ("websecure", is_secure)] {
        let life_cycle = format!("--entryPoints.{entry_point}.transport.lifeCycle");
        if present {
            args.push(format!("{life_cycle}.graceTimeOut={}ms", plan.grace));
        }
        if present && plan.lame_duck > 0 {
            args.push(format!("{life_cycle}.requestAcceptGraceTimeout={}ms", plan.lame_duck));
        }
    }
    if plan.api {
        args.extend([
            "--api.insecure=true".into(),
            "--ping=true".into(),
            format!("--entryPoints.traefik.address=0.0.0.0:{}", api::PORT),
        ]);
    }
    if is_secure {
        args.extend(["--entryPoints.websecure.address=0.0.0.0:443", "--entryPoints.websecure.http.tls=true"].map(str::to_owned));
    }
    match plan.source {
        Source::File => args.push(format!("--providers.file.filename={}", source::FILE)),
        Source::Etcd => {
            let members = (0..world.plan.gateway.members).map(|i| format!("10.0.9.{}:{}", i + 1, source::MEMBER_PORT));
            args.push(format!("--providers.etcd.endpoints={}", members.collect::<Vec<_>>().join(",")));
        }
        Source::Rancher => args.extend(world.metadata.iter().flat_map(metadata::Metadata::flags)),
        Source::Kontena => {
            let members = (0..world.plan.gateway.members).map(|i| format!("10.0.9.{}:{}", i + 1, source::MEMBER_PORT));
            args.push(format!("--providers.kontena.endpoints={}", members.collect::<Vec<_>>().join(",")));
            args.extend(["--providers.kontena.loadBalancer=lb".into(), "--providers.kontena.api=v3".into()]);
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
        let Some(index) = number(router) else { continue };
        let service = published.snapshot.service(router.service).map(|service| service.name.as_str());
        let backend = published.backends().find(|backend| Some(backend.name.as_str()) == service);
        let servers = backend.map(|backend| backend.endpoints.iter().filter_map(|e| server_at(&e.url.host)).collect());
        routes.insert(index, servers.unwrap_or_default());
    }
    routes
}

/// Whether nothing keeps any server of a service from being picked: ill, ejected and suspected ones are passed over.
pub(super) fn may_be_picked(published: &Published, service: usize) -> bool {
    let router = published.snapshot.routers().find(|router| number(router) == Some(service));
    let name = router.and_then(|router| published.snapshot.service(router.service)).map(|service| service.name.as_str());
    let backend = published.backends().find(|backend| Some(backend.name.as_str()) == name);
    backend.is_some_and(|backend| backend.endpoints.iter().all(|endpoint| endpoint.takes_new()))
}

/// The generations that requests of services are marked with.
pub(super) fn marks(published: &Published) -> BTreeMap<usize, u64> {
    let mark = |router: &CompiledRouter| {
        let edits = router.stages.iter().find_map(|stage| match &stage.middleware.kind {
            MiddlewareKind::Headers(edits) => Some(edits),
            _ => None,
        })?;
        edits.request.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-config"))?.1.parse().ok()
    };
    published.snapshot.routers().filter_map(|router| Some((number(router)?, mark(router)?))).collect()
}

/// The service whose router it is.
fn number(router: &CompiledRouter) -> Option<usize> {
    router.name.as_str().strip_prefix('s').and_then(|n| n.split('@').next()?.parse().ok())
}

pub(super) fn server_at(host: &str) -> Option<usize> {
    if let Some(server) = environment::server_named(host) {
        return Some(server);
    }
    let (rest, last) = host.rsplit_once('.')?;
    let (_, block) = rest.rsplit_once('.')?;
    let index = block.parse::<usize>().ok()? * 250 + last.parse::<usize>().ok()? - 1;
    (server_ip(index) == host).then_some(index)
}
