//! What a request is when Fairlead decides on it.
//!
//! Everything here is decided on exactly what is forwarded: one normalised host, one canonical path, one field list.

mod host;
mod request;

pub use host::Host;
pub use request::{Fields, FieldsMut, Request, Scheme};
