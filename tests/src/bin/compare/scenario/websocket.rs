//! Connections that were upgraded: small messages, sent when the one before has come back, and what each costs the proxy.
//!
//! The server is our own and echoes bytes. A proxy does not look into WebSocket frames, so the message is one frame, as bytes.

use crate::{
    bench::Bench,
    measure::Meter,
    options::Options,
    outcome::{Base, FAILED, Outcome, Round},
    proxies::{Plan, Proxy},
    turns,
};
use fairlead_tests::{Connection, Server, load::report::percentile, server::After};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};
use tungstenite::handshake::derive_accept_key;

const CLIENTS: usize = 64;

/// A masked binary frame of 26 bytes.
const MESSAGE: &[u8; 32] = b"\x82\x9a\x01\x02\x03\x04abcdefghijklmnopqrstuvwxyz";

/// Measures proxies of its own, in front of a server of its own.
pub fn run(bench: &Bench, options: &Options) -> Outcome {
    let echo = Server::start(|exchange| {
        let Some(key) = exchange.head.field("sec-websocket-key").map(str::to_owned) else {
            exchange.reply(200, "", "ok")?;
            return Ok(After::Keep);
        };
        let accept = derive_accept_key(key.as_bytes());
        exchange.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        ))?;
        let mut bytes = [0; 4096];
        loop {
            match exchange.reader().read(&mut bytes)? {
                0 => return Ok(After::Close),
                count => exchange.send(&bytes[..count])?,
            }
        }
    });
    let plan = |name: &str| Plan { upgrades: true, ..Plan::named(name, [echo.port(); 2]) };
    let takers: Vec<_> = bench.kinds().map(|name| (name.to_owned(), bench.launch(&plan(name)))).collect();
    Outcome::new(Base::BestPeer, turns::take(&takers, options, sample))
}

fn sample(proxy: &Proxy, seconds: u32) -> Round {
    let begin = Arc::new(Barrier::new(CLIENTS + 1));
    let clients = (0..CLIENTS).map(|_| {
        let (port, begin, lasts) = (proxy.ports.plain, begin.clone(), Duration::from_secs(seconds.into()));
        thread::spawn(move || {
            let stream = upgrade(port);
            begin.wait();
            let until = Instant::now() + lasts;
            let mut times = Vec::new();
            let outcome = stream.and_then(|mut stream| echo_until(&mut stream, until, &mut times));
            (times, outcome.is_err())
        })
    });
    let clients: Vec<_> = clients.collect();
    begin.wait();
    let meter = Meter::start(proxy.id());
    let (mut times, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (of_this, broke) = client.join().expect("a client does not panic");
        times.extend(of_this);
        failed += u32::from(broke);
    }
    let spent = meter.read();
    times.sort_unstable();
    vec![
        ("cpuMicros", spent.micros_per(times.len() as u64)),
        ("perSecond", spent.rate(times.len() as u64)),
        ("p99Millis", percentile(&times, 99.0).as_secs_f64() * 1e3),
        (FAILED, failed.into()),
    ]
}

fn upgrade(port: u16) -> io::Result<TcpStream> {
    let mut connection = Connection::try_open(port)?;
    connection.send(
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    match connection.try_answer("GET")?.status {
        101 => Ok(connection.into_stream()),
        status => Err(io::Error::new(ErrorKind::InvalidData, format!("status {status}"))),
    }
}

fn echo_until(stream: &mut TcpStream, until: Instant, times: &mut Vec<Duration>) -> io::Result<()> {
    let mut answer = [0; MESSAGE.len()];
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(());
        }
        stream.write_all(MESSAGE)?;
        stream.read_exact(&mut answer)?;
        if answer != *MESSAGE {
            return Err(ErrorKind::InvalidData.into());
        }
        times.push(sent.elapsed());
    }
}
