//! `fairlead check`: everything that `run` would refuse, without serving.

use super::{Exit, Outcome, load};
use fairlead_actors::pem;
use fairlead_core::config::{Config, Rejection, Severity, dynamic::Certificate, resolve};
use fairlead_net::{
    clock,
    tls::{self, UnixTime},
};
use std::{process::ExitCode, time::Duration};

/// Prints every rejection; the exit code is 0 when there is none.
///
/// # Errors
/// The static configuration is unusable, or a provider cannot be asked.
pub fn check(arguments: &[String]) -> Outcome {
    let arguments: Vec<String> = arguments.iter().filter(|argument| *argument != "--once").cloned().collect();
    let (config, mut rejections) = load::load(&arguments)?;
    let runtime = super::runtime()?;
    let (raws, more) = runtime.block_on(load::ask_providers(&config))?;
    rejections.extend(more);
    let (dynamic, more) = resolve(&raws, &config, None);
    rejections.extend(more);
    rejections.extend(runtime.block_on(certificates(&dynamic)));
    for rejection in &rejections {
        let word = if rejection.severity == Severity::Error { "error" } else { "warning" };
        println!("{word}: {rejection}");
    }
    let errors = rejections.iter().filter(|rejection| rejection.severity == Severity::Error).count();
    println!(
        "{} routers, {} services, {} middlewares; {errors} rejected, {} warnings",
        dynamic.routers.len(),
        dynamic.services.len(),
        dynamic.middlewares.len(),
        rejections.len() - errors
    );
    if errors == 0 { Ok(ExitCode::SUCCESS) } else { Err(Exit::failed(format!("{errors} units would not be served"))) }
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
