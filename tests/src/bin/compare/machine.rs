//! Where it was measured, and what: figures without these say little.

use serde_json::{Value, json};
use std::{fmt, fs, path::Path, process::Command};

/// This machine, and the versions of all that takes part.
#[derive(Debug)]
pub struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
    /// In the order in which they are told.
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    /// Looks.
    pub fn look(fairlead: &Path) -> Self {
        let fairlead = fairlead.display().to_string();
        let asked = [
            ("fairlead", fairlead.as_str(), "--version"),
            ("nginx", "nginx", "-v"),
            ("haproxy", "haproxy", "-v"),
            ("caddy", "caddy", "version"),
            ("wrk", "wrk", "-v"),
            ("h2load", "h2load", "--version"),
            ("etcd", "etcd", "--version"),
        ];
        Self {
            cpu: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            versions: asked.into_iter().filter_map(|(name, program, option)| Some((name, version(program, option)?))).collect(),
        }
    }

    /// For the report.
    pub fn json(&self) -> Value {
        let versions: serde_json::Map<_, _> = self.versions.iter().map(|(name, v)| ((*name).to_owned(), json!(v))).collect();
        json!({ "cpu": self.cpu, "cpus": self.cpus, "kernel": self.kernel, "versions": versions })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} CPUs, Linux {}", self.cpu, self.cpus, self.kernel)?;
        let versions: Vec<_> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        write!(f, "{}", versions.join(", "))
    }
}

fn cpu_model(cpuinfo: &str) -> String {
    let model = cpuinfo.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == "model name");
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.trim().to_owned())
}

/// What a program says of itself, on whichever stream; `None` if it is not there.
fn version(program: &str, option: &str) -> Option<String> {
    let output = Command::new(program).arg(option).env("PATH", fairlead_tests::tools::search_path()).output().ok()?;
    number(&[output.stdout, output.stderr].concat())
}

/// The first word that looks like a version.
fn number(words: &[u8]) -> Option<String> {
    let words = String::from_utf8_lossy(words);
    let found = words.split(|c: char| c.is_whitespace() || "/,()".contains(c)).map(|word| word.trim_start_matches('v'));
    found.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (words, expected) in [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12-1+deb12u4"),
            ("v2.7.6 h1:abc=\n", "2.7.6"),
            ("h2load nghttp2/1.52.0\n", "1.52.0"),
            ("etcd Version: 3.4.23\nGit SHA: Not provided\n", "3.4.23"),
            ("fairlead 0.1.0 (abc)\n", "0.1.0"),
        ] {
            assert_eq!(number(words.as_bytes()).as_deref(), Some(expected), "{words}");
        }
        assert_eq!(number(b"nothing"), None);
    }

    #[test]
    fn the_model_is_read() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: B\n"), "A CPU @ 2 GHz");
        assert_eq!(cpu_model(""), std::env::consts::ARCH);
    }
}
