//! What the end-to-end tests stand on: the built binary with a configuration of its own, servers behind it, clients in
//! front of it, and the real programs beside it.
//!
//! Everything here is threads and the operating system's sockets, on purpose: nothing is shared with the gateway under
//! test. Deliberately absent: mocks of what can be run for real (dockerd, etcd, nginx, curl, h2load, wrk are the Debian programs),
//! and waiting by sleeping ([`wait`] polls, with a deadline).

#![forbid(unsafe_code)]

pub mod arguments;
pub mod certs;
pub mod dir;
pub mod engine;
pub mod etcd;
pub mod gateway;
pub mod http;
pub mod kontena;
pub mod load;
pub mod nginx;
pub mod opinion;
pub mod otlp;
pub mod process;
pub mod rancher;
pub mod server;
pub mod swarm;
pub mod tools;
pub mod wait;

pub use gateway::{Gateway, Setup};
pub use http::{Connection, Response, get};
pub use server::Server;
pub use swarm::Swarm;
pub use wait::{eventually, until};

/// A TCP port on which nothing listens now.
///
/// From below the range that the system itself hands out, each number once per process, so that neither a client's own
/// port nor another test takes it before its owner does.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const SPAN: u32 = 20_000;
    let start = std::process::id().wrapping_mul(131);
    for _ in 0..SPAN {
        let port = (FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % SPAN) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free", FIRST + SPAN);
}
