//! Anthropic's Messages: what only this wire format knows. <https://docs.claude.com/en/api/messages>
//!
//! [`passing`] serves calls that come and go in this format, [`ingress`] clients that speak it to another provider,
//! [`egress`] providers that speak it to another client. `count_tokens` has the body of a request without `max_tokens`, and
//! answers `{"input_tokens": N}`.

pub mod egress;
pub mod error;
pub mod ingress;
pub mod passing;
mod usage;
mod wire;

#[cfg(test)]
mod tests;
