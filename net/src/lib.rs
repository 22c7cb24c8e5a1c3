//! The world as Fairlead sees it: streams, listeners, timers, TLS and HTTP, on real sockets and in the simulator.

pub mod grpc;
pub mod http;
pub mod http2;
pub mod tls;
