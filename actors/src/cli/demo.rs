//! `fairlead demo`: a gateway with three built-in backends, on this machine alone.
//!
//! The backends are entry points of their own, answered by the internal whoami service, so that the demo shows real connections,
//! real balancing and the real administration pages, and needs nothing else.

use super::{Exit, Outcome, run};
use fairlead_core::config::{
    file::{self, Format},
    flags, resolve_static,
};

const DYNAMIC: &str = include_str!("demo.yaml");
const FLAGS: [&str; 9] = [
    "--entryPoints.web.address=127.0.0.1:8000",
    "--entryPoints.traefik.address=127.0.0.1:8080",
    "--entryPoints.whoami-1.address=127.0.0.1:8001",
    "--entryPoints.whoami-2.address=127.0.0.1:8002",
    "--entryPoints.whoami-3.address=127.0.0.1:8003",
    "--api.insecure=true",
    "--ping=true",
    "--metrics.prometheus=true",
    "--log.level=INFO",
];

/// Runs the demo until it is interrupted.
///
/// # Errors
/// One of its ports is taken.
pub fn demo() -> Outcome {
    // The demo's own configuration is checked like anybody's: it would be told here, by name, what is wrong with it.
    file::parse(DYNAMIC, Format::Yaml, "demo.yaml", DYNAMIC.len()).map_err(|rejection| Exit::unusable(&[rejection]))?;
    let directory = std::env::temp_dir().join(format!("fairlead-demo-{}", std::process::id()));
    let path = directory.join("demo.yaml");
    let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, DYNAMIC));
    written.map_err(|e| Exit::failed(format!("{}: {e}", path.display())))?;
    let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    arguments.push(format!("--providers.file.filename={}", path.display()));
    let tree = flags::tree(&arguments).map_err(|rejections| Exit::unusable(&rejections))?;
    resolve_static(&tree).map_err(|rejections| Exit::unusable(&rejections))?;
    println!("Three backends behind one gateway. Try:\n");
    println!("  curl http://127.0.0.1:8000/                 # again and again: another backend each time");
    println!("  curl http://127.0.0.1:8000/api/hello        # StripPrefix: the backend sees /hello");
    println!("  curl -i http://127.0.0.1:8000/limited       # RateLimit: 429 after five at once");
    println!("  open http://127.0.0.1:8080/dashboard/       # routers, services, middlewares, what was refused");
    println!("  edit {}   # changes apply at once; a mistake is refused and explained\n", path.display());
    println!("Ctrl-C ends it.");
    let outcome = run::run(&arguments);
    if let Err(e) = std::fs::remove_dir_all(&directory) {
        eprintln!("fairlead: {} stays behind: {e}", directory.display());
    }
    outcome
}
