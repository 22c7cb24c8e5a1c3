//! Frames written and read by hand.

use super::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;

pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug)]
pub(super) struct RawFrame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap()))
    }
}

/// A peer that does as it is told.
pub(super) struct Raw {
    io: DuplexStream,
}

impl Raw {
    /// A client that has sent its preface and these settings, and its server.
    pub async fn pair(settings: &server::Settings, own: &[u8]) -> (Self, server::Connection<DuplexStream>) {
        let (near, far) = tokio::io::duplex(8 << 20);
        let mut raw = Self { io: near };
        raw.bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        raw.frame(SETTINGS, 0, 0, own).await;
        let server = server::Connection::handshake(far, settings).await.unwrap();
        (raw, server)
    }

    /// A server that has read the client's preface and sent its settings.
    pub async fn server(mut io: DuplexStream) -> Self {
        io.read_exact(&mut [0; 24]).await.unwrap();
        let mut raw = Self { io };
        raw.frame(SETTINGS, 0, 0, &[]).await;
        raw
    }

    /// Takes over a stream as it is.
    pub fn of(io: DuplexStream) -> Self {
        Self { io }
    }

    /// Bytes as they are. A peer that has closed is no failure here.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
    }

    pub async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.bytes(&frame(kind, flags, stream, payload)).await;
    }

    pub async fn headers(&mut self, stream: u32, lines: &[(&str, &str)], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, &block(lines)).await;
    }

    pub async fn window(&mut self, stream: u32, increment: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes()).await;
    }

    /// The next frame; `None` when the peer has closed.
    pub async fn next(&mut self) -> Option<RawFrame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(RawFrame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that is of interest; `None` when the peer closed before.
    pub async fn until(&mut self, wanted: impl Fn(&RawFrame) -> bool) -> Option<RawFrame> {
        loop {
            let frame = self.next().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// The next error that the peer tells: the frame's kind and code. `None` when it answers instead, or closes.
    pub async fn error(&mut self) -> Option<(u8, u32)> {
        let frame = self.until(|f| f.kind == HEADERS || f.code().is_some_and(|c| c != 0)).await?;
        Some((frame.kind, frame.code()?))
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literal fields, never indexed, no Huffman coding.
pub(super) fn block(lines: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in lines {
        out.push(0);
        for text in [name, value] {
            integer(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// RFC 7541 section 5.1 with a prefix of seven bits.
fn integer(out: &mut Vec<u8>, n: usize) {
    if n < 127 {
        return out.push(n as u8);
    }
    out.push(127);
    let mut rest = n - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// A request's fields as they should be.
pub(super) fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path)]
}
