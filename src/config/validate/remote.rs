//! What stands behind a provider: its kind, where it is, and what opens it.

use std::sync::Arc;

use http::Uri;

use super::Check;
use crate::config::{
    AwsCredentials, Entra, ProviderKind, Remote, Vertex,
    diagnostic::{Code, Diagnostic},
    file::View,
    secret::Secret,
};

/// Stands in for an address that could not be read; the file is refused then, or nothing is called.
const NOWHERE: &str = "https://unknown.invalid";

/// The kind of a provider; `None` for one that is not known, which its shape has reported.
pub(super) fn kind(view: View<'_>, check: &mut Check<'_>) -> Option<ProviderKind> {
    Some(match view.get::<String>("type")?.as_str() {
        "anthropic" => {
            ProviderKind::Anthropic { remote: remote(view, "https://api.anthropic.com/v1", check) }
        }
        "azure" => azure(view, check),
        "bedrock" => bedrock(view, check),
        "echo" => ProviderKind::Echo {
            first_byte_delay: view.value("first_byte_delay"),
            token_delay: view.value("token_delay"),
        },
        "google" => google(view, check),
        "openai" => {
            let remote = remote(view, "https://api.openai.com/v1", check);
            let openais = remote.is_openais();
            ProviderKind::OpenAi {
                remote,
                responses: view.get("responses").unwrap_or(openais),
                stream_usage: view.value("stream_usage"),
                max_completion_tokens: max_completion_tokens(view, openais),
            }
        }
        _ => return None,
    })
}

fn remote(view: View<'_>, default: &str, check: &mut Check<'_>) -> Remote {
    let base_url = view.get("base_url").or_else(|| default.parse().ok());
    Remote {
        base_url: base_url.unwrap_or_else(|| Uri::from_static(NOWHERE)),
        api_key: secret(view, "api_key"),
        ca_pem: ca_pem(view, check),
    }
}

fn secret(view: View<'_>, name: &str) -> Option<Secret> {
    view.get(name).filter(|key: &String| !key.is_empty()).map(Secret::new)
}

fn ca_pem(view: View<'_>, check: &mut Check<'_>) -> Option<Arc<[u8]>> {
    view.entry("ca_file").and_then(|entry| check.bytes(entry)).map(Into::into)
}

fn google(view: View<'_>, check: &mut Check<'_>) -> ProviderKind {
    let table = view.table("vertex");
    if !table.exists() {
        let default = "https://generativelanguage.googleapis.com/v1beta";
        return ProviderKind::Google { remote: remote(view, default, check), vertex: None };
    }
    only_one_opens(view, "vertex", "a service account opens Vertex AI", check);
    for name in ["project", "location"] {
        must_be_plain(table, name, check);
    }
    let vertex = Vertex {
        project: table.get("project").unwrap_or_default(),
        location: table.get("location").unwrap_or_default(),
        credentials_file: table.entry("credentials_file").and_then(|entry| check.path(entry)),
    };
    ProviderKind::Google { remote: remote(view, &vertex_url(&vertex.location), check), vertex: Some(vertex) }
}

/// Where Vertex AI is: a host for each region, one for each of the two multi-regions, one for all the world.
fn vertex_url(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
        "eu" | "us" => format!("https://aiplatform.{location}.rep.googleapis.com/v1"),
        region => format!("https://{region}-aiplatform.googleapis.com/v1"),
    }
}

