//! The kernel's side of TCP sockets: binding, connecting, accepting, and what follows from each step of a connection.

use super::{
    wire::{choose, clash, wildcards},
    *,
};
use crate::{
    sim::{conn::State, segment::Segment},
    tcp::ListenOptions,
};
use madsim::rand::{Rng, thread_rng};
use std::{collections::VecDeque, task::Context};

const EMFILE: i32 = 24;

pub(super) struct Sock {
    pub(super) host: HostId,
    pub(super) conn: Conn,
    /// Set while no application holds the connection yet.
    listener: Option<SockId>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    armed: Option<Instant>,
}

pub(super) struct Listener {
    pub(super) host: HostId,
    addr: SocketAddr,
    reuse_port: bool,
    backlog: usize,
    half_open: usize,
    ready: VecDeque<SockId>,
    wakers: Vec<Waker>,
}

/// For the socket types.
impl Net {
    pub(in crate::sim) fn listen(&self, addr: SocketAddr, options: ListenOptions) -> io::Result<(SockId, SocketAddr)> {
        self.with(|w| w.listen(addr, options))
    }

    pub(in crate::sim) fn poll_accept(&self, id: SockId, cx: &mut Context<'_>) -> Poll<io::Result<(SockId, SocketAddr)>> {
        self.with(|w| w.poll_accept(id, cx))
    }

    pub(in crate::sim) fn close_listener(&self, id: SockId) {
        self.with(|w| w.close_listener(id));
    }

    pub(in crate::sim) fn connect(&self, from: Option<IpAddr>, peer: SocketAddr) -> io::Result<SockId> {
        self.with(|w| w.connect(from, peer))
    }

    /// Runs one socket call; parks the task on the side it waits for.
    pub(in crate::sim) fn poll<T>(
        &self,
        id: SockId,
        cx: &mut Context<'_>,
        write_side: bool,
        f: impl FnOnce(&mut Conn, Instant, &mut Vec<Segment>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.with(|w| {
            let Some(r) = w.on_conn(id, f) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            if r.is_pending()
                && let Some(sock) = w.socks.get_mut(&id)
            {
                let slot = if write_side { &mut sock.writer } else { &mut sock.reader };
                *slot = Some(cx.waker().clone());
            }
            r
        })
    }

    /// Changes a connection's options.
    pub(in crate::sim) fn adjust(&self, id: SockId, f: impl FnOnce(&mut Conn)) -> io::Result<()> {
        self.with(|w| w.on_conn(id, |c, _, _| f(c))).ok_or(ErrorKind::NotConnected.into())
    }

    /// How much of `len` bytes the next read or write may move.
    pub(in crate::sim) fn clip(&self, len: usize) -> usize {
        let p = self.with(|w| w.short_io);
        if p > 0.0 && len > 1 && thread_rng().gen_bool(p) { thread_rng().gen_range(1..len) } else { len }
    }

    pub(in crate::sim) fn addrs(&self, id: SockId) -> io::Result<(SocketAddr, SocketAddr)> {
        self.with(|w| w.socks.get(&id).map(|s| (s.conn.local, s.conn.peer)).ok_or(ErrorKind::NotConnected.into()))
    }

    pub(in crate::sim) fn close(&self, id: SockId) {
        self.with(|w| w.on_conn(id, |c, now, out| c.close(now, out)));
    }
}

impl World {
    fn listen(&mut self, addr: SocketAddr, options: ListenOptions) -> io::Result<(SockId, SocketAddr)> {
        let host = self.caller()?;
        let addr = self.local(host, addr)?;
        let shared = |id: &SockId| options.reuse_port && self.listeners.get(id).is_some_and(|l| l.reuse_port);
        if self.hosts[&host].tcp.iter().any(|(b, ids)| clash(*b, addr) && !ids.iter().all(shared)) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let id = SockId(self.next());
        self.host(host).tcp.entry(addr).or_default().push(id);
        let listener = Listener {
            host,
            addr,
            reuse_port: options.reuse_port,
            backlog: options.backlog as usize,
            half_open: 0,
            ready: VecDeque::new(),
            wakers: vec![],
        };
        self.listeners.insert(id, listener);
        Ok((id, addr))
    }

