//! What it costs Fairlead to be watched: the same load with the access log, or traces, off and on.

use crate::{
    bench::Bench,
    measure::Meter,
    options::Options,
    outcome::{Base, Outcome},
    proxies::Plan,
    scenario::closed::{round, wrk},
    turns,
};
use fairlead_tests::{get, otlp::Receiver};
use serde_json::{Value, json};

/// A JSON access log in a file.
pub fn access_log(bench: &Bench, options: &Options) -> Outcome {
    // A directory of its own: Fairlead watches the one that its configuration is in.
    let logs = bench.dir.path().join("logs");
    std::fs::create_dir_all(&logs).expect("a directory can be made");
    let file = "logs/access.log";
    let section = json!({ "filePath": bench.dir.file(file), "format": "json" });
    let mut outcome = off_and_on(bench, options, ("accessLog", section));
    let lines = std::fs::metadata(bench.dir.path().join(file)).map_or(0, |file| file.len());
    if bench.has_fairlead() && lines == 0 {
        outcome.wrong.push("nothing was logged".to_owned());
    }
    outcome
}

/// Traces of 1 % of requests to a receiver of our own.
pub fn tracing(bench: &Bench, options: &Options) -> Outcome {
    let receiver = Receiver::start();
    let section = json!({ "sampleRate": 0.01, "otlp": { "http": { "endpoint": receiver.endpoint() } } });
    let mut outcome = off_and_on(bench, options, ("tracing", section));
    if bench.has_fairlead() && receiver.spans().is_empty() {
        outcome.wrong.push("no span arrived".to_owned());
    }
    outcome
}

fn off_and_on(bench: &Bench, options: &Options, section: (&'static str, Value)) -> Outcome {
    let plan = |name: &str, sections| Plan { name: name.to_owned(), sections, ..Plan::named("fairlead", bench.backends) };
    let plans = [plan("fairlead-off", Vec::new()), plan("fairlead-on", vec![section])];
    let plans = plans.into_iter().filter(|_| bench.has_fairlead());
    let takers: Vec<_> = plans.map(|plan| (plan.name.clone(), bench.launch(&plan))).collect();
    let columns = turns::take(&takers, options, |proxy, seconds| {
        let (meter, dropped) = (Meter::start(proxy.id()), dropped(proxy.ports.admin));
        let tally = wrk(64, seconds, &[], &format!("http://127.0.0.1:{}/", proxy.ports.plain));
        let mut figures = round(&tally, &meter);
        figures.push(("dropped", self::dropped(proxy.ports.admin) - dropped));
        figures
    });
    let mut outcome = Outcome::new(Base::First, columns);
    let dropped = outcome.columns.iter().flat_map(|column| &column.rounds).flatten().filter(|(name, _)| *name == "dropped");
    let dropped: f64 = dropped.map(|(_, count)| count).sum();
    if dropped > 0.0 {
        // What is not written costs nothing.
        outcome.wrong.push(format!("{dropped} lines or spans were dropped"));
    }
    outcome
}

/// Lines and spans that found no room so far.
fn dropped(admin: u16) -> f64 {
    let metrics = get(admin, "/metrics").text();
    let names = ["fairlead_access_log_dropped_lines_total", "fairlead_trace_dropped_spans_total"];
    let samples = metrics.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| names.contains(name));
    samples.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}
