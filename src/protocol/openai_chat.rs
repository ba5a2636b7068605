//! OpenAI's chat completions, `POST /v1/chat/completions`: how requests are read, how answers and streams are edited
//! on their way through, and the shape of errors.

pub mod error;
pub mod passing;
pub mod usage;
