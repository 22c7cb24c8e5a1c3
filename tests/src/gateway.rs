//! The gateway under test: the built binary, with a directory and ports of its own.

use crate::{
    dir::Dir,
    free_port,
    http::{self, Connection, Response},
    process::{self, Process},
    wait,
};
use serde_json::{Map, Value, json};
use std::process::Command;

/// How a gateway is to be started.
pub struct Setup {
    dir: Dir,
    config: Map<String, Value>,
    dynamic: Option<Value>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// A running gateway. Killed with the handle.
pub struct Gateway {
    pub process: Process,
    pub dir: Dir,
    config: Map<String, Value>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// An entry point `web`, the administration on `traefik`, two workers, and the log at level INFO.
    pub fn new() -> Self {
        let config = json!({
            "entryPoints": {
                "traefik": { "address": format!("127.0.0.1:{}", free_port()) },
            },
            "api": { "insecure": true },
            "ping": {},
            "log": { "level": "INFO" },
            "fairlead": { "workers": 2, "reasonHeader": "X-Fairlead-Reason" },
        });
        let Value::Object(config) = config else { unreachable!("written above") };
        let setup = Self { dir: Dir::new(), config, dynamic: None, arguments: Vec::new(), environment: Vec::new() };
        setup.entry_point("web", json!({}))
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// An entry point on a free port, with more options, in place of one of that name.
    pub fn entry_point(mut self, name: &str, options: Value) -> Self {
        let mut options = options;
        options["address"] = json!(format!("127.0.0.1:{}", free_port()));
        self.config["entryPoints"][name] = options;
        self
    }

    /// A section of the static configuration.
    pub fn section(mut self, name: &str, value: Value) -> Self {
        match (self.config.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => {
                self.config.insert(name.to_owned(), value);
            }
        }
        self
    }

    /// The dynamic configuration, by a watched file.
    pub fn dynamic(mut self, value: Value) -> Self {
        self.dynamic = Some(value);
        self
    }

    /// A command-line argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// An environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the files and starts the binary, without waiting for anything.
    pub fn spawn(mut self) -> Gateway {
        if let Some(dynamic) = &self.dynamic {
            let path = self.dir.put("dynamic.yaml", &dynamic.to_string());
            self = self.section("providers", json!({ "file": { "filename": path, "watch": true } }));
        }
        // JSON is YAML.
        let path = self.dir.put("fairlead.yaml", &Value::Object(self.config.clone()).to_string());
        let mut command = Command::new(process::fairlead());
        command.args(["run", "--configFile", &path]).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::start(&mut command, &self.dir.path().join("log"));
        Gateway { process, dir: self.dir, config: self.config }
    }

    /// Starts the binary and waits until it is ready.
    ///
    /// # Panics
    /// It ends, or is not ready in time.
    pub fn start(self) -> Gateway {
        let mut gateway = self.spawn();
        let admin = gateway.port("traefik");
        wait::eventually("the gateway is ready", || {
            if let Some(status) = gateway.process.ended() {
                panic!("the gateway ended: {status}\n{}", gateway.process.output());
            }
            let mut connection = Connection::try_open(admin).map_err(|e| e.to_string())?;
            connection.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = connection.try_answer("GET").map_err(|e| e.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
        gateway
    }
}

impl Gateway {
    /// With one router for every path and host on `web`, over these servers.
    pub fn over(servers: &[&crate::Server]) -> Self {
        Setup::new().dynamic(routes(&[("all", "PathPrefix(`/`)", servers)])).start()
    }

    /// Where an entry point listens.
    ///
    /// # Panics
    /// There is no such entry point.
    pub fn port(&self, entry_point: &str) -> u16 {
        let address = self.config["entryPoints"][entry_point]["address"].as_str();
        let port = address.and_then(|a| a.rsplit(':').next()).and_then(|p| p.parse().ok());
        port.unwrap_or_else(|| panic!("no entry point {entry_point}"))
    }

    /// Where `web` listens.
    pub fn web(&self) -> u16 {
        self.port("web")
    }

    /// A GET on `web`.
    pub fn get(&self, path: &str) -> Response {
        http::get(self.web(), path)
    }

    /// A connection to `web`.
    pub fn connect(&self) -> Connection {
        Connection::open(self.web())
    }

    /// A GET on the administration API, as JSON.
    pub fn api(&self, path: &str) -> Value {
        http::get(self.port("traefik"), path).json()
    }

    /// Replaces the dynamic configuration.
    pub fn configure(&self, value: &Value) {
        self.dir.put("dynamic.yaml", &value.to_string());
    }

    /// Replaces the dynamic configuration and waits until a request shows it.
    pub fn configure_until(&self, value: &Value, what: &str, shown: impl FnMut() -> bool) {
        self.configure(value);
        wait::until(what, shown);
    }

    /// A sample of `/metrics`, summed over the series whose labels hold all of these texts; 0 if there is none.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = http::get(self.port("traefik"), "/metrics").text();
        let series = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && labels.iter().all(|l| line.contains(l))
        });
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(6000).map_or(0, |(at, _)| at);
            eprintln!("--- the gateway's log ends so:\n{}\n---", &log[from..]);
        }
    }
}

/// Routers with a rule and a load balancer each, all on `web`.
pub fn routes(routes: &[(&str, &str, &[&crate::Server])]) -> Value {
    let mut http = json!({ "routers": {}, "services": {} });
    for (name, rule, servers) in routes {
        let urls: Vec<_> = servers.iter().map(|server| server.url()).collect();
        http["routers"][name] = json!({ "rule": rule, "service": name, "entryPoints": ["web"] });
        http["services"][name] = balancer(&urls);
    }
    json!({ "http": http })
}

/// A load balancer over URLs.
pub fn balancer(urls: &[String]) -> Value {
    let servers: Vec<_> = urls.iter().map(|url| json!({ "url": url })).collect();
    json!({ "loadBalancer": { "servers": servers } })
}
