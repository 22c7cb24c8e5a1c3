//! HTTP messages as the data path carries them, whatever version they came in or go out by.
//!
//! Owns the message head ([`Fields`], [`RequestHead`], [`ResponseHead`]) and the two halves of a body in motion:
//! [`Source`] (bytes that come) and [`Sink`] (bytes that go). `http1` and `http2` implement them for their connections;
//! [`pump`] moves a body from one to the other with back-pressure and without holding more than the two buffers.
//!
//! Deliberately absent: routing, header policy, retries. They decide, this carries.

mod body;
mod error;
mod exchange;
mod fields;
mod head;

pub use body::{Frame, Progress, Sink, Source, Waiting, pump};
pub use error::{Error, Kind, Side};
pub use exchange::{Downstream, Upstream};
pub use fields::Fields;
pub use head::{Framing, Method, RequestHead, ResponseHead, Version};
