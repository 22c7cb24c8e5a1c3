//! Reading the Engine API as it is, without the docker command between: for what is asked many times a second.

use crate::http::{Head, read_body};
use serde_json::Value;
use std::{
    io::{BufReader, Error, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A connection to the engine, kept alive.
pub struct Engine(BufReader<UnixStream>);

impl Engine {
    /// Connects to its socket.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// A GET, answered with 200 and JSON.
    ///
    /// # Errors
    /// The connection breaks, or the answer is another.
    pub fn get(&mut self, path: &str) -> std::io::Result<Value> {
        let (status, body) = self.ask("GET", path)?;
        match status {
            200 => serde_json::from_slice(&body).map_err(Error::other),
            _ => Err(Error::other(format!("{path}: {status} {}", String::from_utf8_lossy(&body)))),
        }
    }

    /// A request without body: status and body of its answer.
    ///
    /// # Errors
    /// The connection breaks.
    pub fn ask(&mut self, method: &str, path: &str) -> std::io::Result<(u16, Vec<u8>)> {
        self.0
            .get_mut()
            .write_all(format!("{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        let head = Head::read(&mut self.0)?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
        Ok((head.status(), read_body(&mut self.0, &head.fields, true)?.0))
    }
}