fn azure(view: View<'_>, check: &mut Check<'_>) -> ProviderKind {
    if view.entry("base_url").is_none() {
        let help =
            "write the endpoint of the resource: `base_url = \"https://my-resource.openai.azure.com\"`";
        let missing = Diagnostic::new(Code::MissingKey, view.span(), "`base_url` is missing").help(help);
        check.report.push(missing);
    }
    let api_version = view.get::<String>("api_version");
    if let (Some(""), Some(entry)) = (api_version.as_deref(), view.entry("api_version")) {
        let help = "write a version such as \"2024-10-21\", or remove it: the newer paths need none";
        check.at_value(entry, Code::EmptyValue, "`api_version` is empty", help);
    }
    let table = view.table("entra");
    if table.exists() {
        only_one_opens(view, "entra", "an Entra identity opens it", check);
        for name in ["tenant", "client_id"] {
            must_be_plain(table, name, check);
        }
    }
    let entra = table.exists().then(|| Entra {
        tenant: table.get("tenant").unwrap_or_default(),
        client_id: table.get("client_id").unwrap_or_default(),
        client_secret: Secret::new(table.get("client_secret").unwrap_or_default()),
    });
    ProviderKind::Azure {
        remote: remote(view, NOWHERE, check),
        api_version,
        entra,
        responses: view.get("responses").unwrap_or(true),
        stream_usage: view.value("stream_usage"),
        max_completion_tokens: max_completion_tokens(view, true),
    }
}

/// Whether the length of an answer goes by its newer name: what is written, else what the server is known to take. Few
/// that are compatible with OpenAI know the newer one, and OpenAI's reasoning models refuse the older one.
fn max_completion_tokens(view: View<'_>, default: bool) -> bool {
    view.get::<String>("max_tokens_field").map_or(default, |field| field == "max_completion_tokens")
}

fn bedrock(view: View<'_>, check: &mut Check<'_>) -> ProviderKind {
    must_be_there(view, "region", "write the region: `region = \"eu-central-1\"`", check);
    must_be_plain(view, "region", check);
    let region: String = view.get("region").unwrap_or_default();
    let default = format!("https://bedrock-runtime.{region}.amazonaws.com");
    let remote = remote(view, &default, check);
    ProviderKind::Bedrock { remote, region, credentials: aws_credentials(view, check) }
}

fn aws_credentials(view: View<'_>, check: &mut Check<'_>) -> AwsCredentials {
    let keys = ["access_key_id", "secret_access_key", "session_token"];
    let written = keys.iter().find_map(|name| view.entry(name));
    if let Some(first) = written {
        for name in &keys[..2] {
            let help = format!("write `{name}`, or none of them to have the machine's own credentials");
            must_be_there(view, name, &help, check);
        }
        if let Some(profile) = view.entry("profile") {
            let problem =
                Diagnostic::new(Code::Conflict, profile.key.clone(), "`profile` stands beside keys")
                    .label(first.key.clone(), "the first of them")
                    .help("keep one of them");
            check.report.push(problem);
        }
    }
    match (secret(view, keys[0]), secret(view, keys[1])) {
        (Some(access_key_id), Some(secret_access_key)) => {
            let session_token = secret(view, keys[2]);
            AwsCredentials::Keys { access_key_id, secret_access_key, session_token }
        }
        _ => view.get("profile").map_or(AwsCredentials::Chain, AwsCredentials::Profile),
    }
}

/// Reports a key that this kind cannot do without.
fn must_be_there(view: View<'_>, name: &str, help: &str, check: &mut Check<'_>) {
    if view.entry(name).is_none() {
        let message = format!("`{name}` is missing");
        check.report.push(Diagnostic::new(Code::MissingKey, view.span(), message).help(help));
    }
}

/// Reports a key beside the table that stands instead of one.
fn only_one_opens(view: View<'_>, table: &str, why: &str, check: &mut Check<'_>) {
    if let (Some(key), Some(other)) = (view.entry("api_key"), view.entry(table)) {
        let message = format!("`api_key` and `{table}` are both written");
        let problem = Diagnostic::new(Code::Conflict, key.key.clone(), message)
            .label(other.key.clone(), "the other one")
            .help(format!("keep one of them: {why}, or a key does"));
        check.report.push(problem);
    }
}

/// Reports a name that does not fit into a URL as it is.
fn must_be_plain(table: View<'_>, name: &str, check: &mut Check<'_>) {
    let is_plain = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
        !text.is_empty() && text.chars().all(plain)
    };
    if let (Some(text), Some(entry)) = (table.get::<String>(name), table.entry(name))
        && !is_plain(&text)
    {
        let message = format!("`{name}` must be letters, digits, `-`, `.` and `:`");
        check.at_value(entry, Code::InvalidName, message, "write it as the provider's console shows it");
    }
}
