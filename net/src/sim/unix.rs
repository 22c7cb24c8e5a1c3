//! Unix stream sockets: bounded streams inside one host, found by their path.
//!
//! Simpler than Linux's in one point: a reader whose peer left bytes unread sees the end, not `ConnectionReset`.

use super::net::{HostId, Net};
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Bytes on the way in one direction, about what Linux allows.
const BUFFER: usize = 64 << 10;
const BACKLOG: usize = 128;

/// Connections that wait for a listener to take them.
pub(super) struct Backlog {
    id: u64,
    ready: VecDeque<DuplexStream>,
    waker: Option<Waker>,
}

/// Accepts connections at a path, which is removed when this is dropped.
pub struct Listener {
    net: Net,
    host: HostId,
    id: u64,
    path: PathBuf,
}

impl Listener {
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let net = Net::current();
        let path = path.as_ref().to_owned();
        let (host, id) = net.with(|w| {
            let host = w.caller()?;
            let id = w.next();
            if w.host(host).unix.contains_key(&path) {
                return Err(io::Error::from(ErrorKind::AddrInUse));
            }
            w.host(host).unix.insert(path.clone(), Backlog { id, ready: VecDeque::new(), waker: None });
            Ok((host, id))
        })?;
        Ok(Self { net, host, id, path })
    }

    pub async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| {
            self.net.with(|w| {
                let Some(backlog) = w.host(self.host).unix.get_mut(&self.path).filter(|b| b.id == self.id) else {
                    return Poll::Ready(Err(ErrorKind::NotConnected.into()));
                };
                if let Some(stream) = backlog.ready.pop_front() {
                    return Poll::Ready(Ok(Stream(stream)));
                }
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    pub fn local_path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The streams are dropped outside the lock: they wake their peers.
        let _unaccepted = self.net.with(|w| {
            let names = &mut w.host(self.host).unix;
            // After an exit of the process the path may belong to a successor.
            if names.get(&self.path).is_some_and(|b| b.id == self.id) { names.remove(&self.path) } else { None }
        });
    }
}

/// A connection inside this host.
pub struct Stream(DuplexStream);

impl Stream {
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Net::current().with(|w| {
            let host = w.caller()?;
            let backlog = w.host(host).unix.get_mut(path.as_ref()).ok_or(ErrorKind::NotFound)?;
            if backlog.ready.len() >= BACKLOG {
                return Err(ErrorKind::WouldBlock.into());
            }
            let (ours, theirs) = tokio::io::duplex(BUFFER);
            backlog.ready.push_back(theirs);
            let waker = backlog.waker.take();
            w.wakes.extend(waker);
            Ok(Self(ours))
        })
    }
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

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
