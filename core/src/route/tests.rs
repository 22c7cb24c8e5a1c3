use super::*;
use crate::rule::{self, Rule, Syntax, tests as rules};
use proptest::prelude::*;
use std::{collections::BTreeSet, sync::LazyLock};

/// A router for each rule; they are tried in the order of ids.
fn table(rules: &[String]) -> Table {
    let mut table = Table::default();
    edit(&mut table, &[], rules.iter().map(|text| rule::parse(text, Syntax::V3).unwrap()).enumerate().collect());
    table
}

fn edit(table: &mut Table, gone: &[(usize, Rule)], new: Vec<(usize, Rule)>) {
    let mut edits = Edits::default();
    for (id, rule) in gone {
        edits.remove(RouterId(*id as u32), rule.expr());
    }
    for (id, rule) in &new {
        edits.add(Rank::new(RouterId(*id as u32), name(RouterId(*id as u32)).unwrap(), -(*id as i64 / 4)), rule.expr());
    }
    table.edit(edits, name);
}

fn name(id: RouterId) -> Option<&'static Name> {
    static NAMES: LazyLock<Vec<Name>> = LazyLock::new(|| (0..50_000).map(|id| Name::whole(&format!("{id:05}@file"))).collect());
    NAMES.get(id.0 as usize)
}

fn candidates(table: &Table, host: &str, path: &str) -> Vec<u32> {
    table.candidates(host, path, name).map(|id| id.0).collect()
}

/// Every list of the table.
fn lists(table: &Table) -> BTreeMap<String, Vec<u32>> {
    let mut all = BTreeMap::new();
    let ids = |ranks: &[Rank]| ranks.iter().map(|rank| rank.router.0).collect::<Vec<_>>();
    let exact = table.exact.iter().map(|(host, paths)| (format!("={host}"), paths));
    let wildcard = table.wildcard.iter().map(|(suffix, paths)| (format!("*{suffix}"), paths));
    for (host, paths) in exact.chain(wildcard).chain([("any".to_owned(), &table.any)]) {
        if let Some(narrow) = &paths.narrow {
            all.extend(narrow.exact.iter().map(|(path, ranks)| (format!("{host} ={path}"), ids(ranks))));
            all.extend(narrow.prefixes.iter().map(|(prefix, ranks)| (format!("{host} {prefix}*"), ids(ranks))));
        }
        all.extend([(format!("{host} any"), ids(&paths.any))].into_iter().filter(|(_, ids)| !ids.is_empty()));
    }
    all
}

#[test]
fn the_number_of_routers_does_not_reach_the_candidates() {
    let mut rules: Vec<String> = (0..10_000).map(|i| format!("Host(`h{i}.example`)")).collect();
    rules.extend((0..10_000).map(|i| format!("Host(`one`) && PathPrefix(`/p{i:05}/`)")));
    rules.extend((0..10_000).map(|i| format!("(Host(`one`) || Host(`two`)) && Path(`/e{i}`)")));
    rules.extend((0..10_000).map(|i| format!("PathPrefix(`/any{i:05}`) && Method(`GET`)")));
    let table = table(&rules);
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
    let table = table(&rules.map(str::to_owned));
    assert_eq!(candidates(&table, "a.x", "/a/b"), [0, 1, 2]);
    assert_eq!(candidates(&table, "y", "/"), [1, 2]);
}

#[test]
fn a_rule_of_very_many_alternatives_stays_in_bounds() {
    let any = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(" || ");
    let hosts = any(200, &|i| format!("Host(`h{i}`)"));
    let paths = any(200, &|i| format!("Path(`/{i}`)"));
    let table = table(&[format!("({hosts}) && ({paths})")]);
    assert_eq!(table.exact.len(), 200);
    assert!(table.exact.iter().all(|(_, paths)| paths.narrow.is_none() && paths.any.len() == 1));
    assert_eq!(candidates(&table, "h7", "/nowhere"), [0]);
}

#[test]
fn a_router_touches_the_hosts_that_it_names() {
    let rules: Vec<String> = (0..10_000).map(|i| format!("Host(`h{i}.example`) && PathPrefix(`/{i}`)")).collect();
    let before = table(&rules);
    let mut after = before.clone();
    let [was, is] = [&rules[4711], "Host(`other.example`)"].map(|text| rule::parse(text, Syntax::V3).unwrap());
    edit(&mut after, &[(4711, was)], vec![(4711, is)]);
    assert!(after.exact.shards_apart(&before.exact) <= 2);
    assert_eq!((candidates(&after, "h4711.example", "/4711"), candidates(&after, "other.example", "/")), (vec![], vec![4711]));
    assert_eq!(candidates(&before, "h4711.example", "/4711"), [4711], "copies are not touched");
}

fn rank(id: u32) -> Rank {
    Rank { priority: 0, precedence: 0, router: RouterId(id) }
}

proptest! {
    #[test]
    fn edits_come_to_what_a_table_of_its_own_is(
        steps in prop::collection::vec(prop::collection::vec((0..12_usize, prop::option::of(rules::tree())), 1..6), 1..12),
    ) {
        let mut table = Table::default();
        let mut routers: BTreeMap<usize, Rule> = BTreeMap::new();
        for step in steps {
            let step: BTreeMap<usize, Option<rules::Tree>> = step.into_iter().collect();
            let gone: Vec<_> = step.keys().filter_map(|id| Some((*id, routers.remove(id)?))).collect();
            let parsed = |(id, tree): (usize, Option<rules::Tree>)| Some((id, rule::parse(&tree?.text(), Syntax::V3).unwrap()));
            let new: Vec<_> = step.into_iter().filter_map(parsed).collect();
            routers.extend(new.iter().cloned());
            edit(&mut table, &gone, new);
            let mut alone = Table::default();
            edit(&mut alone, &[], routers.clone().into_iter().collect());
            prop_assert_eq!(lists(&table), lists(&alone));
            prop_assert_eq!(table.is_empty(), routers.is_empty());
        }
    }

    #[test]
    fn prefixes_are_exactly_those_of_the_path(
        set in prop::collection::btree_set("/[ab/]{0,5}", 0..20),
        gone in prop::collection::btree_set("/[ab/]{0,5}", 0..20),
        path in "/[ab/]{0,7}",
    ) {
        let add = |id: u32, ranks: &mut Ranks| {
            ranks.push(rank(id));
            true
        };
        let prefixes = Prefixes::default().edited((0..).zip(&set).map(|(id, prefix)| (prefix.as_str(), id)).collect(), add);
        let prefixes = prefixes.edited(gone.iter().map(|prefix| (prefix.as_str(), ())).collect(), |(), _| false);
        let mut found: Vec<u32> = prefixes.of(&path).flatten().map(|rank| rank.router.0).collect();
        found.sort_unstable();
        let is_left = |(_, prefix): &(u32, &String)| path.starts_with(prefix.as_str()) && !gone.contains(*prefix);
        let expected: Vec<u32> = (0..).zip(&set).filter(is_left).map(|(id, _)| id).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn merging_sorts_and_drops_repetitions(mut lists in prop::collection::vec(prop::collection::vec(0..30_u32, 0..6), 0..5)) {
        for list in &mut lists {
            list.sort_unstable();
            list.dedup();
        }
        let ranks: Vec<Vec<Rank>> = lists.iter().map(|list| list.iter().copied().map(rank).collect()).collect();
        let merged = Merged { lists: ranks.iter().map(Vec::as_slice).collect(), name }.map(|id| id.0).collect::<Vec<_>>();
        let expected: BTreeSet<u32> = lists.iter().flatten().copied().collect();
        prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
    }
}
