//! Access tokens of Google Cloud: from a file of credentials, or from the metadata server of the machine.
//!
//! Order, as Google's "application default credentials": the configured file; `GOOGLE_APPLICATION_CREDENTIALS`; the file
//! that `gcloud auth application-default login` writes; the metadata server.
//! <https://cloud.google.com/docs/authentication/application-default-credentials>

mod assertion;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use http::Method;

use super::{
    Failed, Got,
    document::{self, Account},
    files::Files,
    request::{Ask, refused},
};

/// What tokens are for: everything on Google Cloud that the account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where tokens come from, if the file does not say.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The metadata server, if `GCE_METADATA_HOST` does not say.
const METADATA: &str = "metadata.google.internal";
/// The metadata server is next door, if it is there.
const NEARBY: Duration = Duration::from_secs(2);

/// What the configuration and the environment say.
#[derive(Clone, Debug)]
pub struct Source {
    /// It must be there, if there is one.
    named: Option<PathBuf>,
    /// It is used if it is there.
    default: Option<PathBuf>,
    /// Host and perhaps port.
    metadata: String,
}

impl Source {
    /// The account of the file, or else the application default credentials.
    pub fn new(credentials_file: Option<PathBuf>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| environment(name).filter(|value| !value.is_empty());
        let folder = get("CLOUDSDK_CONFIG").map(PathBuf::from);
        let folder = folder.or_else(|| Some(Path::new(&get("HOME")?).join(".config/gcloud")));
        Self {
            named: credentials_file.or_else(|| get("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from)),
            default: folder.map(|folder| folder.join("application_default_credentials.json")),
            metadata: get("GCE_METADATA_HOST").unwrap_or_else(|| METADATA.to_owned()),
        }
    }

    /// # Errors
    /// When a file is named and no account can be read from it.
    pub(super) async fn check(&self, files: &Files) -> Result<(), Failed> {
        let Some(path) = &self.named else { return Ok(()) };
        let account =
            document::account(&files.read(path).await?).map_err(|failed| failed.at(path.display()))?;
        let asked = ask(&account, SystemTime::now());
        asked.map(drop).map_err(|failed| failed.at(path.display()))
    }

    /// Gets a token. Files are read anew.
    pub(super) async fn open(&self, files: &Files) -> Result<Got, Failed> {
        let found = match (&self.named, &self.default) {
            (Some(path), _) => Some((path, files.read(path).await?)),
            (None, Some(path)) => files.read_if_any(path).await?.map(|content| (path, content)),
            (None, None) => None,
        };
        match found {
            Some((path, content)) => by_file(&content).await.map_err(|failed| failed.at(path.display())),
            None => {
                let got = self.by_metadata().await;
                got.map_err(|failed| failed.at("no file of Google credentials, and the metadata server"))
            }
        }
    }

    /// The token of the machine's own account.
    /// <https://cloud.google.com/compute/docs/access/authenticate-workloads#applications>
    async fn by_metadata(&self) -> Result<Got, Failed> {
        let host = self.metadata.trim_end_matches('/');
        let host = host.strip_prefix("http://").unwrap_or(host);
        let address = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
        let ask = Ask::at(Method::GET, &address)?.with("metadata-flavor", "Google")?;
        document::token(&ask.connecting_within(NEARBY).document().await?)
    }
}

async fn by_file(content: &str) -> Result<Got, Failed> {
    let answer = ask(&document::account(content)?, SystemTime::now())?.send().await?;
    match answer.status().as_u16() {
        200 => document::token(answer.body()),
        status => Err(refused(status, document::refusal(answer.body()).as_deref())),
    }
}

/// What gets the account a token.
fn ask(account: &Account, now: SystemTime) -> Result<Ask, Failed> {
    match account {
        Account::Service { email, private_key, key_id, token_uri } => {
            let token_uri = token_uri.as_deref().unwrap_or(TOKEN_URI);
            let assertion = assertion::signed(email, private_key, key_id.as_deref(), token_uri, now)?;
            let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
            Ask::form(token_uri, &[("grant_type", grant), ("assertion", &assertion)])
        }
        Account::User { client_id, client_secret, refresh_token, token_uri } => {
            let fields = [
                ("grant_type", "refresh_token"),
                ("client_id", client_id),
                ("client_secret", client_secret.expose()),
                ("refresh_token", refresh_token.expose()),
            ];
            Ask::form(token_uri.as_deref().unwrap_or(TOKEN_URI), &fields)
        }
    }
}
