//! From a tree to typed values: a serde deserializer that goes on after a mistake.
//!
//! Every mistake is recorded with its place and a stand-in value is handed on, so one reading finds them all; the value is thrown away if there
//! was any. Option names are compared without regard to case; texts become numbers, booleans and durations as Traefik reads them.
//!
//! Deliberately absent: what a value means. Types that need more than a shape are read as text and judged by `resolve`.

mod marks;
#[cfg(test)]
mod tests;

pub(super) use marks::{Ignored, Misplaced, Old, Span, Switch, Unsupported};

use super::{
    Rejection, Severity, Style, Tree, Value,
    tree::{index_order, is_indexed, switches_on},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use std::{cell::RefCell, fmt, time::Duration};

/// Reads a `T`. `None` if something in it is wrong; whatever was found, warnings too, is in the list.
pub(super) fn read<T: for<'de> Deserialize<'de>>(tree: &Tree) -> (Option<T>, Vec<Rejection>) {
    let problems = RefCell::new(Vec::new());
    let read = T::deserialize(Node { tree, alone: false, problems: &problems });
    let mut problems = problems.into_inner();
    let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    match read {
        Ok(value) if !wrong => (Some(value), problems),
        Ok(_) => (None, problems),
        Err(Unread(message)) => {
            if !wrong {
                problems.push(tree.reject(Severity::Error, message, "correct the value"));
            }
            (None, problems)
        }
    }
}

/// `duration` as Traefik reads one: a whole number is seconds; else numbers with the units ns, us, ms, s, m, h.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1_000_000_000);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&end| end > 0)?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
        total = total.checked_add(whole.checked_mul(nanos)?)?;
        let mut scale = nanos;
        for digit in fraction.bytes() {
            scale /= 10;
            total = total.checked_add(i64::from(digit - b'0') * scale)?;
        }
        rest = tail;
    }
    Some(if negative { -total } else { total })
}

/// The known name nearest to `name`, if one is near, or the only one that `name` is a part of.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let mut whole = known.clone().into_iter().filter(|candidate| lower.len() > 3 && candidate.to_lowercase().contains(&lower));
    if let (Some(only), None) = (whole.next(), whole.next()) {
        return Some(only);
    }
    let near =
        known.into_iter().map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)).min()?;
    (near.0 <= 1 + lower.chars().count() / 4 && near.0 < near.1.len()).then_some(near.1)
}

/// A remedy for a name that is not known: the nearest one, or all of them if they are few.
pub(crate) fn remedy_for_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean `{near}`?");
    }
    let mut names: Vec<&str> = known.into_iter().collect();
    names.sort_unstable();
    match names.len() {
        0 => "remove it".to_owned(),
        1..=30 => format!("known here: {}", names.join(", ")),
        _ => format!("remove it; known here are for instance {}", names[..12].join(", ")),
    }
}

/// A text of a message: short, and without control characters.
pub(crate) fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

/// Why serde stopped. Only types that judge by themselves bring it about; everything here goes on.
#[derive(Debug)]
struct Unread(String);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unread {}

impl de::Error for Unread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    tree: &'a Tree,
    /// A struct may be written here as `true` or nothing.
    alone: bool,
    problems: &'a RefCell<Vec<Rejection>>,
}

impl<'a> Node<'a> {
    fn at(self, tree: &'a Tree) -> Self {
        Self { tree, alone: false, ..self }
    }

    fn problem(self, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.borrow_mut().push(self.tree.reject(Severity::Error, message, remedy));
    }

    fn warning(self, message: impl Into<String>, remedy: impl Into<String>) {
        self.problems.borrow_mut().push(self.tree.reject(Severity::Warning, message, remedy));
    }

