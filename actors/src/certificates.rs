//! The actor Certificates: certificate files made into TLS configurations, again whenever a file changes.
//!
//! Owns the watch on files, and what was loaded from them in [`Kept`], which outlives it. A file that cannot be used leaves the last
//! good state of that certificate in force. Supervised by the Supervisor; after a panic it has the Router ask for
//! everything anew.
//!
//! Never: serves a handshake, or replaces a certificate by a self-made one while the operator's own is merely broken.

use crate::{gateway::Directory, router, transport::pem, worker::Shared};
use fairlead_core::{
    Name,
    config::{
        Rejection, Severity,
        dynamic::{Certificate, Tls, TlsOptions},
    },
};
use fairlead_net::{
    clock, fs,
    task::{self, Owned},
    time::{self, Duration},
    tls::{self, CertificateStore, ClientAuth, ClientAuthMode, Pem, ServerConfig, ServerOptions, UnixTime},
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::SystemTime};

/// The actor.
pub struct Certificates;

/// What the actor is told.
pub enum Msg {
    /// Make configurations of this.
    Load(Tls, RpcReplyPort<Loaded>),
    /// A file has changed.
    Changed,
    /// Time has passed.
    Look,
    /// Fail, for tests of supervision.
    #[cfg(any(test, madsim))]
    Crash,
}

/// What came of loading.
#[derive(Clone, Default)]
pub struct Loaded {
    /// By name of TLS options; `None` where they are broken, so that handshakes fail closed.
    pub table: BTreeMap<Name, Option<Arc<ServerConfig>>>,
    pub rejections: Vec<Rejection>,
}

/// What the actor is started with.
pub struct Arguments {
    pub shared: Arc<Shared>,
    pub directory: Arc<Directory>,
}

/// What was loaded: survives the actor.
#[derive(Default)]
pub struct Kept(tokio::sync::Mutex<Loading>);

/// See [`Kept`].
#[derive(Default)]
struct Loading {
    /// The last good version of each certificate, by its two texts.
    good: BTreeMap<(String, String), Arc<tls::Certificate>>,
    /// Made once: a new one at each change would break the clients that accepted it.
    self_signed: Option<Arc<tls::Certificate>>,
    /// Configurations by options, so that tickets stay valid over a change of certificates.
    configs: BTreeMap<Name, (TlsOptions, Arc<ServerConfig>)>,
    /// Files that could not be read the last time.
    unread: Vec<String>,
}

/// See [`Certificates`].
pub struct State {
    arguments: Arguments,
    watch: Option<Owned<()>>,
    /// When files were last loaded, by both clocks.
    loaded: Option<(time::Instant, SystemTime)>,
}

/// How often is looked whether what no watch tells of has changed: a disk that can be read again, a clock that was set.
const LOOK: Duration = Duration::from_secs(10);

/// What a clock may differ by without having been set.
const DRIFT: Duration = Duration::from_secs(5);

impl Actor for Certificates {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, me: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        arguments.directory.set_certificates(me.clone());
        // Nobody has watched the files since the one before this actor ended.
        if let Some(router) = arguments.directory.router() {
            router.cast(router::Msg::Certificates).ok();
        }
        me.send_interval(LOOK, || Msg::Look);
        Ok(State { arguments, watch: None, loaded: None })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Load(tls, reply) => {
                // The watch begins before the look, so that no change falls between them.
                state.watch(&me, &tls);
                state.loaded = state.watch.is_some().then(|| (time::now(), clock::now()));
                let State { arguments: Arguments { shared, directory }, .. } = state;
                let loaded = directory.certificates_kept.0.lock().await.load(shared, &tls).await;
                if reply.send(loaded).is_err() {
                    tracing::debug!("nobody waits for the certificates any more");
                }
            }
            Msg::Changed => state.load_again(),
            Msg::Look if state.clock_was_set() || state.can_read_more().await => state.load_again(),
            Msg::Look => {}
            #[cfg(any(test, madsim))]
            Msg::Crash => panic!("crashed on request"),
        }
        Ok(())
    }
}

