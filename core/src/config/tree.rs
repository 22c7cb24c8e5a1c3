//! The tree that every source becomes: one shape for files, KV stores, labels, flags and environment.
//!
//! It owns where each node was written, so that every message can name it. It knows nothing of types: a text becomes a number or a duration
//! only when something asks for one.

use super::{Rejection, Severity};
use indexmap::IndexMap;
use std::{borrow::Cow, sync::Arc};

/// Segments of a key, or nested collections of a file, that anyone needs; deeper is refused before it costs stack.
pub(super) const MAX_DEPTH: usize = 32;

/// One node, with its place in its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub source: Arc<Source>,
    /// The whole key in the source's own spelling: `http.routers.web.rule`, `traefik/http/routers/web/rule`, `--api.insecure`.
    pub key: String,
    /// Line in a file, from 1.
    pub line: Option<u32>,
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent, as far as configuration goes.
    Null,
    Text(String),
    List(Vec<Tree>),
    Map {
        /// KV stores, labels and flags may give a node a value and children at once.
        own: Option<String>,
        /// In the order written. Where the source's style folds case, no two keys differ in case only.
        entries: IndexMap<String, Tree>,
    },
    /// Something stands here that cannot be read. It spoils what reads it, so that nothing is served as if it had not been written.
    Unreadable {
        message: String,
        remedy: String,
    },
}

/// A file, a KV store, a service's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As messages name it: a path, `etcd`, `flag`, `environment`.
    pub name: String,
    pub style: Style,
}

/// How keys are spelled and compared. Names of options are compared without regard to case everywhere; names that the operator chose, exactly
/// in files and without regard to case elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    File,
    Kv,
    Labels,
    Flags,
    Env,
}

impl Style {
    /// The key of `name` below `parent`.
    pub fn join(self, parent: &str, name: &str) -> String {
        match self {
            Self::Flags if parent.is_empty() => format!("--{name}"),
            Self::Env if parent.is_empty() => format!("FAIRLEAD_{}", name.to_ascii_uppercase()),
            _ if parent.is_empty() => name.to_owned(),
            Self::Kv => format!("{parent}/{name}"),
            Self::Env => format!("{parent}_{}", name.to_ascii_uppercase()),
            Self::File | Self::Labels | Self::Flags => format!("{parent}.{name}"),
        }
    }

    /// The key of the element `index` of the list `parent`.
    pub fn join_index(self, parent: &str, index: usize) -> String {
        match self {
            Self::Kv | Self::Env => self.join(parent, &index.to_string()),
            Self::File | Self::Labels | Self::Flags => format!("{parent}[{index}]"),
        }
    }
}

impl Tree {
    /// A source that says nothing.
    pub fn empty(name: &str, style: Style) -> Self {
        Self::root(Arc::new(Source { name: name.to_owned(), style }), "")
    }

    pub(super) fn root(source: Arc<Source>, key: &str) -> Self {
        Self { source, key: key.to_owned(), line: None, value: Value::Map { own: None, entries: IndexMap::new() } }
    }

