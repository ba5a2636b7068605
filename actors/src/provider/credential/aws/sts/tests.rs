//! Answers of STS.
