//! A plan's data in words, whatever fields it has: steps for the timeline, options and faults for the block of a failure.
//!
//! Made from the plan's JSON, so that what is added to a plan is told without a change here.

use crate::{fault::Fault, plan::Plan};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A step, or a part of one: `cut from gateway, to server 3`.
pub fn told(part: &impl Serialize) -> String {
    match serde_json::to_value(part) {
        // What happens to a Swarm says so itself.
        Ok(Value::Object(mut fields)) if fields.len() == 1 && fields.contains_key("swarm") => value_told(&fields["swarm"].take()),
        Ok(value) => value_told(&value),
        Err(e) => e.to_string(),
    }
}

fn value_told(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => text.replace('_', " "),
        Value::Array(all) => all.iter().map(value_told).collect::<Vec<_>>().join(" "),
        // A variant of an enumeration.
        Value::Object(fields) if fields.len() == 1 => {
            fields.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), value_told(value))).collect()
        }
        Value::Object(fields) => fields.iter().filter_map(|(name, value)| field_told(name, value)).collect::<Vec<_>>().join(", "),
    }
}

/// What is absent or false goes without saying, and so does what only draws details.
fn field_told(name: &str, value: &Value) -> Option<String> {
    if matches!(name, "pick" | "order") {
        return None;
    }
    let name = name.replace('_', " ");
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(name),
        value => Some(format!("{name} {}", value_told(value))),
    }
}

/// What a plan was drawn with: its scalars by their names, and how long its lists are.
pub fn options(plan: &Plan) -> Vec<String> {
    let mut options = Vec::new();
    if let Ok(Value::Object(fields)) = serde_json::to_value(plan) {
        let told_elsewhere = |name: &str| matches!(name, "scenario" | "seed");
        collect("", &fields.into_iter().filter(|(name, _)| !told_elsewhere(name)).collect(), &mut options);
    }
    options.push(format!("requests={}", plan.requests()));
    options
}

fn collect(prefix: &str, fields: &Map<String, Value>, into: &mut Vec<String>) {
    for (name, value) in fields {
        let name = format!("{prefix}{name}");
        match value {
            Value::Null => {}
            Value::Object(fields) => collect(&format!("{name}."), fields, into),
            Value::Array(all) => match &all[..] {
                [Value::Number(least), Value::Number(most)] => into.push(format!("{name}={least}..{most}")),
                all => into.push(format!("{name}=[{}]", all.len())),
            },
            scalar => into.push(format!("{name}={}", scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned))),
        }
    }
}

/// The kinds of faults among a plan's steps, and how often each begins or strikes.
pub fn faults(plan: &Plan) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for (fault, phase) in plan.steps.iter().filter_map(|step| Fault::of(&step.what)) {
        if phase != crate::fault::Phase::Ends {
            *counts.entry(fault).or_insert(0u32) += 1;
        }
    }
    counts.into_iter().map(|(fault, count)| format!("{} ×{count} ({})", fault.id(), fault.about())).collect()
}

/// Words in lines of at most so many characters.
pub fn wrapped(words: &[String], separator: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (n, word) in words.iter().enumerate() {
        let word = if n + 1 < words.len() { format!("{word}{separator}") } else { word.clone() };
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.chars().count() + 1 + word.chars().count() <= width => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::{Node, What},
        scenario,
    };

    #[test]
    fn steps_are_told_by_their_fields() {
        let cut = What::Cut { from: Node::Gateway, to: Node::Server(3) };
        assert_eq!(told(&cut), "cut from gateway, to server 3");
        assert_eq!(told(&What::Leader(false)), "leader false");
        assert_eq!(told(&What::CrashRouter), "crash router");
        let member = What::Member { member: 1, stall: true, withhold: false, hang: false };
        assert_eq!(told(&member), "member member 1, stall");
    }

    #[test]
    fn options_hold_whatever_scalars_a_plan_has() {
        let plan = scenario::named("config_race").expect("a scenario").plan(3);
        let options = options(&plan);
        for option in [
            format!("gateway.members={}", plan.gateway.members),
            format!("network.latency={}..{}", plan.network.latency.0, plan.network.latency.1),
            format!("steps=[{}]", plan.steps.len()),
            "gateway.source=etcd".to_owned(),
        ] {
            assert!(options.contains(&option), "no {option} in {options:?}");
        }
        assert!(!options.iter().any(|option| option.starts_with("seed")));
    }

    #[test]
    fn lines_are_no_longer_than_they_may_be() {
        let words: Vec<_> = ["one", "two", "three"].map(str::to_owned).into();
        assert_eq!(wrapped(&words, ",", 8), ["one,", "two,", "three"]);
        assert_eq!(wrapped(&words, ",", 9), ["one, two,", "three"]);
    }
}
