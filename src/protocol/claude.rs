//! What Claude takes, whoever serves it: Anthropic itself, or a cloud that passes these fields on to the model as they are.

pub(super) mod model;
pub(super) mod prefill;
pub(super) mod schema;
pub(super) mod thinking;
