//! AWS Bedrock's Converse and ConverseStream. Providers speak it, clients do not: there is no ingress.
//!
//! API: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

pub mod egress;
pub mod error;
mod usage;

#[cfg(test)]
mod tests;
