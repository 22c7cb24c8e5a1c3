//! User-space memory of connections that have nothing to say: used once, then held open.
//!
//! Each kind of connection has a fresh process, warmed by a few hundred, and as many connections as the limit of descriptors
//! leaves room for.

use crate::{
    bench::Bench,
    measure::{descriptors, share},
    options::Options,
    outcome::{Base, Column, FAILED, Outcome},
    proxies::{Plan, Proxy},
    scenario::resumed::connect,
};
use fairlead_tests::Connection;
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    sync::Arc,
};

const WANTED: usize = 10_000;

/// The first ones make what is made once: pools, slabs.
const WARM: usize = 500;

/// Descriptors for all else.
const SPARE: usize = 500;

/// Measures proxies of its own.
pub fn run(bench: &Bench, _: &Options) -> Outcome {
    let limit = descriptors();
    let count = WANTED.min(limit.saturating_sub(WARM + SPARE));
    if count < WANTED {
        println!("  {count} connections each: no more than {limit} descriptors may be open");
    }
    let columns = bench.kinds().map(|name| {
        let plan = Plan { connections: count + WARM + SPARE, ..Plan::named(name, bench.backends) };
        let (plain, rest, failed_plain) = {
            let proxy = bench.launch(&plan);
            let rest = share(proxy.id());
            let (each, failed) = per_connection(&proxy, count, || plain_connection(proxy.ports.plain));
            (each, rest, failed)
        };
        let (tls, failed_tls) = {
            let (proxy, client) = (bench.launch(&plan), Arc::new(bench.tls_client()));
            per_connection(&proxy, count, || {
                let mut stream = connect(proxy.ports.tls, &client)?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
                let mut answer = [0; 4096];
                let read = stream.read(&mut answer)?;
                if answer[..read].starts_with(b"HTTP/1.1 200") { Ok(stream) } else { Err(ErrorKind::InvalidData.into()) }
            })
        };
        let round = vec![
            ("idlePlainKiB", plain),
            ("idleTlsKiB", tls),
            ("restMiB", rest / f64::from(1 << 20)),
            ("connections", count as f64),
            (FAILED, (failed_plain + failed_tls) as f64),
        ];
        Column { name: name.to_owned(), rounds: vec![round], single: Vec::new() }
    });
    Outcome::new(Base::BestPeer, columns.collect())
}

/// KiB that each of so many connections adds, and how many could not be opened.
fn per_connection<T>(proxy: &Proxy, count: usize, open: impl Fn() -> io::Result<T>) -> (f64, usize) {
    let mut held: Vec<T> = (0..WARM).filter_map(|_| open().ok()).collect();
    let before = share(proxy.id());
    held.extend((0..count).filter_map(|_| open().ok()));
    let added = share(proxy.id()) - before;
    (added / count.max(1) as f64 / 1024.0, WARM + count - held.len())
}

fn plain_connection(port: u16) -> io::Result<Connection> {
    let mut connection = Connection::try_open(port)?;
    connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    match connection.try_answer("GET")?.status {
        200 => Ok(connection),
        status => Err(io::Error::new(ErrorKind::InvalidData, format!("status {status}"))),
    }
}
