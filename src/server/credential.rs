//! What opens providers for now, where that is not one key for ever.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    call::Call,
    router::{Provider, Upstream},
};
use crate::{
    config::secret::Secret,
    error::Provider as Fault,
    upstream::{self, sigv4},
};

/// What opens a provider at the time of a call.
pub enum Opened {
    /// Keys of AWS: they sign.
    Aws(AwsKeys),
    /// A bearer token.
    Bearer(Secret),
}

/// Keys of AWS.
pub struct AwsKeys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret,
    /// Goes with keys that expire.
    pub session_token: Option<Secret>,
}

/// Where it comes from.
pub struct Credential(pub Arc<Opened>);

/// It is not to be had.
#[derive(Debug)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unavailable")
    }
}

impl Credential {
    /// What opens the provider now.
    pub async fn current(&self) -> Result<Arc<Opened>, Unavailable> {
        Ok(Arc::clone(&self.0))
    }
}

/// As the request for it takes it, at the time of the machine.
pub(super) fn opens(opened: &Opened) -> upstream::Opened<'_> {
    match opened {
        Opened::Bearer(token) => upstream::Opened::Token(token),
        Opened::Aws(AwsKeys { access_key_id, secret_access_key, session_token }) => {
            let session_token = session_token.as_ref();
            let credential = sigv4::Credential { access_key_id, secret_access_key, session_token };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            upstream::Opened::Keys(credential, now)
        }
    }
}

impl Provider {
    /// What opens it now, where that is not its key; the call does not tell it. A caller's own key comes before.
    ///
    /// # Errors
    /// When it is not to be had. The operator reads why.
    pub(super) async fn open(&self, name: &str, call: &mut Call) -> Result<Option<Arc<Opened>>, Fault> {
        let Upstream::Remote { credential: Some(credential), .. } = &self.upstream else { return Ok(None) };
        if call.key.is_some() {
            return Ok(None);
        }
        let opened = credential.current().await.map_err(|error| {
            tracing::warn!(provider = name, %error, "the credentials of the provider are not available");
            Fault::Locked(name.to_owned())
        })?;
        match &*opened {
            Opened::Bearer(token) => call.hide([token]),
            Opened::Aws(AwsKeys { secret_access_key, session_token, .. }) => {
                call.hide([Some(secret_access_key), session_token.as_ref()].into_iter().flatten());
            }
        }
        Ok(Some(opened))
    }
}
