//! A second opinion on the simulator: a plan of the simulated world, carried out by the built binary on real sockets in real time.
//!
//! Owns the reading of a plan (as far as a machine can do what it says), the servers, clients and writers that it asks for, and what came of
//! each request. The same plan under `cargo sim replay --trace` gives [`simulated`] outcomes; the two must agree.
//!
//! Deliberately absent: faults that need a network of one's own (cut links, lost packets, machines without power), and any judgement.

#![expect(clippy::disallowed_methods, reason = "a plan says when things happen, and here its times are real")]

use crate::{
    Gateway, Server, Setup,
    http::Connection,
    server::{After, Exchange},
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// By the server of this number.
    Answered { status: u16, server: usize },
    /// By the gateway, for this reason.
    Invented { status: u16, reason: String },
    /// Without a whole response.
    Lost,
    /// The client left first.
    Left,
}

/// What a run of a plan came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// By request; the number names its client and its place.
    pub ended: BTreeMap<u64, Ended>,
    /// How often each request reached a server.
    pub arrivals: BTreeMap<u64, usize>,
}

impl Outcome {
    /// How requests ended, whichever server answered: what two runs of one plan must agree on.
    pub fn kinds(&self) -> BTreeMap<u64, String> {
        let kind = |ended: &Ended| match ended {
            Ended::Answered { status, .. } => format!("{status} by a server"),
            Ended::Invented { status, reason } => format!("{status} {reason}"),
            Ended::Lost => "lost".into(),
            Ended::Left => "left".into(),
        };
        self.ended.iter().map(|(id, ended)| (*id, kind(ended))).collect()
    }

    /// The servers that answered these requests.
    pub fn servers(&self, ids: &BTreeSet<u64>) -> BTreeSet<usize> {
        let of = |id| match self.ended.get(id) {
            Some(Ended::Answered { server, .. }) => Some(*server),
            _ => None,
        };
        ids.iter().filter_map(of).collect()
    }
}

/// A plan, as the simulator writes it.
pub struct Plan(Value);

