//! A connection to one etcd server, and the calls made over it, each with its time-out.
//!
//! Owns endpoints as operators write them, names resolved anew at each connect, TLS, and the token. Deliberately absent:
//! retries and the choice of the endpoint, which are the session's.

use super::super::{http::host_port, tls::client_config};
use super::proto::{
    self, AuthenticateRequest, AuthenticateResponse, RangeRequest, RangeResponse, WatchRequest, WatchResponse, method,
};
use fairlead_core::config::static_::{ClientTls, EtcdProvider as Options};
use fairlead_net::{
    dns,
    grpc::{Channel, Code, Receiver, Sender, Status},
    http2::client::{Settings, handshake},
    task::{Owned, spawn},
    tcp::Stream,
    time::{Duration, sleep, timeout},
    tls,
};
use prost::Message;
use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Resolving, connecting and both handshakes, per address.
const CONNECT: Duration = Duration::from_secs(3);

/// One call.
pub(super) const CALL: Duration = Duration::from_secs(5);

/// Time between two HTTP/2 pings, and how long an answer may take.
const PING: Duration = Duration::from_secs(10);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// The port where none is written.
const PORT: u16 = 2379;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    secure: bool,
}

impl Endpoint {
    /// `host`, `host:port`, `[v6]:port`, each with or without `http://` or `https://`. Without a scheme, `secure` decides.
    pub(super) fn parse(text: &str, secure: bool) -> Result<Self, String> {
        let (secure, rest) = match text.split_once("://") {
            None => (secure, text),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("`{text}` in --providers.etcd.endpoints: {scheme} is neither http nor https"));
            }
        };
        let (host, port) = host_port(rest).ok_or_else(|| format!("`{text}` in --providers.etcd.endpoints is not host:port"))?;
        Ok(Self { host, port: port.unwrap_or(PORT), secure })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Endpoint {
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

/// A connection. Dropping it closes.
pub(super) struct Client {
    channel: Channel,
    token: Option<String>,
    answered: AtomicBool,
    _driver: Owned<()>,
}

impl Client {
    /// Connects to the first address that answers. The error says why.
    pub(super) async fn connect(endpoint: &Endpoint, options: Option<&ClientTls>) -> Result<Self, String> {
        let late = || format!("no connection within {CONNECT:?}");
        let tls = match endpoint.secure {
            true => Some(client_config(options, &["h2"], "--providers.etcd.tls").await?),
            false => None,
        };
        let resolved = timeout(CONNECT, dns::resolve(&endpoint.host)).await;
        let addresses = resolved.map_err(|_| format!("the name was not resolved within {CONNECT:?}"))?;
        let addresses = addresses.map_err(|e| format!("the name cannot be resolved: {e}"))?;
        let mut error = late();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match timeout(CONNECT, connect_to(address, endpoint, tls.as_deref())).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(e)) => error = e,
                Err(_) => error = late(),
            }
        }
        Err(error)
    }

    /// Gets a token for the user, if one is configured. Returns false where the server knows no users, which is well.
    pub(super) async fn authenticate(&mut self, options: &Options) -> Result<bool, Status> {
        self.token = None;
        if options.username.is_empty() {
            return Ok(true);
        }
        let request = AuthenticateRequest { name: options.username.clone(), password: options.password.reveal().to_owned() };
        match self.call::<_, AuthenticateResponse>(method::AUTHENTICATE, &request).await {
            Ok(response) => {
                self.token = Some(response.token);
                Ok(true)
            }
            Err(status) if status.code == Code::FailedPrecondition => Ok(false),
            Err(status) => Err(status),
        }
    }

    pub(super) async fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Status> {
        self.call(method::RANGE, request).await
    }

    /// Opens the stream of watches. A server that loses its leader ends it, rather than fall silent.
    pub(super) async fn watch(&self) -> Result<Watch, Status> {
        let metadata: Vec<_> = self.metadata().chain([("hasleader", "true")]).collect();
        let opened = timeout(CALL, self.channel.call_streaming(method::WATCH, &metadata)).await;
        let (sender, receiver) = opened.map_err(|_| late(method::WATCH))??;
        Ok(Watch { sender, receiver })
    }

    async fn call<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A, Status> {
        let metadata: Vec<_> = self.metadata().collect();
        let answer = timeout(CALL, self.channel.call_unary(path, &metadata, &request.encode_to_vec())).await;
        let answer = answer.map_err(|_| late(path))?;
        // A status of the server's own counts as well; what the transport made of it is `Unavailable`.
        self.answered.fetch_or(!matches!(&answer, Err(status) if status.code == Code::Unavailable), Relaxed);
        decode(answer?)
    }

    /// Whether anything was heard over this connection.
    pub(super) fn was_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.token.iter().map(|token| ("token", token.as_str()))
    }
}

