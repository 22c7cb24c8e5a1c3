//! A server that reads and writes HTTP/1.1 byte by byte: strict about what it gets, and with the plan's quirks in what it gives.

use super::{
    Process,
    line::{Gone, Line},
};
use crate::{
    chance::mix,
    fault::{Fault, Phase},
    oracle::{
        Oracle, broken,
        wire::{Body, Framing, Head},
    },
    plan::traffic::Quirk,
    world::wire::{body_of, greeting, is_upload},
};
use fairlead_net::{
    tcp::Stream,
    time::{Duration, after, sleep, timeout},
};
use std::fmt::Write as _;

/// A slow reader's pauses are no more than this, so that it is done before the gateway's patience is.
const PAUSES: u64 = 30;
/// Longer than anybody waits.
const FOREVER: u64 = 3_000_000;
/// Pieces of a body that is sent as fast as it goes.
const PIECE: u64 = 16 << 10;

/// What becomes of a connection.
enum Then {
    Next,
    Close,
    Reset,
}

/// Serves a connection to its end.
pub(super) async fn serve(process: &Process, stream: Stream) {
    let mut line = Line::new(stream);
    let mut served = 0;
    loop {
        let head = match next(process, &mut line).await {
            Ok(Some(head)) => head,
            Ok(None) | Err(Gone) => return,
        };
        served += 1;
        let last = process.plan().requests_per_connection.is_some_and(|most| served >= most) || *process.draining.borrow();
        let id = head.number("x-request");
        let mut exchange = Exchange { process, line: &mut line, head: &head, id: id.unwrap_or(0), last };
        let then = match id {
            // A health check.
            None => {
                let status = process.world.health_of(process.index).await;
                let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n");
                exchange.line.write(answer.as_bytes()).await.map(|()| Then::Next)
            }
            Some(id) if process.world.fails_requests(process.index) => {
                process.world.note(&process.world.servers[process.index].name, &format!("drops {id}"));
                return;
            }
            Some(_) => exchange.run(served > 1).await,
        };
        if let Some(id) = id {
            process.world.let_go(process.index, id);
        }
        match then {
            Ok(Then::Next) if !last => {}
            Ok(Then::Next | Then::Close) => return close(line).await,
            Ok(Then::Reset) => return line.end(true),
            Err(Gone) => return,
        }
    }
}

/// Ends this direction, and hears the other one out for a moment.
async fn close(mut line: Line) {
    line.shut().await;
    let heard_out = async { while line.more(usize::MAX).await.is_ok_and(|more| more) {} };
    // Whoever does not end its direction in this time is cut off.
    let _late = timeout(Duration::from_secs(1), heard_out).await;
}

/// The next request's head; `None`: this server ends the connection.
async fn next(process: &Process, line: &mut Line) -> Result<Option<Head>, Gone> {
    let mut draining = process.draining.subscribe();
    let idle = process.plan().idle_close.map(|millis| after(Duration::from_millis(millis)));
    loop {
        match Head::take(&mut line.read) {
            Ok(Some(head)) => return Ok(Some(head)),
            Ok(None) => {}
            Err(fault) => {
                process.world.judged(broken(Oracle::Headers, format!("server {} was sent {fault}", process.index)));
                return Err(Gone);
            }
        }
        let begun = !line.read.is_empty();
        let over = async {
            match idle.filter(|_| !begun) {
                Some(at) => fairlead_net::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            more = line.more(usize::MAX) => if !more? { return Err(Gone) },
            _ = draining.wait_for(|draining| *draining), if !begun => {
                process.world.closed_idle(process.index);
                return Ok(None);
            }
            () = over => {
                process.world.closed_idle(process.index);
                return Ok(None);
            }
        }
    }
}

struct Exchange<'a> {
    process: &'a Process,
    line: &'a mut Line,
    head: &'a Head,
    id: u64,
    /// The response says that the connection ends.
    last: bool,
}

