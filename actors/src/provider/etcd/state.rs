//! What is known of the store, and what to ask it next. Pure: answers come in as arguments, questions come out.
//!
//! Rules
//! - The map is always the store's state at one revision. A transaction is seen whole or not at all.
//! - A full read takes all its pages at the revision of the first; then the watch starts at the next revision.
//! - Only events and full reads move the revision forward. An answer to a progress request does not: stores before 3.4.25
//!   and 3.5.8 may send one ahead of events that it covers (etcd issue 15220). Nor does the header of a response with
//!   events, which may run ahead of them.
//! - An event at or below the map's revision was seen before and changes nothing.
//! - A new connection resumes the watch only where the store is the same cluster and not behind the map. Otherwise, and
//!   after a compaction, everything is read again.
//! - **Doubt.** A full read that finds no key, although the map has keys, is not believed if the store is another cluster
//!   or its revision is below the map's: a wiped, restored or wrong store looks like that. The map stays and the store is
//!   watched; a full read that finds a key ends the doubt, and is believed. A store of the same cluster whose revision
//!   went on and that holds no key was emptied on purpose.

use super::proto::{Event, EventType, KeyValue, RangeRequest, RangeResponse, ResponseHeader, WatchResponse};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Keys under the root that are read at most. Ten thousand services need less than a tenth.
pub const MAX_KEYS: usize = 1_000_000;

/// Bytes of keys and values under the root that are held at most, and as many again while they are read anew.
pub const MAX_BYTES: usize = 128 << 20;

/// Keys on the first try of a page.
pub const PAGE: i64 = 1000;

/// What to ask next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Range(RangeRequest),
    /// Watch from this revision on.
    Watch(i64),
}

/// What an answer meant.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Nothing that matters to the configuration; the source is well.
    Nothing,
    /// [`State::pairs`] differ from what they were when this was last said.
    Changed,
    /// What the store says is not believed, for this reason; the pairs stay.
    Doubt(String),
}

/// What makes the present exchange useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Read everything again, over the same connection.
    #[error("{0}")]
    ReadAgain(String),
    /// The peer does not speak as a store does, or the data is beyond bounds; another endpoint may do better.
    #[error("{0}")]
    Unusable(String),
}

/// More changed keys than this are not told one by one.
const MANY: usize = 1000;

/// Keys and values, copied out of the messages that they came in: a part of a message keeps the whole.
pub type Pairs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Compared with a store's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    cluster: u64,
    revision: i64,
}

/// See the head of this file.
#[derive(Debug)]
pub struct State {
    key: Bytes,
    range_end: Bytes,
    /// Shared with who decodes it.
    map: Arc<Pairs>,
    bytes: usize,
    /// Where `map` comes from; none before the first full read.
    at: Option<Position>,
    /// The present store, as long as it is not believed: what it says is followed from here.
    doubted: Option<Position>,
    page_limit: i64,
    /// The position was read over this connection. If the watch then answers with an older one, its member lags behind
    /// and will catch up.
    read_here: bool,
    reading: Option<Reading>,
    /// Keys that changed since they were last taken. `None`: all may have.
    touched: Option<BTreeSet<Bytes>>,
    /// Parts of a response of which more is to come.
    parts: Vec<Event>,
    parts_bytes: usize,
}

/// A full read that is not complete.
#[derive(Debug)]
struct Reading {
    at: Position,
    map: Pairs,
    bytes: usize,
}

impl State {
    /// Nothing known yet of the keys below `root`, which has no slash at either end. The empty root is the whole store.
    pub fn new(root: &str) -> Self {
        let (key, range_end) = if root.is_empty() {
            (Bytes::from_static(b"\0"), Bytes::from_static(b"\0"))
        } else {
            // `0` follows `/`: all keys that begin with `root/`, and not `rootfoo`.
            (Bytes::from(format!("{root}/")), Bytes::from(format!("{root}0")))
        };
        Self {
            key,
            range_end,
            map: Arc::default(),
            bytes: 0,
            at: None,
            doubted: None,
            page_limit: PAGE,
            read_here: false,
            reading: None,
            touched: None,
            parts: Vec::new(),
            parts_bytes: 0,
        }
    }

