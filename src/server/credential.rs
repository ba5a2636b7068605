//! What opens a provider at the time of a call, where that is not its key.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use actors::provider::credential::{AwsKeys, Credential, Opened, Unavailable};
use arc_swap::ArcSwapOption;

use super::{
    call::Call,
    router::{Provider, Upstream},
};
use crate::{
    config::secret::{Secret, Secrets},
    error::Provider as Fault,
    upstream::{self, sigv4},
};

/// The way to a provider's credential, and what its texts must not tell of that: made anew where the credential is
/// another than the call before had.
#[derive(Debug)]
pub struct Opener {
    credential: Credential,
    last: ArcSwapOption<(Arc<Opened>, Secrets)>,
}

impl Opener {
    /// By the actor that keeps the credential.
    pub fn new(credential: Credential) -> Self {
        Self { credential, last: ArcSwapOption::empty() }
    }

    async fn current(&self) -> Result<Arc<(Arc<Opened>, Secrets)>, Unavailable> {
        let opened = self.credential.current().await?;
        if let Some(last) = &*self.last.load()
            && Arc::ptr_eq(&last.0, &opened)
        {
            return Ok(Arc::clone(last));
        }
        let secrets = secrets(&opened);
        let current = Arc::new((opened, secrets));
        self.last.store(Some(Arc::clone(&current)));
        Ok(current)
    }
}

fn secrets(opened: &Opened) -> Secrets {
    match opened {
        Opened::Bearer(token) => Secrets::new([token]),
        Opened::Aws(AwsKeys { access_key_id, secret_access_key, session_token }) => {
            let id = Secret::new(access_key_id.clone());
            Secrets::new([&id, secret_access_key].into_iter().chain(session_token))
        }
    }
}

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
        let current = credential.current().await.map_err(|error| {
            tracing::warn!(provider = name, %error, "the credentials of the provider are not available");
            Fault::Locked(name.to_owned())
        })?;
        let (opened, secrets) = &*current;
        call.opened_by(secrets.clone());
        Ok(Some(Arc::clone(opened)))
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
