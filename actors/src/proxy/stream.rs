//! The two kinds of byte stream on either side: plain, and under TLS.

use crate::telemetry::Telemetry;
use fairlead_net::{
    tcp,
    tls::{ClientStream, Prefixed, ServerStream},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's connection.
pub enum Down {
    Plain(tcp::Stream),
    Tls(Box<ServerStream<Prefixed<tcp::Stream>>>),
}

/// A connection to a server, counted while it is open.
pub enum Up {
    Plain(tcp::Stream, Counted),
    Tls(Box<ClientStream<tcp::Stream>>, Counted),
}

/// One connection in the metrics.
pub struct Counted(Telemetry);

impl Counted {
    /// A connection was opened.
    pub fn new(telemetry: &Telemetry) -> Self {
        telemetry.process().upstream_connects.inc();
        telemetry.process().upstream_open.inc();
        Self(telemetry.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.process().upstream_open.dec();
    }
}

impl Up {
    /// What has become of the bytes written.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn delivery(&self) -> io::Result<tcp::Delivery> {
        match self {
            Self::Plain(stream, _) => stream.delivery(),
            Self::Tls(stream, _) => stream.get_ref().0.delivery(),
        }
    }
}

macro_rules! either {
    ($kind:ident) => {
        impl AsyncRead for $kind {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(s, ..) => Pin::new(s).poll_read(cx, buf),
                    Self::Tls(s, ..) => Pin::new(s).poll_read(cx, buf),
                }
            }
        }

        impl AsyncWrite for $kind {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(s, ..) => Pin::new(s).poll_write(cx, buf),
                    Self::Tls(s, ..) => Pin::new(s).poll_write(cx, buf),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Plain(s, ..) => Pin::new(s).poll_write_vectored(cx, bufs),
                    Self::Tls(s, ..) => Pin::new(s).poll_write_vectored(cx, bufs),
                }
            }

            fn is_write_vectored(&self) -> bool {
                match self {
                    Self::Plain(s, ..) => s.is_write_vectored(),
                    Self::Tls(s, ..) => s.is_write_vectored(),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(s, ..) => Pin::new(s).poll_flush(cx),
                    Self::Tls(s, ..) => Pin::new(s).poll_flush(cx),
                }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() {
                    Self::Plain(s, ..) => Pin::new(s).poll_shutdown(cx),
                    Self::Tls(s, ..) => Pin::new(s).poll_shutdown(cx),
                }
            }
        }
    };
}

either!(Down);
either!(Up);
