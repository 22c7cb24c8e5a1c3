//! TCP of the operating system.

use crate::tcp::{Delivery, KEEPALIVE_PROBES, ListenOptions, keepalive_interval};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// Accepts connections at one address. Closed when dropped.
pub struct Listener(TcpListener);

impl Listener {
    /// Starts to listen. Port 0 picks a free one. An IPv6 wildcard takes IPv4 too. To be called on the worker that will
    /// accept: the listener belongs to the runtime it was made in, and ends with it.
    pub fn bind(addr: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?; // connections of an earlier run may linger in TIME_WAIT
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Those that are accepted inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        TcpListener::from_std(socket.into()).map(Self)
    }

    /// The next connection and its peer. Loses none if dropped half-way. An error concerns one connection or the
    /// resources of this process (`EMFILE`), not the listener: go on accepting, after a pause.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok(Stream::accepted(stream, peer))
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let (stream, peer) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Stream::accepted(stream, peer)))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection. Dropping it sends a FIN, or a RST if bytes that arrived were not read.
pub struct Stream(TcpStream);

impl Stream {
    /// Opens a connection. Gives up only when the operating system does, after minutes.
    pub async fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::opened(TcpStream::connect(peer).await?)
    }

    /// Opens a connection from one address of this machine.
    pub async fn connect_from(local: IpAddr, peer: SocketAddr) -> io::Result<Self> {
        let socket = match local {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.bind(SocketAddr::new(local, 0))?;
        Self::opened(socket.connect(peer).await?)
    }

    fn opened(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    fn accepted(stream: TcpStream, peer: SocketAddr) -> (Self, SocketAddr) {
        (Self(stream), canonical(peer))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr().map(canonical)
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr().map(canonical)
    }

    /// Makes the drop of this stream send a RST and forget what was not sent.
    pub fn set_linger_zero(&self) -> io::Result<()> {
        self.0.set_zero_linger()
    }

    /// Sends a RST now.
    pub fn reset(self) -> io::Result<()> {
        self.set_linger_zero()
    }

    /// Probes a connection that was silent for this long, then ends it with `TimedOut` if nothing answers.
    pub fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        let socket = SockRef::from(&self.0);
        let Some(idle) = idle else { return socket.set_keepalive(false) };
        let params = TcpKeepalive::new().with_time(idle).with_interval(keepalive_interval(idle)).with_retries(KEEPALIVE_PROBES);
        socket.set_tcp_keepalive(&params)
    }

    /// Ends the connection with `TimedOut` if bytes stay unacknowledged for this long (`TCP_USER_TIMEOUT`); `None`
    /// restores the system's limit, about a quarter of an hour.
    pub fn set_user_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        SockRef::from(&self.0).set_tcp_user_timeout(limit)
    }

    /// What has become of the bytes written. One system call.
    pub fn delivery(&self) -> io::Result<Delivery> {
        let info = tcp_info(&self.0)?;
        Ok(Delivery {
            unacknowledged: info.tcpi_unacked > 0,
            since_sent: Duration::from_millis(info.tcpi_last_data_sent.into()),
            round_trip: Duration::from_micros(info.tcpi_rtt.into()),
        })
    }

    /// Sizes of the socket's buffers in bytes, as the system rounds and doubles them; fixes what it would tune.
    pub fn set_buffers(&self, send: Option<usize>, receive: Option<usize>) -> io::Result<()> {
        let socket = SockRef::from(&self.0);
        if let Some(n) = send {
            socket.set_send_buffer_size(n)?;
        }
        if let Some(n) = receive {
            socket.set_recv_buffer_size(n)?;
        }
        Ok(())
    }
}

/// `TCP_INFO`.
#[expect(unsafe_code, reason = "no safe wrapper among the dependencies asks for it")]
fn tcp_info(socket: &impl AsRawFd) -> io::Result<libc::tcp_info> {
    // SAFETY: a struct of integers, for which zeros are a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the system writes at most `length` bytes into `info`, which
    // has so many, and an older system, which knows fewer fields, leaves the rest zero.
    let done =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut length) };
    if done == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_have_nagles_algorithm_off() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).unwrap();
        let _client = Stream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.0.nodelay().unwrap());
    }
}
