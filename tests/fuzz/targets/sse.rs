//! Server-sent events, cut anywhere, through every machine.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::sse(bytes));
