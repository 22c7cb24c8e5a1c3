//! An accepted connection, from its first byte: PROXY header, a router of connections, TLS or plain, HTTP/1 or HTTP/2.
//!
//! Owns the limits on connections and the time a client has to say what it wants to speak.

use super::{http1, http2, stream::Down, tcp};
use crate::{connections::Token, entry_point::EntryPoint, worker::Worker};
use bytes::BytesMut;
use fairlead_core::http::Scheme;
use fairlead_net::{
    proxy_protocol, task,
    tcp::Stream,
    time,
    tls::{self, Prefixed, ServerConfig},
};
use std::{io, mem::MaybeUninit, net::SocketAddr, pin::Pin, sync::Arc, task::Poll};
use tokio::io::{AsyncRead as _, ReadBuf};

/// The client's side of a connection: what every exchange on it knows.
pub struct Client {
    pub worker: Arc<Worker>,
    pub entry: Arc<EntryPoint>,
    /// After PROXY protocol.
    pub peer: SocketAddr,
    pub tls: Option<Tls>,
    pub token: Arc<Token>,
}

/// What TLS told.
pub struct Tls {
    pub server_name: Option<String>,
    pub version: &'static str,
    pub cipher: String,
    pub client_certificate: bool,
}

impl Client {
    /// How the client reached this gateway.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

/// Serves a connection in a task of its own, unless a limit is reached.
pub fn start(worker: &Arc<Worker>, entry: &Arc<EntryPoint>, stream: Stream, peer: SocketAddr) {
    let Some(permit) = entry.admit(peer.ip()) else {
        // Nothing can be said before TLS, and saying it would cost what the limit is to save.
        entry.series.refused.inc();
        drop(stream);
        return;
    };
    let token = worker.connections.enter();
    let (worker, entry) = (worker.clone(), entry.clone());
    let task = task::spawn({
        let (worker, token) = (worker.clone(), token.clone());
        async move {
            let _permit = permit;
            let _leave = Leave(&worker, &token);
            let _open = Opened::new(&entry);
            // Apart, because it passes from one future to the next, and each keeps the room that it took.
            let client = Box::new(Client { worker: worker.clone(), entry: entry.clone(), peer, tls: None, token: token.clone() });
            if let Err(e) = serve(client, stream).await {
                tracing::debug!(entry_point = entry.name, client = %peer, error = %e, "connection ended early");
            }
        }
    });
    worker.connections.attach(&token, task);
}

/// Counts a connection while it is open.
struct Opened<'a>(&'a EntryPoint);

impl<'a> Opened<'a> {
    fn new(entry: &'a EntryPoint) -> Self {
        entry.series.accepted.inc();
        entry.series.open_connections.inc();
        Self(entry)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.series.open_connections.dec();
    }
}

struct Leave<'a>(&'a Worker, &'a Token);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.connections.leave(self.1);
    }
}

/// The first byte of a TLS record that begins a handshake.
pub const HANDSHAKE: u8 = 0x16;

async fn serve(mut client: Box<Client>, mut stream: Stream) -> io::Result<()> {
    let mut first = BytesMut::new();
    let hello = time::after(client.worker.shared.limits.header_timeout);
    if client.entry.expects_proxy_header(client.peer.ip()) {
        let reading = Box::pin(proxy_protocol::read(&mut stream, &mut first));
        let header = time::timeout_at(hello, reading).await.map_err(|_| timed_out())??;
        if let Some(source) = header {
            client.peer = source;
        }
    }
    if client.worker.shared.published.has_tcp(client.entry.id) {
        match Box::pin(tcp::take(client, stream, first)).await? {
            None => return Ok(()),
            Some(left) => (client, stream, first) = left,
        }
    }
    if first.is_empty() && !await_first_byte(&client, &mut stream, &mut first).await? {
        return Ok(());
    }
    if first.first() == Some(&HANDSHAKE) {
        // In a box, so that a connection without TLS does not pay for one with it.
        return Box::pin(secure(client, stream, first)).await;
    }
    http1::serve(client, Down::Plain(stream), first).await
}

/// Serves what comes out of TLS.
async fn secure(mut client: Box<Client>, stream: Stream, first: BytesMut) -> io::Result<()> {
    let (published, entry) = (client.worker.shared.published.load(), client.entry.id);
    let select = |hello: &tls::Hello| published.tls_for(entry, hello.server_name.as_deref());
    let (stream, h2) = Box::pin(handshake(&mut client, stream, first, select)).await?;
    drop(published);
    if h2 { Box::pin(http2::serve(client, stream)).await } else { http1::serve(client, stream, BytesMut::new()).await }
}

/// Performs the TLS handshake, and tells whether HTTP/2 was agreed on.
pub async fn handshake(
    client: &mut Client,
    stream: Stream,
    first: BytesMut,
    select: impl FnOnce(&tls::Hello) -> Option<Arc<ServerConfig>>,
) -> io::Result<(Down, bool)> {
    let accepting = tls::accept(Prefixed::new(first.to_vec(), stream), select);
    let limit = client.worker.shared.limits.tls_handshake_timeout;
    let accepted = match time::timeout(limit, accepting).await {
        Err(_) => Err(timed_out()),
        Ok(outcome) => outcome.map_err(|e| io::Error::other(e.to_string())),
    };
    let accepted = accepted.inspect_err(|_| client.entry.series.tls_failed.inc())?;
    client.tls = Some(Tls {
        server_name: accepted.server_name,
        version: accepted.version,
        cipher: accepted.cipher,
        client_certificate: accepted.client_cert_present,
    });
    Ok((Down::Tls(Box::new(accepted.stream)), accepted.alpn.as_deref() == Some(b"h2")))
}

/// Waits for the first bytes without holding memory meanwhile; `false`: the client left, fell silent, or the gateway drains and nothing came.
pub async fn await_first_byte(client: &Client, stream: &mut Stream, first: &mut BytesMut) -> io::Result<bool> {
    let mut deadline = time::Deadline::new();
    deadline.set(time::after(client.worker.shared.limits.header_timeout));
    let mut late = false;
    std::future::poll_fn(|cx| {
        // On the stack, where it costs an idle connection nothing.
        let mut room = [const { MaybeUninit::uninit() }; 2048];
        let mut read = ReadBuf::uninit(&mut room);
        if let Poll::Ready(outcome) = Pin::new(&mut *stream).poll_read(cx, &mut read) {
            first.extend_from_slice(read.filled());
            return Poll::Ready(outcome.map(|()| !first.is_empty()));
        }
        // Whoever has connected before the way down, or on it, may have a request under way: it is waited for, but not long.
        if !late && client.token.poll_drain(cx) {
            late = true;
            deadline.set(time::after(LATE));
        }
        deadline.poll_expired(cx).map(|()| Ok(false))
    })
    .await
}

/// How long a connection has for its first byte once the gateway drains.
const LATE: time::Duration = time::Duration::from_secs(1);

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client did not finish its opening in time")
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    /// What a task that runs this holds at least, besides what it owns on the heap.
    fn of_two<A, B, F: Future>(_: impl Fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    fn of_three<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_costs_little() {
        let (plain, secure) = (of_two(serve), of_three(secure));
        // The goal is 2 KiB for all of it: what its exchanges know, the registration and a timer take about 700 bytes more.
        assert!(plain <= 896, "{plain}");
        assert!(secure <= 896, "{secure}");
    }
}
