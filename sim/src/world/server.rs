//! Scripted servers: each answers who it is and what it was asked, and remembers every request that it saw.

pub(super) mod line;
mod raw;

use super::{World, wire};
use crate::{
    chance::mix,
    plan,
    trace::{Mark, State},
};
use bytes::BytesMut;
use fairlead_net::{
    http::{Downstream as _, Error, Framing, Kind, RequestHead, ResponseHead, Side},
    http1::{Limits, ServerConn},
    tcp::{ListenOptions, Listener, Stream},
    time::{Deadline, Duration, after, sleep},
};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};
use tokio::sync::watch;

/// The port of every server.
pub(super) const PORT: u16 = 8080;

/// A server's process.
pub(super) struct Process {
    world: Arc<World>,
    index: usize,
    draining: watch::Sender<bool>,
    open: AtomicUsize,
    dead: AtomicBool,
}

/// What the wait for a request ended with.
enum Next {
    Request,
    Ended,
    Idle,
    Drained,
}

impl World {
    /// The process of a server begins on its node. `since` is when its clients may count on it.
    pub(super) fn start_server(self: &Arc<Self>, index: usize, since: u64) {
        let machine = &self.servers[index];
        let mut slot = self.processes[index].lock();
        if slot.as_ref().is_some_and(|old| !old.dead.load(Ordering::Relaxed)) {
            return;
        }
        if slot.is_some() {
            self.net.power_on(machine.host);
            madsim::runtime::Handle::current().restart(machine.node.id());
        }
        let process = Arc::new(Process {
            world: self.clone(),
            index,
            draining: watch::Sender::new(false),
            open: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        });
        *slot = Some(process.clone());
        drop(slot);
        self.note(&machine.name, "starts");
        self.mark(&machine.name, || Mark::State { state: State::Starts });
        let world = self.clone();
        // A restarted node is another one behind the same number: the first handle's tasks would never run.
        let node = madsim::runtime::Handle::current().get_node(machine.node.id()).expect("nodes are never removed");
        node.spawn(async move {
            let address = format!("0.0.0.0:{PORT}").parse().expect("a constant address");
            let Ok(listener) = Listener::bind(address, ListenOptions::default()) else {
                world.note(&world.servers[index].name, "cannot bind");
                return;
            };
            world.runs(since.max(if since == 0 { 0 } else { world.now() }), index, true);
            process.accept(listener).await;
        });
    }

    /// SIGTERM, and SIGKILL after `within` milliseconds.
    pub(super) fn terminate_server(self: &Arc<Self>, index: usize, within: u64) {
        let Some(process) = self.processes[index].lock().clone() else { return };
        self.note(&self.servers[index].name, "is told to end");
        self.mark(&self.servers[index].name, || Mark::State { state: State::Drains });
        self.leaves(index);
        process.draining.send_replace(true);
        let world = self.clone();
        madsim::task::spawn(async move {
            let deadline = after(Duration::from_millis(within));
            while process.open.load(Ordering::Relaxed) > 0 && fairlead_net::time::now() < deadline {
                sleep(Duration::from_millis(5)).await;
            }
            if !process.dead.load(Ordering::Relaxed) {
                world.kill_server(index, false);
                world.task_ends(index, false, false);
            }
        });
    }

    /// The process dies, or its machine does, without a word.
    pub(super) fn kill_server(&self, index: usize, silently: bool) {
        let Some(process) = self.processes[index].lock().clone() else { return };
        if process.dead.swap(true, Ordering::Relaxed) {
            return;
        }
        let machine = &self.servers[index];
        self.note(&machine.name, if silently { "loses power" } else { "ends" });
        self.mark(&machine.name, || Mark::State { state: if silently { State::Dark } else { State::Ended } });
        self.leaves(index);
        self.exchange.lock().dies(index);
        if silently {
            self.each_source(|judge| judge.vanishes(index));
            self.net.power_off(machine.host);
        } else {
            self.net.exit(machine.host);
        }
        madsim::runtime::Handle::current().kill(machine.node.id());
    }

    fn leaves(&self, index: usize) {
        self.runs(self.now(), index, false);
        self.closed_idle(index);
        self.exchange.lock().cut_link(index);
    }
}

impl Process {
    fn plan(&self) -> &plan::Server {
        &self.world.plan.servers[self.index]
    }

