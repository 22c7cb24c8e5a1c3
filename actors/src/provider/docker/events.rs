//! The daemon's stream of events, boiled down to what has to be looked at again.
//!
//! Events are a hint and never the truth: the daemon forgets them when it restarts, drops them when it is busy, and has none
//! for tasks. So each new connection asks for a full look, and nothing is concluded from silence.
//!
//! Owns the stream in a task of its own, connects it again, and gathers what was said until somebody takes it, in bounded
//! memory. Deliberately absent: reading anything but events.

use super::{api::Event, client::Engine};
use bytes::{Buf, BytesMut};
use fairlead_net::{
    random,
    task::{Owned, spawn},
    time::{Duration, now, sleep, timeout},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::Notify;

/// Bytes of one event. A container's labels are among its attributes.
const MAX_EVENT: usize = 1 << 20;

/// Services, or containers, that are kept apart; beyond, everything is looked at.
const MAX_APART: usize = 16;

/// Pause before the stream is opened again: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A stream that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(5);

/// What happened since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The stream was opened anew: anything may have happened before.
    pub connected: bool,
    /// Services by id that were created, changed or removed.
    pub services: BTreeSet<String>,
    /// Of these, the ones that were removed.
    pub removed: BTreeSet<String>,
    /// More services than are kept apart.
    pub many: bool,
    pub nodes: bool,
    pub networks: bool,
    /// Containers by id, and whether they are on their way out.
    pub containers: BTreeMap<String, bool>,
    pub many_containers: bool,
}

impl News {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds an event. What is not understood is not news.
    pub fn note(&mut self, event: &Event) {
        match (event.kind.as_str(), event.action.as_str()) {
            ("service", action) => {
                if action == "remove" {
                    self.removed.insert(event.actor.id.clone());
                }
                if self.services.len() < MAX_APART || self.services.contains(&event.actor.id) {
                    self.services.insert(event.actor.id.clone());
                } else {
                    self.removed.remove(&event.actor.id);
                    self.many = true;
                }
            }
            ("node", _) => self.nodes = true,
            ("network", _) => self.networks = true,
            ("container", action) => self.container(action, event),
            _ => {}
        }
    }

    fn container(&mut self, action: &str, event: &Event) {
        let leaving = match action {
            "die" | "stop" | "destroy" | "pause" | "health_status: unhealthy" => true,
            // A signal that ends a process: HUP and the user's own do not.
            "kill" => matches!(event.actor.attributes.get("signal").map(String::as_str), Some("2" | "3" | "9" | "15")),
            _ => false,
        };
        if self.containers.len() < MAX_APART || self.containers.contains_key(&event.actor.id) {
            self.containers.insert(event.actor.id.clone(), leaving);
        } else {
            self.many_containers = true;
        }
    }
}

/// The stream. Dropping it closes.
pub struct Events {
    shared: Arc<Shared>,
    _task: Owned<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is news.
    filled: Notify,
    /// The stream is not to be trusted any longer.
    dropped: Notify,
}

#[derive(Default)]
struct State {
    news: News,
    up: bool,
    /// It was tried at least once to open it.
    tried: bool,
}

impl Events {
    /// Follows the events for `filters` with a connection of `engine`'s own.
    pub fn follow(engine: &Engine, filters: &'static str) -> Self {
        let shared = Arc::new(Shared::default());
        let (engine, theirs) = (engine.fork(), shared.clone());
        Self { shared, _task: spawn(async move { theirs.run(&engine, filters).await }).owned() }
    }

    /// Waits until the stream is open, or could not be opened at once.
    pub async fn opened(&self) {
        loop {
            let known = {
                let state = self.shared.state.lock();
                state.up || state.tried
            };
            if known {
                return;
            }
            self.shared.filled.notified().await;
        }
    }

    /// Waits until there is news. Loses none if dropped.
    pub async fn wait(&self) {
        while self.shared.state.lock().news.is_empty() {
            self.shared.filled.notified().await;
        }
    }

    /// Waits until something happened to a few services. Loses none if dropped.
    pub async fn wait_for_services(&self) {
        loop {
            {
                let news = &self.shared.state.lock().news;
                if !news.services.is_empty() && !news.many && !news.connected {
                    return;
                }
            }
            self.shared.filled.notified().await;
        }
    }

    /// The few services that something happened to, and those of them that were removed, which are forgotten here; other
    /// news stay.
    pub fn take_services(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let news = &mut self.shared.state.lock().news;
        (std::mem::take(&mut news.services), std::mem::take(&mut news.removed))
    }

    /// The news, which are forgotten here.
    pub fn take(&self) -> News {
        std::mem::take(&mut self.shared.state.lock().news)
    }

    /// Whether the stream is open.
    pub fn is_up(&self) -> bool {
        self.shared.state.lock().up
    }

