//! Servers made up for the operator's URLs: each answers who it is and what it was asked, and can be made to fail in many ways.
//!
//! A process is a set of tasks on its machine; several stand on one machine and die one by one or together with it.

use super::World;
use crate::{chance::mix, rehearse::blueprint::Server, world::wire};
use bytes::BytesMut;
use fairlead_core::config::dynamic::UpstreamScheme;
use fairlead_net::{
    http::{Downstream, Error, Framing, RequestHead, ResponseHead},
    http1::{Limits, ServerConn},
    http2::server::{Connection, Settings},
    task,
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, sleep, timeout},
    tls,
};
use parking_lot::Mutex;
use std::{
    future::{pending, poll_fn},
    net::SocketAddr,
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

/// A server, running or not.
pub(super) struct Process {
    key: String,
    server: Server,
    running: Mutex<Option<Arc<Life>>>,
    manners: Mutex<Manners>,
}

/// One life of a process.
struct Life {
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serves,
    /// No new connections; requests under way are finished.
    Leaves,
    Dead,
}

/// How a server behaves at present.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// ms that every answer takes longer.
    pub slow: u64,
    /// 500 to everything.
    pub errs: bool,
    /// No answer to anything.
    pub hangs: bool,
    /// 503 to everything: it has just begun.
    pub warms_up: bool,
    /// 503 to health checks: it is about to end.
    pub is_leaving: bool,
    /// Health checks that are going to fail.
    pub fails_checks: u32,
}

impl Process {
    pub(super) fn new(key: &str, server: &Server) -> Arc<Self> {
        let (running, manners) = (Mutex::default(), Mutex::default());
        Arc::new(Self { key: key.to_owned(), server: server.clone(), running, manners })
    }

    /// Changes how it behaves.
    pub(super) fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock());
    }
}

impl World {
    /// A new process begins, with good manners.
    pub(super) fn start_server(self: &Arc<Self>, key: &str) {
        let Some(process) = self.processes.get(key).cloned() else { return };
        let Some(address) = self.addresses.lock().get(&process.server.host).copied() else { return };
        let life = Arc::new(Life { phase: watch::Sender::new(Phase::Serves) });
        if let Some(before) = process.running.lock().replace(life.clone()) {
            before.phase.send_replace(Phase::Dead);
        }
        process.behave(|manners| *manners = Manners { warms_up: manners.warms_up, ..Manners::default() });
        self.note(key, "starts");
        let node = &self.nodes[process.server.node].node;
        for port in std::iter::once(process.server.port).chain(process.server.health_ports.iter().copied()) {
            let (world, process, life) = (self.clone(), process.clone(), life.clone());
            node.spawn(async move {
                match Listener::bind(
                    SocketAddr::new(address, port),
                    ListenOptions { reuse_port: true, ..ListenOptions::default() },
                ) {
                    Ok(listener) => accept(&world, &process, &life, listener).await,
                    Err(e) => world.note(&process.key, &format!("cannot listen on {address}:{port}: {e}")),
                }
            });
        }
    }

    /// The process dies.
    pub(super) fn kill_server(&self, key: &str) {
        if let Some(life) = self.processes.get(key).and_then(|process| process.running.lock().take()) {
            self.note(key, "dies");
            life.phase.send_replace(Phase::Dead);
        }
    }

    /// The process closes its listener and finishes what it has begun.
    pub(super) fn close_server(&self, key: &str) {
        if let Some(life) = self.processes.get(key).and_then(|process| process.running.lock().clone()) {
            self.note(key, "closes");
            life.phase.send_replace(Phase::Leaves);
        }
    }
}

async fn accept(world: &Arc<World>, process: &Arc<Process>, life: &Arc<Life>, listener: Listener) {
    let mut phase = life.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase > Phase::Serves) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (world, process, life) = (world.clone(), process.clone(), life.clone());
        task::spawn(async move {
            let mut phase = life.phase.subscribe();
            tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase == Phase::Dead) => {}
                () = speak(&world, &process, &life, stream) => {}
            }
        });
    }
}

