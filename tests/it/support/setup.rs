//! Pieces of configuration that many tests share. Text, so that a test reads like the file an operator would write.

use super::upstream::Upstream;

/// The secret under which the router calls its provider.
pub(crate) const API_KEY: &str = "sk-upstream-0123456789";

/// Identity by header, two groups, none required.
pub(crate) const IDENTIFIED: &str = r#"
[server.client_identification]
enabled = true
client_id.http_header = "X-User-Id"
group_id.http_header = "X-Group-Id"
[server.client_identification.validation]
group_values = ["premium", "basic"]
require_group = false
"#;

/// A provider `echo` with one model `m`.
pub(crate) const ECHO: &str = r#"
[llm.providers.echo]
type = "echo"
[llm.providers.echo.models.m]
"#;

/// The operators' listener.
pub(crate) const ADMIN: &str = r#"
[server.admin]
listen = "{admin}"
"#;

/// A provider `openai` that `upstream` plays, with the models `gpt-4o` (upstream: `gpt-4o-0123`) and `gpt-4o-mini`
/// (under its own name). `keys` are further keys of the provider's table.
pub(crate) fn openai(upstream: &Upstream, keys: &str) -> String {
    provider("openai", &format!("http://{}/v1", upstream.address()), keys)
}

/// The same under another name, anywhere.
pub(crate) fn provider(name: &str, base_url: &str, keys: &str) -> String {
    format!(
        r#"
[llm.providers.{name}]
type = "openai"
api_key = "{API_KEY}"
base_url = "{base_url}"
{keys}
[llm.providers.{name}.models."gpt-4o"]
rename = "gpt-4o-0123"
[llm.providers.{name}.models."gpt-4o-mini"]
"#
    )
}

/// A limit on the whole provider `name`.
pub(crate) fn provider_limit(name: &str, tokens: u64, interval: &str) -> String {
    format!(
        "[llm.providers.{name}.rate_limits.per_user]\ninput_token_limit = {tokens}\ninterval = \"{interval}\"\n"
    )
}

/// A limit on the provider `name` for callers of `group`.
pub(crate) fn group_limit(name: &str, group: &str, tokens: u64, interval: &str) -> String {
    format!(
        "[llm.providers.{name}.rate_limits.per_user.groups.{group}]\ninput_token_limit = {tokens}\ninterval = \"{interval}\"\n"
    )
}

/// A limit on one model of the provider `name`.
pub(crate) fn model_limit(name: &str, model: &str, tokens: u64, interval: &str) -> String {
    format!(
        "[llm.providers.{name}.models.\"{model}\".rate_limits.per_user]\ninput_token_limit = {tokens}\ninterval = \"{interval}\"\n"
    )
}
