//! The simulated arm: hosts, wires, kernels, files and clocks on virtual time, from one seed.
//!
//! A test starts a [`Net`] from the simulation's main task, makes hosts of madsim nodes, and runs unchanged product
//! code on them: "this host" is the one of the current node. Each task switch, delay and loss is drawn from madsim's
//! seeded generator, so a run repeats itself, and [`Stats::trace`] tells two runs apart.
//!
//! What a stream can suffer here is what Linux's TCP makes a proxy suffer (`net/tests/parity.rs` runs on both arms).
//! Deliberately absent: congestion control and bandwidth (figures for throughput are taken on real sockets), Nagle,
//! IP fragments, simultaneous open, and a late final ACK against a full backlog.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the arm that others are to go through")]

pub use authority::trust;
pub(crate) use authority::trusted;
pub use dns::Answer;
pub use net::{HostId, Link, Net, RuleId, SocketInfo, Stats, Verdict};
pub use packet::{Datagram, Packet, Unreachable};
pub use planted::{is_planted, plant};
pub use segment::{Config, Segment};

mod authority;
pub(crate) mod clock;
pub mod conn;
pub(crate) mod dns;
pub(crate) mod fs;
pub(crate) mod memory;
mod net;
mod packet;
mod pcap;
mod planted;
pub(crate) mod random;
mod segment;
pub(crate) mod task;
pub(crate) mod tcp;
pub(crate) mod time;
pub(crate) mod udp;
pub(crate) mod unix;
mod world;
