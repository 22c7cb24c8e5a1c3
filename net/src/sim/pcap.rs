//! A recording of the simulated network as a classic pcap file: raw IP packets with valid checksums.
//!
//! Packets carry the instant at which they arrived; those that were lost are not in it. Sequence numbers are cut to
//! 32 bits and windows scaled by 2^8, as the SYN says.

use super::{packet::Packet, segment::Segment};
use std::{
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINKTYPE_RAW: u32 = 101;
const WINDOW_SCALE: u8 = 8;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

pub(super) struct Capture {
    file: Vec<u8>,
    limit: usize,
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        let mut file = Vec::new();
        file.extend(MAGIC_NANOSECONDS.to_le_bytes());
        file.extend([2, 0, 4, 0]); // version 2.4
        file.extend([0; 8]); // time zone and accuracy, always zero
        file.extend(u32::from(u16::MAX).to_le_bytes());
        file.extend(LINKTYPE_RAW.to_le_bytes());
        Self { file, limit }
    }

    /// Adds a packet, unless the file would outgrow its limit.
    pub(super) fn add(&mut self, at: SystemTime, packet: &Packet) {
        let bytes = ip_packet(packet);
        if self.file.len() + 16 + bytes.len() > self.limit {
            return;
        }
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        for word in [since.as_secs() as u32, since.subsec_nanos(), bytes.len() as u32, bytes.len() as u32] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(bytes);
    }

    pub(super) fn into_file(self) -> Vec<u8> {
        self.file
    }
}

fn ip_packet(packet: &Packet) -> Vec<u8> {
    let (src, dst) = (packet.src(), packet.dst());
    let (protocol, mut body, checksum_at) = match packet {
        Packet::Tcp(s) => (TCP, tcp(s), 16),
        Packet::Udp(d) => {
            let mut body = ports(src, dst).to_vec();
            body.extend((8 + d.data.len() as u16).to_be_bytes());
            body.extend([0, 0]);
            body.extend(&d.data);
            (UDP, body, 6)
        }
        Packet::Unreachable(u) => {
            let quoted = ports(u.to, u.about);
            let protocol = if u.udp { UDP } else { TCP };
            let (mut body, icmp) = match (u.to.is_ipv4(), u.port) {
                (true, port) => (vec![3, if port { 3 } else { 1 }], ICMP),
                (false, port) => (vec![1, if port { 4 } else { 3 }], ICMP_V6),
            };
            body.extend([0; 6]);
            body.extend(ip_header(u.to.ip(), u.about.ip(), protocol, 8));
            body.extend(quoted);
            body.extend([0; 4]);
            (icmp, body, 2)
        }
    };
    let mut sum = Sum::default();
    if protocol != ICMP {
        sum.pseudo_header(src.ip(), dst.ip(), protocol, body.len());
    }
    sum.add(&body);
    let checksum = sum.finish();
    body[checksum_at..checksum_at + 2].copy_from_slice(&checksum.to_be_bytes());
    let mut whole = ip_header(src.ip(), dst.ip(), protocol, body.len());
    whole.extend(body);
    whole
}

fn tcp(s: &Segment) -> Vec<u8> {
    // An MSS and the scale of the window; padded to words.
    let options: &[u8] = if s.syn { &[2, 4, 5, 180, 1, 3, 3, WINDOW_SCALE] } else { &[] };
    let scale = if s.syn { 0 } else { u32::from(WINDOW_SCALE) };
    let mut bytes = ports(s.src, s.dst).to_vec();
    bytes.extend((s.seq as u32).to_be_bytes());
    bytes.extend((s.ack.unwrap_or(0) as u32).to_be_bytes());
    bytes.push(((20 + options.len()) as u8 / 4) << 4);
    let psh = !s.data.is_empty();
    let flags = [s.fin, s.syn, s.rst, psh, s.ack.is_some()];
    bytes.push(flags.iter().rev().fold(0, |f, b| f << 1 | u8::from(*b)));
    bytes.extend((s.window >> scale).min(usize::from(u16::MAX)).to_be_bytes().last_chunk::<2>().copied().unwrap_or_default());
    bytes.extend([0; 4]); // checksum, urgent pointer
    bytes.extend(options);
    bytes.extend(&s.data);
    bytes
}

fn ports(src: SocketAddr, dst: SocketAddr) -> [u8; 4] {
    let ([a, b], [c, d]) = (src.port().to_be_bytes(), dst.port().to_be_bytes());
    [a, b, c, d]
}

fn ip_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut h = vec![0x45, 0];
            h.extend((20 + len as u16).to_be_bytes());
            h.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]); // don't fragment, 64 hops
            h.extend(src.octets());
            h.extend(dst.octets());
            let mut sum = Sum::default();
            sum.add(&h);
            let checksum = sum.finish().to_be_bytes();
            h[10..12].copy_from_slice(&checksum);
            h
        }
        (src, dst) => {
            let v6 = |ip| match ip {
                IpAddr::V4(ip) => std::net::Ipv4Addr::to_ipv6_mapped(&ip),
                IpAddr::V6(ip) => ip,
            };
            let mut h = vec![0x60, 0, 0, 0];
            h.extend((len as u16).to_be_bytes());
            h.extend([protocol, 64]);
            h.extend(v6(src).octets());
            h.extend(v6(dst).octets());
            h
        }
    }
}

/// The Internet checksum (RFC 1071).
#[derive(Default)]
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks(2) {
            self.0 += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
    }

    fn pseudo_header(&mut self, src: IpAddr, dst: IpAddr, protocol: u8, len: usize) {
        for ip in [src, dst] {
            match ip {
                IpAddr::V4(ip) => self.add(&ip.octets()),
                IpAddr::V6(ip) => self.add(&ip.octets()),
            }
        }
        self.0 += u64::from(protocol) + len as u64;
    }

    fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}
