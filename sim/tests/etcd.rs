//! The etcd provider, unchanged, against a simulated store and its faults.
#![cfg(madsim)]

use fairlead_actors::{
    config_watch::{Arguments, ConfigWatch, GATHER, Msg, ProviderStatus},
    provider::{EventKind, etcd::EtcdProvider, etcd::proto::method},
};
use fairlead_core::config::static_;
use fairlead_net::{
    sim::{Config, HostId, Net},
    time::{Instant, now, sleep, timeout},
};
use fairlead_sim::store::{Change, Cuts, Faults, Member, Store};
use madsim::runtime::{Handle, NodeHandle};
use parking_lot::Mutex;
use ractor::{Actor, ActorRef};
use std::{sync::Arc, time::Duration};

const SEC: Duration = Duration::from_secs(1);
const PORT: u16 = 2379;

struct World {
    net: Net,
    store: Store,
    members: Vec<(Member, HostId, NodeHandle)>,
    gateway: NodeHandle,
    gateway_host: HostId,
    status: Arc<ProviderStatus>,
    events: Arc<Mutex<Vec<(Instant, EventKind)>>>,
}

/// `members` servers at 10.0.0.1 and up, a gateway at 10.0.1.1, a millisecond or so apart.
fn world(members: u8) -> World {
    let net = Net::start(Config::default());
    net.default_link(|l| l.latency = Duration::from_micros(500)..Duration::from_millis(2));
    let store = Store::default();
    let handle = Handle::current();
    let members = (1..=members).map(|n| {
        let member = store.member();
        let serve = member.clone();
        let start = move || {
            let serve = serve.clone();
            async move { serve.serve(format!("10.0.0.{n}:{PORT}").parse().unwrap()).await.unwrap() }
        };
        let node = handle.create_node().name(format!("etcd-{n}")).init(start).build();
        let host = net.host(node.id(), &[&format!("10.0.0.{n}")]);
        (member, host, node)
    });
    let members = members.collect();
    let gateway = handle.create_node().name("gateway").build();
    let gateway_host = net.host(gateway.id(), &["10.0.1.1"]);
    let status = Arc::new(ProviderStatus::new("etcd"));
    World { net, store, members, gateway, gateway_host, status, events: Arc::default() }
}

fn put(store: &Store, key: &str, value: &str) -> i64 {
    store.put(&format!("traefik/{key}"), value)
}

impl World {
    async fn watch(&self, username: &str, password: &str) -> ActorRef<Msg> {
        let options = static_::EtcdProvider {
            endpoints: (1..=self.members.len()).map(|n| format!("10.0.0.{n}:{PORT}")).collect(),
            root_key: "traefik".into(),
            username: username.into(),
            password: static_::Secret::new(password.into()),
            tls: None,
        };
        let events = self.events.clone();
        let arguments = Arguments {
            make: Box::new(move || Box::new(EtcdProvider::new(&options))),
            forward: Arc::new(move |event| events.lock().push((now(), event.kind))),
            status: self.status.clone(),
            gather: GATHER,
        };
        let spawned = self.gateway.spawn(async move { Actor::spawn(None, ConfigWatch, arguments).await.unwrap().0 });
        spawned.await.unwrap()
    }

