//! Where a key was written: the file and line of it, or of what it would stand in.

use super::{input, plan::Texts};
use fairlead_core::config::Tree;

/// A key, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub key: String,
    /// `file:line`, or where the lack of it can be mended.
    pub at: String,
}

/// In the dynamic configuration.
pub fn dynamic(texts: &Texts, path: &[&str]) -> Place {
    let (trees, _) = input::trees(texts);
    let found = trees.iter().map(|tree| deepest(tree, path)).max_by_key(|(depth, _)| *depth);
    Place { key: path.join("."), at: found.map_or_else(|| texts.place.clone(), |(_, at)| at) }
}

/// In the static configuration; a flag or a variable that is not in the file is told as such.
pub fn fixed(texts: &Texts, path: &[&str]) -> Place {
    let written = fairlead_actors::written::Written { file: texts.file.clone(), variables: Vec::new(), flags: Vec::new() };
    let at = match written.file_tree() {
        Ok(tree) if texts.file.is_some() => deepest(&tree, path).1,
        _ => "the static configuration".to_owned(),
    };
    Place { key: path.join("."), at }
}

/// How many steps of the path there are, and where the last of them is.
fn deepest(tree: &Tree, path: &[&str]) -> (usize, String) {
    let (mut here, mut depth) = (tree, 0);
    for step in path {
        let Some(child) = here.child(step) else { break };
        (here, depth) = (child, depth + 1);
    }
    let name = &here.source.name;
    (depth, here.line.filter(|_| depth > 0).map_or_else(|| name.clone(), |line| format!("{name}:{line}")))
}