    /// The scalar here, or a problem.
    fn scalar(self, expected: &str) -> Option<&'a str> {
        match &self.tree.value {
            Value::Text(text) => Some(text),
            Value::Map { own: Some(text), .. } => Some(text),
            // A flag given twice: the last one counts.
            Value::List(items) if self.tree.source.style == Style::Flags => {
                items.last().and_then(|item| self.at(item).scalar(expected))
            }
            Value::Unreadable { message, remedy } => {
                self.problem(message, remedy);
                None
            }
            Value::Null | Value::List(_) | Value::Map { .. } => {
                self.problem(format!("expected {expected}, found {}", self.shape()), format!("write {expected}"));
                None
            }
        }
    }

    fn shape(self) -> &'static str {
        match &self.tree.value {
            Value::Null => "nothing",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map { .. } => "keys below it",
            Value::Unreadable { .. } => "something unreadable",
        }
    }

    fn parsed<T: Default>(self, expected: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(text) = self.scalar(expected) else { return T::default() };
        parse(text).unwrap_or_else(|| {
            self.problem(format!("expected {expected}, found {}", quote(text)), format!("write {expected}"));
            T::default()
        })
    }

    fn integer<T: Default + std::str::FromStr + TryFrom<i64>>(self, expected: &str) -> T {
        self.parsed(expected, |text| text.strip_prefix('+').unwrap_or(text).parse().ok())
    }

    fn boolean(self) -> bool {
        self.parsed("true or false", |text| match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
            _ => None,
        })
    }

    fn nanoseconds(self) -> i64 {
        self.parsed("a duration such as 30s, 1m30s or 250ms (a bare number is seconds)", parse_duration)
    }

    /// Keys below, for a struct or a map.
    fn entries(self) -> Vec<(&'a str, &'a Tree)> {
        match &self.tree.value {
            Value::Map { .. } => self.tree.children().collect(),
            Value::Null => Vec::new(),
            Value::Text(text) if self.alone && switches_on(text) => Vec::new(),
            Value::Unreadable { message, remedy } => {
                self.problem(message, remedy);
                Vec::new()
            }
            Value::Text(_) | Value::List(_) => {
                self.problem(format!("expected keys below it, found {}", self.shape()), "give it the keys that it needs");
                Vec::new()
            }
        }
    }
}

