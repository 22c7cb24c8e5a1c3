//! Flags: `--entryPoints.web.address=:80`.

use super::{Rejection, Tree};

/// The tree of the arguments after the command. `--configFile` is in it as `configFile`.
pub fn tree(args: &[String]) -> Result<Tree, Vec<Rejection>> {
    let _ = args;
    Ok(Tree::empty("flag", super::Style::Flags))
}