    /// The keys asked for: from the first, up to the second.
    pub fn range(&self) -> (Bytes, Bytes) {
        (self.key.clone(), self.range_end.clone())
    }

    /// The first question over a new connection.
    pub fn begin(&mut self) -> Next {
        self.read_here = false;
        self.parts.clear();
        self.parts_bytes = 0;
        self.reading = None;
        match (self.doubted, self.at) {
            (None, Some(at)) => Next::Watch(at.revision + 1),
            _ => self.read(),
        }
    }

    /// The first question of a full read.
    pub fn read(&mut self) -> Next {
        self.parts.clear();
        self.parts_bytes = 0;
        self.reading = None;
        Next::Range(self.page_from(self.key.clone(), 0))
    }

    /// A page that was too large to come through: asks for it again with half the keys, while that is possible.
    pub fn smaller(&mut self) -> Option<Next> {
        self.page_limit = (self.page_limit > 1).then_some(self.page_limit / 2)?;
        let (from, revision) = match &self.reading {
            Some(reading) => (reading.next_key(&self.key), reading.at.revision),
            None => (self.key.clone(), 0),
        };
        Some(Next::Range(self.page_from(from, revision)))
    }

    /// An answer to [`Next::Range`]: the next page, or the watch to be set up and what changed.
    pub fn page(&mut self, response: RangeResponse) -> Result<(Next, News), Fault> {
        let header = header(response.header)?;
        let mut reading = self.reading.take().unwrap_or_else(|| Reading { at: header, map: BTreeMap::new(), bytes: 0 });
        if header.cluster != reading.at.cluster {
            return Err(Fault::ReadAgain("the store changed its identity between two pages".into()));
        }
        let empty = response.kvs.is_empty();
        for KeyValue { key, value, .. } in response.kvs {
            if key < self.key || (self.range_end != "\0" && key >= self.range_end) {
                return Err(Fault::Unusable("the store answered with a key that was not asked for".into()));
            }
            reading.bytes += key.len() + value.len();
            reading.map.insert(key[..].into(), value[..].into());
        }
        within_bounds(reading.map.len(), reading.bytes)?;
        if response.more {
            if empty {
                return Err(Fault::Unusable("the store promised more keys and sent none".into()));
            }
            let next = self.page_from(reading.next_key(&self.key), reading.at.revision);
            self.reading = Some(reading);
            return Ok((Next::Range(next), News::Nothing));
        }
        let from = reading.at.revision + 1;
        Ok((Next::Watch(from), self.read_whole(reading)))
    }

    /// The watch from [`Next::Watch`] was set up. Tells whether the store is the one that the revision was counted in.
    pub fn created(&mut self, response: &WatchResponse) -> Result<(), Fault> {
        ended(response)?;
        let header = header(response.header)?;
        let Some(at) = self.doubted.or(self.at) else {
            return Err(Fault::ReadAgain("nothing was read yet".into()));
        };
        if header.cluster != at.cluster || (header.revision < at.revision && !self.read_here) {
            return Err(Fault::ReadAgain(format!(
                "the store is {:x} at revision {}, not {:x} at {} or later",
                header.cluster, header.revision, at.cluster, at.revision
            )));
        }
        Ok(())
    }

    /// A response of the watch, other than its creation.
    pub fn watched(&mut self, response: WatchResponse) -> Result<News, Fault> {
        ended(&response)?;
        if let Some(header) = response.header
            && self.doubted.or(self.at).is_some_and(|at| at.cluster != header.cluster_id)
        {
            return Err(Fault::ReadAgain("the store changed its identity".into()));
        }
        if response.events.is_empty() {
            // An answer to a progress request; it may come between two parts.
            return Ok(News::Nothing);
        }
        self.parts_bytes += response.events.iter().map(weight).sum::<usize>();
        self.parts.extend(response.events);
        within_bounds(self.parts.len(), self.parts_bytes)?;
        if response.fragment {
            return Ok(News::Nothing);
        }
        self.parts_bytes = 0;
        let events = std::mem::take(&mut self.parts);
        #[cfg(planted = "half_revision")]
        if fairlead_net::sim::is_planted("half_revision") {
            return self.apply(events.into_iter().step_by(2).collect());
        }
        self.apply(events)
    }

