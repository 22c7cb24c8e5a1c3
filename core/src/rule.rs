//! Rules: what a router matches.

/// A parsed rule.
#[derive(Clone, Debug)]
pub struct Rule {}
