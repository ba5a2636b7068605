//! The configuration as it is meant: valid, with every default filled in and every name resolved.
//!
//! `config::file` is what was written (with positions); `config::validate` turns it into this and reports every
//! problem on the way. Nothing here knows about files, positions or the environment. Units are in the types:
//! durations are `Duration`, sizes are bytes, limits are tokens.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actors::{
    Group,
    identity::{Rules, Source},
    quota::{OnOutputLimit, Price, Redis},
};
use http::{HeaderName, Uri};

use self::{
    budget::Budgets,
    diagnostic::Report,
    edge::{ClientIp, Cors, ProtectedResource, RequestLimits, Tls},
    environment::Environment,
    headers::HeaderRule,
    reference::References,
    secret::Secret,
};

pub mod budget;
pub mod diagnostic;
pub mod diff;
pub mod edge;
pub mod environment;
pub mod explain;
pub mod file;
pub mod headers;
pub mod keys;
pub mod limits;
pub mod quantity;
pub mod reference;
pub mod render;
pub mod schema;
pub mod secret;
pub mod watch;

mod broken;
mod kind;
mod shape;
mod source;
mod validate;

/// What a smallest file looks like.
pub const SMALLEST: &str = "a smallest nexus.toml:
  [llm.providers.openai]
  type = \"openai\"
  api_key = \"{{ env.OPENAI_API_KEY }}\"
  [llm.providers.openai.models.\"gpt-4o-mini\"]
without a key, `nexus --config config/demo.toml` runs at once with the built-in echo provider";

/// A whole valid file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]` and its tables.
    pub server: Server,
    /// `[server.client_identification]`, `[server.oauth]` and `[[server.api_keys]]`; `None` when nobody has to say who
    /// calls.
    pub identification: Option<Rules>,
    /// `[actors]`.
    pub actors: Actors,
    /// `[llm.protocols.*]`.
    pub protocols: Protocols,
    /// `[llm.limits]`, as far as it says how input is estimated.
    pub counting: Counting,
    /// The rest of it.
    pub charging: Charging,
    /// `[llm.providers.*]`, sorted by name. Empty when `llm.enabled = false`.
    pub providers: Vec<Provider>,
}

/// Listener, edge limits and the way down.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where clients connect.
    pub listen_address: SocketAddr,
    /// Calls admitted and not yet answered to the last byte.
    pub max_in_flight: usize,
    /// Client connections.
    pub max_connections: usize,
    /// Bytes of request and response bodies held at one time.
    pub memory_budget: usize,
    /// Largest request body, bytes.
    pub request_body_limit: usize,
    /// For a whole request head.
    pub header_timeout: Duration,
    /// Between two pieces of a request body.
    pub body_timeout: Duration,
    /// A client that takes nothing for so long is closed.
    pub write_timeout: Duration,
    /// A kept-alive connection without a request.
    pub idle_timeout: Duration,
    /// After a signal: not ready, still accepting.
    pub drain_delay: Duration,
    /// Then: for calls to finish.
    pub shutdown_timeout: Duration,
    /// `[server.health]`.
    pub health: Health,
    /// `[server.admin] listen`; `None` = off.
    pub admin: Option<SocketAddr>,
    /// `[server.rate_limits] max_clients`: clients with a live bucket, over all shards.
    pub max_clients: usize,
    /// `[server.rate_limits] storage`.
    pub storage: Storage,
    /// `[server.tls]`; `None` = plain text.
    pub tls: Option<Tls>,
    /// `[server.cors]`; `None` = no such headers.
    pub cors: Option<Cors>,
    /// `[server.csrf]`: the header every request must carry.
    pub csrf: Option<HeaderName>,
    /// `[server.client_ip]`.
    pub client_ip: ClientIp,
    /// `[server.rate_limits]` `global` and `per_ip`.
    pub request_limits: RequestLimits,
    /// `[server.oauth.protected_resource]`.
    pub protected_resource: Option<ProtectedResource>,
}

/// Where windows are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Storage {
    /// In this process.
    Memory {
        /// A file that keeps the longer ones over a restart.
        path: Option<PathBuf>,
    },
    /// On a server that several routers share.
    Redis(Redis),
}

/// `[server.health]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Whether the route exists at all.
    pub enabled: bool,
    /// Its path, beginning with `/`.
    pub path: String,
    /// A listener of its own; the main one then answers 404 on the path.
    pub listen: Option<SocketAddr>,
}

/// Shard counts and mailboxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Actors {
    /// Identity actors.
    pub identity_workers: usize,
    /// Quota actors; clients are placed by a stable hash of the client id.
    pub quota_shards: usize,
    /// Provider actors per provider, each with its own pool.
    pub provider_workers: usize,
    /// Calls a mailbox holds before it refuses.
    pub mailbox_limit: usize,
    /// One log line per actor; `None` = off.
    pub metrics_interval: Option<Duration>,
}

