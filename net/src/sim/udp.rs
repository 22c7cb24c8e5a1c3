//! UDP over the simulated network.

use super::{net::Net, world::SockId};
use crate::udp::BindOptions;
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll, ready},
};
use tokio::io::ReadBuf;

/// A datagram socket. Several tasks may use it at once.
pub struct Socket {
    net: Net,
    id: SockId,
}

impl Socket {
    /// Port 0 picks a free one. An IPv6 wildcard takes IPv4 too.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(addr, BindOptions::default())
    }

    pub fn bind_with(addr: SocketAddr, options: BindOptions) -> io::Result<Self> {
        let net = Net::current();
        let (id, _) = net.udp_bind(addr, options)?;
        Ok(Self { net, id })
    }

    /// Speaks to `peer` only, from now on.
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.net.udp_connect(self.id, peer)
    }

    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.net.udp_send(self.id, buf, None)
    }

    pub async fn send_to(&self, buf: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.net.udp_send(self.id, buf, Some(peer))
    }

    /// The next datagram, cut to the buffer.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buf).await.map(|(n, _)| n)
    }

    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (from, data) = poll_fn(|cx| self.net.udp_poll_recv(self.id, cx)).await?;
        let n = data.len().min(buf.len());
        buf[..n].copy_from_slice(&data[..n]);
        Ok((n, from))
    }

    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (_, data) = ready!(self.net.udp_poll_recv(self.id, cx))?;
        buf.put_slice(&data[..data.len().min(buf.remaining())]);
        Poll::Ready(Ok(()))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.udp_addr(self.id)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.net.udp_close(self.id);
    }
}
