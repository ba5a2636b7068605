//! What opens a provider at the time of a call, where that is not its key.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use actors::provider::credential::{AwsKeys, Opened};

use super::{
    call::Call,
    router::{Provider, Upstream},
};
use crate::{
    config::secret::Secret,
    error::Provider as Fault,
    upstream::{self, sigv4},
};

impl Provider {
    /// What opens it now, where that is not its key; its texts do not tell the caller. A key of the caller's comes before.
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
            Opened::Aws(AwsKeys { access_key_id, secret_access_key, session_token }) => {
                call.hide([&Secret::new(access_key_id.clone()), secret_access_key]);
                call.hide(session_token);
            }
        }
        Ok(Some(opened))
    }
}

/// As a request takes it that is made now.
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
