//! Every kind of secret at once: their values, a configuration that uses them all, and a provider that tells all it was
//! sent.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    issuer::{Issuer, now},
    setup::ADMIN,
    tls::{AUTHORITY, file},
    upstream::{Call, Reply, Step, Upstream},
};

/// The variables of the router's environment.
pub(super) const VARIABLES: [(&str, &str); 4] = [
    ("NEXUS_TEST_KEY", "sk-of-the-environment-1"),
    ("NEXUS_TEST_BEARER", "bearer-of-the-environment-2"),
    ("NEXUS_TEST_TENANT", "tenant/of+the=environment-3"),
    ("NEXUS_TEST_HASH", "7a3c54b22b69a90d0e2cb0e4a1d2f0a32e0d57d4e6b4c1c0d0e4e5c0b5a3f2d1"),
];
/// Secrets in files of their own.
const KEY_FILE: &str = "sk-of-a-file-4";
const RULE_FILE: &str = "rule-of-a-file-5";
/// Secrets in the configuration itself.
const DEFAULT: &str = "default-of-a-rule-6";
const OWN_DEFAULT: &str = "default-of-a-model-7";
/// What opens the other kinds of provider; all but the last of these are sent.
const ANTHROPIC: &str = "sk-ant-of-anthropic-15";
const GOOGLE: &str = "AIza-of-google-16";
const AZURE: &str = "key/of+azure-17";
const ACCESS_KEY_ID: &str = "AKIAOFAMAZON18";
const SESSION_TOKEN: &str = "session/of+amazon==19";
const SECRET_ACCESS_KEY: &str = "secret/of+amazon/20";
/// How many of the operator's secrets are sent to some provider.
pub(super) const SENT: usize = 12;
/// What callers bring along.
pub(super) const API_KEY: &str = "nxs_key-of-a-team-8";
pub(super) const PROVIDER_KEY: &str = "sk-of-a-caller-9";
pub(super) const COOKIE: &str = "session-of-a-caller-10";
pub(super) const QUERY_KEY: &str = "key-in-a-query-11";
pub(super) const OTHER_KEY: &str = "key-of-another-service-12";
pub(super) const PASSWORD: &str = "bWU6cGFzc3dvcmQtMTM";
/// What tokens are signed with.
const SYMMETRIC: &str = "symmetric-secret-of-thirty-two-bytes-or-more";

/// The beginnings and ends of streams.
const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
/// What the provider is asked to do, by the text of the message; those of `STREAMS` answer with events.
pub(super) const MODES: [&str; 14] = [
    "answer", "broken", "close", "detail", "dialect", "list", "long", "no json", "object", "redirect",
    "slashes", "string", "success", "text",
];
pub(super) const STREAMS: [&str; 6] = ["comment", "cut", "events", "first", "named", "plain"];

/// A secret, by what it is.
pub(super) type Secret = (&'static str, String);

/// The secrets and the files that hold some.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) issuer: Issuer,
    pub(super) good: String,
    pub(super) symmetric: String,
    pub(super) expired: String,
    pub(super) forged: String,
}

