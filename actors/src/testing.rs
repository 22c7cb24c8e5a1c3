//! A whole gateway in this process, for tests of what its parts do together: real sockets, real threads, no sleeping.
//!
//! Owns the running gateway, a provider that says what a test tells it, and small HTTP/1 peers on blocking sockets.

use crate::{
    config_watch::Make,
    gateway::{Gateway, Options},
    provider::{EventKind, Provider, ProviderError, Sender},
    telemetry::{self, MetricsOptions, Telemetry},
};
use fairlead_core::{
    config::{
        RawDynamic, StaticConfig, decode,
        file::{Format, parse},
        static_::{Address, EntryPoint, Protocol},
    },
    drain::Outcome,
};
use std::{
    future::Future,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    pin::Pin,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// Nothing in a test takes longer than this, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A running gateway with one worker and the entry point `web`.
pub struct Site {
    pub web: SocketAddr,
    pub shared: Arc<crate::worker::Shared>,
    pub directory: Arc<crate::gateway::Directory>,
    pub supervisor: ractor::ActorRef<crate::supervisor::Msg>,
    said: watch::Sender<String>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Outcome>>,
}

impl Site {
    /// A gateway that serves this dynamic configuration, in YAML.
    pub fn start(dynamic: &str) -> Self {
        Self::with(dynamic, |_| {})
    }

    /// The same with other static options.
    pub fn with(dynamic: &str, adapt: impl FnOnce(&mut StaticConfig)) -> Self {
        let (said, heard) = watch::channel(dynamic.to_owned());
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let mut config = StaticConfig::default();
        let address = Address { ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), port: 0, protocol: Protocol::Tcp };
        config.entry_points.insert("web".into(), EntryPoint::new("web", address));
        config.default_entry_points = ["web".into()].into();
        config.reason_header = Some("X-Reason".into());
        adapt(&mut config);
        let run = async move {
            let make: Make = Box::new(move || Box::new(Told(heard.clone())) as Box<dyn Provider>);
            let metrics = Some(MetricsOptions { routers: true, ..MetricsOptions::default() });
            let telemetry = Telemetry::new(telemetry::Options { workers: 1, seed: 1, metrics, access_log: None, tracing: None });
            let gateway = Gateway::start(Options {
                config,
                telemetry,
                workers: 1,
                pin: false,
                host_name: "gateway".into(),
                providers: vec![("test".into(), make)],
            });
            let gateway = gateway.await.expect("the gateway starts");
            let web = gateway.address("web").expect("it listens");
            tell.send((web, gateway.shared().clone(), gateway.directory().clone(), gateway.supervisor().clone()))
                .expect("the test waits");
            ended.await.ok();
            gateway.drain(std::future::pending).await
        };
        let thread = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(run)
        });
        let (web, shared, directory, supervisor) = told.recv_timeout(PATIENCE).expect("the gateway starts in time");
        Self { web, shared, directory, supervisor, said, end: Some(end), thread: Some(thread) }
    }

    /// Changes the configuration and waits until it is served.
    pub fn configure(&self, dynamic: &str) {
        let before = self.snapshot();
        self.said.send(dynamic.to_owned()).expect("the provider listens");
        until("a new snapshot", || self.snapshot() > before);
    }

    /// Says something new without waiting for it.
    pub fn say(&self, dynamic: &str) {
        self.said.send(dynamic.to_owned()).expect("the provider listens");
    }

    /// Number of the snapshot served.
    pub fn snapshot(&self) -> u64 {
        self.shared.published.load().snapshot.number()
    }

    /// A client's connection.
    pub fn connect(&self) -> Peer {
        Peer::of(TcpStream::connect(self.web).expect("the gateway accepts"))
    }

    /// The endpoints of the only service, in the order of its servers.
    pub fn endpoints(&self) -> Vec<Arc<crate::endpoint::Endpoint>> {
        self.shared.published.load().backends().next().expect("a service").endpoints.clone()
    }

    /// One request on a connection of its own; status, reason and body.
    pub fn get(&self, host: &str, path: &str) -> Response {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response()
    }

    /// The same while the test plays the server.
    pub fn get_in_background(&self, path: &str, serve: impl FnOnce(&str)) -> Response {
        let mut client = self.connect();
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        serve(path);
        client.response()
    }

    /// Begins to drain.
    pub fn terminate(&mut self) {
        if let Some(end) = self.end.take() {
            end.send(()).ok();
        }
    }

    /// Drains and tells how that went.
    pub fn stop(mut self) -> Outcome {
        self.terminate();
        self.thread.take().expect("it runs").join().expect("no panic")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// The provider `test`.
struct Told(watch::Receiver<String>);

impl Provider for Told {
    fn name(&self) -> &str {
        "test"
    }

    fn run<'a>(&'a mut self, out: &'a Sender) -> Pin<Box<dyn Future<Output = ProviderError> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let text = self.0.borrow_and_update().clone();
                out.send(configuration(&text));
                if self.0.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}

fn configuration(text: &str) -> EventKind {
    let tree = parse(text, Format::Yaml, "test.yml", 1 << 20).expect("YAML");
    let (raw, rejections): (RawDynamic, _) = decode(&tree);
    EventKind::Configuration { raw, rejections, revision: String::new() }
}

/// A router for every request to one service over these servers, with further lines under its `loadBalancer`.
pub fn balanced(servers: &[SocketAddr], more: &str) -> String {
    let servers: String = servers.iter().map(|server| format!("          - url: http://{server}\n")).collect();
    let more: String = more.lines().map(|line| format!("        {line}\n")).collect();
    format!(
        "http:\n  routers:\n    all:\n      rule: PathPrefix(`/`)\n      service: s\n  services:\n    s:\n      loadBalancer:\n        servers:\n{servers}{more}"
    )
}

/// Waits for something that happens in another thread.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        thread::yield_now();
    }
}

