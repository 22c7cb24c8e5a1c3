//! What one change costs where much is configured, step by step: `cargo bench -p fairlead-core`. What it costs a gateway as a whole is
//! measured by `cargo scale`.

use fairlead_core::{
    config::{Config, RawDynamic, StaticConfig, flags, kv, resolve, resolve_static},
    discovery::{Draft, Place},
    snapshot::{EntryPointSpec, Snapshot},
};
use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

/// Services, each with a router, a middleware and ten servers.
const SERVICES: usize = 5_000;
const SERVERS: usize = 10;

/// What one service's labels come to. `version` changes one of its servers.
fn workload(n: usize, version: usize, rule: &str) -> RawDynamic {
    let mut draft = Draft::new(&format!("service app-{n}"));
    let name = format!("app-{n}");
    draft.set(&["http", "routers", &name, "rule"], &format!("traefik.http.routers.{name}.rule"), rule);
    draft.set(&["http", "routers", &name, "service"], &format!("traefik.http.routers.{name}.service"), name.clone());
    draft.set(&["http", "routers", &name, "middlewares"], &format!("traefik.http.routers.{name}.middlewares"), name.clone());
    let prefixes = ["http", "middlewares", &name, "stripPrefix", "prefixes"];
    draft.set(&prefixes, &format!("traefik.http.middlewares.{name}.stripprefix.prefixes"), "/api");
    let place = |i: usize| Place {
        address: format!("10.{}.{}.{}:80", n / 250, n % 250, i + 1).parse().expect("an address"),
        instance: if i == 0 { format!("{n}-{version}") } else { format!("{n}-{i}") },
        node: "worker-1".into(),
        unreachable: None,
    };
    let places: Vec<_> = (0..SERVERS).map(place).collect();
    draft.servers(&name, &format!("traefik.http.services.{name}.loadbalancer.server.port"), "http", &places);
    draft.finish().0
}

fn rule(n: usize) -> String {
    format!("Host(`app-{n}.example.com`) && PathPrefix(`/api`)")
}

fn merged(parts: &[RawDynamic]) -> RawDynamic {
    let mut whole = RawDynamic::default();
    for part in parts {
        assert_eq!(whole.merge(part.clone()), []);
    }
    whole
}

fn static_() -> StaticConfig {
    let flags = flags::tree(&["--entryPoints.web.address=:80".to_owned()]).expect("flags");
    resolve_static(&flags).expect("usable").0
}

/// The best time by the clock, and the time on a processor altogether: other work on the machine counts in the first only.
#[derive(Default)]
struct Figure {
    best: Option<Duration>,
    processor: Duration,
    count: u32,
}

#[expect(clippy::disallowed_methods, reason = "a figure is a matter of the clock")]
fn timed<T>(what: &str, figures: &mut BTreeMap<String, Figure>, f: impl FnOnce() -> T) -> T {
    let figure = figures.entry(what.to_owned()).or_default();
    let (begun, used) = (Instant::now(), processor_time());
    let value = black_box(f());
    let took = begun.elapsed();
    figure.processor += processor_time().saturating_sub(used);
    figure.best = Some(figure.best.map_or(took, |best| best.min(took)));
    figure.count += 1;
    value
}

/// Of this thread, to a few milliseconds; zero where the system does not tell.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// Labels of workloads.
fn workloads(figures: &mut BTreeMap<String, Figure>) {
    let static_ = static_();
    let mut parts: Vec<_> = (0..SERVICES).map(|n| workload(n, 0, &rule(n))).collect();
    let mut served = Served::new("labels", merged(&parts), &static_, figures);
    for round in 1..=20_usize {
        let server = ("a server", 7, workload(7, round, &rule(7)));
        let rule = ("a rule", 8, workload(8, 0, &rule(SERVICES + round)));
        for (kind, place, changed) in [server, rule] {
            parts[place] = changed;
            let raw = timed(&format!("{kind:9} 1 merge"), figures, || merged(&parts));
            served.follow(kind, raw, &static_, figures);
        }
    }
}

