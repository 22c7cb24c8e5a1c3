//! The gateway's node: the real actors with the operator's configuration.

use super::World;
use fairlead_actors::{
    compose,
    gateway::{Gateway, Options},
    telemetry::Telemetry,
};
use fairlead_core::drain::Outcome;
use std::{future::pending, sync::Arc};

/// A gateway that is ready.
pub(super) struct Running(Gateway);

/// Starts it. What keeps it from starting is recorded.
pub(super) async fn start(world: &Arc<World>) -> Option<Running> {
    let config = world.blueprint.config.clone();
    let workers = config.workers.unwrap_or(1);
    let telemetry = Telemetry::new(compose::telemetry(&config, workers, world.plan.seed));
    let providers = compose::providers(&config);
    let options = Options { config, telemetry, workers, pin: false, host_name: "gateway".into(), providers };
    match world.gateway.node.spawn(Gateway::start(options)).await {
        Ok(Ok(gateway)) => {
            world.shared.get_or_init(|| gateway.shared().clone());
            Some(Running(gateway))
        }
        Ok(Err(e)) => {
            world.breaks("O7", format!("the gateway did not start: {e}"));
            None
        }
        Err(_) => {
            world.breaks("O17", "the gateway's start was cut off".into());
            None
        }
    }
}

impl Running {
    pub(super) fn connections(&self) -> usize {
        self.0.connections()
    }

    /// Goes down, as after SIGTERM.
    pub(super) async fn drain(self, world: &World) -> Option<Outcome> {
        world.gateway.node.spawn(self.0.drain(pending::<()>)).await.ok()
    }
}
