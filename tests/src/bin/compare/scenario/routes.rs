//! Fairlead with ever more routers, each with a host and a path of its own: what a request costs must not grow with them.

use crate::{
    bench::Bench,
    measure::Meter,
    options::Options,
    outcome::{Base, Outcome},
    proxies::{Plan, Routes},
    scenario::closed::{round, wrk},
    turns,
};

const COUNTS: &[usize] = &[10, 1000, 10_000, 100_000];

/// Measures a process for each number of routers. The request is for the last of them in the file.
pub fn run(bench: &Bench, options: &Options) -> Outcome {
    let counts = COUNTS.iter().filter(|_| bench.has_fairlead());
    let takers: Vec<_> = counts
        .map(|count| {
            let routes = Routes::Distinct(*count);
            let name = format!("fairlead-{count}");
            let plan = Plan { routes, name: name.clone(), ..Plan::named("fairlead", bench.backends) };
            (name, (bench.launch(&plan), routes.last()))
        })
        .collect();
    let columns = turns::take(&takers, options, |(proxy, (host, path)), seconds| {
        let meter = Meter::start(proxy.id());
        let url = format!("http://127.0.0.1:{}{path}", proxy.ports.plain);
        round(&wrk(64, seconds, &["-H", &format!("Host: {host}")], &url), &meter)
    });
    Outcome::new(Base::First, columns)
}
