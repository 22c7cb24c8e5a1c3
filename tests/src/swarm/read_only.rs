//! A socket proxy as operators put it before the engine: GET passes, anything else is answered 403. And it keeps a list of
//! everything that was asked, so that a test can say what never was.

use crate::http::Head;
use std::{
    io::{BufReader, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A running proxy. It goes with the process.
#[derive(Clone)]
pub struct ReadOnly {
    engine: PathBuf,
    /// What is refused besides.
    without: Option<&'static str>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// One request to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub path: String,
}

impl ReadOnly {
    /// Listens at `socket` for the engine at `engine`.
    ///
    /// # Panics
    /// It cannot listen there.
    pub fn start(socket: &Path, engine: &Path) -> Self {
        Self::start_without(socket, engine, None)
    }

    /// The same, and paths that hold these words are refused too.
    ///
    /// # Panics
    /// It cannot listen there.
    pub fn start_without(socket: &Path, engine: &Path, without: Option<&'static str>) -> Self {
        let proxy = Self { engine: engine.to_owned(), without, asked: Arc::default() };
        let listener = UnixListener::bind(socket).expect("the folder of the socket is there");
        let serving = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let proxy = serving.clone();
                // A client that hangs up is no failure of the proxy's.
                thread::spawn(move || proxy.serve(client).ok());
            }
        });
        proxy
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whatever was asked that is not a GET.
    pub fn refused(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method != "GET").collect()
    }

    fn serve(&self, client: UnixStream) -> std::io::Result<()> {
        let mut engine = UnixStream::connect(&self.engine)?;
        let (mut answers, mut back) = (engine.try_clone()?, client.try_clone()?);
        thread::spawn(move || {
            std::io::copy(&mut answers, &mut back).ok();
            back.shutdown(Shutdown::Both).ok();
        });
        let mut reader = BufReader::new(client);
        while let Some(head) = Head::read(&mut reader)? {
            let asked = Asked { method: head.method().to_owned(), path: head.target().to_owned() };
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
            // A body would be taken for the next request: a GET that has one is refused like any other method.
            let bare =
                head.field("content-length").is_none_or(|length| length == "0") && head.field("transfer-encoding").is_none();
            let refused = self.without.is_some_and(|without| head.target().contains(without));
            if head.method() != "GET" || !bare || refused {
                let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                reader.get_mut().write_all(refusal.as_bytes())?;
                break;
            }
            let fields: String = head.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            engine.write_all(format!("{}\r\n{fields}\r\n", head.line).as_bytes())?;
        }
        engine.shutdown(Shutdown::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dir::Dir, swarm::engine::Engine};

    #[test]
    fn only_get_passes() {
        let dir = Dir::new();
        let (front, back) = (dir.path().join("front"), dir.path().join("back"));
        let engine = UnixListener::bind(&back).expect("it listens");
        thread::spawn(move || {
            for stream in engine.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                while let Ok(Some(_)) = Head::read(&mut reader) {
                    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").ok();
                }
            }
        });
        let proxy = ReadOnly::start(&front, &back);
        let mut client = Engine::connect(&front).expect("it connects");
        assert_eq!(client.get("/tasks").expect("it passes"), serde_json::json!([]));
        assert_eq!(client.ask("POST", "/services/create").expect("it is answered").0, 403);
        assert_eq!(proxy.refused(), [Asked { method: "POST".to_owned(), path: "/services/create".to_owned() }]);
        assert_eq!(proxy.asked().len(), 2);
    }
}
