//! A connection per request, each with the TLS 1.3 session of the one before: what returning clients cost.
//!
//! wrk never resumes, so the clients are our own: threads with a session store each. How many handshakes were resumed is
//! counted; a proxy that resumes too few was measured at something else, which is told.

use crate::{
    bench::Bench,
    measure::Meter,
    options::Options,
    outcome::{Base, FAILED, Outcome, Round},
    proxies::Proxy,
    turns,
};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned, client::Resumption};
use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const CLIENTS: usize = 16;

/// The share of handshakes that has to be resumed, in percent.
const ENOUGH: f64 = 90.0;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    requests: u64,
    resumed: u64,
    failed: u64,
}

/// Measures the field.
pub fn run(bench: &Bench, options: &Options) -> Outcome {
    let takers = bench.takers(false);
    let tls = bench.tls_client();
    let columns = turns::take(&takers, options, |proxy, seconds| sample(proxy, &tls, seconds));
    let mut outcome = Outcome::new(Base::BestPeer, columns);
    for column in &outcome.columns {
        let share = column.figure("resumedPercent");
        if share < ENOUGH {
            outcome.wrong.push(format!("{} resumes {share:.0} % of handshakes only", column.name));
        }
    }
    outcome
}

fn sample(proxy: &Proxy, tls: &ClientConfig, seconds: u32) -> Round {
    let (meter, until) = (Meter::start(proxy.id()), Instant::now() + Duration::from_secs(seconds.into()));
    let clients = (0..CLIENTS).map(|_| {
        let (port, mut tls) = (proxy.ports.resuming, tls.clone());
        tls.resumption = Resumption::in_memory_sessions(8);
        let tls = Arc::new(tls);
        thread::spawn(move || client(port, &tls, until))
    });
    let clients: Vec<_> = clients.collect();
    let mut all = Tally::default();
    for client in clients {
        let tally = client.join().expect("a client does not panic");
        all = Tally {
            requests: all.requests + tally.requests,
            resumed: all.resumed + tally.resumed,
            failed: all.failed + tally.failed,
        };
    }
    let spent = meter.read();
    vec![
        ("cpuMicros", spent.micros_per(all.requests)),
        ("perSecond", spent.rate(all.requests)),
        ("resumedPercent", all.resumed as f64 / all.requests.max(1) as f64 * 100.0),
        (FAILED, (all.failed + u64::from(all.requests == 0)) as f64),
    ]
}

fn client(port: u16, tls: &Arc<ClientConfig>, until: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        match request(port, tls) {
            Ok(kind) => {
                tally.requests += 1;
                tally.resumed += u64::from(kind == Some(HandshakeKind::Resumed));
            }
            Err(_) => tally.failed += 1,
        }
    }
    tally
}

/// One request over a connection of its own.
fn request(port: u16, tls: &Arc<ClientConfig>) -> io::Result<Option<HandshakeKind>> {
    let mut stream = connect(port, tls)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // Tickets lie between the handshake and the answer. Who closes without saying so has answered nevertheless.
    match stream.read_to_end(&mut answer) {
        Err(e) if e.kind() != ErrorKind::UnexpectedEof => Err(e),
        _ if !answer.starts_with(b"HTTP/1.1 200") => Err(ErrorKind::InvalidData.into()),
        _ => Ok(stream.conn.handshake_kind()),
    }
}

/// A connection over TLS.
///
/// # Errors
/// Nobody listens there. The handshake itself comes with the first write.
pub fn connect(port: u16, tls: &Arc<ClientConfig>) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = "localhost".try_into().map_err(io::Error::other)?;
    let client = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(StreamOwned::new(client, stream))
}
