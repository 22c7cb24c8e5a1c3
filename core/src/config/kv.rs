//! KV stores: `<root>/http/routers/web/rule`.
//!
//! Anyone who may write to the store may write anything, so nothing here fails: what cannot be read spoils the one unit that it belongs to.

mod decoder;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;

use super::{
    Rejection, Severity, Source, Style, Tree, Value,
    tree::{Builder, MAX_DEPTH},
};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a value; the certificates of a busy host fit.
const MAX_VALUE: usize = 1 << 20;

/// Bytes of a key.
const MAX_KEY: usize = 4096;

/// Segments that name a unit, as in `http/routers/web`.
const UNIT: usize = 3;

/// The tree of the pairs below `root`. `name` is the store in messages. Pairs outside `root`, the key `root` itself, and locks are passed over.
///
/// Names that differ in case only are one, spelled as the first in byte order is.
pub fn tree<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, root: &str, name: &str) -> (Tree, Vec<Rejection>) {
    tree_of(pairs, root, Arc::new(Source { name: name.to_owned(), style: Style::Kv }))
}

fn tree_of<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, root: &str, source: Arc<Source>) -> (Tree, Vec<Rejection>) {
    let root = root.trim_matches('/');
    let mut builder = Builder::of(source, root);
    let mut rejections = Vec::new();
    let sorted: BTreeMap<&[u8], &[u8]> = pairs.collect();
    for (key, value) in sorted {
        let key = key.strip_prefix(b"/").unwrap_or(key);
        let Some(below) = key.strip_prefix(root.as_bytes()).and_then(|below| below.strip_prefix(b"/")) else { continue };
        if is_lock(key) {
            continue;
        }
        let whole = String::from_utf8_lossy(&key[..key.len().min(MAX_KEY)]);
        let text = String::from_utf8_lossy(&below[..below.len().min(MAX_KEY)]);
        let path: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
        if path.is_empty() {
            continue;
        }
        let fault = fault_of(below, value, &path);
        let value = match fault {
            None => Value::Text(String::from_utf8_lossy(value).into_owned()),
            Some((message, remedy)) => {
                let dots = path.iter().position(|segment| is_dots(segment)).unwrap_or(path.len());
                if path.len() <= UNIT || dots < UNIT {
                    let key = whole.escape_debug().to_string();
                    let rejection = builder.root().reject(Severity::Error, message, remedy);
                    rejections.push(Rejection { key, ..rejection });
                    continue;
                }
                Value::Unreadable { message, remedy }
            }
        };
        let (path, key) = if matches!(value, Value::Unreadable { .. }) {
            // Where it stands does not matter below the unit, and its name may be what is wrong.
            (&path[..path.len().min(UNIT + 1)], None)
        } else {
            (&path[..], Some(whole.as_ref()))
        };
        builder.insert(path, key, value);
    }
    (builder.finish(), rejections)
}

/// What clients keep beside their data.
fn is_lock(key: &[u8]) -> bool {
    memchr::memmem::find(key, b"___lock").is_some()
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn fault_of(key: &[u8], value: &[u8], path: &[&str]) -> Option<(String, String)> {
    let fault = |message: String, remedy: &str| Some((message, remedy.to_owned()));
    if std::str::from_utf8(key).is_err() {
        fault("the key is not UTF-8".to_owned(), "write it again as text")
    } else if key.len() > MAX_KEY {
        fault(format!("the key has {} bytes, and at most {MAX_KEY} are read", key.len()), "choose a shorter name")
    } else if path.len() > MAX_DEPTH {
        fault(format!("the key has more than {MAX_DEPTH} parts"), "nothing in the configuration is as deep as this")
    } else if path.iter().any(|segment| is_dots(segment)) {
        fault("`.` and `..` are not names".to_owned(), "write the key without them")
    } else if value.len() > MAX_VALUE {
        fault(
            format!("the value has {} bytes, and at most {MAX_VALUE} are read", value.len()),
            "keep it in a file, and name the file",
        )
    } else if std::str::from_utf8(value).is_err() {
        fault("the value is not UTF-8".to_owned(), "write it again as text")
    } else {
        None
    }
}
