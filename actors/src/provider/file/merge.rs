//! Many files as one tree. Pure.
//!
//! Units (`http.routers.web`) are taken whole from the first file that has them; a later file that has one of the same
//! name is told so. Lists of units (`tls.certificates`) are joined. Every node keeps its own file and line.

use fairlead_core::config::{Rejection, Severity, Style, Tree, Value};

/// `trees` in the order of precedence. `place` names the whole.
pub(super) fn merge(place: &str, trees: impl Iterator<Item = Tree>) -> (Tree, Vec<Rejection>) {
    let mut whole = Tree::empty(place, Style::File);
    let mut rejections = Vec::new();
    for tree in trees {
        lay(&mut whole, tree, 0, &mut rejections);
    }
    (whole, rejections)
}

/// Units are on the third level: section, kind, name.
const UNITS: usize = 2;

fn lay(into: &mut Tree, from: Tree, level: usize, rejections: &mut Vec<Rejection>) {
    match (&mut into.value, from.value) {
        (_, Value::Null) => {}
        (value @ Value::Null, from) => *value = from,
        (Value::List(all), Value::List(more)) => all.extend(more),
        (Value::Map { entries: all, .. }, Value::Map { entries: more, .. }) => {
            for (key, child) in more {
                // Fields are found whatever their case, names are not.
                let known =
                    if level < UNITS { all.keys().position(|k| k.eq_ignore_ascii_case(&key)) } else { all.get_index_of(&key) };
                match known.and_then(|index| all.get_index_mut(index)) {
                    None => {
                        all.insert(key, child);
                    }
                    Some((_, first)) if level < UNITS => lay(first, child, level + 1, rejections),
                    Some((_, first)) => rejections.push(twice(first, &child)),
                }
            }
        }
        (_, other) => {
            let child = Tree { value: other, ..from };
            rejections.push(twice(into, &child));
        }
    }
}

fn twice(first: &Tree, second: &Tree) -> Rejection {
    let name = &second.source.name;
    Rejection {
        severity: Severity::Error,
        source: second.line.map_or_else(|| name.clone(), |line| format!("{name}:{line}")),
        key: second.key.clone(),
        message: format!("is already in {}, which comes first in the order of paths and stays", first.source.name),
        remedy: "rename or remove one of the two".into(),
    }
}
