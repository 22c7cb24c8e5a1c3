//! Clients that write and read HTTP/1.1 byte by byte: several requests at once, in pieces, slowly, and not always to the end.

use super::{
    Jar, id_of,
    request::{self, Request},
};
use crate::{
    fault::{Fault, Phase},
    oracle::{
        Answer, Oracle, broken,
        lifecycle::Connection,
        wire::{Body, Framing, Head},
    },
    plan::{Ask, traffic::Act},
    world::{
        World, gateway,
        server::line::{Gone, Line},
        wire::{body_of, greeting, upload_of},
    },
};
use fairlead_net::{
    tcp::Stream,
    time::{Duration, after, sleep, sleep_until, timeout},
};

/// How long a client that waits for leave to send its body waits at most.
const LEAVE: u64 = 3_000;
/// What a slow reader's kernel takes for it.
const SMALL_BUFFER: usize = 4 << 10;

/// What ended a request, other than a whole answer.
enum Lost {
    /// The connection ended. The server whose response had begun, and whether what came of it was right.
    Cut { server: Option<usize>, right: bool, how: &'static str },
    /// The client left, as the plan says.
    Left,
}

/// Lives through its part of the plan.
pub(super) async fn run(world: &World, index: usize, depth: usize) {
    let client = &world.plan.clients[index];
    let (mut jar, mut kept, mut at, mut n) = (Jar::default(), None, client.start, 0);
    while let Some(first) = client.asks.get(n).filter(|_| !super::is_over(world)) {
        at += first.pause;
        sleep_until(world.at(at)).await;
        let together = client.asks[n..].iter().take(depth.max(1)).take_while(|ask| is_simple(ask)).count().max(1);
        let asks = &client.asks[n..n + together];
        kept = Volley { world, index, jar: &mut jar }.run(n, asks, kept).await;
        n += together;
        at = at.max(world.now() - world.ready.get().copied().unwrap_or(0));
    }
}

fn is_simple(ask: &Ask) -> bool {
    ask.act == Act::Plain && ask.abort.is_none()
}

/// Requests that are sent together.
struct Volley<'a> {
    world: &'a World,
    index: usize,
    jar: &'a mut Jar,
}

