//! Images of one program each, from nothing: no registry, no base image, no static linking.

use crate::{dir::Dir, process};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Imports an image that runs `program`, with these arguments unless a service has others, and holds the libraries that it needs.
///
/// # Panics
/// It cannot be made.
pub fn import(docker: Command, tag: &str, program: &Path, arguments: &[&str]) {
    let root = Dir::new();
    let name = program.file_name().expect("a program has a name").to_string_lossy().into_owned();
    let inside = format!("usr/local/bin/{name}");
    put(&root, &inside, |to| copy(program, to));
    // Symbols are most of a development build, and nobody reads them there.
    Command::new("strip").arg(root.file(&inside)).status().ok();
    for library in libraries(program) {
        put(&root, library.trim_start_matches('/'), |to| copy(Path::new(&library), to));
    }
    put(&root, "tmp/.keep", |to| fs::write(to, "").expect("the folder is writable"));
    let archive = Command::new("tar").args(["-c", "--owner=0", "--group=0", "-C"]).arg(root.path()).arg(".").output();
    let archive = archive.expect("tar starts").stdout;
    let entry = format!("ENTRYPOINT [\"/{inside}\"]");
    load(docker, tag, &[&entry, &format!("CMD {arguments:?}"), "ENV PATH=/usr/local/bin"], &archive);
}

fn load(mut docker: Command, tag: &str, changes: &[&str], archive: &[u8]) {
    docker.arg("import").args(changes.iter().flat_map(|change| ["-c", change])).args(["-", tag]);
    let mut import = docker.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("docker starts");
    import.stdin.take().expect("it was asked for").write_all(archive).expect("docker reads the archive");
    assert!(import.wait().is_ok_and(|status| status.success()), "docker import {tag} failed");
}

/// The dynamic loader and the libraries, as `ldd` names them; none for a static program.
fn libraries(program: &Path) -> Vec<String> {
    let output = process::run("ldd", &[&program.display().to_string()]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.split_whitespace().filter(|word| word.starts_with('/')).map(|word| word.trim_end_matches(':').to_owned()).collect()
}

fn put(root: &Dir, path: &str, write: impl FnOnce(&Path)) {
    let to = root.path().join(path);
    fs::create_dir_all(to.parent().expect("it lies below the root")).expect("the folder is writable");
    write(&to);
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|e| panic!("{} is not to be copied: {e}", from.display()));
}
