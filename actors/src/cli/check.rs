//! `fairlead check`: everything that `run` would refuse, without serving; with `--once`, also what it would serve.

mod table;

use super::{Exit, Outcome, load};
use fairlead_actors::{compose, pem};
use fairlead_core::config::{Config, Rejection, Severity, StaticConfig, dynamic::Certificate, resolve};
use fairlead_net::{
    clock,
    tls::{self, UnixTime},
};
use std::{process::ExitCode, time::Duration};

/// What was asked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    /// Ask these providers only; empty: all that are configured.
    providers: Vec<String>,
    /// Print what would be served.
    shows: bool,
    /// The configuration of the gateway.
    flags: Vec<String>,
}

/// Prints every rejection, and what would be served if that was asked for; the exit code is 0 when nothing is refused.
///
/// # Errors
/// The static configuration is unusable, or a provider cannot be asked.
pub fn check(arguments: &[String]) -> Outcome {
    let question = Question::parse(arguments)?;
    let (config, mut rejections) = configuration(&question)?;
    let runtime = super::runtime()?;
    let (raws, more) = runtime.block_on(load::ask_providers(&config, &question.providers))?;
    rejections.extend(more);
    let (dynamic, more) = resolve(&raws, &config, None);
    rejections.extend(more);
    rejections.extend(runtime.block_on(certificates(&dynamic)));
    if question.shows {
        println!("{}\n{}", table::routers(&dynamic), table::servers(&dynamic));
    }
    for rejection in &rejections {
        let word = if rejection.severity == Severity::Error { "error" } else { "warning" };
        println!("{word}: {rejection}");
    }
    let errors = rejections.iter().filter(|rejection| rejection.severity == Severity::Error).count();
    println!(
        "{} routers, {} services, {} middlewares; {errors} rejected, {} warnings",
        dynamic.routers.len() + dynamic.tcp.routers.len(),
        dynamic.services.len() + dynamic.tcp.services.len(),
        dynamic.middlewares.len() + dynamic.tcp.middlewares.len(),
        rejections.len() - errors
    );
    if errors == 0 { Ok(ExitCode::SUCCESS) } else { Err(Exit::failed(format!("{errors} units would not be served"))) }
}

impl Question {
    fn parse(arguments: &[String]) -> Result<Self, Exit> {
        let mut question = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, value) = argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
            match name {
                "--once" => question.shows = true,
                "--provider" => {
                    let value = value.map(str::to_owned).or_else(|| rest.next().cloned()).unwrap_or_default();
                    question.shows = true;
                    question.providers.extend(value.split(',').map(|name| name.trim().to_ascii_lowercase()));
                    if question.providers.iter().any(|name| name.is_empty() || name.starts_with('-')) {
                        return Err(Exit::usage("--provider needs the name of a provider, as in --provider swarm,file"));
                    }
                }
                _ => question.flags.push(argument.clone()),
            }
        }
        Ok(question)
    }
}

/// The static configuration. A provider that is asked and not configured is switched on with its defaults.
fn configuration(question: &Question) -> Result<(StaticConfig, Vec<Rejection>), Exit> {
    let absent = |config: &StaticConfig| {
        let known = compose::providers(config);
        question.providers.iter().filter(|name| !known.iter().any(|(known, _)| known == *name)).cloned().collect::<Vec<_>>()
    };
    let (config, rejections) = load::load(&question.flags)?;
    let missing = absent(&config);
    if missing.is_empty() {
        return Ok((config, rejections));
    }
    let mut flags = question.flags.clone();
    flags.extend(missing.iter().map(|name| format!("--providers.{name}=true")));
    let (config, rejections) = load::load(&flags)?;
    match absent(&config).first() {
        None => Ok((config, rejections)),
        Some(name) => Err(Exit::usage(format!("--provider {name}: that provider cannot be asked"))),
    }
}

/// Certificates that could not be installed.
async fn certificates(config: &Config) -> Vec<Rejection> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(clock::unix_seconds(clock::now())));
    let mut rejections = Vec::new();
    for wanted in config.tls.certificates.iter().chain(&config.tls.default_certificate) {
        if let Err(message) = read(wanted, now).await {
            let remedy = "mend or mount the file".to_owned();
            rejections.push(Rejection {
                severity: Severity::Error,
                source: wanted.source.clone(),
                key: "tls".into(),
                message,
                remedy,
            });
        }
    }
    rejections
}

async fn read(wanted: &Certificate, now: UnixTime) -> Result<(), String> {
    let (chain, key) = (pem(&wanted.cert).await?, pem(&wanted.key).await?);
    tls::Certificate::from_pem(&chain, &key, now).map(drop).map_err(|e| e.to_string())
}
