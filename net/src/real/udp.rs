//! UDP of the operating system.

use crate::udp::BindOptions;
use socket2::{Domain, Protocol, Type};
use std::{
    io,
    net::SocketAddr,
    task::{Context, Poll},
};
use tokio::{io::ReadBuf, net::UdpSocket};

/// A datagram socket. Several tasks may use it at once.
pub struct Socket(UdpSocket);

impl Socket {
    /// Port 0 picks a free one. An IPv6 wildcard takes IPv4 too.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(addr, BindOptions::default())
    }

    pub fn bind_with(addr: SocketAddr, options: BindOptions) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&addr.into())?;
        UdpSocket::from_std(socket.into()).map(Self)
    }

    /// Speaks to `peer` only, from now on.
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.0.connect(peer).await
    }

    pub async fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.send(buf).await
    }

    pub async fn send_to(&self, buf: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.0.send_to(buf, peer).await
    }

    /// The next datagram, cut to the buffer.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf).await
    }

    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, peer) = self.0.recv_from(buf).await?;
        Ok((n, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }

    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, buf)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
