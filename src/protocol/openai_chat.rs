//! OpenAI's chat completions, `POST /v1/chat/completions`: how requests are read, how answers and streams are edited
//! on their way through or made out of those of other formats, and the shape of errors.

pub mod egress;
pub mod error;
pub mod ingress;
pub mod passing;
pub mod usage;

mod wire;

#[cfg(test)]
mod tests;
