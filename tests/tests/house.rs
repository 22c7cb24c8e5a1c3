//! The house itself: which package may know which, what the top level holds, where `unsafe` may stand.

use fairlead_tests::process::{root, succeed};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Every edge between packages of this workspace. A new one is a decision: make it here, with its reason.
const EDGES: &[(&str, &str)] = &[
    // The binary puts everything together.
    ("fairlead", "fairlead-actors"),
    ("fairlead", "fairlead-core"),
    ("fairlead", "fairlead-net"),
    // Actors are the only ones who know both what routing means and how the world is reached.
    ("fairlead-actors", "fairlead-core"),
    ("fairlead-actors", "fairlead-net"),
    // The rehearsal drives the real actors, writes configurations, and is on the simulated network itself.
    ("fairlead-sim", "fairlead-actors"),
    ("fairlead-sim", "fairlead-core"),
    ("fairlead-sim", "fairlead-net"),
    // Parsers are fuzzed where they stand.
    ("fairlead-fuzz", "fairlead-core"),
    ("fairlead-fuzz", "fairlead-net"),
];

/// What `core` may never rest on, however indirectly: whatever reads a clock, draws a number, opens a socket or runs a task.
const NEVER_UNDER_CORE: &[&str] = &[
    "tokio",
    "madsim",
    "madsim-tokio",
    "hyper",
    "h2",
    "http",
    "ractor",
    "async-std",
    "mio",
    "rustls",
    "socket2",
    "rand",
    "time",
    "chrono",
];

const TOP_LEVEL: &[&str] = &["Cargo.toml", "core", "actors", "sim", "net", "tests", "fuzz"];

const DOCUMENTS: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "deploy",
    "docs",
    "examples",
];

fn metadata() -> Value {
    let manifest = root().join("Cargo.toml").display().to_string();
    let arguments = ["metadata", "--format-version", "1", "--manifest-path", &manifest];
    serde_json::from_str(&succeed(env!("CARGO"), &arguments)).expect("cargo metadata is JSON")
}

/// Names by package id.
fn names(metadata: &Value) -> BTreeMap<&str, &str> {
    let packages = metadata["packages"].as_array().expect("metadata lists packages");
    packages.iter().map(|p| (p["id"].as_str().expect("an id"), p["name"].as_str().expect("a name"))).collect()
}

/// Dependencies by package name, development dependencies only if asked for.
fn edges(metadata: &Value, with_dev: bool) -> BTreeMap<&str, BTreeSet<&str>> {
    let names = names(metadata);
    let mut edges = BTreeMap::<_, BTreeSet<_>>::new();
    for node in metadata["resolve"]["nodes"].as_array().expect("metadata resolves") {
        let from = names[node["id"].as_str().expect("an id")];
        for dependency in node["deps"].as_array().expect("a node has dependencies") {
            let kinds = dependency["dep_kinds"].as_array().expect("a dependency has kinds");
            if with_dev || kinds.iter().any(|kind| kind["kind"] != "dev") {
                edges.entry(from).or_default().insert(names[dependency["pkg"].as_str().expect("an id")]);
            }
        }
    }
    edges
}

#[test]
fn packages_know_only_whom_they_may_know() {
    let metadata = metadata();
    let members: BTreeSet<_> = names(&metadata).values().copied().filter(|n| n.starts_with("fairlead")).collect();
    assert!(members.len() >= 6, "{members:?}");
    let found: BTreeSet<_> = edges(&metadata, true)
        .into_iter()
        .flat_map(|(from, to)| to.into_iter().map(move |to| (from, to)))
        .filter(|(from, to)| members.contains(from) && members.contains(to))
        .collect();
    let allowed: BTreeSet<_> = EDGES.iter().copied().collect();
    let new: Vec<_> = found.difference(&allowed).collect();
    assert!(new.is_empty(), "new edges between packages: {new:?}");
    // The simulator's edges exist under cfg(madsim) too, which metadata includes: an entry that nothing uses is a lie.
    let unused: Vec<_> = allowed.difference(&found).collect();
    assert!(unused.is_empty(), "edges that are allowed and do not exist: {unused:?}");
}

#[test]
fn core_is_pure() {
    let metadata = metadata();
    let edges = edges(&metadata, false);
    let (mut reached, mut todo) = (BTreeSet::new(), vec!["fairlead-core"]);
    while let Some(package) = todo.pop() {
        if reached.insert(package) {
            todo.extend(edges.get(package).into_iter().flatten());
        }
    }
    assert!(reached.contains("regex") && reached.contains("serde"), "the graph is read: {reached:?}");
    let impure: Vec<_> = NEVER_UNDER_CORE.iter().filter(|name| reached.contains(**name)).collect();
    assert!(impure.is_empty(), "core rests on {impure:?}");
}

#[test]
fn the_top_level_is_what_the_plan_says() {
    let listed = succeed("git", &["-C", &root().display().to_string(), "ls-files", "--cached", "--others", "--exclude-standard"]);
    let top: BTreeSet<_> = listed.lines().filter_map(|path| path.split('/').next()).collect();
    let missing: Vec<_> = TOP_LEVEL.iter().filter(|name| !top.contains(**name)).collect();
    assert!(missing.is_empty(), "missing at the top: {missing:?}");
    let foreign: Vec<_> = top
        .iter()
        .filter(|name| !name.starts_with('.') && **name != "Cargo.lock" && !TOP_LEVEL.contains(name) && !DOCUMENTS.contains(name))
        .collect();
    assert!(foreign.is_empty(), "new at the top: {foreign:?}");
}

#[test]
fn unsafe_stays_in_net_and_says_why() {
    let mut roots = Vec::new();
    let mut sources = Vec::new();
    for package in ["core", "net", "actors", "sim", "tests", "fuzz"] {
        rust_files(&root().join(package), &mut sources);
    }
    for file in &sources {
        let inside = file.strip_prefix(root()).expect("it lies below the root");
        let is_net = inside.starts_with("net");
        let text = fs::read_to_string(file).expect("sources are text");
        let is_root = inside.ends_with("src/lib.rs")
            || inside.ends_with("src/main.rs")
            || inside.parent().is_some_and(|p| p.ends_with("src/bin"));
        if is_root && !is_net {
            roots.push(inside.to_owned());
            assert!(text.contains("#![forbid(unsafe_code)]"), "{}: write #![forbid(unsafe_code)]", inside.display());
        }
        if is_net {
            let lines: Vec<_> = text.lines().collect();
            for (number, _) in lines.iter().enumerate().filter(|(_, line)| uses_unsafe(line)) {
                let above = &lines[number.saturating_sub(6)..number];
                let explained =
                    above.iter().any(|l| l.trim_start().starts_with("// SAFETY:") || l.trim_start().starts_with("/// # Safety"));
                assert!(explained, "{}:{}: say why it is sound in a line `// SAFETY:`", inside.display(), number + 1);
            }
        }
    }
    assert!(roots.len() >= 5, "the crate roots are found: {roots:?}");
}

fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe impl", "unsafe fn"].iter().any(|words| code.contains(words))
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut sources = Vec::new();
    for package in ["core", "net", "actors", "sim", "tests", "fuzz"] {
        rust_files(&root().join(package), &mut sources);
    }
    // A module's tests beside it are spoken for by the module.
    let speaks =
        |file: &PathBuf| file.ends_with("tests.rs") || fs::read_to_string(file).is_ok_and(|text| text.starts_with("//!"));
    let silent: Vec<_> = sources.iter().filter(|file| !speaks(file)).collect();
    assert!(silent.is_empty(), "begin with `//!`: what it is for, what it owns, what it lacks: {silent:#?}");
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
