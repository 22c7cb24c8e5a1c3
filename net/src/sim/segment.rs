//! What travels between two connection cores, and the limits of a host's stack.
//!
//! Sequence numbers have 64 bits and never wrap, so that a segment of an earlier connection is never taken for one of
//! the present: the 32-bit wrap-around is deliberately not simulated.

use bytes::Bytes;
use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

/// Limits and timers of a host's stack; the defaults are Linux's, but the buffers are smaller than the
/// ones it grows to: good for finding what a full buffer breaks, wrong for figures of throughput.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest payload of one segment, bytes.
    pub mss: usize,
    /// Bytes written but not yet acknowledged.
    pub send_buffer: usize,
    /// Bytes received but not yet read.
    pub recv_buffer: usize,
    pub rto_initial: Duration,
    pub rto_min: Duration,
    pub rto_max: Duration,
    /// Repeats of a SYN before `TimedOut` (127 s with the other defaults).
    pub syn_retries: u32,
    pub synack_retries: u32,
    /// Repeats of data before `TimedOut` (about 924 s with the other defaults).
    pub retries: u32,
    pub time_wait: Duration,
    /// How long a closed socket waits for the peer's FIN.
    pub fin_timeout: Duration,
    pub delayed_ack: Duration,
    /// Bytes of datagrams received but not yet read, per socket; more are lost.
    pub udp_buffer: usize,
    /// After how long the look-up of an address that nobody holds fails with `HostUnreachable`, as on one's own
    /// network segment (Linux: 3 s). `None`: packets to it vanish, as behind a router.
    pub neighbour_timeout: Option<Duration>,
    /// Ports of outgoing connections.
    pub ephemeral: RangeInclusive<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mss: 1460,
            send_buffer: 64 << 10,
            recv_buffer: 64 << 10,
            rto_initial: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            syn_retries: 6,
            synack_retries: 5,
            retries: 15,
            time_wait: Duration::from_secs(60),
            fin_timeout: Duration::from_secs(60),
            delayed_ack: Duration::from_millis(40),
            udp_buffer: 212_992,
            neighbour_timeout: None,
            ephemeral: 32768..=60999,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Segment {
    pub src: SocketAddr,
    pub dst: SocketAddr,
    pub seq: u64,
    pub ack: Option<u64>,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    /// Bytes the sender of this segment can still take in.
    pub window: usize,
    pub data: Bytes,
}

impl Segment {
    /// The answer to a segment that no socket claims.
    pub fn reset_for(s: &Segment) -> Segment {
        let len = s.data.len() as u64 + u64::from(s.syn) + u64::from(s.fin);
        let (seq, ack) = match s.ack {
            Some(ack) => (ack, None),
            None => (0, Some(s.seq + len)),
        };
        Segment { src: s.dst, dst: s.src, seq, ack, syn: false, fin: false, rst: true, window: 0, data: Bytes::new() }
    }
}
