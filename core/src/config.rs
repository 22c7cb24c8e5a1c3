//! Configuration: from what operators wrote to what is served.
//!
//! ```text
//! text, labels, KV, flags → Tree → raw (typed, unknown keys refused) → resolve → Config (every name found, every rule parsed)
//! ```

mod decode;
pub mod dynamic;
pub mod env;
pub mod file;
pub mod flags;
pub mod kv;
pub mod labels;
pub mod raw;
mod rejection;
mod resolve;
pub mod static_;
pub(crate) mod tree;
mod written;

pub(crate) use decode::{nearest, parse_duration, quote, remedy_for_name};
pub use dynamic::Config;
pub use raw::{Join, RawDynamic, Unions, decode};
pub use rejection::{Rejection, Severity};
pub use resolve::resolve;
pub use static_::{StaticConfig, resolve_static};
pub use tree::{Source, Style, Tree, Value};
