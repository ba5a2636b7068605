//! Google's generateContent: what only this wire format knows. <https://ai.google.dev/api/generate-content>
//!
//! [`passing`] serves calls that come and go in this format, [`ingress`] clients that speak it to another provider,
//! [`egress`] providers that speak it to another client. The model and whether the answer is streamed stand in the URL.
//! `countTokens` has the body of a request, or holds one as `generateContentRequest`, and answers `{"totalTokens": N}`.

pub mod egress;
pub mod error;
pub mod ingress;
mod logprobs;
pub mod passing;
mod usage;
mod wire;

#[cfg(test)]
mod tests;
