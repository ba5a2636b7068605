//! `[llm]`: protocols, estimate, providers, models.

use super::{
    Key, Kind, Section,
    limits::{MODEL_LIMITS, PROVIDER_LIMITS},
};

/// Longest time-out that makes sense: a day, in seconds.
const DAY: u64 = 86_400;

/// The kinds of provider.
pub const PROVIDER_TYPES: &[&str] = &["openai", "echo", "anthropic", "google", "bedrock", "azure"];

/// The kinds of provider that are reached over HTTP.
const REMOTE: &[&str] = &["openai", "anthropic", "google", "bedrock", "azure"];
/// Those of them that a key opens.
const KEYED: &[&str] = &["openai", "anthropic", "google", "azure"];
const GROUPS_ALLOW: &str = "Only these groups may use it; absent = all that may use the provider.";

#[rustfmt::skip]
pub(super) static LLM: Section = Section { title: "[llm]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "true", "Whether LLM calls are served."),
    Key::new("path", Kind::Path, "", "Old spelling of `llm.protocols.openai.path`."),
    Key::new("protocols", Kind::Table(&PROTOCOLS), "", "What clients may speak."),
    Key::new("limits", Kind::Table(&COUNTING), "", "How tokens are counted."),
    Key::new("providers", Kind::Table(&PROVIDERS), "", "Who answers."),
    Key::new("proxy", Kind::Any, "", "Not supported: pass-through without configured models.").never("remove it, and list the models under [llm.providers]"),
] };

#[rustfmt::skip]
static PROTOCOLS: Section = Section { title: "[llm.protocols]", names: None, keys: &[
    Key::new("openai", Kind::Table(&OPENAI), "", "The OpenAI protocol."),
    Key::new("anthropic", Kind::Table(&ANTHROPIC), "", "The Anthropic protocol."),
    Key::new("google", Kind::Table(&GOOGLE), "", "The Gemini protocol."),
] };

#[rustfmt::skip]
static OPENAI: Section = Section { title: "[llm.protocols.openai]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "true", "Whether it is served."),
    Key::new("path", Kind::Path, "\"/llm/openai\"", "Before `/v1/…`; while it is the default, `/llm` is an alias."),
] };

#[rustfmt::skip]
static ANTHROPIC: Section = Section { title: "[llm.protocols.anthropic]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "true", "Whether it is served."),
    Key::new("path", Kind::Path, "\"/llm/anthropic\"", "Before `/v1/…`."),
] };

#[rustfmt::skip]
static GOOGLE: Section = Section { title: "[llm.protocols.google]", names: None, keys: &[
    Key::new("enabled", Kind::Bool, "true", "Whether it is served."),
    Key::new("path", Kind::Path, "\"/llm/google\"", "Before `/v1beta/…`."),
] };

#[rustfmt::skip]
static COUNTING: Section = Section { title: "[llm.limits]", names: None, keys: &[
    Key::new("count_tools", Kind::Bool, "true", "Whether tool definitions, calls and results count; `false` = plain text only."),
    Key::new("image_tokens", Kind::Integer(0, 1 << 32), "85", "Tokens for an image."),
    Key::new("file_tokens", Kind::Integer(0, 1 << 32), "2000", "Tokens for other base64 data."),
    Key::new("count", Kind::Choice(&["estimate", "reported"]), "\"estimate\"", "What input is charged by: as estimated, or corrected to the usage that the provider reports."),
    Key::new("cached_input_weight", Kind::Number, "1.0", "What an input token costs that the provider had cached; with `count = \"reported\"`."),
    Key::new("output_lease", Kind::Integer(1, 1 << 32), "256", "Output tokens a stream draws from its limits at a time: 16 at first, then twice as many each time, up to these."),
    Key::new("on_output_limit", Kind::Choice(&["finish", "cut"]), "\"finish\"", "What becomes of a stream whose output limit is used up: it runs on and the rest is debt, or it is ended."),
] };

