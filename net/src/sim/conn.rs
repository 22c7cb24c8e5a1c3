//! One TCP connection as a pure state machine. Time is an argument, segments are the output.
//!
//! What an application sees follows Linux (`net/tests/parity.rs` holds it against real sockets): bytes that arrived
//! before a RST are read first; the error is reported once, to whoever asks first; then reads end and writes are
//! `BrokenPipe`. Deliberately absent: congestion control, bandwidth, Nagle, simultaneous open, urgent data.

use super::segment::{Config, Segment};
use crate::tcp::Delivery;
use bytes::{Buf, Bytes, BytesMut};
use std::{
    cmp::min,
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::SocketAddr,
    task::Poll,
    time::{Duration, Instant},
};

mod input;
mod output;
#[cfg(test)]
mod tests;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    SynSent,
    SynReceived,
    /// Established, and every half-closed state: see [`Conn::name`].
    Open,
    TimeWait,
    Dead,
}

#[derive(Clone, Copy)]
enum Flag {
    Syn,
    Ack,
    Fin,
    Rst,
}

/// Idle time before the first probe, time between probes, probes without an answer.
pub type KeepAlive = (Duration, Duration, u32);

pub struct Conn {
    pub cfg: Config,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    state: State,
    /// Reported once, like `SO_ERROR`.
    error: Option<ErrorKind>,
    /// The application has closed its handle.
    orphan: bool,
    pub linger_zero: bool,
    pub keep_alive: Option<KeepAlive>,
    /// How long bytes may stay unacknowledged (`TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// What routers said since the peer was last heard; told in place of `TimedOut`.
    soft_error: Option<ErrorKind>,

    // Sending: `send[0]` has sequence number `snd_una`.
    send: BytesMut,
    snd_una: u64,
    snd_nxt: u64,
    snd_wnd: usize,
    fin: Option<u64>,
    closed_first: bool,
    retries: u32,
    /// When bytes were last sent, for the first time or again.
    sent: Instant,
    rto: Duration,
    srtt: Option<(Duration, Duration)>,
    timing: Option<(u64, Instant)>,
    /// Since when nothing new was acknowledged.
    stuck_since: Option<Instant>,
    dup_acks: u32,
    recover: u64,

    // Receiving: `recv` ends at `rcv_nxt`.
    recv: BytesMut,
    early: BTreeMap<u64, Bytes>,
    rcv_nxt: u64,
    /// Right edge of the window as the peer knows it.
    rcv_edge: u64,
    peer_fin: Option<u64>,
    eof: bool,
    unacked: usize,
    heard: Instant,
    probes: u32,

    ack_at: Option<Instant>,
    rexmit_at: Option<Instant>,
    expire_at: Option<Instant>,
}

impl Conn {
    /// Active open: sends a SYN.
    pub fn connect(cfg: &Config, now: Instant, local: SocketAddr, peer: SocketAddr, isn: u64, out: &mut Vec<Segment>) -> Conn {
        let mut c = Conn::new(cfg, now, local, peer, isn, State::SynSent);
        c.resend(now, out);
        c
    }

    /// Passive open: answers `syn` with a SYN-ACK.
    pub fn accept(cfg: &Config, now: Instant, syn: &Segment, isn: u64, out: &mut Vec<Segment>) -> Conn {
        let mut c = Conn::new(cfg, now, syn.dst, syn.src, isn, State::SynReceived);
        c.rcv_nxt = syn.seq + 1;
        c.snd_wnd = syn.window;
        c.resend(now, out);
        c
    }

    fn new(cfg: &Config, now: Instant, local: SocketAddr, peer: SocketAddr, isn: u64, state: State) -> Conn {
        Conn {
            local,
            peer,
            state,
            error: None,
            orphan: false,
            linger_zero: false,
            keep_alive: None,
            user_timeout: None,
            soft_error: None,
            stuck_since: None,
            send: BytesMut::new(),
            snd_una: isn,
            snd_nxt: isn + 1,
            snd_wnd: 0,
            fin: None,
            closed_first: false,
            retries: 0,
            sent: now,
            rto: cfg.rto_initial,
            srtt: None,
            timing: Some((isn + 1, now)),
            dup_acks: 0,
            recover: 0,
            recv: BytesMut::new(),
            early: BTreeMap::new(),
            rcv_nxt: 0,
            rcv_edge: 0,
            peer_fin: None,
            eof: false,
            unacked: 0,
            heard: now,
            probes: 0,
            ack_at: None,
            rexmit_at: None,
            expire_at: None,
            cfg: cfg.clone(),
        }
    }