impl Volley<'_> {
    async fn run(&mut self, n: usize, asks: &[Ask], kept: Option<Line>) -> Option<Line> {
        let (world, name) = (self.world, self.world.clients[self.index].name.clone());
        let requests: Vec<_> = (n..)
            .zip(asks)
            .map(|(n, ask)| {
                let id = id_of(self.index, n);
                let cookie = self.jar.brings(ask, id);
                world.note(&name, &format!("asks {id} s{} {} {:?}", ask.service, ask.body, ask.act));
                world.look();
                world.asked(
                    world.plan.clients[self.index].gateway,
                    id,
                    ask,
                    request::caller(self.index, false, asks.len() == 1, cookie.clone()),
                );
                if ask.act != Act::Plain || ask.abort.is_some() {
                    world.strikes(Fault::Client, Phase::Once);
                }
                request::write(id, ask, cookie.as_deref())
            })
            .collect();
        let kept = kept.filter(|_| asks[0].keep).and_then(|mut line| line.is_quiet().then_some(line));
        let mut line = match kept {
            Some(line) => line,
            None => match Stream::connect(gateway::address(world.plan.clients[self.index].gateway)).await {
                Ok(stream) => Line::new(stream),
                Err(e) => {
                    requests.iter().for_each(|request| {
                        world.cut_off_with(request.id, None, true, &format!("no connection: {e}"), Connection::default())
                    });
                    return None;
                }
            },
        };
        let patience = asks[0].abort.filter(|_| asks.len() == 1);
        let mut open = requests.iter().map(|request| request.id).collect();
        let work = self.exchange(&mut line, &requests, asks, &mut open);
        let outcome = match patience {
            Some(patience) => timeout(Duration::from_millis(patience), work).await.unwrap_or(Err(Lost::Left)),
            None => work.await,
        };
        world.look();
        match outcome {
            Ok(true) => return Some(line),
            Ok(false) => {}
            Err(lost) => {
                let id = open.remove(0);
                match lost {
                    Lost::Left => {
                        world.note(&name, &format!("leaves {id}"));
                        let reset =
                            matches!(asks[0].act, Act::CutRequest { reset: true, .. } | Act::CutResponse { reset: true, .. });
                        line.end(reset);
                        world.left(id);
                    }
                    Lost::Cut { server, right, how } => {
                        world.note(&name, &format!("lost {id}: {how}"));
                        world.cut_off_with(id, server, right, how, Connection { made_at: Some(0), fresh: false });
                    }
                }
            }
        }
        for id in open {
            world.note(&name, &format!("has no answer to {id}"));
            world.unanswered(id);
        }
        None
    }

    /// Sends all and reads the answers in their order. True: the connection may be used again. What has an answer is taken out of `open`.
    async fn exchange(&mut self, line: &mut Line, requests: &[Request], asks: &[Ask], open: &mut Vec<u64>) -> Result<bool, Lost> {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.bytes.iter().copied()).collect();
        let mut flow = Flow::new(line, bytes, &requests[0], &asks[0]);
        for (request, ask) in requests.iter().zip(asks) {
            let closes = match ask.act {
                Act::WebSocket { messages, bytes, pause } => {
                    self.talk(flow.line, request, (messages, bytes, pause)).await?;
                    true
                }
                _ => self.answer(&mut flow, request, ask).await?,
            };
            open.remove(0);
            if closes {
                return Ok(false);
            }
        }
        if !flow.line.read.is_empty() {
            let detail = format!("{} bytes came behind the answer to request {}", flow.line.read.len(), requests[0].id);
            self.world.judged(broken(Oracle::CrossTalk, detail));
        }
        Ok(flow.is_sent())
    }

    /// One response, to its end. Whether the connection ends with it.
    async fn answer(&mut self, flow: &mut Flow<'_>, request: &Request, ask: &Ask) -> Result<bool, Lost> {
        let (world, id) = (self.world, request.id);
        let head = loop {
            match Head::take(&mut flow.line.read) {
                Err(fault) => return Err(self.unreadable(id, &fault)),
                Ok(Some(head)) if head.status() < 200 => {
                    if head.status() == 100 {
                        flow.allow_all();
                    }
                }
                Ok(Some(head)) => break head,
                Ok(None) if flow.step().await? => {}
                Ok(None) => return Err(Lost::Cut { server: None, right: true, how: "ended before a response" }),
            }
        };
        let framing = head.response_framing().map_err(|fault| self.unreadable(id, &fault))?;
        let server = head.number("x-server").map(|server| server as usize);
        let expected = match (server, head.get("x-fairlead-reason")) {
            (Some(server), None) => body_of(server, id, world.plan.servers.get(server).map_or(0, |server| server.body)),
            _ => Vec::new(),
        };
        let (mut body, mut got, mut right) = (Body::new(framing), 0, true);
        while !body.is_done() {
            match body.take(&mut flow.line.read) {
                Err(fault) => return Err(self.unreadable(id, &fault)),
                Ok(Some(data)) => {
                    right &= expected.get(got..got + data.len()) == Some(&data[..]);
                    got += data.len();
                    world.got(id, got as u64);
                }
                Ok(None) if body.is_done() => {}
                Ok(None) => match flow.step().await {
                    Ok(true) => {}
                    Ok(false) if body.ends_with_connection() => break,
                    Err(Lost::Left) => return Err(Lost::Left),
                    Ok(false) | Err(_) => {
                        return Err(Lost::Cut { server, right: right || expected.is_empty(), how: "ended inside a body" });
                    }
                },
            }
        }
        let invented = head.get("x-fairlead-reason").map(str::to_owned);
        let answer = answer(&head, invented.is_some() || right && got == expected.len());
        world.note(&world.clients[self.index].name, &format!("got {id} {} by {server:?} {invented:?}", answer.status));
        self.jar.takes(ask.service, &answer);
        world.answered_with(id, &answer, Some(&head));
        let said = head.all("connection").any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")));
        Ok(said || framing == Framing::UntilClose)
    }

    fn unreadable(&self, id: u64, fault: &str) -> Lost {
        self.world.judged(broken(Oracle::Headers, format!("the answer to request {id} cannot be read: {fault}")));
        Lost::Cut { server: None, right: true, how: "cannot be read" }
    }

    /// A WebSocket: writes and reads at once, ends its direction first, and reads on to the end.
    async fn talk(&mut self, line: &mut Line, request: &Request, (messages, size, pause): (u32, u64, u64)) -> Result<(), Lost> {
        let (world, id) = (self.world, request.id);
        let cut = |server, how| Lost::Cut { server, right: true, how };
        line.write_only(&request.bytes).await.map_err(|Gone| cut(None, "ended before the upgrade"))?;
        let head = loop {
            match Head::take(&mut line.read) {
                Err(fault) => return Err(self.unreadable(id, &fault)),
                Ok(Some(head)) => break head,
                Ok(None) if line.more(usize::MAX).await.unwrap_or(false) => {}
                Ok(None) => return Err(cut(None, "ended before the upgrade")),
            }
        };
        let server = head.number("x-server").map(|server| server as usize);
        if head.status() != 101 {
            // What comes behind it is read as any answer's body would be, and not judged.
            let answer = answer(&head, true);
            world.note(&world.clients[self.index].name, &format!("got {id} {} instead of an upgrade", answer.status));
            world.answered_with(id, &answer, Some(&head));
            return Ok(());
        }
        let said: Vec<Vec<u8>> = (0..messages).map(|n| upload_of(id ^ u64::from(n), size)).collect();
        let mut ended = false;
        for message in &said {
            let mut sent = 0;
            let over = after(Duration::from_millis(pause));
            while !ended && sent < message.len() {
                ended = !line.exchange(message, &mut sent).await.map_err(|Gone| cut(server, "ended inside a tunnel"))?;
            }
            sleep_until(over).await;
        }
        line.shut().await;
        while line.more(usize::MAX).await.map_err(|Gone| cut(server, "ended inside a tunnel"))? {}
        let expected = [greeting(id), said.concat(), greeting(id)].concat();
        let answer = answer(&head, line.read[..] == expected[..]);
        world.note(&world.clients[self.index].name, &format!("heard {} bytes for {id}", line.read.len()));
        world.answered_with(id, &answer, None);
        Ok(())
    }
}

