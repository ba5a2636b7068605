//! Headers, rules and queries on their way upstream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::headers(bytes));