    /// Waits until the gateway serves the store's revision, and says how long that took.
    async fn converged(&self, within: Duration) -> Duration {
        let (began, wanted) = (now(), self.store.revision().to_string());
        let reached = timeout(within, async {
            while self.status.view().revision != wanted {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(reached.await.is_ok(), "not at {wanted} within {within:?}: {:?}", self.status.view());
        now() - began
    }

    async fn until(&self, what: &str, within: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let reached = timeout(within, async {
            while !holds(self) {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(reached.await.is_ok(), "not {what} within {within:?}: {:?}", self.status.view());
    }

    fn member(&self) -> &Member {
        &self.members[0].0
    }

    fn keys(&self) -> usize {
        self.store.map().len()
    }

    fn failures(&self) -> Vec<String> {
        let events = self.events.lock();
        let messages = events.iter().filter_map(|(_, kind)| match kind {
            EventKind::Failing { message, .. } => Some(message.clone()),
            _ => None,
        });
        messages.collect()
    }
}

#[madsim::test]
async fn the_first_sync_then_each_change_within_milliseconds() {
    let w = world(1);
    assert!(!w.status.is_synced());
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.converged(SEC).await;
    assert!(w.status.is_synced() && w.status.view().healthy);
    for n in 0..20 {
        put(&w.store, "http/routers/a/rule", &format!("Path(`/{n}`)"));
        let took = w.converged(SEC).await;
        assert!(took < Duration::from_millis(40), "{took:?}");
    }
    assert_eq!(w.failures(), [""; 0]);
    assert_eq!((w.member().calls(method::WATCH), w.member().watches()), (1, 1));
}

#[madsim::test]
async fn an_empty_store_is_a_valid_answer_and_its_first_key_is_seen_at_once() {
    let w = world(1);
    w.watch("", "").await;
    w.until("synced", SEC, |w| w.status.is_synced()).await;
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    let took = w.converged(SEC).await;
    assert!(took < Duration::from_millis(40), "{took:?}");
    w.store.delete_prefix("traefik/");
    w.converged(SEC).await;
    assert_eq!((w.keys(), w.failures().len()), (0, 0));
}

#[madsim::test]
async fn many_keys_come_in_pages_of_one_revision_while_a_writer_writes() {
    let w = world(1);
    w.store.txn((0..3500).map(|n| Change::put(&format!("traefik/http/routers/r{n}/rule"), "Path(`/a`)")));
    let (store, writer) = (w.store.clone(), Handle::current().create_node().build());
    let writing = writer.spawn(async move {
        for n in 0..200 {
            put(&store, "http/routers/r0/rule", &format!("Path(`/{n}`)"));
            sleep(Duration::from_micros(300)).await;
        }
    });
    w.watch("", "").await;
    writing.await.unwrap();
    w.converged(SEC).await;
    assert!(w.member().calls(method::RANGE) >= 4);
    assert_eq!(w.failures(), [""; 0]);
}

#[madsim::test]
async fn responses_in_parts_and_in_batches_come_together() {
    let w = world(1);
    w.member().set_cuts(Cuts { revisions: 2, events: 3 });
    w.watch("", "").await;
    w.until("synced", SEC, |w| w.status.is_synced()).await;
    for n in 0..30 {
        w.store.txn((0..n).map(|k| Change::put(&format!("traefik/http/routers/r{k}/rule"), &format!("Path(`/{n}`)"))));
    }
    w.converged(SEC).await;
    assert_eq!(w.failures(), [""; 0]);
}

#[madsim::test]
async fn a_compaction_that_overtakes_the_watch_costs_a_full_read() {
    let w = world(1);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.converged(SEC).await;
    let reads = w.member().calls(method::RANGE);
    w.members[0].0.set_faults(Faults { withhold_events: true, ..Faults::default() });
    for n in 0..50 {
        put(&w.store, "http/routers/a/rule", &format!("Path(`/{n}`)"));
    }
    w.store.compact(w.store.revision());
    w.members[0].0.set_faults(Faults::default());
    w.converged(SEC).await;
    assert!(w.member().calls(method::RANGE) > reads);
    assert_eq!(w.failures(), [""; 0], "a compaction is no failure");
}

/// Of two members the watched one breaks; the other one is well.
async fn found_out(faults: Faults) {
    let w = world(2);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.until("watched", SEC, |w| w.members.iter().any(|(m, ..)| m.watches() == 1)).await;
    sleep(SEC).await;
    let watched = w.members.iter().find(|(m, ..)| m.watches() == 1).expect("one is watched");
    watched.0.set_faults(faults);
    put(&w.store, "http/routers/a/rule", "Path(`/b`)");
    let took = w.converged(35 * SEC).await;
    assert!(took > SEC, "{faults:?} did nothing");
    w.until("healthy", SEC, |w| w.status.view().healthy).await;
    assert_eq!(w.failures().len(), 1, "{faults:?}");
}

#[madsim::test]
async fn a_watch_that_falls_silent_is_found_out() {
    found_out(Faults { stall_watches: true, ..Faults::default() }).await;
}

#[madsim::test]
async fn a_watch_that_answers_but_withholds_events_is_found_out() {
    found_out(Faults { withhold_events: true, ..Faults::default() }).await;
}

#[madsim::test]
async fn a_member_that_hangs_is_found_out() {
    found_out(Faults { hang: true, ..Faults::default() }).await;
}

#[madsim::test]
async fn a_leader_change_is_survived_by_resuming() {
    let w = world(3);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.converged(SEC).await;
    let reads: u64 = w.members.iter().map(|(m, ..)| m.calls(method::RANGE)).sum();
    w.store.set_leader(false);
    w.until("failing", SEC, |w| !w.status.view().healthy).await;
    assert_eq!(w.status.view().revision, w.store.revision().to_string(), "the last state stays in force");
    sleep(3 * SEC).await;
    w.store.set_leader(true);
    put(&w.store, "http/routers/a/rule", "Path(`/b`)");
    w.converged(11 * SEC).await;
    let again: u64 = w.members.iter().map(|(m, ..)| m.calls(method::RANGE)).sum();
    assert_eq!(reads, again, "the watch was resumed, nothing was read again");
    w.until("healthy", SEC, |w| w.status.view().healthy).await;
}

#[madsim::test]
async fn a_disconnection_is_no_failure_worth_a_pause() {
    let w = world(1);
    w.watch("", "").await;
    w.until("synced", SEC, |w| w.status.is_synced()).await;
    sleep(10 * SEC).await;
    w.member().disconnect();
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    let took = w.converged(SEC).await;
    assert!(took < Duration::from_millis(60), "{took:?}");
}

#[madsim::test]
async fn a_dead_store_is_asked_ever_more_rarely_and_found_again() {
    let w = world(1);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.converged(SEC).await;
    let (_, host, node) = &w.members[0];
    let handle = Handle::current();
    handle.kill(node.id());
    w.net.exit(*host);
    w.until("failing", SEC, |w| !w.status.view().healthy).await;
    sleep(600 * SEC).await;
    let view = w.status.view();
    // Ten seconds at most between two attempts, five at least: and never a storm.
    assert!((60..=135).contains(&view.restarts), "{} attempts in ten minutes", view.restarts);
    assert_eq!(w.failures().len(), 1, "told once, not per attempt");
    assert!(view.synced && view.revision == w.store.revision().to_string());
    assert!(view.failing_since.is_some() && view.last_success.is_some_and(|at| now() - at > 590 * SEC), "staleness shows");
    handle.restart(node.id());
    put(&w.store, "http/routers/a/rule", "Path(`/b`)");
    w.converged(11 * SEC).await;
}

#[madsim::test]
async fn a_partition_is_found_out_and_healed() {
    let w = world(1);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.watch("", "").await;
    w.converged(SEC).await;
    let host = w.members[0].1;
    w.net.partition(w.gateway_host, host, true);
    put(&w.store, "http/routers/a/rule", "Path(`/b`)");
    w.until("failing", 25 * SEC, |w| !w.status.view().healthy).await;
    w.net.partition(w.gateway_host, host, false);
    w.converged(15 * SEC).await;
}

#[madsim::test]
async fn a_wrong_password_names_its_flags_and_the_right_one_works_even_when_its_token_dies() {
    let w = world(1);
    put(&w.store, "http/routers/a/rule", "Path(`/a`)");
    w.store.enable_auth("root", "secret");
    let wrong = w.watch("root", "guess").await;
    w.until("failing", SEC, |w| w.status.view().failing_since.is_some()).await;
    let message = w.status.view().message;
    assert!(message.contains("--providers.etcd.password") && !message.contains("guess"), "{message}");
    sleep(60 * SEC).await;
    assert!((5..30).contains(&w.status.view().restarts), "retried, with pauses: {:?}", w.status.view());
    assert!(!w.status.is_synced());
    wrong.stop(None);

    let none = w.watch("", "").await;
    w.until("told", 2 * SEC, |w| w.status.view().message.contains("demands a user")).await;
    none.stop(None);

    w.watch("root", "secret").await;
    w.converged(SEC).await;
    w.store.expire_tokens();
    sleep(30 * SEC).await;
    w.member().disconnect();
    put(&w.store, "http/routers/a/rule", "Path(`/b`)");
    w.converged(SEC).await;
    assert!(w.status.view().healthy);
}

#[madsim::test]
async fn a_user_for_a_store_that_has_none_is_no_hindrance() {
    let w = world(1);
    w.watch("root", "secret").await;
    w.until("synced", SEC, |w| w.status.is_synced()).await;
    assert_eq!(w.failures(), [""; 0]);
}

async fn wiped(cluster: u64) {
    let w = world(1);
    for n in 0..10 {
        put(&w.store, &format!("http/routers/r{n}/rule"), "Path(`/a`)");
    }
    w.watch("", "").await;
    w.converged(SEC).await;
    let before = w.status.view().revision;
    w.store.wipe(cluster);
    w.member().disconnect();
    w.until("doubting", 15 * SEC, |w| w.status.view().message.contains("stay in force")).await;
    sleep(120 * SEC).await;
    let view = w.status.view();
    assert!(view.revision == before && !view.healthy, "{view:?}");
    put(&w.store, "http/routers/new/rule", "Path(`/a`)");
    w.converged(15 * SEC).await;
    w.until("healthy", SEC, |w| w.status.view().healthy).await;
}

#[madsim::test]
async fn a_wiped_store_takes_nothing_away_until_it_holds_something() {
    wiped(1).await;
}

#[madsim::test]
async fn another_store_that_is_empty_takes_nothing_away_either() {
    wiped(2).await;
}
