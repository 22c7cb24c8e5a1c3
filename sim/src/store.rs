//! A simulated etcd cluster: one store, and members that serve it over the real protocol on simulated sockets.
//!
//! [`Store`] is what the cluster agreed on; it outlives its members, as disks do. A [`Member`] is one server with its own
//! faults. Scenario writers change the data with [`Store::put`] and its kin, and break things with the rest.
//!
//! True to etcd: revisions, transactions seen whole, reads at a revision, pages, history for watches, compaction,
//! fragments, headers that run ahead of events, authentication, the texts of its errors. Deliberately absent: raft (a
//! leader is there or not), leases, permissions per key, watches from the past of a lagging member.

mod mvcc;
mod serve;

pub use mvcc::{Change, Mvcc};

use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::watch;

/// The cluster. Clones are handles on the same.
#[derive(Clone)]
pub struct Store {
    cluster: Arc<Mutex<Cluster>>,
    /// Counts changes of any kind: data, leader, faults.
    moved: Arc<watch::Sender<u64>>,
}

struct Cluster {
    mvcc: Mvcc,
    leader: bool,
    term: u64,
    auth: Option<Auth>,
    members: u64,
}

#[derive(Default)]
struct Auth {
    user: String,
    password: String,
    tokens: BTreeSet<String>,
    issued: u64,
}

/// What is wrong with one member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Watches say nothing at all, not even when asked to.
    pub stall_watches: bool,
    /// Watches answer when asked, and keep events back.
    pub withhold_events: bool,
    /// Calls are taken and never answered; watches say nothing.
    pub hang: bool,
}

/// How a member cuts its watch responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cuts {
    /// Revisions in one response, whole.
    pub revisions: usize,
    /// Events in one part of a response, for watchers that take parts.
    pub events: usize,
}

impl Default for Cuts {
    fn default() -> Self {
        Self { revisions: 1000, events: 10_000 }
    }
}

/// One server of the cluster. Clones are handles on the same.
#[derive(Clone)]
pub struct Member {
    store: Store,
    id: u64,
    state: Arc<Mutex<MemberState>>,
    /// Counts the times that all connections were cut.
    cut: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct MemberState {
    faults: Faults,
    cuts: Cuts,
    calls: BTreeMap<String, u64>,
    connections: usize,
    watches: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Store {
    /// An empty cluster with a leader.
    pub fn new(cluster_id: u64) -> Self {
        let cluster = Cluster { mvcc: Mvcc::new(cluster_id), leader: true, term: 1, auth: None, members: 0 };
        Self { cluster: Arc::new(Mutex::new(cluster)), moved: Arc::new(watch::Sender::new(0)) }
    }

    /// Adds a server.
    pub fn member(&self) -> Member {
        let id = self.change(|c| {
            c.members += 1;
            c.members
        });
        Member { store: self.clone(), id, state: Arc::default(), cut: Arc::new(watch::Sender::new(0)) }
    }

    /// Writes one key. The revision afterwards.
    pub fn put(&self, key: &str, value: &str) -> i64 {
        self.txn([Change::put(key, value)])
    }

    /// Removes one key.
    pub fn delete(&self, key: &str) -> i64 {
        self.txn([Change::delete(key)])
    }

    /// Removes all keys that begin with `prefix`, in one transaction.
    pub fn delete_prefix(&self, prefix: &str) -> i64 {
        let doomed: Vec<_> = self.map().into_keys().filter(|k| k.starts_with(prefix.as_bytes())).map(Change::Delete).collect();
        self.txn(doomed)
    }

    /// Makes all changes in one transaction. The revision afterwards.
    pub fn txn(&self, changes: impl IntoIterator<Item = Change>) -> i64 {
        self.change(|c| c.mvcc.txn(changes))
    }

    /// The present content.
    pub fn map(&self) -> BTreeMap<Bytes, Bytes> {
        self.cluster.lock().mvcc.map()
    }

    /// The present revision.
    pub fn revision(&self) -> i64 {
        self.cluster.lock().mvcc.revision()
    }

    /// Forgets what happened before `revision`.
    pub fn compact(&self, revision: i64) {
        self.change(|c| c.mvcc.compact(revision));
    }

    /// Loses everything, as if the data directory were deleted: an empty store at revision 1.
    pub fn wipe(&self, cluster_id: u64) {
        self.change(|c| c.mvcc = Mvcc::new(cluster_id));
    }

    /// Without a leader, watches end and calls fail, until there is one again.
    pub fn set_leader(&self, present: bool) {
        self.change(|c| {
            c.term += u64::from(present && !c.leader);
            c.leader = present;
        });
    }

    /// From now on only this user may read.
    pub fn enable_auth(&self, user: &str, password: &str) {
        let auth = Auth { user: user.into(), password: password.into(), ..Auth::default() };
        self.change(|c| c.auth = Some(auth));
    }

    /// Tokens given out so far become invalid.
    pub fn expire_tokens(&self) {
        self.change(|c| c.auth.iter_mut().for_each(|a| a.tokens.clear()));
    }

    fn change<R>(&self, f: impl FnOnce(&mut Cluster) -> R) -> R {
        let result = f(&mut self.cluster.lock());
        self.moved.send_modify(|n| *n += 1);
        result
    }
}

impl Member {
    /// Breaks or mends the member.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
        self.store.change(|_| ());
    }

    /// How watch responses are cut from now on.
    pub fn set_cuts(&self, cuts: Cuts) {
        self.state.lock().cuts = cuts;
    }

    /// Ends every connection; new ones are taken.
    pub fn disconnect(&self) {
        self.cut.send_modify(|n| *n += 1);
    }

    /// Calls of a method so far, by its full name.
    pub fn calls(&self, method: &str) -> u64 {
        self.state.lock().calls.get(method).copied().unwrap_or(0)
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.state.lock().connections
    }

    /// Streams of watches open now.
    pub fn watches(&self) -> usize {
        self.state.lock().watches
    }
}
