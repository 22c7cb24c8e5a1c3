//! `fairlead check`: everything that `run` would refuse, without serving.

use super::{Exit, Outcome, load};
use fairlead_core::config::{Severity, resolve};
use std::process::ExitCode;

/// Prints every rejection; the exit code is 0 when there is none.
///
/// # Errors
/// The static configuration is unusable, or a provider cannot be asked.
pub fn check(arguments: &[String]) -> Outcome {
    let arguments: Vec<String> = arguments.iter().filter(|argument| *argument != "--once").cloned().collect();
    let (config, mut rejections) = load::load(&arguments)?;
    let (raws, more) = super::runtime()?.block_on(load::ask_providers(&config))?;
    rejections.extend(more);
    let (dynamic, more) = resolve(&raws, &config, None);
    rejections.extend(more);
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
