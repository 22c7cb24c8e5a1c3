//! Units by name, each at a place that it keeps for as long as its name is there.
//!
//! Cheap to copy, as what it is made of is: a unit that comes, goes or changes leaves the others to both copies.

use crate::{map::Map, slots::Slots};
use std::sync::Arc;

/// What knows its place.
pub(super) trait Placed {
    fn place(&self) -> u32;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Places<K, T> {
    by_name: Map<K, Arc<T>>,
    by_place: Slots<Arc<T>>,
    /// Places below `end` that are not taken; the last is taken first.
    free: Arc<Vec<u32>>,
    end: u32,
}

impl<K: Ord + Clone, T: Placed> Places<K, T> {
    pub fn get(&self, name: &K) -> Option<&Arc<T>> {
        self.by_name.get(name)
    }

    pub fn at(&self, place: u32) -> Option<&T> {
        self.by_place.get(place).map(|unit| &**unit)
    }

    /// By name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + Clone {
        self.by_name.iter().map(|(_, unit)| &**unit)
    }

    /// By name, to be kept.
    pub fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.by_name.values()
    }

    /// Under which names another unit stands than before, or none: before, and now.
    pub fn changes<'p>(&'p self, before: &'p Self) -> impl Iterator<Item = (Option<&'p T>, Option<&'p T>)> + Clone {
        let changes = self.by_name.changes(&before.by_name, Arc::ptr_eq).into_iter();
        changes.map(|(_, was, is)| (was.map(|unit| &**unit), is.map(|unit| &**unit)))
    }

    /// The place of this name, or the one that it would get.
    pub fn place_for(&self, name: &K) -> u32 {
        let known = self.get(name).map(|unit| unit.place());
        known.or(self.free.last().copied()).unwrap_or(self.end)
    }

    /// At its [`place_for`](Self::place_for).
    pub fn put(&mut self, name: K, unit: Arc<T>) {
        let place = unit.place();
        self.by_place.set(place, Some(unit.clone()));
        let is_new = self.by_name.insert(name, unit).is_none();
        if is_new && place == self.end {
            self.end += 1;
        } else if is_new {
            Arc::make_mut(&mut self.free).pop();
        }
    }

    pub fn remove(&mut self, name: &K) -> Option<Arc<T>> {
        let unit = self.by_name.remove(name)?;
        self.by_place.set(unit.place(), None);
        Arc::make_mut(&mut self.free).push(unit.place());
        Some(unit)
    }

    /// Whether most places are empty, so that it is worth while to give new ones to all.
    pub fn is_sparse(&self) -> bool {
        self.free.len() > 1_000 + 3 * self.by_name.len()
    }
}

impl<K, T> Clone for Places<K, T> {
    fn clone(&self) -> Self {
        let Self { by_name, by_place, free, end } = self;
        Self { by_name: by_name.clone(), by_place: by_place.clone(), free: free.clone(), end: *end }
    }
}

impl<K, T> Default for Places<K, T> {
    fn default() -> Self {
        Self { by_name: Map::new(), by_place: Slots::default(), free: Arc::default(), end: 0 }
    }
}
