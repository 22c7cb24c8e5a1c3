//! The simulated world beyond TCP's wire: shortages, unreachable hosts, datagrams, names, files, clocks, recordings.
#![cfg(madsim)]

use fairlead_net::{
    clock, dns, fs, random,
    sim::{Answer, Config, HostId, Net, Verdict},
    task,
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, now, sleep, timeout},
    udp, unix,
};
use madsim::runtime::{Handle, NodeHandle, Runtime};
use std::{io::ErrorKind, net::IpAddr, path::Path, time::SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

struct Two {
    net: Net,
    server: NodeHandle,
    client: NodeHandle,
    s: HostId,
    c: HostId,
}

/// Server at 10.0.0.1, client at 10.0.0.2, 5 ms each way.
fn two(cfg: Config) -> Two {
    let net = Net::start(cfg);
    net.default_link(|l| l.latency = 5 * MS..5 * MS);
    let h = Handle::current();
    let (server, client) = (h.create_node().name("server").build(), h.create_node().name("client").build());
    let (s, c) = (net.host(server.id(), &["10.0.0.1"]), net.host(client.id(), &["10.0.0.2"]));
    Two { net, server, client, s, c }
}

impl Two {
    async fn listener(&self, addr: &'static str) -> Listener {
        self.server.spawn(async move { Listener::bind(addr.parse().unwrap(), ListenOptions::default()).unwrap() }).await.unwrap()
    }

    async fn connect(&self, addr: &'static str) -> Result<Stream, ErrorKind> {
        self.client.spawn(async move { Stream::connect(addr.parse().unwrap()).await.map_err(|e| e.kind()) }).await.unwrap()
    }

    async fn udp(&self, node: &NodeHandle, addr: &'static str) -> udp::Socket {
        node.spawn(async move { udp::Socket::bind(addr.parse().unwrap()).unwrap() }).await.unwrap()
    }
}

#[madsim::test]
async fn accepts_that_find_no_descriptor_leave_the_connection_waiting() {
    let t = two(Config::default());
    let l = t.listener("10.0.0.1:80").await;
    t.net.fail_accepts(t.s, 3);
    assert!(timeout(SEC, l.accept()).await.is_err(), "without a connection there is nothing to fail");
    let c = t.connect("10.0.0.1:80").await.unwrap();
    for _ in 0..3 {
        assert_eq!(l.accept().await.err().and_then(|e| e.raw_os_error()), Some(24), "EMFILE");
    }
    assert_eq!(l.accept().await.unwrap().1, c.local_addr().unwrap());
}

#[madsim::test]
async fn an_address_nobody_holds_is_unreachable_on_ones_own_segment_only() {
    let t = two(Config::default());
    t.net.configure(t.c, |cfg| cfg.neighbour_timeout = Some(3 * SEC));
    let at = now();
    assert_eq!(t.connect("10.0.0.9:80").await.err(), Some(ErrorKind::HostUnreachable));
    assert!((3 * SEC..4 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
}

#[madsim::test]
async fn a_router_that_rejects_ends_an_opening_at_once_but_not_an_open_connection() {
    let t = two(Config { retries: 5, ..Config::default() });
    let l = t.listener("10.0.0.1:80").await;
    let mut open = t.connect("10.0.0.1:80").await.unwrap();
    let (mut served, _) = l.accept().await.unwrap();
    let rule = t.net.rule(|p| if p.dst().ip().to_string() == "10.0.0.1" { Verdict::Reject } else { Verdict::Pass });
    let at = now();
    assert_eq!(t.connect("10.0.0.1:80").await.err(), Some(ErrorKind::HostUnreachable));
    assert!(at.elapsed() < 100 * MS, "{:?}", at.elapsed());
    open.write_all(b"later").await.unwrap();
    assert!(timeout(SEC, open.read(&mut [0; 8])).await.is_err(), "it goes on trying");
    t.net.remove_rule(rule);
    assert_eq!(timeout(30 * SEC, served.read(&mut [0; 8])).await.unwrap().unwrap(), 5);
    let _rule = t.net.rule(|p| if p.dst().ip().to_string() == "10.0.0.1" { Verdict::Reject } else { Verdict::Pass });
    open.write_all(b"never").await.unwrap();
    assert_eq!(open.read(&mut [0; 8]).await.map_err(|e| e.kind()), Err(ErrorKind::HostUnreachable), "not just TimedOut");
}

#[madsim::test]
async fn a_user_timeout_ends_a_dead_connection_sooner() {
    let t = two(Config::default());
    let l = t.listener("10.0.0.1:80").await;
    let mut c = t.connect("10.0.0.1:80").await.unwrap();
    let _s = l.accept().await.unwrap();
    c.set_user_timeout(Some(20 * SEC)).unwrap();
    t.net.partition(t.s, t.c, true);
    c.write_all(b"anyone?").await.unwrap();
    let at = now();
    assert_eq!(c.read(&mut [0; 8]).await.map_err(|e| e.kind()), Err(ErrorKind::TimedOut));
    assert!((20 * SEC..21 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
}

#[madsim::test]
async fn buffers_are_set_per_host_and_per_socket() {
    let t = two(Config::default());
    t.net.configure(t.s, |cfg| cfg.recv_buffer = 8 << 10);
    let l = t.listener("10.0.0.1:80").await;
    for (own, expected) in [(None, 72 << 10), (Some(4 << 10), 12 << 10)] {
        let mut c = t.connect("10.0.0.1:80").await.unwrap();
        let _s = l.accept().await.unwrap();
        c.set_buffers(own, None).unwrap();
        let mut sent = 0;
        while let Ok(n) = timeout(SEC, c.write(&[7; 1000])).await {
            sent += n.unwrap();
        }
        assert_eq!(sent, expected);
    }
}

/// Ports of the clients that the first of two listeners was given.
async fn shared_port() -> Vec<u16> {
    let t = two(Config::default());
    let sharing = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let bind = || async move { Listener::bind("0.0.0.0:80".parse().unwrap(), sharing).unwrap() };
    let (a, _b) = (t.server.spawn(bind()).await.unwrap(), t.server.spawn(bind()).await.unwrap());
    let mut open = vec![];
    for _ in 0..32 {
        open.push(t.connect("10.0.0.1:80").await.unwrap());
    }
    let mut of_a = vec![];
    while let Ok(accepted) = timeout(SEC, a.accept()).await {
        of_a.push(accepted.unwrap().1.port());
    }
    of_a
}

#[test]
fn the_listeners_of_a_port_are_picked_by_address_not_by_chance() {
    let of_first = in_simulation(1, shared_port);
    assert!((8..25).contains(&of_first.len()), "{of_first:?}");
    assert_eq!(of_first, in_simulation(2, shared_port));
}

#[madsim::test]
async fn datagrams_are_lost_doubled_and_cut_off() {
    let t = two(Config::default());
    let (server, client) = (t.udp(&t.server, "10.0.0.1:53").await, t.udp(&t.client, "10.0.0.2:0").await);
    let flood = async |n: usize| {
        for _ in 0..n {
            client.send_to(b"datagram", "10.0.0.1:53".parse().unwrap()).await.unwrap();
        }
        let mut got = 0;
        while timeout(SEC, server.recv(&mut [0; 16])).await.is_ok() {
            got += 1;
        }
        got
    };
    assert_eq!(flood(100).await, 100);
    t.net.default_link(|l| l.loss = 0.3);
    let got = flood(1000).await;
    assert!((500..900).contains(&got), "{got}");
    t.net.default_link(|l| (l.loss, l.duplicate) = (0.0, 0.3));
    let got = flood(1000).await;
    assert!((1100..1500).contains(&got), "{got}");
    t.net.partition(t.s, t.c, true);
    assert_eq!(flood(10).await, 0);
}

#[madsim::test]
async fn an_exit_frees_every_kind_of_port() {
    let t = two(Config::default());
    for round in 0..3 {
        let held = t.server.spawn(async {
            let tcp = Listener::bind("10.0.0.1:80".parse().unwrap(), ListenOptions::default()).unwrap();
            let udp = udp::Socket::bind("10.0.0.1:80".parse().unwrap()).unwrap();
            let unix = unix::Listener::bind("/run/fairlead.sock").unwrap();
            (tcp, udp, unix)
        });
        let held = held.await.unwrap_or_else(|e| panic!("round {round}: {e}"));
        t.net.exit(t.s);
        // The dead process's handles are dropped only after its successor has bound.
        t.client.spawn(async move {
            sleep(SEC).await;
            drop(held);
        });
        if round == 1 {
            sleep(2 * SEC).await;
        }
    }
    sleep(2 * SEC).await;
    let last = t.server.spawn(async { unix::Listener::bind("/run/fairlead.sock").map(|_| ()) }).await.unwrap();
    assert!(last.is_ok(), "{last:?}");
}

#[madsim::test]
async fn unix_streams_stay_inside_their_host_and_die_with_it() {
    let t = two(Config::default());
    let l = t.server.spawn(async { unix::Listener::bind("/run/a.sock").unwrap() }).await.unwrap();
    let elsewhere = t.client.spawn(async { unix::Stream::connect("/run/a.sock").await.map(|_| ()).map_err(|e| e.kind()) });
    assert_eq!(elsewhere.await.unwrap(), Err(ErrorKind::NotFound));
    let (mut c, _s) = t
        .server
        .spawn(async move {
            let (c, s) = tokio::join!(unix::Stream::connect("/run/a.sock"), l.accept());
            let s = s.unwrap();
            (
                c.unwrap(),
                task::spawn(async move {
                    let _held = (s, l);
                    std::future::pending::<()>().await;
                }),
            )
        })
        .await
        .unwrap();
    Handle::current().kill(t.server.id());
    assert_eq!(timeout(SEC, c.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[madsim::test]
async fn names_change_fail_and_take_time() {
    let t = two(Config::default());
    let resolve = || t.client.spawn(async { dns::resolve("Web.Example.").await.map_err(|e| e.kind()) });
    let ips = |list: &[&str]| list.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();
    assert_eq!(resolve().await.unwrap(), Err(ErrorKind::NotFound));
    t.net.dns("web.example", Answer::Addresses(ips(&["10.0.0.9", "fd00::1", "10.0.0.1", "10.0.0.9"])));
    assert_eq!(resolve().await.unwrap(), Ok(ips(&["10.0.0.1", "10.0.0.9", "fd00::1"])));
    t.net.dns_delay(7 * SEC);
    let at = now();
    t.net.dns("web.example", Answer::Failure);
    assert!(!matches!(resolve().await.unwrap(), Ok(_) | Err(ErrorKind::NotFound)), "a failure is not an absence");
    assert!(at.elapsed() >= 7 * SEC);
    t.net.dns("web.example", Answer::Addresses(vec![]));
    assert_eq!(resolve().await.unwrap(), Err(ErrorKind::NotFound));
}

#[madsim::test]
async fn files_are_each_hosts_own_outlive_it_and_can_be_torn() {
    let t = two(Config::default());
    let path = Path::new("/etc/fairlead/dynamic.yml");
    let read = |node: &NodeHandle| node.spawn(async move { fs::read(path, 1 << 20).await.map_err(|e| e.kind()) });
    let watch = t.server.spawn(async move {
        let mut watcher = fs::watch(&["/etc/fairlead".into()]).unwrap();
        for _ in 0..2 {
            watcher.changed().await.unwrap();
        }
    });
    sleep(SEC).await;
    t.net.write_file(t.s, path, "http: {}");
    assert_eq!(read(&t.server).await.unwrap(), Ok(b"http: {}".to_vec()));
    assert_eq!(read(&t.client).await.unwrap(), Err(ErrorKind::NotFound));
    sleep(SEC).await;
    assert!(!watch.is_finished(), "told of one change once");
    t.net.remove_file(t.s, path);
    watch.await.unwrap();
    t.net.write_file(t.s, path, "http: {}");
    t.net.power_off(t.s);
    t.net.power_on(t.s);
    assert_eq!(t.net.read_file(t.s, path), Some(b"http: {}".to_vec()));
    t.net.torn_reads(t.s, 1.0);
    let torn = read(&t.server).await.unwrap().unwrap();
    assert!(torn.len() < 8 && b"http: {}".starts_with(&torn), "{torn:?}");
}

#[madsim::test]
async fn each_host_has_its_own_wall_clock_and_cpus() {
    let t = two(Config::default());
    t.net.skew(t.s, -90_000);
    t.net.skew(t.c, 30_000);
    t.net.cpus(t.s, 8);
    let see = |node: &NodeHandle| node.spawn(async { (clock::now(), task::available_cpus()) });
    let ((s, s_cpus), (c, c_cpus)) = (see(&t.server).await.unwrap(), see(&t.client).await.unwrap());
    let apart = c.duration_since(s).unwrap();
    assert!((120 * SEC..121 * SEC).contains(&apart), "{apart:?}");
    assert_eq!((s_cpus, c_cpus), (8, 2));
    // From the end of 2021 to the beginning of 2023: certificates of tests must hold then.
    assert!((1_640_900_000..1_672_700_000).contains(&clock::unix_seconds(s)), "{s:?}");
}

/// Runs a simulation of its own, on a thread of its own as madsim's test runner does.
#[expect(clippy::disallowed_methods, reason = "this is outside of any simulation")]
fn in_simulation<F, T>(seed: u64, f: impl FnOnce() -> F + Send + 'static) -> T
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let run = move || Runtime::with_seed_and_config(seed, madsim::Config::default()).block_on(f());
    std::thread::spawn(run).join().unwrap()
}

/// A bit of everything that draws from the seed; what it leaves behind.
async fn busy() -> (fairlead_net::sim::Stats, u64, Duration, SystemTime) {
    let t = two(Config::default());
    let at = now();
    t.net.default_link(|l| {
        l.latency = MS..9 * MS;
        (l.loss, l.duplicate, l.reorder) = (0.05, 0.05, true);
    });
    t.net.short_io(0.5);
    let l = t.listener("10.0.0.1:80").await;
    t.server.spawn(async move {
        while let Ok((mut s, _)) = l.accept().await {
            task::spawn(async move {
                let (mut r, mut w) = tokio::io::split(&mut s);
                let _cut_short = tokio::io::copy(&mut r, &mut w).await;
            });
        }
    });
    let mut clients = vec![];
    for i in 0..8 {
        let mut c = t.connect("10.0.0.1:80").await.unwrap();
        clients.push(t.client.spawn(async move {
            let mut data = vec![0; 20_000 + i];
            random::fill(&mut data);
            let (mut r, mut w) = tokio::io::split(&mut c);
            let mut back = vec![0; data.len()];
            let (sent, received) = tokio::join!(w.write_all(&data), r.read_exact(&mut back));
            assert!(sent.is_ok() && received.is_ok() && back == data);
        }));
    }
    for c in clients {
        c.await.unwrap();
    }
    (t.net.stats(), random::u64(), now() - at, clock::now())
}

#[test]
fn a_seed_repeats_its_run_and_another_differs() {
    for seed in 0..5 {
        let (one, two) = (in_simulation(seed, busy), in_simulation(seed, busy));
        assert_eq!(one, two);
        assert_ne!(one.0.trace, in_simulation(seed + 100, busy).0.trace);
    }
}

#[madsim::test]
async fn a_recording_holds_every_arrival_with_valid_checksums() {
    let t = two(Config::default());
    t.net.attach(t.s, "fd00::1");
    t.net.attach(t.c, "fd00::2");
    t.net.capture(1 << 20);
    let l = t.listener("[::]:80").await;
    for addr in ["10.0.0.1:80", "[fd00::1]:80"] {
        let mut c = t.connect(addr).await.unwrap();
        let (mut s, _) = l.accept().await.unwrap();
        c.write_all(b"an odd number of bytes!").await.unwrap();
        s.read_exact(&mut [0; 23]).await.unwrap();
    }
    let u = t.udp(&t.client, "0.0.0.0:0").await;
    u.connect("10.0.0.1:9".parse().unwrap()).await.unwrap();
    u.send(b"odd").await.unwrap();
    assert!(u.recv(&mut [0; 8]).await.is_err());
    sleep(SEC).await;
    let delivered = t.net.stats().delivered;
    let file = t.net.end_capture();
    if let Ok(path) = std::env::var("FAIRLEAD_PCAP") {
        std::fs::write(path, &file).unwrap();
    }
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_3c4d, 101), "nanoseconds, raw IP");
    let (mut at, mut packets) = (24, 0);
    while at < file.len() {
        let (len, packet) = (word(at + 8), at + 16);
        let packet = &file[packet..packet + len];
        check_sums(packet);
        at += 16 + len;
        packets += 1;
    }
    assert_eq!(packets, delivered);
    assert!(packets > 10);
}

/// A packet whose sums are right adds up to all ones, headers and pseudo-header alike (RFC 1071).
fn check_sums(packet: &[u8]) {
    let add = |bytes: &[u8]| bytes.chunks(2).map(|p| u64::from(p[0]) << 8 | u64::from(*p.get(1).unwrap_or(&0))).sum::<u64>();
    let fold = |mut sum: u64| {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    };
    let v4 = packet[0] >> 4 == 4;
    let (header, protocol, addrs) = if v4 { (20, packet[9], &packet[12..20]) } else { (40, packet[6], &packet[8..40]) };
    if v4 {
        assert_eq!(fold(add(&packet[..20])), 0xffff, "IP header");
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
    }
    let body = &packet[header..];
    let pseudo = if protocol == 1 { 0 } else { add(addrs) + u64::from(protocol) + body.len() as u64 };
    assert_eq!(fold(add(body) + pseudo), 0xffff, "protocol {protocol}");
}
