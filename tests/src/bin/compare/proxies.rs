//! Each proxy with the same work to do: HTTP/1.1 upstream with kept connections, round robin over two servers, `X-Forwarded-*`,
//! no access log. Fairlead routes, counts metrics and checks fields besides.
//!
//! A plan says what is to be started; the files below write it as each proxy wants to read it.

pub mod caddy;
pub mod fairlead;
pub mod haproxy;
pub mod nginx;

use fairlead_tests::{
    Connection,
    dir::Dir,
    free_port,
    process::{self, Process},
    tools::search_path,
    wait,
};
use serde_json::Value;
use std::{
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Fairlead once more, with 10,000 routers. It is compared where routing is most of the work.
pub const MANY_ROUTES: &str = "fairlead-10k";

/// How long a configuration of any size may take to be read.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub name: String,
    pub backends: [u16; 2],
    /// Open at once, at clients and servers together.
    pub connections: usize,
    /// Whether requests may become something else, WebSocket say.
    pub upgrades: bool,
    pub routes: Routes,
    /// More of Fairlead's static configuration.
    pub sections: Vec<(&'static str, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Haproxy,
    Caddy,
    Fairlead,
}

/// Fairlead's routers for plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// One for everything, behind so many others.
    All(usize),
    /// So many with a host and a path each, ten to a host, and no other.
    Distinct(usize),
}

/// A running proxy.
pub struct Proxy {
    pub name: String,
    pub ports: Ports,
    process: Process,
}

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// In the clear.
    pub plain: u16,
    /// A full handshake each time.
    pub tls: u16,
    /// With tickets.
    pub resuming: u16,
    /// Fairlead's administration.
    pub admin: u16,
}

/// What a configuration is written from.
pub struct Place<'a> {
    pub plan: &'a Plan,
    pub dir: &'a Dir,
    /// Names of files begin with it.
    pub tag: &'a str,
    pub ports: Ports,
}

impl Plan {
    /// One of the field.
    pub fn named(name: &str, backends: [u16; 2]) -> Self {
        let kind = match name {
            "nginx" => Kind::Nginx,
            "haproxy" => Kind::Haproxy,
            "caddy" => Kind::Caddy,
            _ => Kind::Fairlead,
        };
        let routes = Routes::All(if name == MANY_ROUTES { 10_000 } else { 1 });
        Self { kind, name: name.to_owned(), backends, connections: 8000, upgrades: false, routes, sections: Vec::new() }
    }
}

impl Routes {
    /// Host and path of a request that the last router answers.
    pub fn last(self) -> (String, String) {
        match self {
            Self::All(_) => ("localhost".to_owned(), "/".to_owned()),
            Self::Distinct(count) => Self::distinct(count.saturating_sub(1)),
        }
    }

    /// Host and path of the router of this number.
    pub fn distinct(number: usize) -> (String, String) {
        (format!("host-{}.example", number / 10), format!("/path-{}", number % 10))
    }
}

impl Proxy {
    /// Starts it on a CPU, and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    pub fn start(plan: &Plan, dir: &Dir, cpu: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let tag = format!("{}-{}", plan.name, NEXT.fetch_add(1, Ordering::Relaxed));
        let (plain, tls, admin) = (free_port(), free_port(), free_port());
        let resuming = match plan.kind {
            // One TLS port with tickets on it, as it comes: a client without a session gets a full handshake there, and a ticket.
            Kind::Caddy | Kind::Fairlead => tls,
            Kind::Nginx | Kind::Haproxy => free_port(),
        };
        let ports = Ports { plain, tls, resuming, admin };
        let place = Place { plan, dir, tag: &tag, ports };
        let words = match plan.kind {
            Kind::Nginx => words(&["nginx", "-c", &dir.put(&format!("{tag}.conf"), &nginx::conf(&place))]),
            Kind::Haproxy => words(&["haproxy", "-db", "-f", &dir.put(&format!("{tag}.cfg"), &haproxy::cfg(&place))]),
            Kind::Caddy => {
                let config = dir.put(&format!("{tag}.caddyfile"), &caddy::file(&place));
                words(&["env", "GOMAXPROCS=1", "caddy", "run", "--adapter", "caddyfile", "--config", &config])
            }
            Kind::Fairlead => fairlead_words(&fairlead::yaml(&place)),
        };
        let (host, path) = plan.routes.last();
        let process = pinned(dir, &tag, cpu, &words, (plain, &host, &path));
        Self { name: plan.name.clone(), ports, process }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Starts a proxy on one CPU, and waits until it answers a request for this host and path with 200.
///
/// # Panics
/// It does not.
pub fn pinned(dir: &Dir, tag: &str, cpu: &str, words: &[String], (port, host, path): (u16, &str, &str)) -> Process {
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]).args(words).env("PATH", search_path());
    let process = Process::start(&mut command, &dir.path().join(format!("{tag}.log")));
    wait::within(PATIENCE, &format!("{tag} answers"), || {
        let answer = Connection::try_open(port).and_then(|mut connection| {
            connection.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            connection.try_answer("GET")
        });
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.text()),
            Err(e) => Err(format!("{e}: {}", process.output())),
        }
    });
    process
}

/// The command line of Fairlead with a static configuration.
pub fn fairlead_words(config: &str) -> Vec<String> {
    words(&[&process::fairlead().display().to_string(), "run", "--configFile", config])
}

/// A command line.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
