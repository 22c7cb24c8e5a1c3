//! Servers behind the gateway: one thread per connection, and a handler that speaks HTTP/1.1 by hand, so that each test
//! can have a server misbehave exactly as it needs.

use crate::http::{self, Head};
use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// One request, before its body is read.
pub struct Exchange<'a> {
    pub head: Head,
    reader: &'a mut BufReader<TcpStream>,
}

impl Exchange<'_> {
    /// Reads the request's body and its trailers.
    ///
    /// # Errors
    /// It does not arrive whole.
    pub fn body(&mut self) -> std::io::Result<http::Body> {
        http::read_body(self.reader, &self.head.fields, false)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The gateway has gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// Answers with a text. `fields` are whole lines.
    ///
    /// # Errors
    /// The gateway has gone.
    pub fn reply(&mut self, status: u16, fields: &str, body: &str) -> std::io::Result<()> {
        self.send(format!("HTTP/1.1 {status} Status\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The stream, for what is not HTTP. Nothing that was sent after the head may have been read already.
    pub fn reader(&mut self) -> &mut BufReader<TcpStream> {
        self.reader
    }

    /// Breaks the connection with a reset when it is closed.
    pub fn reset(&mut self) {
        socket2::SockRef::from(self.reader.get_ref()).set_linger(Some(std::time::Duration::ZERO)).ok();
    }
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Close,
}

type Handler = Arc<dyn Fn(&mut Exchange<'_>) -> std::io::Result<After> + Send + Sync>;

/// A running server. Stops with the handle.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Handler,
    stopped: AtomicBool,
    next: AtomicUsize,
    open: Mutex<BTreeMap<usize, TcpStream>>,
    accepted: AtomicUsize,
    seen: Mutex<Vec<Head>>,
    in_flight: AtomicUsize,
}

impl Server {
    /// A server that tells who it is and what it was asked, as `traefik/whoami` does.
    pub fn whoami(name: &str) -> Self {
        let name = name.to_owned();
        Self::start(move |exchange| whoami(&name, exchange))
    }

    /// A server that does as the handler says.
    pub fn start(handler: impl Fn(&mut Exchange<'_>) -> std::io::Result<After> + Send + Sync + 'static) -> Self {
        Self::start_on(0, handler)
    }

    /// The same on a given port.
    ///
    /// # Panics
    /// The port is taken.
    pub fn start_on(port: u16, handler: impl Fn(&mut Exchange<'_>) -> std::io::Result<After> + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            handler: Arc::new(handler),
            stopped: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            open: Mutex::default(),
            accepted: AtomicUsize::new(0),
            seen: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let accepting = shared.clone();
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it listens, as a server's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections taken so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// Requests that wait for the handler now.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Every request head so far.
    pub fn seen(&self) -> Vec<Head> {
        lock(&self.shared.seen).clone()
    }

    /// Number of requests so far.
    pub fn requests(&self) -> usize {
        lock(&self.shared.seen).len()
    }

    /// Closes every open connection, as a server does that tidies up its idle ones.
    pub fn close_connections(&self) {
        for stream in lock(&self.shared.open).values() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Dies: nothing listens any more, and every connection is closed.
    pub fn kill(&self) {
        if !self.shared.stopped.swap(true, Ordering::SeqCst) {
            // Wakes the accepting thread, which then drops its listener.
            TcpStream::connect(self.address).ok();
            self.close_connections();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Answers as whoami does.
///
/// # Errors
/// The gateway has gone.
pub fn whoami(name: &str, exchange: &mut Exchange<'_>) -> std::io::Result<After> {
    exchange.body()?;
    let mut text = format!("Hostname: {name}\n{}\n", exchange.head.line);
    for (field, value) in &exchange.head.fields {
        text.push_str(&format!("{field}: {value}\n"));
    }
    match exchange.head.method() {
        "HEAD" => exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len()))?,
        _ => exchange.reply(200, "Content-Type: text/plain\r\n", &text)?,
    }
    Ok(After::Keep)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true).ok();
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.open).insert(number, copy);
        }
        let shared = shared.clone();
        thread::spawn(move || {
            // A gateway that hangs up is the test's to notice, not the server's.
            serve(stream, &shared).ok();
            lock(&shared.open).remove(&number);
        });
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while !shared.stopped.load(Ordering::SeqCst) {
        let Some(head) = Head::read(&mut reader)? else { break };
        lock(&shared.seen).push(head.clone());
        shared.in_flight.fetch_add(1, Ordering::SeqCst);
        let after = (shared.handler)(&mut Exchange { head, reader: &mut reader });
        shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        if after? == After::Close {
            break;
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Holds handlers back until the test lets them go.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, std::sync::Condvar)>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until it is opened; a test that failed meanwhile opens nothing, so this waits a minute at most.
    pub fn pass(&self) {
        let (open, changed) = &*self.0;
        let guard = lock(open);
        drop(changed.wait_timeout_while(guard, std::time::Duration::from_secs(60), |open| !*open));
    }

    /// Opens it, for good.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *lock(open) = true;
        changed.notify_all();
    }
}
