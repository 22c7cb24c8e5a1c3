//! The ladder of tests, as one command.
fn main() {}
