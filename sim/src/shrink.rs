//! A failing plan made small: delta debugging for as long as the same oracle fails.
//!
//! Owns the search: edits are tried all at once, then by halves and finer, each candidate in a process of its own. Candidates run
//! beside each other, but count in their order, so that the result does not depend on how many run at once. Deliberately absent:
//! what an edit is (`edit`).

mod edit;

use crate::plan::Plan;
use anyhow::{Context as _, bail, ensure};
use edit::Edit;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// How the search is bounded, and where it leaves what it found.
pub struct Options {
    pub out: PathBuf,
    pub planted: Option<String>,
    pub jobs: usize,
    pub tries: u64,
    pub minutes: u64,
}

/// The failure of a run, as its block tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// Its identity.
    oracle: String,
    detail: String,
}

/// Makes a plan small, writes what is left, and tells how to see it fail.
///
/// # Errors
/// A process or a file was refused.
pub fn shrink(plan: &Plan, options: &Options) -> anyhow::Result<ExitCode> {
    let runner = Runner::new(options.planted.clone())?;
    let bare = options.planted.as_ref().map(|_| Runner::new(None)).transpose()?;
    let before: Value = serde_json::from_str(&plan.to_json()).context("a plan is JSON")?;
    let began = now();
    let Some(first) = runner.fails(&before, 0, MOST)? else {
        eprintln!("the plan passes: there is nothing to shrink");
        return Ok(ExitCode::FAILURE);
    };
    // A candidate that takes much longer than the whole plan has lost its way.
    let patience = (20 * began.elapsed()).clamp(LEAST, MOST);
    eprintln!("{}: {}", first.oracle, first.detail);
    // A planted bug is to be what fails: without it the plan passes.
    let blameless = |candidate: &Value, slot| match &bare {
        Some(bare) => Ok(!bare.fails(candidate, slot, patience)?.is_some_and(|failure| failure.is_like(&first))),
        None => anyhow::Ok(true),
    };
    let alike = |candidates: &[Value]| -> anyhow::Result<Vec<bool>> {
        std::thread::scope(|scope| {
            let runs: Vec<_> = candidates
                .iter()
                .enumerate()
                .map(|(slot, candidate)| {
                    let (runner, first, blameless) = (&runner, &first, &blameless);
                    scope.spawn(move || {
                        let fails = runner.fails(candidate, slot, patience)?.is_some_and(|failure| failure.is_like(first));
                        anyhow::Ok(fails && blameless(candidate, slot)?)
                    })
                })
                .collect();
            runs.into_iter()
                .map(|run| match run.join() {
                    Ok(alike) => alike,
                    Err(_) => bail!("a try panicked"),
                })
                .collect()
        })
    };
    let deadline = began + Duration::from_secs(60 * options.minutes);
    let mut search = Search {
        plan: before.clone(),
        test: &alike,
        jobs: options.jobs.max(1),
        tries: options.tries,
        over: &|| now() >= deadline,
        known: BTreeMap::new(),
        tried: 0,
    };
    search.all(&mut |pass, plan, tried| {
        eprintln!("{pass:<14} {}; {tried} tries, {:.0} s", size(plan), began.elapsed().as_secs_f64());
    })?;
    let (after, tried) = (search.plan, search.tried);
    let last = runner.fails(&after, 0, MOST)?;
    let Some(last) = last.filter(|last| last.is_like(&first)) else { bail!("the shrunk plan does not fail again as it did") };
    let text = Plan::from_json(&after.to_string())?.to_json();
    if let Some(folder) = options.out.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(&options.out, text).with_context(|| format!("cannot write {}", options.out.display()))?;
    println!("before:  {}", size(&before));
    println!("after:   {}; {tried} tries", size(&after));
    println!("fails:   {}: {}", last.oracle, last.detail);
    let bug = options.planted.as_deref();
    let (arm, bug) = bug.map_or(("sim", String::new()), |bug| ("planted", format!(" --planted {bug}")));
    println!("replay:  cargo {arm} replay {}{bug}", options.out.display());
    Ok(ExitCode::SUCCESS)
}

/// How long a candidate may take at least and at most.
const LEAST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(300);

fn size(plan: &Value) -> String {
    let Ok(read) = Plan::from_json(&plan.to_string()) else { return "no plan".into() };
    let clients = read.clients.iter().filter(|client| !client.asks.is_empty()).count();
    let (steps, servers, requests) = (read.steps.len(), read.servers.len(), read.requests());
    format!("{steps} steps, {clients} clients, {requests} requests, {servers} servers, {} bytes", plan.to_string().len())
}

impl Failure {
    /// The same oracle, in the same words but for what numbers and names they hold: a plan that asks for nonsense can fail by the same
    /// oracle for another reason. Of panics, which have but one oracle, the same place.
    fn is_like(&self, other: &Self) -> bool {
        let place = |failure: &Self| failure.detail.rsplit_once("(at ").map(|(_, place)| place.to_owned());
        self.oracle == other.oracle
            && if self.oracle == "O17" { place(self) == place(other) } else { words(&self.detail) == words(&other.detail) }
    }

    /// From what a run printed; none if it passed.
    fn read(output: &str) -> Option<Self> {
        let mut lines = output.lines().skip_while(|line| !line.starts_with("invariant:"));
        let (oracle, _) = lines.next()?.strip_prefix("invariant:")?.trim().split_once(':')?;
        Some(Self { oracle: oracle.to_owned(), detail: lines.next().unwrap_or_default().trim().to_owned() })
    }
}

