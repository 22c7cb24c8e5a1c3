//! The build script of the packages that may hold planted bugs: `cargo planted` asks for them by a feature, and outside of the simulator
//! there are none, whoever asks.
//!
//! Each bug that `sim/src/planted.rs` names becomes a cfg of its own, `planted = "<name>"`. By a build script and not by compiler flags, so
//! that a new bug compiles the product anew and not every dependency, which both builds of the simulator share.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=../.cargo/planted.rs");
    if env::var_os("CARGO_FEATURE_PLANTED").is_none() || env::var_os("CARGO_CFG_MADSIM").is_none() {
        return;
    }
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let list = Path::new(&package).join("../sim/src/planted.rs");
    println!("cargo::rerun-if-changed={}", list.display());
    let text = fs::read_to_string(&list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    let names = text.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next());
    names.for_each(|name| println!("cargo::rustc-cfg=planted=\"{name}\""));
}
