//! Closed loops by wrk and h2load: as many requests as go through, and what each costs the proxy in CPU time.

use crate::{
    bench::Bench,
    measure::Meter,
    options::Options,
    outcome::{Base, FAILED, Outcome, Round},
    proxies::Proxy,
    turns,
};
use fairlead_tests::load::{Tally, h2load_tally, wrk_tally};
use std::process::Command;

/// One kind of load.
pub enum Load {
    /// wrk over plain HTTP/1.1: connections, path, more arguments.
    Plain(u32, &'static str, &'static [&'static str]),
    /// wrk that sends bodies: connections.
    Upload(u32),
    /// wrk over TLS.
    Tls(u32, &'static [&'static str]),
    /// h2load over TLS: connections, streams each.
    Http2(u32, u32),
}

/// A script of wrk's.
const UPLOAD: &str = "wrk.method = \"POST\"\nwrk.body = string.rep(\"x\", 1048576)\n";

/// Measures the field.
pub fn run(name: &str, load: &Load, bench: &Bench, options: &Options) -> Outcome {
    let takers = bench.takers(name == "h1-keepalive-64");
    let columns = turns::take(&takers, options, |proxy, seconds| {
        let meter = Meter::start(proxy.id());
        let tally = load.put_on(proxy, bench, seconds);
        round(&tally, &meter)
    });
    Outcome::new(Base::BestPeer, columns)
}

/// The figures of a closed loop that has just ended.
pub fn round(tally: &Tally, meter: &Meter) -> Round {
    let spent = meter.read();
    vec![
        ("cpuMicros", spent.micros_per(tally.requests)),
        ("perSecond", spent.rate(tally.requests)),
        ("p99Millis", tally.p99.map_or(f64::NAN, |p99| p99.as_secs_f64() * 1e3)),
        // Nothing served is a failure too, or it would look cheap.
        (FAILED, (tally.failed + u64::from(tally.requests == 0)) as f64),
    ]
}

/// wrk for so many seconds.
pub fn wrk(connections: u32, seconds: u32, more: &[&str], url: &str) -> Tally {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "--latency"]);
    wrk_tally(&output(command.args(more).arg(url)))
}

impl Load {
    fn put_on(&self, proxy: &Proxy, bench: &Bench, seconds: u32) -> Tally {
        let (plain, tls) = (format!("http://127.0.0.1:{}", proxy.ports.plain), proxy.ports.tls);
        match *self {
            Self::Plain(connections, path, more) => wrk(connections, seconds, more, &format!("{plain}{path}")),
            Self::Upload(connections) => {
                let script = bench.dir.put("upload.lua", UPLOAD);
                wrk(connections, seconds, &["-s", &script], &format!("{plain}/upload"))
            }
            Self::Tls(connections, more) => wrk(connections, seconds, more, &format!("https://127.0.0.1:{tls}/")),
            Self::Http2(connections, streams) => {
                let (c, m, d) = (connections.to_string(), streams.to_string(), seconds.to_string());
                let mut command = Command::new("h2load");
                h2load_tally(&output(command.args(["-t1", "-c", &c, "-m", &m, "-D", &d, &format!("https://localhost:{tls}/")])))
            }
        }
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{:?} does not start: {e}", command.get_program()));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
