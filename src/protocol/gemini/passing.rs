//! generateContent in and out: a call whose bytes pass, and what is read of them on the way.

pub mod array;
mod cut;
pub mod request;
pub mod response;
pub mod stream;
