//! What was known and went. Swarm never gives an identity twice, and a task that is no longer meant to run never is again: whoever
//! lists one of these speaks of the past.

use std::collections::{BTreeSet, VecDeque};

/// How many are remembered. Who lags behind further than that lags for minutes.
const MOST: usize = 4096;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Buried {
    ids: BTreeSet<String>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Buried {
    pub(super) fn add(&mut self, id: &str) {
        if self.ids.insert(id.to_owned()) {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Somebody restored a backup: what was gone may be there again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let mut buried = Buried::default();
        (0..MOST + 10).for_each(|n| buried.add(&n.to_string()));
        buried.add("20");
        assert!(!buried.has("9") && buried.has("10") && buried.order.len() == MOST && buried.ids.len() == MOST);
        buried.forget();
        assert!(!buried.has("20"));
    }
}
