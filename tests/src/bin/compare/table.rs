//! `cargo compare --table FILE`: README's table, of what a run has left in its JSON file.

use crate::{
    goals::{Goal, ROWS, Row, To},
    outcome::FAILED,
};
use serde_json::Value;

/// Other proxies, and their names for people.
const PEERS: &[(&str, &str)] = &[("nginx", "nginx"), ("haproxy", "HAProxy"), ("caddy", "Caddy")];

/// The table in Markdown, with a line that says where it was measured.
///
/// # Errors
/// The file cannot be read, or was not written by this program.
pub fn of_file(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let report: Value = serde_json::from_str(&text).map_err(|e| format!("{path}: {e}"))?;
    if !report["scenarios"].is_object() {
        return Err(format!("{path}: expected a file that `cargo compare --json` wrote"));
    }
    Ok(of(&report))
}

fn of(report: &Value) -> String {
    let scenarios = &report["scenarios"];
    let shown: Vec<_> = ROWS.iter().filter(|row| figure(scenarios, row, row.ours).is_some()).collect();
    let took_part = |name: &str| shown.iter().any(|row| figure(scenarios, row, name).is_some());
    let peers: Vec<_> = PEERS.iter().filter(|(name, _)| took_part(name)).collect();
    let mut heads = vec!["scenario", "Fairlead"];
    heads.extend(peers.iter().map(|(_, name)| *name));
    heads.extend(["ratio to the better", "goal", "met"]);
    let mut lines = vec![line(&heads), line(&vec!["---"; heads.len()])];
    for row in shown {
        let value = |name: &str| figure(scenarios, row, name).map_or("-".to_owned(), |value| shown_value(value, row.unit));
        let mut cells = vec![row.label.to_owned(), value(row.ours)];
        cells.extend(peers.iter().map(|(name, _)| value(name)));
        let goals: Vec<_> = row.goals.iter().map(|goal| told(*goal, row.unit)).collect();
        let met = match met(scenarios, row) {
            // What went wrong may be why it looks good.
            Some(true) if report["problems"][row.scenario].is_array() => "yes, but see below",
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        cells.extend([ratio(scenarios, row), goals.join(", "), met.to_owned()]);
        lines.push(line(&cells));
    }
    lines.push(String::new());
    lines.push(whereabouts(report));
    for (scenario, problems) in report["problems"].as_object().into_iter().flatten() {
        let problems: Vec<_> = problems.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        lines.push(format!("Wrong in `{scenario}`: {}.", problems.join("; ")));
    }
    lines.join("\n") + "\n"
}

fn line<T: AsRef<str>>(cells: &[T]) -> String {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |", cells.join(" | "))
}

fn figure(scenarios: &Value, row: &Row, column: &str) -> Option<f64> {
    scenarios[row.scenario][column][row.figure].as_f64()
}

/// The column's figure, or that of the better of the other proxies that failed no request.
fn other(scenarios: &Value, row: &Row, to: To) -> Option<f64> {
    match to {
        To::Column(name) => figure(scenarios, row, name),
        To::Better => {
            let failed = |name: &str| scenarios[row.scenario][name][FAILED].as_f64().is_some_and(|failed| failed > 0.0);
            let peers = PEERS.iter().filter(|(name, _)| !failed(name));
            peers.filter_map(|(name, _)| figure(scenarios, row, name)).min_by(f64::total_cmp)
        }
    }
}

fn ratio(scenarios: &Value, row: &Row) -> String {
    let ratio = other(scenarios, row, row.base).and_then(|base| Some(figure(scenarios, row, row.ours)? / base));
    ratio.filter(|ratio| ratio.is_finite()).map(|ratio| format!("{ratio:.2}")).unwrap_or_default()
}

/// Whether all goals are met that can be judged; `None` without any.
fn met(scenarios: &Value, row: &Row) -> Option<bool> {
    let ours = figure(scenarios, row, row.ours)?;
    let judged = row.goals.iter().filter_map(|goal| match *goal {
        Goal::AtMost(limit) => Some(ours <= limit),
        Goal::Ratio(to, limit) => Some(ours <= other(scenarios, row, to)? * limit),
    });
    judged.reduce(|one, other| one && other)
}

fn told(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::AtMost(limit) => format!("≤ {limit}{unit}"),
        Goal::Ratio(To::Better, limit) => format!("≤ {limit:.2} the better"),
        Goal::Ratio(To::Column(name), limit) => {
            let peer = PEERS.iter().find(|(peer, _)| *peer == name).map(|(_, name)| format!(" {name}"));
            format!("≤ {limit:.2}{}", peer.unwrap_or_default())
        }
    }
}

/// Three figures, or as many as stand before the point.
fn shown_value(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}{unit}")
}

