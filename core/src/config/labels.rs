//! Labels: `traefik.http.routers.web.rule`.
//!
//! Deliberately absent: what a label means to a provider (`traefik.enable`, ports, networks), and which of several services owns a name.

#[cfg(test)]
mod tests;

use super::{
    Rejection, Severity, Style, Tree, Value,
    tree::{Builder, MAX_DEPTH},
};
use std::collections::BTreeMap;

/// The tree of the labels below `root` (`traefik`). `name` is their owner in messages. Other labels are passed over.
///
/// Names that differ in case only are one, spelled as the first in byte order is.
pub fn tree<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, root: &str, name: &str) -> (Tree, Vec<Rejection>) {
    let mut builder = Builder::new(name, Style::Labels, root);
    let mut rejections = Vec::new();
    let sorted: BTreeMap<&str, &str> = labels.collect();
    for (label, value) in sorted {
        let Some((head, below)) = label.split_once('.') else { continue };
        if !head.eq_ignore_ascii_case(root) {
            continue;
        }
        rejections.extend(put(&mut builder, label, below, value));
    }
    (builder.finish(), rejections)
}

/// Puts one label's value where its name below the root says. A name that cannot be read spoils what it belongs to as far as it can; the
/// rejection returned belongs to nothing.
pub(crate) fn put(builder: &mut Builder, label: &str, below: &str, value: &str) -> Option<Rejection> {
    let message = match segments(below) {
        Ok(path) => {
            builder.insert(&path, Some(label), Value::Text(value.to_owned()));
            return None;
        }
        Err(message) => message,
    };
    let readable: Vec<&str> = below.split(['.', '[']).take_while(|part| !part.is_empty()).take(4).collect();
    let remedy = "write names separated by single dots";
    if readable.len() < 3 {
        let rejection = builder.root().reject(Severity::Error, message, remedy);
        return Some(Rejection { key: label.to_owned(), ..rejection });
    }
    builder.insert(&readable, Some(label), Value::Unreadable { message, remedy: remedy.to_owned() });
    None
}

/// `a.b[0].c` in parts: a, b, 0, c.
pub(crate) fn segments(key: &str) -> Result<Vec<&str>, String> {
    let mut path = Vec::new();
    for part in key.split('.') {
        let (name, indexes) = match part.find('[') {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        if name.is_empty() {
            return Err("a part of the name is empty".to_owned());
        }
        path.push(name);
        for index in indexes.split_terminator(']') {
            match index.strip_prefix('[') {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => path.push(digits),
                _ => return Err(format!("expected an index such as [0] in `{part}`")),
            }
        }
        if !indexes.is_empty() && !indexes.ends_with(']') {
            return Err(format!("expected an index such as [0] in `{part}`"));
        }
    }
    if path.len() > MAX_DEPTH {
        return Err(format!("the name has more than {MAX_DEPTH} parts"));
    }
    Ok(path)
}
