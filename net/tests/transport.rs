//! What only a simulator can show: time, loss, partitions, machines that die, addresses that move.
#![cfg(madsim)]

use fairlead_net::{
    sim::{Config, HostId, Net, Verdict},
    tcp::{ListenOptions, Listener, Stream},
    time::{now, sleep, timeout},
};
use madsim::runtime::{Handle, NodeHandle};
use std::{io::ErrorKind, time::Duration};
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
    async fn pair(&self) -> (Stream, Stream) {
        let accept = self.server.spawn(async { listen("10.0.0.1:80").unwrap().accept().await.unwrap().0 });
        sleep(MS).await;
        let connect = self.client.spawn(async { connect("10.0.0.1:80").await.unwrap() });
        (connect.await.unwrap(), accept.await.unwrap())
    }

    fn state(&self, host: HostId) -> Vec<&'static str> {
        self.net.netstat(host).iter().map(|s| s.state).collect()
    }
}

fn listen(addr: &str) -> std::io::Result<Listener> {
    Listener::bind(addr.parse().unwrap(), ListenOptions::default())
}

async fn connect(addr: &str) -> std::io::Result<Stream> {
    Stream::connect(addr.parse().unwrap()).await
}

fn kind<T>(r: std::io::Result<T>) -> Result<T, ErrorKind> {
    r.map_err(|e| e.kind())
}

#[madsim::test]
async fn connect_takes_a_round_trip() {
    let t = two(Config::default());
    let _l = t.server.spawn(async { listen("10.0.0.1:80").unwrap() }).await.unwrap();
    t.client
        .spawn(async {
            let at = now();
            let _s = connect("10.0.0.1:80").await.unwrap();
            assert!((10 * MS..11 * MS).contains(&at.elapsed()), "{:?}", at.elapsed());
        })
        .await
        .unwrap();
}

#[madsim::test]
async fn refused_after_a_round_trip_and_timed_out_after_minutes() {
    let t = two(Config::default());
    t.net.partition(t.s, t.c, false);
    let try_connect = |addr: &'static str| {
        t.client.spawn(async move {
            let at = now();
            (kind(connect(addr).await.map(|_| ())), at.elapsed())
        })
    };
    let (r, took) = try_connect("10.0.0.1:81").await.unwrap();
    assert_eq!(r, Err(ErrorKind::ConnectionRefused));
    assert!((10 * MS..11 * MS).contains(&took), "{took:?}");
    for absent in [false, true] {
        t.net.partition(t.s, t.c, !absent);
        let (r, took) = try_connect(if absent { "10.0.0.9:80" } else { "10.0.0.1:80" }).await.unwrap();
        assert_eq!(r, Err(ErrorKind::TimedOut));
        assert!((127 * SEC..128 * SEC).contains(&took), "{took:?}");
    }
}

#[madsim::test]
async fn a_slow_reader_blocks_the_writer_and_memory_is_bounded() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    let (total, started) = (4 << 20, now());
    let writer = t.client.spawn(async move {
        c.write_all(&vec![7; total]).await.unwrap();
        now()
    });
    let net = t.net.clone();
    let mut most = 0;
    let (mut got, mut buf) = (0, [0; 1000]);
    while got < total {
        got += s.read(&mut buf).await.unwrap();
        if got % 50_000 < 1000 {
            sleep(10 * MS).await;
            most = most.max(net.netstat(t.s)[0].recv_q + net.netstat(t.c)[0].send_q);
        }
    }
    let finished = writer.await.unwrap() - started;
    assert!(most <= 128 << 10, "{most}");
    assert!(most >= 100 << 10, "the pipe was full at times: {most}");
    assert!((SEC / 2..3 * SEC).contains(&finished), "the reader's pace, not that of window probes: {finished:?}");
}