impl Plan {
    /// Reads one from a file.
    ///
    /// # Panics
    /// It is no plan, or asks for what a real machine is not given here.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let plan: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(plan["gateway"]["source"], "file", "{}: a real run has a file as its source", path.display());
        for step in list(&plan["steps"]) {
            let known = step["what"]
                .as_object()
                .is_some_and(|what| what.keys().all(|k| ["start", "kill", "write"].contains(&k.as_str())));
            assert!(known, "{}: a real run cannot do {}", path.display(), step["what"]);
        }
        Self(plan)
    }

    /// Requests by phase: those that begin, and are over, between two steps, and not within `settle` milliseconds after the first of them.
    pub fn phases(&self, settle: u64) -> Vec<BTreeSet<u64>> {
        let mut bounds: Vec<_> = list(&self.0["steps"]).iter().map(|step| number(&step["at"])).collect();
        bounds.push(number(&self.0["quiet_at"]));
        let mut from = 0;
        let mut phases = Vec::new();
        for to in bounds {
            let within = self.asks().filter(|ask| ask.at >= from + settle && ask.at + settle < to).map(|ask| ask.id).collect();
            phases.push(within);
            from = to;
        }
        phases
    }

    /// All requests.
    pub fn ids(&self) -> BTreeSet<u64> {
        self.asks().map(|ask| ask.id).collect()
    }

    /// Requests with the times at which they begin, if none before them is late.
    fn asks(&self) -> impl Iterator<Item = Ask> {
        list(&self.0["clients"]).iter().enumerate().flat_map(|(index, client)| {
            let mut at = number(&client["start"]);
            list(&client["asks"]).iter().enumerate().map(move |(n, ask)| {
                at += number(&ask["pause"]);
                Ask {
                    id: (index as u64 + 1) * 100_000 + n as u64,
                    at,
                    pause: number(&ask["pause"]),
                    service: number(&ask["service"]),
                    post: ask["post"] == true,
                    body: number(&ask["body"]) as usize,
                    keep: ask["keep"] == true,
                    abort: ask["abort"].as_u64().map(Duration::from_millis),
                }
            })
        })
    }

    /// Carries it out with the built binary.
    pub fn run(&self) -> Outcome {
        let outcome = Mutex::new(Outcome::default());
        let plan = &self.0;
        let stage = Stage::new(list(&plan["servers"]));
        let mut desired = BTreeMap::new();
        note(&mut desired, &plan["first"]);
        let seconds = |n: u64| format!("{n}s");
        let setup = Setup::new()
            .entry_point("web", json!({ "transport": { "lifeCycle": { "graceTimeOut": seconds(10) } } }))
            .section("fairlead", json!({ "workers": plan["gateway"]["workers"] }))
            .section(
                "serversTransport",
                json!({ "forwardingTimeouts": { "dialTimeout": seconds(5), "responseHeaderTimeout": seconds(4) } }),
            )
            .dynamic(document(&desired, &stage.ports));
        let gateway = setup.start();
        let begin = Instant::now();
        thread::scope(|scope| {
            let mut clients: BTreeMap<u64, Vec<Ask>> = BTreeMap::new();
            self.asks().for_each(|ask| clients.entry(ask.id / 100_000).or_default().push(ask));
            for (index, asks) in clients {
                let (outcome, web) = (&outcome, gateway.web());
                let start = number(&list(&plan["clients"])[index as usize - 1]["start"]);
                scope.spawn(move || live(begin, start, &asks, web, outcome));
            }
            for step in list(&plan["steps"]) {
                until(begin, number(&step["at"]));
                stage.take(&step["what"], &mut desired, &gateway);
            }
        });
        let mut outcome = outcome.into_inner().expect("no client panicked");
        outcome.arrivals = stage.arrivals();
        outcome
    }
}

/// One request of a client.
struct Ask {
    id: u64,
    at: u64,
    pause: u64,
    service: u64,
    post: bool,
    body: usize,
    keep: bool,
    abort: Option<Duration>,
}

/// A client: one request after the other, as the simulated one does.
fn live(begin: Instant, start: u64, asks: &[Ask], web: u16, outcome: &Mutex<Outcome>) {
    let mut connection = None;
    let mut at = start;
    for ask in asks {
        at += ask.pause;
        until(begin, at);
        if !ask.keep {
            connection = None;
        }
        let ended = ask.exchange(&mut connection, web);
        outcome.lock().expect("no other client panicked").ended.insert(ask.id, ended);
        at = at.max(begin.elapsed().as_millis() as u64);
    }
}

