//! Listener, Router, BackendPool, HealthCheck, ConfigWatch and Certificates under their supervisor, and the data path that none of them
//! stands on.
//!
//! Deliberately absent: sockets (that is `net`), what routing means (that is `core`), and what only the binary knows: the command line,
//! exporters, signals, the allocator.

#![forbid(unsafe_code)]

/// Whether this run is to have a planted defect (`sim/src/planted.rs`): never outside of the simulator.
macro_rules! planted {
    ($bug:tt) => {{
        let planted = false;
        #[cfg(planted = $bug)]
        let planted = planted || fairlead_net::sim::is_planted($bug);
        planted
    }};
}

pub mod admin;
mod backend;
mod backend_pool;
mod certificates;
pub mod compose;
pub mod config_watch;
mod connections;
mod ending;
pub mod endpoint;
pub mod entry_point;
pub mod gateway;
mod health_check;
mod internal;
mod listener;
pub mod provider;
pub mod proxy;
pub mod published;
pub mod router;
mod supervisor;
pub mod telemetry;
#[cfg(all(test, not(madsim)))]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "peers on blocking sockets and threads of their own, on the real arm only"
)]
mod testing;
mod transport;
pub mod worker;
pub mod written;

pub use backend::Backend;
pub use transport::pem;
