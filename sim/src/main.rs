//! The rehearsal binary: lists, runs, sweeps, replays. See `fairlead_sim::cli`.

#![forbid(unsafe_code)]

#[cfg(madsim)]
fn main() -> std::process::ExitCode {
    fairlead_sim::cli::main()
}

#[cfg(not(madsim))]
fn main() -> std::process::ExitCode {
    eprintln!("fairlead-sim runs inside the simulator only, which is chosen when it is compiled: use `cargo sim list`,");
    eprintln!("`cargo sim run SCENARIO --seed N` or `cargo sim sweep --seeds 0..200`.");
    std::process::ExitCode::from(64)
}