/// What a head says, with this judgement of its body.
pub(super) fn answer(head: &Head, body_is_right: bool) -> Answer {
    Answer {
        status: head.status(),
        reason: head.get("x-fairlead-reason").map(str::to_owned),
        server: head.number("x-server").map(|server| server as usize),
        echo: head.number("x-request"),
        mark: head.number("x-config"),
        request_mark: head.number("x-seen"),
        set_cookie: head.get("set-cookie").and_then(Jar::value),
        body_is_right,
    }
}

/// A connection on which requests go out as fast as their act allows, while answers come in.
struct Flow<'a> {
    line: &'a mut Line,
    bytes: Vec<u8>,
    sent: usize,
    /// So much may be sent by now.
    allowed: usize,
    piece: usize,
    pause: u64,
    act: Act,
    /// Read from the connection before.
    heard: u64,
}

impl<'a> Flow<'a> {
    fn new(line: &'a mut Line, bytes: Vec<u8>, first: &Request, ask: &Ask) -> Self {
        let all = bytes.len();
        let (allowed, piece, pause) = match ask.act {
            Act::Expect => (first.head, all, LEAVE),
            Act::Trickle { head, piece, pause } => (if head { 1 } else { first.head }, piece.max(1) as usize, pause.max(1)),
            Act::CutRequest { after, .. } => ((after as usize).min(all), 0, 0),
            _ => (all, 0, 0),
        };
        if matches!(ask.act, Act::SlowRead { .. }) {
            // A socket that has just died is found dead by what comes next.
            let _dead = line.stream().set_buffers(None, Some(SMALL_BUFFER));
        }
        let heard = line.heard;
        Self { line, bytes, sent: 0, allowed, piece, pause, act: ask.act.clone(), heard }
    }

    fn allow_all(&mut self) {
        if self.act == Act::Expect {
            self.allowed = self.bytes.len();
        }
    }

    fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Moves something; false: the gateway has ended its direction.
    async fn step(&mut self) -> Result<bool, Lost> {
        let gone = |Gone| Lost::Cut { server: None, right: true, how: "reset" };
        match self.act {
            Act::CutRequest { .. } => {
                while self.sent < self.allowed {
                    if !self.line.exchange(&self.bytes[..self.allowed], &mut self.sent).await.map_err(gone)? {
                        return Ok(false);
                    }
                }
                return Err(Lost::Left);
            }
            Act::CutResponse { after, .. } if self.line.heard - self.heard >= after => return Err(Lost::Left),
            Act::SlowRead { piece, pause } if self.is_sent() => {
                sleep(Duration::from_millis(pause)).await;
                return self.line.more(piece.max(1) as usize).await.map_err(gone);
            }
            _ => {}
        }
        while self.piece > 0 && self.allowed < self.bytes.len() {
            let more = tokio::select! {
                biased;
                more = self.line.exchange(&self.bytes[..self.allowed], &mut self.sent) => Some(more),
                () = sleep(Duration::from_millis(self.pause)) => None,
            };
            if let Some(more) = more {
                return more.map_err(gone);
            }
            self.allowed = (self.allowed + self.piece).min(self.bytes.len());
        }
        self.line.exchange(&self.bytes[..self.allowed], &mut self.sent).await.map_err(gone)
    }
}
