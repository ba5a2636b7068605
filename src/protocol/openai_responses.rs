//! OpenAI's Responses, `POST /v1/responses`: what only this wire format knows.
//! <https://platform.openai.com/docs/api-reference/responses>
//!
//! [`passing`] serves calls that come and go in this format, [`ingress`] clients that speak it to another provider. There is
//! no other side: a provider is spoken to in Responses for clients that speak them alone, and in chat completions for all
//! others.

pub mod error;
pub mod ingress;
pub mod passing;
mod usage;

#[cfg(test)]
mod tests;
