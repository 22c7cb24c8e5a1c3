//! What stands behind the gateway in the real Swarm: tells who it is and what it was asked, and leaves as a well-behaved
//! application does.
//!
//! `/slow?ms=N` answers after N milliseconds, `/total` echoes WebSocket messages, `/health` says how it is, and everything else
//! is answered with instance, slot, address, request line and fields. On SIGTERM it takes no further connection, answers what it
//! has begun, closes what is idle, and ends.
//!
//! Options: `--listen ADDRESS` (`0.0.0.0:8080`), `--on-term drain|die|ignore` (`drain`), `--exit-after MILLISECONDS`, which fails
//! by itself, and `--unhealthy`. Environment: `INSTANCE` and `SLOT`, which Swarm's templates fill in.

#![forbid(unsafe_code)]

use anyhow::{Context as _, bail};
use fairlead_tests::http::{Head, read_body};
use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};
use tungstenite::{WebSocket, handshake::derive_accept_key, protocol::Role};

/// What to do on SIGTERM.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnTerm {
    Drain,
    Die,
    Ignore,
}

struct Options {
    listen: SocketAddr,
    on_term: OnTerm,
    exit_after: Option<Duration>,
    healthy: bool,
}

/// What all connections share.
struct Backend {
    instance: String,
    slot: String,
    healthy: bool,
    leaving: AtomicBool,
    open: Mutex<BTreeMap<u64, Open>>,
    changed: Condvar,
}

/// A connection, and whether a request of it is being answered.
struct Open {
    stream: TcpStream,
    busy: bool,
}

fn main() -> anyhow::Result<()> {
    let options = options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let backend = Arc::new(Backend {
        instance: std::env::var("INSTANCE").unwrap_or_default(),
        slot: std::env::var("SLOT").unwrap_or_default(),
        healthy: options.healthy,
        leaving: AtomicBool::new(false),
        open: Mutex::default(),
        changed: Condvar::new(),
    });
    let listener = TcpListener::bind(options.listen).with_context(|| options.listen.to_string())?;
    let serving = backend.clone();
    thread::spawn(move || accept(&listener, &serving));
    runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        if let Some(after) = options.exit_after {
            tokio::time::timeout(after, term.recv()).await.ok();
            bail!("ended by itself, as it was told to");
        }
        loop {
            term.recv().await;
            if options.on_term != OnTerm::Ignore {
                return Ok(());
            }
        }
    })?;
    if options.on_term == OnTerm::Drain {
        backend.drain(options.listen);
    }
    Ok(())
}

fn options() -> anyhow::Result<Options> {
    let mut options = Options { listen: ([0, 0, 0, 0], 8080).into(), on_term: OnTerm::Drain, exit_after: None, healthy: true };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => options.listen = value()?.parse()?,
            "--exit-after" => options.exit_after = Some(Duration::from_millis(value()?.parse()?)),
            "--unhealthy" => options.healthy = false,
            "--on-term" => {
                options.on_term = match value()?.as_str() {
                    "drain" => OnTerm::Drain,
                    "die" => OnTerm::Die,
                    "ignore" => OnTerm::Ignore,
                    other => bail!("--on-term {other}: expected drain, die or ignore"),
                }
            }
            other => bail!("{other}: expected --listen, --on-term, --exit-after or --unhealthy"),
        }
    }
    Ok(options)
}

fn accept(listener: &TcpListener, backend: &Arc<Backend>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if backend.leaving.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let backend = backend.clone();
        thread::spawn(move || {
            // A gateway that hangs up is no failure of ours.
            backend.serve(number, stream).ok();
            backend.open().remove(&number);
            backend.changed.notify_all();
        });
    }
}

impl Backend {
    fn serve(&self, number: u64, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        self.open().insert(number, Open { stream: stream.try_clone()?, busy: false });
        let mut reader = BufReader::new(stream);
        while let Some(head) = Head::read(&mut reader)? {
            let begun = Instant::now();
            self.busy(number, true);
            let (body, _) = read_body(&mut reader, &head.fields, false)?;
            let path = head.target().split('?').next().unwrap_or_default();
            if path == "/total" && head.field("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
                return self.echo(&head, reader.into_inner());
            }
            let status = match path {
                "/slow" => {
                    pause(Duration::from_millis(milliseconds(head.target())));
                    200
                }
                "/health" if !self.healthy => 503,
                _ => 200,
            };
            let last = self.leaving.load(Ordering::SeqCst);
            let text = self.words(&head, reader.get_ref().local_addr()?, body.len());
            let fields = format!("Instance: {}\r\nTook-Micros: {}\r\n", self.instance, begun.elapsed().as_micros());
            let fields = if last { format!("{fields}Connection: close\r\n") } else { fields };
            let answer =
                format!("HTTP/1.1 {status} Status\r\n{fields}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
            let text = if head.method() == "HEAD" { String::new() } else { text };
            reader.get_mut().write_all((answer + &text).as_bytes())?;
            self.busy(number, false);
            if last {
                break;
            }
        }
        Ok(())
    }

    fn words(&self, head: &Head, address: SocketAddr, body: usize) -> String {
        let mut text = format!("Hostname: {}\nSlot: {}\nAddress: {address}\n{}\n", self.instance, self.slot, head.line);
        head.fields.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\n")));
        text.push_str(&format!("Body-Length: {body}\n"));
        text
    }

    fn echo(&self, head: &Head, mut stream: TcpStream) -> std::io::Result<()> {
        let accept = derive_accept_key(head.field("sec-websocket-key").unwrap_or_default().as_bytes());
        let fields =
            format!("Connection: Upgrade\r\nUpgrade: websocket\r\nInstance: {}\r\nSec-WebSocket-Accept: {accept}", self.instance);
        stream.write_all(format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\r\n").as_bytes())?;
        let mut peer = WebSocket::from_raw_socket(stream, Role::Server, None);
        while let Ok(message) = peer.read() {
            if (message.is_text() || message.is_binary()) && peer.send(message).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Notes that a request is being answered, or is no longer. One that was answered while leaving is the last.
    fn busy(&self, number: u64, busy: bool) {
        if let Some(open) = self.open().get_mut(&number) {
            open.busy = busy;
        }
        self.changed.notify_all();
    }

    /// Takes no further connection, closes those that are idle, and waits for the others.
    fn drain(&self, listen: SocketAddr) {
        self.leaving.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then drops its listener.
        TcpStream::connect(("127.0.0.1", listen.port())).ok();
        let mut open = self.open();
        loop {
            open.values().filter(|open| !open.busy).for_each(|open| drop(open.stream.shutdown(Shutdown::Both)));
            if open.values().all(|open| !open.busy) {
                return;
            }
            open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(target: &str) -> u64 {
    target.split_once("ms=").and_then(|(_, number)| number.split('&').next()?.parse().ok()).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "to be slow is what it was asked for")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}
