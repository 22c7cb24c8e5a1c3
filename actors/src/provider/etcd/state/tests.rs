use super::*;
use crate::provider::etcd::proto::RangeResponse;
use proptest::{collection::vec, option, prelude::*};

const CLUSTER: u64 = 7;

type Map = BTreeMap<Bytes, Bytes>;

/// A store as etcd keeps one: every revision's map and events, the oldest forgotten.
struct Store {
    cluster: u64,
    maps: Vec<Map>,
    events: Vec<Vec<Event>>,
    compacted: i64,
}

impl Store {
    fn new() -> Self {
        Self { cluster: CLUSTER, maps: vec![Map::new(); 2], events: vec![Vec::new(); 2], compacted: 0 }
    }

    fn revision(&self) -> i64 {
        self.maps.len() as i64 - 1
    }

    fn at(&self, revision: i64) -> &Map {
        &self.maps[revision as usize]
    }

    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { cluster_id: self.cluster, revision: self.revision(), ..Default::default() })
    }

    fn commit(&mut self, changes: &[(u8, Option<u8>)]) {
        let revision = self.revision() + 1;
        let mut map = self.at(revision - 1).clone();
        let mut events = Vec::new();
        for (key, value) in changes {
            let key = Bytes::from(format!("traefik/http/{key}"));
            let (kind, value) = match value {
                Some(value) => (EventType::Put, Bytes::from(vec![*value])),
                None => (EventType::Delete, Bytes::new()),
            };
            match kind {
                EventType::Put => map.insert(key.clone(), value.clone()),
                EventType::Delete => map.remove(&key),
            };
            let kv = KeyValue { key, value, mod_revision: revision, ..Default::default() };
            events.push(Event { r#type: kind as i32, kv: Some(kv) });
        }
        self.maps.push(map);
        self.events.push(events);
    }

    /// `None`: compacted.
    fn range(&self, request: &RangeRequest) -> Option<RangeResponse> {
        let revision = if request.revision == 0 { self.revision() } else { request.revision };
        if revision < self.compacted {
            return None;
        }
        let mut kvs: Vec<_> = self
            .at(revision)
            .range(request.key.clone()..request.range_end.clone())
            .map(|(key, value)| KeyValue { key: key.clone(), value: value.clone(), ..Default::default() })
            .collect();
        let count = kvs.len() as i64;
        let more = kvs.len() > request.limit as usize;
        kvs.truncate(request.limit as usize);
        Some(RangeResponse { header: self.header(), kvs, more, count })
    }

    /// Revisions from `from`, at most `most` of them.
    fn events(&self, from: i64, most: usize) -> Vec<Event> {
        self.events.iter().skip(from as usize).take(most).flatten().cloned().collect()
    }
}

/// One connection: what was asked, or where the watch stands.
enum Connection {
    Asked(Next),
    Watching(i64),
}

struct Run {
    store: Store,
    state: State,
    connection: Connection,
    /// Whether anything was said to be changed since the start, and the pairs as they were then.
    told: Option<Map>,
}

impl Run {
    fn new(halvings: usize) -> Self {
        let mut state = State::new("traefik");
        for _ in 0..halvings {
            state.smaller();
        }
        let connection = Connection::Asked(state.begin());
        Self { store: Store::new(), state, connection, told: None }
    }

    fn map(&self) -> Map {
        self.state.pairs().map(|(k, v)| (Bytes::copy_from_slice(k), Bytes::copy_from_slice(v))).collect()
    }

    /// The law: whatever is told is the store's state at one revision, no more and no less.
    fn tell(&mut self, news: &News) {
        let Some(revision) = self.state.revision() else {
            assert_eq!(*news, News::Nothing, "nothing can be told before the first full read");
            return;
        };
        let map = self.map();
        assert_eq!(&map, self.store.at(revision), "not the store's state at {revision}");
        match news {
            News::Changed => self.told = Some(map),
            News::Nothing => assert_eq!(Some(map), self.told, "a change was not told"),
            News::Doubt(why) => panic!("doubt without a cause: {why}"),
        }
    }

    /// The store answers what was asked, or tells of up to `most` revisions, in parts of `part` events.
    fn step(&mut self, most: usize, part: usize) {
        match &self.connection {
            Connection::Asked(Next::Range(request)) => {
                let answer = self.store.range(request);
                let next = match answer {
                    None => self.state.read(),
                    Some(response) => {
                        let (next, news) = self.state.page(response).expect("a well-behaved store");
                        self.tell_page(&next, &news);
                        next
                    }
                };
                self.connection = Connection::Asked(next);
            }
            Connection::Asked(Next::Watch(from)) => {
                let from = *from;
                let created = WatchResponse { header: self.store.header(), created: true, ..Default::default() };
                self.state.created(&created).expect("the same store, not behind");
                self.connection = Connection::Watching(from);
            }
            Connection::Watching(from) => {
                let from = *from;
                if from < self.store.compacted {
                    let canceled = WatchResponse {
                        header: self.store.header(),
                        canceled: true,
                        compact_revision: self.store.compacted,
                        ..Default::default()
                    };
                    assert!(matches!(self.state.watched(canceled), Err(Fault::ReadAgain(_))));
                    self.connection = Connection::Asked(self.state.read());
                    return;
                }
                let events = self.store.events(from, most);
                let to = self.store.revision().min(from + most as i64 - 1);
                self.deliver(events, part);
                self.connection = Connection::Watching(to + 1);
            }
        }
    }

    fn tell_page(&mut self, next: &Next, news: &News) {
        match next {
            Next::Range(_) => assert_eq!(*news, News::Nothing, "half a full read is nothing"),
            Next::Watch(_) => self.tell(news),
        }
    }

    fn deliver(&mut self, events: Vec<Event>, part: usize) {
        let parts: Vec<_> = events.chunks(part).map(<[Event]>::to_vec).collect();
        for (n, events) in parts.iter().enumerate() {
            let fragment = n + 1 < parts.len();
            let response = WatchResponse { header: self.store.header(), fragment, events: events.clone(), ..Default::default() };
            let news = self.state.watched(response).expect("a well-behaved store");
            assert!(!fragment || news == News::Nothing, "part of a response was applied");
            self.tell(&news);
            self.progress();
        }
    }

    /// An answer to a progress request, in the middle of anything.
    fn progress(&mut self) {
        let response = WatchResponse { header: self.store.header(), watch_id: -1, ..Default::default() };
        assert_eq!(self.state.watched(response), Ok(News::Nothing));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Commit(Vec<(u8, Option<u8>)>),
    Step {
        most: usize,
        part: usize,
    },
    /// The last revisions are told once more.
    Repeat {
        back: i64,
    },
    Reconnect,
    Compact {
        keep: i64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => vec((0u8..12, option::of(0u8..3)), 0..5).prop_map(Op::Commit),
        6 => (1usize..4, 1usize..4).prop_map(|(most, part)| Op::Step { most, part }),
        1 => (1i64..6).prop_map(|back| Op::Repeat { back }),
        1 => Just(Op::Reconnect),
        1 => (0i64..4).prop_map(|keep| Op::Compact { keep }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_history_ends_at_the_store_s_state(ops in vec(op(), 0..60), halvings in 5usize..10) {
        let mut run = Run::new(halvings);
        for op in ops {
            match op {
                Op::Commit(changes) => run.store.commit(&changes),
                Op::Step { most, part } => run.step(most, part),
                Op::Repeat { back } => {
                    if let Connection::Watching(next) = run.connection {
                        let from = (next - back).max(run.store.compacted).max(1);
                        let repeated = run.store.events(from, (next - from).max(0) as usize);
                        if !repeated.is_empty() {
                            run.deliver(repeated, 2);
                        }
                    }
                }
                Op::Reconnect => run.connection = Connection::Asked(run.state.begin()),
                Op::Compact { keep } => run.store.compacted = run.store.compacted.max(run.store.revision() - keep),
            }
        }
        // Quiet: everything comes through in the end.
        for _ in 0..400 {
            run.step(10, 3);
        }
        let latest = run.store.at(run.store.revision()).clone();
        prop_assert_eq!(run.map(), latest.clone());
        prop_assert_eq!(run.told.clone(), Some(latest), "the last state was told");
        let audit = run.state.audit().expect("something was read");
        let mut answer = run.store.range(&audit).expect("the present is never compacted");
        answer.kvs.retain(|kv| kv.mod_revision >= audit.min_mod_revision);
        prop_assert_eq!(run.state.audited(&answer), Ok(None));
    }

    #[test]
    fn nothing_that_a_peer_says_makes_it_panic(
        answers in vec((any::<bool>(), option::of((any::<u64>(), any::<i64>())), vec((any::<Vec<u8>>(), any::<i64>(), any::<i32>()), 0..4), any::<[bool; 4]>()), 0..20)
    ) {
        let mut state = State::new("traefik");
        state.begin();
        for (watch, header, entries, [fragment, canceled, more, created]) in answers {
            let header = header.map(|(cluster_id, revision)| ResponseHeader { cluster_id, revision, ..Default::default() });
            let kvs = entries.iter().map(|(key, mod_revision, _)| KeyValue { key: key.clone().into(), mod_revision: *mod_revision, ..Default::default() });
            if watch {
                let events = entries.iter().zip(kvs).map(|((_, _, kind), kv)| Event { r#type: *kind, kv: Some(kv) }).collect();
                let response = WatchResponse { header, fragment, canceled, events, ..Default::default() };
                let _ = if created { state.created(&response) } else { state.watched(response).map(drop) };
            } else {
                let response = RangeResponse { header, kvs: kvs.collect(), more, count: 3 };
                let _ = state.audited(&response);
                let _ = state.page(response);
            }
        }
    }
}

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Default::default()
    }
}

fn put(key: &str, revision: i64) -> Event {
    Event { r#type: EventType::Put as i32, kv: Some(KeyValue { mod_revision: revision, ..kv(key, "v") }) }
}

fn delete(key: &str, revision: i64) -> Event {
    Event { r#type: EventType::Delete as i32, kv: Some(KeyValue { mod_revision: revision, ..kv(key, "") }) }
}

fn head(cluster_id: u64, revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { cluster_id, revision, ..Default::default() })
}

fn page(cluster: u64, revision: i64, kvs: &[KeyValue]) -> RangeResponse {
    RangeResponse { header: head(cluster, revision), kvs: kvs.to_vec(), more: false, count: kvs.len() as i64 }
}

/// A state that holds one key, at revision 40.
fn read() -> State {
    let mut state = State::new("traefik");
    state.begin();
    let answer = state.page(page(CLUSTER, 40, &[kv("traefik/http/a", "1")]));
    assert_eq!(answer, Ok((Next::Watch(41), News::Changed)));
    state
}

#[test]
fn a_store_that_was_emptied_is_believed() {
    let mut state = read();
    let deleted = WatchResponse { header: head(CLUSTER, 41), events: vec![delete("traefik/http/a", 41)], ..Default::default() };
    assert_eq!(state.watched(deleted), Ok(News::Changed));
    assert_eq!(state.pairs().count(), 0);

    let mut state = read();
    state.read();
    assert_eq!(state.page(page(CLUSTER, 41, &[])), Ok((Next::Watch(42), News::Changed)));
    assert_eq!(state.pairs().count(), 0);
}

#[test]
fn an_empty_store_with_a_fallen_revision_or_another_identity_is_doubted_until_it_holds_a_key() {
    for (cluster, revision) in [(CLUSTER, 1), (CLUSTER + 1, 1), (CLUSTER + 1, 1000)] {
        let mut state = read();
        assert_eq!(state.begin(), Next::Watch(41));
        let created = WatchResponse { header: head(cluster, revision), created: true, ..Default::default() };
        assert!(matches!(state.created(&created), Err(Fault::ReadAgain(_))));
        state.read();
        let (next, news) = state.page(page(cluster, revision, &[])).expect("an answer");
        assert_eq!(next, Next::Watch(revision + 1));
        assert!(matches!(news, News::Doubt(_)), "{news:?}");
        assert_eq!((state.pairs().count(), state.revision()), (1, Some(40)));
        state.created(&created).expect("the store that is doubted");

        // Time and other keys do not make it credible, not even when its revision passes the old one.
        assert!(matches!(state.begin(), Next::Range(_)));
        assert!(matches!(state.page(page(cluster, 2000, &[])), Ok((Next::Watch(2001), News::Doubt(_)))));

        let appeared =
            WatchResponse { header: head(cluster, 2001), events: vec![put("traefik/http/b", 2001)], ..Default::default() };
        assert!(matches!(state.watched(appeared), Err(Fault::ReadAgain(_))));
        state.read();
        let answer = state.page(page(cluster, 2001, &[kv("traefik/http/b", "2")]));
        assert_eq!(answer, Ok((Next::Watch(2002), News::Changed)));
        assert_eq!(state.pairs().collect::<Vec<_>>(), [(&b"traefik/http/b"[..], &b"2"[..])]);
        assert!(!state.is_doubted());
    }
}

#[test]
fn another_store_that_holds_keys_is_believed() {
    let mut state = read();
    state.read();
    assert_eq!(state.page(page(CLUSTER + 1, 3, &[kv("traefik/http/b", "2")])), Ok((Next::Watch(4), News::Changed)));
}

#[test]
fn a_member_that_lags_behind_a_read_of_this_connection_is_waited_for() {
    let mut state = read();
    let created = WatchResponse { header: head(CLUSTER, 38), created: true, ..Default::default() };
    assert_eq!(state.created(&created), Ok(()));
    state.begin();
    assert!(matches!(state.created(&created), Err(Fault::ReadAgain(_))));
}

#[test]
fn the_audit_knows_what_the_watch_owes() {
    let state = read();
    let newer = RangeResponse { header: head(CLUSTER, 42), kvs: vec![kv("traefik/http/b", "")], more: false, count: 2 };
    assert_eq!(state.audited(&newer), Ok(Some(40)));
    let deleted = RangeResponse { header: head(CLUSTER, 42), kvs: vec![], more: false, count: 0 };
    assert_eq!(state.audited(&deleted), Ok(Some(40)));
    let elsewhere = RangeResponse { header: head(CLUSTER, 99), kvs: vec![], more: false, count: 1 };
    assert_eq!(state.audited(&elsewhere), Ok(None));
    assert!(matches!(state.audited(&page(CLUSTER, 39, &[kv("traefik/http/a", "1")])), Err(Fault::ReadAgain(_))));
}

#[test]
fn locks_are_followed_and_not_served() {
    let mut state = read();
    let locked =
        WatchResponse { header: head(CLUSTER, 41), events: vec![put("traefik/http/a/___lock", 41)], ..Default::default() };
    assert_eq!(state.watched(locked), Ok(News::Nothing));
    assert_eq!((state.pairs().count(), state.revision()), (1, Some(41)));
}

#[test]
fn the_root_is_a_directory_and_not_a_prefix_of_names() {
    let (key, end) = State::new("traefik").range();
    for (inside, text) in [(true, "traefik/http/a"), (true, "traefik/\u{ff}"), (false, "traefik"), (false, "traefikfoo/http/a")] {
        let text = text.as_bytes();
        assert_eq!(text >= &key[..] && text < &end[..], inside, "{text:?}");
    }
    let stray = page(CLUSTER, 2, &[kv("other", "1")]);
    assert!(matches!(State::new("traefik").page(stray), Err(Fault::Unusable(_))));
    assert!(State::new("").page(page(CLUSTER, 2, &[kv("other", "1")])).is_ok());
}
