//! The simulated world around the real actors. Only there under `cfg(madsim)`.

#![forbid(unsafe_code)]
//! The simulated world around the real actors: plans drawn from a seed, runs that consume them, and oracles that judge.
//!
//! The way of a seed: [`scenario`] draws a [`plan`] (data, and all there is of chance in a run besides madsim's own), [`world`]
//! carries it out around a real gateway, [`oracle`] judges each event as it happens, [`trace`] writes it down, [`run`] gives the
//! verdict. Only there under `cfg(madsim)`.
//!
//! Deliberately absent: product code, and real time, sockets or threads inside a run.
#![cfg(madsim)]

pub mod chance;
pub mod cli;
pub mod coverage;
pub mod fault;
mod fleet;
pub mod machines;
pub mod oracle;
pub mod plan;
pub mod planted;
pub mod rehearse;
pub mod run;
pub mod scenario;
mod shrink;
pub mod store;
pub mod swarm;
mod timeline;
pub mod trace;
mod words;
pub mod world;

/// A world is many small things that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
