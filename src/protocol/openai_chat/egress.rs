//! Providers that speak chat completions, for clients that do not.

pub mod request;
pub mod response;
pub mod stream;

mod answer;
mod details;
