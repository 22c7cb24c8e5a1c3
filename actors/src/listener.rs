//! The actor Listener: one entry point, on every worker.
//!
//! Owns the binding. Supervised by the Supervisor: should it panic, its workers go on accepting, and the new
//! actor takes the binding over instead of binding again.
//!
//! Never: sees a connection.

use crate::{entry_point::EntryPoint, gateway::Directory, worker::Command};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};

/// The actor.
pub struct Listener;

/// What the actor is told.
pub enum Msg {
    /// Listen no more; connections stay.
    Close,
}

/// What the actor is started with.
pub struct Arguments {
    pub entry: Arc<EntryPoint>,
    pub workers: Vec<mpsc::UnboundedSender<Command>>,
    pub directory: Arc<Directory>,
}

/// See [`Listener`].
pub struct State {
    arguments: Arguments,
}

impl Actor for Listener {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let name = &arguments.entry.name;
        if arguments.directory.bound(name).is_none() {
            let address = bind(&arguments).await.map_err(|e| format!("entry point {name}: {e}"))?;
            arguments.directory.set_bound(name, address);
            tracing::info!(entry_point = name, %address, "listening");
        }
        Ok(State { arguments })
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Close => {
                for worker in &state.arguments.workers {
                    worker.send(Command::Close { entry: state.arguments.entry.name.clone() })?;
                }
            }
        }
        Ok(())
    }
}

/// Binds on each worker; the first one's port, if any would do, is everybody's.
async fn bind(arguments: &Arguments) -> Result<SocketAddr, String> {
    let wanted = arguments.entry.config.address;
    let mut candidates = match wanted.ip {
        Some(ip) => vec![ip],
        // `[::]` takes IPv4 too, unless this machine has no IPv6.
        None => vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
    };
    let mut bound: Option<SocketAddr> = None;
    for worker in &arguments.workers {
        let mut failure = "no worker".to_owned();
        for ip in candidates.clone() {
            let address = SocketAddr::new(ip, bound.map_or(wanted.port, |at| at.port()));
            let (tell, told) = oneshot::channel();
            let listen = Command::Listen { entry: arguments.entry.clone(), address, bound: tell };
            worker.send(listen).map_err(|_| "a worker has ended".to_owned())?;
            match told.await.map_err(|_| "a worker has ended".to_owned())? {
                Ok(at) => {
                    candidates = vec![ip];
                    bound.get_or_insert(at);
                    failure.clear();
                    break;
                }
                Err(e) => {
                    failure =
                        format!("cannot listen on {address}: {e}; is the port taken, or below 1024 without the right to it?")
                }
            }
        }
        if !failure.is_empty() {
            return Err(failure);
        }
    }
    bound.ok_or_else(|| "no worker".into())
}