impl Ask {
    fn exchange(&self, kept: &mut Option<Connection>, web: u16) -> Ended {
        let lives = |connection: &mut Connection| {
            let stream = connection.stream();
            stream.set_nonblocking(true).expect("a socket can be told");
            let silent = stream.peek(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
            stream.set_nonblocking(false).expect("a socket can be told");
            silent
        };
        let Some(mut connection) =
            kept.take().and_then(|mut c| lives(&mut c).then_some(c)).or_else(|| Connection::try_open(web).ok())
        else {
            return Ended::Lost;
        };
        let (method, id) = (if self.post { "POST" } else { "GET" }, self.id);
        let length = if self.body > 0 { format!("Content-Length: {}\r\n", self.body) } else { String::new() };
        let head = format!("{method} /request/{id} HTTP/1.1\r\nHost: s{}.test\r\nX-Request: {id}\r\n{length}\r\n", self.service);
        connection.send([head.into_bytes(), vec![b'.'; self.body]].concat());
        if let Some(patience) = self.abort {
            connection.stream().set_read_timeout(Some(patience)).expect("a socket can be told");
        }
        let answer = match connection.try_answer(method) {
            Ok(answer) => answer,
            Err(_) if self.abort.is_some() => return Ended::Left,
            Err(_) => return Ended::Lost,
        };
        let ended = match (answer.field("x-fairlead-reason"), answer.field("x-server").and_then(|n| n.parse().ok())) {
            (Some(reason), _) => Ended::Invented { status: answer.status, reason: reason.to_owned() },
            (None, Some(server)) if answer.field("x-request") == Some(&id.to_string()) => {
                Ended::Answered { status: answer.status, server }
            }
            (None, _) => Ended::Lost,
        };
        if answer.field("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) && self.abort.is_none() {
            *kept = Some(connection);
        }
        ended
    }
}

/// The servers of a plan, each on a port of its own.
struct Stage {
    plans: Vec<(u64, u64, usize)>,
    ports: Vec<u16>,
    running: Mutex<BTreeMap<usize, Server>>,
    gone: Mutex<Vec<Server>>,
}

impl Stage {
    fn new(servers: &[Value]) -> Self {
        let ports = servers.iter().map(|_| crate::free_port()).collect();
        let think = |server: &Value| (number(&server["think"][0]), number(&server["think"][1]), number(&server["body"]) as usize);
        let stage = Self { plans: servers.iter().map(think).collect(), ports, running: Mutex::default(), gone: Mutex::default() };
        (0..servers.len()).filter(|index| servers[*index]["up"] == true).for_each(|index| stage.start(index));
        stage
    }

    fn start(&self, index: usize) {
        let (least, most, body) = self.plans[index];
        let server = Server::start_on(self.ports[index], move |exchange| answer(exchange, index, (least, most), body));
        self.running.lock().expect("nobody panicked").insert(index, server);
    }

    fn take(&self, what: &Value, desired: &mut BTreeMap<u64, (u64, Vec<usize>)>, gateway: &Gateway) {
        if let Some(index) = what["start"].as_u64() {
            self.start(index as usize);
        } else if let Some(index) = what["kill"].as_u64() {
            if let Some(server) = self.running.lock().expect("nobody panicked").remove(&(index as usize)) {
                server.kill();
                self.gone.lock().expect("nobody panicked").push(server);
            }
        } else {
            note(desired, &what["write"]);
            let whole = document(desired, &self.ports);
            if let Some(pause) = what["write"]["manner"]["torn"]["pause"].as_u64() {
                // As an editor does it that writes in place: empty, the beginning, all of it.
                let (file, text) = (gateway.dir.path().join("dynamic.yaml"), whole.to_string());
                for end in [0, text.len() / 3] {
                    fs::write(&file, &text[..end]).expect("the test's own file");
                    thread::sleep(Duration::from_millis(pause));
                }
                fs::write(&file, text).expect("the test's own file");
            } else {
                gateway.configure(&whole);
            }
        }
    }