/// The protocol of its scheme.
async fn speak(world: &Arc<World>, process: &Arc<Process>, life: &Arc<Life>, stream: Stream) {
    match process.server.scheme {
        UpstreamScheme::Http => serve(world, process, life, stream).await,
        UpstreamScheme::Https => {
            let Some(config) = world.material.server(&process.key) else { return };
            // A handshake that fails is the gateway's to tell.
            if let Ok(accepted) = tls::accept(stream, |_| Some(config)).await {
                serve(world, process, life, accepted.stream).await;
            }
        }
        UpstreamScheme::H2c => serve2(world, process, life, stream).await,
        // Services of connections are not rehearsed.
        UpstreamScheme::Tcp => {}
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(world: &World, process: &Process, life: &Life, stream: S) {
    let mut conn = ServerConn::new(stream, Limits::default(), BytesMut::new());
    let (mut head, mut response) = (RequestHead::default(), ResponseHead::default());
    let mut phase = life.phase.subscribe();
    loop {
        let next = tokio::select! {
            biased;
            next = poll_fn(|cx| conn.poll_request(cx, &mut head)) => next,
            _ = phase.wait_for(|phase| *phase > Phase::Serves) => Ok(false),
        };
        if !matches!(next, Ok(true)) {
            break;
        }
        if *life.phase.borrow() > Phase::Serves {
            conn.close_after();
        }
        if exchange(world, process, &mut conn, &head, &mut response).await.is_err() || !conn.is_reusable() {
            break;
        }
    }
    // Whoever does not take its last response in this time does without.
    let _closed = timeout(Duration::from_secs(1), poll_fn(|cx| conn.poll_close(cx))).await;
}

async fn serve2(world: &Arc<World>, process: &Arc<Process>, life: &Arc<Life>, stream: Stream) {
    let Ok(mut conn) = Connection::handshake(stream, &Settings::default()).await else { return };
    let mut phase = life.phase.subscribe();
    let mut leaving = false;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = conn.accept() => accepted,
            _ = phase.wait_for(|phase| *phase > Phase::Serves), if !leaving => {
                leaving = true;
                conn.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((head, mut stream))) = accepted else { return };
        let (world, process, life) = (world.clone(), process.clone(), life.clone());
        task::spawn(async move {
            let mut phase = life.phase.subscribe();
            let mut response = ResponseHead::default();
            tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase == Phase::Dead) => {}
                // An error is a gateway that went away.
                _ = exchange(&world, &process, &mut stream, &head, &mut response) => {}
            }
        });
    }
}

/// One request. An error is a gateway that went away.
async fn exchange<D: Downstream>(
    world: &World,
    process: &Process,
    down: &mut D,
    head: &RequestHead,
    response: &mut ResponseHead,
) -> Result<(), Error> {
    response.clear();
    let manners = *process.manners.lock();
    if manners.hangs {
        return pending().await;
    }
    let Some(id) = head.fields.get_str("x-rehearsal").and_then(|id| id.parse::<u64>().ok()) else {
        // A health check: it brings no number.
        response.status = process.server.health_status;
        if manners.errs || manners.warms_up || manners.is_leaving || manners.fails_checks > 0 {
            response.status = 503;
            process.behave(|manners| manners.fails_checks = manners.fails_checks.saturating_sub(1));
        }
        response.framing = Framing::Length(0);
        down.send_head(response);
        return wire::send(down, Vec::new()).await;
    };
    world.arrived(id, &process.key);
    wire::receive(down).await?;
    let think = match head.fields.get_str("x-rehearsal-think").and_then(|ms| ms.parse::<u64>().ok()) {
        Some(long) => long,
        None => 1 + mix(id ^ 0x7417) % 20 + manners.slow,
    };
    sleep(Duration::from_millis(think)).await;
    response.status = if manners.errs {
        500
    } else if manners.warms_up {
        503
    } else {
        200
    };
    response.fields.append("X-Rehearsal-Server", process.key.as_bytes());
    response.fields.append("X-Rehearsal", id.to_string().as_bytes());
    let body = if head.method == fairlead_net::http::Method::Head { Vec::new() } else { wire::body_of(0, id, 6_000) };
    response.framing = Framing::Length(body.len() as u64);
    down.send_head(response);
    wire::send(down, body).await?;
    world.note(&process.key, &format!("answered {id} {}", response.status));
    Ok(())
}
