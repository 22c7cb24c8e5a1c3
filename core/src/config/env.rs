//! Environment: `FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS`, and `TRAEFIK_…`.

use super::{Rejection, Tree};

/// The tree of the variables that concern us. `FAIRLEAD_` goes before `TRAEFIK_`.
pub fn tree<'a>(vars: impl Iterator<Item = (&'a str, &'a str)>) -> (Tree, Vec<Rejection>) {
    let _ = vars.count();
    (Tree::empty("environment", super::Style::Env), Vec::new())
}
