//! An operator asks each gateway's API and readiness over sockets, during the load and after it, and what it shows is judged.

use super::{World, gateway, wire};
use crate::oracle::{Oracle, Verdict, admin::State, broken, lifecycle::Connection};
use fairlead_actors::published::Published;
use fairlead_core::endpoint::Life;
use fairlead_net::{
    http::{Framing, Method, RequestHead, ResponseHead, Upstream as _},
    http1::{ClientConn, Limits},
    tcp::Stream,
    time::{Duration, sleep, timeout},
};
use serde_json::Value;
use std::{collections::BTreeMap, future::poll_fn, net::SocketAddr};

/// The port of the API.
pub(super) const PORT: u16 = 8080;
/// Between two looks.
const PACE: Duration = Duration::from_millis(640);
/// How long an answer may take while the gateway is up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for as long as the load lasts.
pub(super) async fn inspect(world: &World, index: usize) {
    loop {
        sleep(PACE).await;
        look(world, index).await;
    }
}

/// Asks once.
pub(super) async fn look(world: &World, index: usize) {
    let verdict = ask(world, index).await;
    world.judged(verdict);
}

async fn ask(world: &World, index: usize) -> Verdict {
    let instance = &world.gateways[index];
    let asked_at = world.now();
    let (was_up, Some(before)) = (instance.life.lock().is_up(), instance.shared().map(|shared| state(&shared.published.load())))
    else {
        return Ok(());
    };
    let process = instance.process();
    let mut made_at = None;
    let answers = timeout(PATIENCE, async {
        let stream = Stream::connect(SocketAddr::new(gateway::address(index).ip(), PORT)).await.ok()?;
        made_at = Some(world.now());
        let mut connection = ClientConn::new(stream, Limits::default());
        let (ready, _) = get(&mut connection, "/ready").await?;
        if !connection.is_reusable() {
            // On its way down it ends connections with their answers.
            let stream = Stream::connect(SocketAddr::new(gateway::address(index).ip(), PORT)).await.ok()?;
            made_at = Some(world.now());
            connection = ClientConn::new(stream, Limits::default());
        }
        let (status, body) = get(&mut connection, "/api/rawdata").await?;
        Some((ready, status, serde_json::from_slice::<Value>(&body).ok()?))
    });
    let answers = answers.await.ok().flatten();
    let now = world.now();
    world.look();
    if instance.process() != process {
        return Ok(());
    }
    let is_up = instance.life.lock().is_up();
    let Some((ready, status, shown)) = answers else {
        let is_excused = instance.life.lock().may_lose(now, asked_at, Connection { made_at, fresh: true });
        // A connection that waited for a descriptor is lost when its listener closes.
        if is_excused || !is_up && world.lacks_descriptors(index) {
            return Ok(());
        }
        return broken(Oracle::Admin, format!("the API of {} does not answer, or not with JSON", instance.machine.name));
    };
    world.judges(Oracle::Admin);
    let expected = if is_up { 200 } else { 503 };
    if was_up == is_up && ready != expected && !instance.life.lock().is_disturbed(asked_at) {
        return broken(Oracle::Admin, format!("/ready of {} says {ready} and should say {expected}", instance.machine.name));
    }
    if status != 200 {
        return broken(Oracle::Admin, format!("the API of {} answers with {status}", instance.machine.name));
    }
    let Some(shared) = instance.shared() else { return Ok(()) };
    let after = state(&shared.published.load());
    instance.admin.lock().answered(asked_at, now, &told(&shown), &before, &after)
}

async fn get(connection: &mut ClientConn<Stream>, target: &str) -> Option<(u16, bytes::BytesMut)> {
    let mut head = RequestHead {
        method: Method::Get,
        target: target.into(),
        authority: "gateway".into(),
        framing: Framing::None,
        ..RequestHead::default()
    };
    head.fields.append("Host", b"gateway");
    let mut response = ResponseHead::default();
    connection.send_head(&head).ok()?;
    wire::send(connection, Vec::new()).await.ok()?;
    poll_fn(|cx| connection.poll_head(cx, &mut response)).await.ok()?;
    let body = wire::receive(connection).await.ok()?;
    Some((response.status, body))
}

/// What is served, as the API would have to show it.
pub(super) fn state(published: &Published) -> State {
    let of_others = |name: &str| !name.ends_with("@internal");
    let routers = published.config.routers.iter().filter(|(name, _)| of_others(name.as_str()));
    let backends = published.backends().filter(|backend| of_others(backend.name.as_str()));
    let services = backends.map(|backend| {
        let mut servers = BTreeMap::new();
        for (server, endpoint) in backend.config.servers.iter().zip(&backend.endpoints) {
            let standing = endpoint.standing();
            let up = server.unreachable.is_none()
                && standing.life == Life::Active
                && standing.reachable
                && standing.probe_up
                && !standing.ejected;
            *servers.entry(server.url.text.to_string()).or_insert(false) |= up;
        }
        (backend.name.to_string(), servers)
    });
    State {
        routers: routers.map(|(name, router)| (name.to_string(), router.service.as_str().to_owned())).collect(),
        services: services.collect(),
    }
}

/// What the API told. What it tells of the gateway's own services and of refused ones is another matter.
fn told(shown: &Value) -> State {
    let objects = |key: &str| {
        let of_others = |(name, object): &(&String, &Value)| !name.ends_with("@internal") && object["status"] != "disabled";
        shown[key].as_object().into_iter().flatten().filter(of_others).map(|(name, object)| (name.clone(), object.clone()))
    };
    let routers = objects("routers").map(|(name, router)| (name, router["service"].as_str().unwrap_or_default().to_owned()));
    let services = objects("services").filter(|(_, service)| service["loadBalancer"].is_object()).map(|(name, service)| {
        let servers = service["serverStatus"].as_object().into_iter().flatten();
        (name, servers.map(|(url, status)| (url.clone(), status == "UP")).collect::<BTreeMap<_, _>>())
    });
    State { routers: routers.collect(), services: services.collect() }
}
