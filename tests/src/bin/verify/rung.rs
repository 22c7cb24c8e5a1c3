//! One rung: a command, its output in a file, and what it came to.

use fairlead_tests::tools;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Lines of a failing rung's output that are shown.
const SHOWN: usize = 120;

/// A command of the ladder.
pub struct Rung {
    pub name: &'static str,
    pub what: &'static str,
    arguments: Vec<&'static str>,
    environment: Option<(&'static str, &'static str)>,
    /// A program without which the rung is skipped, and how to get it.
    needs: Option<(&'static str, &'static str)>,
    /// Words in the output that make a failure a skip.
    excuse: Option<&'static str>,
}

/// What a rung came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub passed: usize,
    pub failed: usize,
    pub took: Duration,
    pub skipped: Option<String>,
}

impl Outcome {
    /// In one line.
    pub fn words(&self) -> String {
        match &self.skipped {
            Some(why) => format!("skipped: {why}"),
            None => format!("{} passed, {} failed, {:.1} s", self.passed, self.failed, self.took.as_secs_f64()),
        }
    }
}

impl Rung {
    /// A cargo command.
    pub fn cargo(name: &'static str, what: &'static str, arguments: &[&'static str]) -> Self {
        Self { name, what, arguments: arguments.to_vec(), environment: None, needs: None, excuse: None }
    }

    /// With an environment variable.
    pub fn with_environment(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment = Some((name, value));
        self
    }

    /// Skipped where this program is missing.
    pub fn needing(mut self, program: &'static str, remedy: &'static str) -> Self {
        self.needs = Some((program, remedy));
        self
    }

    /// Skipped when it fails with these words in its output.
    pub fn excused_by(mut self, words: &'static str) -> Self {
        self.excuse = Some(words);
        self
    }

    /// What a person would type.
    pub fn command(&self) -> String {
        let environment = self.environment.map(|(name, value)| format!("{name}='{value}' ")).unwrap_or_default();
        format!("{environment}cargo {}", self.arguments.join(" "))
    }

    /// Runs it.
    pub fn climb(&self, root: &Path) -> Outcome {
        if let Some((program, remedy)) = self.needs
            && !tools::is_there(program)
        {
            return Outcome { skipped: Some(format!("{program} is not installed: {remedy}")), ..Outcome::default() };
        }
        let begun = Instant::now();
        let log = root.join("target/verify").join(format!("{}.log", self.name));
        let run = self.run(root, &log);
        let mut outcome = Outcome { took: begun.elapsed(), ..Outcome::default() };
        match run {
            Ok((success, counts)) => {
                (outcome.passed, outcome.failed) = counts;
                // A command that fails without a failed test (it did not compile) has failed all the same.
                outcome.failed = outcome.failed.max(usize::from(!success));
                outcome.passed += usize::from(success && counts == (0, 0));
            }
            Err(e) => {
                println!("   {e}");
                outcome.failed = 1;
            }
        }
        let said = || fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        if let Some(excuse) = self.excuse
            && outcome.failed > 0
            && said().contains(excuse)
        {
            return Outcome { skipped: Some(excuse.to_owned()), took: outcome.took, ..Outcome::default() };
        }
        if outcome.failed > 0 {
            show_end(&log);
        }
        outcome
    }

    /// Whether it succeeded, and its tests' counts.
    fn run(&self, root: &Path, log: &Path) -> anyhow::Result<(bool, (usize, usize))> {
        fs::create_dir_all(log.parent().unwrap_or(root))?;
        let mut file = File::create(log)?;
        let mut command = Command::new(std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from));
        command.args(&self.arguments).current_dir(root).env("PATH", tools::search_path()).env("CARGO_TERM_COLOR", "never");
        command.envs(self.environment).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file.try_clone()?);
        let mut child = command.spawn()?;
        let mut counts = (0, 0);
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                file.write_all(&line)?;
                file.write_all(b"\n")?;
                if let Some((passed, failed)) = tests_of(&String::from_utf8_lossy(&line)) {
                    counts = (counts.0 + passed, counts.1 + failed);
                }
            }
        }
        Ok((child.wait()?.success(), counts))
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn tests_of(line: &str) -> Option<(usize, usize)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split("; ").filter_map(|part| part.split(' ').next()?.parse().ok());
    Some((counts.next()?, counts.next()?))
}

fn show_end(log: &Path) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    println!("   --- the end of {}", log.display());
    lines[lines.len().saturating_sub(SHOWN)..].iter().for_each(|line| println!("   | {line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_tests_are_read() {
        assert_eq!(
            tests_of("test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1s"),
            Some((31, 0))
        );
        assert_eq!(tests_of("test result: FAILED. 2 passed; 1 failed; 0 ignored"), Some((2, 1)));
        assert_eq!(tests_of("test proxy::tests::x ... ok"), None);
    }
}
