//! After the load: everything that requests took is given back, and the gateway goes down in order.

use super::{World, gateway};
use crate::oracle::{Oracle, Verdict, broken};
use fairlead_core::drain::Outcome;
use fairlead_net::time::{Duration, after, now, sleep};
use madsim::runtime::Handle;

/// How long connections and tasks may take to end after the last request.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the gateway held before the first request.
pub(super) struct Baseline {
    tasks: usize,
}

impl Baseline {
    pub(super) async fn measure(world: &World) -> Self {
        sleep(Duration::from_millis(50)).await;
        Self { tasks: tasks(world) }
    }

    /// Waits until nothing of the load is left.
    pub(super) async fn returns(self, world: &World) -> Verdict {
        world.judges(Oracle::Baseline);
        let deadline = after(PATIENCE);
        loop {
            let left = self.left(world);
            match left {
                None => break,
                Some(_) if now() < deadline => sleep(Duration::from_millis(50)).await,
                Some(left) => return broken(Oracle::Baseline, format!("{left}, {PATIENCE:?} after the last request")),
            }
        }
        world.note("world", "is at its baseline");
        Ok(())
    }

    fn left(&self, world: &World) -> Option<String> {
        let Some(shared) = world.shared.get() else { return Some("there is no gateway".into()) };
        let sockets = world.net.netstat(world.gateway.host);
        let open = sockets.iter().filter(|s| matches!(s.local.port(), 80 | 443) && s.state != "TIME_WAIT").count();
        if open > 0 {
            return Some(format!("{open} connections of clients are open"));
        }
        let published = shared.published.load();
        if let Some(busy) = published.backends().flat_map(|b| &b.endpoints).find(|e| e.in_flight() > 0) {
            return Some(format!("{} has {} requests in flight", busy.url.text, busy.in_flight()));
        }
        // A service may have come or gone, with an actor and a probe per server.
        let checked = if world.plan.gateway.health_check { 1 + 2 * world.plan.servers.len() } else { 0 };
        let tasks = tasks(world);
        let most = self.tasks + SLACK + checked;
        (tasks > most).then(|| format!("{tasks} tasks run on the gateway, {} did before", self.tasks))
    }
}

/// Tasks of the control plane that come and go: timers of actors, a provider between two attempts.
const SLACK: usize = 6;

fn tasks(world: &World) -> usize {
    Handle::current()
        .metrics()
        .num_tasks_by_node()
        .iter()
        .filter(|(node, _)| node.contains(&world.gateway.name))
        .map(|(_, n)| n)
        .sum()
}

/// The gateway goes down by itself, cleanly: it has nothing to wait for.
pub(super) async fn drains(world: &World, gateway: gateway::Running) -> Verdict {
    world.judges(Oracle::Baseline);
    let open = gateway.gateway().connections();
    if open > 0 {
        return broken(Oracle::Baseline, format!("{open} connections are counted and none is open"));
    }
    match gateway.drain(world).await {
        Some(Outcome::Clean) => {}
        other => return broken(Oracle::Baseline, format!("the drain of an idle gateway ended with {other:?}")),
    }
    let listening = fairlead_net::tcp::Stream::connect("10.0.0.1:80".parse().expect("a constant address"));
    let outcome = world.clients[0].node.spawn(listening).await;
    match outcome {
        Ok(Err(_)) => Ok(()),
        _ => broken(Oracle::Baseline, "the gateway still takes connections after its drain"),
    }
}