impl Loading {
    async fn load(&mut self, shared: &Shared, tls: &Tls) -> Loaded {
        let now = unix_now();
        self.unread.clear();
        let mut loaded = Loaded::default();
        let mut certificates = Vec::new();
        for certificate in &tls.certificates {
            certificates.extend(self.certificate(certificate, now, &mut loaded.rejections).await);
        }
        let default = match &tls.default_certificate {
            Some(certificate) => self.certificate(certificate, now, &mut loaded.rejections).await,
            None => None,
        };
        let default = default.or_else(|| self.self_signed(now));
        let wanted = |key: &(String, String)| {
            let named = tls.certificates.iter().chain(&tls.default_certificate);
            named.into_iter().any(|c| (&c.cert, &c.key) == (&key.0, &key.1))
        };
        self.good.retain(|key, _| wanted(key));
        shared.telemetry.certificates(certificates.iter().chain(&default).map(|c| gauge(c)).collect());
        let store = Arc::new(CertificateStore::new(&certificates, default, now));
        let default_options = Name::whole("default");
        let mut options: BTreeMap<_, _> = tls.options.iter().map(|(name, o)| (name.clone(), (**o).clone())).collect();
        options.entry(default_options).or_default();
        self.configs.retain(|name, _| options.contains_key(name));
        for (name, options) in options {
            let config = match self.config(&name, &options, &store).await {
                Ok(config) => Some(config),
                Err(message) => {
                    loaded.rejections.push(Rejection {
                        severity: Severity::Error,
                        source: format!("TLS options {name}"),
                        key: "tls.options".into(),
                        message,
                        remedy: "handshakes for hosts with these options fail until this is mended".into(),
                    });
                    None
                }
            };
            loaded.table.insert(name, config);
        }
        loaded
    }

    async fn certificate(
        &mut self,
        wanted: &Certificate,
        now: UnixTime,
        rejections: &mut Vec<Rejection>,
    ) -> Option<Arc<tls::Certificate>> {
        let key = (wanted.cert.clone(), wanted.key.clone());
        if planted!("rotation_ignored")
            && let Some(known) = self.good.get(&key)
        {
            return Some(known.clone());
        }
        let read = async {
            let (chain, secret) = (self.read(&wanted.cert).await?, self.read(&wanted.key).await?);
            tls::Certificate::from_pem(&chain, &secret, now).map_err(|e| e.to_string())
        };
        match read.await {
            Ok(certificate) => {
                let certificate = Arc::new(certificate);
                self.good.insert(key, certificate.clone());
                Some(certificate)
            }
            Err(message) => {
                let last = self.good.get(&key).cloned();
                rejections.push(Rejection {
                    severity: if last.is_some() { Severity::Warning } else { Severity::Error },
                    source: wanted.source.clone(),
                    key: "tls.certificates".into(),
                    message,
                    remedy: match last {
                        Some(_) => "the certificate loaded before stays in use".into(),
                        None => "it is not installed; mend the file and it is loaded without a restart".into(),
                    },
                });
                last
            }
        }
    }

    /// PEM text as [`pem`] finds it; files that cannot be read are remembered.
    async fn read(&mut self, text: &str) -> Result<Pem, String> {
        let found = pem(text).await;
        if found.is_err() {
            self.unread.push(text.to_owned());
        }
        found
    }

    fn self_signed(&mut self, now: UnixTime) -> Option<Arc<tls::Certificate>> {
        if self.self_signed.is_none() {
            match tls::self_signed_default(now) {
                Ok(certificate) => self.self_signed = Some(Arc::new(certificate)),
                Err(e) => tracing::error!(error = %e, "no default certificate could be made"),
            }
        }
        self.self_signed.clone()
    }