/// The words of a sentence that are the same for every request, server and time.
fn words(detail: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let plain = |c: char| {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth = depth.saturating_sub(1),
            _ => return depth > 0 || !c.is_alphanumeric() && c != '_' && c != '-',
        }
        true
    };
    let method = |word: &&str| ["GET", "POST"].contains(word);
    detail.split(plain).filter(|word| !word.contains(|c: char| c.is_ascii_digit()) && !word.is_empty() && !method(word)).collect()
}

/// The search for a small plan.
struct Search<'a> {
    plan: Value,
    /// Which of these plans fail alike.
    test: &'a dyn Fn(&[Value]) -> anyhow::Result<Vec<bool>>,
    jobs: usize,
    /// How many more plans may be tried.
    tries: u64,
    over: &'a dyn Fn() -> bool,
    /// What came of plans that were tried.
    known: BTreeMap<u64, bool>,
    tried: u64,
}

impl Search<'_> {
    /// All passes, again and again, until none makes the plan smaller.
    fn all(&mut self, tell: &mut dyn FnMut(&str, &Value, u64)) -> anyhow::Result<()> {
        loop {
            let before = self.plan.clone();
            for pass in &edit::PASSES {
                loop {
                    let smaller = self.reduce((pass.edits)(&self.plan))?;
                    if smaller {
                        tell(pass.name, &self.plan, self.tried);
                    }
                    if !(smaller && pass.again) {
                        break;
                    }
                }
            }
            if self.plan == before || self.is_over() {
                return Ok(());
            }
        }
    }

    fn is_over(&self) -> bool {
        self.tried >= self.tries || (self.over)()
    }

    /// Takes over as many of the edits as the failure allows: all at once, then halves, and finer. True if any was.
    fn reduce(&mut self, edits: Vec<Edit>) -> anyhow::Result<bool> {
        let base = self.plan.clone();
        let sound = |edit: &Edit| !self.is_over() && edit::is_plan(&edit::apply(&base, &[edit]));
        let mut left: Vec<Edit> = edits.into_iter().filter(sound).collect();
        let mut taken: Vec<Edit> = Vec::new();
        let mut size = left.len();
        while size > 0 && !self.is_over() {
            let chunks: Vec<Vec<Edit>> = left.chunks(size).map(<[Edit]>::to_vec).collect();
            left.clear();
            let mut next = 0;
            while next < chunks.len() && !self.is_over() {
                let batch = &chunks[next..chunks.len().min(next + self.jobs)];
                let candidates: Vec<_> =
                    batch.iter().map(|chunk| edit::apply(&base, &taken.iter().chain(chunk).collect::<Vec<_>>())).collect();
                let good = self.first_alike(&candidates)?;
                let refused = good.unwrap_or(batch.len());
                left.extend(batch[..refused].iter().flatten().cloned());
                next += refused;
                if let Some(good) = good {
                    taken.extend(batch[good].iter().cloned());
                    self.plan.clone_from(&candidates[good]);
                    next += 1;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        Ok(self.plan != base)
    }

    /// The first of these that fails alike. What comes after it counts as not tried: another number of jobs would not have tried it.
    fn first_alike(&mut self, candidates: &[Value]) -> anyhow::Result<Option<usize>> {
        let keys: Vec<_> = candidates.iter().map(|plan| key(&plan.to_string())).collect();
        let wanted: Vec<_> = (0..candidates.len())
            .filter(|n| !self.known.contains_key(&keys[*n]) && candidates[*n] != self.plan && edit::is_plan(&candidates[*n]))
            .collect();
        let results = (self.test)(&wanted.iter().map(|n| candidates[*n].clone()).collect::<Vec<_>>())?;
        let results: BTreeMap<_, _> = wanted.into_iter().zip(results).collect();
        for n in 0..candidates.len() {
            let fails = match results.get(&n) {
                Some(_) if self.tried >= self.tries => return Ok(None),
                Some(fails) => {
                    self.tried += 1;
                    self.known.insert(keys[n], *fails);
                    *fails
                }
                None => self.known.get(&keys[n]).copied().unwrap_or(false),
            };
            if fails {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }
}

/// A short name of a plan.
fn key(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Runs candidates in processes of their own, in a folder of its own.
struct Runner {
    exe: PathBuf,
    folder: PathBuf,
    planted: Option<String>,
}

impl Runner {
    fn new(planted: Option<String>) -> anyhow::Result<Self> {
        let kind = if planted.is_some() { "planted" } else { "bare" };
        let folder = std::env::temp_dir().join(format!("fairlead-shrink-{kind}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { exe: std::env::current_exe().context("where is this binary?")?, folder, planted })
    }

    /// How the plan fails; none if it passes, or takes longer than `patience`. Plans that run at once have slots of their own.
    fn fails(&self, plan: &Value, slot: usize, patience: Duration) -> anyhow::Result<Option<Failure>> {
        let [file, output] = ["plan", "output"].map(|name| self.folder.join(format!("{name}-{slot}")));
        std::fs::write(&file, plan.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let said = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let mut command = Command::new(&self.exe);
        command.arg("replay").arg(&file).stdin(Stdio::null()).stdout(said).stderr(Stdio::null());
        if let Some(bug) = &self.planted {
            command.args(["--planted", bug]);
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.exe.display()))?;
        let deadline = now() + patience;
        while child.try_wait()?.is_none() {
            if now() > deadline {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            pause();
        }
        Ok(Failure::read(&read(&output)?))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Err(e) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {e}", self.folder.display());
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    ensure!(bytes.len() < 64 << 20, "{} is too long for the output of a run", file.display());
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "the search runs outside of the simulation, and is bounded by real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the search runs outside of the simulation, and waits for processes")]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

#[cfg(test)]
mod tests;
