//! Admissions, refunds and waits of one client, against an oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nexus_fuzz::ledger(bytes));