#[madsim::test]
async fn a_writer_blocks_exactly_when_both_buffers_are_full() {
    let t = two(Config::default());
    let (mut c, s) = t.pair().await;
    let mut sent = 0;
    while let Ok(n) = timeout(SEC, c.write(&[7; 10_000])).await {
        sent += n.unwrap();
    }
    assert_eq!(sent, 128 << 10);
    sleep(600 * SEC).await; // window probes keep the connection alive, for as long as the reader sleeps
    assert_eq!(t.state(t.c), ["ESTABLISHED"]);
    let events = t.net.stats().events;
    sleep(600 * SEC).await;
    assert!(t.net.stats().events - events < 50, "probes back off");
    drop(s);
}

#[madsim::test]
async fn a_lost_window_update_is_made_good_by_a_probe() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    let writer = t.client.spawn(async move { kind(c.write_all(&[7; 200_000]).await) });
    sleep(SEC).await;
    t.net.partition(t.s, t.c, true);
    let mut buf = vec![0; 64 << 10];
    s.read_exact(&mut buf).await.unwrap(); // its window update is lost
    sleep(SEC).await;
    t.net.partition(t.s, t.c, false);
    let mut rest = vec![];
    timeout(10 * SEC, s.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(buf.len() + rest.len(), 200_000);
    writer.await.unwrap().unwrap();
}

#[madsim::test]
async fn data_survives_loss_duplication_and_reordering() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    t.net.default_link(|l| {
        l.latency = MS..20 * MS;
        (l.loss, l.duplicate, l.reorder) = (0.1, 0.1, true);
    });
    let data: Vec<u8> = (0..300_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let expected = data.clone();
    t.client.spawn(async move {
        c.write_all(&data).await.unwrap();
        c.shutdown().await.unwrap();
        c.read_to_end(&mut vec![]).await.unwrap();
    });
    let mut got = vec![];
    s.read_to_end(&mut got).await.unwrap();
    assert!(got == expected);
    assert!(t.net.stats().lost > 10, "{:?}", t.net.stats());
}

#[madsim::test]
async fn one_loss_in_a_burst_costs_one_repeat_and_no_timeout() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    let mut n = 0;
    let _ = t.net.rule(move |p| {
        n += u32::from(!p.payload().is_empty());
        if n == 3 && !p.payload().is_empty() { Verdict::Drop } else { Verdict::Pass }
    });
    let (at, before) = (now(), t.net.stats());
    c.write_all(&[7; 29_200]).await.unwrap(); // 20 segments
    s.read_exact(&mut [0; 29_200]).await.unwrap();
    assert!(at.elapsed() < 20 * MS, "{:?}", at.elapsed());
    assert_eq!(t.net.stats().delivered_bytes - before.delivered_bytes, 29_200);
}

#[madsim::test]
async fn what_is_on_the_way_when_the_link_is_cut_is_lost() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    c.write_all(b"hello").await.unwrap();
    sleep(2 * MS).await;
    t.net.partition(t.s, t.c, true);
    assert!(timeout(SEC, s.read(&mut [0; 9])).await.is_err());
    t.net.partition(t.s, t.c, false);
    assert_eq!(s.read(&mut [0; 9]).await.unwrap(), 5);
}

#[madsim::test]
async fn any_one_lost_segment_is_made_good() {
    for lost in 1..14 {
        let t = two(Config::default());
        let mut n = 0;
        let _ = t.net.rule(move |_| {
            n += 1;
            if n == lost { Verdict::Drop } else { Verdict::Pass }
        });
        let (mut c, mut s) = t.pair().await;
        let server = t.server.spawn(async move {
            let mut got = [0; 8];
            s.read_exact(&mut got).await.unwrap();
            s.write_all(b"answer").await.unwrap();
            s.read_to_end(&mut vec![]).await.unwrap();
        });
        c.write_all(b"question").await.unwrap();
        let mut got = [0; 6];
        c.read_exact(&mut got).await.unwrap();
        c.shutdown().await.unwrap();
        c.read_to_end(&mut vec![]).await.unwrap();
        server.await.unwrap();
        drop(c);
        sleep(300 * SEC).await;
        assert!(t.net.netstat(t.s).is_empty() && t.net.netstat(t.c).is_empty(), "lost {lost}: {:?}", t.net.netstat(t.s));
    }
}