/// Where each ingress protocol is served; `None` = switched off.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocols {
    /// Path prefixes of the OpenAI routes: the configured path first, then the `/llm` alias while the path is the default.
    /// No trailing slash. Every enabled protocol is served at the root too.
    pub openai: Option<Vec<String>>,
    /// Those of the Anthropic routes.
    pub anthropic: Option<Vec<String>>,
    /// Those of the Gemini routes.
    pub google: Option<Vec<String>>,
}

/// `[llm.limits]`: how input is estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct Counting {
    /// Whether tool definitions, calls and results count (`false`: plain text only, as the original did).
    pub count_tools: bool,
    /// Tokens for an image.
    pub image_tokens: u64,
    /// Tokens for other base64 data.
    pub file_tokens: u64,
}

/// `[llm.limits]`: how calls are charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Charging {
    /// What input is charged by.
    pub count: Count,
    /// What an input token costs that the provider had cached, in billionths of a token; with [`Count::Reported`].
    pub cached_input_weight: u64,
    /// Output tokens a stream draws at a time.
    pub output_lease: u64,
    /// What becomes of a stream whose output limit is used up, where its table does not say it.
    pub on_output_limit: OnOutputLimit,
}

/// What input is charged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The estimate.
    Estimate,
    /// What the provider reports.
    Reported,
}

/// One `[llm.providers.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The table's name; holds no `/`.
    pub name: Arc<str>,
    /// What stands behind it.
    pub kind: ProviderKind,
    /// Calls in flight to this provider.
    pub max_in_flight: usize,
    /// TCP and TLS.
    pub connect_timeout: Duration,
    /// Until the response head.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
    /// Sorted by name; never empty.
    pub models: Vec<Model>,
    /// Its own `rate_limits`, as far as they are written; `budgets` of the models holds what follows from them.
    pub limits: limits::Limits,
    /// Whether the caller's `X-Provider-API-Key` is used instead of the configured key.
    pub forward_token: bool,
    /// Its header rules, in order.
    pub headers: Vec<HeaderRule>,
    /// The values of those rules that are secret.
    pub header_secrets: Vec<Secret>,
}

/// The kinds of provider this version speaks to.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderKind {
    /// Built in: answers with the text of the last user message.
    Echo {
        /// Before the response head.
        first_byte_delay: Duration,
        /// Before each word of a stream.
        token_delay: Duration,
    },
    /// Any OpenAI-compatible server.
    OpenAi {
        /// Where it is; the key is sent as `Authorization: Bearer`.
        remote: Remote,
        /// Whether it speaks the Responses protocol.
        responses: bool,
        /// Whether `stream_options.include_usage` is injected into streams that do not ask for it.
        stream_usage: bool,
        /// Whether it calls the length of an answer `max_completion_tokens`, not `max_tokens`.
        max_completion_tokens: bool,
    },
    /// Anthropic's API.
    Anthropic {
        /// Where it is; the key is sent as `x-api-key`.
        remote: Remote,
    },
    /// The Gemini API, or Vertex AI.
    Google {
        /// Where it is; the key is sent as `x-goog-api-key`.
        remote: Remote,
        /// Vertex AI instead of the Gemini API; there is no key then.
        vertex: Option<Vertex>,
    },
    /// OpenAI's models on Azure.
    Azure {
        /// The resource's endpoint; the key is sent as `api-key`.
        remote: Remote,
        /// `api_version`, as written; `None` = the paths that need none.
        api_version: Option<String>,
        /// Opens it instead of a key.
        entra: Option<Entra>,
        /// Whether it speaks the Responses protocol.
        responses: bool,
        /// As of [`ProviderKind::OpenAi`].
        stream_usage: bool,
        /// As of [`ProviderKind::OpenAi`].
        max_completion_tokens: bool,
    },
    /// Amazon Bedrock: requests are signed.
    Bedrock {
        /// Where it is; there is no key.
        remote: Remote,
        /// The AWS region.
        region: String,
        /// What requests are signed with.
        credentials: AwsCredentials,
    },
}

/// Where a provider is, and with what it is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Remote {
    /// `http` or `https`, with a host, without a trailing slash, query or fragment.
    pub base_url: Uri,
    /// Never empty.
    pub api_key: Option<Secret>,
    /// Extra PEM roots for this upstream, already read.
    pub ca_pem: Option<Arc<[u8]>>,
}

/// `[llm.providers.NAME.vertex]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vertex {
    /// The Google project.
    pub project: String,
    /// The location, `global` among them.
    pub location: String,
    /// The service account's file; `None` = Google's application default credentials.
    pub credentials_file: Option<PathBuf>,
}

/// `[llm.providers.NAME.entra]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entra {
    /// The tenant, by id or domain.
    pub tenant: String,
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// Where the keys of AWS come from.
#[derive(Clone, Debug, PartialEq)]
pub enum AwsCredentials {
    /// The file itself.
    Keys {
        /// `access_key_id`
        access_key_id: Secret,
        /// `secret_access_key`
        secret_access_key: Secret,
        /// `session_token`
        session_token: Option<Secret>,
    },
    /// A profile of the AWS files.
    Profile(String),
    /// Whatever the machine offers: environment, files, web identity, container, instance.
    Chain,
}

