//! Scripted clients: each sends its requests as the plan says, and tells the judge how each ended.
//!
//! Those that are orderly, one request after the other, are here; the files below have a kind of others each.

mod crowd;
mod http2;
mod pipelined;
mod request;

use super::{World, gateway, wire};
use crate::{
    chance::mix,
    oracle::{Answer, exchange::Caller, lifecycle},
    plan::{
        Ask,
        traffic::{COOKIE, Conduct, Cookie},
    },
};
use fairlead_net::{
    http::{Error, Framing, Method, RequestHead, ResponseHead, Upstream as _},
    http1::{ClientConn, Limits},
    tcp::Stream,
    time::{Duration, sleep, sleep_until, timeout},
};
use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// Requests per service after everything has converged.
const PROBES: usize = 6;
/// How long after the plan's time clients go on with what is left.
const LATE: u64 = 30_000;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a gateway that cannot be reached is tried, or the next one, and with what pause.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// Identifiers of the requests that are made for those that found nobody.
const AGAIN: usize = 20_000;

/// Requests that a client can tell apart.
const REQUESTS: u64 = 100_000;

type Connection = ClientConn<Stream>;

/// A connection that is kept, and when it was made.
type Kept = (Connection, u64);

/// A client, and the gateway that it asks.
#[derive(Clone, Copy)]
struct Who {
    index: usize,
    gateway: usize,
}

/// What a request ended with.
struct Cut {
    /// The server whose response had begun.
    server: Option<usize>,
    how: String,
}

/// Lives through its part of the plan.
pub(super) async fn run(world: &Arc<World>, index: usize) {
    let client = &world.plan.clients[index];
    match client.conduct {
        Conduct::Orderly => {}
        Conduct::Pipelined { depth } => return pipelined::run(world, index, depth).await,
        Conduct::Http2 { streams } => return http2::run(world, index, streams).await,
        Conduct::Crowd { connections, holds } => return crowd::run(world, index, connections, holds).await,
    }
    let (mut connection, mut jar, mut who) = (None, Jar::default(), Who { index, gateway: client.gateway });
    let mut at = client.start;
    sleep_until(world.at(at)).await;
    for (n, ask) in client.asks.iter().enumerate() {
        if is_over(world) {
            break;
        }
        at += ask.pause;
        sleep_until(world.at(at)).await;
        for attempt in 0..TRIES {
            if one(world, who, n + attempt * AGAIN, ask, &mut connection, &mut jar).await {
                break;
            }
            if client.elsewhere {
                who.gateway = (who.gateway + 1) % world.gateways.len();
            }
            sleep(PAUSE).await;
        }
        // A slow answer delays what follows; the plan's pauses stay what they are.
        at = at.max(world.now() - world.ready.get().copied().unwrap_or(0));
    }
}

/// After the last fault and the last change, every service that is written answers as the rules say, at this gateway.
pub(super) async fn probe(world: &World, gateway: usize) {
    let who = Who { index: world.plan.clients.len() + gateway, gateway };
    let (mut connection, mut jar) = (None, Jar::default());
    for service in 0..world.plan.services {
        for n in 0..PROBES {
            let ask = Ask { service, keep: n % 2 == 1, ..Ask::default() };
            one(world, who, service * PROBES + n, &ask, &mut connection, &mut jar).await;
        }
    }
}

/// The identifier of a client's `n`th request.
fn id_of(index: usize, n: usize) -> u64 {
    (index as u64 + 1) * REQUESTS + n as u64
}

/// The client that sends the request of this identifier.
pub(super) fn index_of(id: u64) -> Option<usize> {
    (id / REQUESTS).checked_sub(1).map(|index| index as usize)
}

/// Whether a client that was held up is to leave it at what it has asked: the plan's time was over long ago.
fn is_over(world: &World) -> bool {
    world.now() > world.ready.get().copied().unwrap_or(0) + world.plan.quiet_at + LATE
}

/// A client's cookies, by service.
#[derive(Default)]
struct Jar(BTreeMap<usize, String>);

impl Jar {
    /// The value that a request brings.
    fn brings(&self, ask: &Ask, id: u64) -> Option<String> {
        match ask.cookie {
            Cookie::None => None,
            Cookie::Kept => self.0.get(&ask.service).cloned(),
            // As long as a true one, and sometimes not.
            Cookie::Forged if id.is_multiple_of(4) => Some((id % 3).to_string()),
            Cookie::Forged => Some(format!("{:016x}", mix(id))),
        }
    }

    fn takes(&mut self, service: usize, answer: &Answer) {
        if let Some(value) = &answer.set_cookie {
            self.0.insert(service, value.clone());
        }
    }

    /// The value in a `Set-Cookie` field, if it is the cookie that binds.
    fn value(field: &str) -> Option<String> {
        let (name, rest) = field.split_once('=')?;
        (name == COOKIE).then(|| rest.split(';').next().unwrap_or_default().to_owned())
    }
}

