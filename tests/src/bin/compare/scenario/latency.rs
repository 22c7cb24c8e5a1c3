//! What a proxy adds to the time of a request at half load.
//!
//! One rate is offered to all: half of what the slowest carries in a closed loop of as many connections, measured just before by
//! the same clients. A peer that carries less than half of what the fastest does is left out: at its half load, the others would idle.
//! Times count from when a request was due (see [`crate::open`]). In every round the backend is asked directly first; what a proxy's
//! percentiles have above those of the backend is what it adds. Rounds are many and long: one pause of the machine is the slowest hundredth
//! of a short one, whoever is being asked.

use crate::{
    bench::Bench,
    open::Open,
    options::Options,
    outcome::{Base, FAILED, Outcome, Round},
    turns,
};
use std::time::Duration;

const CONNECTIONS: usize = 64;
/// At least so many rounds, of so many seconds.
const ROUNDS: u32 = 7;
const SECONDS: u32 = 5;

/// Percentile, its name, and the name of what is added to it.
const PERCENTILES: &[(f64, &str, &str)] =
    &[(99.0, "p99Micros", "addedP99Micros"), (50.0, "p50Micros", "addedP50Micros"), (99.9, "p999Micros", "addedP999Micros")];

/// Measures the field.
pub fn run(bench: &Bench, options: &Options) -> Outcome {
    let options = &options.at_least(ROUNDS, SECONDS);
    let (first, _awake) = (bench.backend_first(), bench.awake());
    if first.is_none() {
        println!("  the backend takes turns with the load: real-time priority is not allowed");
    }
    let takers: Vec<_> = bench.takers(false).into_iter().map(|(name, proxy)| (name, proxy.ports.plain)).collect();
    let seconds = options.seconds;
    // At an infinite rate, all requests are due at once: a closed loop.
    let carried =
        |port: u16| load(port, f64::INFINITY).last(Duration::from_secs(seconds.into())).answered() as f64 / f64::from(seconds);
    let rated: Vec<_> = takers.into_iter().map(|(name, port)| (name, port, carried(port))).collect();
    let fastest = rated.iter().map(|(.., rate)| *rate).max_by(f64::total_cmp).unwrap_or_default();
    let takes_part = |(name, _, rate): &(String, u16, f64)| name == "fairlead" || *rate >= fastest / 2.0;
    let (taking, left_out): (Vec<_>, Vec<_>) = rated.into_iter().partition(takes_part);
    for (name, _, rate) in left_out {
        println!("  {name} carries {rate:.0} requests a second, of {fastest:.0}, and is left out");
    }
    let slowest = taking.iter().map(|(.., rate)| *rate).min_by(f64::total_cmp).unwrap_or_default();
    if slowest < 1.0 {
        let mut outcome = Outcome::new(Base::BestPeer, Vec::new());
        outcome.wrong.push("a proxy carries no load".to_owned());
        return outcome;
    }
    let rate = slowest / 2.0;
    println!("  {rate:.0} requests a second are offered");
    let direct = [("direct".to_owned(), bench.backends[0])];
    let takers: Vec<_> = direct.into_iter().chain(taking.into_iter().map(|(name, port, _)| (name, port))).collect();
    let columns = turns::take_together(&takers, options, |port, seconds, direct| sample(*port, rate, seconds, direct));
    Outcome::new(Base::BestPeer, columns)
}

fn sample(port: u16, rate: f64, seconds: u32, direct: Option<&Round>) -> Round {
    let tally = load(port, rate).last(Duration::from_secs(seconds.into()));
    let mut round = added(|percent| tally.micros(percent), direct);
    round.push(("perSecond", tally.answered() as f64 / f64::from(seconds)));
    round.push((FAILED, tally.failed() as f64));
    round
}

fn load(port: u16, rate: f64) -> Open {
    Open { port, host: "localhost".into(), path: "/".into(), rate, connections: CONNECTIONS }
}

/// What is added goes first, where there is something to take it from.
fn added(micros: impl Fn(f64) -> f64, direct: Option<&Round>) -> Round {
    let raw = PERCENTILES.iter().map(|(percent, name, _)| (*name, micros(*percent)));
    let of_direct = |name: &str| direct.and_then(|round| round.iter().find(|(n, _)| *n == name).map(|(_, value)| *value));
    let added = PERCENTILES.iter().filter_map(|(percent, name, added)| Some((*added, micros(*percent) - of_direct(name)?)));
    added.chain(raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_the_difference_of_percentiles() {
        let direct = added(|percent| percent, None);
        assert_eq!(direct, [("p99Micros", 99.0), ("p50Micros", 50.0), ("p999Micros", 99.9)]);
        let proxy = added(|percent| percent * 3.0, Some(&direct));
        assert_eq!(proxy[0], ("addedP99Micros", 198.0));
        assert_eq!(proxy[1], ("addedP50Micros", 100.0));
        assert_eq!(proxy[3], ("p99Micros", 297.0));
    }
}
