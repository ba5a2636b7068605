//! Texts to be counted, against the reference tokeniser.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::tokens(bytes));