#[rustfmt::skip]
static PROVIDERS: Section = Section { title: "[llm.providers]", keys: &[],
    names: Some(Key::new("NAME", Kind::Table(&PROVIDER), "", "A provider; clients ask for `NAME/model`.")) };

#[rustfmt::skip]
static PROVIDER: Section = Section { title: "[llm.providers.NAME]", names: None, keys: &[
    Key::new("type", Kind::Choice(PROVIDER_TYPES), "", "What is spoken to it.").required(),
    Key::new("models", Kind::Table(&MODELS), "", "The models that may be asked for; at least one."),
    Key::new("rate_limits", Kind::Table(&PROVIDER_LIMITS), "", "Limits shared by its models."),
    Key::new("allow", Kind::Texts, "", "Only these groups may use its models; absent = all."),
    Key::new("deny", Kind::Texts, "[]", "These groups may not; wins over `allow`."),
    Key::new("max_in_flight", Kind::Integer(1, 1 << 24), "1024", "Calls in flight to it; above it 503."),
    Key::new("connect_timeout", Kind::Duration(0, DAY), "\"5s\"", "For TCP and TLS."),
    Key::new("first_byte_timeout", Kind::Duration(0, DAY), "\"600s\"", "Until the head of the answer."),
    Key::new("idle_timeout", Kind::Duration(0, DAY), "\"120s\"", "Between two pieces of an answer."),
    Key::new("api_key", Kind::Secret, "", "Sent as a bearer token; to `anthropic` as `x-api-key`, to `google` as `x-goog-api-key`, to `azure` as `api-key`.").only(KEYED),
    Key::new("base_url", Kind::Url, "", "Where it is; absent = `https://api.openai.com/v1`, `https://api.anthropic.com/v1`, `https://generativelanguage.googleapis.com/v1beta`, Vertex AI in the location, Bedrock in the region, by type. For `azure` the endpoint of the resource, and required.").only(REMOTE),
    Key::new("ca_file", Kind::File, "", "Extra roots for this provider, PEM.").only(REMOTE),
    Key::new("stream_usage", Kind::Bool, "true", "Whether usage is asked for in streams whose caller did not.").only(&["openai", "azure"]),
    Key::new("max_tokens_field", Kind::Choice(&["max_tokens", "max_completion_tokens"]), "", "What the length of an answer is called in chat completions that Nexus writes; absent = `max_completion_tokens` for `azure` and for OpenAI itself, else `max_tokens`.").only(&["openai", "azure"]),
    Key::new("first_byte_delay", Kind::Delay, "\"0s\"", "Before the head of the answer.").only(&["echo"]),
    Key::new("token_delay", Kind::Delay, "\"0s\"", "Before each word of a stream.").only(&["echo"]),
    Key::new("forward_token", Kind::Bool, "false", "Whether the caller's own `X-Provider-API-Key` is used instead of `api_key`.").only(KEYED),
    Key::new("responses", Kind::Bool, "", "Whether it speaks the Responses protocol; absent = `true` for `azure` and for OpenAI itself. Where it does not, such calls go out as chat completions.").only(&["openai", "azure"]),
    Key::new("headers", Kind::Tables(&HEADER_RULE), "", "Which headers go upstream; in this order. What is signed for `bedrock` stays as it is.").only(REMOTE),
    Key::new("model_filter", Kind::Text, "", "Not supported: models by pattern.").never("remove it, and list each model under `models`: only configured models are served"),
    Key::new("region", Kind::Text, "", "AWS region; required.").only(&["bedrock"]),
    Key::new("access_key_id", Kind::Secret, "", "AWS key; without any, what the machine offers: environment, files, web identity, container, instance.").only(&["bedrock"]),
    Key::new("secret_access_key", Kind::Secret, "", "Its secret.").only(&["bedrock"]),
    Key::new("session_token", Kind::Secret, "", "Its token, where it is temporary.").only(&["bedrock"]),
    Key::new("profile", Kind::Text, "", "A profile of the AWS files, instead of keys.").only(&["bedrock"]),
    Key::new("vertex", Kind::Table(&VERTEX), "", "Vertex AI instead of the Gemini API.").only(&["google"]),
    Key::new("api_version", Kind::Text, "", "A date, such as `2024-10-21`: the paths of deployments in that version. Absent, `v1` or `preview`: the newer paths, with the deployment as the model.").only(&["azure"]),
    Key::new("entra", Kind::Table(&ENTRA), "", "Azure identity.").only(&["azure"]),
] };