impl World {
    pub(super) fn new() -> Self {
        let (issuer, folder) = (Issuer::new(SYMMETRIC), tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("provider.key", &format!("{KEY_FILE}\n"));
        write("rule.key", RULE_FILE);
        write("jwks.json", &issuer.jwks());
        let alice = json!({"sub": "alice"});
        let forger = Issuer::new("another-secret-of-thirty-two-bytes-or-more");
        Self {
            good: issuer.token("RS256", alice.clone()),
            symmetric: issuer.token("HS256", alice.clone()),
            expired: issuer.token("RS256", json!({"sub": "alice", "exp": now() - 3600})),
            forged: forger.token("HS256", alice),
            folder,
            issuer,
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The secrets of the router itself and those that it sends upstream.
    pub(super) fn of_the_operator(&self) -> Vec<Secret> {
        let key = fs::read_to_string(file("edge_ec.key")).unwrap();
        let [own, bearer, tenant, hash] = VARIABLES.map(|(_, value)| value.to_owned());
        vec![
            ("a provider's key from the environment", own),
            ("a provider's key from a file", KEY_FILE.to_owned()),
            ("what a rule inserts from the environment", bearer),
            ("what a model's rule inserts from the environment", tenant),
            ("what a rule inserts from a file", RULE_FILE.to_owned()),
            ("a rule's default", DEFAULT.to_owned()),
            ("a model's rule's default", OWN_DEFAULT.to_owned()),
            ("the key of Anthropic", ANTHROPIC.to_owned()),
            ("the key of Google", GOOGLE.to_owned()),
            ("the key of Azure", AZURE.to_owned()),
            ("the public half of AWS's key", ACCESS_KEY_ID.to_owned()),
            ("the session token of AWS", SESSION_TOKEN.to_owned()),
            ("the secret half of AWS's key", SECRET_ACCESS_KEY.to_owned()),
            ("the hash of an API key", sha256(API_KEY)),
            ("the hash of another API key", hash),
            ("the symmetric key", SYMMETRIC.to_owned()),
            ("the symmetric key as it is written", self.issuer.encoded_secret()),
            ("the private key of TLS", key.lines().nth(1).unwrap().to_owned()),
        ]
    }

    /// The secrets of callers.
    pub(super) fn of_callers(&self) -> Vec<Secret> {
        let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
        vec![
            ("an API key", API_KEY.to_owned()),
            ("a caller's key for the provider", PROVIDER_KEY.to_owned()),
            ("a cookie", COOKIE.to_owned()),
            ("a key in the query", QUERY_KEY.to_owned()),
            ("a key for another service", OTHER_KEY.to_owned()),
            ("a password", PASSWORD.to_owned()),
            ("a token by RS256", signature(&self.good)),
            ("a token by HS256", signature(&self.symmetric)),
            ("an expired token", signature(&self.expired)),
            ("a forged token", signature(&self.forged)),
        ]
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        [self.of_the_operator(), self.of_callers()].concat()
    }

    /// The whole configuration, for a provider on HTTP/1.1 and another on HTTP/2 over TLS.
    pub(super) fn configuration(&self, plain: &str, secure: &str) -> String {
        self.server() + &self.providers(plain, secure)
    }

    fn server(&self) -> String {
        let (certificate, key) = (file("edge_ec.pem"), file("edge_ec.key"));
        let (certificate, key, jwks) = (certificate.display(), key.display(), self.path("jwks.json"));
        let hash = sha256(API_KEY);
        format!(
            r#"
[server]
request_body_limit = "16KiB"
[server.tls]
certificate = "{certificate}"
key = "{key}"
{ADMIN}
[server.oauth]
keys_file = "{jwks}"
algorithms = ["RS256", "HS256"]
[server.client_identification]
enabled = true
client_id.jwt_claim = "sub"
[[server.api_keys]]
client = "team-a"
sha256 = "{hash}"
[[server.api_keys]]
client = "team-b"
sha256 = "{{{{ env.NEXUS_TEST_HASH }}}}"
"#
        )
    }

    fn providers(&self, plain: &str, secure: &str) -> String {
        let (provider, rule) = (self.path("provider.key"), self.path("rule.key"));
        format!(
            r#"
[llm.providers.plain]
type = "openai"
base_url = "{plain}"
api_key = "{{{{ env.NEXUS_TEST_KEY }}}}"
[[llm.providers.plain.headers]]
rule = "insert"
name = "api-key"
value = "{{{{ file.{rule} }}}}"
[[llm.providers.plain.headers]]
rule = "forward"
name = "x-session-token"
default = "{DEFAULT}"
[llm.providers.plain.models.m]
[[llm.providers.plain.models.m.headers]]
rule = "insert"
name = "X-Tenant"
value = "{{{{ env.NEXUS_TEST_TENANT }}}}"
[[llm.providers.plain.models.m.headers]]
rule = "rename_duplicate"
name = "x-own"
rename = "x-own-secret"
default = "{OWN_DEFAULT}"
[llm.providers.secure]
type = "openai"
base_url = "{secure}"
api_key = "{{{{ file.{provider} }}}}"
ca_file = "{AUTHORITY}"
forward_token = true
[llm.providers.secure.models.m]
[llm.providers.keyless]
type = "openai"
base_url = "{plain}"
[[llm.providers.keyless.headers]]
rule = "insert"
name = "Authorization"
value = "Bearer {{{{ env.NEXUS_TEST_BEARER }}}}"
[llm.providers.keyless.models.m]
[llm.providers.anthropic]
type = "anthropic"
base_url = "{plain}"
api_key = "{ANTHROPIC}"
models.m = {{}}
[llm.providers.google]
type = "google"
base_url = "{plain}"
api_key = "{GOOGLE}"
models.m = {{}}
[llm.providers.azure]
type = "azure"
base_url = "{plain}"
api_key = "{AZURE}"
models.m = {{}}
[llm.providers.bedrock]
type = "bedrock"
region = "eu-central-1"
base_url = "{plain}"
access_key_id = "{ACCESS_KEY_ID}"
secret_access_key = "{SECRET_ACCESS_KEY}"
session_token = "{SESSION_TOKEN}"
models.m = {{}}
[llm.providers.gone]
type = "openai"
base_url = "http://127.0.0.1:1/v1"
api_key = "{{{{ env.NEXUS_TEST_KEY }}}}"
[llm.providers.gone.models.m]
[llm.providers.gone.models.tight.rate_limits.per_user]
input_token_limit = 1
interval = "60s"
"#
        )
    }

    /// The same with its secrets in it, rather than references to them.
    pub(super) fn written_out(&self) -> String {
        let text = self.configuration("http://127.0.0.1:1/v1", "https://127.0.0.1:1/v1");
        let text = VARIABLES
            .iter()
            .fold(text, |text, (name, value)| text.replace(&format!("{{{{ env.{name} }}}}"), value));
        let files = [("provider.key", KEY_FILE), ("rule.key", RULE_FILE)];
        let text = files.iter().fold(text, |text, (name, value)| {
            text.replace(&format!("{{{{ file.{} }}}}", self.path(name)), value)
        });
        text.replace("{admin}", "127.0.0.1:0")
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A provider that tells all that it was sent, on HTTP/1.1 in plain text or on HTTP/2 over TLS.
pub(super) async fn telling(secure: bool) -> Upstream {
    if secure { Upstream::start_tls(&["h2"], reply).await } else { Upstream::start(reply).await }
}

/// All that the provider was sent, but the body.
pub(super) fn told(call: &Call) -> String {
    let headers = call.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    format!("{} {}", call.uri, headers.collect::<Vec<_>>().join(", "))
}

fn reply(call: &Call) -> Reply {
    let told = told(call);
    let body = call.json();
    let places = ["/messages/0/content", "/messages/0/content/0/text", "/contents/0/parts/0/text"];
    let mode = places.iter().find_map(|place| body.pointer(place)?.as_str()).unwrap().to_owned();
    let error = json!({"error": {"message": told, "type": told, "code": null}}).to_string();
    let said =
        |status, body: String| Reply::status(status).header("content-type", "application/json").body(body);
    let events = |events: &[String]| Reply::events([Step::send(events.concat())]);
    let reply = match mode.as_str() {
        "answer" => Reply::completion("Hi"),
        "broken" => {
            Reply::json(format!("{{\"a\":\"{told}")).header("content-length", "100000").step(Step::Break)
        }
        "close" => Reply::close(),
        "detail" => said(422, json!({"detail": told}).to_string()),
        "dialect" => said(401, error),
        "list" => said(400, format!("[{error}]")),
        "long" => said(500, "x".repeat(1980usize.saturating_sub(told.len())) + &told + &told),
        "no json" => Reply::json(told.clone()),
        "object" => said(200, json!({"object": "error", "message": told}).to_string()),
        "redirect" => {
            said(302, String::new()).header("location", &format!("http://h/{}", told.replace(' ', "")))
        }
        "slashes" => said(500, error.replace('/', "\\/")),
        "string" => said(404, json!({"error": told}).to_string()),
        "success" => Reply::json(error),
        "text" => Reply::status(403).header("content-type", "text/plain").body(told.clone()),
        "comment" => events(&[format!(": {told}\n\n"), WORD.to_owned()]),
        "cut" => Reply::events([Step::send(WORD), Step::Break]),
        "events" => events(&[WORD.to_owned(), format!("data: {error}\n\n")]),
        "first" => events(&[format!("data: {error}\n\n")]),
        "named" => events(&[WORD.to_owned(), format!("event: error\ndata: {told}\n\n")]),
        "plain" => events(&[format!("data: {told}\n\n"), format!("data: {{\"error\":\"{told}\"}}\n\n")]),
        other => panic!("no such mode: {other}"),
    };
    let headers = call.headers.values().map(|value| value.to_str().unwrap().to_owned()).chain([told]);
    headers.enumerate().fold(reply, |reply, (at, value)| reply.header(&format!("x-told-{at}"), &value))
}
