//! The rehearsal binary.

#![forbid(unsafe_code)]
fn main() {}
