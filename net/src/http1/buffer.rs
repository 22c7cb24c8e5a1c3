//! Byte buffers whose memory is lent by the thread: an idle connection holds none, and a busy one allocates none.
//!
//! Owns the per-thread stock of 8 KiB and 128 KiB slabs. Slabs of any other size (a head limit above 128 KiB) are freed, not stocked.
//! All slabs are initialised memory, so that nothing here needs `unsafe`.

use std::cell::RefCell;

/// Room for a head and a small body.
pub(crate) const SMALL: usize = 8 * 1024;
/// Room for bulk; also the high-water mark of a write buffer. Twice what one segment of a loopback or of an offloading card carries:
/// a body of 100 KiB is then one read and one write, each of which costs more than copying it does.
pub(crate) const LARGE: usize = 128 * 1024;

const STOCKED_SMALL: usize = 128;
const STOCKED_LARGE: usize = 16;

#[derive(Default)]
struct Stock {
    small: Vec<Box<[u8]>>,
    large: Vec<Box<[u8]>>,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { small: Vec::new(), large: Vec::new() }) };
}

fn take(len: usize) -> Box<[u8]> {
    let stocked = STOCK.try_with(|stock| match len {
        SMALL => stock.borrow_mut().small.pop(),
        LARGE => stock.borrow_mut().large.pop(),
        _ => None,
    });
    // Outside a living thread-local (thread exit) there is no stock, only the allocator.
    stocked.ok().flatten().unwrap_or_else(|| vec![0; len].into_boxed_slice())
}

fn give(slab: Box<[u8]>) {
    let _thread_exit = STOCK.try_with(|stock| {
        let mut stock = stock.borrow_mut();
        match slab.len() {
            SMALL if stock.small.len() < STOCKED_SMALL => stock.small.push(slab),
            LARGE if stock.large.len() < STOCKED_LARGE => stock.large.push(slab),
            _ => {}
        }
    });
}

/// Bytes between a reader and a writer, first in, first out.
#[derive(Default)]
pub(crate) struct Buffer {
    slab: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Memory held, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.slab.len()
    }

    /// The bytes held.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.slab[self.start..self.end]
    }

    /// Forgets the first `n` bytes.
    pub(crate) fn consume(&mut self, n: usize) {
        assert!(n <= self.len(), "more taken than was lent");
        self.start += n;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Forgets all bytes and keeps the memory.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// All free room behind the bytes held, at least `least` bytes; moves or grows to get them.
    pub(crate) fn spare(&mut self, least: usize) -> &mut [u8] {
        if self.slab.len() - self.end < least {
            self.make_room(least);
        }
        &mut self.slab[self.end..]
    }

    /// Says that the first `n` bytes of the spare room were filled.
    pub(crate) fn filled_by(&mut self, n: usize) {
        assert!(n <= self.slab.len() - self.end, "more filled than there was room for");
        self.end += n;
    }

    /// Adds bytes at the end.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.spare(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Gives the memory back if no byte is held.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.slab.is_empty() {
            give(std::mem::take(&mut self.slab));
        }
    }

    #[cold]
    fn make_room(&mut self, least: usize) {
        let needed = self.len() + least;
        if needed <= self.slab.len() {
            self.slab.copy_within(self.start..self.end, 0);
        } else {
            let size = match needed {
                0..=SMALL => SMALL,
                _ => needed.next_multiple_of(LARGE),
            };
            let mut larger = take(size);
            larger[..self.len()].copy_from_slice(self.filled());
            let smaller = std::mem::replace(&mut self.slab, larger);
            if !smaller.is_empty() {
                give(smaller);
            }
        }
        (self.start, self.end) = (0, self.len());
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.slab.is_empty() {
            give(std::mem::take(&mut self.slab));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_moving_and_growing() {
        let mut b = Buffer::new();
        assert_eq!(b.capacity(), 0);
        b.put(&[1; 8000]);
        assert_eq!(b.capacity(), SMALL);
        b.consume(7990);
        b.put(&[2; 8000]);
        assert_eq!(b.capacity(), SMALL, "moved to the front instead of growing");
        b.put(&[3; 124_000]);
        assert_eq!(b.capacity(), 2 * LARGE);
        assert_eq!(b.len(), 10 + 8000 + 124_000);
        assert!(b.filled()[..10].iter().all(|&x| x == 1) && b.filled()[10..8010].iter().all(|&x| x == 2));
        assert!(b.filled()[8010..].iter().all(|&x| x == 3));
        b.release();
        assert_ne!(b.capacity(), 0, "held bytes are never released");
        b.consume(b.len());
        b.release();
        assert_eq!(b.capacity(), 0);
    }

    #[test]
    fn a_released_slab_is_lent_again() {
        let mut a = Buffer::new();
        a.put(b"x");
        a.consume(1);
        let before = a.slab.as_ptr();
        a.release();
        let mut b = Buffer::new();
        b.put(b"y");
        assert_eq!(b.slab.as_ptr(), before);
    }
}
