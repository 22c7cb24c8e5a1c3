//! The timeline of a run: one HTML file that needs nothing else, for a person who wants to see what happened.
//!
//! Owns the page around the [`model`]. The page draws; what belongs together (a request and its arrivals, a fault and its end) is
//! put together here, from marks and not from prose.

mod model;
#[cfg(test)]
mod tests;

use crate::{run::Report, words};
use model::Model;
use serde::Serialize;

const PAGE: &str = include_str!("timeline/page.html");
const STYLE: &str = include_str!("timeline/style.css");
const SCRIPT: [&str; 3] = [include_str!("timeline/view.js"), include_str!("timeline/paint.js"), include_str!("timeline/page.js")];

/// Bytes of lines that a page holds at most: of a longer run, the last ones.
const LINES: usize = 1_200_000;

/// All that the page is given.
#[derive(Serialize)]
struct Data<'a> {
    scenario: &'a str,
    seed: u64,
    verdict: String,
    command: String,
    violation: Option<Broken<'a>>,
    figures: Vec<(&'static str, u64)>,
    options: Vec<String>,
    faults_drawn: Vec<String>,
    #[serde(flatten)]
    model: Model,
    /// Lines that are not in `lines`, which were before it.
    left_out: usize,
    lines: Vec<&'a str>,
}

#[derive(Serialize)]
struct Broken<'a> {
    oracle: &'static str,
    class: String,
    invariant: &'static str,
    detail: &'a str,
}

/// The page of a run that kept its lines and marks.
pub fn page(report: &Report) -> String {
    let counts = &report.counts;
    let (left_out, lines) = last(&report.trace, LINES);
    let data = Data {
        scenario: &report.plan.scenario,
        seed: report.plan.seed,
        verdict: report.verdict(),
        command: report.command(),
        violation: report.violation.as_ref().map(|violation| Broken {
            oracle: violation.oracle.id(),
            class: violation.oracle.class().to_string(),
            invariant: violation.oracle.invariant(),
            detail: &violation.detail,
        }),
        figures: vec![
            ("requests", counts.asked),
            ("arrivals", counts.arrivals),
            ("configurations", counts.snapshots),
            ("checks", counts.checks),
            ("events", report.step),
        ],
        options: words::options(&report.plan),
        faults_drawn: words::faults(&report.plan),
        model: Model::new(&report.marks, report.virtual_ms * 1000),
        left_out,
        lines,
    };
    assembled(&serde_json::to_string(&data).expect("the model has no key that is not text"))
}

fn assembled(data: &str) -> String {
    // Nothing in the data can end the element that it stands in.
    let data = data.replace('<', "\\u003c");
    PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &SCRIPT.concat()).replace("/*DATA*/", &data)
}

/// The last lines that fit, and how many do not.
fn last(lines: &str, most: usize) -> (usize, Vec<&str>) {
    let mut kept: Vec<_> = lines.lines().collect();
    let mut size = 0;
    let first = kept.iter().rposition(|line| {
        size += line.len() + 4;
        size > most
    });
    let left_out = first.map_or(0, |first| first + 1);
    (left_out, kept.split_off(left_out))
}
