//! Messages in and out: a call whose bytes pass, and what is read of them on the way.

mod cut;
pub mod request;
pub mod response;
pub mod stream;