/// A stream of watches, of which there is one here.
pub(super) struct Watch {
    sender: Sender,
    receiver: Receiver,
}

impl Watch {
    pub(super) async fn send(&mut self, request: proto::RequestUnion) -> Result<(), Status> {
        let request = WatchRequest { request_union: Some(request) };
        timeout(CALL, self.sender.send(&request.encode_to_vec())).await.map_err(|_| late(method::WATCH))?
    }

    /// The next response. Loses none if dropped.
    pub(super) async fn message(&mut self) -> Result<WatchResponse, Status> {
        match self.receiver.message().await? {
            Some(message) => decode(message),
            None => Err(Status::new(Code::Unavailable, "the server ended the watch")),
        }
    }
}

/// Whether a new token may help.
pub(super) fn wants_token(status: &Status) -> bool {
    status.code == Code::Unauthenticated
        || status.message.contains("auth store is old")
        || status.message.contains("invalid auth token")
}

fn late(path: &str) -> Status {
    Status::new(Code::DeadlineExceeded, format!("no answer to {path} within {CALL:?}"))
}

fn decode<M: Message + Default>(bytes: bytes::Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|e| Status::new(Code::Internal, format!("the answer is not what etcd sends: {e}")))
}

async fn connect_to(address: IpAddr, endpoint: &Endpoint, config: Option<&tls::ClientConfig>) -> Result<Client, String> {
    let stream = Stream::connect(SocketAddr::new(address, endpoint.port)).await.map_err(|e| e.to_string())?;
    match config {
        None => open(stream, endpoint).await,
        Some(config) => {
            let connected =
                tls::connect(stream, config, &endpoint.host).await.map_err(|e| format!("TLS: {e} (--providers.etcd.tls.*)"))?;
            open(connected.stream, endpoint).await
        }
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, endpoint: &Endpoint) -> Result<Client, String> {
    let settings = Settings { secure: endpoint.secure, ..Settings::default() };
    let (client, mut driver) = handshake(stream, &settings).await.map_err(|e| e.to_string())?;
    let pings = driver.keep_alive();
    let peer = endpoint.to_string();
    let run = async move {
        let ended = match pings {
            None => driver.await,
            Some(pings) => tokio::select! {
                biased;
                ended = driver => ended,
                error = pings.run(PING, PING, sleep) => Err(error),
            },
        };
        tracing::debug!(endpoint = %peer, ?ended, "connection to etcd ended");
    };
    let channel = Channel::new(client, endpoint.authority());
    Ok(Client { channel, token: None, answered: AtomicBool::new(false), _driver: spawn(run).owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_operators_write_them() {
        let parse = |text, secure| Endpoint::parse(text, secure).map(|e| e.to_string());
        for (text, secure, expected) in [
            ("127.0.0.1:2379", false, "http://127.0.0.1:2379"),
            ("etcd", true, "https://etcd:2379"),
            ("http://etcd:4001/", true, "http://etcd:4001"),
            ("https://etcd.example:443", false, "https://etcd.example:443"),
            ("[::1]:2380", false, "http://[::1]:2380"),
            ("::1", false, "http://[::1]:2379"),
            ("https://[fe80::1]", false, "https://[fe80::1]:2379"),
        ] {
            assert_eq!(parse(text, secure).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", ":2379", "etcd:", "etcd:port", "etcd:70000", "ftp://etcd:1", "http://etcd/path:1", "u@etcd:1", "[::1]2379x"]
        {
            let refused = parse(text, false);
            assert!(refused.as_ref().is_err_and(|e| e.contains("--providers.etcd.endpoints")), "{text}: {refused:?}");
        }
    }
}
