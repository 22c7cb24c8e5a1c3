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
use fairlead_tests::otlp::Receiver;
use serde_json::{Value, json};

/// A JSON access log in a file.
pub fn access_log(bench: &Bench, options: &Options) -> Outcome {
    let file = "access.log";
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
        let meter = Meter::start(proxy.id());
        round(&wrk(64, seconds, &[], &format!("http://127.0.0.1:{}/", proxy.ports.plain)), &meter)
    });
    Outcome::new(Base::First, columns)
}
