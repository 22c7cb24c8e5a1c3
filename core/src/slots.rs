//! An array that is cheap to copy, some of whose places are empty.
//!
//! Places lie in chunks that copies share. A change copies one chunk and the list of them; looking up is two steps, whatever the size.

#[cfg(test)]
mod tests;

use std::{array, fmt, ops::Index, sync::Arc};

/// Places of a chunk.
const CHUNK: usize = 64;

type Chunk<T> = Arc<[Option<T>; CHUNK]>;

/// See the module.
pub struct Slots<T> {
    chunks: Arc<Vec<Chunk<T>>>,
}

impl<T> Slots<T> {
    pub fn get(&self, place: u32) -> Option<&T> {
        let place = place as usize;
        self.chunks.get(place / CHUNK)?[place % CHUNK].as_ref()
    }

    /// Every value, in the order of places.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().flatten())
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, place: u32) -> &T {
        self.get(place).expect("nothing is at this place")
    }
}

impl<T: Clone> Slots<T> {
    /// `None` leaves the place empty.
    pub fn set(&mut self, place: u32, value: Option<T>) {
        let place = place as usize;
        let chunks = Arc::make_mut(&mut self.chunks);
        while value.is_some() && chunks.len() <= place / CHUNK {
            chunks.push(Arc::new(array::from_fn(|_| None)));
        }
        let Some(chunk) = chunks.get_mut(place / CHUNK) else { return };
        Arc::make_mut(chunk)[place % CHUNK] = value;
        // Places far up that nobody needs any more take no room.
        while chunks.last().is_some_and(|chunk| chunk.iter().all(Option::is_none)) {
            chunks.pop();
        }
    }
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone() }
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}
