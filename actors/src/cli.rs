//! The command line: which command, with which configuration.
//!
//! A module of the binary, not of the library. Exit codes are a contract: 0 clean, 1 failed start or rejections, 2 drain deadline
//! passed, 64 unusable configuration.

pub mod check;
pub mod demo;
pub mod explain;
pub mod health_check;
pub mod load;
pub mod run;
pub mod tracing;

use fairlead_core::config::Rejection;
use std::process::ExitCode;

/// What was asked for.
pub enum Command {
    Run(Vec<String>),
    Check(Vec<String>),
    Explain(Vec<String>),
    HealthCheck(Vec<String>),
    Demo,
    Version,
    Help,
}

/// Commands with their place in the help text.
const COMMANDS: [(&str, &str); 6] = [
    ("run", "serve (the default)"),
    ("check", "validate the configuration and print every rejection; [--provider NAME,…] --once: and what would be served"),
    ("explain", "METHOD URL [-H 'Name: value']…: which router, middlewares, service and servers a request would meet"),
    ("demo", "three built-in backends behind a gateway; needs nothing else"),
    ("healthcheck", "ask a running gateway's /ping; for container health checks"),
    ("version", "print the version"),
];

impl Command {
    /// The first word that is no flag decides; without one, `run`.
    ///
    /// # Errors
    /// An unknown command, with the nearest known one.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let Some(first) = arguments.first() else { return Ok(Self::Run(Vec::new())) };
        let rest = || arguments[1..].to_vec();
        match first.as_str() {
            "run" => Ok(Self::Run(rest())),
            "check" => Ok(Self::Check(rest())),
            "explain" => Ok(Self::Explain(rest())),
            "healthcheck" => Ok(Self::HealthCheck(rest())),
            "demo" => Ok(Self::Demo),
            "version" | "--version" => Ok(Self::Version),
            "help" | "--help" | "-h" => Ok(Self::Help),
            flag if flag.starts_with('-') => Ok(Self::Run(arguments.to_vec())),
            other => {
                let near =
                    COMMANDS.iter().min_by_key(|(name, _)| strsim::levenshtein(name, other)).map_or("run", |(name, _)| name);
                Err(format!("unknown command {other}: did you mean {near}? `fairlead help` lists the commands"))
            }
        }
    }
}

/// Why the process ends unsuccessfully.
pub struct Exit {
    code: u8,
    lines: Vec<String>,
}

impl Exit {
    /// 64: what was asked or configured cannot be understood.
    pub fn usage(line: impl Into<String>) -> Self {
        Self { code: 64, lines: vec![line.into()] }
    }

    /// 64, for each thing that is wrong with the static configuration.
    pub fn unusable(rejections: &[Rejection]) -> Self {
        Self { code: 64, lines: rejections.iter().map(ToString::to_string).collect() }
    }

    /// 1: it was understood and did not work.
    pub fn failed(line: impl Into<String>) -> Self {
        Self { code: 1, lines: vec![line.into()] }
    }

    /// Tells standard error, and gives the code.
    pub fn report(self) -> ExitCode {
        for line in &self.lines {
            eprintln!("fairlead: {line}");
        }
        ExitCode::from(self.code)
    }
}

/// What a command comes to.
pub type Outcome = Result<ExitCode, Exit>;

/// Prints the version.
///
/// # Errors
/// Never; it has the shape of the other commands.
pub fn version() -> Outcome {
    println!("fairlead {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}

/// Prints the commands.
///
/// # Errors
/// Never; it has the shape of the other commands.
pub fn help() -> Outcome {
    println!("usage: fairlead [COMMAND] [--configFile FILE] [--flag=value …]\n");
    for (name, what) in COMMANDS {
        println!("  {name:12} {what}");
    }
    println!("\nFlags are Traefik v3's static configuration, as in --entryPoints.web.address=:80; so is the environment,");
    println!("as in FAIRLEAD_ENTRYPOINTS_WEB_ADDRESS=:80 (TRAEFIK_… is understood too). Flags over environment over file.");
    Ok(ExitCode::SUCCESS)
}

/// A runtime for the control plane, on this thread.
///
/// # Errors
/// The system has no more descriptors or memory.
pub fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Exit::failed(format!("the runtime could not be started: {e}")))
}
