//! The actor HealthCheck: asks the servers of one service whether they are well.
//!
//! Drives one health machine per server, which is kept with the server's endpoint. Probes go over connections of their own, all at the same time, each on its own schedule.
//! Supervised by BackendPool; after a panic, or a change of its service, it goes on with
//! every server as it stood.
//!
//! Never: decides what a server's health means for a request.

use crate::{backend::Backend, endpoint::Endpoint, proxy::upstream, worker::Shared};
use fairlead_core::{
    config::dynamic::HealthCheck as Config,
    health::{self, Health, ProbeResult, Transition},
};
use fairlead_net::{
    http::{Fields, Framing, Method, RequestHead, ResponseHead, Sink as _, Upstream as _},
    random,
    task::{self, Owned},
    time,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::{future::poll_fn, sync::Arc};

/// The actor.
pub struct HealthCheck;

/// What the actor is told.
pub enum Msg {
    /// A probe is due.
    Probe(usize),
    /// A probe has ended.
    Answered(usize, ProbeResult, String),
    /// Fail, for tests of supervision.
    #[cfg(any(test, madsim))]
    Crash,
}

/// What the actor is started with.
pub struct Arguments {
    pub shared: Arc<Shared>,
    pub backend: Arc<Backend>,
}

/// See [`HealthCheck`].
pub struct State {
    arguments: Arguments,
    config: Arc<Config>,
    /// By the server's place in the backend.
    servers: Vec<Server>,
}

struct Server {
    health: Health,
    /// The probe under way, or the pause before the next.
    task: Option<Owned<()>>,
}

impl Actor for HealthCheck {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let config = arguments.backend.config.health_check.clone().ok_or("the service has no health check")?;
        let now = arguments.shared.since_epoch(time::now());
        let servers = arguments
            .backend
            .endpoints
            .iter()
            .map(|endpoint| {
                let health = match endpoint.health() {
                    Some(mut health) => {
                        health.update(&config, now, random::u64());
                        health
                    }
                    None => Health::new(&config, now, random::u64()),
                };
                endpoint.set_health(Some(health.clone()));
                endpoint.probed(now, health.is_up());
                arguments.shared.telemetry.server_up(arguments.backend.name.as_str(), &endpoint.url.text, Some(health.is_up()));
                Server { health, task: None }
            })
            .collect();
        let mut state = State { arguments, config: config.into(), servers };
        for index in 0..state.servers.len() {
            // One that discovery knows to be out of reach is not asked in vain; once it is not, there is another check.
            if state.arguments.backend.config.servers[index].unreachable.is_none() {
                state.wait(&me, index);
            }
        }
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Probe(index) => state.probe(&me, index),
            Msg::Answered(index, result, detail) => state.answered(&me, index, result, &detail),
            #[cfg(any(test, madsim))]
            Msg::Crash => panic!("crashed on request"),
        }
        Ok(())
    }
}

impl State {
    fn wait(&mut self, me: &ActorRef<Msg>, index: usize) {
        let due = self.arguments.shared.instant(self.servers[index].health.next_probe());
        let me = me.clone();
        let pause = async move {
            time::sleep_until(due).await;
            // An actor that cannot be told is gone, and this task with it.
            me.cast(Msg::Probe(index)).ok();
        };
        self.servers[index].task = Some(task::spawn(pause).owned());
    }

    fn probe(&mut self, me: &ActorRef<Msg>, index: usize) {
        let (me, config, backend) = (me.clone(), self.config.clone(), self.arguments.backend.clone());
        let shared = self.arguments.shared.clone();
        let ask = async move {
            let endpoint = &backend.endpoints[index];
            let asked = time::timeout(config.timeout, ask(&shared, &backend, endpoint, &config)).await;
            let (result, detail) = match asked {
                Ok(Ok(status)) if health::accepts(&config, status) => (ProbeResult::Pass, format!("status {status}")),
                Ok(Ok(status)) => (ProbeResult::Fail, format!("status {status}")),
                Ok(Err(e)) => (ProbeResult::Fail, e),
                Err(_) => (ProbeResult::Fail, format!("no answer within {:?}", config.timeout)),
            };
            me.cast(Msg::Answered(index, result, detail)).ok();
        };
        self.servers[index].task = Some(task::spawn(ask).owned());
    }