/// One request; false if there was nobody to send it to.
async fn one(world: &World, who: Who, n: usize, ask: &Ask, connection: &mut Option<Kept>, jar: &mut Jar) -> bool {
    let id = id_of(who.index, n);
    let name = &world.clients[who.index].name;
    let method = if ask.post { "POST" } else { "GET" };
    world.note(name, &format!("asks {id} {method} s{} {}", ask.service, ask.body));
    world.look();
    let cookie = jar.brings(ask, id);
    world.asked(who.gateway, id, ask, Caller { tells: false, ..request::caller(who.index, false, true, cookie.clone()) });
    if !ask.keep {
        *connection = None;
    }
    let mut way = lifecycle::Connection::default();
    let given_up = async {
        // Nobody tells that a machine is gone, or was.
        let (instance, process) = (&world.gateways[who.gateway], world.gateways[who.gateway].process());
        while !instance.is_dark() && instance.process() == process {
            sleep(Duration::from_secs(1)).await;
        }
        Err(Cut { server: None, how: "its gateway is silent".into() })
    };
    let exchange = exchange(who, id, (ask, cookie), connection, world, &mut way);
    let work = async {
        tokio::select! {
            biased;
            outcome = exchange => outcome,
            outcome = given_up => outcome,
        }
    };
    let outcome = match ask.abort {
        Some(patience) => timeout(Duration::from_millis(patience), work).await,
        None => Ok(work.await),
    };
    world.look();
    match outcome {
        Err(_) => {
            *connection = None;
            world.note(name, &format!("leaves {id}"));
            world.left(id);
        }
        Ok(Ok(answer)) => {
            let by = match (&answer.reason, answer.server) {
                (Some(reason), _) => reason.clone(),
                (None, Some(server)) => format!("server {server}"),
                (None, None) => "nobody".into(),
            };
            world.note(name, &format!("got {id} {} by {by} under {:?}", answer.status, answer.mark));
            jar.takes(ask.service, &answer);
            world.answered_with(id, &answer, None);
        }
        Ok(Err(cut)) => {
            *connection = None;
            world.note(name, &format!("lost {id}: {}", cut.how));
            world.cut_off_with(id, cut.server, true, &cut.how, way);
            return way.made_at.is_some();
        }
    }
    true
}

async fn exchange(
    who: Who,
    id: u64,
    (ask, cookie): (&Ask, Option<String>),
    kept: &mut Option<Kept>,
    world: &World,
    way: &mut lifecycle::Connection,
) -> Result<Answer, Cut> {
    let cut = |server, how: &dyn std::fmt::Display| Cut { server, how: how.to_string() };
    let lives = |connection: &mut Connection| connection.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending();
    let (mut connection, made_at) =
        match kept.take().and_then(|(mut connection, at)| lives(&mut connection).then_some((connection, at))) {
            Some(kept) => kept,
            None => {
                way.fresh = true;
                let stream = timeout(PATIENCE, Stream::connect(gateway::address(who.gateway))).await;
                let stream = stream
                    .map_err(|_| cut(None, &"no connection in time"))?
                    .map_err(|e| cut(None, &format!("no connection: {e}")))?;
                (ClientConn::new(stream, Limits::default()), world.now())
            }
        };
    way.made_at = Some(made_at);
    let mut head = RequestHead {
        method: if ask.post { Method::Post } else { Method::Get },
        target: format!("/request/{id}"),
        authority: format!("s{}.test", ask.service),
        framing: if ask.body > 0 { Framing::Length(ask.body) } else { Framing::None },
        ..RequestHead::default()
    };
    head.fields.append("Host", head.authority.as_bytes());
    head.fields.append("X-Request", id.to_string().as_bytes());
    if let Some(value) = cookie {
        head.fields.append("Cookie", format!("{COOKIE}={value}").as_bytes());
    }
    let mut response = ResponseHead::default();
    connection.send_head(&head).map_err(|e| cut(None, &e))?;
    await_head(&mut connection, wire::upload_of(id, ask.body), &mut response).await.map_err(|e| cut(None, &e))?;

    let number = |name: &str| response.fields.get_str(name).and_then(|text| text.parse::<u64>().ok());
    let server = number("x-server").map(|server| server as usize);
    let body = wire::receive(&mut connection).await.map_err(|e| cut(server, &e))?;
    let most = server.and_then(|server| world.plan.servers.get(server)).map_or(0, |server| server.body);
    let answer = Answer {
        status: response.status,
        reason: response.fields.get_str("x-fairlead-reason").map(str::to_owned),
        server,
        echo: number("x-request"),
        mark: number("x-config"),
        request_mark: number("x-seen"),
        set_cookie: response.fields.get_str("set-cookie").and_then(Jar::value),
        body_is_right: server.is_some_and(|server| body == wire::body_of(server, id, most)),
    };
    *kept = connection.is_reusable().then_some((connection, made_at));
    Ok(answer)
}

/// Sends the body and waits for the head, both at once: a gateway may answer before it has read everything.
async fn await_head(connection: &mut Connection, body: Vec<u8>, response: &mut ResponseHead) -> Result<(), Error> {
    let mut upload = Some(wire::Sending::new(body));
    poll_fn(|cx| {
        // A failed upload is no failed request as long as an answer comes.
        if upload.as_mut().is_some_and(|upload| upload.poll(cx, connection).is_ready()) {
            upload = None;
        }
        loop {
            match connection.poll_head(cx, response) {
                Poll::Ready(Ok(())) if response.status < 200 => {}
                other => return other,
            }
        }
    })
    .await
}
