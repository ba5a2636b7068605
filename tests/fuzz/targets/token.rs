//! Tokens, and the key sets that verify them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::token(bytes));
