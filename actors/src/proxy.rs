//! The data path: from an accepted connection to a forwarded request and back. No actor stands on it.
//!
//! ```text
//! connection → (TLS) → http1 | http2 → exchange: decide → forward: pick, attempt, retry → upstream: pool, connect
//!            ↘ tcp: decide → connect: pick, retry → pipe
//! ```
//!
//! Owns nothing that outlives a connection except the idle upstream connections that endpoints keep. What is decided comes
//! from one [`Published`](crate::published::Published) state that a request loads once.

pub mod connection;
mod exchange;
pub mod fields;
mod forward;
mod http1;
mod http2;
mod info;
mod pipe;
mod respond;
pub mod stream;
mod tcp;
#[cfg(all(test, not(madsim)))]
mod tests;
pub mod upstream;
mod work;
