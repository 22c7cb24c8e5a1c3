//! `cargo sim rehearse`: an operator's own configuration in the simulated world, and what would go wrong with it.
//!
//! The way of a rehearsal: [`input`] reads what the operator wrote, [`blueprint`] works out the world that it calls for and [`probe`]
//! the requests, [`draw`] makes a [`plan`] of each seed, [`world`] carries it out around a real gateway, [`finding`] judges what was
//! seen, [`report`] puts many seeds together. A plan holds the configuration's text, so that it alone runs again.
//!
//! Weaknesses of a configuration and defects of Fairlead are told apart: only what Fairlead promises whatever the configuration says
//! (the oracles) is a defect.

mod blueprint;
mod cli;
mod draw;
mod finding;
mod input;
mod place;
mod plan;
mod probe;
mod record;
mod report;
mod run;
mod sample;
mod world;

pub use cli::{main, replays};
