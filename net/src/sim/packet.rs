//! What travels on a simulated wire.

use super::segment::Segment;
use bytes::Bytes;
use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub enum Packet {
    Tcp(Segment),
    Udp(Datagram),
    /// ICMP's "destination unreachable".
    Unreachable(Unreachable),
}

#[derive(Clone, Debug)]
pub struct Datagram {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub data: Bytes,
}

/// What a packet from `to` to `about` met: no such port, or no way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    pub to: SocketAddr,
    pub about: SocketAddr,
    pub udp: bool,
    /// The host is there, the port is not.
    pub port: bool,
}

impl Packet {
    pub fn src(&self) -> SocketAddr {
        match self {
            Packet::Tcp(s) => s.src,
            Packet::Udp(d) => d.src,
            Packet::Unreachable(u) => u.about,
        }
    }

    pub fn dst(&self) -> SocketAddr {
        match self {
            Packet::Tcp(s) => s.dst,
            Packet::Udp(d) => d.dst,
            Packet::Unreachable(u) => u.to,
        }
    }

    /// The TCP segment, if it is one.
    pub fn segment(&self) -> Option<&Segment> {
        match self {
            Packet::Tcp(s) => Some(s),
            _ => None,
        }
    }

    /// Bytes of payload.
    pub fn payload(&self) -> &[u8] {
        match self {
            Packet::Tcp(s) => &s.data,
            Packet::Udp(d) => &d.data,
            Packet::Unreachable(_) => &[],
        }
    }

    /// What the sender is told if this packet gets nowhere. Nobody answers an answer.
    pub(super) fn unreachable(&self, port: bool) -> Option<Packet> {
        let udp = match self {
            Packet::Tcp(_) => false,
            Packet::Udp(_) => true,
            Packet::Unreachable(_) => return None,
        };
        Some(Packet::Unreachable(Unreachable { to: self.src(), about: self.dst(), udp, port }))
    }
}
