//! Embeddings in and out: bytes pass, and only spans of them are read. Answers are read as those of chat completions.

pub mod request;