    async fn accept(self: Arc<Self>, listener: Listener) {
        let mut draining = self.draining.subscribe();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            self.open.fetch_add(1, Ordering::Relaxed);
            let process = self.clone();
            fairlead_net::task::spawn(async move {
                process.serve(stream).await;
                process.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    async fn serve(&self, stream: Stream) {
        if self.plan().habits.is_some() {
            return raw::serve(self, stream).await;
        }
        let mut conn = ServerConn::new(stream, Limits::default(), BytesMut::new());
        let (mut head, mut response) = (RequestHead::default(), ResponseHead::default());
        let mut served = 0;
        loop {
            match self.next(&mut conn, &mut head).await {
                Next::Request => {}
                Next::Ended => return,
                Next::Idle | Next::Drained => {
                    self.world.closed_idle(self.index);
                    break;
                }
            }
            served += 1;
            if self.plan().requests_per_connection.is_some_and(|most| served >= most) || *self.draining.borrow() {
                conn.close_after();
            }
            if self.exchange(&mut conn, &head, &mut response).await.is_err() || !conn.is_reusable() {
                break;
            }
        }
        // Whoever does not take its last response in this time does without.
        let _closed = fairlead_net::time::timeout(Duration::from_secs(1), poll_fn(|cx| conn.poll_close(cx))).await;
    }

    async fn next(&self, conn: &mut ServerConn<Stream>, head: &mut RequestHead) -> Next {
        let mut draining = self.draining.subscribe();
        let mut idle = Deadline::new();
        if let Some(limit) = self.plan().idle_close {
            idle.set(after(Duration::from_millis(limit)));
        }
        let request = poll_fn(|cx| match conn.poll_request(cx, head) {
            Poll::Ready(Ok(true)) => Poll::Ready(Next::Request),
            Poll::Ready(_) => Poll::Ready(Next::Ended),
            Poll::Pending if conn.head_started() => Poll::Pending,
            Poll::Pending => idle.poll_expired(cx).map(|()| Next::Idle),
        });
        tokio::select! {
            biased;
            next = request => next,
            _ = draining.wait_for(|draining| *draining) => Next::Drained,
        }
    }

    /// One request. An error is a client, here the gateway, that went away.
    async fn exchange(
        &self,
        conn: &mut ServerConn<Stream>,
        head: &RequestHead,
        response: &mut ResponseHead,
    ) -> Result<(), Error> {
        let (world, name) = (&self.world, &self.world.servers[self.index].name);
        response.clear();
        response.status = 200;
        let Some(id) = head.fields.get_str("x-request").and_then(|id| id.parse::<u64>().ok()) else {
            // A health check.
            response.status = world.health_of(self.index).await;
            response.framing = Framing::Length(0);
            conn.send_head(response);
            return wire::send(conn, Vec::new()).await;
        };
        if world.fails_requests(self.index) {
            world.note(name, &format!("drops {id}"));
            return Err(Error::new(Side::Fairlead, Kind::Closed, "this server only says that it is well"));
        }
        world.note(name, &format!("got {id}"));
        world.look();
        world.arrived(self.index, id, head.fields.get_str("host").unwrap_or_default());
        world.visited(self.index, id, None, false);
        let served = self.respond(conn, head, response, id).await;
        world.let_go(self.index, id);
        served
    }

    async fn respond(
        &self,
        conn: &mut ServerConn<Stream>,
        head: &RequestHead,
        response: &mut ResponseHead,
        id: u64,
    ) -> Result<(), fairlead_net::http::Error> {
        let (world, name) = (&self.world, &self.world.servers[self.index].name);
        wire::receive(conn).await?;
        let (least, most) = self.plan().think;
        let think = least + mix(id ^ 0x7417) % (most - least + 1);
        sleep(Duration::from_millis(think)).await;
        let body = wire::body_of(self.index, id, self.plan().body);
        response.fields.append("X-Server", self.index.to_string().as_bytes());
        response.fields.append("X-Request", id.to_string().as_bytes());
        if let Some(mark) = head.fields.get("x-config") {
            response.fields.append("X-Seen", mark);
        }
        response.framing = if self.plan().chunked { Framing::Chunked } else { Framing::Length(body.len() as u64) };
        if *self.draining.borrow() {
            conn.close_after();
        }
        conn.send_head(response);
        wire::send(conn, body).await?;
        world.note(name, &format!("answered {id}"));
        world.mark(name, || Mark::Replied { id });
        Ok(())
    }
}
