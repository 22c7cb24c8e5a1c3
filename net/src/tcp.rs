//! TCP: a listener and a stream, the same on both arms.
//!
//! `Listener`: `bind(SocketAddr, ListenOptions)`, `accept`, `poll_accept`, `local_addr`.
//! `Stream`: `AsyncRead + AsyncWrite + Unpin + Send`, `connect`, `connect_from`, `local_addr`, `peer_addr`,
//! `set_linger_zero`, `reset`, `set_keepalive`, `set_user_timeout`, `set_buffers`, `delivery`.
//!
//! Both kinds of stream have Nagle's algorithm off. A peer that reached a dual-stack listener over IPv4 is reported by
//! its IPv4 address, never as `::ffff:a.b.c.d`, so that address lists above need one spelling only.
//! Deliberately absent: a connect time-out (see [`crate::time::timeout`]) and name resolution (see [`crate::dns`]).

pub use crate::arm::tcp::{Listener, Stream};

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Several listeners may share the address (`SO_REUSEPORT`); the kernel spreads connections by a hash of their
    /// addresses. Closing one of them resets the connections waiting in its queue.
    pub reuse_port: bool,
    /// Connections established but not accepted yet, before further ones have to wait. The system may cap it
    /// (`net.core.somaxconn`).
    pub backlog: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { reuse_port: false, backlog: 4096 }
    }
}

/// What has become of bytes that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Some were sent and not acknowledged by the peer.
    pub unacknowledged: bool,
    /// Since bytes were last sent, for the first time or again; to the millisecond.
    pub since_sent: std::time::Duration,
    /// As measured on this connection, smoothed.
    pub round_trip: std::time::Duration,
}

/// Probes that go unanswered before a silent connection is given up.
pub(crate) const KEEPALIVE_PROBES: u32 = 3;

/// Time between two probes of a connection that was idle for `idle`.
pub(crate) fn keepalive_interval(idle: std::time::Duration) -> std::time::Duration {
    (idle / KEEPALIVE_PROBES).max(std::time::Duration::from_secs(1))
}
