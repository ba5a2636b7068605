//! Moving.
