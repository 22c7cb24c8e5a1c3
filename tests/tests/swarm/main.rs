//! Fairlead as a service of a real Swarm, with services of every label language behind it.
//!
//! `cargo test -p fairlead-tests --test swarm` starts dockerd itself, in namespaces of its own ([`fairlead_tests::swarm`]). That
//! takes root; without, every test says so and passes. Nothing here needs another machine: images are made of the programs
//! that were built.

mod containers;
mod ground;
mod ingress;
mod labels;
mod rolling;
mod stacks;
