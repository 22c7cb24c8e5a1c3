//! cargo-fuzz target: [`fairlead_fuzz::proxy_protocol`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fairlead_fuzz::proxy_protocol(data));