/// Keys of a store, one of which is put.
fn keys(figures: &mut BTreeMap<String, Figure>) {
    let static_ = static_();
    let url = |n: usize| format!("traefik/http/services/service-{n}/loadbalancer/servers/0/url").into_bytes();
    let rule = |n: usize| format!("traefik/http/routers/service-{n}/rule").into_bytes();
    let pairs = |n: usize| {
        let service = format!("traefik/http/routers/service-{n}/service").into_bytes();
        let host = format!("Host(`service-{n}.test`)").into_bytes();
        [(url(n), b"http://127.0.0.1:8080".to_vec()), (rule(n), host), (service, format!("service-{n}").into_bytes())]
    };
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = (0..2 * SERVICES).flat_map(pairs).collect();
    let mut decoder = kv::Decoder::new("traefik", "etcd");
    timed("all keys  1 decode", figures, || decoder.read(&all));
    let mut served = Served::new("all keys", decoder.decoded().0, &static_, figures);
    for round in 1..=20_usize {
        let moved = ("a key", url(7), format!("http://127.0.0.1:{round}"));
        let ruled = ("key: rule", rule(8), format!("Host(`other-{round}.test`)"));
        for (kind, key, value) in [moved, ruled] {
            all.insert(key.clone(), value.into_bytes());
            let at = format!("{kind:9} 1 decode");
            assert!(timed(&at, figures, || decoder.update(&all, std::iter::once(&key[..]))));
            served.follow(kind, decoder.decoded().0, &static_, figures);
        }
        // A service and its router come, and go again.
        let new = pairs(2 * SERVICES + round);
        for (kind, are_there) in [("keys come", true), ("keys go", false)] {
            for (key, value) in new.clone() {
                let _ = if are_there { all.insert(key, value) } else { all.remove(&key) };
            }
            let at = format!("{kind:9} 1 decode");
            assert!(timed(&at, figures, || decoder.update(&all, new.iter().map(|(key, _)| &key[..]))));
            served.follow(kind, decoder.decoded().0, &static_, figures);
        }
    }
}

/// What is served, from a change to the next.
struct Served {
    raw: RawDynamic,
    config: Config,
    snapshot: Snapshot,
}

impl Served {
    fn new(kind: &str, raw: RawDynamic, static_: &StaticConfig, figures: &mut BTreeMap<String, Figure>) -> Self {
        let (config, rejections) = timed(&format!("{kind:9} 4 resolve"), figures, || {
            resolve(&[("swarm".to_owned(), raw.clone())].into(), static_, None)
        });
        assert_eq!(rejections, []);
        let snapshot = timed(&format!("{kind:9} 5 snapshot"), figures, || Snapshot::build(1, &config, &specs()));
        Self { raw, config, snapshot }
    }

    fn follow(&mut self, kind: &str, raw: RawDynamic, static_: &StaticConfig, figures: &mut BTreeMap<String, Figure>) {
        let at = |what: &str| format!("{kind:9} {what}");
        assert!(timed(&at("2 compare"), figures, || raw != self.raw));
        self.raw = timed(&at("3 clone"), figures, || raw.clone());
        let inputs = BTreeMap::from([("swarm".to_owned(), raw)]);
        let (next, rejections) = timed(&at("4 resolve"), figures, || resolve(&inputs, static_, Some(&self.config)));
        assert_eq!(rejections, []);
        let number = self.snapshot.number() + 1;
        let built = timed(&at("5 snapshot"), figures, || Snapshot::build_after(Some(&self.snapshot), number, &next, &specs()));
        let old = (std::mem::replace(&mut self.config, next), std::mem::replace(&mut self.snapshot, built));
        timed(&at("6 drop"), figures, || drop(old));
    }
}

fn specs() -> [EntryPointSpec; 1] {
    [EntryPointSpec { name: "web".into() }]
}

fn main() {
    let mut best = BTreeMap::new();
    keys(&mut best);
    workloads(&mut best);
    println!("{:24} {:>10} {:>10}", "milliseconds", "best", "processor");
    for (what, figure) in &best {
        let (best, mean) = (figure.best.unwrap_or_default(), figure.processor / figure.count.max(1));
        println!("{what:24} {:10.2} {:10.2}", best.as_secs_f64() * 1e3, mean.as_secs_f64() * 1e3);
    }
}
