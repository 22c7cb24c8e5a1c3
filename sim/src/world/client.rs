//! Scripted clients: each sends its requests one after the other, and tells the judge how each ended.

use super::{World, gateway, wire};
use crate::{oracle::Answer, plan::Ask};
use fairlead_net::{
    http::{Error, Framing, Method, RequestHead, ResponseHead, Upstream as _},
    http1::{ClientConn, Limits},
    tcp::Stream,
    time::{Duration, sleep_until, timeout},
};
use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};

/// Requests per service after everything has converged.
const PROBES: usize = 6;

type Connection = ClientConn<Stream>;

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
    let mut connection = None;
    let mut at = client.start;
    sleep_until(world.at(at)).await;
    for (n, ask) in client.asks.iter().enumerate() {
        at += ask.pause;
        sleep_until(world.at(at)).await;
        one(world, Who { index, gateway: client.gateway }, n, ask, &mut connection).await;
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

async fn one(world: &World, who: Who, n: usize, ask: &Ask, connection: &mut Option<Connection>) {
    let id = (who.index as u64 + 1) * 100_000 + n as u64;
    let name = &world.clients[who.index].name;
    let method = if ask.post { "POST" } else { "GET" };
    world.note(name, &format!("asks {id} {method} s{} {}", ask.service, ask.body));
    world.look();
    world.asked(who.gateway, id, ask);
    if !ask.keep {
        *connection = None;
    }
    let work = exchange(who, id, ask, connection, world);
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
            world.cut_off(id, cut.server, &cut.how);
        }
    }
}

async fn exchange(who: Who, id: u64, ask: &Ask, kept: &mut Option<Connection>, world: &World) -> Result<Answer, Cut> {
    let cut = |server, how: &dyn std::fmt::Display| Cut { server, how: how.to_string() };
    let lives = |connection: &mut Connection| connection.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending();
    let mut connection = match kept.take().and_then(|mut connection| lives(&mut connection).then_some(connection)) {
        Some(connection) => connection,
        None => {
            let stream = Stream::connect(gateway::address(who.gateway)).await;
            ClientConn::new(stream.map_err(|e| cut(None, &format!("no connection: {e}")))?, Limits::default())
        }
    };
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
    *kept = connection.is_reusable().then_some(connection);
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
