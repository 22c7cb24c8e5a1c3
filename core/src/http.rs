//! What a request is when Fairlead decides on it.
//!
//! Everything here is decided on exactly what is forwarded: one normalised host, one canonical path, one field list.
//!
//! The order at the door: [`target::split`], [`Host`], [`path::canonicalize`], [`hop::underscores`], [`hop::check_loop`],
//! [`hop::upgrade`], [`hop::strip_request`], [`forwarded::apply`]; then routing and middlewares; [`forwarded::append_for`] just
//! before the server. What rules and middlewares see is thus what the server will see.

pub mod client;
mod fields;
pub mod forwarded;
pub mod hop;
mod host;
pub mod path;
pub mod query;
mod range;
mod request;
pub mod target;

pub use fields::VecFields;
pub(crate) use host::normalize as normalize_host;
pub use host::{Host, HostError, HostMemo};
pub use range::RangeError;
pub use request::{Fields, FieldsMut, Request, Scheme};
