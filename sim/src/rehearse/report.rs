//! Many runs put together, for a person or a program.
//!
//! Owns the words and their order. The same finding of many seeds is told once, with the first seed and how many there were.

use super::{
    blueprint::Blueprint,
    finding::{Finding, Severity},
    record::Tally,
    run::Outcome,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// See the head of this file.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was rehearsed: files.
    pub of: Vec<String>,
    pub replaced: Vec<String>,
    /// Routers without a request, and why.
    pub unexercised: BTreeMap<String, String>,
    pub seeds: usize,
    pub virtual_ms: u64,
    /// Incidents by kind and target.
    pub tried: BTreeMap<String, usize>,
    /// Incidents that no seed had.
    pub untried: Vec<String>,
    pub routers: BTreeMap<String, Tally>,
    pub tolerated: u64,
    pub refused_at_the_end: u64,
    pub notes: Vec<String>,
    pub findings: Vec<Grouped>,
}

/// A finding with all the seeds that had it.
#[derive(Debug, Serialize)]
pub struct Grouped {
    #[serde(flatten)]
    pub finding: Finding,
    pub seeds: usize,
    /// The first of them; none for what was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replay: String,
}

impl Report {
    /// Puts runs together. `command` is what replays a seed when `--seed N` is added to it.
    pub fn new(
        blueprint: &Blueprint,
        of: Vec<String>,
        mut outcomes: Vec<Outcome>,
        statics: Vec<Finding>,
        all: &[String],
        command: &str,
    ) -> Self {
        outcomes.sort_by_key(|outcome| outcome.seed);
        let mut report = Self {
            of,
            replaced: blueprint.replaced.clone(),
            unexercised: blueprint.unexercised.iter().cloned().collect(),
            seeds: outcomes.len(),
            virtual_ms: outcomes.iter().map(|outcome| outcome.virtual_ms).sum(),
            tried: BTreeMap::new(),
            untried: Vec::new(),
            routers: BTreeMap::new(),
            tolerated: 0,
            refused_at_the_end: 0,
            notes: Vec::new(),
            findings: Vec::new(),
        };
        let mut groups: BTreeMap<(String, String), Grouped> = BTreeMap::new();
        for outcome in outcomes {
            let judged = outcome.judged;
            judged.tried.into_iter().for_each(|what| *report.tried.entry(what).or_default() += 1);
            for (router, tally) in judged.tallies {
                report.routers.entry(router).or_default().add(&tally);
            }
            report.refused_at_the_end += judged.refused_at_the_end;
            report.tolerated += judged.tolerated;
            let mut here: Vec<(String, String)> = Vec::new();
            for finding in judged.findings {
                let key = (finding.code.clone(), finding.subject.clone());
                let counted = here.contains(&key);
                here.push(key.clone());
                let group = groups.entry(key).or_insert_with(|| Grouped {
                    finding: finding.clone(),
                    seeds: 0,
                    first: Some(outcome.seed),
                    replay: format!("{command} --seed {}", outcome.seed),
                });
                group.seeds += usize::from(!counted);
                for fault in finding.faults {
                    if !group.finding.faults.contains(&fault) {
                        group.finding.faults.push(fault);
                    }
                }
            }
        }
        report.untried = all.iter().filter(|what| !report.tried.contains_key(*what)).cloned().collect();
        report.findings = groups.into_values().collect();
        let read = |finding| Grouped { finding, seeds: 0, first: None, replay: String::new() };
        report.findings.extend(statics.into_iter().map(read));
        report.findings.sort_by(|a, b| {
            let order = |g: &Grouped| (g.finding.severity, !g.finding.seen, g.finding.code.clone(), g.finding.subject.clone());
            order(a).cmp(&order(b))
        });
        report.remark(blueprint);
        report
    }

    /// What is worth a word and no finding.
    fn remark(&mut self, blueprint: &Blueprint) {
        let unavoidable: u64 = self.routers.values().map(|tally| tally.unavoidable).sum();
        if unavoidable > 0 {
            self.notes.push(format!(
                "{unavoidable} requests were lost that no configuration saves: a POST at a server that died or hung (nobody knows whether it was done), or an answer cut in its middle."
            ));
        }
        if self.tolerated > 0 {
            self.notes.push(format!(
                "{} failures are held against nobody: in the first 10 s of a fault, before health checks could have told; of a service's only server that answered 500 or too slowly; by limits, in a crowd.",
                self.tolerated
            ));
        }
        let lame = blueprint.config.entry_points.values().any(|entry| entry.life_cycle.request_accept_grace.is_zero());
        if self.refused_at_the_end > 0 && lame {
            self.notes.push(format!(
                "{} requests came after SIGTERM and were refused at once: requestAcceptGraceTimeout is 0, so whoever sends traffic here has to stop before.",
                self.refused_at_the_end
            ));
        }
    }

