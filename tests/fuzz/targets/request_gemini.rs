//! Requests of generateContent, told to providers of every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::request_gemini(bytes));
