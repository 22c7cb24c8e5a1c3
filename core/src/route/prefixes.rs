//! Path prefixes: all that a path begins with, found by one binary search.
//!
//! Prefixes are sorted; each knows the longest other one that it begins with. Whatever lies between a prefix and a path that begins
//! with it, begins with it too: so the last entry not after the path leads, from parent to parent, to every prefix of the path.

use super::{Rank, Ranks};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes(Arc<[Entry]>);

#[derive(Clone, Debug)]
struct Entry {
    prefix: Arc<str>,
    parent: Option<u32>,
    ranks: Ranks,
}

impl Prefixes {
    /// With these edits, of distinct prefixes in ascending order. `apply` tells whether a list has anything left.
    pub fn edited<E>(&self, edits: Vec<(&str, E)>, apply: impl Fn(E, &mut Ranks) -> bool) -> Self {
        let mut entries = Vec::with_capacity(self.0.len() + edits.len());
        let mut known = self.0.iter().peekable();
        for (prefix, edit) in edits {
            while let Some(entry) = known.next_if(|entry| &*entry.prefix < prefix) {
                entries.push(entry.clone());
            }
            let mut entry = match known.next_if(|entry| &*entry.prefix == prefix) {
                Some(entry) => entry.clone(),
                None => Entry { prefix: prefix.into(), parent: None, ranks: Ranks::new() },
            };
            if apply(edit, &mut entry.ranks) {
                entries.push(entry);
            }
        }
        entries.extend(known.cloned());
        Self::linked(entries)
    }

    fn linked(mut entries: Vec<Entry>) -> Self {
        let mut open: Vec<u32> = Vec::new();
        for at in 0..entries.len() {
            let (before, rest) = entries.split_at_mut(at);
            let Some(entry) = rest.first_mut() else { break };
            while open.last().is_some_and(|last| !entry.prefix.starts_with(&*before[*last as usize].prefix)) {
                open.pop();
            }
            entry.parent = open.last().copied();
            // More than four billion do not fit into memory.
            open.push(u32::try_from(at).unwrap_or(u32::MAX));
        }
        Self(entries.into())
    }

    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Rank])> {
        self.0.iter().map(|entry| (&*entry.prefix, &*entry.ranks))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The routers of every prefix of this path, the longest first.
    pub fn of(&self, path: &str) -> impl Iterator<Item = &[Rank]> {
        let parent = |entry: &&Entry| entry.parent.map(|at| &self.0[at as usize]);
        let after = self.0.partition_point(|entry| &*entry.prefix <= path);
        let mut longest = after.checked_sub(1).map(|at| &self.0[at]);
        while let Some(entry) = longest.filter(|entry| !path.starts_with(&*entry.prefix)) {
            longest = parent(&entry);
        }
        std::iter::successors(longest, parent).map(|entry| &*entry.ranks)
    }
}