    // ---- what the host asks ----

    pub fn state(&self) -> State {
        self.state
    }

    pub fn is_orphan(&self) -> bool {
        self.orphan
    }

    pub fn readable(&self) -> bool {
        !self.recv.is_empty() || self.eof || self.state == State::Dead
    }

    pub fn writable(&self) -> bool {
        self.state == State::Dead || self.fin.is_some() || (self.state == State::Open && self.send.len() < self.cfg.send_buffer)
    }

    /// Bytes waiting to be read, bytes waiting to be acknowledged.
    pub fn queues(&self) -> (usize, usize) {
        (self.recv.len(), self.send.len())
    }

    /// What has become of the bytes written.
    pub fn delivery(&self, now: Instant) -> Delivery {
        Delivery {
            unacknowledged: self.snd_nxt > self.snd_una && self.state != State::Dead,
            since_sent: now - self.sent,
            round_trip: self.srtt.map_or(Duration::ZERO, |(srtt, _)| srtt),
        }
    }

    /// The state as `netstat` names it.
    pub fn name(&self) -> &'static str {
        let fin_acked = self.fin_acked();
        match (self.state, self.fin.is_some(), self.eof) {
            (State::SynSent, ..) => "SYN_SENT",
            (State::SynReceived, ..) => "SYN_RECV",
            (State::TimeWait, ..) => "TIME_WAIT",
            (State::Dead, ..) => "CLOSED",
            (State::Open, false, false) => "ESTABLISHED",
            (State::Open, false, true) => "CLOSE_WAIT",
            (State::Open, true, false) if fin_acked => "FIN_WAIT2",
            (State::Open, true, false) => "FIN_WAIT1",
            (State::Open, true, true) if self.closed_first => "CLOSING",
            (State::Open, true, true) => "LAST_ACK",
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        [self.ack_at, self.rexmit_at, self.expire_at, self.probe_at()].into_iter().flatten().min()
    }

    // ---- what the application does ----

    pub fn poll_connected(&mut self) -> Poll<io::Result<()>> {
        match self.state {
            State::SynSent | State::SynReceived => Poll::Pending,
            State::Dead => Poll::Ready(Err(self.error.take().unwrap_or(ErrorKind::ConnectionReset).into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub fn read(&mut self, buf: &mut [u8], out: &mut Vec<Segment>) -> Poll<io::Result<usize>> {
        if !self.recv.is_empty() {
            let n = min(buf.len(), self.recv.len());
            self.recv.copy_to_slice(&mut buf[..n]);
            self.reopen_window(out);
            return Poll::Ready(Ok(n));
        }
        if self.eof {
            return Poll::Ready(Ok(0)); // a FIN that was received outlives a later RST
        }
        match self.error.take() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None if self.state == State::Dead => Poll::Ready(Ok(0)),
            None => Poll::Pending,
        }
    }

    pub fn write(&mut self, now: Instant, buf: &[u8], out: &mut Vec<Segment>) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.error.take() {
            return Poll::Ready(Err(kind.into()));
        }
        if self.state == State::Dead || self.fin.is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = self.cfg.send_buffer - min(self.send.len(), self.cfg.send_buffer);
        let n = if cfg!(planted = "net_endless_buffer") { buf.len() } else { min(buf.len(), room) };
        if n == 0 && !buf.is_empty() {
            return Poll::Pending;
        }
        self.send.extend_from_slice(&buf[..n]);
        self.pump(now, out);
        Poll::Ready(Ok(n))
    }

    /// Queues a FIN behind the bytes already written.
    pub fn shutdown(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if self.state == State::Open && self.fin.is_none() {
            self.fin = Some(self.snd_una + self.send.len() as u64);
            self.closed_first = !self.eof;
            self.pump(now, out);
        }
    }

    /// Drops the handle: RST if bytes were left unread, else FIN; the stack goes on alone.
    pub fn close(&mut self, now: Instant, out: &mut Vec<Segment>) {
        if std::mem::replace(&mut self.orphan, true) {
            return;
        }
        match self.state {
            State::Open if !self.recv.is_empty() || self.linger_zero => self.reset(out),
            State::Open => {
                self.shutdown(now, out);
                self.settle(now);
            }
            State::SynSent => self.die(None),
            State::SynReceived => self.reset(out),
            State::TimeWait | State::Dead => {}
        }
    }

    /// Sends a RST and forgets everything.
    pub fn reset(&mut self, out: &mut Vec<Segment>) {
        self.emit(self.snd_nxt, Flag::Rst, Bytes::new(), out);
        self.die(None);
    }
}
