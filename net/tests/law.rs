//! The law that no tool reads: every `select!` of this workspace is biased.
//!
//! Without `biased;` the branch to look at first is drawn from a counter that all simulations of a process share, and a
//! seed no longer repeats its run.

use std::{fs, path::Path};

/// Bodies of `select!` that do not begin with `biased;`, as line numbers.
fn unbiased(source: &str) -> Vec<usize> {
    let opening = ["select! {", "select!{", "select!("];
    let calls = opening.iter().flat_map(|o| source.match_indices(o).map(|(at, o)| (at, at + o.len())));
    let mut lines: Vec<_> = calls
        .filter(|(at, _)| {
            // Neither prose nor a string.
            let line = source[..*at].rsplit('\n').next().unwrap_or("").trim_start();
            !line.starts_with("//") && !line.contains('"')
        })
        .filter(|(_, body)| !source[*body..].trim_start().starts_with("biased;"))
        .map(|(at, _)| source[..at].lines().count())
        .collect();
    lines.sort_unstable();
    lines
}

fn rust_files(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_select_is_biased() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = vec![];
    for dir in ["core", "net", "actors", "sim", "tests"] {
        rust_files(&root.join(dir), &mut files);
    }
    assert!(files.iter().any(|f| f.ends_with("net/src/real/fs/watch.rs")), "the sources are found");
    let guilty: Vec<_> = files
        .iter()
        .flat_map(|f| {
            let source = fs::read_to_string(f).unwrap();
            unbiased(&source).into_iter().map(move |line| format!("{}:{line}", f.display()))
        })
        .collect();
    assert!(guilty.is_empty(), "write `biased;` first: {guilty:#?}");
}

#[test]
fn the_law_finds_what_it_forbids() {
    let call = |body: &str| format!("fn f() {{\n    tokio::select{} {{ {body} }}\n}}\n", '!');
    assert_eq!(unbiased(&call("() = a => {}")), [2]);
    assert_eq!(unbiased(&call("biased; () = a => {}")), [0; 0]);
}
