//! Chat completions in and out: bytes pass, and only spans of them are read.

mod cut;
pub mod request;
pub mod response;
pub mod stream;
