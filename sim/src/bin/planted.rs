//! The rehearsal binary with planted bugs (`cargo planted`). See `fairlead_sim::planted`.

#![forbid(unsafe_code)]

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    fairlead_sim::cli::main()
}

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    eprintln!("planted bugs are caught inside the simulator only: use `cargo planted hunt`.");
    std::process::ExitCode::from(64)
}
