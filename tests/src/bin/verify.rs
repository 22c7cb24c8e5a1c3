//! The ladder of tests, as one command.
#![forbid(unsafe_code)]
fn main() {}
