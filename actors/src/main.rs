//! The `fairlead` binary: configuration, build, spawn, wait, drain.
//!
//! Only here and in [`cli`] is anything known of the command line, signals, log output and the allocator.

#![forbid(unsafe_code)]

mod cli;
mod otlp;

use std::process::ExitCode;

#[cfg(not(madsim))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match cli::Command::parse(&arguments) {
        Ok(cli::Command::Run(options)) => cli::run::run(&options),
        Ok(cli::Command::Check(options)) => cli::check::check(&options),
        Ok(cli::Command::Explain(options)) => cli::explain::explain(&options),
        Ok(cli::Command::Demo) => cli::demo::demo(),
        Ok(cli::Command::HealthCheck(options)) => cli::health_check::health_check(&options),
        Ok(cli::Command::Version) => cli::version(),
        Ok(cli::Command::Help) => cli::help(),
        Err(problem) => Err(cli::Exit::usage(problem)),
    };
    match outcome {
        Ok(code) => code,
        Err(exit) => exit.report(),
    }
}