    /// For programs.
    ///
    /// # Panics
    /// Never: a report is always JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|e| panic!("a report is always JSON: {e}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Rehearsal of {}", self.of.join(" and "))?;
        section(f, "In place of the real world")?;
        self.replaced.iter().try_for_each(|line| item(f, line))?;
        for (router, why) in &self.unexercised {
            item(f, &format!("router {router}: not exercised: {why}"))?;
        }
        section(f, "Tried")?;
        let minutes = self.virtual_ms as f64 / 60_000.0;
        item(
            f,
            &match self.seeds {
                1 => format!("1 seed, {minutes:.1} minutes of the world's time"),
                n => format!("{n} seeds, {minutes:.1} minutes of the world's time; seed 0 is without incidents"),
            },
        )?;
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (what, times) in &self.tried {
            let (kind, target) = what.split_once(' ').unwrap_or((what, ""));
            kinds.entry(kind).or_default().push(if target.is_empty() {
                format!("×{times}")
            } else {
                format!("{target} ×{times}")
            });
        }
        for (kind, targets) in kinds {
            item(f, &format!("{kind}: {}", clipped(&targets)))?;
        }
        if !self.untried.is_empty() {
            item(f, &format!("not tried in these seeds: {}", clipped(&self.untried)))?;
        }
        section(f, "Held")?;
        for (router, tally) in &self.routers {
            let name = if router.is_empty() { "(no router)" } else { router };
            let failed = match tally.failed {
                0 => "none failed".to_owned(),
                n => format!("{n} failed"),
            };
            item(f, &format!("{name}: {} requests, {failed}; slowest {:.1} s", tally.asked, tally.slowest_ms as f64 / 1000.0))?;
        }
        self.notes.iter().try_for_each(|line| item(f, line))?;
        section(f, "Findings")?;
        if self.findings.is_empty() {
            item(f, "none")?;
        }
        for (n, group) in self.findings.iter().enumerate() {
            let Finding { code, severity, seen, subject, what, faults, key, place, remedy } = &group.finding;
            let severity = match severity {
                Severity::Defect => "DEFECT",
                Severity::Error => "ERROR",
                Severity::Warning => "WARNING",
            };
            let read = if *seen { "" } else { " (read off the configuration, not seen to fail)" };
            writeln!(f, "\n  {}. {severity} {code}: {subject}{read}", n + 1)?;
            paragraph(f, what)?;
            if !faults.is_empty() {
                paragraph(f, &format!("Under:  {}", clipped(faults)))?;
            }
            match (key.is_empty(), place.is_empty()) {
                (false, false) => paragraph(f, &format!("Key:    {key} ({place})"))?,
                (true, false) => paragraph(f, &format!("Where:  {place}"))?,
                _ => {}
            }
            if !remedy.is_empty() {
                paragraph(f, &format!("Remedy: {remedy}"))?;
            }
            if let Some(first) = group.first {
                paragraph(
                    f,
                    &match self.seeds {
                        1 => format!("Seen in seed {first}:"),
                        n => format!("Seen in {} of {n} seeds, first in seed {first}:", group.seeds),
                    },
                )?;
                writeln!(f, "       {}", group.replay)?;
            }
        }
        let s = if self.findings.len() == 1 { "" } else { "s" };
        writeln!(f, "\n{} finding{s}. What each means: docs/rehearse.md", self.findings.len())
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str) -> fmt::Result {
    writeln!(f, "\n{title}")
}

fn item(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    wrapped(f, text, "  - ", "    ")
}

fn paragraph(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    wrapped(f, text, "     ", "     ")
}

fn clipped(list: &[String]) -> String {
    const MOST: usize = 12;
    match list.len() {
        n if n > MOST => format!("{} and {} more", list[..MOST].join(", "), n - MOST),
        _ => list.join(", "),
    }
}

/// At 100 columns, between words.
fn wrapped(f: &mut fmt::Formatter<'_>, text: &str, first: &str, others: &str) -> fmt::Result {
    let mut line = first.to_owned();
    let mut fresh = true;
    for word in text.split(' ') {
        if !fresh && line.chars().count() + word.chars().count() > 98 {
            writeln!(f, "{}", line.trim_end())?;
            line = others.to_owned();
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    writeln!(f, "{}", line.trim_end())
}
