//! What was written of one unit, kept for as long as it is served: a [`Tree`] in one piece of memory.
//!
//! A tree is asked for when a unit is built, and again when something is wrong with it. In between, ten thousand services lie still, and as
//! trees they would take many times as much. Keys are left out where they follow from the parent's.
//!
//! ```text
//! node    = tag [source] [key] [line] content     tag = a kind, with SOURCE, KEY and LINE where these are there
//! content = nothing | text | count nodes | [text] count (text node)… | text text
//! text    = length bytes                          numbers: seven bits a byte, the lowest first
//! ```

use super::{Source, Tree, Value};
use indexmap::IndexMap;
use std::sync::Arc;

const NULL: u8 = 0;
const TEXT: u8 = 1;
const LIST: u8 = 2;
const MAP: u8 = 3;
const MAP_WITH_OWN: u8 = 4;
const UNREADABLE: u8 = 5;
const KIND: u8 = 7;
/// It is from another source than its parent.
const SOURCE: u8 = 8;
/// Its key is not what its place says.
const KEY: u8 = 16;
const LINE: u8 = 32;

/// See the module. Equal where the same was written in the same order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Written {
    pub(in crate::config) source: Arc<Source>,
    /// Of nodes below.
    others: Box<[Arc<Source>]>,
    bytes: Box<[u8]>,
}

impl Written {
    pub(in crate::config) fn of(tree: &Tree) -> Self {
        let mut writer = Writer::default();
        writer.node(tree, &tree.source, "");
        Self { source: tree.source.clone(), others: writer.others.into(), bytes: writer.bytes.into() }
    }

    /// Of the whole unit.
    pub(in crate::config) fn key(&self) -> String {
        let mut reader = Reader { written: self, rest: &self.bytes };
        // No key at all is what its place says.
        if reader.byte() & KEY == 0 { String::new() } else { reader.text() }
    }

    /// As it was written.
    pub(in crate::config) fn tree(&self) -> Tree {
        Reader { written: self, rest: &self.bytes }.node(&self.source, String::new())
    }
}

#[derive(Default)]
struct Writer {
    others: Vec<Arc<Source>>,
    bytes: Vec<u8>,
}

impl Writer {
    /// One that would have `source` and `key` by its place.
    fn node(&mut self, node: &Tree, source: &Arc<Source>, key: &str) {
        let kind = match &node.value {
            Value::Null => NULL,
            Value::Text(_) => TEXT,
            Value::List(_) => LIST,
            Value::Map { own: None, .. } => MAP,
            Value::Map { own: Some(_), .. } => MAP_WITH_OWN,
            Value::Unreadable { .. } => UNREADABLE,
        };
        let is_elsewhere = node.source != *source;
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let tag = kind | flag(is_elsewhere, SOURCE) | flag(node.key != key, KEY) | flag(node.line.is_some(), LINE);
        self.bytes.push(tag);
        if is_elsewhere {
            // Mostly, neighbours are from one place.
            let place = self.others.iter().rposition(|other| *other == node.source).unwrap_or_else(|| {
                self.others.push(node.source.clone());
                self.others.len() - 1
            });
            self.number(place);
        }
        if node.key != key {
            self.text(&node.key);
        }
        if let Some(line) = node.line {
            self.number(line as usize);
        }
        let (source, style) = (&node.source, node.source.style);
        match &node.value {
            Value::Null => {}
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                self.number(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.node(item, source, &style.join_index(&node.key, index));
                }
            }
            Value::Map { own, entries } => {
                own.iter().for_each(|own| self.text(own));
                self.number(entries.len());
                for (name, child) in entries {
                    self.text(name);
                    self.node(child, source, &style.join(&node.key, name));
                }
            }
            Value::Unreadable { message, remedy } => {
                self.text(message);
                self.text(remedy);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, mut number: usize) {
        while number > 0x7f {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// Reads what [`Writer`] has written, and nothing else: whatever does not fit is a mistake of this module.
struct Reader<'w> {
    written: &'w Written,
    rest: &'w [u8],
}

impl Reader<'_> {
    fn node(&mut self, source: &Arc<Source>, key: String) -> Tree {
        let tag = self.byte();
        let source = if tag & SOURCE == 0 { source.clone() } else { self.written.others[self.number()].clone() };
        let key = if tag & KEY == 0 { key } else { self.text() };
        let line = (tag & LINE != 0).then(|| self.number() as u32);
        let style = source.style;
        let value = match tag & KIND {
            NULL => Value::Null,
            TEXT => Value::Text(self.text()),
            LIST => {
                let items = 0..self.number();
                Value::List(items.map(|index| self.node(&source, style.join_index(&key, index))).collect())
            }
            kind @ (MAP | MAP_WITH_OWN) => {
                let own = (kind == MAP_WITH_OWN).then(|| self.text());
                let count = self.number();
                let mut entries = IndexMap::with_capacity(count);
                for _ in 0..count {
                    let name = self.text();
                    let child = self.node(&source, style.join(&key, &name));
                    entries.insert(name, child);
                }
                Value::Map { own, entries }
            }
            UNREADABLE => Value::Unreadable { message: self.text(), remedy: self.text() },
            kind => unreachable!("no node is of kind {kind}"),
        };
        Tree { source, key, line, value }
    }

    fn text(&mut self) -> String {
        let length = self.number();
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8(text.to_vec()).expect("it was written from a text")
    }

    fn number(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return number;
            }
            shift += 7;
        }
    }

