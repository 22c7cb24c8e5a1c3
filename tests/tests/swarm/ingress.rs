//! Fairlead as a service: entry points and administration published by the node, the engine behind a socket that only reads.

use fairlead_tests::{
    Connection, Response, Swarm, http,
    swarm::{Asked, Service},
    wait,
};
use serde_json::Value;
use std::{sync::OnceLock, time::Duration};

/// How long a change may take to be served where nobody measures it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway of one task.
pub struct Ingress {
    swarm: &'static Swarm,
    service: Service<'static>,
    pub web: u16,
    pub secure: u16,
    admin: u16,
}

/// What a gateway is to be started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    pub name: &'a str,
    /// The first of three ports that it publishes.
    pub port: u16,
    pub networks: &'a [&'a str],
    pub secrets: &'a [&'a str],
    pub flags: &'a [&'a str],
    /// It gets no events, and has nothing but its own looking.
    pub silent: bool,
}

impl Ingress {
    /// The gateway that most tests share: on the networks `front` and `other`.
    pub fn shared(swarm: &'static Swarm) -> &'static Self {
        static SHARED: OnceLock<Ingress> = OnceLock::new();
        SHARED.get_or_init(|| {
            Self::start(swarm, Wanted { name: "fairlead", port: 18_100, networks: &["front", "other"], ..Wanted::default() })
        })
    }

    /// A gateway, when it is ready.
    pub fn start(swarm: &'static Swarm, wanted: Wanted<'_>) -> Self {
        swarm.image_of_fairlead();
        let (web, secure, admin) = (wanted.port, wanted.port + 1, wanted.port + 2);
        let publish = [(web, 8080), (secure, 8443), (admin, 8081)].map(|(p, t)| format!("mode=host,target={t},published={p}"));
        let folder = if wanted.silent { Swarm::silent_folder() } else { Swarm::proxy_folder() };
        let socket = format!("type=bind,source={folder},target=/run/docker");
        let mut options = vec!["--mount", &socket];
        publish.iter().for_each(|published| options.extend(["--publish", published]));
        for network in wanted.networks {
            swarm.network(network);
            options.extend(["--network", network]);
        }
        wanted.secrets.iter().for_each(|secret| options.extend(["--secret", secret]));
        let mut command = vec![
            "fairlead:test",
            "--entryPoints.web.address=:8080",
            "--entryPoints.websecure.address=:8443",
            "--entryPoints.traefik.address=:8081",
            "--api.insecure",
            "--ping",
            "--providers.swarm.endpoint=unix:///run/docker/docker.sock",
            "--fairlead.workers=2",
            "--fairlead.reasonHeader=X-Fairlead-Reason",
        ];
        command.extend(wanted.flags);
        let service = swarm.service(wanted.name, &options, &command);
        let ingress = Self { swarm, service, web, secure, admin };
        let telling = ingress.telling();
        service_ready(&ingress);
        drop(telling);
        ingress
    }

    /// A GET on `web`.
    pub fn get(&self, host: &str, path: &str) -> Response {
        http::get_host(self.web, host, path)
    }

    /// Waits until a GET is answered as wanted.
    pub fn until(&self, what: &str, host: &str, path: &str, wanted: impl Fn(&Response) -> bool) -> Response {
        wait::within(PATIENCE, what, || {
            let answer = self.get(host, path);
            if wanted(&answer) { Ok(answer) } else { Err((answer.status, answer.text())) }
        })
    }

    /// Waits until a host is served with 200.
    pub fn until_served(&self, host: &str) -> Response {
        self.until(&format!("{host} is served"), host, "/", |answer| answer.status == 200)
    }

    /// Waits until requests for a host are answered by so many instances.
    pub fn until_served_by(&self, host: &str, instances: usize) {
        wait::within(PATIENCE, &format!("{host} is served by {instances}"), || {
            let answers: Vec<_> = (0..instances * 4).map(|_| self.get(host, "/")).collect();
            let failed = answers.iter().find(|answer| answer.status != 200);
            let mut names: Vec<_> = answers.iter().filter_map(|answer| answer.line("Hostname")).collect();
            names.sort_unstable();
            names.dedup();
            if failed.is_none() && names.len() == instances { Ok(()) } else { Err((names, failed.map(Response::text))) }
        });
    }

    /// A GET on the administration API, as JSON.
    pub fn api(&self, path: &str) -> Value {
        http::get(self.admin, path).json()
    }

    /// Every rejection that names all of these texts.
    pub fn rejections(&self, texts: &[&str]) -> Vec<String> {
        let status = self.api("/api/fairlead/status");
        let all = status["rejections"].as_array().cloned().unwrap_or_default();
        let words = all.iter().map(Value::to_string);
        words.filter(|rejection| texts.iter().all(|text| rejection.contains(text))).collect()
    }

    /// What was asked of the engine other than to read.
    pub fn refused(&self) -> Vec<Asked> {
        [self.swarm.proxy.refused(), self.swarm.silent.refused()].concat()
    }

    /// The gateway's log is shown should the test fail while this is held.
    pub fn telling(&self) -> Telling<'_> {
        Telling(self)
    }
}

/// See [`Ingress::telling`].
pub struct Telling<'a>(&'a Ingress);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Ingress { service, swarm, .. } = self.0;
            let tasks = swarm.attempt(&["service", "ps", "--no-trunc", &service.name]);
            eprintln!("--- {}\n{}\n{}---", service.name, String::from_utf8_lossy(&tasks.stdout), service.log());
        }
    }
}

fn service_ready(ingress: &Ingress) {
    ingress.service.settle(1);
    wait::within(PATIENCE, "the gateway is ready", || {
        let mut connection = Connection::try_open(ingress.admin).map_err(|e| e.to_string())?;
        connection.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = connection.try_answer("GET").map_err(|e| e.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    });
}
