//! Access tokens of Microsoft Entra for an application, by its secret (OAuth client credentials).
//!
//! Wire: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use http::Uri;

use super::{
    Failed, Got, document,
    request::{Ask, encoded, refused},
};
use crate::secret::Secret;

/// Where tokens come from, if nothing else is said.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// An application of a tenant.
#[derive(Clone, Debug)]
pub struct Source {
    tenant: String,
    client_id: String,
    client_secret: Secret,
    /// Absolute, with or without a slash at the end.
    authority: Option<String>,
}

impl Source {
    /// The application `client_id` of the tenant; `authority` is another cloud's, or a test's.
    pub fn new(tenant: String, client_id: String, client_secret: Secret, authority: Option<Uri>) -> Self {
        Self { tenant, client_id, client_secret, authority: authority.map(|uri| uri.to_string()) }
    }

    /// The same, whose authority is what `AZURE_AUTHORITY_HOST` says, unless one was given.
    pub fn or_environment(mut self, environment: impl Fn(&str) -> Option<String>) -> Self {
        let said = environment("AZURE_AUTHORITY_HOST").filter(|host| !host.is_empty());
        self.authority = self
            .authority
            .or_else(|| said.map(|host| if host.contains("://") { host } else { format!("https://{host}") }));
        self
    }

    /// # Errors
    /// When the authority is no URL.
    pub(super) fn check(&self) -> Result<(), Failed> {
        self.ask().map(drop)
    }

    /// Gets a token.
    pub(super) async fn open(&self) -> Result<Got, Failed> {
        let answer = self.ask()?.send().await.map_err(|failed| failed.at("Microsoft Entra"))?;
        let got = match answer.status().as_u16() {
            200 => document::token(answer.body()),
            status => Err(refused(status, document::refusal(answer.body()).as_deref())),
        };
        got.map_err(|failed| failed.at("Microsoft Entra"))
    }

    fn ask(&self) -> Result<Ask, Failed> {
        let authority = self.authority.as_deref().unwrap_or(AUTHORITY).trim_end_matches('/');
        let address = format!("{authority}/{}/oauth2/v2.0/token", encoded(&self.tenant));
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("scope", scope(authority)),
        ];
        Ask::form(&address, &fields).map_err(|failed| failed.at("the authority of Microsoft Entra"))
    }
}

/// What the token is for: each national cloud names its own.
fn scope(authority: &str) -> &'static str {
    let uri = authority.parse::<Uri>().ok();
    match uri.as_ref().and_then(Uri::host).and_then(|host| host.rsplit('.').next()) {
        Some("us") => "https://cognitiveservices.azure.us/.default",
        Some("cn") => "https://cognitiveservices.azure.cn/.default",
        _ => "https://cognitiveservices.azure.com/.default",
    }
}