    async fn config(
        &mut self,
        name: &Name,
        options: &TlsOptions,
        store: &Arc<CertificateStore>,
    ) -> Result<Arc<ServerConfig>, String> {
        let mut server = ServerOptions {
            min_version: options.min_version.clone(),
            max_version: options.max_version.clone(),
            cipher_suites: options.cipher_suites.clone(),
            curve_preferences: options.curve_preferences.clone(),
            alpn: if options.alpn_protocols.is_empty() {
                vec!["h2".into(), "http/1.1".into()]
            } else {
                options.alpn_protocols.clone()
            },
            sni_strict: options.sni_strict,
            session_tickets: !options.disable_session_tickets,
            ..ServerOptions::default()
        };
        if let Some(auth) = &options.client_auth {
            let mut cas = Vec::new();
            for file in &auth.ca_files {
                cas.push(self.read(file).await?);
            }
            let mode = client_auth_mode(&auth.mode)?;
            server.client_auth = Some(ClientAuth { cas, mode });
        }
        let config = match self.configs.get(name) {
            // Client authorities may have changed on disk: only configurations without any are carried over.
            Some((known, config)) if known == options && options.client_auth.is_none() => {
                tls::with_certificates(config, &server, store.clone())
            }
            _ => tls::server_config(&server, store.clone()).map_err(|e| e.to_string())?,
        };
        self.configs.insert(name.clone(), (options.clone(), config.clone()));
        Ok(config)
    }
}

impl State {
    fn load_again(&self) {
        if let Some(router) = self.arguments.directory.router() {
            // A Router that has failed loads them when it begins again.
            router.cast(router::Msg::Certificates).ok();
        }
    }

    /// Whether the wall clock was set since files were loaded: what counted as expired may not be.
    fn clock_was_set(&self) -> bool {
        let Some((then, wall)) = self.loaded else { return false };
        let passed = time::now().saturating_duration_since(then);
        let shown = clock::now().duration_since(wall);
        // Behind where it was: it was set back.
        shown.map_or(true, |shown| shown.abs_diff(passed) > DRIFT)
    }

    /// Whether a file can be read that could not be.
    async fn can_read_more(&self) -> bool {
        let unread = self.arguments.directory.certificates_kept.0.lock().await.unread.clone();
        for file in unread {
            if pem(&file).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Watches every file that was named. A watch that fails is begun again.
    fn watch(&mut self, me: &ActorRef<Msg>, tls: &Tls) {
        let named = tls.certificates.iter().chain(&tls.default_certificate).flat_map(|c| [&c.cert, &c.key]);
        let authorities = tls.options.values().filter_map(|o| o.client_auth.as_ref()).flat_map(|auth| &auth.ca_files);
        let files: Vec<PathBuf> =
            named.chain(authorities).filter(|text| !text.contains("-----BEGIN")).map(PathBuf::from).collect();
        if files.is_empty() {
            self.watch = None;
            return;
        }
        let me = me.clone();
        let mut begun = Some(fs::watch(&files));
        let watching = async move {
            loop {
                let failed = match begun.take().unwrap_or_else(|| fs::watch(&files)) {
                    Ok(mut watcher) => loop {
                        match watcher.changed().await {
                            Ok(()) => me.cast(Msg::Changed).ok(),
                            Err(e) => break e,
                        };
                    },
                    Err(e) => e,
                };
                tracing::warn!(error = %failed, "certificate files are not watched for now");
                time::sleep(Duration::from_secs(5)).await;
            }
        };
        self.watch = Some(task::spawn(watching).owned());
    }
}

fn client_auth_mode(name: &str) -> Result<ClientAuthMode, String> {
    match name {
        "RequestClientCert" => Ok(ClientAuthMode::Request),
        "RequireAnyClientCert" => Ok(ClientAuthMode::RequireAny),
        "VerifyClientCertIfGiven" => Ok(ClientAuthMode::VerifyIfGiven),
        "RequireAndVerifyClientCert" => Ok(ClientAuthMode::RequireAndVerify),
        other => Err(format!("clientAuthType is {other}, and must be one of Traefik's four that ask for a certificate")),
    }
}

fn unix_now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(clock::now())))
}

fn gauge(certificate: &tls::Certificate) -> crate::telemetry::CertificateGauge {
    crate::telemetry::CertificateGauge {
        common_name: certificate.names().first().cloned().unwrap_or_default(),
        serial: certificate.serial().to_owned(),
        sans: certificate.names().join(","),
        not_after: certificate.not_after() as i64,
    }
}