    /// Asks whether the watch keeps up: keys changed after the map's revision, and how many there are.
    pub fn audit(&self) -> Option<RangeRequest> {
        let at = self.doubted.or(self.at)?;
        let request =
            RangeRequest { limit: 1, keys_only: true, min_mod_revision: at.revision + 1, ..self.page_from(self.key.clone(), 0) };
        Some(request)
    }

    /// The answer to [`State::audit`]: the map's revision if the store has gone on from there, so that the watch owes events.
    pub fn audited(&self, response: &RangeResponse) -> Result<Option<i64>, Fault> {
        let header = header(response.header)?;
        let Some(at) = self.doubted.or(self.at) else { return Ok(None) };
        if header.cluster != at.cluster || header.revision < at.revision {
            return Err(Fault::ReadAgain(format!("the store is {:x} at revision {}", header.cluster, header.revision)));
        }
        let held = if self.doubted.is_some() { 0 } else { self.map.len() };
        let behind = !response.kvs.is_empty() || usize::try_from(response.count) != Ok(held);
        Ok(behind.then_some(at.revision))
    }

    /// The revision that is followed now.
    pub fn followed(&self) -> Option<i64> {
        self.doubted.or(self.at).map(|at| at.revision)
    }

    /// Keys and values to be served, in order. Locks that clients keep beside their data are left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.map.iter().filter(|(key, _)| !is_lock(key)).map(|(key, value)| (&key[..], &value[..]))
    }

    /// [`State::pairs`] to keep.
    pub fn snapshot(&self) -> Vec<(Bytes, Bytes)> {
        self.pairs().map(|(key, value)| (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))).collect()
    }

    /// Every key and value, locks among them.
    pub fn map(&self) -> &Arc<Pairs> {
        &self.map
    }

    /// Keys that changed since this was last asked; `None`: all may have.
    pub fn take_touched(&mut self) -> Option<BTreeSet<Bytes>> {
        self.touched.replace(BTreeSet::new())
    }

    /// The revision of [`State::pairs`].
    pub fn revision(&self) -> Option<i64> {
        self.at.map(|at| at.revision)
    }

    /// Whether the present store is not believed.
    pub fn is_doubted(&self) -> bool {
        self.doubted.is_some()
    }

    fn page_from(&self, key: Bytes, revision: i64) -> RangeRequest {
        RangeRequest { key, range_end: self.range_end.clone(), limit: self.page_limit, revision, ..Default::default() }
    }

    fn read_whole(&mut self, reading: Reading) -> News {
        self.read_here = true;
        if let Some(known) = self.at
            && reading.map.is_empty()
            && !self.map.is_empty()
            && (self.doubted.is_some() || reading.at.cluster != known.cluster || reading.at.revision < known.revision)
        {
            self.doubted = Some(reading.at);
            return News::Doubt(self.doubt(reading.at, known));
        }
        self.doubted = None;
        let changed = self.at.is_none() || reading.map != *self.map;
        if changed {
            self.touched = None;
        }
        // Collected, its nodes are full; key by key they were half empty.
        (self.map, self.bytes, self.at) = (Arc::new(reading.map.into_iter().collect()), reading.bytes, Some(reading.at));
        if changed { News::Changed } else { News::Nothing }
    }

    fn doubt(&self, now: Position, known: Position) -> String {
        let what = if now.cluster == known.cluster {
            format!("its revision fell from {} to {}", known.revision, now.revision)
        } else {
            format!("it is cluster {:x}, no longer {:x}", now.cluster, known.cluster)
        };
        let root = String::from_utf8_lossy(&self.key);
        format!(
            "the store suddenly holds no key under {root}, and {what}: wiped, or the wrong one? The {} keys of revision {} stay in force \
             until a key appears there (restore the store, or put any key under {root}, or restart, to serve what it holds)",
            self.map.len(),
            known.revision
        )
    }

    fn apply(&mut self, events: Vec<Event>) -> Result<News, Fault> {
        let Some(at) = self.doubted.or(self.at) else {
            return Err(Fault::ReadAgain("nothing was read yet".into()));
        };
        let mut revision = at.revision;
        let mut changed = false;
        for event in events {
            let kind = EventType::try_from(event.r#type);
            let (Some(kv), Ok(kind)) = (event.kv, kind) else {
                return Err(Fault::ReadAgain("the store sent an event of an unknown kind".into()));
            };
            if kv.mod_revision <= at.revision {
                continue;
            }
            if kv.mod_revision < revision {
                return Err(Fault::ReadAgain("the store sent events out of order".into()));
            }
            revision = kv.mod_revision;
            if self.doubted.is_some() && kind == EventType::Put {
                return Err(Fault::ReadAgain("a key appeared in a store that was in doubt".into()));
            }
            changed |= self.change(kind, kv);
        }
        match &mut self.doubted {
            Some(doubted) => doubted.revision = revision,
            None => self.at = Some(Position { revision, ..at }),
        }
        within_bounds(self.map.len(), self.bytes)?;
        Ok(if changed { News::Changed } else { News::Nothing })
    }

    /// Whether the pairs changed.
    fn change(&mut self, kind: EventType, kv: KeyValue) -> bool {
        if self.doubted.is_some() {
            return false;
        }
        let served = !is_lock(&kv.key);
        let (length, new) = (kv.key.len(), kv.value.len());
        if served && let Some(touched) = &mut self.touched {
            touched.insert(kv.key.clone());
            if touched.len() > MANY {
                self.touched = None;
            }
        }
        let map = Arc::make_mut(&mut self.map);
        let old = match kind {
            EventType::Put => {
                self.bytes += length + new;
                let old = map.insert(kv.key[..].into(), kv.value[..].into());
                let same = old.as_deref() == Some(&kv.value[..]);
                if let Some(old) = old {
                    self.bytes -= length + old.len();
                }
                return served && !same;
            }
            EventType::Delete => map.remove(&kv.key[..]),
        };
        self.bytes -= old.as_ref().map_or(0, |old| length + old.len());
        served && old.is_some()
    }
}

