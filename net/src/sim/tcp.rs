//! TCP over the simulated network. A stream knows its network and its socket, so it may be dropped anywhere.

use super::{net::Net, world::SockId};
use crate::tcp::{Delivery, KEEPALIVE_PROBES, ListenOptions, keepalive_interval};
use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Accepts connections at one address. Closed when dropped.
pub struct Listener {
    net: Net,
    id: SockId,
    addr: SocketAddr,
}

impl Listener {
    /// Starts to listen. Port 0 picks a free one. An IPv6 wildcard takes IPv4 too.
    pub fn bind(addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let net = Net::current();
        let (id, addr) = net.listen(addr, options)?;
        Ok(Self { net, id, addr })
    }

    /// The next connection and its peer. Loses none if dropped half-way. An error concerns one connection or the
    /// resources of this process (`EMFILE`), not the listener: go on accepting, after a pause.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let (id, peer) = ready!(self.net.poll_accept(self.id, cx))?;
        Poll::Ready(Ok((Stream { net: self.net.clone(), id }, peer)))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.net.close_listener(self.id);
    }
}

/// A connection. Dropping it sends a FIN, or a RST if bytes that arrived were not read.
pub struct Stream {
    net: Net,
    id: SockId,
}

impl Stream {
    /// Opens a connection. Gives up only when the operating system does, after minutes.
    pub async fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::open(None, peer).await
    }

    /// Opens a connection from one address of this machine.
    pub async fn connect_from(local: IpAddr, peer: SocketAddr) -> io::Result<Self> {
        Self::open(Some(local), peer).await
    }

    async fn open(from: Option<IpAddr>, peer: SocketAddr) -> io::Result<Self> {
        let net = Net::current();
        let stream = Stream { id: net.connect(from, peer)?, net };
        poll_fn(|cx| stream.net.poll(stream.id, cx, true, |c, _, _| c.poll_connected())).await?;
        Ok(stream) // dropped half-way, the stream closes its socket
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.addrs(self.id).map(|a| a.0)
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.net.addrs(self.id).map(|a| a.1)
    }

    /// Makes the drop of this stream send a RST and forget what was not sent.
    pub fn set_linger_zero(&self) -> io::Result<()> {
        self.net.adjust(self.id, |c| c.linger_zero = true)
    }

    /// Sends a RST now.
    pub fn reset(self) -> io::Result<()> {
        self.set_linger_zero()
    }

    /// Probes a connection that was silent for this long, then ends it with `TimedOut` if nothing answers.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        self.net.adjust(self.id, |c| c.keep_alive = idle.map(|idle| (idle, keepalive_interval(idle), KEEPALIVE_PROBES)))
    }

    /// Ends the connection with `TimedOut` if bytes stay unacknowledged for this long (`TCP_USER_TIMEOUT`); `None`
    /// restores the system's limit, about a quarter of an hour.
    pub fn set_user_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.net.adjust(self.id, |c| c.user_timeout = limit)
    }

    /// What has become of the bytes written.
    pub fn delivery(&self) -> io::Result<Delivery> {
        let mut delivery = None;
        self.net.adjust(self.id, |c| delivery = Some(c.delivery(crate::time::now())))?;
        delivery.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sizes of the socket's buffers in bytes.
    pub fn set_buffers(&self, send: Option<usize>, receive: Option<usize>) -> io::Result<()> {
        self.net.adjust(self.id, |c| {
            c.cfg.send_buffer = send.unwrap_or(c.cfg.send_buffer);
            c.cfg.recv_buffer = receive.unwrap_or(c.cfg.recv_buffer);
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.net.close(self.id);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = self.net.clip(buf.remaining());
        let n = ready!(self.net.poll(self.id, cx, false, |c, _, out| c.read(buf.initialize_unfilled_to(len), out)))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let buf = &buf[..self.net.clip(buf.len())];
        self.net.poll(self.id, cx, true, |c, now, out| c.write(now, buf, out))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_write(cx, &bufs.iter().map(|buffer| &**buffer).collect::<Vec<&[u8]>>().concat())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Like tokio's: shutting down a dead socket is no error.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.net.poll(self.id, cx, true, |c, now, out| {
            c.shutdown(now, out);
            Poll::Ready(Ok(()))
        });
        shut.map(|_| Ok(()))
    }
}