    /// Whether nothing is written here.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Map { own, entries } => own.is_none() && entries.values().all(|child| child.value == Value::Null),
            Value::Text(_) | Value::List(_) | Value::Unreadable { .. } => false,
        }
    }

    /// The child of this name; case does not matter.
    pub fn child(&self, name: &str) -> Option<&Tree> {
        let Value::Map { entries, .. } = &self.value else { return None };
        let found =
            entries.get(name).or_else(|| entries.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, child)| child));
        found.filter(|child| child.value != Value::Null)
    }

    /// As [`Tree::child`].
    pub(super) fn child_mut(&mut self, name: &str) -> Option<&mut Tree> {
        let Value::Map { entries, .. } = &mut self.value else { return None };
        entries
            .iter_mut()
            .find(|(key, child)| key.eq_ignore_ascii_case(name) && child.value != Value::Null)
            .map(|(_, child)| child)
    }

    /// The children, with their names as written.
    pub fn children(&self) -> impl Iterator<Item = (&str, &Tree)> {
        let entries = match &self.value {
            Value::Map { entries, .. } => Some(entries),
            _ => None,
        };
        entries.into_iter().flatten().map(|(name, child)| (name.as_str(), child)).filter(|(_, child)| child.value != Value::Null)
    }

    /// The text at `path`. Of a flag given several times, the last.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        let node = path.iter().try_fold(self, |node, name| node.child(name))?;
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Map { own, .. } => own.as_deref(),
            Value::List(items) if node.source.style == Style::Flags => items.last()?.text(&[]),
            Value::List(_) | Value::Null | Value::Unreadable { .. } => None,
        }
    }

    /// `over` laid upon `self`: what `over` says wins, lists and texts whole, maps key by key.
    pub fn overlaid(self, over: Tree) -> Tree {
        let Tree { source, key, line, value } = self;
        let value = match (value, over.value) {
            (value, Value::Null) => value,
            (Value::Map { own, mut entries }, Value::Map { own: over_own, entries: over_entries })
                if !is_indexed(&over_entries) =>
            {
                for (name, child) in over_entries {
                    let known = entries.keys().find(|key| key.eq_ignore_ascii_case(&name)).cloned();
                    match known.and_then(|key| entries.get_mut(&key)) {
                        Some(below) => {
                            let lower = std::mem::replace(below, Tree::root(child.source.clone(), ""));
                            *below = lower.overlaid(child);
                        }
                        None => {
                            entries.insert(name, child);
                        }
                    }
                }
                Value::Map { own: over_own.or(own), entries }
            }
            // `--api` upon a file's `api: {…}` switches on what is there.
            (Value::Map { entries, .. }, Value::Text(text)) if switches_on(&text) => Value::Map { own: Some(text), entries },
            (_, value) => return Tree { source: over.source, key: over.key, line: over.line, value },
        };
        Tree { source, key, line, value }
    }

    /// What is wrong here.
    pub fn reject(&self, severity: Severity, message: impl Into<String>, remedy: impl Into<String>) -> Rejection {
        self.reject_at(severity, &[], message, remedy)
    }

    /// What is wrong at `path` below, whether or not something is written there.
    pub fn reject_at(
        &self,
        severity: Severity,
        path: &[&str],
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Rejection {
        let mut node = self;
        let mut key = None;
        for name in path {
            match (&key, node.child(name)) {
                (None, Some(child)) => node = child,
                _ => key = Some(node.source.style.join(key.as_deref().unwrap_or(&node.key), name)),
            }
        }
        let source = match node.line {
            Some(line) => format!("{}:{line}", node.source.name),
            None => node.source.name.clone(),
        };
        Rejection {
            severity,
            source,
            key: key.unwrap_or_else(|| node.key.clone()),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// Whether the keys are the indexes of a list.
pub(super) fn is_indexed(entries: &IndexMap<String, Tree>) -> bool {
    !entries.is_empty() && entries.keys().all(|key| key.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Sorts indexes by number: leading zeros off, then by length, then by digits.
pub(super) fn index_order(index: &str) -> (usize, String, usize) {
    let digits = index.trim_start_matches('0');
    (digits.len(), digits.to_owned(), index.len())
}

/// Whether a text turns on the struct in whose place it stands.
pub(super) fn switches_on(text: &str) -> bool {
    text.is_empty() || text.eq_ignore_ascii_case("true")
}

/// Builds a tree from keys and values, for sources that have no nesting of their own.
#[derive(Debug)]
pub(crate) struct Builder {
    root: Tree,
    spelled: Spelled,
}

/// The names of a map with their case folded, in the order of its entries.
#[derive(Debug, Default)]
struct Spelled {
    children: IndexMap<String, Spelled>,
}

impl Builder {
    /// A tree whose root has `key`.
    pub(crate) fn new(name: &str, style: Style, key: &str) -> Self {
        Self::of(Arc::new(Source { name: name.to_owned(), style }), key)
    }

    /// The same, of a source that others share.
    pub(crate) fn of(source: Arc<Source>, key: &str) -> Self {
        Self { root: Tree::root(source, key), spelled: Spelled::default() }
    }

    /// The root as yet, for rejections.
    pub(crate) fn root(&self) -> &Tree {
        &self.root
    }

    /// Puts `value` at `path`, whose whole key is `key` if that is not what the style makes of the path. At most [`MAX_DEPTH`] segments.
    /// Of two values at one place a list is made where flags repeat; else the first stays.
    pub(crate) fn insert(&mut self, path: &[&str], key: Option<&str>, value: Value) {
        let (mut node, mut spelled) = (&mut self.root, &mut self.spelled);
        for name in path.iter().take(MAX_DEPTH) {
            if let Value::Text(_) | Value::List(_) | Value::Null = node.value {
                let own = node.text(&[]).map(str::to_owned);
                node.value = Value::Map { own, entries: IndexMap::new() };
            }
            let Tree { source, key, value, .. } = node;
            // What cannot be read stays so, whatever is written below it.
            let Value::Map { entries, .. } = value else { return };
            let folded = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(*name)
            };
            let index = match spelled.children.get_index_of(&*folded) {
                Some(index) => index,
                None => {
                    let child =
                        Tree { source: source.clone(), key: source.style.join(key, name), line: None, value: Value::Null };
                    entries.insert((*name).to_owned(), child);
                    spelled.children.insert_full(folded.into_owned(), Spelled::default()).0
                }
            };
            let (Some((_, child)), Some((_, below))) = (entries.get_index_mut(index), spelled.children.get_index_mut(index))
            else {
                return;
            };
            (node, spelled) = (child, below);
        }
        // Of two spellings, the one whose value stays.
        let counts = matches!(node.value, Value::Null | Value::Map { own: None, .. });
        if let Some(key) = key.filter(|_| counts) {
            key.clone_into(&mut node.key);
        }
        node.put(value);
    }

    pub(crate) fn finish(self) -> Tree {
        self.root
    }
}

impl Tree {
    fn put(&mut self, value: Value) {
        let repeats = self.source.style == Style::Flags;
        match (&mut self.value, value) {
            (place, value @ Value::Unreadable { .. }) => *place = value,
            (place @ Value::Null, value) => *place = value,
            (Value::Map { own, .. }, Value::Text(text)) if own.is_none() || repeats => *own = Some(text),
            (Value::List(items), value @ Value::Text(_)) if repeats => {
                items.push(Tree { source: self.source.clone(), key: self.key.clone(), line: None, value });
            }
            (place @ Value::Text(_), value @ Value::Text(_)) if repeats => {
                let item = |value| Tree { source: self.source.clone(), key: self.key.clone(), line: None, value };
                let first = std::mem::replace(place, Value::Null);
                *place = Value::List(vec![item(first), item(value)]);
            }
            _ => {}
        }
    }
}
