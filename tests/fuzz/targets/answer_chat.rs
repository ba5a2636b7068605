//! Chat completions, whole and streamed, told to clients of every format.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::answer_chat(bytes));