fn whereabouts(report: &Value) -> String {
    let machine = &report["machine"];
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let versions = machine["versions"].as_object().into_iter().flatten();
    let versions: Vec<_> = versions.map(|(name, version)| format!("{name} {}", text(version))).collect();
    format!(
        "{}, {} CPUs, Linux {}; {}. Medians of {} rounds of {} s.",
        text(&machine["cpu"]),
        machine["cpus"],
        text(&machine["kernel"]),
        versions.join(", "),
        report["rounds"],
        report["seconds"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(scenarios: Value) -> Vec<String> {
        let machine = json!({ "cpu": "A CPU", "cpus": 2, "kernel": "6.1", "versions": { "nginx": "1.22.1" } });
        let report = json!({ "machine": machine, "rounds": 5, "seconds": 3, "scenarios": scenarios });
        of(&report).lines().map(str::to_owned).collect()
    }

    fn cpu(values: &[(&str, f64)]) -> Value {
        values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!({ "cpuMicros": value })))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn a_row_has_the_proxies_the_ratio_and_whether_the_goal_is_met() {
        let lines = table(json!({
            "h1-keepalive-64": cpu(&[("nginx", 20.0), ("haproxy", 21.0), ("fairlead", 16.0)]),
            "h1-close": cpu(&[("nginx", 100.0), ("haproxy", 200.0), ("fairlead", 96.0)]),
        }));
        assert_eq!(lines[0], "| scenario | Fairlead | nginx | HAProxy | ratio to the better | goal | met |");
        assert_eq!(
            lines[2],
            "| HTTP/1.1 keep-alive, 64 connections | 16.0 µs | 20.0 µs | 21.0 µs | 0.80 | ≤ 0.85 nginx, ≤ 0.80 HAProxy | yes |"
        );
        assert_eq!(lines[3], "| one request per connection | 96.0 µs | 100 µs | 200 µs | 0.96 | ≤ 0.95 the better | no |");
        assert_eq!(lines[5], "A CPU, 2 CPUs, Linux 6.1; nginx 1.22.1. Medians of 5 rounds of 3 s.");
    }

    #[test]
    fn who_fails_requests_is_not_the_better() {
        let mut scenario = cpu(&[("nginx", 100.0), ("caddy", 1.0), ("fairlead", 90.0)]);
        scenario["caddy"][FAILED] = json!(5);
        let lines = table(json!({ "h1-close": scenario }));
        assert_eq!(lines[2], "| one request per connection | 90.0 µs | 100 µs | 1.00 µs | 0.90 | ≤ 0.95 the better | yes |");
    }

    #[test]
    fn a_goal_that_was_met_by_doing_less_says_so() {
        let scenarios = json!({ "access-log": cpu(&[("fairlead-off", 10.0), ("fairlead-on", 10.5)]) });
        let report = json!({ "scenarios": scenarios, "problems": { "access-log": ["7 lines were dropped"] } });
        let table = of(&report);
        assert!(table.contains("| ≤ 1.10 | yes, but see below |"), "{table}");
        assert!(table.ends_with("Wrong in `access-log`: 7 lines were dropped.\n"), "{table}");
    }

    #[test]
    fn one_missed_goal_of_two_is_missed() {
        let lines = table(json!({ "h1-keepalive-512": cpu(&[("nginx", 20.0), ("haproxy", 18.0), ("fairlead", 16.0)]) }));
        assert!(lines[2].ends_with("| no |"), "{}", lines[2]);
    }

    #[test]
    fn what_is_fairleads_alone_is_compared_with_itself() {
        let lines = table(json!({
            "routes": cpu(&[("fairlead-10", 20.0), ("fairlead-1000", 24.0), ("fairlead-10000", 20.8)]),
            "access-log": cpu(&[("fairlead-off", 10.0), ("fairlead-on", 11.5)]),
        }));
        assert_eq!(lines[2], "| 10 routers | 20.0 µs | 1.00 |  |  |");
        assert_eq!(lines[3], "| 1,000 routers, to 10 | 24.0 µs | 1.20 |  |  |");
        assert_eq!(lines[4], "| 10,000 routers, to 10 | 20.8 µs | 1.04 | ≤ 1.05 | yes |");
        assert_eq!(lines[5], "| access log, to none | 11.5 µs | 1.15 | ≤ 1.10 | no |");
    }

    #[test]
    fn absolute_goals_need_no_peer() {
        let lines = table(json!({
            "idle": { "fairlead": { "idlePlainKiB": 2.0, "idleTlsKiB": 12.5 } },
            "changes-10000": { "fairlead": { "p99Millis": 12.0, "failed": 0.0 } },
        }));
        assert_eq!(lines[2], "| idle connection, plain | 2.00 KiB |  | ≤ 2 KiB | yes |");
        assert_eq!(lines[3], "| idle connection, TLS | 12.5 KiB |  | ≤ 12 KiB | no |");
        assert_eq!(lines[4], "| change at 10,000 services, p99 | 12.0 ms |  | ≤ 30 ms | yes |");
        assert_eq!(lines[5], "| change at 10,000 services, failed requests | 0 |  | ≤ 0 | yes |");
    }
}