    fn arrivals(&self) -> BTreeMap<u64, usize> {
        let (running, gone) = (self.running.lock().expect("nobody panicked"), self.gone.lock().expect("nobody panicked"));
        let mut arrivals = BTreeMap::new();
        for head in running.values().chain(gone.iter()).flat_map(Server::seen) {
            if let Some(id) = head.field("x-request").and_then(|id| id.parse().ok()) {
                *arrivals.entry(id).or_default() += 1;
            }
        }
        arrivals
    }
}

fn answer(exchange: &mut Exchange<'_>, index: usize, think: (u64, u64), body: usize) -> std::io::Result<After> {
    exchange.body()?;
    let id = exchange.head.field("x-request").unwrap_or_default().to_owned();
    let spread = id.parse::<u64>().unwrap_or_default() % (think.1 - think.0 + 1);
    thread::sleep(Duration::from_millis(think.0 + spread));
    exchange.reply(200, &format!("X-Server: {index}\r\nX-Request: {id}\r\n"), &".".repeat(body))?;
    Ok(After::Keep)
}

/// Takes a write over: by service its generation and its servers.
fn note(desired: &mut BTreeMap<u64, (u64, Vec<usize>)>, write: &Value) {
    for unit in list(&write["units"]) {
        let service = number(&unit["service"]);
        match unit["servers"].as_array() {
            Some(servers) => {
                let servers = servers.iter().map(|server| number(server) as usize).collect();
                desired.insert(service, (number(&write["generation"]), servers));
            }
            None => drop(desired.remove(&service)),
        }
    }
}

fn document(desired: &BTreeMap<u64, (u64, Vec<usize>)>, ports: &[u16]) -> Value {
    let (mut routers, mut services) = (Map::new(), Map::new());
    for (service, (_, servers)) in desired {
        let name = format!("s{service}");
        routers.insert(name.clone(), json!({ "rule": format!("Host(`{name}.test`)"), "service": name, "entryPoints": ["web"] }));
        let urls: Vec<_> = servers.iter().map(|server| format!("http://127.0.0.1:{}", ports[*server])).collect();
        services.insert(name, crate::gateway::balancer(&urls));
    }
    if routers.is_empty() { json!({ "http": {} }) } else { json!({ "http": { "routers": routers, "services": services } }) }
}

/// The same plan in the simulated world, by what its trace says of each request.
///
/// # Panics
/// The simulator does not run, or an oracle objects.
pub fn simulated(plan: &Path) -> Outcome {
    let trace = std::env::temp_dir().join(format!(
        "fairlead-opinion-{}-{}",
        std::process::id(),
        plan.file_stem().unwrap_or_default().to_string_lossy()
    ));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .current_dir(crate::process::root())
        .args(["sim", "replay"])
        .arg(plan)
        .arg("--trace")
        .arg(&trace)
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}: the simulated run failed:\n{said}", plan.display());
    let text = fs::read_to_string(&trace).expect("the simulator wrote its trace");
    fs::remove_file(&trace).expect("the trace is ours");
    told(&text)
}

/// Reads a trace: `12.345678 client-0   got 100001 200 by server 2 under Some(1)`.
fn told(trace: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in trace.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, node, what, id, rest @ ..] = &words[..] else { continue };
        let Some(id) = id.trim_end_matches(':').parse::<u64>().ok() else { continue };
        let client = node.starts_with("client-");
        let ended = match (*what, rest) {
            ("got", [status, "by", "server", server, ..]) if client => {
                Ended::Answered { status: parsed(status), server: parsed(server) }
            }
            ("got", [status, "by", reason, ..]) if client => {
                Ended::Invented { status: parsed(status), reason: (*reason).to_owned() }
            }
            ("lost", _) if client => Ended::Lost,
            ("leaves", _) if client => Ended::Left,
            ("got", _) if node.starts_with("server-") => {
                *outcome.arrivals.entry(id).or_default() += 1;
                continue;
            }
            _ => continue,
        };
        outcome.ended.insert(id, ended);
    }
    outcome
}

fn parsed<T: std::str::FromStr + Default>(word: &str) -> T {
    word.parse().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn until(begin: Instant, at: u64) {
    thread::sleep((begin + Duration::from_millis(at)).saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_how_requests_ended() {
        let outcome = told(
            "    0.1 client-0   asks 100000 GET s0 0\n    0.1 server-1   got 100000\n    0.2 client-0   got 100000 200 by server 1 under Some(1)\n    \
             0.3 client-0   got 100001 503 by no_server under None\n    0.4 client-1   lost 200000: reset\n    0.5 client-1   leaves 200001\n",
        );
        assert_eq!(outcome.ended[&100_000], Ended::Answered { status: 200, server: 1 });
        assert_eq!(outcome.ended[&100_001], Ended::Invented { status: 503, reason: "no_server".into() });
        assert_eq!((&outcome.ended[&200_000], &outcome.ended[&200_001]), (&Ended::Lost, &Ended::Left));
        assert_eq!(outcome.arrivals, BTreeMap::from([(100_000, 1)]));
    }
}
