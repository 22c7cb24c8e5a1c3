//! YAML, from the parser's events.

use super::{MAX_NESTING, MAX_NODES, fault, node};
use crate::config::{Rejection, Source, Tree, Value};
use granit_parser::{Event, Parser, ScalarStyle};
use indexmap::IndexMap;
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

/// The tree of the one document in `text`.
pub(super) fn parse(text: &str, source: &Arc<Source>) -> Result<Tree, Rejection> {
    let nodes = Reader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), source }.document()?;
    let mut grower = Grower { source, left: MAX_NODES };
    match nodes {
        Some(nodes) => {
            let tree = grower.grow(&nodes, String::new(), 0)?;
            match tree.value {
                Value::Null => Ok(Tree::root(source.clone(), "")),
                Value::Map { .. } => Ok(tree),
                _ => Err(fault(&source.name, tree.line, "expected keys at the top of the file", "write `key: value` lines")),
            }
        }
        None => Ok(Tree::root(source.clone(), "")),
    }
}

/// A node with its line. Anchored nodes are shared, so an alias costs nothing here.
struct Yaml {
    line: u32,
    kind: Kind,
}

enum Kind {
    Null,
    Text(String),
    List(Vec<Rc<Yaml>>),
    Map(Vec<(String, u32, Rc<Yaml>)>),
}

struct Reader<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: BTreeMap<usize, Rc<Yaml>>,
    source: &'a Source,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, u32), Rejection> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, u32::try_from(span.start.line()).unwrap_or(u32::MAX))),
            Some(Err(error)) => {
                let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
                Err(fault(&self.source.name, Some(line), format!("not YAML: {}", error.info()), "correct the syntax"))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn document(mut self) -> Result<Option<Rc<Yaml>>, Rejection> {
        let mut document = None;
        loop {
            let (event, line) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(document),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event if document.is_none() => document = Some(self.value(event, line, 0)?),
                _ => {
                    let message = "a second document begins here, and only one is read";
                    return Err(fault(&self.source.name, Some(line), message, "put it into a file of its own"));
                }
            }
        }
    }

    fn value(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<Rc<Yaml>, Rejection> {
        if depth > MAX_NESTING {
            let message = format!("nested more than {MAX_NESTING} deep");
            return Err(fault(&self.source.name, Some(line), message, "nothing in the configuration is as deep as this"));
        }
        let (kind, anchor) = match event {
            Event::Alias(id) => {
                return self.anchors.get(&id).cloned().ok_or_else(|| {
                    fault(&self.source.name, Some(line), "an alias within its own anchor", "write the value out")
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let null = style == ScalarStyle::Plain && !tagged && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (if null { Kind::Null } else { Kind::Text(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, line) => items.push(self.value(event, line, depth + 1)?),
                    }
                }
                (Kind::List(items), anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let mut entries = Vec::new();
                loop {
                    let (key, line) = match self.next()? {
                        (Event::MappingEnd, _) => break,
                        (event, line) => (self.value(event, line, depth + 1)?, line),
                    };
                    let key = match &key.kind {
                        Kind::Text(text) => text.clone(),
                        Kind::Null => String::new(),
                        Kind::List(_) | Kind::Map(_) => {
                            return Err(fault(
                                &self.source.name,
                                Some(line),
                                "a key must be a text",
                                "write the key on one line",
                            ));
                        }
                    };
                    let (event, value_line) = self.next()?;
                    entries.push((key, line, self.value(event, value_line, depth + 1)?));
                }
                (Kind::Map(entries), anchor)
            }
            _ => return Err(fault(&self.source.name, Some(line), "not YAML: a value is missing", "correct the syntax")),
        };
        let node = Rc::new(Yaml { line, kind });
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

/// Writes shared nodes out, each with its own key, as long as there are not too many.
struct Grower<'a> {
    source: &'a Arc<Source>,
    left: usize,
}

impl Grower<'_> {
    fn grow(&mut self, yaml: &Yaml, key: String, depth: usize) -> Result<Tree, Rejection> {
        let fault = |message: String, remedy| Err(fault(&self.source.name, Some(yaml.line), message, remedy));
        if depth > MAX_NESTING {
            return fault(format!("nested more than {MAX_NESTING} deep"), "nothing in the configuration is as deep as this");
        }
        let Some(left) = self.left.checked_sub(1) else {
            return fault(format!("more than {MAX_NODES} values, aliases followed"), "write fewer aliases, or split the file");
        };
        self.left = left;
        let value = match &yaml.kind {
            Kind::Null => Value::Null,
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => {
                let mut grown = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    grown.push(self.grow(item, self.source.style.join_index(&key, index), depth + 1)?);
                }
                Value::List(grown)
            }
            Kind::Map(entries) => {
                let mut grown = IndexMap::new();
                let mut merged = Vec::new();
                for (name, line, value) in entries {
                    if name == "<<" {
                        merged.push(value.clone());
                        continue;
                    }
                    let child = self.grow(value, self.source.style.join(&key, name), depth + 1)?;
                    let child = Tree { line: Some(*line), ..child };
                    if grown.insert(name.clone(), child).is_some() {
                        let message = format!("the key `{}` is written twice", self.source.style.join(&key, name));
                        return Err(super::fault(&self.source.name, Some(*line), message, "keep one of the two"));
                    }
                }
                for value in merged {
                    self.merge(&value, &key, depth, &mut grown)?;
                }
                Value::Map { own: None, entries: grown }
            }
        };
        Ok(node(self.source, key, yaml.line, value))
    }

    /// `<<`: the keys of `yaml` that are not there yet.
    fn merge(&mut self, yaml: &Yaml, key: &str, depth: usize, into: &mut IndexMap<String, Tree>) -> Result<(), Rejection> {
        match &yaml.kind {
            Kind::Map(_) => {
                let Value::Map { entries, .. } = self.grow(yaml, key.to_owned(), depth + 1)?.value else { return Ok(()) };
                for (name, child) in entries {
                    into.entry(name).or_insert(child);
                }
                Ok(())
            }
            Kind::List(items) => items.iter().try_for_each(|item| match item.kind {
                Kind::Map(_) => self.merge(item, key, depth, into),
                _ => Err(fault(&self.source.name, Some(item.line), "`<<` merges mappings only", "write an alias of a mapping")),
            }),
            _ => Err(fault(&self.source.name, Some(yaml.line), "`<<` merges mappings only", "write an alias of a mapping")),
        }
    }
}
