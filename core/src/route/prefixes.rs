//! Path prefixes: all that a path begins with, found by one binary search.
//!
//! Prefixes are sorted; each knows the longest other one that it begins with. Whatever lies between a prefix and a path that begins
//! with it, begins with it too: so the last entry not after the path leads, from parent to parent, to every prefix of the path.

use super::Ranks;

#[derive(Debug, Default)]
pub(super) struct Prefixes(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    prefix: Box<str>,
    parent: Option<u32>,
    ranks: Ranks,
}

impl Prefixes {
    /// From distinct prefixes in ascending order.
    pub fn build(sorted: Vec<(&str, Ranks)>) -> Self {
        let mut entries: Vec<Entry> = Vec::with_capacity(sorted.len());
        let mut open: Vec<u32> = Vec::new();
        for (at, (prefix, ranks)) in (0..).zip(sorted) {
            while open.last().is_some_and(|last| !prefix.starts_with(&*entries[*last as usize].prefix)) {
                open.pop();
            }
            entries.push(Entry { prefix: prefix.into(), parent: open.last().copied(), ranks });
            open.push(at);
        }
        Self(entries)
    }

    /// The ranks of every prefix of this path, the longest first.
    pub fn of(&self, path: &str) -> impl Iterator<Item = &[u32]> {
        let parent = |entry: &&Entry| entry.parent.map(|at| &self.0[at as usize]);
        let after = self.0.partition_point(|entry| &*entry.prefix <= path);
        let mut longest = after.checked_sub(1).map(|at| &self.0[at]);
        while let Some(entry) = longest.filter(|entry| !path.starts_with(&*entry.prefix)) {
            longest = parent(&entry);
        }
        std::iter::successors(longest, parent).map(|entry| &*entry.ranks)
    }
}
