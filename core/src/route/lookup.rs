//! A map for look-ups by text that is cheap to copy.
//!
//! Keys are spread over shards by their hash, which is the same in every run; copies share the shards that neither has changed. A change copies
//! one shard and the list of them. The number of shards follows the number of keys, so that a shard holds some dozens.

#[cfg(test)]
mod tests;

use hashbrown::HashTable;
use std::{
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::Arc,
};

/// Keys for each shard, at which there are twice as many shards.
const MANY: usize = 64;
/// Keys for each shard, at which there are half as many.
const FEW: usize = 8;

type Shard<V> = HashTable<(Arc<str>, V)>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Lookup<V> {
    /// As many as a power of two, or none.
    shards: Arc<[Arc<Shard<V>>]>,
    len: usize,
}

impl<V> Lookup<V> {
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn get(&self, key: &str) -> Option<&V> {
        if self.is_empty() {
            return None;
        }
        let hash = hash(key);
        let shard = self.shards.get(shard_of(hash, self.shards.len()))?;
        shard.find(hash, |(other, _)| **other == *key).map(|(_, value)| value)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many shards are not the other's.
    #[cfg(test)]
    pub fn shards_apart(&self, other: &Self) -> usize {
        self.shards.iter().filter(|shard| !other.shards.iter().any(|other| Arc::ptr_eq(shard, other))).count()
    }

    /// In no order that means anything.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(key, value)| (&**key, value)))
    }
}

impl<V: Clone + Default> Lookup<V> {
    /// Changes the value of a key, the default where it has none. `change` tells whether the key stays.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut V) -> bool) {
        if self.shards.is_empty() {
            self.shards = [Arc::default()].into();
        }
        let hash = hash(key);
        let at = shard_of(hash, self.shards.len());
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[at]);
        match shard.find_entry(hash, |(other, _)| **other == *key) {
            Ok(mut entry) => {
                if !change(&mut entry.get_mut().1) {
                    entry.remove();
                    self.len -= 1;
                }
            }
            Err(_) => {
                let mut value = V::default();
                if change(&mut value) {
                    shard.insert_unique(hash, (key.into(), value), |(key, _)| self::hash(key));
                    self.len += 1;
                }
            }
        }
        match self.shards.len() {
            shards if self.len > shards * MANY => self.spread(shards * 2),
            shards if shards > 1 && self.len < shards * FEW => self.spread(shards / 2),
            _ => {}
        }
    }

    /// Over so many shards.
    fn spread(&mut self, count: usize) {
        let mut shards: Vec<Shard<V>> = (0..count).map(|_| Shard::with_capacity(self.len.div_ceil(count))).collect();
        for shard in Arc::make_mut(&mut self.shards) {
            for (key, value) in Arc::unwrap_or_clone(std::mem::take(shard)) {
                let hash = hash(&key);
                shards[shard_of(hash, count)].insert_unique(hash, (key, value), |(key, _)| self::hash(key));
            }
        }
        self.shards = shards.into_iter().map(Arc::new).collect();
    }
}

fn hash(key: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

/// By bits that the table within the shard does not place by.
fn shard_of(hash: u64, shards: usize) -> usize {
    (hash >> 32) as usize & (shards - 1)
}

impl<V> Default for Lookup<V> {
    fn default() -> Self {
        Self { shards: Arc::default(), len: 0 }
    }
}

impl<V: fmt::Debug> fmt::Debug for Lookup<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<_> = self.shards.iter().flat_map(|shard| shard.iter()).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        f.debug_map().entries(entries.into_iter().map(|(key, value)| (key, value))).finish()
    }
}
