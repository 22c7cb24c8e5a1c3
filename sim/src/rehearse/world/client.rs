//! The crowd: requests at a steady rate for every router, and how each ended.

use super::World;
use crate::{
    chance::mix,
    rehearse::{
        probe::{CROWD, Client, Expect, Probe, crowd},
        record::{Asked, Ended, Why},
    },
    world::wire,
};
use fairlead_net::{
    http::{Error, Framing, Method, RequestHead, ResponseHead, Upstream as _},
    http1::{ClientConn, Limits},
    tcp::Stream,
    time::{Duration, timeout},
    tls,
};
use madsim::task::JoinHandle;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Either kind of stream.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

type Connection = ClientConn<Box<dyn Io>>;

/// Connections that clients keep, by client.
type Kept = Arc<Mutex<BTreeMap<IpAddr, Connection>>>;

/// Bit of a request's number: it must not be repeated.
const POSTED: u64 = 1 << 60;
/// How much rarer requests are whose answer only the gateway gives.
const RARER: u64 = 10;

/// Whether the request of this number may be repeated.
pub(super) fn is_repeatable(id: u64) -> bool {
    id & POSTED == 0
}

/// Starts the load: a task per probe.
pub(super) fn load(world: &Arc<World>) -> Vec<JoinHandle<()>> {
    let start = |index| {
        let world = world.clone();
        madsim::task::spawn(async move { steady(&world, index).await })
    };
    (0..world.blueprint.probes.len()).map(start).collect()
}

/// One probe's requests until the load is over or the gateway stops.
async fn steady(world: &Arc<World>, index: usize) {
    let rarer = if matches!(world.blueprint.probes[index].expects, Expect::Status(_)) { RARER } else { 1 };
    let pause = ((1000.0 / world.plan.rate.max(0.01)) as u64).max(1) * rarer;
    let kept = Kept::default();
    let mut open = Vec::new();
    for n in 0.. {
        let at = n * pause + mix(world.plan.seed ^ mix(index as u64) ^ n) % pause;
        if at >= world.plan.lasts || world.seen.lock().stopped.is_some() {
            break;
        }
        world.until(at).await;
        open.push(ask(world, index, n, Why::Load, kept.clone()));
    }
    for task in open {
        if task.await.is_err() {
            world.breaks("O17", "a client ended before its end".into());
        }
    }
    kept.lock().clear();
}

/// Sends one request from where its client is.
pub(super) fn one(world: &Arc<World>, index: usize, n: u64, why: Why) -> JoinHandle<()> {
    ask(world, index, n, why, Kept::default())
}

fn ask(world: &Arc<World>, index: usize, n: u64, why: Why, kept: Kept) -> JoinHandle<()> {
    let probe = &world.blueprint.probes[index];
    let number = (index as u64 + 1) << 32 | (why as u64) << 28 | n;
    let drawn = mix(number ^ mix(world.plan.seed));
    let posts = probe.methods.iter().any(|method| method == "POST");
    let others: Vec<&String> = probe.methods.iter().filter(|method| *method != "POST").collect();
    let method = match (posts && why != Why::Long, others.first()) {
        (true, Some(_)) if drawn.is_multiple_of(4) => "POST",
        (_, Some(other)) => other.as_str(),
        (_, None) => "POST",
    };
    let method = Method::new(method);
    let id = if method.is_idempotent() { number } else { number | POSTED };
    let client = match probe.client {
        Client::Crowd => crowd((drawn >> 8) as u8 % CROWD),
        Client::At(ip) => ip,
    };
    let keeps = (drawn >> 16).is_multiple_of(2);
    let node = &world.clients[&client];
    let world = world.clone();
    node.spawn(async move {
        let probe = &world.blueprint.probes[index];
        let at = world.now();
        let longest = match why {
            Why::Long => probe.leaves.iter().map(|leaf| world.blueprint.longest(&world.plan.assumed, leaf)).min(),
            _ => None,
        };
        let held = kept.lock().remove(&client).filter(|_| keeps);
        world.note(&format!("client-{client}"), &format!("asks {id} {method:?} {}{}", probe.host, probe.target));
        let patience = Duration::from_millis(world.plan.assumed.patience + longest.unwrap_or(0));
        let work = exchange(&world, probe, id, method.clone(), longest, held);
        let (ended, connection) = match timeout(patience, work).await {
            Ok((ended, connection)) => (ended, connection),
            Err(_) => (Ended::Patience, None),
        };
        if let Some(connection) = connection.filter(|_| keeps) {
            kept.lock().insert(client, connection);
        }
        world.note(&format!("client-{client}"), &format!("got {id} {}", ended.word()));
        world.judge_answer(probe, id, &ended);
        let took = world.now() - at;
        let mut seen = world.seen.lock();
        let arrived = seen.arrivals.contains_key(&id);
        seen.asked.push(Asked { probe: index, repeatable: method.is_idempotent(), why, at, took, arrived, ended });
    })
}

