//! Hosts.

/// A normalised host name or address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Host(Box<str>);
