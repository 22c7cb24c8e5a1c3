//! The world as Fairlead sees it: streams, datagrams, names, files, timers, tasks, clocks and chance; TLS and HTTP on
//! top of any stream.
//!
//! One surface, two arms. Built plainly, every module below rests on tokio and the operating system (`real`). Built
//! with `--cfg madsim`, the same names rest on a seeded simulator (`sim`), and the code above cannot tell. The arm is
//! picked when the crate is compiled: there is no `dyn`, and no cost.
//!
//! Owns: every use of sockets, clocks, threads and operating-system randomness in the product.
//! Deliberately lacks: decisions. Which server, whether to retry, what a status means: all of that is above.

/// Whether this run is to have a planted defect (`sim/src/planted.rs`): never outside of the simulator.
macro_rules! planted {
    ($bug:tt) => {{
        let planted = false;
        #[cfg(planted = $bug)]
        let planted = planted || crate::sim::is_planted($bug);
        planted
    }};
}

#[cfg(not(madsim))]
mod real;
#[cfg(madsim)]
pub mod sim;

#[cfg(not(madsim))]
use real as arm;
#[cfg(madsim)]
use sim as arm;

// Transport and the environment.
pub mod clock;
pub mod dns;
pub mod fs;
pub mod memory;
pub mod random;
pub mod rt;
pub mod task;
pub mod tcp;
pub mod time;
pub mod udp;
pub mod unix;

// Protocols over any stream.
pub mod grpc;
pub mod http;
pub mod http1;
pub mod http2;
pub mod proxy_protocol;
pub mod tls;
pub mod tunnel;
