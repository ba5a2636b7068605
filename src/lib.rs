//! Nexus: a single-node AI router.
#![forbid(unsafe_code)]

pub mod app;
pub mod chat;
pub mod cli;
pub mod config;
pub mod error;
mod header;
pub mod protocol;
pub mod route;
pub mod server;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
