//! After the load: everything that requests took is given back, and the gateways go down in order.

use super::{World, gateway, instance::Instance, server};
use crate::{
    oracle::{Oracle, Verdict, broken},
    trace::{Mark, State},
};
use fairlead_core::drain::Outcome;
use fairlead_net::time::{Duration, after, now, sleep};
use madsim::runtime::Handle;

/// How long connections and tasks may take to end after the last request.
const PATIENCE: Duration = Duration::from_secs(15);

/// What each gateway held before the first request.
pub(super) struct Baseline {
    tasks: Vec<usize>,
}

impl Baseline {
    pub(super) async fn measure(world: &World) -> Self {
        sleep(Duration::from_millis(50)).await;
        Self { tasks: world.gateways.iter().map(tasks).collect() }
    }

    /// Waits until nothing of the load is left.
    pub(super) async fn returns(self, world: &World) -> Verdict {
        world.judges(Oracle::Baseline);
        let deadline = after(PATIENCE);
        loop {
            let left = world.core().find_map(|(index, instance)| left(world, instance, self.tasks[index]));
            match left {
                None => break,
                Some(_) if now() < deadline => sleep(Duration::from_millis(50)).await,
                Some(left) => return broken(Oracle::Baseline, format!("{left}, {PATIENCE:?} after the last request")),
            }
        }
        world.note("world", "is at its baseline");
        Ok(())
    }
}

fn left(world: &World, instance: &Instance, before: usize) -> Option<String> {
    let Some(shared) = instance.shared() else { return Some("there is no gateway".into()) };
    let sockets = world.net.netstat(instance.machine.host);
    let open = sockets
        .iter()
        .filter(|s| matches!(s.local.port(), gateway::PORT | gateway::SECURE_PORT) && s.state != "TIME_WAIT")
        .count();
    if open > 0 {
        return Some(format!("{open} connections of clients are open"));
    }
    let counted = instance.running.lock().as_ref().map_or(0, |running| running.gateway().connections());
    if counted > 0 {
        return Some(format!("{counted} connections are counted and none is open"));
    }
    let published = shared.published.load();
    let wanted: Vec<_> = published.backends().flat_map(|b| &b.endpoints).map(|e| world.address_of(&e.url.host)).collect();
    let withdrawn = |s: &&fairlead_net::sim::SocketInfo| {
        s.peer.port() == server::PORT && !wanted.contains(&s.peer.ip().to_string()) && s.state == "ESTABLISHED"
    };
    if let Some(socket) = sockets.iter().find(withdrawn) {
        return Some(format!("a connection to {:?} is kept, which is no server any more", socket.peer));
    }
    if let Some(busy) = published.backends().flat_map(|b| &b.endpoints).find(|e| e.in_flight() > 0) {
        return Some(format!("{} has {} requests in flight", busy.url.text, busy.in_flight()));
    }
    // A service may have come or gone, with an actor and a probe per server.
    let checked = if world.plan.gateway.health_check { 1 + 2 * world.plan.servers.len() } else { 0 };
    let tasks = tasks(instance);
    let most = before + SLACK + checked;
    (tasks > most).then(|| format!("{tasks} tasks run on {}, {before} did before", instance.machine.name))
}

/// Tasks of the control plane that come and go: timers of actors, a provider between two attempts.
const SLACK: usize = 6;

fn tasks(instance: &Instance) -> usize {
    Handle::current().metrics().num_tasks_by_node().get(&instance.machine.name).copied().unwrap_or_default()
}

/// The gateways go down by themselves, cleanly: they have nothing to wait for.
pub(super) async fn drain(world: &World) -> Verdict {
    for (index, _) in world.core() {
        drains(world, index).await?;
    }
    Ok(())
}

async fn drains(world: &World, index: usize) -> Verdict {
    world.judges(Oracle::Baseline);
    let Some(running) = world.gateways[index].running.lock().take() else {
        return broken(Oracle::Baseline, "there is no gateway to drain");
    };
    let open = running.gateway().connections();
    if open > 0 {
        return broken(Oracle::Baseline, format!("{open} connections are counted and none is open"));
    }
    let name = &world.gateways[index].machine.name;
    world.mark(name, || Mark::State { state: State::Drains });
    let outcome = running.drain(world, index).await;
    world.mark(name, || Mark::State { state: State::Ended });
    match outcome {
        Some(Outcome::Clean) => {}
        other => return broken(Oracle::Baseline, format!("the drain of an idle gateway ended with {other:?}")),
    }
    let listening = fairlead_net::tcp::Stream::connect(gateway::address(index));
    match world.clients[0].node.spawn(listening).await {
        Ok(Err(_)) => Ok(()),
        _ => broken(Oracle::Baseline, "the gateway still takes connections after its drain"),
    }
}
