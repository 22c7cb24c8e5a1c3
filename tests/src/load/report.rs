//! What steady load came to: how many, how many failed and how, how long it took, and who answered when.

use std::{collections::BTreeMap, fmt, time::Duration};

/// How many of the slowest requests are told one by one.
const SHOWN: usize = 8;

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// There was no connection.
    Connect(String),
    /// The connection broke.
    Reset(String),
    /// The connection ended before the answer was whole.
    Closed,
    /// No answer in time.
    TimeOut,
    /// Another status than 200, and the gateway's reason for it.
    Status(u16, String),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Since the Unix epoch.
    pub sent: Duration,
    /// From when it was due to the end of its answer.
    pub took: Duration,
    /// What the backend itself took.
    pub own: Duration,
    /// Who answered.
    pub instance: String,
    pub failure: Option<Failure>,
}

/// When an instance had requests. Times are since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When the first request was sent that it answered.
    pub first: Duration,
    /// When the last request was sent that it answered.
    pub last: Duration,
    pub answers: u64,
}

/// All requests of one kind of connection.
#[derive(Clone, Debug, Default)]
pub struct Population {
    pub requests: u64,
    pub failures: BTreeMap<Failure, u64>,
    pub instances: BTreeMap<String, Seen>,
    /// What each took beyond the backend's own time, ascending.
    times: Vec<Duration>,
    /// The slowest: what each took, when it was sent, who answered.
    slowest: Vec<(Duration, Duration, String)>,
}

/// What a whole load came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Connections that were kept alive.
    pub kept: Population,
    /// A connection for each request.
    pub single: Population,
    pub took: Duration,
}

impl Population {
    /// Counts.
    pub fn of(samples: Vec<Sample>) -> Self {
        let mut population = Self { requests: samples.len() as u64, ..Self::default() };
        for sample in samples {
            let time = sample.took.saturating_sub(sample.own);
            population.times.push(time);
            population.slowest.push((time, sample.sent, sample.instance.clone()));
            match sample.failure {
                Some(failure) => *population.failures.entry(failure).or_default() += 1,
                None => {
                    saw(&mut population.instances, &sample.instance, Seen { first: sample.sent, last: sample.sent, answers: 1 })
                }
            }
        }
        population.times.sort_unstable();
        population.slowest.sort_unstable_by(|one, other| other.cmp(one));
        population.slowest.truncate(SHOWN);
        population
    }
}

impl Report {
    /// Requests that were not answered with 200.
    pub fn failed(&self) -> u64 {
        self.kept.failures.values().chain(self.single.failures.values()).sum()
    }

    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.kept.requests + self.single.requests
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests() as f64 / self.took.as_secs_f64()
    }

    /// The longest time, beyond the backend's own.
    pub fn worst(&self) -> Duration {
        self.percentile(100.0)
    }

    /// A percentile of the times, beyond the backend's own.
    pub fn percentile(&self, percent: f64) -> Duration {
        let mut times: Vec<_> = self.kept.times.iter().chain(&self.single.times).copied().collect();
        times.sort_unstable();
        percentile(&times, percent)
    }

    /// Who answered, and when.
    pub fn instances(&self) -> BTreeMap<String, Seen> {
        let mut instances = self.kept.instances.clone();
        self.single.instances.iter().for_each(|(instance, seen)| saw(&mut instances, instance, *seen));
        instances
    }
}

/// The value that so many percent of ascending ones do not exceed; zero for none.
pub fn percentile(ascending: &[Duration], percent: f64) -> Duration {
    let rank = (ascending.len() as f64 * percent / 100.0).ceil() as usize;
    ascending.get(rank.clamp(1, ascending.len().max(1)) - 1).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, rate, failed) = (self.requests(), self.rate(), self.failed());
        writeln!(f, "{requests} requests, {rate:.0}/s, {failed} failed, {} instances", self.instances().len())?;
        for (name, population) in [("kept alive", &self.kept), ("one-shot", &self.single)] {
            let at = |percent| percentile(&population.times, percent).as_secs_f64() * 1e3;
            let (half, p99, worst) = (at(50.0), at(99.0), at(100.0));
            write!(f, "  {name}: {} requests, p50 {half:.1} ms, p99 {p99:.1} ms, worst {worst:.1} ms", population.requests)?;
            writeln!(f, ", failures {:?}", population.failures)?;
            let slowest = population.slowest.iter().map(|(time, sent, instance)| {
                let name = instance.get(..6).unwrap_or(instance);
                format!("{:.0} ms at {:.3} by {name}", time.as_secs_f64() * 1e3, sent.as_secs_f64() % 1000.0)
            });
            writeln!(f, "    slowest: {}", slowest.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

fn saw(instances: &mut BTreeMap<String, Seen>, instance: &str, seen: Seen) {
    let entry = instances.entry(instance.to_owned()).or_insert(Seen { answers: 0, ..seen });
    entry.first = entry.first.min(seen.first);
    entry.last = entry.last.max(seen.last);
    entry.answers += seen.answers;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        for (percent, expected) in [(50.0, 100), (99.0, 198), (100.0, 200), (0.0, 1)] {
            assert_eq!(percentile(&times, percent), Duration::from_millis(expected), "{percent}");
        }
        assert_eq!(percentile(&[], 99.0), Duration::ZERO);
    }
}
