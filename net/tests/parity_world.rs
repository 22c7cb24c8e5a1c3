//! Datagrams, Unix streams, names, timers, tasks, chance and files: the same assertions on both arms.

#[path = "support/both.rs"]
mod both;

use both::{addr, directory, settle};
use fairlead_net::{
    clock, dns, fs, random, rt, task,
    time::{self, Deadline, Duration, Elapsed, now, sleep, timeout},
    udp, unix,
};
use std::{
    future::{pending, poll_fn},
    io::ErrorKind,
    net::IpAddr,
    task::Poll,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

fn socket() -> udp::Socket {
    udp::Socket::bind(addr("127.0.0.1:0")).unwrap()
}

/// Compiles only while what the data plane holds may move between threads.
#[allow(dead_code)]
fn everything_is_send() {
    fn send<T: Send + 'static>() {}
    fn io<T: Send + Unpin + tokio::io::AsyncRead + tokio::io::AsyncWrite + 'static>() {}
    io::<fairlead_net::tcp::Stream>();
    io::<unix::Stream>();
    send::<(fairlead_net::tcp::Listener, udp::Socket, unix::Listener)>();
    send::<(time::Sleep, time::Interval, Deadline, fs::Watcher)>();
    send::<(task::Handle<()>, task::Owned<()>, task::Worker<()>)>();
    fn future<F: Future + Send>(_: F) {}
    let _ = || future(fairlead_net::tcp::Stream::connect(addr("127.0.0.1:1")));
    let _ = || future(dns::resolve("localhost"));
    let _ = || future(fs::read("/", 1));
    let _ = || future(timeout(MS, sleep(MS)));
}

both! {
    // ---- UDP ----

    datagrams_keep_their_borders_and_are_cut_to_the_buffer {
        let (a, b) = (socket(), socket());
        let to = b.local_addr().unwrap();
        a.send_to(b"first", to).await.unwrap();
        a.send_to(b"", to).await.unwrap();
        a.send_to(b"a longer one", to).await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(b.recv_from(&mut buf).await.unwrap(), (5, a.local_addr().unwrap()));
        assert_eq!(b.recv_from(&mut buf).await.unwrap(), (0, a.local_addr().unwrap()));
        assert_eq!(b.recv_from(&mut buf).await.unwrap(), (8, a.local_addr().unwrap()));
        assert_eq!(&buf, b"a longer");
    }

    a_connected_socket_hears_that_nobody_listens {
        let (a, b) = (socket(), socket());
        a.connect(b.local_addr().unwrap()).await.unwrap();
        drop(b);
        a.send(b"anyone?").await.unwrap();
        let e = timeout(5 * SEC, a.recv(&mut [0; 8])).await.unwrap().unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ConnectionRefused);
    }

    a_socket_that_is_not_connected_hears_nothing_of_it {
        let (a, b) = (socket(), socket());
        let gone = b.local_addr().unwrap();
        drop(b);
        a.send_to(b"anyone?", gone).await.unwrap();
        assert_eq!(timeout(60 * MS, a.recv(&mut [0; 8])).await.err(), Some(Elapsed));
        assert_eq!(a.send(b"x").await.err().map(|e| e.kind() == ErrorKind::NotConnected || e.raw_os_error() == Some(89)), Some(true));
    }

    a_connected_socket_hears_only_its_peer {
        let (a, b, stranger) = (socket(), socket(), socket());
        a.connect(b.local_addr().unwrap()).await.unwrap();
        stranger.send_to(b"stranger", a.local_addr().unwrap()).await.unwrap();
        settle().await;
        b.send_to(b"peer", a.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 16];
        let n = a.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..n], b"peer");
    }

    a_full_queue_loses_datagrams_and_blocks_nobody {
        let (a, b) = (socket(), socket());
        let sent = 1000;
        for _ in 0..sent {
            timeout(5 * SEC, a.send_to(&[7; 8000], b.local_addr().unwrap())).await.unwrap().unwrap();
        }
        settle().await;
        let mut got = 0;
        while timeout(50 * MS, b.recv(&mut [0; 9000])).await.is_ok() {
            got += 1;
        }
        assert!(got > 1 && got < sent, "{got}");
    }

    datagrams_have_a_largest_size {
        let (a, b) = (socket(), socket());
        let to = b.local_addr().unwrap();
        let mut buf = vec![0; 70_000];
        assert_eq!(a.send_to(&vec![7; udp::MAX_DATAGRAM], to).await.unwrap(), udp::MAX_DATAGRAM);
        assert_eq!(b.recv(&mut buf).await.unwrap(), udp::MAX_DATAGRAM);
        let e = a.send_to(&vec![7; udp::MAX_DATAGRAM + 1], to).await.unwrap_err();
        assert_eq!(e.raw_os_error(), Some(90), "EMSGSIZE");
    }

    a_udp_port_is_taken_once_unless_shared {
        let a = socket();
        let e = udp::Socket::bind(a.local_addr().unwrap()).map(|_| ()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AddrInUse);
        let sharing = udp::BindOptions { reuse_port: true };
        let b = udp::Socket::bind_with(addr("127.0.0.1:0"), sharing).unwrap();
        let c = udp::Socket::bind_with(b.local_addr().unwrap(), sharing).unwrap();
        for _ in 0..64 {
            socket().send_to(b"x", b.local_addr().unwrap()).await.unwrap();
        }
        settle().await;
        let mut counts = [0, 0];
        for (n, s) in counts.iter_mut().zip([&b, &c]) {
            while timeout(20 * MS, s.recv(&mut [0; 8])).await.is_ok() {
                *n += 1;
            }
        }
        assert_eq!(counts[0] + counts[1], 64);
        assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    }

    // ---- Unix streams ----

    a_unix_stream_carries_both_ways_and_half_closes {
        let dir = directory("unix-both");
        let path = dir.join("socket");
        let l = unix::Listener::bind(&path).unwrap();
        assert_eq!(l.local_path(), path);
        let (c, s) = tokio::join!(unix::Stream::connect(&path), l.accept());
        let (mut c, mut s) = (c.unwrap(), s.unwrap());
        c.write_all(b"question").await.unwrap();
        c.shutdown().await.unwrap();
        let mut got = vec![];
        s.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        s.write_all(b"answer").await.unwrap();
        drop(s);
        got.clear();
        c.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"answer");
    }

    a_unix_stream_blocks_a_writer_and_fails_one_whose_reader_is_gone {
        let dir = directory("unix-full");
        let path = dir.join("socket");
        let l = unix::Listener::bind(&path).unwrap();
        let (c, s) = tokio::join!(unix::Stream::connect(&path), l.accept());
        let (mut c, s) = (c.unwrap(), s.unwrap());
        let mut sent = 0;
        while let Ok(n) = timeout(50 * MS, c.write(&[7; 1000])).await {
            sent += n.unwrap();
        }
        assert!(sent >= 10_000, "{sent}");
        drop(s);
        assert_eq!(c.write(b"x").await.map_err(|e| e.kind()), Err(ErrorKind::BrokenPipe));
    }

    a_unix_path_is_absent_taken_or_free_again {
        let dir = directory("unix-path");
        let path = dir.join("socket");
        let absent = |e: std::io::Error| e.kind();
        assert_eq!(unix::Stream::connect(&path).await.map(|_| ()).map_err(absent), Err(ErrorKind::NotFound));
        let l = unix::Listener::bind(&path).unwrap();
        assert_eq!(unix::Listener::bind(&path).map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::AddrInUse));
        drop(l);
        assert_eq!(unix::Stream::connect(&path).await.map(|_| ()).map_err(absent), Err(ErrorKind::NotFound));
        unix::Listener::bind(&path).unwrap();
    }

    // ---- names ----

    literal_addresses_are_not_looked_up {
        for (host, ip) in [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1")] {
            assert_eq!(dns::resolve(host).await.unwrap(), [ip.parse::<IpAddr>().unwrap()]);
        }
    }

    localhost_is_this_host_and_the_answer_is_in_order {
        let ips = dns::resolve("localhost").await.unwrap();
        assert!(!ips.is_empty() && ips.iter().all(IpAddr::is_loopback) && ips.is_sorted(), "{ips:?}");
    }

    // ---- timers ----

    a_sleep_is_never_early {
        let at = now();
        sleep(20 * MS).await;
        assert!((20 * MS..5 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
        time::sleep_until(at).await;
        assert_eq!(timeout(10 * MS, sleep(Duration::MAX)).await, Err(Elapsed), "a sum that overflows is far away");
    }

    a_timeout_prefers_the_result_and_drops_the_loser {
        assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
        assert_eq!(timeout(5 * MS, pending::<()>()).await, Err(Elapsed));
        assert_eq!(time::timeout_at(now() + 5 * MS, pending::<()>()).await, Err(Elapsed));
    }

    an_interval_ticks_at_once_and_does_not_catch_up {
        let (at, mut ticks) = (now(), time::interval(20 * MS));
        ticks.tick().await;
        ticks.tick().await;
        assert!(at.elapsed() >= 20 * MS);
        sleep(100 * MS).await; // misses four
        ticks.tick().await;
        let late = now();
        ticks.tick().await;
        assert!(late.elapsed() >= 15 * MS, "{:?}", late.elapsed());
    }

    a_deadline_moves_later_earlier_and_away {
        let mut d = Deadline::new();
        assert_eq!(timeout(10 * MS, d.expired()).await, Err(Elapsed), "not set");
        let at = now();
        d.set(at + 20 * MS);
        assert!(poll_fn(|cx| Poll::Ready(d.poll_expired(cx))).await.is_pending());
        d.set(at + 60 * MS);
        d.expired().await;
        assert!((60 * MS..5 * SEC).contains(&at.elapsed()), "later: {:?}", at.elapsed());
        d.expired().await; // stays expired
        let at = now();
        d.set(at + 30 * SEC);
        assert!(poll_fn(|cx| Poll::Ready(d.poll_expired(cx))).await.is_pending());
        d.set(at + 20 * MS);
        d.expired().await;
        assert!((20 * MS..5 * SEC).contains(&at.elapsed()), "earlier: {:?}", at.elapsed());
        d.set(now() + 5 * MS);
        assert!(poll_fn(|cx| Poll::Ready(d.poll_expired(cx))).await.is_pending());
        d.clear();
        assert_eq!(timeout(20 * MS, d.expired()).await, Err(Elapsed), "cleared");
        assert_eq!(d.get(), None);
    }

    a_deadline_wakes_the_task_that_polled_last {
        let mut d = Deadline::new();
        d.set(now() + 20 * MS);
        assert!(poll_fn(|cx| Poll::Ready(d.poll_expired(cx))).await.is_pending());
        let other = task::spawn(async move { d.expired().await });
        timeout(5 * SEC, other).await.expect("woken in its new task").unwrap();
    }

    hypers_timer_is_ours {
        use hyper::rt::Timer;
        let (at, timer) = (now(), rt::Timer);
        let mut sleep = timer.sleep(30 * SEC);
        timer.reset(&mut sleep, at + 20 * MS);
        sleep.await;
        assert!((20 * MS..5 * SEC).contains(&at.elapsed()), "{:?}", at.elapsed());
        let (tell, told) = oneshot::channel();
        hyper::rt::Executor::execute(&rt::Executor, async move { tell.send(7).unwrap() });
        assert_eq!(told.await, Ok(7));
    }

    hypers_header_time_out_is_in_force {
        let (server, mut client) = tokio::io::duplex(1024);
        let answer = hyper::service::service_fn(async |_| {
            Ok::<_, std::convert::Infallible>(hyper::Response::new(http_body_util::Empty::<bytes::Bytes>::new()))
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        let serve = http.timer(rt::Timer).header_read_timeout(50 * MS).serve_connection(rt::Io::new(server), answer);
        client.write_all(b"GET / HTTP/1.1\r\nHost: slow").await.unwrap();
        let e = timeout(20 * SEC, serve).await.expect("it does not wait for ever").unwrap_err();
        assert!(e.is_timeout(), "{e}");
    }

    // ---- tasks ----

    a_task_gives_its_result_and_lives_on_when_its_handle_is_dropped {
        assert_eq!(task::spawn(async { 7 }).await, Ok(7));
        let (tell, told) = oneshot::channel();
        drop(task::spawn(async move {
            task::yield_now().await;
            tell.send(8).unwrap();
        }));
        assert_eq!(told.await, Ok(8));
    }

    an_aborted_task_drops_what_it_held {
        let (held, dropped) = oneshot::channel::<()>();
        let handle = task::spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
        task::yield_now().await;
        handle.abort();
        assert_eq!(handle.await, Err(task::JoinError::Aborted));
        assert!(dropped.await.is_err());
    }

    an_owned_task_dies_with_its_owner_unless_detached {
        let (held, dropped) = oneshot::channel::<()>();
        let owned = task::spawn(async move {
            let _held = held;
            pending::<()>().await;
        })
        .owned();
        drop(owned);
        assert!(timeout(5 * SEC, dropped).await.unwrap().is_err());
        let (tell, told) = oneshot::channel();
        let owned = task::spawn(async move {
            task::yield_now().await;
            tell.send(7).unwrap();
        })
        .owned();
        drop(owned.detach());
        assert_eq!(told.await, Ok(7));
        assert_eq!(task::spawn(async { 9 }).owned().await, Ok(9));
    }

    blocking_work_gives_its_result {
        assert_eq!(task::spawn_blocking(|| 6 * 7).await, Ok(42));
    }

    a_worker_runs_what_it_makes_and_the_tasks_it_spawns {
        assert!(task::available_cpus() >= 1);
        let (tx, mut rx) = mpsc::channel(8);
        let worker = task::spawn_worker("worker-0", Some(0), move || async move {
            let held = std::rc::Rc::new(7); // a worker's own future need not be Send
            let tx2 = tx.clone();
            task::spawn(async move { tx2.send("task").await.unwrap() }).await.unwrap();
            sleep(MS).await;
            tx.send("worker").await.unwrap();
            *held
        })
        .unwrap();
        assert_eq!((rx.recv().await, rx.recv().await), (Some("task"), Some("worker")));
        assert_eq!(worker.await, Ok(7));
        assert_eq!(rx.recv().await, None);
    }

    // ---- chance and the wall clock ----

    random_numbers_differ_and_stay_in_range {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        random::secret(&mut a);
        random::secret(&mut b);
        assert_ne!(a, b);
        random::fill(&mut b);
        assert_ne!(a, b);
        assert!((0..1000).all(|_| random::below(10) < 10));
        assert_ne!(random::u64(), random::u64());
    }

    the_wall_clock_advances_with_the_timers {
        let (at, millis) = (clock::now(), clock::unix_millis(clock::now()));
        assert!(millis > 1_600_000_000_000 && clock::unix_seconds(at) > 1_600_000_000);
        sleep(20 * MS).await;
        assert!((15..5_000).contains(&(clock::unix_millis(clock::now()) - millis)));
    }

    // ---- files ----

    files_are_read_whole_or_refused {
        let dir = directory("fs-read");
        let path = dir.join("a.yml");
        assert_eq!(fs::read(&path, 10).await.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        assert!(!fs::exists(&path).await.unwrap());
        fs::write_atomic(&path, b"0123456789").await.unwrap();
        assert_eq!(fs::read(&path, 10).await.unwrap(), b"0123456789");
        let e = fs::read(&path, 9).await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::FileTooLarge);
        assert!(e.to_string().contains("a.yml"), "{e}");
        let m = fs::metadata(&path).await.unwrap();
        assert_eq!((m.len, m.is_dir), (10, false));
        fs::write_atomic(dir.join("c.yml"), b"").await.unwrap();
        fs::write_atomic(dir.join("b.yml"), b"").await.unwrap();
        assert_eq!(fs::read_dir(&*dir).await.unwrap(), ["a.yml", "b.yml", "c.yml"], "nothing temporary is left");
        assert_eq!(fs::read_dir(&path).await.map_err(|e| e.kind()), Err(ErrorKind::NotADirectory));
        assert!(fs::metadata(&*dir).await.unwrap().is_dir);
    }

    a_watcher_tells_of_a_file_made_changed_and_replaced {
        let dir = directory("fs-watch-file");
        let path = dir.join("a.yml");
        let mut watcher = fs::watch(std::slice::from_ref(&path)).unwrap();
        for content in ["made", "changed", "changes"] {
            fs::write_atomic(&path, content.as_bytes()).await.unwrap();
            timeout(20 * SEC, watcher.changed()).await.expect(content).unwrap();
        }
        // What was told is not told again, once the burst is over.
        while timeout(100 * MS, watcher.changed()).await.is_ok() {}
        fs::write_atomic(dir.join("other.yml"), b"another file").await.unwrap();
        assert!(timeout(100 * MS, watcher.changed()).await.is_err(), "a neighbour is of no concern");
    }

    a_watcher_tells_of_the_entries_of_a_directory {
        let dir = directory("fs-watch-dir");
        let mut watcher = fs::watch(&[dir.to_path_buf()]).unwrap();
        fs::write_atomic(dir.join("new.yml"), b"1").await.unwrap();
        timeout(20 * SEC, watcher.changed()).await.unwrap().unwrap();
    }

    a_change_before_the_wait_is_not_lost {
        let dir = directory("fs-watch-early");
        let path = dir.join("a.yml");
        let mut watcher = fs::watch(std::slice::from_ref(&path)).unwrap();
        fs::write_atomic(&path, b"1").await.unwrap();
        settle().await;
        timeout(20 * SEC, watcher.changed()).await.unwrap().unwrap();
        fs::write_atomic(&path, b"22").await.unwrap();
        timeout(20 * SEC, watcher.changed()).await.unwrap().unwrap();
    }
}
