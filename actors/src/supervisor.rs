//! The actor Supervisor: starts the others, and starts them again.
//!
//! Owns nothing but what its children are started with. A child that fails begins anew from what outlives it: providers' inputs,
//! what is published, sockets that are bound. Traffic goes on meanwhile, since none of them stands on its way.

use crate::{
    backend_pool::{self, BackendPool},
    certificates::{self, Certificates},
    config_watch::{self, ConfigWatch, Make},
    entry_point::EntryPoint,
    gateway::Directory,
    listener::{self, Listener},
    router::{self, Router},
    worker::{Command, Shared},
};
use fairlead_core::config::static_::StaticConfig;
use fairlead_net::time::Duration;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorStatus, RpcReplyPort, SpawnErr, SupervisionEvent};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::mpsc;

/// The actor.
pub struct Supervisor;

/// What the actor is told.
pub enum Msg {
    /// Start a Listener; the answer says whether it is bound.
    Listen(Arc<EntryPoint>, RpcReplyPort<Result<(), String>>),
    /// Every Listener closes.
    CloseListeners,
    /// Start this child again.
    Restart(Child),
    /// End every child of this kind where it stands, for tests of supervision.
    #[cfg(any(test, madsim))]
    Kill(&'static str),
}

/// What the actor is started with.
pub struct Arguments {
    pub shared: Arc<Shared>,
    pub config: Arc<StaticConfig>,
    pub directory: Arc<Directory>,
    pub workers: Vec<mpsc::UnboundedSender<Command>>,
    /// In the order of the directory's.
    pub providers: Vec<Make>,
    pub awaited: BTreeSet<String>,
    pub salt: [u8; 16],
    pub grace: Duration,
}

/// Who a child is.
#[derive(Clone)]
pub enum Child {
    Router,
    BackendPool,
    Certificates,
    ConfigWatch(usize),
    Listener(Arc<EntryPoint>),
}

/// See [`Supervisor`].
pub struct State {
    arguments: Arguments,
    makes: Vec<Arc<Make>>,
    children: BTreeMap<ActorId, (ActorCell, Child)>,
    listeners: BTreeMap<String, ActorRef<listener::Msg>>,
    closed: bool,
}

/// How long a child that failed stays away: long enough that one which fails at once does not burn a CPU.
const PAUSE: Duration = Duration::from_millis(100);

impl Actor for Supervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, mut arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let makes = std::mem::take(&mut arguments.providers).into_iter().map(Arc::new).collect();
        let mut state = State { arguments, makes, children: BTreeMap::new(), listeners: BTreeMap::new(), closed: false };
        for child in [Child::Certificates, Child::BackendPool, Child::Router] {
            state.start(&me, child).await?;
        }
        for index in 0..state.makes.len() {
            state.start(&me, Child::ConfigWatch(index)).await?;
        }
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Listen(entry, reply) => {
                let outcome = state.start(&me, Child::Listener(entry)).await;
                reply.send(outcome.map_err(|e| reason_of(&*e)))?;
            }
            Msg::CloseListeners => {
                state.closed = true;
                for listener in state.listeners.values() {
                    // One that has failed closes when it is started again.
                    listener.cast(listener::Msg::Close).ok();
                }
            }
            #[cfg(any(test, madsim))]
            Msg::Kill(kind) => {
                state.children.values().filter(|(_, child)| child.kind() == kind).for_each(|(cell, _)| cell.kill());
            }
            Msg::Restart(child) => {
                if let Err(e) = state.start(&me, child.clone()).await {
                    tracing::error!(error = %e, "an actor could not be started again; trying on");
                    me.send_after(PAUSE * 10, move || Msg::Restart(child));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, why) = match event {
            SupervisionEvent::ActorTerminated(..) if planted!("actor_not_restarted") => return Ok(()),
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, why) => (cell, why.unwrap_or_default()),
            _ => return Ok(()),
        };
        let Some((_, child)) = state.children.remove(&cell.get_id()) else { return Ok(()) };
        tracing::error!(actor = child.kind(), error = why, "an actor ended and is started again");
        state.arguments.shared.telemetry.process().actor_restarts.inc();
        me.send_after(PAUSE, move || Msg::Restart(child));
        Ok(())
    }
}

/// What an actor gave as its reason for not starting, without the runtime's words around it.
fn reason_of(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<SpawnErr>() {
        Some(SpawnErr::StartupFailed(reason)) => reason.to_string(),
        _ => error.to_string(),
    }
}

impl Child {
    fn kind(&self) -> &'static str {
        match self {
            Self::Router => "Router",
            Self::BackendPool => "BackendPool",
            Self::Certificates => "Certificates",
            Self::ConfigWatch(_) => "ConfigWatch",
            Self::Listener(_) => "Listener",
        }
    }
}

impl State {
    async fn start(&mut self, me: &ActorRef<Msg>, child: Child) -> Result<(), ActorProcessingErr> {
        let Arguments { shared, config, directory, workers, awaited, salt, grace, .. } = &self.arguments;
        let (shared, directory, root) = (shared.clone(), directory.clone(), me.get_cell());
        let cell: ActorCell = match &child {
            Child::Router => {
                let inputs = directory.inputs.clone();
                let (config, awaited, salt) = (config.clone(), awaited.clone(), *salt);
                let arguments = router::Arguments { shared, config, inputs, directory, awaited, salt };
                Actor::spawn_linked(None, Router, arguments, root).await?.0.get_cell()
            }
            Child::BackendPool => {
                let arguments = backend_pool::Arguments { shared, directory, workers: workers.len(), grace: *grace };
                Actor::spawn_linked(None, BackendPool, arguments, root).await?.0.get_cell()
            }
            Child::Certificates => {
                let arguments = certificates::Arguments { shared, directory };
                Actor::spawn_linked(None, Certificates, arguments, root).await?.0.get_cell()
            }
            Child::ConfigWatch(index) => {
                let make = self.makes[*index].clone();
                let status = directory.providers[*index].clone();
                let arguments = config_watch::Arguments {
                    make: Box::new(move || make()),
                    forward: Arc::new(move |event| {
                        if planted!("word_lost")
                            && directory.router().is_none_or(|router| router.get_status() != ActorStatus::Running)
                        {
                            return;
                        }
                        // Without a Router it waits in the inputs, from which the next one begins.
                        if directory.inputs.hear(event)
                            && let Some(router) = directory.router()
                        {
                            router.cast(router::Msg::Provided).ok();
                        }
                    }),
                    status,
                    gather: config.providers.throttle.unwrap_or(config_watch::GATHER),
                };
                Actor::spawn_linked(None, ConfigWatch, arguments, root).await?.0.get_cell()
            }
            Child::Listener(entry) => {
                let arguments = listener::Arguments { entry: entry.clone(), workers: workers.clone(), directory };
                let actor = Actor::spawn_linked(None, Listener, arguments, root).await?.0;
                if self.closed {
                    actor.cast(listener::Msg::Close)?;
                }
                self.listeners.insert(entry.name.clone(), actor.clone());
                actor.get_cell()
            }
        };
        self.children.insert(cell.get_id(), (cell, child));
        Ok(())
    }
}
