//! Clients that speak HTTP/2 over TLS: several streams at once on one connection, some of them broken off.

use super::{COOKIE, Jar, id_of, pipelined::answer, request};
use crate::{
    fault::{Fault, Phase},
    oracle::{lifecycle::Connection, wire::Head},
    plan::{Ask, traffic::Act},
    world::{
        World, gateway,
        wire::{body_of, upload_of},
    },
};
use fairlead_net::{
    http::{Error, Frame, Framing, Method, RequestHead, ResponseHead, Sink as _, Source as _, Upstream as _},
    http2::client::{Client, ClientStream, Settings, handshake},
    task,
    tcp::Stream,
    time::{Duration, sleep, sleep_until, timeout},
    tls::{self, ClientOptions},
};
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, ready},
};

/// So many more streams may be broken off than were let finish; beyond that the gateway ends the connection.
const BROKEN_OFF: usize = 100;
/// So many streams may be broken off at once, before the gateway has taken them up.
const AT_ONCE: usize = 15;

/// What ended a request, other than a whole answer.
enum Lost {
    Cut { server: Option<usize>, right: bool, how: String },
    Left,
}

/// Lives through its part of the plan.
pub(super) async fn run(world: &Arc<World>, index: usize, streams: usize) {
    let client = &world.plan.clients[index];
    let jar = Arc::new(Mutex::new(Jar::default()));
    let (mut kept, mut at, mut n, mut broken) = (None, client.start, 0, 0);
    while n < client.asks.len() && !super::is_over(world) {
        at += client.asks[n].pause;
        sleep_until(world.at(at)).await;
        let asks = &client.asks[n..client.asks.len().min(n + streams.max(1))];
        let connection =
            match kept.take().filter(|kept: &Client| asks[0].keep && !kept.is_closed() && broken + asks.len() < BROKEN_OFF) {
                Some(connection) => Ok(connection),
                None => {
                    broken = 0;
                    connect(client.gateway).await
                }
            };
        let odd = asks.iter().filter(|ask| ask.act != Act::Plain || ask.abort.is_some()).count();
        broken += if odd > AT_ONCE { BROKEN_OFF } else { odd };
        let tasks: Vec<_> = (n..)
            .zip(asks)
            .map(|(n, ask)| {
                let one = One {
                    world: world.clone(),
                    index,
                    id: id_of(index, n),
                    ask: ask.clone(),
                    jar: jar.clone(),
                    storm: odd > AT_ONCE,
                };
                let connection = connection.as_ref().map(Client::clone).map_err(Clone::clone);
                task::spawn(async move { one.run(connection).await })
            })
            .collect();
        for task in tasks {
            // A task ends early only with its node.
            let _ended = task.await;
        }
        kept = connection.ok();
        n += asks.len();
        at = at.max(world.now() - world.ready.get().copied().unwrap_or(0));
    }
}

async fn connect(gateway: usize) -> Result<Client, String> {
    let options = ClientOptions { insecure_skip_verify: true, alpn: vec!["h2".to_owned()], ..ClientOptions::default() };
    let config = tls::client_config(&options).map_err(|e| e.to_string())?;
    let mut address = gateway::address(gateway);
    address.set_port(gateway::SECURE_PORT);
    let stream = Stream::connect(address).await.map_err(|e| e.to_string())?;
    let connected = tls::connect(stream, &config, "s0.test").await.map_err(|e| e.to_string())?;
    let settings = Settings { secure: true, ..Settings::default() };
    let (client, driver) = handshake(connected.stream, &settings).await.map_err(|e| e.to_string())?;
    task::spawn(async move {
        // How it ended is told by its streams.
        let _ended = driver.await;
    });
    Ok(client)
}

/// One request on a stream of its own.
struct One {
    world: Arc<World>,
    index: usize,
    id: u64,
    ask: Ask,
    jar: Arc<Mutex<Jar>>,
    /// Among so many that are broken off that the gateway may end the connection.
    storm: bool,
}

impl One {
    async fn run(self, connection: Result<Client, String>) {
        let (world, id, name) = (&self.world, self.id, &self.world.clients[self.index].name);
        let cookie = self.jar.lock().brings(&self.ask, id);
        world.note(name, &format!("asks {id} s{} {} {:?} over HTTP/2", self.ask.service, self.ask.body, self.ask.act));
        world.look();
        world.asked(
            world.plan.clients[self.index].gateway,
            id,
            &self.ask,
            request::caller(self.index, true, true, cookie.clone()),
        );
        if self.ask.act != Act::Plain || self.ask.abort.is_some() {
            world.strikes(Fault::Client, Phase::Once);
        }
        let work = async {
            let cut = |how| Lost::Cut { server: None, right: true, how };
            let mut stream = connection.map_err(cut)?.open();
            self.exchange(&mut stream, cookie).await
        };
        let outcome = match self.ask.abort {
            Some(patience) => timeout(Duration::from_millis(patience), work).await.unwrap_or(Err(Lost::Left)),
            None => work.await,
        };
        match outcome {
            Ok(()) => {}
            Err(Lost::Cut { how, .. }) if self.storm => {
                world.note(name, &format!("lost {id} in a storm: {how}"));
                world.left(id);
            }
            Err(Lost::Left) => {
                world.note(name, &format!("leaves {id}"));
                world.left(id);
            }
            Err(Lost::Cut { server, right, how }) => {
                world.note(name, &format!("lost {id}: {how}"));
                world.cut_off_with(id, server, right, &how, Connection { made_at: Some(0), fresh: false });
            }
        }
    }

