//! UDP: datagrams that may be lost, duplicated, overtaken and cut to the reader's buffer, the same on both arms.
//!
//! `Socket`: `bind(SocketAddr)`, `bind_with(SocketAddr, BindOptions)`, `connect`, `send`, `send_to`, `recv`,
//! `recv_from` and their `poll_` forms, `local_addr`.
//! A connected socket hears that nobody listens at the other end: its next call fails with `ConnectionRefused`.

pub use crate::arm::udp::Socket;

/// How to bind.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Several sockets may share the address (`SO_REUSEPORT`); the kernel picks one per pair of addresses.
    pub reuse_port: bool,
}

/// Largest payload of one datagram over IPv4, bytes.
pub const MAX_DATAGRAM: usize = 65_507;