async fn exchange(
    world: &World,
    probe: &Probe,
    id: u64,
    method: Method,
    think: Option<u64>,
    held: Option<Connection>,
) -> (Ended, Option<Connection>) {
    let lives = |c: &mut Connection| c.poll_idle(&mut Context::from_waker(Waker::noop())).is_pending();
    let mut connection = match held.and_then(|mut held| lives(&mut held).then_some(held)) {
        Some(held) => held,
        None => match connect(world, probe).await {
            Ok(connection) => connection,
            Err(how) => return (Ended::Refused(how), None),
        },
    };
    let body = if method.is_idempotent() { 0 } else { mix(id) % 2_000 };
    let mut head = RequestHead {
        method,
        target: probe.target.clone(),
        authority: probe.host.clone(),
        framing: if body > 0 { Framing::Length(body) } else { Framing::None },
        ..RequestHead::default()
    };
    head.fields.append("Host", probe.host.as_bytes());
    head.fields.append("X-Rehearsal", id.to_string().as_bytes());
    if let Some(think) = think {
        head.fields.append("X-Rehearsal-Think", think.to_string().as_bytes());
    }
    for (name, value) in &probe.fields {
        head.fields.append(name, value.as_bytes());
    }
    let mut response = ResponseHead::default();
    let cut = |begun, e: &Error| Ended::Cut { begun, how: e.to_string() };
    if let Err(e) = connection.send_head(&head) {
        return (cut(false, &e), None);
    }
    if let Err(e) = await_head(&mut connection, body, &mut response).await {
        return (cut(false, &e), None);
    }
    if let Err(e) = wire::receive(&mut connection).await {
        return (cut(true, &e), None);
    }
    let text = |name: &str| response.fields.get_str(name).map(str::to_owned);
    let reason = world.blueprint.config.reason_header.as_deref().and_then(text);
    let ended = match text("x-rehearsal-server") {
        Some(key) => {
            if text("x-rehearsal") != Some(id.to_string()) {
                world.breaks("O2", format!("request {id} got the answer to request {:?}", text("x-rehearsal")));
            }
            Ended::Server { key, status: response.status }
        }
        None => Ended::Gateway { status: response.status, reason: reason.unwrap_or_default() },
    };
    (ended, connection.is_reusable().then_some(connection))
}

async fn connect(world: &World, probe: &Probe) -> Result<Connection, String> {
    let gateway = SocketAddr::new(crate::rehearse::blueprint::GATEWAY.into(), probe.port);
    let stream = Stream::connect(gateway).await.map_err(|e| e.to_string())?;
    let io: Box<dyn Io> = if probe.tls {
        let config = world.material.client(&probe.host).map_err(|e| e.to_string())?;
        Box::new(tls::connect(stream, &config, &probe.host).await.map_err(|e| e.to_string())?.stream)
    } else {
        Box::new(stream)
    };
    Ok(ClientConn::new(io, Limits::default()))
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

impl World {
    pub(super) fn arrived(&self, id: u64, key: &str) {
        self.note(key, &format!("got {id}"));
        self.seen.lock().arrivals.entry(id).or_default().push(key.to_owned());
    }

    /// A server's answer comes from one that the router's service has.
    fn judge_answer(&self, probe: &Probe, id: u64, ended: &Ended) {
        let Ended::Server { key, .. } = ended else { return };
        let own = self.blueprint.servers.get(key).is_some_and(|server| server.services.iter().any(|s| probe.leaves.contains(s)));
        let guarded = matches!(probe.expects, Expect::Status(_) | Expect::Redirect | Expect::Internal);
        if guarded {
            self.breaks(
                "O1",
                format!("request {id} for {}{} was to be turned away, and {key} answered it", probe.host, probe.target),
            );
        } else if !own {
            self.breaks("O2", format!("request {id} for router {} was answered by {key}, which is not behind it", probe.router));
        }
    }
}
