//! Nexus: a single-node AI router.
#![forbid(unsafe_code)]

pub mod chat;
pub mod config;
pub mod protocol;
pub mod tokens;
