//! Connections that a router of connections takes: found by what the client says first, joined with a server's, and carried through.
//!
//! Owns the order in which a connection is looked at. Which router takes it is decided by the snapshot, which server gets it in
//! [`connect`]. What no router takes is HTTP's, with every byte that was read of it.

mod connect;
mod session;
#[cfg(test)]
mod tests;

use super::{
    connection::{self, Client, HANDSHAKE},
    pipe,
    stream::Down,
};
use crate::published::Published;
use bytes::BytesMut;
use fairlead_core::{
    config::dynamic::ProxyVersion,
    reason::Reason,
    rule::Connection,
    snapshot::{CompiledTcpRouter, RouterId},
};
use fairlead_net::{
    proxy_protocol,
    tcp::Stream,
    time,
    tls::{
        Hello,
        hello::{Peeked, Reader},
    },
    tunnel::{End, Tunnel},
};
use session::Session;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::io::AsyncReadExt;

/// A connection that is left to HTTP.
pub type Left = (Box<Client>, Stream, BytesMut);

/// Serves a connection of an entry point that has routers of connections, if one of them takes it.
///
/// # Errors
/// The client's side failed before it was known where the connection goes.
pub async fn take(client: Box<Client>, mut stream: Stream, mut first: BytesMut) -> io::Result<Option<Left>> {
    let published = client.worker.shared.published.load();
    let snapshot = &published.snapshot;
    let (entry, ip) = (client.entry.id, client.peer.ip());
    let nothing = Hello { server_name: None, alpn: Vec::new() };
    if let Some(router) = snapshot.tcp_at_once(entry, ip) {
        serve(client, stream, first, &published, router.id, nothing).await?;
        return Ok(None);
    }
    if first.is_empty() && !connection::await_first_byte(&client, &mut stream, &mut first).await? {
        return Ok(None);
    }
    if first.first() != Some(&HANDSHAKE) {
        let Some(router) = snapshot.tcp_plain(entry, ip) else { return Ok(Some((client, stream, first))) };
        serve(client, stream, first, &published, router.id, nothing).await?;
        return Ok(None);
    }
    if !snapshot.has_tcp_over_tls(entry) {
        return Ok(Some((client, stream, first)));
    }
    let limit = client.worker.shared.limits.tls_handshake_timeout;
    let hello = match time::timeout(limit, read_hello(&mut stream, &mut first)).await {
        Ok(read) => read?,
        Err(_) => {
            let session = Session::new(&client, &published, None, None);
            session.refuse(Reason::RequestTimeout, "the client did not finish its hello in time".into());
            return Ok(None);
        }
    };
    // What is no hello to everybody is refused, with an alert, by who would end TLS.
    let Some(hello) = hello else { return Ok(Some((client, stream, first))) };
    let server_name = hello.server_name.as_deref().unwrap_or_default();
    let Some(router) = snapshot.tcp_tls(entry, &Connection { client: ip, server_name, alpn: &hello.alpn }) else {
        return Ok(Some((client, stream, first)));
    };
    serve(client, stream, first, &published, router.id, hello).await?;
    Ok(None)
}

/// Reads a hello, of which `first` is the beginning. `None`: it is none.
async fn read_hello(stream: &mut Stream, first: &mut BytesMut) -> io::Result<Option<Hello>> {
    let mut reader = Reader::default();
    loop {
        match reader.read(first) {
            Peeked::Hello(hello) => return Ok(Some(hello)),
            Peeked::Malformed(what) => {
                tracing::debug!(what, "a hello that is none");
                return Ok(None);
            }
            Peeked::Partial => {
                first.reserve(2048);
                if stream.read_buf(first).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Joins the client with a server of the router's service.
async fn serve(
    mut client: Box<Client>,
    stream: Stream,
    first: BytesMut,
    published: &Arc<Published>,
    router: RouterId,
    hello: Hello,
) -> io::Result<()> {
    let Some(router) = published.snapshot.tcp_router(router) else { return Ok(()) };
    let refusal = if client.token.is_draining() {
        Some(Reason::Draining)
    } else {
        (!router.admits(client.peer.ip())).then_some(Reason::Forbidden)
    };
    if let Some(reason) = refusal {
        Session::new(&client, published, Some(router), hello.server_name.as_deref()).refuse(reason, String::new());
        return Ok(());
    }
    let local = stream.local_addr()?;
    let (down, first) = match &router.router.tls {
        Some(tls) if !tls.passthrough => {
            let config = published.tls_of(&tls.options);
            let (down, _) = connection::handshake(&mut client, stream, first, |_| config).await?;
            (down, BytesMut::new())
        }
        _ => (Down::Plain(stream), first),
    };
    join(&client, local, published, router, down, first, hello.server_name.as_deref()).await;
    Ok(())
}

async fn join(
    client: &Client,
    local: SocketAddr,
    published: &Arc<Published>,
    router: &CompiledTcpRouter,
    down: Down,
    first: BytesMut,
    server_name: Option<&str>,
) {
    let mut session = Session::new(client, published, Some(router), server_name);
    let way = match connect::connect(&mut session, router.service).await {
        Ok(way) => way,
        Err((reason, detail)) => return session.refuse(reason, detail),
    };
    let header = match way.backend.config.proxy_protocol {
        None => Vec::new(),
        Some(ProxyVersion::V1) => proxy_protocol::write_v1(client.peer, local),
        Some(ProxyVersion::V2) => proxy_protocol::write_v2(client.peer, local),
    };
    // What Fairlead says for the client goes before the client's own bytes, and is not counted among them.
    let own = header.len() as u64;
    let opening = if header.is_empty() { first } else { BytesMut::from(&[&header[..], &first].concat()[..]) };
    let mut pipe = Tunnel::new(down, way.up, opening, BytesMut::new());
    session.joined();
    let report = pipe::run(client, &mut pipe, |(up, down)| session.moved(up.saturating_sub(own), down)).await;
    match report {
        None => session.end(None, "nothing was said for too long".into()),
        Some(report) => match report.error {
            None => session.end(None, String::new()),
            Some((End::A, e)) => session.end(Some(Reason::ClientClosed), e.to_string()),
            Some((End::B, e)) => session.end(Some(Reason::UpstreamTruncated), e.to_string()),
        },
    }
    drop(way.served);
}
