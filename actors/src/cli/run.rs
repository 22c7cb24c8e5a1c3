//! `fairlead run`: serve until told to stop.

use super::{Exit, Outcome, load, tracing as spans_of};
use fairlead_actors::{
    compose,
    gateway::{Gateway, Options},
    telemetry::{FileSink, LogSink, Reopen, StdoutSink, Telemetry, write_logs},
};
use fairlead_core::{
    config::static_::{Level, StaticConfig},
    drain,
};
use fairlead_net::{memory, random, task, time};
use std::{process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Serves.
///
/// # Errors
/// The configuration is unusable, or a port cannot be bound.
pub fn run(arguments: &[String]) -> Outcome {
    let (config, warnings) = load::load(arguments)?;
    start_log(&config)?;
    for warning in &warnings {
        tracing::warn!("configuration: {warning}");
    }
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(serve(config));
    runtime.shutdown_background();
    outcome
}

/// Builds, spawns, waits, drains.
///
/// # Errors
/// A port cannot be bound, or a thread not started.
pub async fn serve(config: StaticConfig) -> Outcome {
    let workers = config.workers.unwrap_or_else(task::available_cpus).max(1);
    let telemetry = Telemetry::new(compose::telemetry(&config, workers, random::u64()));
    let logs = start_access_log(&config, &telemetry)?;
    let spans = spans_of::start(&config, &telemetry).await?;
    let mut signals = Signals::new().map_err(|e| Exit::failed(format!("signals cannot be received: {e}")))?;
    let options = Options {
        providers: compose::providers(&config),
        telemetry: telemetry.clone(),
        workers,
        // One worker on a machine with several CPUs is left to the scheduler.
        pin: workers > 1 && workers == task::available_cpus(),
        host_name: host_name(),
        config,
    };
    let gateway = tokio::select! {
        biased;
        started = Gateway::start(options) => started.map_err(|e| Exit::failed(e.to_string()))?,
        () = signals.terminate() => return Ok(ExitCode::SUCCESS),
    };
    let giving_back = task::spawn(give_memory_back());
    while signals.reopens().await {
        logs.reopen();
    }
    giving_back.abort();
    tracing::info!("draining");
    let outcome = gateway.drain(async || signals.terminate().await).await;
    telemetry.close();
    logs.finish().await;
    spans.finish().await;
    tracing::info!(?outcome, "stopped");
    Ok(match outcome {
        drain::Outcome::Clean => ExitCode::SUCCESS,
        drain::Outcome::DeadlinePassed => ExitCode::from(2),
    })
}

/// Lets the allocator give back what lies free on the thread of the actors: reading ten thousand services leaves a good deal behind.
async fn give_memory_back() {
    let mut every = time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        memory::give_back();
    }
}

/// Fairlead's own log, on standard error unless a file is named.
fn start_log(config: &StaticConfig) -> Result<(), Exit> {
    let level = match config.log.level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("{level},h2=warn,hyper=warn,rustls=warn,ractor=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let started = match (&config.log.file_path, config.log.json) {
        (None, false) => builder.with_writer(std::io::stderr).try_init(),
        (None, true) => builder.json().with_writer(std::io::stderr).try_init(),
        (Some(path), json) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|e| Exit::usage(format!("log.filePath={path}: {e}; choose a place this user may write")))?;
            let builder = builder.with_ansi(false).with_writer(std::sync::Mutex::new(file));
            if json { builder.json().try_init() } else { builder.try_init() }
        }
    };
    started.map_err(|e| Exit::failed(format!("the log could not be started: {e}")))
}

/// The access log's writer, if there is an access log.
struct AccessLog {
    reopen: Reopen,
    writer: Option<task::Handle<()>>,
}

fn start_access_log(config: &StaticConfig, telemetry: &Telemetry) -> Result<AccessLog, Exit> {
    let reopen = Reopen::default();
    let (Some(wanted), Some(drain)) = (&config.access_log, telemetry.log_drain()) else {
        return Ok(AccessLog { reopen, writer: None });
    };
    let sink: Box<dyn LogSink> = match &wanted.file_path {
        None => Box::new(StdoutSink),
        Some(path) => Box::new(
            FileSink::open(path)
                .map_err(|e| Exit::usage(format!("accessLog.filePath={path}: {e}; choose a place this user may write")))?,
        ),
    };
    let writer = task::spawn(write_logs(telemetry.clone(), drain, sink, reopen.clone()));
    Ok(AccessLog { reopen, writer: Some(writer) })
}

impl AccessLog {
    fn reopen(&self) {
        self.reopen.ask();
    }

    async fn finish(self) {
        if let Some(writer) = self.writer
            && let Err(e) = writer.await
        {
            tracing::error!(error = %e, "the last lines of the access log are lost");
        }
    }
}

/// What the process is told from outside.
struct Signals {
    term: Signal,
    int: Signal,
    usr1: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }

    /// SIGTERM or SIGINT.
    async fn terminate(&mut self) {
        tokio::select! {
            biased;
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }

    /// True for SIGUSR1, false for SIGTERM or SIGINT.
    async fn reopens(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.term.recv() => false,
            _ = self.int.recv() => false,
            _ = self.usr1.recv() => true,
        }
    }
}

/// This machine's name, for `X-Forwarded-Server`.
fn host_name() -> String {
    let from_system = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = from_system.trim();
    if name.is_empty() { "fairlead".into() } else { name.to_owned() }
}
