//! Load by real clients: wrk for HTTP/1.1, h2load for HTTP/2. Their words, read. Where every failure and the worst time count,
//! [`steady`] load of our own.

pub mod report;
pub mod steady;

pub use report::{Failure, Report};
pub use steady::Steady;

use crate::process;
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What a load generator counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub requests: u64,
    /// Broken connections, time-outs, and answers other than 2xx and 3xx.
    pub failed: u64,
    /// 99th percentile, where the tool says it.
    pub p99: Option<Duration>,
}

/// Load that goes on beside the test.
pub struct Running(Child);

impl Running {
    /// Ends it before its time. What was counted until then is whole: wrk takes SIGINT for the end of the run.
    pub fn stop(self) -> Tally {
        process::signal("INT", self.0.id());
        self.tally()
    }

    /// Waits for its end.
    pub fn tally(self) -> Tally {
        let output = self.0.wait_with_output().expect("the load generator ends");
        wrk_tally(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Starts `wrk` with so many connections for so many seconds.
///
/// # Panics
/// There is no wrk.
pub fn start_wrk(url: &str, connections: u32, seconds: u32, more: &[&str]) -> Running {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--latency"]).args(more).arg(url);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    Running(child.expect("wrk starts; `cargo verify` installs it"))
}

/// What `wrk` says at its end.
pub fn wrk_tally(words: &str) -> Tally {
    let words = words.replace(',', " ");
    let after = |label: &str| {
        let rest = words.split(label).nth(1).unwrap_or_default();
        rest.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default()
    };
    let errors = ["connect", "read", "write", "timeout"].map(|kind| match words.split("Socket errors:").nth(1) {
        Some(rest) => number_after(rest, kind),
        None => 0,
    });
    Tally {
        requests: words.split(" requests in ").next().and_then(|w| w.split_whitespace().last()?.parse().ok()).unwrap_or_default(),
        failed: errors.iter().sum::<u64>() + after("Non-2xx or 3xx responses:"),
        p99: words.split(" 99% ").nth(1).and_then(|w| duration(w.split_whitespace().next()?)),
    }
}

/// Runs `h2load` over TLS for so many seconds.
pub fn h2load(url: &str, connections: u32, streams: u32, seconds: u32) -> Tally {
    let (c, m, d) = (connections.to_string(), streams.to_string(), seconds.to_string());
    h2load_tally(&process::succeed("h2load", &["-t1", "-c", &c, "-m", &m, "-D", &d, url]))
}

/// Runs `h2load` for so many requests.
pub fn h2load_requests(url: &str, connections: u32, streams: u32, requests: u32, more: &[&str]) -> Tally {
    let (c, m, n) = (connections.to_string(), streams.to_string(), requests.to_string());
    let mut arguments = vec!["-t1", "-c", &c, "-m", &m, "-n", &n];
    arguments.extend(more);
    arguments.push(url);
    h2load_tally(&process::succeed("h2load", &arguments))
}

/// What `h2load` says at its end. Every request counts as failed that was not answered with 2xx or 3xx.
pub fn h2load_tally(words: &str) -> Tally {
    let line = |label: &str| words.lines().find(|line| line.starts_with(label)).unwrap_or_default();
    let before = |line: &str, label: &str| {
        let mut words = line.split([' ', ',']).filter(|w| !w.is_empty()).peekable();
        while let Some(word) = words.next() {
            if words.peek() == Some(&label) {
                return word.parse().unwrap_or_default();
            }
        }
        0
    };
    let (requests, codes) = (line("requests:"), line("status codes:"));
    let succeeded: u64 = before(requests, "succeeded");
    let broken = before(requests, "failed") + before(requests, "timeout") + before(codes, "4xx") + before(codes, "5xx");
    Tally { requests: succeeded, failed: broken + u64::from(requests.is_empty()), p99: None }
}

fn number_after(text: &str, label: &str) -> u64 {
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        if word == label {
            return words.next().and_then(|n| n.parse().ok()).unwrap_or_default();
        }
    }
    0
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].parse().ok()?;
    let scale = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number * scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_wrk_are_read() {
        let words = "Running 1s test\n  Latency Distribution\n     50%  110.00us\n     99%    1.50ms\n  12345 requests in 1.00s, 2.00MB read\n  \
                     Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec: 12345.0\n";
        assert_eq!(wrk_tally(words), Tally { requests: 12345, failed: 15, p99: Some(Duration::from_micros(1500)) });
        let words = "     99%    2.00s \n  7 requests in 1.00s, 2.00MB read\n";
        assert_eq!(wrk_tally(words), Tally { requests: 7, failed: 0, p99: Some(Duration::from_secs(2)) });
    }

    #[test]
    fn the_words_of_h2load_are_read() {
        let words = "finished in 1s\nrequests: 100 total, 100 started, 100 done, 97 succeeded, 3 failed, 3 errored, 0 timeout\n\
                     status codes: 90 2xx, 0 3xx, 2 4xx, 5 5xx\n";
        assert_eq!(h2load_tally(words), Tally { requests: 97, failed: 10, p99: None });
        assert_eq!(h2load_tally("nothing").failed, 1);
    }
}
