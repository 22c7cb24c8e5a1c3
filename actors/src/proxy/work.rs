//! What one request needs while it is under way: heads and scratch, lent by the thread, so that an idle connection holds none.

use super::exchange::Scratch;
use fairlead_net::http::{RequestHead, ResponseHead};
use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

/// Heads and scratch of one exchange.
#[derive(Default)]
pub struct Work {
    pub head: RequestHead,
    pub response: ResponseHead,
    pub scratch: Scratch,
}

/// A [`Work`] that goes back to its thread when it is dropped.
pub struct Lent(Option<Box<Work>>);

/// Kept per thread.
const STOCKED: usize = 64;
/// What a field list may keep in the stock.
const FIELD_BYTES: usize = 8 * 1024;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes themselves are lent and come back")]
    static STOCK: RefCell<Vec<Box<Work>>> = const { RefCell::new(Vec::new()) };
}

impl Lent {
    /// One with empty heads.
    pub fn take() -> Self {
        let stocked = STOCK.try_with(|stock| stock.borrow_mut().pop());
        // Outside a living thread-local (thread exit) there is no stock, only the allocator.
        Self(Some(stocked.ok().flatten().unwrap_or_default()))
    }
}

impl Deref for Lent {
    type Target = Work;

    fn deref(&self) -> &Work {
        self.0.as_ref().expect("only dropping takes it")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Work {
        self.0.as_mut().expect("only dropping takes it")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut work) = self.0.take() else { return };
        work.head.clear();
        work.head.fields.shrink_to(FIELD_BYTES);
        work.response.clear();
        work.response.fields.shrink_to(FIELD_BYTES);
        let _thread_exit = STOCK.try_with(|stock| {
            let mut stock = stock.borrow_mut();
            if stock.len() < STOCKED {
                stock.push(work);
            }
        });
    }
}
