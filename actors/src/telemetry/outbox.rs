//! A bounded hand-over from many workers to one reader, in batches.
//!
//! Each worker appends to a buffer of its own; the reader swaps whole buffers out. The lock of a shard is held for one
//! append or one swap, so a worker never waits for a write. Nothing is allocated once the buffers have grown.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

pub(super) struct Outbox<T> {
    shards: Box<[Mutex<Vec<T>>]>,
    /// Elements a shard holds before it refuses more.
    limit: usize,
    /// Something was put in since the reader last looked.
    pending: AtomicBool,
    closed: AtomicBool,
    wake: Notify,
    end: Notify,
    dropped: AtomicU64,
}

/// Memory that a buffer keeps whatever it is used for, in elements.
const KEPT: usize = 64 << 10;

impl<T> Outbox<T> {
    pub(super) fn new(shards: usize, limit: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            limit,
            pending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
            end: Notify::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Lets `append` add one item to the shard's buffer, unless that is full: then the item is counted as dropped.
    pub(super) fn put(&self, shard: usize, append: impl FnOnce(&mut Vec<T>)) {
        let mut buffer = self.shards[shard].lock();
        if buffer.len() >= self.limit {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        append(&mut buffer);
        drop(buffer);
        // The reader clears `pending` before it takes the lock, so whoever appends after it sees it cleared.
        if !self.pending.load(Relaxed) && !self.pending.swap(true, Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Swaps out every shard and shows each batch that is not empty.
    pub(super) fn take(&self, spare: &mut Vec<T>, mut show: impl FnMut(&mut Vec<T>)) {
        self.pending.store(false, Relaxed);
        for shard in &self.shards {
            spare.clear();
            std::mem::swap(&mut *shard.lock(), spare);
            let used = spare.len().max(KEPT);
            if !spare.is_empty() {
                show(spare);
            }
            spare.clear();
            // After a burst memory is given back; under steady load it is not fetched anew for every batch.
            if spare.capacity() / 4 > used {
                spare.shrink_to(used);
            }
        }
    }

    /// Until there may be something to take (true), or the outbox was closed and emptied (false).
    pub(super) async fn ready(&self) -> bool {
        loop {
            let woken = self.wake.notified();
            if self.pending.load(Relaxed) {
                return true;
            }
            if self.closed.load(Relaxed) {
                return self.shards.iter().any(|shard| !shard.lock().is_empty());
            }
            woken.await;
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.wake.notify_one();
        self.end.notify_waiters();
    }

    /// Until the outbox is closed.
    pub(super) async fn closed(&self) {
        // Made before the look, so that a close between the two is not missed.
        let end = self.end.notified();
        if !self.is_closed() {
            end.await;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(super) fn count_dropped(&self, n: u64) {
        self.dropped.fetch_add(n, Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted_and_what_fits_comes_out_in_order() {
        let outbox = Outbox::new(2, 3);
        for n in 0..5 {
            outbox.put(0, |b| b.push(n));
        }
        outbox.put(1, |b| b.push(9));
        assert_eq!(outbox.dropped(), 2);
        let mut seen = Vec::new();
        outbox.take(&mut Vec::new(), |batch| seen.push(batch.clone()));
        assert_eq!(seen, [vec![0, 1, 2], vec![9]]);
        outbox.take(&mut Vec::new(), |_| panic!("taken twice"));
        outbox.put(0, |b| b.push(7));
        assert_eq!(outbox.dropped(), 2, "room again after a take");
    }

    #[test]
    fn memory_stays_under_steady_load_and_goes_after_a_burst() {
        let (outbox, mut spare) = (Outbox::<u8>::new(1, 8 * KEPT), Vec::new());
        let mut round = |items: usize| {
            (0..items).for_each(|_| outbox.put(0, |b| b.push(0)));
            outbox.take(&mut spare, |_| {});
            spare.capacity()
        };
        let busy = [round(5 * KEPT), round(5 * KEPT), round(5 * KEPT)];
        assert!(busy.iter().all(|capacity| *capacity >= 5 * KEPT), "{busy:?}");
        round(1);
        let quiet = [round(1), round(1)];
        assert!(quiet.iter().all(|capacity| *capacity <= KEPT), "{quiet:?}");
    }

    #[test]
    fn every_item_is_taken_or_counted_under_contention() {
        const EACH: u64 = 20_000;
        let outbox = Outbox::<u64>::new(4, 512);
        let (mut taken, mut spare) = (0u64, Vec::new());
        std::thread::scope(|scope| {
            let outbox = &outbox;
            let writers: Vec<_> =
                (0..4).map(|shard| scope.spawn(move || (0..EACH).for_each(|n| outbox.put(shard, |b| b.push(n))))).collect();
            while writers.iter().any(|w| !w.is_finished()) {
                outbox.take(&mut spare, |batch| taken += batch.len() as u64);
            }
        });
        outbox.take(&mut spare, |batch| taken += batch.len() as u64);
        assert_eq!(taken + outbox.dropped(), 4 * EACH);
    }
}
