//! The entry point with TLS: certificates made for a run, files that hold them, and clients that ask for names.
//!
//! Keys are not seeded, and nothing that follows from their bytes is written down: certificates are told by their numbers.

use super::{Machine, World, gateway};
use crate::{
    fault::{Fault, Phase},
    oracle::{
        Oracle, Verdict, broken,
        certificates::{Certificates, Facts, Id, Shown},
        lifecycle::Connection,
    },
    plan::{
        Plan,
        tls::{Change, Manner, Tls, Validity, Visit},
    },
};
use fairlead_net::{
    clock,
    sim::HostId,
    tcp::Stream,
    time::{Duration, sleep, sleep_until, timeout},
    tls::{self, ClientOptions},
};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use std::{sync::Arc, time::SystemTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a client waits for a handshake: descriptors may be out, and packets are repeated.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the head of this file.
pub(super) struct Secure {
    visitor: Machine,
    /// One per gateway.
    pub(super) judges: Vec<Mutex<Certificates>>,
    made: Mutex<Vec<Material>>,
    /// The true time at which times of the world begin.
    zero: SystemTime,
}

#[derive(Clone)]
struct Material {
    der: Vec<u8>,
    chain: String,
    key: String,
}

impl Secure {
    pub(super) fn new(plan: &Plan, machine: impl Fn(String, &[&str]) -> Machine) -> Option<Self> {
        let tls = plan.tls.as_ref()?;
        let zero = clock::now();
        let facts = |file: &crate::plan::tls::File| facts(&file.names, file.first, 0);
        let files: Vec<_> = tls.files.iter().enumerate().map(|(id, file)| (id, facts(file), file.names.is_empty())).collect();
        Some(Self {
            visitor: machine("visitor".into(), &["10.2.250.1"]),
            judges: (0..plan.gateway.count).map(|_| Mutex::new(Certificates::new(tls.strict, &files))).collect(),
            made: Mutex::new(tls.files.iter().map(|file| make(&file.names, file.first, zero)).collect()),
            zero,
        })
    }
}

/// Times of a plan count from the gateways' readiness, `ready` milliseconds after the world began.
fn facts(names: &[String], validity: Validity, ready: u64) -> Facts {
    let at = |seconds: i64| seconds * 1_000 + ready as i64;
    Facts { names: names.to_vec(), from: at(validity.from), until: at(validity.until) }
}

fn make(names: &[String], validity: Validity, from: SystemTime) -> Material {
    let named = if names.is_empty() { vec!["default.test".to_owned()] } else { names.to_vec() };
    let mut params = CertificateParams::new(named).expect("names of the world are names");
    // Without it, one certificate in many is a byte shorter than the others.
    params.serial_number = Some(7u64.into());
    let at = |seconds: i64| {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { from - by } else { from + by }
    };
    (params.not_before, params.not_after) = (at(validity.from).into(), at(validity.until).into());
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    Material { der: certificate.der().to_vec(), chain: certificate.pem(), key: key.serialize_pem() }
}

fn chain_file(file: usize) -> String {
    format!("/etc/fairlead/tls/{file}.pem")
}

fn key_file(file: usize) -> String {
    format!("/etc/fairlead/tls/{file}.key")
}

/// What the configuration file says of TLS.
pub(super) fn section(tls: &Tls) -> String {
    let pair = |file: usize, indent: &str| format!("certFile: {}\n{indent}keyFile: {}\n", chain_file(file), key_file(file));
    let named = tls.files.iter().enumerate().filter(|(_, file)| !file.names.is_empty());
    let mut text = String::from("tls:\n");
    let listed: String = named.map(|(file, _)| format!("    - {}", pair(file, "      "))).collect();
    if !listed.is_empty() {
        text += &format!("  certificates:\n{listed}");
    }
    if let Some(default) = tls.files.iter().position(|file| file.names.is_empty()) {
        text += &format!("  stores:\n    default:\n      defaultCertificate:\n        {}", pair(default, "        "));
    }
    text + &format!("  options:\n    default:\n      sniStrict: {}\n", tls.strict)
}

impl World {
    /// The files stand before any gateway begins.
    pub(super) fn write_certificates(&self) {
        let Some(secure) = &self.secure else { return };
        for (file, material) in secure.made.lock().iter().enumerate() {
            for host in self.gateway_hosts() {
                self.net.write_file(host, chain_file(file), &material.chain);
                self.net.write_file(host, key_file(file), &material.key);
            }
        }
    }

    fn gateway_hosts(&self) -> impl Iterator<Item = HostId> {
        self.gateways.iter().map(|instance| instance.machine.host)
    }

    /// Changes of certificate files, each at its time: a certificate and its key are two files, so every one of them is written by halves.
    pub(super) async fn rotate(self: Arc<Self>) {
        let Some(tls) = &self.plan.tls else { return };
        for change in &tls.changes {
            sleep_until(self.at(change.at)).await;
            self.note("certificates", &format!("{change:?}"));
            self.strikes(Fault::Writers, Phase::Once);
            self.change_certificate(tls, change).await;
        }
    }

    /// Certificates begin to be valid, and run out, while somebody may still ask for them.
    pub(super) async fn run_out(self: Arc<Self>) {
        let Some(tls) = &self.plan.tls else { return };
        for at in tls.turns() {
            sleep_until(self.at(at)).await;
            self.strikes(Fault::Clock, Phase::Once);
        }
    }

    /// Tells the judge of a gateway's certificates.
    pub(super) fn tell_certificates(&self, gateway: usize, tell: impl FnOnce(&mut Certificates, u64)) {
        if let Some(secure) = &self.secure {
            tell(&mut secure.judges[gateway].lock(), self.now());
        }
    }

    async fn change_certificate(&self, tls: &Tls, change: &Change) {
        let Some(secure) = &self.secure else { return };
        let Change { file, manner, validity, .. } = *change;
        let ready = self.ready.get().copied().unwrap_or(0);
        let names = &tls.files[file].names;
        let new = make(names, validity, secure.zero + Duration::from_millis(ready));
        let number = secure.made.lock().len();
        secure.made.lock().push(new.clone());
        for judge in &secure.judges {
            let id = judge.lock().made(facts(names, validity, ready));
            debug_assert_eq!(id, number, "judges count as the world does");
        }
        let write = |path: String, text: &str| self.gateway_hosts().for_each(|host| self.net.write_file(host, &path, text));
        self.holds(file, None);
        match manner {
            Manner::Rotated { pause, key_first } => {
                let mut pieces = [(chain_file(file), &new.chain), (key_file(file), &new.key)];
                if key_first {
                    pieces.reverse();
                }
                let [first, second] = pieces;
                write(first.0, first.1);
                sleep(Duration::from_millis(pause)).await;
                self.holds(file, Some(number));
                write(second.0, second.1);
            }
            Manner::Mismatched => write(chain_file(file), &new.chain),
            Manner::Cut => write(chain_file(file), &new.chain[..new.chain.len() / 2]),
            Manner::Removed => {
                for path in [chain_file(file), key_file(file)] {
                    self.gateway_hosts().for_each(|host| self.net.remove_file(host, &path));
                }
            }
        }
    }

    fn holds(&self, file: usize, present: Option<Id>) {
        let Some(secure) = &self.secure else { return };
        let now = self.now();
        secure.judges.iter().for_each(|judge| judge.lock().written(now, file, present));
    }

    /// Clients that come for a handshake, each at its time.
    pub(super) async fn visit(self: Arc<Self>) {
        let (Some(tls), Some(secure)) = (&self.plan.tls, &self.secure) else { return };
        let mut visits = Vec::new();
        for (number, visit) in tls.visits.iter().enumerate() {
            let (world, visit) = (self.clone(), visit.clone());
            visits.push(secure.visitor.node.spawn(async move {
                sleep_until(world.at(visit.at)).await;
                let verdict = world.one_visit(number, &visit).await;
                world.judged(verdict);
            }));
        }
        for visit in visits {
            if visit.await.is_err() {
                self.judged(broken(Oracle::Panic, "a visitor ended before its end"));
            }
        }
    }

    async fn one_visit(&self, number: usize, visit: &Visit) -> Verdict {
        let Some(secure) = &self.secure else { return Ok(()) };
        let Visit { gateway, name, clear, .. } = visit;
        let address = std::net::SocketAddr::new(gateway::address(*gateway).ip(), gateway::SECURE_PORT);
        let (instance, began) = (&self.gateways[*gateway], self.now());
        let mut way = Connection { made_at: None, fresh: true };
        let Ok(Ok(stream)) = timeout(PATIENCE, Stream::connect(address)).await else {
            return match instance.life.lock().may_lose(self.now(), began, way) {
                true => Ok(()),
                false => broken(Oracle::Certificates, format!("visit {number}: the gateway takes no connection")),
            };
        };
        way.made_at = Some(self.now());
        let process = instance.process();
        if instance.shared().is_none() {
            // It listens, and does not say yet that it is ready.
            return Ok(());
        }
        if *clear {
            self.note("visitor", &format!("{number} asks for {name} in clear text"));
            return in_clear_text(self, stream, name).await;
        }
        let before = secure.judges[*gateway].lock().begins(self.now());
        let options = ClientOptions { insecure_skip_verify: true, alpn: vec!["http/1.1".into()], ..ClientOptions::default() };
        let config = tls::client_config(&options).expect("the world's own options");
        let shown = match timeout(PATIENCE, tls::connect(stream, &config, name)).await {
            Ok(Ok(connected)) => {
                let shown = connected.stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let made = secure.made.lock();
                let known = shown.and_then(|der| made.iter().position(|material| material.der == der.as_ref()));
                known.map_or(Shown::Stranger, Shown::Known)
            }
            // With the process a handshake ends, and one that lasts beyond its drain.
            _ if instance.process() != process || instance.life.lock().may_lose(self.now(), began, way) => return Ok(()),
            Ok(Err(_)) => Shown::Refused,
            Err(_) => return broken(Oracle::Certificates, format!("visit {number}: a handshake has no end")),
        };
        self.note("visitor", &format!("{number} asks for {name} and is shown {shown:?}"));
        self.judges_at(*gateway, Oracle::Certificates);
        secure.judges[*gateway].lock().ended(self.now(), &before, name, shown)
    }
}

/// Nothing that a server said comes back without TLS.
async fn in_clear_text(world: &World, mut stream: Stream, name: &str) -> Verdict {
    world.judges(Oracle::Certificates);
    let request = format!("GET /request/0 HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    // However it ends: what counts is what came.
    let _ended = timeout(PATIENCE, exchange).await;
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    if text.starts_with("http/1.1 2") || text.contains("x-server") {
        return broken(Oracle::Certificates, format!("{name} was answered in clear text on the port with TLS"));
    }
    Ok(())
}
