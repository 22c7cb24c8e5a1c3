use super::*;
use crate::rule::{self, Rule, Syntax};
use proptest::prelude::*;

fn table(rules: &[String]) -> (Vec<Rule>, Table) {
    let rules: Vec<Rule> = rules.iter().map(|text| rule::parse(text, Syntax::V3).unwrap()).collect();
    let table = Table::build((0..).zip(&rules).map(|(id, rule)| (RouterId(id), rule.expr())));
    (rules, table)
}

fn candidates(table: &Table, host: &str, path: &str) -> Vec<u32> {
    table.candidates(host, path).map(|id| id.0).collect()
}

#[test]
fn the_number_of_routers_does_not_reach_the_candidates() {
    let mut rules: Vec<String> = (0..10_000).map(|i| format!("Host(`h{i}.example`)")).collect();
    rules.extend((0..10_000).map(|i| format!("Host(`one`) && PathPrefix(`/p{i:05}/`)")));
    rules.extend((0..10_000).map(|i| format!("(Host(`one`) || Host(`two`)) && Path(`/e{i}`)")));
    rules.extend((0..10_000).map(|i| format!("PathPrefix(`/any{i:05}`) && Method(`GET`)")));
    let (_, table) = table(&rules);
    assert_eq!(candidates(&table, "h4711.example", "/"), [4711]);
    assert_eq!(candidates(&table, "one", "/p04711/x"), [14_711]);
    assert_eq!(candidates(&table, "two", "/e4711"), [24_711]);
    assert_eq!(candidates(&table, "h1.example", "/any04711/x"), [1, 34_711]);
    assert_eq!(candidates(&table, "one", "/p0471"), [] as [u32; 0]);
    assert_eq!(candidates(&table, "", ""), [] as [u32; 0]);
}

#[test]
fn alternatives_stand_in_several_places_and_come_once() {
    let rules =
        ["Host(`a.x`) || Host(`*.x`) && PathPrefix(`/`)", "PathPrefix(`/`) || PathPrefix(`/a`) || Path(`/a/b`)", "!Host(`a.x`)"];
    let (_, table) = table(&rules.map(str::to_owned));
    assert_eq!(candidates(&table, "a.x", "/a/b"), [0, 1, 2]);
    assert_eq!(candidates(&table, "y", "/"), [1, 2]);
}

#[test]
fn a_rule_of_very_many_alternatives_stays_in_bounds() {
    let any = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(" || ");
    let hosts = any(200, &|i| format!("Host(`h{i}`)"));
    let paths = any(200, &|i| format!("Path(`/{i}`)"));
    let (_, table) = table(&[format!("({hosts}) && ({paths})")]);
    assert_eq!(table.exact.len(), 200);
    assert!(table.exact.values().all(|paths| paths.exact.is_empty() && paths.any.len() == 1));
    assert_eq!(candidates(&table, "h7", "/nowhere"), [0]);
}

proptest! {
    #[test]
    fn prefixes_are_exactly_those_of_the_path(set in proptest::collection::btree_set("/[ab/]{0,5}", 0..20), path in "/[ab/]{0,7}") {
        let sorted = set.iter().enumerate().map(|(i, p)| (p.as_str(), Ranks::from_slice(&[i as u32]))).collect();
        let prefixes = Prefixes::build(sorted);
        let mut found: Vec<u32> = prefixes.of(&path).flatten().copied().collect();
        found.sort_unstable();
        let expected: Vec<u32> = (0..).zip(&set).filter(|(_, p)| path.starts_with(p.as_str())).map(|(i, _)| i).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn merging_sorts_and_drops_repetitions(mut lists in proptest::collection::vec(proptest::collection::vec(0..30_u32, 0..6), 0..5)) {
        for list in &mut lists {
            list.sort_unstable();
            list.dedup();
        }
        let merged = Merged { lists: lists.iter().map(Vec::as_slice).collect() }.collect::<Vec<_>>();
        let expected: std::collections::BTreeSet<u32> = lists.iter().flatten().copied().collect();
        prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
    }
}