#[rustfmt::skip]
static VERTEX: Section = Section { title: "[llm.providers.NAME.vertex]", names: None, keys: &[
    Key::new("project", Kind::Text, "", "Google project.").required(),
    Key::new("location", Kind::Text, "", "Google location.").required(),
    Key::new("credentials_file", Kind::File, "", "Service account; absent = application default credentials."),
] };

#[rustfmt::skip]
static ENTRA: Section = Section { title: "[llm.providers.NAME.entra]", names: None, keys: &[
    Key::new("tenant", Kind::Text, "", "Azure tenant.").required(),
    Key::new("client_id", Kind::Text, "", "Azure application.").required(),
    Key::new("client_secret", Kind::Secret, "", "Its secret.").required(),
] };

#[rustfmt::skip]
static MODELS: Section = Section { title: "[llm.providers.NAME.models]", keys: &[],
    names: Some(Key::new("MODEL", Kind::Table(&MODEL), "", "A model, by its public name; `/`, `.` and `:` need quotes.")) };

#[rustfmt::skip]
static MODEL: Section = Section { title: "[llm.providers.NAME.models.MODEL]", names: None, keys: &[
    Key::new("rename", Kind::Text, "", "The name sent upstream, of `azure` the deployment; absent = the public name."),
    Key::new("rate_limits", Kind::Table(&MODEL_LIMITS), "", "Limits of this model alone."),
    Key::new("allow", Kind::Texts, "", GROUPS_ALLOW),
    Key::new("deny", Kind::Texts, "[]", "These groups may not use it; wins over `allow`."),
    Key::new("max_tokens", Kind::Integer(1, 1 << 32), "4096", "The longest answer, in tokens, where the provider demands a maximum and the caller gave none."),
    Key::new("price", Kind::Table(&PRICE), "", "What a million tokens cost; needed where `cost_limit` holds."),
    Key::new("headers", Kind::Tables(&HEADER_RULE), "", "Header rules, after those of the provider."),
] };

#[rustfmt::skip]
static PRICE: Section = Section { title: "[llm.providers.NAME.models.MODEL.price]", names: None, keys: &[
    Key::new("input", Kind::Number, "", "Of a million input tokens.").required(),
    Key::new("cached_input", Kind::Number, "", "Of those that the provider had cached; absent = as `input`."),
    Key::new("output", Kind::Number, "", "Of a million output tokens.").required(),
] };

#[rustfmt::skip]
static HEADER_RULE: Section = Section { title: "[[llm.providers.NAME.headers]], of a model likewise", names: None, keys: &[
    Key::new("rule", Kind::Choice(&["forward", "insert", "remove", "rename_duplicate"]), "", "What is done: the caller's header goes upstream; one is set; one that would go does not; the caller's goes under two names.").required(),
    Key::new("name", Kind::HeaderName, "", "The header."),
    Key::new("pattern", Kind::Text, "", "Instead of `name`: the headers whose names match this regular expression, whatever their case; `forward` skips those that sound like credentials or name the caller.").only(&["forward", "remove"]),
    Key::new("value", Kind::Secret, "", "What is set.").only(&["insert"]),
    Key::new("default", Kind::Secret, "", "What is sent when the caller sent none; not with `pattern`.").only(&["forward", "rename_duplicate"]),
    Key::new("rename", Kind::HeaderName, "", "The name it goes upstream under; of `rename_duplicate`, the second one.").only(&["forward", "rename_duplicate"]),
] };
