//! What is known of the load balancer's tree. Pure: readings and the time come in, and whether there is something to tell goes out.
//!
//! - A reading is the whole tree, so nothing that was missed stays missed.
//! - **Doubt.** A tree that is suddenly empty is not believed if the store is another one, or its count of changes fell: a wiped, restored or
//!   wrong store looks like that. What was served stays, until a service appears. A store that went on counting was emptied on purpose.

use super::answer::Reading;
use fairlead_core::discovery::kontena::{Settling, Tree};
use fairlead_net::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct State {
    settling: Settling,
    /// The store that was last believed, and its count.
    at: Option<(String, u64)>,
    /// Services of the last reading that was believed.
    services: usize,
    doubted: bool,
    told: bool,
}

impl State {
    /// Takes a reading. Whether there is a new tree to tell.
    ///
    /// # Errors
    ///
    /// The reading is not believed, for this reason.
    pub(super) fn read(&mut self, now: Duration, reading: Reading) -> Result<bool, String> {
        let Reading { tree, index, cluster } = reading;
        if let Some((known, count)) = &self.at
            && tree.is_empty()
            && self.services > 0
            && (self.doubted || *known != cluster || index < *count)
        {
            self.doubted = true;
            return Err(format!(
                "the store suddenly holds no service of this load balancer, and it is not the one that it was, or counts its changes anew: wiped, or \
                 the wrong one? The {} services known stay in force until one appears there (or restart, to serve what it holds)",
                self.services
            ));
        }
        self.doubted = false;
        self.at = Some((cluster, index));
        Ok(self.settle(now, tree))
    }

    /// Takes the tree of a source that is believed, as of this revision. Whether there is a new one to tell.
    pub(super) fn read_at(&mut self, now: Duration, revision: &str, tree: Tree) -> bool {
        self.at = Some((String::new(), revision.parse().unwrap_or_default()));
        self.settle(now, tree)
    }

    /// Takes the tree of a source that is believed. Whether there is a new one to tell.
    fn settle(&mut self, now: Duration, tree: Tree) -> bool {
        self.services = tree.len();
        let changed = self.settling.take(now, tree);
        self.tell(changed)
    }

    /// Time has passed. Whether there is a new tree to tell.
    pub(super) fn pass(&mut self, now: Duration) -> bool {
        let changed = self.settling.pass(now);
        self.tell(changed)
    }

    /// When to call [`State::pass`].
    pub(super) fn due(&self) -> Option<Duration> {
        self.settling.due()
    }

    /// Where a watch begins: after the last reading.
    pub(super) fn next_index(&self) -> u64 {
        self.at.as_ref().map_or(1, |(_, index)| index.saturating_add(1))
    }

    /// Which state of the store this is.
    pub(super) fn revision(&self) -> String {
        self.at.as_ref().map(|(_, index)| index.to_string()).unwrap_or_default()
    }

    /// What is to be served.
    pub(super) fn tree(&self) -> Tree {
        self.settling.tree()
    }

    /// The first word comes when everything has settled: before that, nothing would be said of services that are there.
    fn tell(&mut self, changed: bool) -> bool {
        let tell = if self.told { changed } else { self.settling.due().is_none() };
        self.told |= tell;
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(cluster: &str, index: u64, pairs: &[(&str, &str)]) -> Reading {
        Reading { tree: Tree::read(pairs.iter().copied()), index, cluster: cluster.to_owned() }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const HOST: (&str, &str) = ("services/web/virtual_hosts", "a.example");
    const ONE: (&str, &str) = ("services/web/upstreams/web-1", "10.0.0.1:80");

    #[test]
    fn the_first_word_is_said_once_everything_has_settled() {
        let mut state = State::default();
        assert_eq!(state.read(at(0), reading("c", 5, &[HOST, ONE])), Ok(false));
        assert_eq!(state.due(), Some(at(200)));
        assert!(state.pass(at(200)));
        assert_eq!((state.tree().len(), state.next_index(), state.revision().as_str()), (1, 6, "5"));
        assert_eq!(state.read(at(1200), reading("c", 9, &[HOST, ONE])), Ok(false), "nothing new");
        assert_eq!(State::default().read(at(0), reading("c", 5, &[])), Ok(true), "nothing is an answer too");
    }

    #[test]
    fn a_store_that_suddenly_is_empty_is_doubted_unless_it_went_on_counting() {
        let known = || {
            let mut state = State::default();
            state.read(at(0), reading("c", 50, &[HOST, ONE])).unwrap();
            state.pass(at(200));
            state
        };
        for (cluster, index, believed) in [("c", 51, true), ("c", 50, true), ("c", 3, false), ("other", 80, false)] {
            let mut state = known();
            assert_eq!(state.read(at(300), reading(cluster, index, &[])).is_ok(), believed, "{cluster} {index}");
            assert_eq!(state.tree().http["web"].upstreams.is_empty(), believed, "{cluster} {index}");
        }
        let mut state = known();
        state.read(at(300), reading("other", 3, &[])).unwrap_err();
        assert!(state.read(at(1300), reading("other", 90, &[])).is_err(), "it stays in doubt");
        assert!(state.read(at(2300), reading("other", 91, &[("services/new/virtual_hosts", "b.example")])).is_ok());
        assert!(state.pass(at(2500)));
        assert!(state.tree().http.keys().eq(["new"]), "and a service ends that");
    }
}
