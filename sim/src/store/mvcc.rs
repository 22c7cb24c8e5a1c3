//! Keys with all their versions, and the history of events. Pure.

use bytes::Bytes;
use fairlead_actors::provider::etcd::proto::{Event, EventType, KeyValue, RangeRequest, RangeResponse, ResponseHeader};
use std::collections::BTreeMap;

/// One change within a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Bytes, Bytes),
    Delete(Bytes),
}

impl Change {
    /// Writes a key.
    pub fn put(key: &str, value: &str) -> Self {
        Self::Put(Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    }

    /// Removes a key.
    pub fn delete(key: &str) -> Self {
        Self::Delete(Bytes::copy_from_slice(key.as_bytes()))
    }
}

/// Why a revision cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotThere {
    /// Forgotten; this is the oldest that is left.
    Compacted(i64),
    Future,
}

/// See the head of this file.
pub struct Mvcc {
    cluster_id: u64,
    revision: i64,
    compacted: i64,
    /// Every version of every key, oldest first; a deletion is a version without a value.
    keys: BTreeMap<Bytes, Vec<(i64, Option<KeyValue>)>>,
    /// The events of each revision, in the order of the transaction.
    log: BTreeMap<i64, Vec<Event>>,
}

impl Mvcc {
    /// Empty, at revision 1 as etcd is.
    pub fn new(cluster_id: u64) -> Self {
        Self { cluster_id, revision: 1, compacted: 0, keys: BTreeMap::new(), log: BTreeMap::new() }
    }

    /// The present revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The header of an answer given now by this member in this term.
    pub fn header(&self, member_id: u64, raft_term: u64) -> ResponseHeader {
        ResponseHeader { cluster_id: self.cluster_id, member_id, revision: self.revision, raft_term }
    }

    /// Makes the changes under one new revision. Changes that do nothing (deleting what is not there) make none.
    pub fn txn(&mut self, changes: impl IntoIterator<Item = Change>) -> i64 {
        let revision = self.revision + 1;
        let mut events = Vec::new();
        for change in changes {
            let (key, value) = match change {
                Change::Put(key, value) => (key, Some(value)),
                Change::Delete(key) => (key, None),
            };
            let versions = self.keys.entry(key.clone()).or_default();
            let last = versions.last().and_then(|(_, kv)| kv.clone());
            let (kind, kv) = match (value, last) {
                (None, None) => continue,
                (None, Some(_)) => (EventType::Delete, KeyValue { key, mod_revision: revision, ..Default::default() }),
                (Some(value), last) => {
                    let (create_revision, version) = last.map_or((revision, 0), |kv| (kv.create_revision, kv.version));
                    (EventType::Put, KeyValue { key, value, create_revision, mod_revision: revision, version: version + 1 })
                }
            };
            versions.push((revision, (kind == EventType::Put).then(|| kv.clone())));
            events.push(Event { r#type: kind as i32, kv: Some(kv) });
        }
        if !events.is_empty() {
            self.revision = revision;
            self.log.insert(revision, events);
        }
        self.revision
    }

    /// Forgets versions and events before `revision`, which is at most the present one.
    pub fn compact(&mut self, revision: i64) {
        self.compacted = revision.clamp(self.compacted, self.revision);
        self.log = self.log.split_off(&self.compacted);
        let oldest = self.compacted;
        self.keys.retain(|_, versions| {
            let keep = versions.iter().rposition(|(r, _)| *r <= oldest).unwrap_or(0);
            versions.drain(..keep);
            versions.len() > 1 || versions.iter().any(|(r, kv)| kv.is_some() || *r > oldest)
        });
    }

    /// The present content.
    pub fn map(&self) -> BTreeMap<Bytes, Bytes> {
        let present = self.keys.iter().filter_map(|(key, versions)| Some((key, versions.last()?.1.as_ref()?)));
        present.map(|(key, kv)| (key.clone(), kv.value.clone())).collect()
    }

    /// Answers a read, all but the header.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, NotThere> {
        let revision = if request.revision > 0 { request.revision } else { self.revision };
        if revision > self.revision {
            return Err(NotThere::Future);
        }
        if revision < self.compacted {
            return Err(NotThere::Compacted(self.compacted));
        }
        let mut kvs = Vec::new();
        let mut count = 0;
        for (_, versions) in self.keys.iter().filter(|(key, _)| within(key, &request.key, &request.range_end)) {
            let Some(kv) = versions.iter().rev().find(|(r, _)| *r <= revision).and_then(|(_, kv)| kv.as_ref()) else { continue };
            count += 1;
            if kv.mod_revision >= request.min_mod_revision {
                let value = if request.keys_only { Bytes::new() } else { kv.value.clone() };
                kvs.push(KeyValue { value, ..kv.clone() });
            }
        }
        let limit = if request.limit > 0 { request.limit as usize } else { usize::MAX };
        let more = kvs.len() > limit;
        kvs.truncate(limit);
        Ok(RangeResponse { header: None, kvs, more, count })
    }

    /// Events on the range of keys from revision `from` on, of at most `revisions` revisions that have any; and the
    /// first revision not looked at.
    pub fn events(&self, from: i64, key: &[u8], range_end: &[u8], revisions: usize) -> Result<(Vec<Event>, i64), NotThere> {
        if from < self.compacted {
            return Err(NotThere::Compacted(self.compacted));
        }
        let mut found = Vec::new();
        let mut left = revisions;
        for (revision, events) in self.log.range(from..) {
            let here = events.iter().filter(|e| e.kv.as_ref().is_some_and(|kv| within(&kv.key, key, range_end)));
            let before = found.len();
            found.extend(here.cloned());
            left -= usize::from(found.len() > before);
            if left == 0 {
                return Ok((found, revision + 1));
            }
        }
        Ok((found, from.max(self.revision + 1)))
    }
}

/// etcd's ranges: no end means the one key, a zero byte means no end.
fn within(key: &[u8], from: &[u8], end: &[u8]) -> bool {
    match end {
        [] => key == from,
        b"\0" => key >= from,
        _ => key >= from && key < end,
    }
}