impl Exchange<'_> {
    async fn run(&mut self, reused: bool) -> Result<Then, Gone> {
        let (world, index, id) = (&self.process.world, self.process.index, self.id);
        let quirk = self.process.plan().quirk(index, id).cloned();
        world.note(&world.servers[index].name, &format!("got {id}, meets it with {quirk:?}"));
        world.look();
        world.arrived(index, id, self.head.get("host").unwrap_or_default());
        world.visited(index, id, Some(self.head), reused);
        if quirk.is_some() {
            world.strikes(Fault::Backend, Phase::Once);
        }
        match &quirk {
            Some(Quirk::Forgetful { reset }) if reused => return Ok(if *reset { Then::Reset } else { Then::Close }),
            Some(Quirk::Early { closes }) if self.head.get("upgrade").is_none() => return self.answer_early(*closes).await,
            _ => {}
        }
        self.upload(&quirk).await?;
        if self.head.get("upgrade").is_some() {
            return self.echo().await;
        }
        let (least, most) = self.process.plan().think;
        self.line.pause(least + mix(id ^ 0x7417) % (most - least + 1)).await?;
        self.answer(quirk.as_ref()).await
    }

    /// Reads the request's body.
    async fn upload(&mut self, quirk: &Option<Quirk>) -> Result<(), Gone> {
        let (world, index, id) = (&self.process.world, self.process.index, self.id);
        let framing = self.head.request_framing().map_err(|_| Gone)?;
        if self.head.get("expect").is_some() && framing != Framing::None {
            self.line.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let (mut body, mut bytes, mut right, mut pauses) = (Body::new(framing), 0, true, 0);
        loop {
            let taken = body.take(&mut self.line.read);
            match taken {
                Ok(Some(data)) => {
                    right &= is_upload(id, bytes, &data);
                    bytes += data.len() as u64;
                    continue;
                }
                Ok(None) if body.is_done() => break,
                Ok(None) => {}
                Err(fault) => {
                    world.judged(broken(Oracle::Headers, format!("request {id} came to server {index} with {fault}")));
                    return Err(Gone);
                }
            }
            let most = match quirk {
                Some(Quirk::SlowRead { piece, pause }) if pauses < PAUSES => {
                    pauses += 1;
                    sleep(Duration::from_millis(*pause)).await;
                    *piece as usize
                }
                _ => usize::MAX,
            };
            if !self.line.more(most).await? {
                return Err(Gone);
            }
        }
        world.uploaded(index, id, bytes, right);
        Ok(())
    }

    /// The head's lines up to those about the body.
    fn lines(&self, status: u16) -> String {
        let mut text = format!("HTTP/1.1 {status} Whatever\r\nX-Server: {}\r\nX-Request: {}\r\n", self.process.index, self.id);
        if let Some(mark) = self.head.get("x-config") {
            // Writing to a String cannot fail.
            let _ = write!(text, "X-Seen: {mark}\r\n");
        }
        let connection = if self.last { "close, X-Hop" } else { "X-Hop" };
        let _ = write!(text, "Keep-Alive: timeout=5\r\nConnection: {connection}\r\nX-Hop: {}\r\n", self.id);
        text
    }

    async fn answer(&mut self, quirk: Option<&Quirk>) -> Result<Then, Gone> {
        let body = body_of(self.process.index, self.id, self.process.plan().body);
        let length = body.len() as u64;
        let status = if let Some(Quirk::Status(status)) = quirk { *status } else { 200 };
        let head = |head: String, about: &str| format!("{head}{about}\r\n\r\n");
        let plain = if self.process.plan().chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {length}")
        };
        let lines = self.lines(status);
        match quirk {
            Some(Quirk::HangHead) => self.line.pause(FOREVER).await.map(|()| Then::Close),
            Some(Quirk::Garbage) => {
                self.line.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n").await?;
                Ok(Then::Close)
            }
            Some(Quirk::SlowHead(millis)) => {
                self.line.pause(*millis).await?;
                self.whole(&head(lines, &plain), &body, PIECE, 0).await
            }
            Some(Quirk::Interims(count)) => {
                for _ in 0..*count {
                    self.line.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n").await?;
                }
                self.whole(&head(lines, &plain), &body, PIECE, 0).await
            }
            Some(Quirk::Trickle { piece, pause }) => {
                let piece = (*piece).max(length / PAUSES + 1);
                self.whole(&head(lines, &plain), &body, piece, *pause).await
            }
            Some(Quirk::Stream { events, pause }) => {
                let piece = length / (*events).max(1) + 1;
                self.whole(&head(lines, "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked"), &body, piece, *pause)
                    .await
            }
            Some(Quirk::Surplus(more)) => {
                let mut bytes = head(lines, &format!("Content-Length: {length}")).into_bytes();
                bytes.extend_from_slice(&body);
                // What looks like the response to another request is the worst that can come behind this one.
                let stray = format!("{}Content-Length: 0\r\n\r\n", self.lines(200));
                bytes.extend(stray.bytes().chain((0..*more).map(|_| b'!')));
                self.line.write(&bytes).await?;
                Ok(Then::Next)
            }
            Some(Quirk::Deficit(more)) => {
                self.part(&head(lines, &format!("Content-Length: {}", length + (*more).max(1))), &body).await?;
                Ok(Then::Close)
            }
            Some(Quirk::ResetBody { after }) => {
                let sent = &body[..(*after).min(length) as usize];
                self.part(&head(lines, &format!("Content-Length: {}", length + 1)), sent).await?;
                // So that some of it arrives before the end does.
                self.line.pause(50).await?;
                Ok(Then::Reset)
            }
            Some(Quirk::HangBody { after, lasts }) => {
                let sent = &body[..(*after).min(length) as usize];
                self.part(&head(lines, &format!("Content-Length: {}", length + 1)), sent).await?;
                self.line.pause(*lasts).await?;
                Ok(Then::Reset)
            }
            Some(Quirk::Unfinished { after }) => {
                let sent = &body[..(*after).min(length) as usize];
                let chunk = if sent.is_empty() { Vec::new() } else { chunk(sent) };
                self.part(&head(lines, "Transfer-Encoding: chunked"), &chunk).await?;
                Ok(Then::Close)
            }
            Some(Quirk::UntilClose) => {
                self.last = true;
                let text = head(self.lines(200), "Connection: close");
                self.pieces(&text, &body, PIECE, 0, false).await?;
                Ok(Then::Close)
            }
            Some(Quirk::Status(_) | Quirk::Forgetful { .. } | Quirk::Early { .. } | Quirk::SlowRead { .. }) | None => {
                self.whole(&head(lines, &plain), &body, PIECE, 0).await
            }
        }
    }

    /// The answer before the request's body, and then the body, or none of it.
    async fn answer_early(&mut self, closes: bool) -> Result<Then, Gone> {
        self.last |= closes;
        let then = self.answer(None).await?;
        if closes {
            return Ok(Then::Close);
        }
        self.upload(&None).await?;
        Ok(then)
    }

    async fn part(&mut self, head: &str, body: &[u8]) -> Result<(), Gone> {
        self.line.write(head.as_bytes()).await?;
        self.line.write(body).await
    }

    /// A response in pieces, framed as its head says.
    async fn whole(&mut self, head: &str, body: &[u8], piece: u64, pause: u64) -> Result<Then, Gone> {
        let chunked = head.contains("\r\nTransfer-Encoding: chunked\r\n");
        self.pieces(head, body, piece, pause, chunked).await?;
        Ok(Then::Next)
    }

    async fn pieces(&mut self, head: &str, body: &[u8], piece: u64, pause: u64, chunked: bool) -> Result<(), Gone> {
        let (world, index, id) = (&self.process.world, self.process.index, self.id);
        let mut bytes = head.as_bytes().to_vec();
        let mut sent = 0;
        for piece in body.chunks(piece.max(1) as usize) {
            if pause > 0 && sent > 0 {
                self.line.pause(pause).await?;
            }
            if chunked {
                bytes.extend(chunk(piece));
            } else {
                bytes.extend_from_slice(piece);
            }
            self.line.write(&bytes).await?;
            bytes.clear();
            sent += piece.len() as u64;
            world.produced(index, id, sent);
        }
        if chunked {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.line.write(&bytes).await?;
        world.note(&world.servers[index].name, &format!("answered {id}"));
        Ok(())
    }

    /// A WebSocket, as far as a gateway can tell: a greeting, then whatever comes goes back, and after its end a farewell.
    async fn echo(&mut self) -> Result<Then, Gone> {
        let text = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Server: {}\r\nX-Request: {}\r\n\r\n",
            self.process.index, self.id
        );
        self.line.write_only(text.as_bytes()).await?;
        self.line.write_only(&greeting(self.id)).await?;
        loop {
            let heard = self.line.read.split();
            self.line.write_only(&heard).await?;
            if !self.line.more(usize::MAX).await? {
                break;
            }
        }
        self.line.write_only(&greeting(self.id)).await?;
        Ok(Then::Close)
    }
}

fn chunk(data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