    fn head(&self, cookie: Option<String>) -> RequestHead {
        let mut head = RequestHead {
            method: if self.ask.post { Method::Post } else { Method::Get },
            target: format!("/request/{}", self.id),
            authority: format!("s{}.test", self.ask.service),
            framing: if self.ask.body > 0 { Framing::Length(self.ask.body) } else { Framing::None },
            ..RequestHead::default()
        };
        head.fields.append("X-Request", self.id.to_string().as_bytes());
        if let Some(value) = cookie {
            head.fields.append("Cookie", format!("{COOKIE}={value}").as_bytes());
        }
        if self.ask.claims {
            request::CLAIMS.iter().for_each(|(name, value)| head.fields.append(name, value.as_bytes()));
        }
        head
    }

    async fn exchange(&self, stream: &mut ClientStream, cookie: Option<String>) -> Result<(), Lost> {
        let (world, id) = (&self.world, self.id);
        let cut = |server, right| move |e: Error| Lost::Cut { server, right, how: e.to_string() };
        let head = self.head(cookie);
        stream.send_head(&head).map_err(cut(None, true))?;
        let mut response = ResponseHead::default();
        self.await_head(stream, &mut response).await?;
        let mut read = Head { line: ["HTTP/2".into(), response.status.to_string(), String::new()], fields: Vec::new() };
        for (name, value) in response.fields.iter() {
            read.fields.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
        let server = read.number("x-server").map(|server| server as usize);
        let invented = read.get("x-fairlead-reason").is_some();
        let expected = match server.filter(|_| !invented) {
            Some(server) => body_of(server, id, world.plan.servers.get(server).map_or(0, |server| server.body)),
            None => Vec::new(),
        };
        let (mut got, mut right) = (0, true);
        loop {
            if let Act::SlowRead { pause, .. } = self.ask.act {
                sleep(Duration::from_millis(pause)).await;
            }
            let most = if let Act::SlowRead { piece, .. } = self.ask.act { piece.max(1) as usize } else { usize::MAX };
            let taken = poll_fn(|cx| match ready!(stream.poll_frame(cx)) {
                Ok(Frame::End(_)) => Poll::Ready(Ok(0)),
                Ok(Frame::Data(data)) => {
                    let n = data.len().min(most);
                    right &= expected.get(got..got + n) == Some(&data[..n]);
                    Poll::Ready(Ok(n))
                }
                Err(e) => Poll::Ready(Err(e)),
            });
            match taken.await.map_err(cut(server, right || expected.is_empty()))? {
                0 => break,
                n => {
                    stream.consume(n);
                    got += n;
                    world.got(id, got as u64);
                }
            }
            if let Act::CutResponse { after, .. } = self.ask.act
                && got as u64 >= after
            {
                return Err(Lost::Left);
            }
        }
        let answer = answer(&read, invented || right && got == expected.len());
        world.note(&world.clients[self.index].name, &format!("got {id} {} by {server:?} {:?}", answer.status, answer.reason));
        self.jar.lock().takes(self.ask.service, &answer);
        world.look();
        world.answered_with(id, &answer, Some(&read));
        Ok(())
    }

    /// Sends the body and waits for the head, both at once.
    async fn await_head(&self, stream: &mut ClientStream, response: &mut ResponseHead) -> Result<(), Lost> {
        let body = upload_of(self.id, self.ask.body);
        let most = match self.ask.act {
            Act::CutRequest { after, .. } => (after as usize).min(body.len()),
            _ => body.len(),
        };
        let leaves = matches!(self.ask.act, Act::CutRequest { .. });
        let (mut sent, mut uploading) = (0, !body.is_empty());
        poll_fn(|cx| {
            while uploading {
                let moved = if sent < most {
                    stream.poll_send(cx, &body[sent..most]).map_ok(|n| sent += n)
                } else if leaves {
                    if stream.poll_flush(cx).is_pending() {
                        break;
                    }
                    return Poll::Ready(Err(Lost::Left));
                } else {
                    uploading = false;
                    // A failed upload is no failed request as long as an answer comes.
                    Poll::Ready(stream.send_end(None))
                };
                match moved {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => uploading = false,
                    Poll::Pending => break,
                }
            }
            if leaves && body.is_empty() {
                return Poll::Ready(Err(Lost::Left));
            }
            // Goes on when there is room; a failure shows where the head is awaited.
            let _flushed = stream.poll_flush(cx);
            loop {
                match ready!(stream.poll_head(cx, response)) {
                    Ok(()) if response.status < 200 => {}
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(e) => return Poll::Ready(Err(Lost::Cut { server: None, right: true, how: e.to_string() })),
                }
            }
        })
        .await
    }
}
