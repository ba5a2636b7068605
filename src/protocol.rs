//! The wire formats. Must not know HTTP servers, actors, clocks.

pub mod json;
pub mod openai_chat;
pub mod openai_embeddings;
pub mod splice;