#[madsim::test]
async fn a_close_does_not_pass_a_partition_and_only_a_write_finds_out() {
    let t = two(Config::default());
    let (c, s) = t.pair().await;
    let (mut r, mut w) = tokio::io::split(c);
    t.net.partition(t.s, t.c, true);
    drop(s);
    assert!(timeout(3600 * SEC, r.read(&mut [0; 1])).await.is_err(), "a reader waits for ever");
    assert_eq!(t.state(t.c), ["ESTABLISHED"], "half-open");
    assert!(t.state(t.s).is_empty(), "the server's kernel has given up on its FIN");
    let at = now();
    assert_eq!(w.write(b"x").await.unwrap(), 1);
    let mut buf = [0; 1];
    let (read, ()) = tokio::join!(r.read(&mut buf), async {
        sleep(900 * SEC).await;
        assert_eq!(t.state(t.c), ["ESTABLISHED"]);
    });
    assert_eq!(kind(read), Err(ErrorKind::TimedOut));
    assert!((920 * SEC..930 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
}

#[madsim::test]
async fn a_close_reaches_the_peer_once_the_partition_heals() {
    let t = two(Config::default());
    let (mut c, s) = t.pair().await;
    t.net.partition(t.s, t.c, true);
    drop(s);
    sleep(5 * SEC).await;
    t.net.partition(t.s, t.c, false);
    assert_eq!(timeout(20 * SEC, c.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[madsim::test]
async fn a_one_way_partition_starves_both() {
    let t = two(Config { retries: 5, ..Config::default() });
    let (mut c, mut s) = t.pair().await;
    t.net.link(t.s, t.c, |l| l.blocked = true); // the client's bytes arrive, the acknowledgements do not
    c.write_all(b"hello").await.unwrap();
    assert_eq!(s.read(&mut [0; 9]).await.unwrap(), 5);
    assert_eq!(kind(c.read(&mut [0; 1]).await), Err(ErrorKind::TimedOut));
}

#[madsim::test]
async fn keep_alive_finds_a_half_open_connection() {
    let t = two(Config::default());
    let (mut c, s) = t.pair().await;
    c.set_keepalive(Some(30 * SEC)).unwrap();
    assert!(timeout(615 * SEC, c.read(&mut [0; 1])).await.is_err(), "probes are answered");
    t.net.partition(t.s, t.c, true);
    let at = now();
    assert_eq!(kind(c.read(&mut [0; 1]).await), Err(ErrorKind::TimedOut));
    assert!((44 * SEC..46 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
    drop(s);
}

#[madsim::test]
async fn a_full_backlog_drops_syns_until_someone_accepts() {
    let t = two(Config::default());
    let l = t
        .server
        .spawn(async {
            Listener::bind("10.0.0.1:80".parse().unwrap(), ListenOptions { backlog: 2, ..ListenOptions::default() }).unwrap()
        })
        .await
        .unwrap();
    let try_connect = || t.client.spawn(async { connect("10.0.0.1:80").await.unwrap() });
    let mut open = vec![];
    for _ in 0..3 {
        open.push(try_connect().await.unwrap()); // Linux lets in backlog + 1
    }
    let fourth = try_connect();
    sleep(2 * SEC).await;
    assert_eq!(t.state(t.c).iter().filter(|s| **s == "SYN_SENT").count(), 1);
    l.accept().await.unwrap();
    let at = now();
    fourth.await.unwrap();
    assert!(at.elapsed() > 100 * MS, "it had to repeat its SYN");
}

#[madsim::test]
async fn outgoing_ports_run_out() {
    let t = two(Config { ephemeral: 32768..=32770, ..Config::default() });
    let _l = t.server.spawn(async { listen("10.0.0.1:80").unwrap() }).await.unwrap();
    let try_connect = || t.client.spawn(async { kind(connect("10.0.0.1:80").await) });
    let mut open: Vec<_> = vec![];
    for port in 32768..=32770 {
        let s = try_connect().await.unwrap().unwrap();
        assert_eq!(s.local_addr().unwrap().port(), port);
        open.push(s);
    }
    assert_eq!(try_connect().await.unwrap().map(|_| ()), Err(ErrorKind::AddrNotAvailable));
}

#[madsim::test]
async fn time_wait_holds_the_side_that_closed_first() {
    let t = two(Config::default());
    let (c, mut s) = t.pair().await;
    drop(c);
    assert_eq!(s.read(&mut [0; 1]).await.unwrap(), 0);
    drop(s);
    sleep(SEC).await;
    assert_eq!((t.state(t.c), t.state(t.s)), (vec!["TIME_WAIT"], vec![]));
    sleep(61 * SEC).await;
    assert!(t.state(t.c).is_empty());
}

#[madsim::test]
async fn addresses_come_and_go_under_open_connections() {
    let t = two(Config { retries: 8, ..Config::default() });
    t.net.attach(t.s, "10.1.0.1");
    t.net.attach(t.c, "10.1.0.2");
    let l = t.server.spawn(async { listen("0.0.0.0:80").unwrap() }).await.unwrap();
    let try_connect = |a: &'static str| t.client.spawn(async move { kind(connect(a).await) });
    let mut front = try_connect("10.0.0.1:80").await.unwrap().unwrap();
    let (mut front_s, _) = l.accept().await.unwrap();
    let mut back = try_connect("10.1.0.1:80").await.unwrap().unwrap();
    let (mut back_s, _) = l.accept().await.unwrap();
    assert_eq!(back.local_addr().unwrap().ip().to_string(), "10.1.0.2", "source on the peer's network");

    t.net.detach(t.s, "10.1.0.1");
    back_s.write_all(b"lost").await.unwrap();
    assert!(timeout(5 * SEC, back.read(&mut [0; 9])).await.is_err());
    front_s.write_all(b"fine").await.unwrap();
    assert_eq!(front.read(&mut [0; 9]).await.unwrap(), 4, "the other network is untouched");

    t.net.attach(t.s, "10.1.0.1");
    assert_eq!(timeout(60 * SEC, back.read(&mut [0; 9])).await.unwrap().unwrap(), 4, "back in time: nothing was lost");

    // Another service gets the address: whoever still talks to the old one is told so by a RST.
    t.net.detach(t.s, "10.1.0.1");
    let other = Handle::current().create_node().name("other").build();
    let _o = t.net.host(other.id(), &["10.1.0.1"]);
    back.write_all(b"for the old one").await.unwrap();
    assert_eq!(kind(back.read(&mut [0; 9]).await), Err(ErrorKind::ConnectionReset));
    assert_eq!(kind(back_s.write(b"x").await), Ok(1));
    assert_eq!(kind(back_s.read(&mut [0; 9]).await), Err(ErrorKind::TimedOut), "the old one is not heard any more");
    assert_eq!(try_connect("10.1.0.1:80").await.unwrap().map(|_| ()), Err(ErrorKind::ConnectionRefused));
}

#[madsim::test]
async fn a_killed_process_is_loud() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    t.server.spawn(async move {
        s.read_exact(&mut [0; 5]).await.unwrap();
        std::future::pending::<()>().await;
    });
    c.write_all(b"hello").await.unwrap();
    sleep(SEC).await;
    Handle::current().kill(t.server.id());
    assert_eq!(c.read(&mut [0; 1]).await.unwrap(), 0, "all was read: FIN");

    let t = two(Config::default());
    let (mut c, s) = t.pair().await;
    t.server.spawn(async move {
        std::future::pending::<()>().await;
        drop(s);
    });
    c.write_all(b"hello").await.unwrap();
    sleep(SEC).await;
    Handle::current().kill(t.server.id());
    assert_eq!(kind(c.read(&mut [0; 1]).await), Err(ErrorKind::ConnectionReset), "bytes unread: RST");
    let connect = t.client.spawn(async { kind(connect("10.0.0.1:80").await.map(|_| ())) });
    assert_eq!(connect.await.unwrap(), Err(ErrorKind::ConnectionRefused), "the machine is up");
}

#[madsim::test]
async fn a_dead_machine_is_silent_until_it_boots() {
    let t = two(Config::default());
    let (mut c, s) = t.pair().await;
    t.server.spawn(async move {
        std::future::pending::<()>().await;
        drop(s);
    });
    sleep(SEC).await;
    t.net.power_off(t.s);
    Handle::current().kill(t.server.id());
    assert!(timeout(3600 * SEC, c.read(&mut [0; 1])).await.is_err(), "half-open");
    c.write_all(b"anyone?").await.unwrap();
    sleep(10 * SEC).await;
    t.net.power_on(t.s);
    let at = now();
    assert_eq!(kind(c.read(&mut [0; 1]).await), Err(ErrorKind::ConnectionReset), "after a reboot it knows nothing of us");
    assert!(at.elapsed() < 20 * SEC);
}

#[madsim::test]
async fn a_paused_process_still_acknowledges_but_does_not_read() {
    let t = two(Config::default());
    let (mut c, mut s) = t.pair().await;
    let reader = t.server.spawn(async move {
        let mut n = 0;
        while let Ok(k @ 1..) = s.read(&mut [0; 4096]).await {
            n += k;
        }
        n
    });
    sleep(MS).await;
    Handle::current().pause(t.server.id());
    let mut sent = 0;
    while let Ok(n) = timeout(SEC, c.write(&[7; 10_000])).await {
        sent += n.unwrap();
    }
    assert_eq!(sent, 128 << 10);
    Handle::current().resume(t.server.id());
    drop(c);
    assert_eq!(reader.await.unwrap(), 128 << 10);
}

#[madsim::test]
async fn a_connect_given_up_leaves_nothing_behind() {
    let t = two(Config::default());
    let l = t.server.spawn(async { listen("10.0.0.1:80").unwrap() }).await.unwrap();
    let r = t.client.spawn(async { timeout(7 * MS, connect("10.0.0.1:80")).await.is_err() });
    assert!(r.await.unwrap());
    assert!(timeout(SEC, l.accept()).await.is_err(), "the late SYN-ACK was answered by a RST");
    assert!(t.state(t.c).is_empty() && t.state(t.s).is_empty());
}

#[madsim::test]
async fn a_restarted_process_gets_its_port_back() {
    let net = Net::start(Config::default());
    let h = Handle::current();
    let server = h
        .create_node()
        .name("server")
        .init(|| async {
            let l = listen("10.0.0.1:80").unwrap();
            let mut held = vec![];
            loop {
                held.push(l.accept().await.unwrap());
            }
        })
        .build();
    let s = net.host(server.id(), &["10.0.0.1"]);
    let client = h.create_node().name("client").build();
    net.host(client.id(), &["10.0.0.2"]);
    for _ in 0..20 {
        sleep(MS).await;
        let mut c = client.spawn(async { connect("10.0.0.1:80").await.unwrap() }).await.unwrap();
        sleep(10 * MS).await;
        net.exit(s);
        h.restart(server.id());
        assert_eq!(c.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[madsim::test]
async fn loopback_and_ipv6() {
    let t = two(Config::default());
    t.net.attach(t.s, "fd00::1");
    t.net.attach(t.c, "fd00::2");
    let l = t.server.spawn(async { listen("[::]:80").unwrap() }).await.unwrap();
    let c = t.client.spawn(async { connect("[fd00::1]:80").await.unwrap() }).await.unwrap();
    assert_eq!(l.accept().await.unwrap().1, c.local_addr().unwrap());
    let own = t.server.spawn(async { connect("[::1]:80").await.unwrap() }).await.unwrap();
    assert_eq!(own.local_addr().unwrap().ip().to_string(), "::1");
    let foreign = t.client.spawn(async { kind(connect("[::1]:80").await.map(|_| ())) });
    assert_eq!(foreign.await.unwrap(), Err(ErrorKind::ConnectionRefused), "each host has its own loopback");
}

#[madsim::test]
async fn short_reads_and_writes_lose_nothing() {
    let t = two(Config::default());
    t.net.short_io(0.9);
    let (mut c, mut s) = t.pair().await;
    let data: Vec<u8> = (0..100_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let expected = data.clone();
    t.client.spawn(async move { c.write_all(&data).await.unwrap() });
    let mut got = vec![];
    s.read_to_end(&mut got).await.unwrap();
    assert!(got == expected);
}