macro_rules! number {
    ($($method:ident $visit:ident $type:ty, $expected:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
            visitor.$visit(self.integer::<$type>($expected))
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Unread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_str(self.scalar("a text").unwrap_or_default())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_bool(self.boolean())
    }

    number! {
        deserialize_i32 visit_i32 i32, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number, not negative, below 4294967296";
        deserialize_u64 visit_u64 u64, "a whole number, not negative";
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        visitor.visit_f64(self.parsed("a number", |text| text.parse().ok().filter(|number: &f64| number.is_finite())))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        match self.tree.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Unread> {
        match name {
            marks::SPAN => visitor.visit_i64(self.nanoseconds()),
            marks::UNSUPPORTED => {
                self.problem("known, but not supported yet", "remove it, or use another means until it is");
                visitor.visit_unit()
            }
            marks::OLD => {
                let (message, remedy) = marks::old(&self.tree.key);
                self.problem(message, remedy);
                visitor.visit_unit()
            }
            marks::MISPLACED => {
                self.problem(
                    "belongs to the dynamic configuration, and this is the static one",
                    "put it into a file of its own, and name that in `providers.file.filename`",
                );
                visitor.visit_unit()
            }
            marks::IGNORED => {
                self.warning("accepted for compatibility, without effect here", "remove it");
                visitor.visit_unit()
            }
            marks::SWITCH => {
                let own = match &self.tree.value {
                    Value::Text(text) | Value::Map { own: Some(text), .. } => Some(text.trim()),
                    _ => None,
                };
                match own {
                    Some(text) if text.eq_ignore_ascii_case("false") => visitor.visit_none(),
                    Some(text) if !switches_on(text) => {
                        self.problem(
                            format!("expected true, false, nothing or keys below it, found {}", quote(text)),
                            "write true to switch it on with its defaults",
                        );
                        visitor.visit_none()
                    }
                    _ => visitor.visit_some(Self { alone: true, ..self }),
                }
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        let trees: Vec<Tree> = match &self.tree.value {
            Value::Null => Vec::new(),
            Value::Text(text) => self.split(text),
            Value::Map { own: Some(text), entries } if entries.is_empty() => self.split(text),
            // A flag given several times; a file's list keeps its commas.
            Value::List(items) if self.tree.source.style == Style::Flags => {
                let texts = items.iter().filter_map(|item| item.text(&[]));
                texts.flat_map(|text| self.split(text)).collect()
            }
            Value::List(items) => items.iter().filter(|item| item.value != Value::Null).cloned().collect(),
            Value::Map { entries, .. } if is_indexed(entries) => {
                let mut items: Vec<(&String, &Tree)> = entries.iter().collect();
                items.sort_by_key(|(index, _)| index_order(index));
                items.into_iter().map(|(_, item)| item.clone()).collect()
            }
            Value::Map { entries, .. } if entries.is_empty() => Vec::new(),
            Value::Unreadable { message, remedy } => {
                self.problem(message, remedy);
                Vec::new()
            }
            Value::Map { .. } => {
                let first = self.tree.children().next().map_or("", |(name, _)| name);
                self.problem(
                    format!("expected a list, found the key {}", quote(first)),
                    format!("number its elements from 0, as in `{}`", self.tree.source.style.join_index(&self.tree.key, 0)),
                );
                Vec::new()
            }
        };
        visitor.visit_seq(Items { trees: trees.iter(), problems: self.problems })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unread> {
        let entries = self.entries();
        visitor.visit_map(Entries { entries: entries.into_iter(), value: None, problems: self.problems })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unread> {
        let mut known: Vec<(&str, &Tree)> = Vec::new();
        for (name, child) in self.entries() {
            let Some(&field) = fields.iter().find(|field| field.eq_ignore_ascii_case(name)) else {
                self.at(child).problem(format!("unknown key {}", quote(name)), remedy_for_name(name, fields.iter().copied()));
                continue;
            };
            if known.iter().any(|(other, _)| *other == field) {
                self.at(child).problem(format!("`{field}` is written twice"), "keep one of the two spellings");
                continue;
            }
            known.push((field, child));
        }
        visitor.visit_map(Entries { entries: known.into_iter(), value: None, problems: self.problems })
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char str string bytes byte_buf unit unit_struct tuple tuple_struct enum identifier ignored_any
    }
}

impl Node<'_> {
    fn split(self, text: &str) -> Vec<Tree> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        pieces.map(|piece| Tree { value: Value::Text(piece.to_owned()), ..self.bare() }).collect()
    }

    fn bare(self) -> Tree {
        Tree { source: self.tree.source.clone(), key: self.tree.key.clone(), line: self.tree.line, value: Value::Null }
    }
}

struct Items<'a> {
    trees: std::slice::Iter<'a, Tree>,
    problems: &'a RefCell<Vec<Rejection>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Unread;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unread> {
        let Some(tree) = self.trees.next() else { return Ok(None) };
        seed.deserialize(Node { tree, alone: false, problems: self.problems }).map(Some)
    }
}

struct Entries<'a, I> {
    entries: I,
    value: Option<&'a Tree>,
    problems: &'a RefCell<Vec<Rejection>>,
}

impl<'a, 'de, I: Iterator<Item = (&'a str, &'a Tree)>> MapAccess<'de> for Entries<'a, I> {
    type Error = Unread;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unread> {
        let Some((name, tree)) = self.entries.next() else { return Ok(None) };
        self.value = Some(tree);
        seed.deserialize(de::value::StrDeserializer::<Unread>::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unread> {
        let Some(tree) = self.value.take() else { return Err(Unread("a value was asked for before its key".to_owned())) };
        seed.deserialize(Node { tree, alone: false, problems: self.problems })
    }
}

/// Nanoseconds as a duration; negative as none.
fn duration(nanos: i64) -> Duration {
    u64::try_from(nanos).map_or(Duration::ZERO, Duration::from_nanos)
}
