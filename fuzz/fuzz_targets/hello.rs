//! cargo-fuzz target: [`fairlead_fuzz::hello`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_fuzz::hello(data));
