//! The command line of `cargo compare`.

use crate::scenario::SCENARIOS;
use fairlead_tests::process;

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Name the scenarios.
    List,
    /// Print the table of a JSON file.
    Table(String),
    Run(Options),
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: u32,
    /// Of each round.
    pub seconds: u32,
    /// Scenarios by name; all if empty.
    only: Vec<String>,
    pub proxies: Vec<String>,
    pub json: String,
}

impl Task {
    /// Reads it.
    ///
    /// # Errors
    /// An option that there is not, or a value that is none.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        if arguments.iter().any(|argument| argument == "--list") {
            return Ok(Self::List);
        }
        let mut options = Options {
            rounds: 5,
            seconds: 3,
            only: Vec::new(),
            proxies: ["nginx", "haproxy", "caddy", "fairlead", "fairlead-10k"].map(str::to_owned).to_vec(),
            json: process::root().join("target/compare.json").display().to_string(),
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name}: expected a value"))?;
            let number = || match value.parse() {
                Ok(number) if number > 0 => Ok(number),
                _ => Err(format!("{name} {value}: expected a number above 0")),
            };
            let list = || value.split(',').map(str::to_owned).collect();
            match name.as_str() {
                "--rounds" => options.rounds = number()?,
                "--seconds" => options.seconds = number()?,
                "--only" => options.only = list(),
                "--proxies" => options.proxies = list(),
                "--json" => options.json.clone_from(value),
                "--table" => return Ok(Self::Table(value.clone())),
                _ => return Err(format!("{name}: expected --rounds, --seconds, --only, --proxies, --json, --table or --list")),
            }
        }
        if let Some(unknown) = options.only.iter().find(|name| !SCENARIOS.iter().any(|s| stands_for(name, s.name))) {
            return Err(format!("there is no scenario {unknown}; --list names them"));
        }
        Ok(Self::Run(options))
    }
}

impl Options {
    /// With so many rounds of so many seconds, if it has fewer.
    pub fn at_least(&self, rounds: u32, seconds: u32) -> Self {
        Self { rounds: self.rounds.max(rounds), seconds: self.seconds.max(seconds), ..self.clone() }
    }

    /// Whether a scenario is to be run.
    pub fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| stands_for(name, scenario))
    }
}

/// A name stands for the scenario of that name, and for those that continue it.
fn stands_for(name: &str, scenario: &str) -> bool {
    scenario.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Task, String> {
        Task::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn options(line: &str) -> Options {
        match read(line) {
            Ok(Task::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_are_read() {
        let options = options("--rounds 2 --seconds 1 --only h1-close,changes --proxies nginx --json a.json");
        assert_eq!((options.rounds, options.seconds, options.json.as_str()), (2, 1, "a.json"));
        assert_eq!(options.proxies, ["nginx"]);
        let wanted: Vec<_> = SCENARIOS.iter().map(|s| s.name).filter(|name| options.wants(name)).collect();
        assert_eq!(wanted, ["h1-close", "changes-1000", "changes-10000"]);
    }

    #[test]
    fn everything_is_wanted_unless_said_otherwise() {
        assert!(SCENARIOS.iter().all(|scenario| options("").wants(scenario.name)));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for line in ["--only nothing", "--only h1-clos", "--rounds", "--rounds x", "--rounds 0", "--fast 1"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
