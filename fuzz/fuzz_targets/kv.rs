//! cargo-fuzz target: [`fairlead_fuzz::kv`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_fuzz::kv(data));
