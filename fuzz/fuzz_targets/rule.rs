//! cargo-fuzz target: [`fairlead_fuzz::rule`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_fuzz::rule(data));
