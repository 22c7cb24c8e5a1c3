//! The kernel's side of UDP sockets: bounded queues, and ICMP's word of what did not arrive.

use super::{
    tcp::unbind,
    wire::{choose, clash, wildcards},
    *,
};
use crate::{
    sim::packet::{Datagram, Unreachable},
    udp::{BindOptions, MAX_DATAGRAM},
};
use bytes::Bytes;
use std::{collections::VecDeque, task::Context};

const EMSGSIZE: i32 = 90;

pub(super) struct Sock {
    host: HostId,
    addr: SocketAddr,
    reuse_port: bool,
    peer: Option<SocketAddr>,
    queue: VecDeque<(SocketAddr, Bytes)>,
    queued: usize,
    error: Option<ErrorKind>,
    wakers: Vec<Waker>,
}

/// For the socket type.
impl Net {
    pub(in crate::sim) fn udp_bind(&self, addr: SocketAddr, options: BindOptions) -> io::Result<(SockId, SocketAddr)> {
        self.with(|w| w.udp_bind(addr, options))
    }

    pub(in crate::sim) fn udp_connect(&self, id: SockId, peer: SocketAddr) -> io::Result<()> {
        self.with(|w| {
            let s = w.datagrams.get_mut(&id).ok_or(ErrorKind::NotConnected)?;
            s.peer = Some(peer);
            s.queue.retain(|(from, _)| *from == peer);
            s.queued = s.queue.iter().map(|(_, d)| d.len()).sum();
            Ok(())
        })
    }

    pub(in crate::sim) fn udp_send(&self, id: SockId, data: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        self.with(|w| w.udp_send(id, data, to))
    }

    pub(in crate::sim) fn udp_poll_recv(&self, id: SockId, cx: &mut Context<'_>) -> Poll<io::Result<(SocketAddr, Bytes)>> {
        self.with(|w| {
            let Some(s) = w.datagrams.get_mut(&id) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            if let Some(kind) = s.error.take() {
                return Poll::Ready(Err(kind.into()));
            }
            if let Some((from, data)) = s.queue.pop_front() {
                s.queued -= data.len();
                return Poll::Ready(Ok((from, data)));
            }
            if !s.wakers.iter().any(|w| w.will_wake(cx.waker())) {
                s.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
    }

    pub(in crate::sim) fn udp_addr(&self, id: SockId) -> io::Result<SocketAddr> {
        self.with(|w| w.datagrams.get(&id).map(|s| s.addr).ok_or(ErrorKind::NotConnected.into()))
    }

    pub(in crate::sim) fn udp_close(&self, id: SockId) {
        self.with(|w| {
            if let Some(s) = w.datagrams.remove(&id) {
                unbind(&mut w.host(s.host).udp, s.addr, id);
            }
        });
    }
}

impl World {
    fn udp_bind(&mut self, addr: SocketAddr, options: BindOptions) -> io::Result<(SockId, SocketAddr)> {
        let host = self.caller()?;
        let addr = self.local(host, addr)?;
        let shared = |id: &SockId| options.reuse_port && self.datagrams.get(id).is_some_and(|s| s.reuse_port);
        if self.hosts[&host].udp.iter().any(|(b, ids)| clash(*b, addr) && !ids.iter().all(shared)) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let id = SockId(self.next());
        self.host(host).udp.entry(addr).or_default().push(id);
        let sock = Sock {
            host,
            addr,
            reuse_port: options.reuse_port,
            peer: None,
            queue: VecDeque::new(),
            queued: 0,
            error: None,
            wakers: vec![],
        };
        self.datagrams.insert(id, sock);
        Ok((id, addr))
    }

    fn udp_send(&mut self, id: SockId, data: &[u8], to: Option<SocketAddr>) -> io::Result<usize> {
        let s = self.datagrams.get_mut(&id).ok_or(ErrorKind::NotConnected)?;
        if let Some(kind) = s.error.take() {
            return Err(kind.into());
        }
        let dst = to.or(s.peer).ok_or(ErrorKind::NotConnected)?;
        if data.len() > MAX_DATAGRAM {
            return Err(io::Error::from_raw_os_error(EMSGSIZE));
        }
        let (host, addr) = (s.host, s.addr);
        let ip = if addr.ip().is_unspecified() { self.source(host, dst.ip())? } else { addr.ip() };
        let src = SocketAddr::new(ip, addr.port());
        self.send(host, Packet::Udp(Datagram { src, dst, data: Bytes::copy_from_slice(data) }));
        Ok(data.len())
    }

    pub(super) fn datagram_arrives(&mut self, to: HostId, datagram: Datagram) {
        let Some(id) = self.udp_receiver(to, datagram.src, datagram.dst) else {
            if let Some(told) = Packet::Udp(datagram).unreachable(true) {
                self.send(to, told);
            }
            return;
        };
        let room = self.hosts[&to].cfg.udp_buffer;
        let Some(s) = self.datagrams.get_mut(&id) else { return };
        if s.queued + datagram.data.len() > room {
            self.stats.lost += 1;
            return;
        }
        s.queued += datagram.data.len();
        s.queue.push_back((datagram.src, datagram.data));
        self.wakes.append(&mut s.wakers);
    }

    pub(super) fn datagram_was_unreachable(&mut self, to: HostId, u: &Unreachable) {
        let Some(s) = self.udp_receiver(to, u.about, u.to).and_then(|id| self.datagrams.get_mut(&id)) else {
            return;
        };
        if s.peer == Some(u.about) {
            s.error = Some(if u.port { ErrorKind::ConnectionRefused } else { ErrorKind::HostUnreachable });
            self.wakes.append(&mut s.wakers);
        }
    }

    /// The socket that takes what `src` sends to `dst`: one connected to it, else one that is not connected.
    fn udp_receiver(&self, host: HostId, src: SocketAddr, dst: SocketAddr) -> Option<SockId> {
        let bound = &self.hosts[&host].udp;
        wildcards(dst).filter_map(|a| bound.get(&a)).find_map(|ids| {
            let with_peer = |peer| ids.iter().copied().filter(|id| self.datagrams[id].peer == peer).collect::<Vec<_>>();
            choose(&with_peer(Some(src)), src, dst).or_else(|| choose(&with_peer(None), src, dst))
        })
    }

    pub(super) fn forget_datagrams(&mut self, host: HostId) {
        self.host(host).udp.clear();
        let gone: Vec<_> = self.datagrams.iter().filter(|(_, s)| s.host == host).map(|(id, _)| *id).collect();
        for id in gone {
            self.wakes.extend(self.datagrams.remove(&id).into_iter().flat_map(|s| s.wakers));
        }
    }
}
