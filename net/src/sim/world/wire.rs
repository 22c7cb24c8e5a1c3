//! From one host's kernel to another's: routes, links, rules, chance, and the trace of what arrived.

use super::*;
use crate::sim::packet::Unreachable;
use madsim::rand::{Rng, thread_rng};

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const LOOPBACK: Duration = Duration::from_micros(10);

impl World {
    pub(super) fn send(&mut self, from: HostId, packet: Packet) {
        self.stats.sent += 1;
        let now = Instant::now();
        let host = &self.hosts[&from];
        let (src, dst) = (packet.src().ip(), packet.dst().ip());
        if dst.is_loopback() || host.addrs.contains(&dst) {
            return self.push(now + LOOPBACK, Event::Arrive(from, Box::new(packet)));
        }
        let speaks = host.up && host.addrs.contains(&src);
        let Some(to) = self.owner.get(&dst).copied().filter(|_| speaks) else {
            self.stats.unroutable += 1;
            if let (true, Some(wait), Some(told)) = (speaks, host.cfg.neighbour_timeout, packet.unreachable(false)) {
                self.push(now + wait, Event::Arrive(from, Box::new(told)));
            }
            return;
        };
        let link = self.links.get(&(from, to)).unwrap_or(&self.default_link).clone();
        let verdict = self.rules.values_mut().map(|r| r(&packet)).find(|v| *v != Verdict::Pass).unwrap_or(Verdict::Pass);
        let mut rng = thread_rng();
        let mut chance = |p: f64| p > 0.0 && rng.gen_bool(p);
        let blocked = link.blocked && !(cfg!(planted = "net_close_through_partition") && packet.segment().is_some_and(|s| s.fin));
        if blocked || verdict == Verdict::Drop || chance(link.loss) {
            self.stats.lost += 1;
            return;
        }
        let copies = if verdict == Verdict::Reject { 1 } else { 1 + usize::from(chance(link.duplicate)) };
        for _ in 0..copies {
            let mut latency =
                if link.latency.is_empty() { link.latency.start } else { thread_rng().gen_range(link.latency.clone()) };
            if let Verdict::Delay(d) = verdict {
                latency += d;
            }
            let mut at = now + latency;
            if verdict == Verdict::Reject {
                self.stats.lost += 1;
                if let Some(told) = packet.unreachable(false) {
                    self.push(at, Event::Arrive(from, Box::new(told)));
                }
                return;
            }
            if !link.reorder {
                let last = self.last_arrival.entry((from, to)).or_insert(at);
                at = at.max(*last);
                *last = at;
            }
            self.push(at, Event::Arrive(from, Box::new(packet.clone())));
        }
    }

    pub(super) fn arrive(&mut self, now: Instant, from: HostId, packet: Packet) {
        let dst = packet.dst().ip();
        let local = dst.is_loopback() || self.hosts[&from].addrs.contains(&dst);
        let to = if local { Some(from) } else { self.owner.get(&dst).copied() };
        let Some(to) = to.filter(|to| self.hosts[to].up) else {
            self.stats.unroutable += 1;
            return;
        };
        let passes = cfg!(planted = "net_close_through_partition") && packet.segment().is_some_and(|s| s.fin);
        if to != from && !passes && self.links.get(&(from, to)).unwrap_or(&self.default_link).blocked {
            self.stats.lost += 1;
            return;
        }
        self.stats.delivered += 1;
        self.stats.delivered_bytes += packet.payload().len() as u64;
        self.note(now, &packet);
        match packet {
            Packet::Tcp(segment) => self.segment_arrives(now, to, segment),
            Packet::Udp(datagram) => self.datagram_arrives(to, datagram),
            Packet::Unreachable(u @ Unreachable { udp: true, .. }) => self.datagram_was_unreachable(to, &u),
            Packet::Unreachable(u) => {
                if let Some(&id) = self.hosts[&to].tuples.get(&(u.to, u.about)) {
                    self.on_conn(id, |c, _, _| c.on_unreachable());
                }
            }
        }
    }

    pub(in crate::sim) fn start_capture(&mut self, limit: usize) {
        self.capture = Some(Capture::new(limit));
    }

    fn note(&mut self, now: Instant, packet: &Packet) {
        let elapsed = now - self.start.0;
        if let Some(capture) = &mut self.capture {
            capture.add(self.start.1 + elapsed, packet);
        }
        let ip = |a: SocketAddr| match a.ip() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits() as u64,
        };
        let (src, dst) = (packet.src(), packet.dst());
        let (flags, window) = match packet {
            Packet::Tcp(s) => {
                let bits = [s.syn, s.fin, s.rst, s.ack.is_some()];
                (bits.iter().rev().fold(0, |f, b| f << 1 | u64::from(*b)), s.window as u64)
            }
            Packet::Udp(_) => (1 << 8, 0),
            Packet::Unreachable(u) => (1 << 9 | u64::from(u.udp) << 1 | u64::from(u.port), 0),
        };
        let ports = u64::from(src.port()) << 16 | u64::from(dst.port());
        let words = [elapsed.as_nanos() as u64, ip(src), ip(dst), ports, flags, packet.payload().len() as u64, window];
        self.stats.trace = words.into_iter().fold(self.stats.trace, fnv);
    }
}

pub(super) fn fnv(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x100_0000_01b3)
}

/// Where sockets that take packets for `dst` may be bound, the most particular first. An IPv6 wildcard takes IPv4 too.
pub(super) fn wildcards(dst: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let v4 = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), dst.port());
    let v6 = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), dst.port());
    [Some(dst), dst.is_ipv4().then_some(v4), Some(v6)].into_iter().flatten()
}

/// Whether two sockets bound to these addresses would compete for a packet.
pub(super) fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (wildcards(a).any(|w| w == b) || wildcards(b).any(|w| w == a))
}

/// The kernel's choice among sockets that share an address.
pub(super) fn choose(among: &[SockId], src: SocketAddr, dst: SocketAddr) -> Option<SockId> {
    let word = |a: SocketAddr| match a.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()) << 16 | u64::from(a.port()),
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64 ^ (ip.to_bits() as u64) ^ u64::from(a.port()),
    };
    let hash = fnv(fnv(FNV_START, word(src)), word(dst));
    let spread = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    among.get((spread % among.len().max(1) as u64) as usize).copied()
}