    fn poll_accept(&mut self, id: SockId, cx: &mut Context<'_>) -> Poll<io::Result<(SockId, SocketAddr)>> {
        let Some(l) = self.listeners.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        if l.ready.is_empty() {
            if !l.wakers.iter().any(|w| w.will_wake(cx.waker())) {
                l.wakers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let failing = &mut self.hosts.get_mut(&l.host).expect("hosts are never removed").failing_accepts;
        if *failing > 0 {
            *failing -= 1;
            return Poll::Ready(Err(io::Error::from_raw_os_error(EMFILE)));
        }
        let child = l.ready.pop_front().expect("not empty");
        let sock = self.socks.get_mut(&child).expect("a ready child exists");
        sock.listener = None;
        Poll::Ready(Ok((child, sock.conn.peer)))
    }

    pub(super) fn close_listener(&mut self, id: SockId) {
        let Some(l) = self.listeners.remove(&id) else {
            return;
        };
        unbind(&mut self.host(l.host).tcp, l.addr, id);
        self.wakes.extend(l.wakers);
        let children: Vec<_> = self.socks.iter().filter(|(_, s)| s.listener == Some(id)).map(|(id, _)| *id).collect();
        for child in children {
            self.on_conn(child, |c, now, out| {
                c.reset(out);
                c.close(now, out);
            });
        }
    }

    fn connect(&mut self, from: Option<IpAddr>, peer: SocketAddr) -> io::Result<SockId> {
        let host = self.caller()?;
        let ip = match from {
            Some(ip) if ip.is_loopback() || self.hosts[&host].addrs.contains(&ip) => ip,
            Some(_) => return Err(ErrorKind::AddrNotAvailable.into()),
            None => self.source(host, peer.ip())?,
        };
        let port = self.port(host, Some((ip, peer)))?;
        let isn = self.isn();
        let mut out = vec![];
        let conn = Conn::connect(&self.hosts[&host].cfg, Instant::now(), SocketAddr::new(ip, port), peer, isn, &mut out);
        Ok(self.adopt(host, conn, None, out))
    }

    pub(super) fn segment_arrives(&mut self, now: Instant, to: HostId, seg: Segment) {
        let first = seg.syn && seg.ack.is_none();
        if let Some(&id) = self.hosts[&to].tuples.get(&(seg.dst, seg.src)) {
            let reusable = self.socks[&id].conn.state() == State::TimeWait && first;
            if !reusable {
                self.on_conn(id, |c, now, out| c.on_segment(now, seg, out));
                return;
            }
            self.forget(id);
        }
        let bound = &self.hosts[&to].tcp;
        let listener = wildcards(seg.dst).find_map(|a| bound.get(&a)).and_then(|ids| choose(ids, seg.src, seg.dst));
        match listener {
            Some(listener) if first => self.accept(now, to, listener, &seg),
            _ if !seg.rst => self.send(to, Packet::Tcp(Segment::reset_for(&seg))),
            _ => {}
        }
    }

    fn accept(&mut self, now: Instant, host: HostId, listener: SockId, syn: &Segment) {
        let Some(l) = self.listeners.get_mut(&listener) else {
            return;
        };
        if l.ready.len() + l.half_open > l.backlog {
            self.stats.lost += 1; // Linux: a full accept queue drops the SYN, the peer repeats it
            return;
        }
        l.half_open += 1;
        let isn = self.isn();
        let mut out = vec![];
        let conn = Conn::accept(&self.hosts[&host].cfg, now, syn, isn, &mut out);
        self.adopt(host, conn, Some(listener), out);
    }

    fn adopt(&mut self, host: HostId, conn: Conn, listener: Option<SockId>, out: Vec<Segment>) -> SockId {
        let id = SockId(self.next());
        self.host(host).tuples.insert((conn.local, conn.peer), id);
        self.socks.insert(id, Sock { host, conn, listener, reader: None, writer: None, armed: None });
        for seg in out {
            self.send(host, Packet::Tcp(seg));
        }
        self.on_conn(id, |_, _, _| ());
        id
    }

    pub(super) fn on_timer(&mut self, id: SockId) {
        if let Some(s) = self.socks.get_mut(&id) {
            s.armed = None;
        }
        self.on_conn(id, |c, now, out| {
            if c.deadline().is_some_and(|d| d <= now) {
                c.on_timer(now, out);
            }
        });
    }

    /// Runs `f` on a connection, then does what follows from it: sends, wakes, arms the timer, buries.
    pub(super) fn on_conn<R>(&mut self, id: SockId, f: impl FnOnce(&mut Conn, Instant, &mut Vec<Segment>) -> R) -> Option<R> {
        let sock = self.socks.get_mut(&id)?;
        let mut out = vec![];
        let before = sock.conn.state();
        let r = f(&mut sock.conn, Instant::now(), &mut out);
        let after = sock.conn.state();
        if sock.conn.readable() {
            self.wakes.extend(sock.reader.take());
        }
        if sock.conn.writable() {
            self.wakes.extend(sock.writer.take());
        }
        let (host, listener, orphan) = (sock.host, sock.listener, sock.conn.is_orphan());
        let timer = sock.conn.deadline().filter(|d| sock.armed.is_none_or(|armed| *d < armed));
        sock.armed = timer.or(sock.armed);
        if let Some(at) = timer {
            self.push(at, Event::Timer(id));
        }
        if before == State::SynReceived
            && after != before
            && let Some(l) = listener.and_then(|l| self.listeners.get_mut(&l))
        {
            l.half_open -= 1;
            if after != State::Dead {
                l.ready.push_back(id);
                self.wakes.append(&mut l.wakers);
            }
        }
        for seg in out {
            self.send(host, Packet::Tcp(seg));
        }
        if after == State::Dead {
            if orphan || (listener.is_some() && before == State::SynReceived) {
                self.forget(id);
            } else if before != State::Dead {
                self.unlink(id); // the handle still tells its error, the addresses are free
            }
        }
        Some(r)
    }

    fn unlink(&mut self, id: SockId) {
        let Some(s) = self.socks.get(&id) else { return };
        let (host, key) = (s.host, (s.conn.local, s.conn.peer));
        let tuples = &mut self.host(host).tuples;
        if tuples.get(&key) == Some(&id) {
            tuples.remove(&key);
        }
    }

    fn forget(&mut self, id: SockId) {
        self.unlink(id);
        self.socks.remove(&id);
    }

    /// Initial sequence numbers are unique and far apart.
    fn isn(&mut self) -> u64 {
        self.next() << 32
    }
}

/// Takes one socket off a shared address.
pub(super) fn unbind(bound: &mut Bound, addr: SocketAddr, id: SockId) {
    if let Some(ids) = bound.get_mut(&addr) {
        ids.retain(|i| *i != id);
        if ids.is_empty() {
            bound.remove(&addr);
        }
    }
}