    fn byte(&mut self) -> u8 {
        let (byte, rest) = self.rest.split_first().expect("it was written whole");
        self.rest = rest;
        *byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Style;
    use proptest::prelude::*;

    fn nodes() -> impl Strategy<Value = Tree> {
        let text = || prop_oneof!["[a-zA-Z0-9./é]{0,8}", "x{120,300}"];
        let place = move || {
            let style = prop_oneof![Just(Style::File), Just(Style::Kv), Just(Style::Labels), Just(Style::Flags)];
            (style, "[ab]", text(), proptest::option::of(any::<u32>()), any::<bool>())
        };
        let leaf = prop_oneof![
            Just(Value::Null),
            text().prop_map(Value::Text),
            (text(), text()).prop_map(|(message, remedy)| Value::Unreadable { message, remedy }),
        ];
        let node = move |value| {
            (value, place()).prop_map(|(value, (style, name, key, line, _))| Tree {
                source: Arc::new(Source { name, style }),
                key,
                line,
                value,
            })
        };
        node(leaf.boxed()).boxed().prop_recursive(4, 40, 5, move |inner| {
            let entries = proptest::collection::vec((text(), inner.clone()), 0..5);
            let value = prop_oneof![
                proptest::collection::vec(inner, 0..5).prop_map(Value::List),
                (proptest::option::of(text()), entries)
                    .prop_map(|(own, entries)| Value::Map { own, entries: entries.into_iter().collect() }),
            ];
            (value, place()).prop_map(|(value, (style, name, key, line, is_regular))| {
                let mut node = Tree { source: Arc::new(Source { name, style }), key, line, value };
                if is_regular {
                    regular(&mut node);
                }
                node
            })
        })
    }

    /// As most trees are: of one source, with keys that follow from their places.
    fn regular(node: &mut Tree) {
        let Tree { source, key, value, .. } = node;
        let mut below: Vec<(String, &mut Tree)> = match value {
            Value::List(items) => items.iter_mut().enumerate().map(|(i, item)| (source.style.join_index(key, i), item)).collect(),
            Value::Map { entries, .. } => entries.iter_mut().map(|(name, child)| (source.style.join(key, name), child)).collect(),
            _ => Vec::new(),
        };
        for (key, child) in &mut below {
            (child.key, child.source) = (std::mem::take(key), source.clone());
            regular(child);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(tree in nodes()) {
            let written = Written::of(&tree);
            prop_assert_eq!(written.key(), &*tree.key);
            prop_assert_eq!(written.tree(), tree);
        }

        #[test]
        fn what_differs_is_not_the_same(one in nodes(), other in nodes()) {
            prop_assert!(Written::of(&one) != Written::of(&other) || one == other);
        }
    }

    #[test]
    fn keys_that_follow_take_no_room() {
        let source = Arc::new(Source { name: "etcd".into(), style: Style::Kv });
        let mut builder = crate::config::tree::Builder::of(source, "traefik/http/services/web");
        builder.insert(&["loadbalancer", "servers", "0", "url"], None, Value::Text("http://10.0.0.1".into()));
        let written = Written::of(&builder.finish());
        let texts = ["traefik/http/services/web", "loadbalancer", "servers", "0", "url", "http://10.0.0.1"];
        let (nodes, maps) = (5, 4);
        assert_eq!(written.bytes.len(), nodes + maps + texts.iter().map(|text| text.len() + 1).sum::<usize>());
    }
}
