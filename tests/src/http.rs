//! HTTP/1.1 by hand, for both ends: what the tests send and expect is bytes, and no library stands between.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Longest silence before a test takes a peer for dead.
pub const SILENCE: Duration = Duration::from_secs(15);

/// A body, and the trailers behind it.
pub type Body = (Vec<u8>, Vec<(String, String)>);

/// The first line and the fields of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub line: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads one; `None` when the stream ends before its first byte.
    ///
    /// # Errors
    /// The stream breaks, or ends in the middle.
    pub fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Self>> {
        let Some(line) = read_line(reader)? else { return Ok(None) };
        let fields = read_fields(reader)?;
        Ok(Some(Self { line: line.trim_end().to_owned(), fields }))
    }

    /// The first value of a field, by a name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of a response; 0 if it has none.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_default()
    }
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// A whole response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// The 1xx responses before it.
    pub interim: Vec<Head>,
}

impl Response {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// The first value of a trailer.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        field(&self.trailers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a line `name: value` of the body, as whoami writes them.
    pub fn line(&self, name: &str) -> Option<String> {
        let text = self.text();
        let found = text.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    }

    /// The name of the whoami that answered.
    pub fn server(&self) -> String {
        self.line("Hostname").unwrap_or_else(|| panic!("not an answer of whoami: {} {}", self.status, self.text()))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A client's connection.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to this machine.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn try_open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Connects to this machine.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn open(port: u16) -> Self {
        Self::try_open(port).unwrap_or_else(|e| panic!("nobody listens on port {port}: {e}"))
    }

    /// The stream itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    /// The stream itself, when nothing that was received waits unread.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.reader.buffer().is_empty(), "bytes would be lost");
        self.reader.into_inner()
    }

    /// Sends bytes as they are. A peer that has closed already is no failure here: its answer may lie in the buffer.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.reader.get_mut().write_all(bytes.as_ref());
        assert!(sent.as_ref().is_ok() || is_gone(sent.as_ref().unwrap_err()), "{sent:?}");
    }

    /// Ends this side, as a client does that has said everything.
    pub fn finish(&mut self) {
        self.reader.get_mut().shutdown(std::net::Shutdown::Write).ok();
    }

    /// Breaks the connection with a reset.
    pub fn reset(self) {
        reset(self.reader.into_inner());
    }

    /// A GET, answered.
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, "localhost", "")
    }

    /// A request without body, answered. `fields` are whole lines.
    pub fn request(&mut self, method: &str, path: &str, host: &str, fields: &str) -> Response {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
        self.answer_to(method)
    }

    /// Reads a whole response to a request that is not HEAD.
    pub fn answer(&mut self) -> Response {
        self.answer_to("GET")
    }

    /// Reads a whole response.
    ///
    /// # Panics
    /// None arrives whole.
    pub fn answer_to(&mut self, method: &str) -> Response {
        self.try_answer(method).unwrap_or_else(|e| panic!("no whole response: {e}"))
    }

    /// Reads a whole response.
    ///
    /// # Errors
    /// The stream ends, breaks or falls silent first.
    pub fn try_answer(&mut self, method: &str) -> std::io::Result<Response> {
        let mut interim = Vec::new();
        let head = loop {
            let head = Head::read(&mut self.reader)?.ok_or_else(|| std::io::Error::from(ErrorKind::UnexpectedEof))?;
            match head.status() {
                101 | 200.. => break head,
                _ => interim.push(head),
            }
        };
        let status = head.status();
        let (body, trailers) = match status {
            101 | 204 | 304 => (Vec::new(), Vec::new()),
            _ if method == "HEAD" => (Vec::new(), Vec::new()),
            _ => read_body(&mut self.reader, &head.fields, true)?,
        };
        Ok(Response { status, head, body, trailers, interim })
    }

    /// Reads a response's head, and leaves its body in the stream.
    pub fn head(&mut self) -> Head {
        Head::read(&mut self.reader).expect("a head arrives").expect("the stream goes on")
    }

    /// The rest, to the end of the stream or its breaking.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if let Err(e) = self.reader.read_to_end(&mut rest) {
            assert!(is_gone(&e), "the peer neither speaks nor closes: {e}");
        }
        rest
    }

    /// Reads exactly so many bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("the bytes arrive");
        bytes
    }

    /// Whether the peer has closed, or closes before long, without a further byte.
    pub fn is_closed(&mut self) -> bool {
        match self.reader.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(e) => is_gone(&e),
        }
    }
}

/// One GET over a connection of its own, with the host `localhost`.
pub fn get(port: u16, path: &str) -> Response {
    Connection::open(port).get(path)
}

/// One GET with a host.
pub fn get_host(port: u16, host: &str, path: &str) -> Response {
    Connection::open(port).request("GET", path, host, "")
}

/// Closes a connection with RST.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
}

/// Whether an error says that the peer has gone.
pub fn is_gone(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted | ErrorKind::NotConnected
    )
}

/// The body that belongs to these fields, and its trailers. Without framing it goes to the end of the stream if `to_end`.
///
/// # Errors
/// It does not arrive whole.
pub fn read_body(reader: &mut impl BufRead, fields: &[(String, String)], to_end: bool) -> std::io::Result<Body> {
    let mut body = Vec::new();
    if field(fields, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(reader)?.unwrap_or_default();
            let size = usize::from_str_radix(line.trim_end().split(';').next().unwrap_or_default(), 16)
                .map_err(|e| std::io::Error::new(ErrorKind::InvalidData, format!("chunk {line:?}: {e}")))?;
            if size == 0 {
                return Ok((body, read_fields(reader)?));
            }
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            let mut end = [0; 2];
            reader.read_exact(&mut end)?;
        }
    }
    match field(fields, "content-length").and_then(|n| n.parse().ok()) {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        }
        None if to_end => {
            reader.read_to_end(&mut body)?;
        }
        None => {}
    }
    Ok((body, Vec::new()))
}

fn read_fields(reader: &mut impl BufRead) -> std::io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let Some(line) = read_line(reader)? else { return Err(ErrorKind::UnexpectedEof.into()) };
        match line.trim_end_matches(['\r', '\n']) {
            "" => return Ok(fields),
            line => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
    }
}

/// A line with its end, each byte a character (obs-text need not be UTF-8); `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then(|| line.iter().map(|byte| char::from(*byte)).collect()))
}
