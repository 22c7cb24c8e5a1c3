//! The world as Fairlead sees it: streams, listeners, timers, TLS and HTTP, on real sockets and in the simulator.

pub mod http;
pub mod http1;
pub mod tunnel;
