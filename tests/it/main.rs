//! Integration tests: the real binary, spoken to over sockets, against providers that follow a script.
//!
//! One module a subject; a test's name is the sentence it proves. Every test has its own server, ports and scratch
//! folder, so that any number of them run at once. Nothing here knows the inside of the program, `layers` apart,
//! which reads its source.

// A test that cannot go on says why and fails: that is what it is for. Clippy knows this of `#[test]` functions, not
// of what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod access;
mod announcement;
mod bedrock;
mod body;
mod budgets;
mod cli;
mod config;
mod counting;
mod credentials;
mod early;
mod echo;
mod edge;
mod edges;
mod embeddings;
mod examples;
mod golden;
mod gone;
mod google_embeddings;
mod headers;
mod identity;
mod keyless;
mod layers;
mod listener;
mod operations;
mod output;
mod overload;
mod passthrough;
mod quota;
mod reload;
mod routing;
mod secrets;
mod shared;
mod shutdown;
mod slow;
mod streaming;
mod tls;
mod translated;
mod upstream;
