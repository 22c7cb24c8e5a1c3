//! A proxy that reads its configuration again at a signal: nginx and HAProxy.

use super::{System, host};
use crate::bench::Bench;
use fairlead_tests::process::Process;
use std::{path::PathBuf, time::Duration};

/// A configuration for the ports of the services' servers.
type Text = Box<dyn Fn(&[u16]) -> String>;

/// How one is written and started.
pub struct Manner {
    /// Of its files.
    pub tag: String,
    /// Writes its configuration.
    pub text: Text,
    /// Its command line, for the configuration's path.
    pub words: fn(&str) -> Vec<String>,
    /// What has it read that again.
    pub signal: &'static str,
}

/// Running, with the ports of the services' servers.
pub struct Reloaded {
    port: u16,
    servers: Vec<u16>,
    file: PathBuf,
    process: Process,
    manner: Manner,
}

impl Reloaded {
    /// Starts it, to listen on that port.
    pub fn start(bench: &Bench, services: usize, port: u16, manner: Manner) -> Self {
        let servers = vec![bench.backends[0]; services];
        let file = bench.dir.put(&format!("{}.conf", manner.tag), &(manner.text)(&servers));
        let process = bench.launch_words(&manner.tag, &(manner.words)(&file), port, &host(services - 1));
        Self { port, servers, file: file.into(), process, manner }
    }
}

impl System for Reloaded {
    fn id(&self) -> u32 {
        self.process.id()
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn changes(&self) -> usize {
        10
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn change(&mut self, service: usize, port: u16) {
        self.servers[service] = port;
        std::fs::write(&self.file, (self.manner.text)(&self.servers)).expect("the directory is writable");
        self.process.signal(self.manner.signal);
    }
}
