//! What a scenario came to: a column for each that took part, a round for each turn that it had, figures by name.
//!
//! The unit is in a figure's name (`cpuMicros`). The first figure is the one that ratios are taken of.

use crate::measure::median;
use serde_json::{Map, Value, json};
use std::fmt;

/// Requests that were not answered as they should have been: added up where others are medians.
pub const FAILED: &str = "failed";

const PEERS: &[&str] = &["nginx", "haproxy", "caddy"];

/// One turn of one column.
pub type Round = Vec<(&'static str, f64)>;

/// One of those that took part.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub name: String,
    pub rounds: Vec<Round>,
    /// Single measurements behind the figures, where there are few enough to keep.
    pub single: Vec<f64>,
}

/// What a ratio is taken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The cheapest of the other proxies that failed no request: to refuse is cheap.
    BestPeer,
    /// The first column.
    First,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub base: Base,
    pub columns: Vec<Column>,
    /// What went wrong, other than failed requests.
    pub wrong: Vec<String>,
}

impl Column {
    /// Names of its figures, in the order of the first round.
    pub fn figures(&self) -> Vec<&'static str> {
        self.rounds.first().into_iter().flatten().map(|(name, _)| *name).collect()
    }

    /// A figure over all rounds; NaN if there is none.
    pub fn figure(&self, name: &str) -> f64 {
        let all = self.rounds.iter().flatten().filter(|(n, value)| *n == name && !value.is_nan()).map(|(_, value)| *value);
        if name == FAILED { all.sum() } else { median(all) }
    }

    fn main(&self) -> f64 {
        self.figures().first().map_or(f64::NAN, |name| self.figure(name))
    }
}

impl Outcome {
    /// Columns to be compared, with nothing wrong.
    pub fn new(base: Base, columns: Vec<Column>) -> Self {
        Self { base, columns, wrong: Vec::new() }
    }

    /// What went wrong, failed requests included. Those of other proxies are theirs: they stand among the figures.
    pub fn problems(&self) -> Vec<String> {
        let ours = self.columns.iter().filter(|column| !PEERS.contains(&column.name.as_str()));
        let failed = ours.map(|column| (&column.name, column.figure(FAILED))).filter(|(_, failed)| *failed > 0.0);
        self.wrong.iter().cloned().chain(failed.map(|(name, failed)| format!("{failed} requests failed at {name}"))).collect()
    }

    /// As it is kept: medians, the ratio, and every round.
    pub fn json(&self) -> Value {
        self.columns.iter().map(|column| (column.name.clone(), self.column_json(column))).collect::<Map<_, _>>().into()
    }

    fn column_json(&self, column: &Column) -> Value {
        let figures = column.figures().into_iter().map(|name| (name.to_owned(), json!(column.figure(name))));
        let mut value: Map<_, _> = figures.collect();
        let name = if self.base == Base::BestPeer { "ratioToBestPeer" } else { "ratioToFirst" };
        value.insert(name.to_owned(), json!(self.ratio(column)));
        let round = |round: &Round| round.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>();
        value.insert("samples".to_owned(), column.rounds.iter().map(round).collect::<Vec<_>>().into());
        if !column.single.is_empty() {
            value.insert("single".to_owned(), json!(column.single));
        }
        value.into()
    }

    fn ratio(&self, column: &Column) -> Option<f64> {
        let base = match self.base {
            Base::First => self.columns.first().map(Column::main),
            Base::BestPeer => {
                let peers = self.columns.iter().filter(|column| PEERS.contains(&column.name.as_str()));
                let peers = peers.filter(|column| column.figure(FAILED) == 0.0);
                peers.map(Column::main).filter(|value| !value.is_nan()).min_by(f64::total_cmp)
            }
        };
        base.map(|base| column.main() / base).filter(|ratio| ratio.is_finite())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last has all that any has: what is measured directly may lack what a proxy adds.
        let Some(figures) = self.columns.last().map(Column::figures) else { return writeln!(f, "  nobody took part") };
        write!(f, "  {:16}", "")?;
        figures.iter().try_for_each(|name| write!(f, " {:>width$}", name, width = width(name)))?;
        writeln!(f, "   ratio")?;
        for column in &self.columns {
            write!(f, "  {:16}", column.name)?;
            for name in &figures {
                let value = column.figure(name);
                let text = match value {
                    value if value.is_nan() => "-".to_owned(),
                    value if value.fract() == 0.0 || value.abs() >= 10_000.0 => format!("{value:.0}"),
                    value => format!("{value:.2}"),
                };
                write!(f, " {text:>width$}", width = width(name))?;
            }
            let ratio = self.ratio(column).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
            writeln!(f, " {ratio:>7}")?;
        }
        self.problems().iter().try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}

fn width(figure: &str) -> usize {
    figure.len().max(9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, rounds: &[(f64, f64)]) -> Column {
        let rounds = rounds.iter().map(|(cpu, failed)| vec![("cpuMicros", *cpu), (FAILED, *failed)]).collect();
        Column { name: name.to_owned(), rounds, single: Vec::new() }
    }

    #[test]
    fn figures_are_medians_and_failures_add_up() {
        let column = column("nginx", &[(1.0, 1.0), (5.0, 0.0), (2.0, 2.0)]);
        assert_eq!((column.figure("cpuMicros"), column.figure(FAILED)), (2.0, 3.0));
        assert!(column.figure("other").is_nan());
    }

    #[test]
    fn ratios_are_to_the_cheapest_peer_or_the_first() {
        let columns = vec![column("direct", &[(1.0, 0.0)]), column("haproxy", &[(4.0, 0.0)]), column("fairlead", &[(2.0, 0.0)])];
        let outcome = Outcome::new(Base::BestPeer, columns.clone());
        assert_eq!(outcome.json()["fairlead"]["ratioToBestPeer"], json!(0.5));
        assert_eq!(outcome.json()["fairlead"]["samples"][0]["cpuMicros"], json!(2.0));
        let outcome = Outcome::new(Base::First, columns);
        assert_eq!(outcome.json()["fairlead"]["ratioToFirst"], json!(2.0));
    }

    #[test]
    fn who_fails_requests_is_not_the_cheapest() {
        let columns = vec![column("caddy", &[(0.1, 7.0)]), column("nginx", &[(2.0, 0.0)]), column("fairlead", &[(1.0, 0.0)])];
        assert_eq!(Outcome::new(Base::BestPeer, columns).json()["fairlead"]["ratioToBestPeer"], 0.5);
    }

    #[test]
    fn without_peers_there_is_no_ratio() {
        let outcome = Outcome::new(Base::BestPeer, vec![column("fairlead", &[(2.0, 0.0)])]);
        assert_eq!(outcome.json()["fairlead"]["ratioToBestPeer"], Value::Null);
    }

    #[test]
    fn failed_requests_are_a_problem() {
        let columns = ["nginx", "fairlead"].map(|name| column(name, &[(1.0, 2.0)])).to_vec();
        let outcome = Outcome::new(Base::First, columns);
        assert_eq!(outcome.problems(), ["2 requests failed at fairlead"], "another proxy's are its own");
        assert!(outcome.to_string().contains("2 requests failed at fairlead"));
    }
}
