//! TOML.

use super::{MAX_NESTING, fault, node};
use crate::config::{Rejection, Source, Tree, Value};
use indexmap::IndexMap;
use std::sync::Arc;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The tree of `text`.
pub(super) fn parse(text: &str, source: &Arc<Source>) -> Result<Tree, Rejection> {
    let lines = Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect());
    // Dotted keys nest without brackets; the parser's own bound does not count them.
    if let Some(line) = text
        .lines()
        .position(|line| line.split(['=', '"', '\'', '#']).next().is_some_and(|key| key.split('.').count() > MAX_NESTING))
    {
        let line = u32::try_from(line + 1).ok();
        return Err(fault(
            &source.name,
            line,
            format!("a key of more than {MAX_NESTING} parts"),
            "nothing in the configuration is as deep as this",
        ));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| lines.of(span.start));
        fault(&source.name, line, format!("not TOML: {}", error.message()), "correct the syntax")
    })?;
    let value = grow_table(table.get_ref(), "", 0, source, &lines)?;
    Ok(node(source, String::new(), 1, value))
}

/// Offsets of line ends.
struct Lines(Vec<usize>);

impl Lines {
    fn of(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|end| *end < offset) + 1).unwrap_or(u32::MAX)
    }
}

fn grow_table(table: &DeTable<'_>, key: &str, depth: usize, source: &Arc<Source>, lines: &Lines) -> Result<Value, Rejection> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let mut grown = IndexMap::new();
    for (name, value) in entries {
        let key = source.style.join(key, name.get_ref());
        let line = lines.of(name.span().start);
        let value = grow(value, &key, depth + 1, source, lines)?;
        grown.insert(name.get_ref().to_string(), node(source, key, line, value));
    }
    Ok(Value::Map { own: None, entries: grown })
}

fn grow(value: &Spanned<DeValue<'_>>, key: &str, depth: usize, source: &Arc<Source>, lines: &Lines) -> Result<Value, Rejection> {
    let line = lines.of(value.span().start);
    if depth > MAX_NESTING {
        let message = format!("nested more than {MAX_NESTING} deep");
        return Err(fault(&source.name, Some(line), message, "nothing in the configuration is as deep as this"));
    }
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Text(number.to_string()),
            Err(_) => Value::Text(number.to_string()),
        },
        DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Text(truth.to_string()),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            let mut grown = Vec::new();
            for (index, item) in items.iter().enumerate() {
                let key = source.style.join_index(key, index);
                let value = grow(item, &key, depth + 1, source, lines)?;
                grown.push(node(source, key, lines.of(item.span().start), value));
            }
            Value::List(grown)
        }
        DeValue::Table(table) => grow_table(table, key, depth, source, lines)?,
    })
}