    fn answered(&mut self, me: &ActorRef<Msg>, index: usize, result: ProbeResult, detail: &str) {
        let shared = &self.arguments.shared;
        let now = shared.since_epoch(time::now());
        let (backend, server) = (&self.arguments.backend, &mut self.servers[index]);
        let endpoint = &backend.endpoints[index];
        let change = server.health.handle(now, result, random::u64());
        let up = server.health.is_up();
        endpoint.set_health(Some(server.health.clone()));
        endpoint.probed(now, up);
        shared.telemetry.server_up(backend.name.as_str(), &endpoint.url.text, Some(up));
        let url = &*endpoint.url.text;
        match (change, up) {
            (Transition::Up, _) => tracing::info!(service = %backend.name, server = url, reason = detail, "server is up"),
            (Transition::Down, _) => tracing::warn!(service = %backend.name, server = url, reason = detail, "server is down"),
            (Transition::None, false) => {
                tracing::warn!(service = %backend.name, server = url, reason = detail, "server is still down");
            }
            (Transition::None, true) => {}
        }
        if up || !planted!("probe_never_recovers") {
            self.wait(me, index);
        }
    }
}

/// Asks once, following redirects within the server if the configuration says so.
async fn ask(shared: &Shared, backend: &Backend, endpoint: &Arc<Endpoint>, config: &Config) -> Result<u16, String> {
    let mut path = if config.path.is_empty() { "/".to_owned() } else { config.path.clone() };
    for _ in 0..5 {
        let (status, location) = ask_once(shared, backend, endpoint, config, &path).await?;
        let redirected = config.follow_redirects && config.status.is_none() && matches!(status, 301 | 302 | 303 | 307 | 308);
        match location.filter(|location| redirected && location.starts_with('/')) {
            Some(next) => path = next,
            None => return Ok(status),
        }
    }
    Err("too many redirects".into())
}

async fn ask_once(
    shared: &Shared,
    backend: &Backend,
    endpoint: &Arc<Endpoint>,
    config: &Config,
    path: &str,
) -> Result<(u16, Option<String>), String> {
    let scheme = config.scheme.unwrap_or(endpoint.url.scheme);
    let port = config.port.unwrap_or(endpoint.url.port);
    let mut up = upstream::connect_for_probe(shared, backend, endpoint, scheme, port).await.map_err(|e| e.to_string())?;
    let mut head = RequestHead {
        method: Method::new(&config.method),
        target: path.to_owned(),
        authority: if config.hostname.is_empty() { endpoint.authority.clone() } else { config.hostname.clone() },
        framing: Framing::None,
        ..RequestHead::default()
    };
    head.fields = probe_fields(&head.authority, config);
    up.send_head(&head).map_err(|e| e.to_string())?;
    up.send_end(None).map_err(|e| e.to_string())?;
    let mut response = ResponseHead::default();
    loop {
        poll_fn(|cx| {
            // Flushing may be pending while the answer already comes.
            if let std::task::Poll::Ready(Err(e)) = up.poll_flush(cx) {
                return std::task::Poll::Ready(Err(e));
            }
            up.poll_head(cx, &mut response)
        })
        .await
        .map_err(|e| e.to_string())?;
        if response.status >= 200 {
            return Ok((response.status, response.fields.get_str("location").map(str::to_owned)));
        }
    }
}

fn probe_fields(authority: &str, config: &Config) -> Fields {
    let mut fields = Fields::new();
    fields.set("Host", authority.as_bytes());
    fields.set("User-Agent", b"fairlead-health-check");
    for (name, value) in config.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
        fields.set(name, value.as_bytes());
    }
    fields
}
