//! The control plane under traffic: actors that fail, servers that come and go, and the way down.

use crate::{
    backend_pool, certificates, router, supervisor,
    telemetry::Process,
    testing::{Server, Site, answering, balanced, nobody, until},
};
use fairlead_core::drain::Outcome;
use fairlead_net::time::now;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn process(site: &Site) -> &Process {
    site.shared.telemetry.process()
}

/// Asks without pause until dropped; every answer is to be 200.
struct Traffic {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Traffic {
    fn on(site: &Site) -> Self {
        let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (until, count, mut client) = (over.clone(), asked.clone(), site.connect());
        let thread = thread::spawn(move || {
            while !until.load(SeqCst) {
                client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
                assert_eq!(client.response().status, 200);
                count.fetch_add(1, SeqCst);
            }
        });
        Self { over, asked, thread: Some(thread) }
    }

    /// Waits until some more was answered.
    fn goes_on(&self) {
        let before = self.asked.load(SeqCst);
        until("traffic", || self.asked.load(SeqCst) > before + 10);
    }

    fn end(mut self) {
        self.over.store(true, SeqCst);
        self.thread.take().expect("it runs").join().expect("every request was answered");
    }
}

#[test]
fn every_actor_may_fail_under_traffic() {
    let (a, b) = (answering("a"), answering("b"));
    let site = Site::start(&balanced(&[a, b], "healthCheck: {path: /, interval: 1s}"));
    let traffic = Traffic::on(&site);
    let crashes: [(&str, &dyn Fn()); 8] = [
        ("Router", &|| site.directory.router().expect("it runs").cast(router::Msg::Crash).expect("alive")),
        ("BackendPool", &|| site.directory.backend_pool().expect("it runs").cast(backend_pool::Msg::Crash).expect("alive")),
        ("Certificates", &|| site.directory.certificates().expect("it runs").cast(certificates::Msg::Crash).expect("alive")),
        ("Router", &|| site.supervisor.cast(supervisor::Msg::Kill("Router")).expect("alive")),
        ("BackendPool", &|| site.supervisor.cast(supervisor::Msg::Kill("BackendPool")).expect("alive")),
        ("Certificates", &|| site.supervisor.cast(supervisor::Msg::Kill("Certificates")).expect("alive")),
        ("ConfigWatch", &|| site.supervisor.cast(supervisor::Msg::Kill("ConfigWatch")).expect("alive")),
        ("Listener", &|| site.supervisor.cast(supervisor::Msg::Kill("Listener")).expect("alive")),
    ];
    for (round, (actor, crash)) in crashes.into_iter().enumerate() {
        let before = process(&site).actor_restarts.get();
        crash();
        until(actor, || process(&site).actor_restarts.get() > before);
        traffic.goes_on();
        // Changes are served again, and new connections taken.
        let servers: &[SocketAddr] = if round % 2 == 0 { &[a] } else { &[a, b] };
        site.configure(&balanced(servers, "healthCheck: {path: /, interval: 1s}"));
        until(actor, || site.endpoints().len() == servers.len());
        assert_eq!(site.get("a.example", "/").status, 200);
    }
    traffic.goes_on();
    traffic.end();
    assert_eq!(site.stop(), Outcome::Clean);
}

#[test]
fn what_a_provider_says_while_there_is_no_router_is_not_lost() {
    let (a, b) = (answering("a"), answering("b"));
    let site = Site::start(&balanced(&[a], ""));
    site.directory.router().expect("it runs").cast(router::Msg::Crash).expect("alive");
    site.say(&balanced(&[b], ""));
    until("the change", || site.get("a.example", "/").body == "b");
    assert!(process(&site).event_to_served.count() > 0);
}

#[test]
fn a_service_that_becomes_another_kind_while_there_is_no_router_is_of_that_kind() {
    let (a, b) = (answering("a"), answering("b"));
    let site = Site::start(&balanced(&[a], ""));
    let group = balanced(&[b], "").replace("    s:\n", "    s:\n      weighted: {services: [{name: t}]}\n    t:\n");
    site.directory.router().expect("it runs").cast(router::Msg::Crash).expect("alive");
    site.say(&group);
    until("the change", || site.get("a.example", "/").body == "b");
}

#[test]
fn a_check_that_fails_leaves_its_servers_as_they_stand() {
    let site = Site::with(&balanced(&[nobody(), answering("up")], "healthCheck: {path: /, interval: 50ms}"), |config| {
        (config.health.rise, config.health.fall) = (1, 3);
    });
    let down = site.endpoints()[0].clone();
    until("the server to be found down", || !down.would_take_new());
    let service = site.shared.published.load().backends().next().expect("a service").name.to_string();
    let pool = site.directory.backend_pool().expect("it runs");
    pool.cast(backend_pool::Msg::CrashCheck(service)).expect("alive");
    let before = down.health();
    until("the next probe", || {
        assert!(!down.would_take_new());
        down.health() != before
    });
    pool.cast(backend_pool::Msg::Crash).expect("alive");
    let before = down.health();
    until("the next probe", || {
        assert!(!down.would_take_new());
        down.health() != before
    });
}

#[test]
fn a_server_that_is_down_stays_down_when_another_is_added() {
    let probed = Arc::new(AtomicUsize::new(0));
    let server = Server::new();
    let (bad, count) = (server.address, probed.clone());
    thread::spawn(move || {
        loop {
            server.accept().try_head();
            count.fetch_add(1, SeqCst);
        }
    });
    let (good, other) = (answering("good"), answering("other"));
    let check = "healthCheck: {path: /, interval: 50ms}";
    let site = Site::with(&balanced(&[bad, good], check), |config| (config.health.rise, config.health.fall) = (3, 3));
    let down = site.endpoints()[0].clone();
    until("the server to be found down", || !down.would_take_new());
    site.configure(&balanced(&[bad, good, other], check));
    let before = probed.load(SeqCst);
    until("further probes", || {
        assert!(!down.would_take_new(), "it came back because another was added");
        probed.load(SeqCst) >= before + 4
    });
    // Without a check nothing speaks against it any more.
    site.configure(&balanced(&[bad, good, other], ""));
    assert!(down.would_take_new());
}

#[test]
fn a_server_that_leaves_loses_its_kept_connections_and_no_request() {
    let (leaving, staying) = (Server::new(), answering("stays"));
    let site = Site::start(&balanced(&[leaving.address], ""));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut kept = leaving.accept();
    kept.head();
    kept.send(OK);
    client.response();
    let mut waiting = site.connect();
    waiting.send("GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n");
    kept.head();
    site.configure(&balanced(&[staying], ""));
    assert_eq!(site.get("a.example", "/").body, "stays");
    kept.send(OK);
    assert_eq!(waiting.response().body, "ok");
    assert!(kept.is_closed());
}

#[test]
fn connections_made_under_other_tls_options_are_not_used_again() {
    let server = Server::new();
    let with = |dial: u32| {
        let service = balanced(&[server.address], "serversTransport: t");
        format!(
            "{service}  serversTransports:\n    t: {{insecureSkipVerify: {}, forwardingTimeouts: {{dialTimeout: {dial}s}}}}\n",
            dial == 1
        )
    };
    let site = Site::start(&with(1));
    let mut client = site.connect();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut kept = server.accept();
    kept.head();
    kept.send(OK);
    client.response();
    site.configure(&with(2));
    assert!(kept.is_closed());
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut fresh = server.accept();
    fresh.head();
    fresh.send(OK);
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_drain_ends_idle_connections_and_lets_requests_finish() {
    let server = Server::new();
    let mut site = Site::start(&balanced(&[server.address], ""));
    let mut idle = site.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    up.send(OK);
    assert_eq!(idle.response().field("Connection"), None);
    let mut busy = site.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    up.head();
    site.terminate();
    assert!(idle.is_closed());
    assert!(!site.directory.is_ready());
    up.send(OK);
    let response = busy.response();
    assert_eq!((response.status, response.field("Connection")), (200, Some("close")));
    assert!(busy.is_closed());
    assert_eq!(site.stop(), Outcome::Clean);
}

#[test]
fn a_request_that_is_on_its_way_when_the_drain_begins_is_answered() {
    let mut site = Site::start(&balanced(&[answering("a")], ""));
    let mut fresh = site.connect();
    // Whoever came before this one has been accepted.
    assert_eq!(site.get("a.example", "/").status, 200);
    site.terminate();
    fresh.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let response = fresh.response();
    assert_eq!((response.status, response.field("Connection")), (200, Some("close")));
    assert_eq!(site.stop(), Outcome::Clean);
}

#[test]
fn the_deadline_cuts_what_does_not_end() {
    let server = Server::new();
    let site = Site::with(&balanced(&[server.address], ""), |config| {
        let entry = config.entry_points.get_mut("web").expect("it is there");
        entry.life_cycle.grace = Duration::from_millis(50);
    });
    let mut busy = site.connect();
    busy.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut up = server.accept();
    up.head();
    let begun = now();
    assert_eq!(site.stop(), Outcome::DeadlinePassed);
    assert!(now() - begun < Duration::from_secs(5));
    assert!(busy.is_closed());
}

#[test]
fn a_lame_duck_sends_its_clients_away_little_by_little() {
    let mut site = Site::with(&balanced(&[answering("ok")], ""), |config| {
        let entry = config.entry_points.get_mut("web").expect("it is there");
        entry.life_cycle.request_accept_grace = Duration::from_millis(400);
    });
    site.terminate();
    let (mut kept, mut sent_away) = (0, 0);
    until("clients to be sent away", || {
        // Requests are still taken, on new connections too.
        let response = site.get("a.example", "/");
        assert_eq!(response.status, 200);
        *if response.field("Connection") == Some("close") { &mut sent_away } else { &mut kept } += 1;
        kept > 0 && sent_away > 0
    });
    assert_eq!(site.stop(), Outcome::Clean);
}

#[test]
fn what_is_open_and_kept_upstream_is_counted() {
    let site = Site::start(&balanced(&[answering("ok")], ""));
    for _ in 0..5 {
        site.get("a.example", "/");
    }
    let p = process(&site);
    assert_eq!((p.upstream_open.get(), p.upstream_connects.get()), (1, 1));
    until("the sweep", || (p.upstream_idle.get(), p.upstream_reuses.get()) == (1, 4));
    site.configure(&balanced(&[nobody()], ""));
    until("its end", || p.upstream_open.get() == 0);
    let text = site.shared.telemetry.render_prometheus(Duration::from_secs(1));
    assert!(text.lines().any(|l| l.contains("provider=\"test\"")), "{text}");
}

#[test]
fn a_change_of_servers_does_not_rebuild_routing() {
    let (a, b) = (answering("a"), answering("b"));
    let site = Site::start(&balanced(&[a], ""));
    let before = site.shared.published.load();
    site.configure(&balanced(&[a, b], ""));
    let after = site.shared.published.load();
    assert!(after.snapshot.shares_routing_with(&before.snapshot));
    assert!(Arc::ptr_eq(&after.routes[0], &before.routes[0]), "nor what the router keeps");
    assert!(Arc::ptr_eq(&site.endpoints()[0], &before.backends().next().expect("a service").endpoints[0]));
    site.configure(&balanced(&[a, b], "").replace("PathPrefix(`/`)", "PathPrefix(`/a`)"));
    assert!(!site.shared.published.load().snapshot.shares_routing_with(&after.snapshot));
}