/// One `[llm.providers.NAME.models."KEY"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The key, the part of the public id after the first `/`.
    pub name: Arc<str>,
    /// The name sent upstream: `rename`, else the key.
    pub upstream_name: Arc<str>,
    /// `allow`: only these groups; `None` = every caller. Model and provider lists are already merged.
    pub allow: Option<BTreeSet<Group>>,
    /// `deny`: never these groups (wins over `allow`). Model and provider lists are already merged.
    pub deny: BTreeSet<Group>,
    /// The limits that hold for this model, already resolved: model + group, model, provider + group, provider.
    pub budgets: Budgets,
    /// Its own `rate_limits`, as far as they are written.
    pub limits: limits::Limits,
    /// What its tokens cost, if that is known.
    pub price: Option<Price>,
    /// Its header rules, after those of the provider.
    pub headers: Vec<HeaderRule>,
    /// The length of an answer where the provider demands one and the caller gave none, in tokens.
    pub max_tokens: u64,
    /// The values of those rules that are secret.
    pub header_secrets: Vec<Secret>,
}

impl Remote {
    /// Whether it is OpenAI itself, in any of its regions (`eu.api.openai.com`).
    pub fn is_openais(&self) -> bool {
        let host = self.base_url.host().unwrap_or_default().to_ascii_lowercase();
        host.strip_suffix("api.openai.com").is_some_and(|region| region.is_empty() || region.ends_with('.'))
    }
}

impl ProviderKind {
    /// Where it is, and its key if it has one; `None` for the one that is built in.
    pub const fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Echo { .. } => None,
            Self::OpenAi { remote, .. }
            | Self::Anthropic { remote }
            | Self::Google { remote, .. }
            | Self::Azure { remote, .. }
            | Self::Bedrock { remote, .. } => Some(remote),
        }
    }
}

impl ProviderKind {
    /// Whether `stream_options.include_usage` is injected into streams that do not ask for it.
    pub fn stream_usage(&self) -> bool {
        match self {
            Self::OpenAi { stream_usage, .. } | Self::Azure { stream_usage, .. } => *stream_usage,
            _ => false,
        }
    }

    /// Whether it calls the length of an answer `max_completion_tokens`, not `max_tokens`.
    pub fn max_completion_tokens(&self) -> bool {
        match self {
            Self::OpenAi { max_completion_tokens, .. } | Self::Azure { max_completion_tokens, .. } => {
                *max_completion_tokens
            }
            _ => false,
        }
    }

    /// Whether its chat completions may hold `reasoning_details`: OpenAI itself, and Azure, refuse what they do not know.
    pub fn reasoning_details(&self) -> bool {
        matches!(self, Self::OpenAi { remote, .. } if !remote.is_openais())
    }

    /// What opens it, as far as the configuration says.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let key = self.remote().and_then(|remote| remote.api_key.as_ref());
        let others = match self {
            Self::Azure { entra: Some(entra), .. } => [Some(&entra.client_secret), None, None],
            Self::Bedrock { credentials, .. } => credentials.secrets(),
            _ => [None; 3],
        };
        key.into_iter().chain(others.into_iter().flatten())
    }
}

impl AwsCredentials {
    fn secrets(&self) -> [Option<&Secret>; 3] {
        match self {
            Self::Keys { access_key_id, secret_access_key, session_token } => {
                [Some(access_key_id), Some(secret_access_key), session_token.as_ref()]
            }
            Self::Profile(_) | Self::Chain => [None; 3],
        }
    }
}

impl Config {
    /// The headers that are for this server: who calls, in which group, and that no foreign page does.
    pub fn own_headers(&self) -> Vec<HeaderName> {
        let sources = self.identification.iter().flat_map(|rules| [&rules.client, &rules.group]).flatten();
        let identity = sources.filter_map(|source| match source {
            Source::Header(name) => Some(name),
            Source::Claim(_) | Source::Certificate(_) => None,
        });
        identity.chain(&self.server.csrf).cloned().collect()
    }

    /// Reads a file. With it come its warnings.
    ///
    /// # Errors
    /// Every problem of the file, in its order, warnings among them.
    pub fn load(file: &Path, environment: &dyn Environment) -> Result<(Self, Report), Report> {
        let bytes = environment.file(file).map_err(|error| source::unread(file, &error))?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::read(file, &text, environment),
            Err(error) => Err(source::not_text(file, &error)),
        }
    }

    /// Reads the text of a file; `file` is how it is named in problems, and paths in it are relative to its folder.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(file: &Path, text: &str, environment: &dyn Environment) -> Result<(Self, Report), Report> {
        let mut report = Report::new(file, text);
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        let root = file::parse(&mut report, &References::new(environment, folder));
        let syntax = std::mem::take(&mut report.diagnostics);
        shape::check(&root, &mut report);
        let config = validate::config(&root, &mut report, environment, folder);
        file::reconcile(&mut report, syntax);
        report.sort();
        if report.has_errors() { Err(report) } else { Ok((config, report)) }
    }
}