    /// Something changed and was not told: the stream is opened anew.
    pub fn distrust(&self) {
        self.shared.state.lock().up = false;
        self.shared.dropped.notify_one();
    }
}

impl Shared {
    async fn run(&self, engine: &Engine, filters: &str) {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        loop {
            let began = now();
            let why = tokio::select! {
                biased;
                () = self.dropped.notified() => "it kept events back".to_owned(),
                why = self.follow(engine, filters) => why,
            };
            self.tell(|state| (state.up, state.tried) = (false, true));
            if now().saturating_duration_since(began) >= STEADY {
                pause = FIRST_PAUSE;
            }
            if !std::mem::replace(&mut complained, true) {
                tracing::info!(%why, "the stream of events ended; until it is back, only polling tells of changes");
            }
            let half = pause / 2;
            sleep(half + Duration::from_nanos(random::below(half.as_nanos() as u64 + 1))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One stream to its end, and why it ended.
    async fn follow(&self, engine: &Engine, filters: &str) -> String {
        /// A daemon that is asked answers, or never will.
        const OPEN: Duration = Duration::from_secs(15);
        let mut stream = match timeout(OPEN, engine.events(filters)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(failure)) => return failure.message,
            Err(_) => return format!("no answer within {OPEN:?}"),
        };
        self.tell(|state| (state.up, state.news.connected) = (true, true));
        let mut lines = Lines::default();
        loop {
            match stream.next().await {
                Ok(Some(piece)) => lines.push(&piece),
                Ok(None) => return "the daemon ended it".to_owned(),
                Err(error) => return error.to_string(),
            }
            while let Some(line) = lines.next() {
                // One that cannot be read may have been about anything.
                match serde_json::from_slice::<Event>(&line) {
                    Ok(event) => self.tell(|state| state.news.note(&event)),
                    Err(error) => return format!("an event cannot be read: {error}"),
                }
            }
            if lines.is_too_long() {
                return format!("an event has more than {MAX_EVENT} bytes");
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.filled.notify_one();
    }
}

/// Pieces of a stream, cut at line ends.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// Bytes that hold no line end.
    seen: usize,
}

impl Lines {
    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line that is not empty, without the mark that JSON sequences (RFC 7464) begin with.
    fn next(&mut self) -> Option<BytesMut> {
        loop {
            let Some(end) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') else {
                self.seen = self.buffer.len();
                return None;
            };
            let mut line = self.buffer.split_to(self.seen + end);
            self.buffer.advance(1);
            self.seen = 0;
            if line.first() == Some(&0x1e) {
                line.advance(1);
            }
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    fn is_too_long(&self) -> bool {
        self.buffer.len() > MAX_EVENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).expect("an event")
    }

    #[test]
    fn what_is_to_be_looked_at_follows_from_the_kind() {
        let mut news = News::default();
        news.note(&event(r#"{"Type":"service","Action":"update","Actor":{"ID":"s1","Attributes":{"name":"web"}}}"#));
        news.note(&event(r#"{"Type":"network","Action":"connect","Actor":{"ID":"n"}}"#));
        news.note(&event(r#"{"Type":"image","Action":"pull","Actor":{"ID":"i"}}"#));
        assert_eq!(news, News { services: ["s1".to_owned()].into(), networks: true, ..News::default() });
        for n in 0..100 {
            news.note(&event(&format!(r#"{{"Type":"service","Action":"create","Actor":{{"ID":"x{n}"}}}}"#)));
        }
        assert!(news.many && news.services.len() == MAX_APART);
    }

    #[test]
    fn a_container_leaves_by_its_signal_and_comes_back_by_its_start() {
        for (action, attributes, leaving) in [
            ("die", "{}", true),
            ("stop", "{}", true),
            ("kill", r#"{"signal":"15"}"#, true),
            ("kill", r#"{"signal":"9"}"#, true),
            ("kill", r#"{"signal":"1"}"#, false),
            ("kill", r#"{"signal":"10"}"#, false),
            ("health_status: unhealthy", "{}", true),
            ("health_status: healthy", "{}", false),
            ("start", "{}", false),
        ] {
            let mut news = News::default();
            news.note(&event(&format!(
                r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"c","Attributes":{attributes}}}}}"#
            )));
            assert_eq!(news.containers.get("c"), Some(&leaving), "{action} {attributes}");
        }
        let mut news = News::default();
        for action in ["die", "start"] {
            news.note(&event(&format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"c"}}}}"#)));
        }
        assert_eq!(news.containers.get("c"), Some(&false));
    }

    #[test]
    fn lines_are_found_however_the_stream_is_cut() {
        let text = "{\"a\":1}\n\n\u{1e}{\"b\":2}\n{\"c\":";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                lines.push(piece.as_bytes());
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8_lossy(&line).into_owned());
                }
            }
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}"], "cut at {cut}");
        }
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_EVENT + 1]);
        assert!(lines.next().is_none() && lines.is_too_long());
    }
}