/// A server whose connections are handed to the test, in the order they come.
pub struct Server {
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Server {
    /// Listens.
    pub fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self { address: listener.local_addr().expect("an address"), listener }
    }

    /// The next connection of the gateway.
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).expect("a socket");
        let mut accepted = None;
        until("a connection", || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        self.listener.set_nonblocking(false).expect("a socket");
        let stream = accepted.expect("it came").0;
        stream.set_nonblocking(false).expect("a socket");
        Peer::of(stream)
    }

    /// From now on its address swallows what is sent there, as that of a container that is gone.
    pub fn vanish(&self) {
        swallow(&self.listener);
    }

    /// Whether no connection waits.
    pub fn is_lonely(&self) -> bool {
        self.listener.set_nonblocking(true).expect("a socket");
        let lonely = self.listener.accept().is_err();
        self.listener.set_nonblocking(false).expect("a socket");
        lonely
    }

    /// Answers every request from now on with this body, one thread per connection.
    pub fn answer(self, body: &'static str) -> SocketAddr {
        let address = self.address;
        thread::spawn(move || {
            for stream in self.listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut peer = Peer::of(stream);
                    while let Some(request) = peer.try_head() {
                        peer.skip_body(&request);
                        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                        if peer.stream.get_mut().write_all(text.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

/// From now on nothing that is sent to this socket arrives, and nobody is told.
pub fn swallow<'s>(socket: impl Into<socket2::SockRef<'s>>) {
    // One instruction, "return": keep 0 bytes.
    socket.into().attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)]).expect("a socket");
}

/// A server that says its name.
pub fn answering(body: &'static str) -> SocketAddr {
    Server::new().answer(body)
}

/// An address at which nobody listens.
pub fn nobody() -> SocketAddr {
    Server::new().address
}

/// One end of a connection.
pub struct Peer {
    pub stream: BufReader<TcpStream>,
}

/// A response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    /// The reason of an answer of the gateway's own.
    pub fn reason(&self) -> &str {
        self.field("X-Reason").unwrap_or_default()
    }
}

/// The first value of a field in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

impl Peer {
    /// Over this stream.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("the peer reads");
    }

    /// A head up to its empty line, or `None` at the end of the connection.
    pub fn try_head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                return Some(head);
            }
            head.push_str(line.trim_end());
            head.push('\n');
        }
    }

    pub fn head(&mut self) -> String {
        self.try_head().expect("a head")
    }

    pub fn exactly(&mut self, n: usize) -> String {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads a declared or chunked body.
    pub fn body(&mut self, head: &str) -> String {
        if let Some(n) = field(head, "Content-Length") {
            return self.exactly(n.parse().expect("a number"));
        }
        let mut body = String::new();
        if field(head, "Transfer-Encoding").is_some() {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).expect("a chunk");
                let n = usize::from_str_radix(line.trim_end(), 16).expect("a size");
                body.push_str(&self.exactly(n));
                self.exactly(2);
                if n == 0 {
                    return body;
                }
            }
        }
        body
    }

    fn skip_body(&mut self, head: &str) {
        self.body(head);
    }

    /// A response that is no interim one, with its body unless it can have none.
    pub fn response(&mut self) -> Response {
        loop {
            let head = self.head();
            let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let body = if matches!(status, 101 | 204 | 304) { String::new() } else { self.body(&head) };
            return Response { status, head, body };
        }
    }

    /// Whether the connection has ended, in order or by a reset, with nothing more to read.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(e) => !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