impl Reading {
    /// The first key that was not read yet: the last one with a zero byte added is the next possible.
    fn next_key(&self, first: &Bytes) -> Bytes {
        match self.map.last_key_value() {
            Some((last, _)) => [&last[..], b"\0"].concat().into(),
            None => first.clone(),
        }
    }
}

/// Whether the store says that the watch is over.
fn ended(response: &WatchResponse) -> Result<(), Fault> {
    if response.compact_revision != 0 {
        #[cfg(planted = "compaction_ignored")]
        if fairlead_net::sim::is_planted("compaction_ignored") {
            return Ok(());
        }
        let message = format!("the store forgot what happened before revision {} (compaction)", response.compact_revision);
        return Err(Fault::ReadAgain(message));
    }
    if response.canceled {
        let why = if response.cancel_reason.is_empty() { "without a reason" } else { &response.cancel_reason };
        return Err(Fault::Unusable(format!("the store ended the watch: {why}")));
    }
    Ok(())
}

fn header(header: Option<ResponseHeader>) -> Result<Position, Fault> {
    match header {
        Some(h) if h.revision > 0 => Ok(Position { cluster: h.cluster_id, revision: h.revision }),
        _ => Err(Fault::Unusable("the peer answered without a revision: is it an etcd server of version 3?".into())),
    }
}

fn within_bounds(keys: usize, bytes: usize) -> Result<(), Fault> {
    if keys > MAX_KEYS || bytes > MAX_BYTES {
        let message = format!(
            "there is too much under the root key: {keys} keys with {bytes} bytes, and at most {MAX_KEYS} with {MAX_BYTES} are read"
        );
        return Err(Fault::Unusable(message));
    }
    Ok(())
}

fn is_lock(key: &[u8]) -> bool {
    key.windows(7).any(|w| w == b"___lock")
}

fn weight(event: &Event) -> usize {
    event.kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len())
}

#[cfg(test)]
mod tests;
