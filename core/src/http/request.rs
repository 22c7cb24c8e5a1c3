//! The request as routing and middlewares see it, over whatever field list the network layer keeps.

use super::Host;
use std::{borrow::Cow, net::IpAddr};

/// A field section to read. Names compare without regard to ASCII case.
pub trait Fields {
    /// The first value of this name.
    fn get(&self, name: &str) -> Option<&[u8]>;
    /// Whether some value of this name satisfies `test`.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// Every line in order.
    fn each(&self, visit: &mut dyn FnMut(&str, &[u8]));
}

/// A field section to change.
pub trait FieldsMut: Fields {
    /// Leaves exactly one line of this name.
    fn set(&mut self, name: &str, value: &[u8]);
    /// Adds a line.
    fn append(&mut self, name: &str, value: &[u8]);
    /// Removes every line of this name and tells whether there was one.
    fn remove(&mut self, name: &str) -> bool;
    /// Keeps the lines for which `keep` holds.
    fn retain(&mut self, keep: &mut dyn FnMut(&str, &[u8]) -> bool);
}

/// How the client reached this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request to decide on, and for middlewares to change.
#[derive(Debug)]
pub struct Request<'a, F> {
    pub method: &'a str,
    /// How the client reached this gateway.
    pub scheme: Scheme,
    /// Normalised; empty only for HTTP/1.0 without `Host`.
    pub host: &'a Host,
    /// The port that the client named in `Host` or `:authority`.
    pub port: Option<u16>,
    /// Canonical and still escaped, beginning with `/`, without query. It is what goes to the server.
    pub path: Cow<'a, str>,
    /// Without the question mark.
    pub query: Option<Cow<'a, str>>,
    /// The peer of the connection, after PROXY protocol; never taken from a header.
    pub client: IpAddr,
    pub fields: F,
}
