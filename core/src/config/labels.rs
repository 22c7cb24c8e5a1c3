//! Labels: `traefik.http.routers.web.rule`.

use super::{Rejection, Tree};

/// The tree of the labels below `root` (`traefik`). `name` is their owner in messages.
pub fn tree<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, root: &str, name: &str) -> (Tree, Vec<Rejection>) {
    let _ = (labels.count(), root);
    (Tree::empty(name, super::Style::Labels), Vec::new())
}
