//! YAML and TOML.
//!
//! Scalars keep the text that was written (`1.10` stays `1.10`); what they are is for the reader to say. A file is bounded before it is read,
//! while it is read (nesting), and when aliases are followed (nodes), so no file costs more than a multiple of its size.
//!
//! Deliberately absent: Go templates, and reading from disk.

#[cfg(test)]
mod tests;
mod toml;
mod yaml;

use super::{Rejection, Severity, Source, Style, Tree, Value};
use std::sync::Arc;

/// Nodes of a file, aliases followed.
const MAX_NODES: usize = 1_000_000;

/// Nested collections of a file.
const MAX_NESTING: usize = super::tree::MAX_DEPTH;

/// Which language a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Yaml,
    Toml,
}

impl Format {
    /// By the end of a file's name: `.yaml`, `.yml`, `.toml`, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// The tree of a file's text. `name` is the path in messages; a text of more than `limit` bytes is refused.
pub fn parse(text: &str, format: Format, name: &str, limit: usize) -> Result<Tree, Rejection> {
    let source = Arc::new(Source { name: name.to_owned(), style: Style::File });
    if text.len() > limit {
        return Err(fault(
            name,
            None,
            format!("the file has {} bytes, and at most {limit} are read", text.len()),
            "split the configuration over several files of a directory",
        ));
    }
    match format {
        Format::Yaml => yaml::parse(text, &source),
        Format::Toml => toml::parse(text, &source),
    }
}

/// What is wrong with a file as a whole.
fn fault(name: &str, line: Option<u32>, message: impl Into<String>, remedy: &str) -> Rejection {
    let source = line.map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    Rejection { severity: Severity::Error, source, key: String::new(), message: message.into(), remedy: remedy.to_owned() }
}

/// A node of a file.
fn node(source: &Arc<Source>, key: String, line: u32, value: Value) -> Tree {
    Tree { source: source.clone(), key, line: Some(line), value }
}
