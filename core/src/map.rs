//! An ordered map that is cheap to copy, and cheap to compare with what it was copied from.
//!
//! Entries lie in chunks that copies share. A change copies one chunk and the list of them, so what it costs hardly grows with the map;
//! and two maps of which one came from the other differ only where their chunks do.

#[cfg(test)]
mod tests;

use std::{borrow::Borrow, fmt, iter::FlatMap, ops::Index, sync::Arc, vec};

/// Entries of a chunk at most.
const CHUNK: usize = 64;

type Chunk<K, V> = Arc<Vec<(K, V)>>;
/// How the entries of a chunk are had.
type Entries<K, V> = fn(Chunk<K, V>) -> Vec<(K, V)>;

/// See the module.
pub struct Map<K, V> {
    /// None is empty.
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

/// What became of one key: its value before, and now.
pub type Change<'m, K, V> = (&'m K, Option<&'m V>, Option<&'m V>);

impl<K, V> Map<K, V> {
    /// Without entries.
    pub fn new() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this is a copy of the other, and neither has changed since.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.chunks, &other.chunks) || self.len + other.len == 0
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// In the order of keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { chunks: self.chunks.iter(), entries: [].iter(), left: self.len }
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> Map<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key)?)?;
        let at = place(chunk, key).ok()?;
        chunk.get(at).map(|(key, value)| (key, value))
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Keys whose value is not `same` as before, in order.
    pub fn changes<'m>(&'m self, before: &'m Self, same: impl Fn(&V, &V) -> bool) -> Vec<Change<'m, K, V>> {
        let mut changes = Vec::new();
        if self.is_copy_of(before) {
            return changes;
        }
        let (mut old, mut new) = (Walk::of(before), Walk::of(self));
        loop {
            if old.skip_shared(&mut new) {
                continue;
            }
            let order = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let was = if order.is_le() { old.step() } else { None };
            let is = if order.is_ge() { new.step() } else { None };
            match (was, is) {
                (Some((_, was)), Some((_, is))) if same(was, is) => {}
                (was, is) => {
                    changes.extend(is.or(was).map(|(key, _)| (key, was.map(|(_, value)| value), is.map(|(_, value)| value))))
                }
            }
        }
    }

    /// The last chunk that begins at or before `key`.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(|(first, _)| first.borrow() <= key)).checked_sub(1)
    }
}

fn place<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(other, _)| other.borrow().cmp(key))
}

impl<K: Ord, V> Map<K, Arc<V>> {
    /// Whether keys and values are the other's very own.
    pub fn holds_those_of(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other, Arc::ptr_eq).is_empty()
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// The value that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let chunks = Arc::make_mut(&mut self.chunks);
        // As `chunk_of`; what comes before everything goes to the first.
        let at = chunks.partition_point(|chunk| chunk.first().is_some_and(|(first, _)| *first <= key)).saturating_sub(1);
        let is_last = at + 1 == chunks.len();
        let Some(chunk) = chunks.get_mut(at) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return None;
        };
        let place = match place(chunk, &key) {
            Ok(place) => return Some(std::mem::replace(&mut Arc::make_mut(chunk)[place].1, value)),
            Err(place) => place,
        };
        self.len += 1;
        if chunk.len() < CHUNK {
            Arc::make_mut(chunk).insert(place, (key, value));
        } else if is_last && place == CHUNK {
            chunks.push(Arc::new(vec![(key, value)]));
        } else {
            let entries = Arc::make_mut(chunk);
            let mut upper = entries.split_off(CHUNK / 2);
            match place.checked_sub(CHUNK / 2) {
                Some(place) => upper.insert(place, (key, value)),
                None => entries.insert(place, (key, value)),
            }
            chunks.insert(at + 1, Arc::new(upper));
        }
        None
    }

    /// The value that was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key)?;
        let place = place(self.chunks.get(at)?, key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let (_, value) = Arc::make_mut(chunks.get_mut(at)?).remove(place);
        self.len -= 1;
        let left = chunks[at].len();
        if left == 0 {
            chunks.remove(at);
        } else if chunks.get(at + 1).is_some_and(|next| left + next.len() <= CHUNK / 2) {
            let next = chunks.remove(at + 1);
            Arc::make_mut(&mut chunks[at]).extend(next.iter().cloned());
        }
        Some(value)
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    /// Of two values of one key the last stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        // Stable: what came last of a key is last.
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        let len = entries.len();
        let mut entries = entries.into_iter();
        // Not full, so that what is added soon does not divide them.
        let chunk = |_| Arc::new(entries.by_ref().take(CHUNK * 3 / 4).collect());
        Self { chunks: Arc::new((0..len.div_ceil(CHUNK * 3 / 4)).map(chunk).collect()), len }
    }
}

impl<K: Ord + Clone, V: Clone> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changes(other, PartialEq::eq).is_empty()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("no entry found for key")
    }
}

impl<'m, K, V> IntoIterator for &'m Map<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Iter<'m, K, V> {
        self.iter()
    }
}

impl<K: Clone, V: Clone> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = FlatMap<vec::IntoIter<Chunk<K, V>>, Vec<(K, V)>, Entries<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        let entries: Entries<K, V> = Arc::unwrap_or_clone;
        Arc::unwrap_or_clone(self.chunks).into_iter().flat_map(entries)
    }
}

/// See [`Map::iter`].
pub struct Iter<'m, K, V> {
    chunks: std::slice::Iter<'m, Chunk<K, V>>,
    entries: std::slice::Iter<'m, (K, V)>,
    left: usize,
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                self.left -= 1;
                return Some((key, value));
            }
            self.entries = self.chunks.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), entries: self.entries.clone(), left: self.left }
    }
}

/// A place in a map: the chunks from here on, and how far into the first.
struct Walk<'m, K, V> {
    chunks: &'m [Chunk<K, V>],
    at: usize,
}

impl<'m, K, V> Walk<'m, K, V> {
    fn of(map: &'m Map<K, V>) -> Self {
        Self { chunks: &map.chunks, at: 0 }
    }

    /// Passes over a chunk that both have.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        match (self.chunks, other.chunks) {
            ([a, rest @ ..], [b, others @ ..]) if self.at + other.at == 0 && Arc::ptr_eq(a, b) => {
                (self.chunks, other.chunks) = (rest, others);
                true
            }
            _ => false,
        }
    }

    fn peek(&self) -> Option<(&'m K, &'m V)> {
        self.chunks.first()?.get(self.at).map(|(key, value)| (key, value))
    }

    fn step(&mut self) -> Option<(&'m K, &'m V)> {
        let entry = self.peek();
        self.at += 1;
        if self.chunks.first().is_some_and(|chunk| self.at >= chunk.len()) {
            (self.chunks, self.at) = (&self.chunks[1..], 0);
        }
        entry
    }
}
