//! The rehearsal binary.
fn main() {}
