//! Configuration: from what operators wrote to what is served.
//!
//! ```text
//! text, labels, KV, flags → Tree → raw (typed, unknown keys refused) → resolve → Config (every name found, every rule parsed)
//! ```

pub mod dynamic;
mod rejection;

pub use dynamic::Config;
pub use rejection::{Rejection, Severity};
