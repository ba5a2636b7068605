//! Nexus: a single-node AI router.
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
