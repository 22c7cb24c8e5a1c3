//! TCP: the same assertions on real sockets (`cargo test`) and in the simulator (`cargo simtest`).
//!
//! These hold the simulator to what Linux does. What only a simulator can show is in `transport.rs`.

#[path = "support/both.rs"]
mod both;

use both::{addr, connect, listen, listener, pair, settle};
use fairlead_net::{
    task::{spawn, yield_now},
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, timeout},
};
use std::{
    io::{ErrorKind, IoSlice},
    net::SocketAddr,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

type Seen = Result<usize, ErrorKind>;

async fn read(s: &mut Stream) -> Seen {
    s.read(&mut [0; 16]).await.map_err(|e| e.kind())
}

async fn write(s: &mut Stream) -> Seen {
    s.write(b"x").await.map_err(|e| e.kind())
}

const RESET: Seen = Err(ErrorKind::ConnectionReset);
const PIPE: Seen = Err(ErrorKind::BrokenPipe);
const EOF: Seen = Ok(0);

both! {
    drop_with_unread_data_resets_the_reader {
        let (mut c, s) = pair().await;
        c.write_all(b"unread").await.unwrap();
        settle().await;
        drop(s);
        settle().await;
        assert_eq!([read(&mut c).await, read(&mut c).await, write(&mut c).await], [RESET, EOF, PIPE]);
    }

    drop_with_unread_data_resets_the_writer {
        let (mut c, s) = pair().await;
        c.write_all(b"unread").await.unwrap();
        settle().await;
        drop(s);
        settle().await;
        assert_eq!([write(&mut c).await, write(&mut c).await, read(&mut c).await], [RESET, PIPE, EOF]);
    }

    a_parked_reader_is_woken_by_the_reset {
        let (mut c, s) = pair().await;
        c.write_all(b"unread").await.unwrap();
        let (r, ()) = tokio::join!(read(&mut c), async { settle().await; drop(s) });
        assert_eq!(r, RESET);
    }

    bytes_before_a_reset_are_read_first {
        let (mut c, mut s) = pair().await;
        s.write_all(b"bye").await.unwrap();
        c.write_all(b"unread").await.unwrap();
        settle().await;
        drop(s);
        settle().await;
        assert_eq!([read(&mut c).await, read(&mut c).await, read(&mut c).await], [Ok(3), RESET, EOF]);
    }

    the_error_is_told_once_so_a_cut_body_can_look_whole {
        let (mut c, mut s) = pair().await;
        s.write_all(b"bye").await.unwrap();
        c.write_all(b"unread").await.unwrap();
        settle().await;
        drop(s);
        settle().await;
        assert_eq!([write(&mut c).await, read(&mut c).await, read(&mut c).await], [RESET, Ok(3), EOF]);
    }

    writing_to_a_closed_peer_succeeds_once {
        let (mut c, s) = pair().await;
        drop(s);
        settle().await;
        assert_eq!([read(&mut c).await, write(&mut c).await], [EOF, Ok(1)]);
        settle().await;
        assert_eq!([write(&mut c).await, read(&mut c).await], [PIPE, EOF]);
    }

    what_the_peer_acknowledged_is_known {
        let (mut c, _s) = pair().await;
        c.write_all(b"question").await.unwrap();
        // Nobody reads it: the system acknowledges by itself, after 40 ms at most.
        settle().await;
        let delivery = c.delivery().unwrap();
        assert!(!delivery.unacknowledged && delivery.round_trip < Duration::from_millis(50), "{delivery:?}");
    }

    half_close_both_ways {
        let (mut c, mut s) = pair().await;
        c.write_all(b"question").await.unwrap();
        c.shutdown().await.unwrap();
        assert_eq!(write(&mut c).await, PIPE);
        let mut got = vec![];
        s.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"question");
        settle().await;
        s.write_all(b"answer").await.unwrap();
        s.shutdown().await.unwrap();
        let mut got = vec![];
        c.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"answer");
    }

    shutdown_of_a_reset_socket_is_no_error {
        let (mut c, s) = pair().await;
        c.write_all(b"unread").await.unwrap();
        settle().await;
        drop(s);
        settle().await;
        assert_eq!(write(&mut c).await, RESET);
        c.shutdown().await.unwrap();
    }

    reset_is_seen_without_unread_data {
        let (mut c, s) = pair().await;
        s.reset().unwrap();
        settle().await;
        assert_eq!([read(&mut c).await, read(&mut c).await], [RESET, EOF]);
    }

    closing_the_listener_resets_what_was_not_accepted {
        let l = listener();
        let mut c = connect(&l).await.unwrap();
        settle().await;
        drop(l);
        settle().await;
        assert_eq!(read(&mut c).await, RESET);
    }

    a_listener_comes_back_while_its_children_live {
        let l = listener();
        let addr = l.local_addr().unwrap();
        let (c, s) = tokio::join!(Stream::connect(addr), l.accept());
        let (mut c, (mut s, _)) = (c.unwrap(), s.unwrap());
        drop(l);
        let again = Listener::bind(addr, ListenOptions::default()).unwrap();
        let (d, e) = tokio::join!(Stream::connect(addr), again.accept());
        let _new = (d.unwrap(), e.unwrap());
        s.write_all(b"old").await.unwrap();
        assert_eq!(read(&mut c).await, Ok(3));
    }

    two_listeners_on_one_port_clash {
        let l = listener();
        let e = Listener::bind(l.local_addr().unwrap(), ListenOptions::default()).map(|_| ()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AddrInUse);
    }

    no_listener_refuses {
        let l = listener();
        let addr = l.local_addr().unwrap();
        drop(l);
        let e = Stream::connect(addr).await.map(|_| ()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::ConnectionRefused);
    }

    a_foreign_address_cannot_be_bound {
        let _l = listener();
        let e = listen("203.0.113.9:80", ListenOptions::default()).map(|_| ()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AddrNotAvailable);
    }

    outgoing_ports_start_at_32768 {
        let (c, s) = pair().await;
        let port = c.local_addr().unwrap().port();
        assert!(port >= 32768, "{port}");
        assert_eq!(s.peer_addr().unwrap(), c.local_addr().unwrap());
    }

    a_full_pipe_blocks_the_writer_and_writes_are_partial {
        let (mut c, mut s) = pair().await;
        let chunk = vec![7; 64 << 20];
        let first = c.write(&chunk).await.unwrap();
        assert!(first < chunk.len(), "partial: {first}");
        let mut sent = first;
        while let Ok(n) = timeout(300 * MS, c.write(&chunk)).await {
            sent += n.unwrap();
        }
        let mut got = 0;
        let mut buf = [0; 4096]; // small reads must re-open the window
        while got < sent {
            got += s.read(&mut buf).await.unwrap();
        }
        assert_eq!(got, sent);
        assert_eq!(write(&mut c).await, Ok(1));
    }

    a_slow_reader_gets_every_byte_in_order {
        let (mut c, mut s) = pair().await;
        let data: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let expected = data.clone();
        let writer = spawn(async move {
            c.write_all(&data).await.unwrap();
            c.shutdown().await.unwrap();
            c
        });
        let mut got = vec![];
        let mut buf = [0; 7_000];
        loop {
            match s.read(&mut buf).await.unwrap() {
                0 => break,
                n => got.extend_from_slice(&buf[..n]),
            }
            yield_now().await;
        }
        assert!(got == expected);
        writer.await.unwrap();
    }

    smaller_buffers_block_the_writer_sooner {
        let mut totals = vec![];
        for small in [false, true] {
            let (mut c, s) = pair().await;
            if small {
                c.set_buffers(Some(4096), None).unwrap();
                s.set_buffers(None, Some(4096)).unwrap();
            }
            let mut sent = 0;
            while let Ok(n) = timeout(100 * MS, c.write(&[7; 1000])).await {
                sent += n.unwrap();
            }
            totals.push(sent);
        }
        assert!(totals[1] * 2 < totals[0], "{totals:?}");
    }

    a_vectored_write_keeps_the_order {
        let (mut c, mut s) = pair().await;
        assert!(c.is_write_vectored());
        let n = c.write_vectored(&[IoSlice::new(b"head "), IoSlice::new(b""), IoSlice::new(b"body")]).await.unwrap();
        assert_eq!(n, 9);
        let mut got = [0; 9];
        s.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"head body");
    }

    halves_of_a_split_stream_work_at_once {
        let (c, s) = pair().await;
        let (mut cr, mut cw) = tokio::io::split(c);
        let (mut sr, mut sw) = tokio::io::split(s);
        let echo = spawn(async move { tokio::io::copy(&mut sr, &mut sw).await.unwrap() });
        let writer = spawn(async move {
            for i in 0..200u8 {
                cw.write_all(&[i; 5000]).await.unwrap();
            }
            cw.shutdown().await.unwrap();
            cw
        });
        let mut got = vec![0; 1_000_000];
        cr.read_exact(&mut got).await.unwrap();
        assert!(got.chunks(5000).enumerate().all(|(i, c)| c.iter().all(|b| usize::from(*b) == i)));
        writer.await.unwrap();
        assert_eq!(echo.await.unwrap(), 1_000_000);
    }

    a_connection_is_open_before_it_is_accepted {
        let l = listener();
        let mut c = connect(&l).await.unwrap();
        c.write_all(b"early").await.unwrap();
        let (mut s, peer) = l.accept().await.unwrap();
        assert_eq!(peer, c.local_addr().unwrap());
        assert_eq!(read(&mut s).await, Ok(5));
    }

    a_full_backlog_makes_others_wait_until_someone_accepts {
        let l = listen("127.0.0.1:0", ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
        let _first = (connect(&l).await.unwrap(), connect(&l).await.unwrap()); // backlog + 1, as Linux counts
        assert!(timeout(300 * MS, connect(&l)).await.is_err(), "its SYN is dropped, not refused");
        l.accept().await.unwrap();
        l.accept().await.unwrap();
        timeout(10 * SEC, connect(&l)).await.expect("a repeated SYN gets in").unwrap();
    }

    two_listeners_share_a_port_if_both_want_to {
        let sharing = ListenOptions { reuse_port: true, ..ListenOptions::default() };
        let a = listen("127.0.0.1:0", sharing).unwrap();
        let at = a.local_addr().unwrap();
        assert_eq!(Listener::bind(at, ListenOptions::default()).err().map(|e| e.kind()), Some(ErrorKind::AddrInUse));
        let b = Listener::bind(at, sharing).unwrap();
        let mut clients = vec![];
        for _ in 0..64 {
            clients.push(Stream::connect(at).await.unwrap());
        }
        settle().await;
        let mut of_a = vec![];
        while let Ok(accepted) = timeout(20 * MS, a.accept()).await {
            of_a.push(accepted.unwrap());
        }
        // Each with probability 1/2: all 64 on one side would be a one in 10^19 event.
        assert!((1..64).contains(&of_a.len()), "{}", of_a.len());
        drop(b); // with the rest still in its queue
        settle().await;
        let mut reset = 0;
        for c in &mut clients {
            if let Ok(seen) = timeout(MS, read(c)).await {
                assert_eq!(seen, RESET);
                reset += 1;
            }
        }
        assert_eq!(reset + of_a.len(), 64, "what the closed listener had not accepted is reset");
        for _ in 0..8 {
            let (c, s) = tokio::join!(Stream::connect(at), a.accept());
            let _both = (c.unwrap(), s.unwrap());
        }
    }

    an_ipv6_wildcard_takes_ipv4_and_names_the_peer_plainly {
        let l = match listen("[::]:0", ListenOptions::default()) {
            Ok(l) => l,
            // A machine without IPv6; the simulator has it.
            Err(e) if cfg!(not(madsim)) && e.raw_os_error() == Some(97) => return,
            Err(e) => panic!("{e}"),
        };
        let to = SocketAddr::new(addr("127.0.0.1:0").ip(), l.local_addr().unwrap().port());
        let (c, s) = tokio::join!(Stream::connect(to), l.accept());
        let ((s, peer), c) = (s.unwrap(), c.unwrap());
        assert_eq!(peer, c.local_addr().unwrap());
        assert_eq!((s.peer_addr().unwrap(), s.local_addr().unwrap()), (peer, to));
    }

    a_connection_comes_from_the_address_it_was_told {
        let l = listener();
        let from = addr("127.0.0.1:0").ip();
        let c = Stream::connect_from(from, l.local_addr().unwrap()).await.unwrap();
        assert_eq!(c.local_addr().unwrap().ip(), from);
        let foreign = addr("203.0.113.9:0").ip();
        let e = Stream::connect_from(foreign, l.local_addr().unwrap()).await.map(|_| ()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::AddrNotAvailable);
    }

    options_are_taken {
        let (c, mut s) = pair().await;
        let mut c = c;
        c.set_keepalive(Some(30 * SEC)).unwrap();
        c.set_keepalive(None).unwrap();
        c.set_user_timeout(Some(SEC)).unwrap();
        c.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut s).await, Ok(1));
    }
}
