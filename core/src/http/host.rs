//! Hosts.

/// A normalised host name or address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Host(Box<str>);

impl Host {
    /// The text; an IPv6 address without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
