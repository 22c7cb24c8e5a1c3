//! When a service's settings count: once nobody has written to them for a while.
//!
//! An agent writes about ten keys of a service, one by one. Between two of them a service may already have its host and not yet its passwords.
//! Containers are another matter: one that goes must not get another request, so they count at once.
//!
//! Time is what has passed since any fixed moment.

use super::{Entry, Tree};
use std::{collections::BTreeMap, time::Duration};

/// Settings that did not change for so long are complete.
const STILL: Duration = Duration::from_millis(200);

/// Settings that never come to rest count as they are after this.
const LONGEST: Duration = Duration::from_secs(1);

type Settings = BTreeMap<String, String>;

/// Services of one kind by name.
type Kind = BTreeMap<String, Settings>;

/// The tree as it is served, and what is not yet.
#[derive(Debug, Default)]
pub struct Settling {
    settled: [Kind; 2],
    seen: Tree,
    pending: [BTreeMap<String, Pending>; 2],
}

#[derive(Debug)]
struct Pending {
    wanted: Option<Settings>,
    first: Duration,
    last: Duration,
}

impl Settling {
    /// Takes what the store says now. Whether [`Self::tree`] is another one than before.
    pub fn take(&mut self, now: Duration, seen: Tree) -> bool {
        let before = self.tree();
        self.seen = seen;
        let kinds = self.settled.iter_mut().zip(&mut self.pending).zip([&self.seen.http, &self.seen.tcp]);
        for ((settled, pending), seen) in kinds {
            settle(now, settled, pending, seen);
        }
        self.tree() != before
    }

    /// Looks again at what is not settled, without news. Whether [`Self::tree`] is another one than before.
    pub fn pass(&mut self, now: Duration) -> bool {
        let seen = self.seen.clone();
        self.take(now, seen)
    }

    /// When settings come to rest, if nobody writes to them until then. `None`: there is nothing to wait for.
    pub fn due(&self) -> Option<Duration> {
        self.pending.iter().flat_map(BTreeMap::values).map(Pending::due).min()
    }

    /// Settled settings with the containers of now.
    pub fn tree(&self) -> Tree {
        let [http, tcp] = &self.settled;
        let kind = |settled: &Kind, seen: &BTreeMap<String, Entry>| {
            let entry = |(name, settings): (&String, &Settings)| {
                let upstreams = seen.get(name).map(|entry| entry.upstreams.clone()).unwrap_or_default();
                (name.clone(), Entry { settings: settings.clone(), upstreams })
            };
            settled.iter().map(entry).collect()
        };
        Tree { http: kind(http, &self.seen.http), tcp: kind(tcp, &self.seen.tcp) }
    }
}

impl Pending {
    fn due(&self) -> Duration {
        (self.last + STILL).min(self.first + LONGEST)
    }
}

fn settle(now: Duration, settled: &mut Kind, pending: &mut BTreeMap<String, Pending>, seen: &BTreeMap<String, Entry>) {
    let names: std::collections::BTreeSet<String> = settled.keys().chain(seen.keys()).chain(pending.keys()).cloned().collect();
    for name in names {
        let wanted = seen.get(&name).map(|entry| &entry.settings);
        if wanted == settled.get(&name) {
            pending.remove(&name);
            continue;
        }
        let entry = pending.entry(name.clone()).or_insert_with(|| Pending { wanted: wanted.cloned(), first: now, last: now });
        if entry.wanted.as_ref() != wanted {
            (entry.wanted, entry.last) = (wanted.cloned(), now);
        }
        if now >= entry.due() {
            match pending.remove(&name).and_then(|entry| entry.wanted) {
                Some(settings) => drop(settled.insert(name, settings)),
                None => drop(settled.remove(&name)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn tree(pairs: &[(&str, &str)]) -> Tree {
        Tree::read(pairs.iter().copied())
    }

    const HOST: (&str, &str) = ("services/web/virtual_hosts", "a.example");
    const USERS: (&str, &str) = ("services/web/basic_auth_secrets", "user u password x");
    const ONE: (&str, &str) = ("services/web/upstreams/web-1", "10.0.0.1:80");
    const TWO: (&str, &str) = ("services/web/upstreams/web-2", "10.0.0.2:80");

    #[test]
    fn a_half_written_service_waits_until_it_is_whole() {
        let mut settling = Settling::default();
        assert!(!settling.take(at(0), tree(&[HOST])));
        assert_eq!(settling.due(), Some(at(200)));
        assert!(!settling.take(at(150), tree(&[HOST, USERS, ONE])), "someone still writes");
        assert!(!settling.pass(at(300)));
        assert!(settling.pass(at(350)));
        assert_eq!(settling.tree(), tree(&[HOST, USERS, ONE]));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn containers_come_and_go_at_once() {
        let mut settling = Settling::default();
        settling.take(at(0), tree(&[HOST, ONE]));
        settling.pass(at(200));
        assert!(settling.take(at(201), tree(&[HOST, ONE, TWO])));
        assert!(settling.take(at(202), tree(&[HOST, TWO])));
        assert_eq!(settling.tree(), tree(&[HOST, TWO]));
        assert!(!settling.take(at(203), tree(&[HOST, USERS, TWO])), "the settings wait");
        assert!(settling.take(at(204), tree(&[HOST, USERS, ONE])), "the containers do not");
        assert_eq!(settling.tree(), tree(&[HOST, ONE]));
    }

    #[test]
    fn what_never_rests_counts_after_a_second() {
        let mut settling = Settling::default();
        let mut changed_at = None;
        for millis in (0..2000).step_by(100) {
            let host = format!("h{millis}.example");
            let seen = tree(&[("services/web/virtual_hosts", &host)]);
            if settling.take(at(millis), seen) && changed_at.is_none() {
                changed_at = Some(millis);
            }
        }
        assert_eq!(changed_at, Some(1000));
    }

    #[test]
    fn a_service_that_goes_and_comes_back_was_never_away() {
        let mut settling = Settling::default();
        settling.take(at(0), tree(&[HOST, ONE]));
        settling.pass(at(200));
        settling.take(at(300), tree(&[]));
        assert_eq!(settling.tree().http["web"].settings, tree(&[HOST]).http["web"].settings);
        settling.take(at(400), tree(&[HOST, ONE]));
        assert_eq!((settling.due(), settling.tree()), (None, tree(&[HOST, ONE])));
        settling.take(at(500), tree(&[]));
        assert!(settling.pass(at(700)));
        assert!(settling.tree().is_empty());
    }
}
