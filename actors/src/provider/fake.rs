//! A small HTTP/1.1 server for tests of providers, on both arms: answers as the test says, well or badly, and keeps what it
//! was asked.

use fairlead_net::{
    task,
    tcp::{ListenOptions, Listener, Stream},
    time::{Duration, sleep},
};
use parking_lot::Mutex;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// With `Content-Length`.
    Whole { status: u16, fields: Vec<(&'static str, String)>, body: String },
    /// In chunks of this many bytes.
    Chunked(usize, String),
    /// A declared length, of which only so many bytes come before the connection closes.
    Cut(usize, String),
    /// Only the beginning of a body, and then nothing, for ever.
    Stall(usize, String),
    /// The same, so much later.
    After(Duration, Box<Reply>),
    /// Nothing at all.
    Hang,
    /// The connection closes without an answer.
    Close,
    /// Bytes as they are, and the connection closes.
    Raw(String),
    /// A body that goes on: each line that is in the list, and each that is added.
    Follow(watch::Receiver<Vec<String>>),
}

impl Reply {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: impl Into<String>) -> Self {
        Self::Whole { status, fields: Vec::new(), body: body.into() }
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    /// Which connection it came by, from 1.
    pub(crate) connection: usize,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

type Answer = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The server. Dropping it closes everything.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    /// Counts the times that all connections were cut.
    cut: watch::Sender<usize>,
    _task: task::Owned<()>,
}

impl Fake {
    /// In the simulator: a network of which the test is the only host, if there is none.
    pub(crate) fn world() {
        #[cfg(madsim)]
        fairlead_net::sim::Net::start(fairlead_net::sim::Config::default()).host(madsim::plugin::node(), &["10.0.0.1"]);
    }

    pub(crate) fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), ListenOptions::default()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let cut = watch::Sender::new(0);
        let (noted, cuts) = (asked.clone(), cut.clone());
        let accept = async move {
            let mut connections = Vec::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (asked, answer, mut cut) = (noted.clone(), answer.clone(), cuts.subscribe());
                let number = connections.len() + 1;
                let serve = async move {
                    tokio::select! {
                        biased;
                        _ = cut.changed() => {}
                        () = serve(stream, number, &asked, &answer) => {}
                    }
                };
                connections.push(task::spawn(serve).owned());
            }
        };
        Self { address, asked, cut, _task: task::spawn(accept).owned() }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().clone()
    }

    /// Closes every connection that is open now.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }
}

async fn serve(mut stream: Stream, connection: usize, asked: &Mutex<Vec<Request>>, answer: &Mutex<Answer>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            match stream.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end + 4);
        let request = parse(&head, connection);
        asked.lock().push(request.clone());
        let mut reply = answer.lock()(&request);
        if let Reply::After(pause, later) = reply {
            sleep(pause).await;
            reply = *later;
        }
        if !send(&mut stream, reply).await {
            return;
        }
    }
}

fn parse(head: &str, connection: usize) -> Request {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let fields = lines.filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Request { method, target, fields, connection }
}

/// Whether the connection goes on.
async fn send(stream: &mut Stream, reply: Reply) -> bool {
    match reply {
        Reply::Whole { status, fields, body } => {
            let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("HTTP/1.1 {status} Said\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
            put(stream, &head).await && put(stream, &body).await
        }
        Reply::Chunked(size, body) => {
            let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
            for piece in body.as_bytes().chunks(size) {
                text.push_str(&format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
            }
            put(stream, &(text + "0\r\n\r\n")).await
        }
        Reply::Cut(sent, body) => {
            put(stream, &beginning(sent, &body)).await;
            false
        }
        Reply::Stall(sent, body) => put(stream, &beginning(sent, &body)).await && std::future::pending().await,
        Reply::Hang | Reply::After(..) => std::future::pending().await,
        Reply::Close => false,
        Reply::Raw(text) => {
            put(stream, &text).await;
            false
        }
        Reply::Follow(mut lines) => {
            let mut sent = 0;
            if !put(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await {
                return false;
            }
            loop {
                let new: Vec<String> = lines.borrow_and_update()[sent..].to_vec();
                for line in new {
                    sent += 1;
                    if !put(stream, &format!("{:x}\r\n{line}\n\r\n", line.len() + 1)).await {
                        return false;
                    }
                }
                if lines.changed().await.is_err() {
                    return put(stream, "0\r\n\r\n").await;
                }
            }
        }
    }
}

fn beginning(sent: usize, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..sent])
}

async fn put(stream: &mut Stream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
}
