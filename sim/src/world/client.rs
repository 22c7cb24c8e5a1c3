//! Scripted clients: each sends its requests one after the other, and tells the judge how each ended.

use super::{World, gateway, wire};
use crate::{
    oracle::{Answer, lifecycle},
    plan::Ask,
};
use fairlead_net::{
    http::{Error, Framing, Method, RequestHead, ResponseHead, Upstream as _},
    http1::{ClientConn, Limits},
    tcp::Stream,
    time::{Duration, sleep, sleep_until, timeout},
};
use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

/// Requests per service after everything has converged.
const PROBES: usize = 6;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a gateway that cannot be reached is tried, or the next one, and with what pause.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_millis(200);
/// Identifiers of the requests that are made for those that found nobody.
const AGAIN: usize = 20_000;

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
pub(super) async fn run(world: &World, index: usize) {
    let client = &world.plan.clients[index];
    let (mut connection, mut who) = (None, Who { index, gateway: client.gateway });
    let mut at = client.start;
    sleep_until(world.at(at)).await;
    for (n, ask) in client.asks.iter().enumerate() {
        at += ask.pause;
        sleep_until(world.at(at)).await;
        for attempt in 0..TRIES {
            if one(world, who, n + attempt * AGAIN, ask, &mut connection).await {
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
    let mut connection = None;
    for service in 0..world.plan.services {
        for n in 0..PROBES {
            let ask = Ask { pause: 0, service, post: false, body: 0, keep: n % 2 == 1, abort: None };
            one(world, who, service * PROBES + n, &ask, &mut connection).await;
        }
    }
}

/// One request; false if there was nobody to send it to.
async fn one(world: &World, who: Who, n: usize, ask: &Ask, connection: &mut Option<Kept>) -> bool {
    let id = (who.index as u64 + 1) * 100_000 + n as u64;
    let name = &world.clients[who.index].name;
    let method = if ask.post { "POST" } else { "GET" };
    world.note(name, &format!("asks {id} {method} s{} {}", ask.service, ask.body));
    world.look();
    world.asked(who.gateway, id, ask);
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
    let exchange = exchange(who, id, ask, connection, world, &mut way);
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
            world.answered(id, &answer);
        }
        Ok(Err(cut)) => {
            *connection = None;
            world.note(name, &format!("lost {id}: {}", cut.how));
            world.cut_off(id, cut.server, &cut.how, way);
            return way.made_at.is_some();
        }
    }
    true
}

async fn exchange(
    who: Who,
    id: u64,
    ask: &Ask,
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
    let mut response = ResponseHead::default();
    connection.send_head(&head).map_err(|e| cut(None, &e))?;
    await_head(&mut connection, ask.body, &mut response).await.map_err(|e| cut(None, &e))?;

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
        body_is_right: server.is_some_and(|server| body == wire::body_of(server, id, most)),
    };
    *kept = connection.is_reusable().then_some((connection, made_at));
    Ok(answer)
}

/// Sends the body and waits for the head, both at once: a gateway may answer before it has read everything.
async fn await_head(connection: &mut Connection, body: u64, response: &mut ResponseHead) -> Result<(), Error> {
    let mut upload = Some(wire::Sending::new(vec![b'.'; body as usize]));
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
