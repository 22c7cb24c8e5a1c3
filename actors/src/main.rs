//! The binary.

#[cfg_attr(not(test), expect(dead_code, reason = "spawned by the composition root"))]
mod otlp;

fn main() {}
