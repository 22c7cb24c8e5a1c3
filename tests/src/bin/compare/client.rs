//! A client's kept connection that spends little: one request at a time, an answer by its length, bytes kept in place.
//!
//! The tests' own [`fairlead_tests::Connection`] is made to be looked into; this one is made to be timed.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// Longest silence.
const SILENCE: Duration = Duration::from_secs(10);

/// An open connection.
pub struct Client {
    stream: TcpStream,
    waits: bool,
    buffer: Vec<u8>,
    /// Bytes of the present answer so far.
    filled: usize,
    /// The last head and what it says: most answers begin as the one before did, and need not be read again.
    last: Option<(Vec<u8>, Frame)>,
}

/// An answer, while its bytes stand in the connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    /// Whether the server closes after it.
    pub closes: bool,
    pub body: &'a [u8],
}

/// What a response's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    status: u16,
    closes: bool,
    /// Bytes of the head, and of the body.
    head: usize,
    body: usize,
}

impl Client {
    /// Connects to this machine.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), SILENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        Ok(Self { stream, waits: true, buffer: vec![0; 16 << 10], filled: 0, last: None })
    }

    /// Asks, and reads the whole answer.
    ///
    /// # Errors
    /// The connection breaks or ends first, or the answer has no length.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.begin(request)?;
        loop {
            if let Some(frame) = self.more()? {
                return Ok(self.answer(frame));
            }
        }
    }

    /// Asks.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn begin(&mut self, request: &[u8]) -> io::Result<()> {
        self.filled = 0;
        self.stream.write_all(request)
    }

    /// The answer, if the rest of it is there; else it is still to come. See [`Client::without_waiting`].
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn poll(&mut self) -> io::Result<Option<Answer<'_>>> {
        match self.more() {
            Ok(frame) => Ok(frame.map(|frame| self.answer(frame))),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// One that does not wait for answers.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn without_waiting(self) -> io::Result<Self> {
        self.stream.set_nonblocking(true)?;
        Ok(Self { waits: false, ..self })
    }

    /// Whether the server has closed meanwhile, as a client looks before it uses a connection again.
    pub fn is_stale(&self) -> bool {
        let looked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0]));
        let silent = matches!(looked, Err(e) if e.kind() == ErrorKind::WouldBlock);
        !silent || self.waits && self.stream.set_nonblocking(false).is_err()
    }

    fn frame(&mut self) -> io::Result<Option<Frame>> {
        let bytes = &self.buffer[..self.filled];
        if let Some((_, frame)) = self.last.as_ref().filter(|(head, _)| bytes.starts_with(head)) {
            return Ok(Some(*frame));
        }
        let frame = frame(bytes)?;
        self.last = frame.map(|frame| (bytes[..frame.head].to_vec(), frame));
        Ok(frame)
    }

    /// Reads once. The frame of the answer, if that is whole now.
    fn more(&mut self) -> io::Result<Option<Frame>> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => self.filled += count,
        }
        Ok(self.frame()?.filter(|frame| frame.head + frame.body <= self.filled))
    }

    fn answer(&self, frame: Frame) -> Answer<'_> {
        Answer { status: frame.status, closes: frame.closes, body: &self.buffer[frame.head..frame.head + frame.body] }
    }
}

/// A GET, as bytes.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Reads a head, if it is there to its end.
fn frame(bytes: &[u8]) -> io::Result<Option<Frame>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let bad = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| bad("a head that is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(|| bad("no status"))?;
    let mut frame = Frame { status, closes: false, head: end + 4, body: 0 };
    let mut framed = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            frame.body = value.trim().parse().map_err(|_| bad("no length"))?;
            framed = true;
        } else if name.eq_ignore_ascii_case("connection") {
            frame.closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    if framed { Ok(Some(frame)) } else { Err(bad("an answer without length")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_tests::{Server, server::After};

    #[test]
    fn heads_are_read() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhel";
        assert_eq!(frame(head).unwrap(), Some(Frame { status: 200, closes: true, head: 57, body: 5 }));
        assert_eq!(frame(&head[..40]).unwrap(), None);
        assert!(frame(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(frame(b"nonsense\r\nContent-Length: 1\r\n\r\n").is_err());
    }

    #[test]
    fn a_connection_is_used_again_until_the_server_closes_it() {
        let server = Server::start(|exchange| {
            let closes = exchange.head.target() == "/last";
            exchange.reply(200, "", exchange.head.target().to_owned().as_str())?;
            Ok(if closes { After::Close } else { After::Keep })
        });
        let mut client = Client::open(server.port()).unwrap();
        for path in ["/a", "/b", "/last"] {
            assert!(!client.is_stale());
            let answer = client.ask(&get("localhost", path)).unwrap();
            assert_eq!((answer.status, answer.body), (200, path.as_bytes()));
        }
        fairlead_tests::until("the close is seen", || client.is_stale());
        assert!(client.ask(&get("localhost", "/c")).is_err());
        assert_eq!(server.accepted(), 1);
    }
}
