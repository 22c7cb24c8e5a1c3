//! cargo-fuzz target: [`fairlead_fuzz::path`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_fuzz::path(data));
