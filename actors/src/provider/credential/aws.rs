//! Keys of AWS: those of the configuration, of a profile, or of the chain that every AWS SDK looks along.
//!
//! The chain: environment; shared profile files; web identity; container; instance metadata. The first that is there is
//! the one, and if it fails no other is tried: nobody should be surprised by whose keys are used.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

mod metadata;
mod profile;
mod sts;

use self::{
    metadata::{Container, Instance},
    profile::{Profiles, Way},
    sts::{Sts, WebIdentity},
};
use super::{AwsKeys, Failed, Got, Opened, document::sendable, files::Files};
use crate::secret::Secret;

/// What the configuration says.
#[derive(Clone, Debug)]
pub enum Configured {
    /// These keys, which are never renewed.
    Keys {
        /// The public half.
        access_key_id: String,
        /// The other half.
        secret_access_key: Secret,
        /// With temporary keys only.
        session_token: Option<Secret>,
    },
    /// This profile of the shared files, and nothing else.
    Profile(String),
    /// Nothing.
    Chain,
}

/// What the configuration and the environment say.
#[derive(Clone, Debug)]
pub struct Source {
    configured: Configured,
    /// Of the environment.
    keys: Option<AwsKeys>,
    profiles: Profiles,
    /// `AWS_PROFILE`.
    profile: Option<String>,
    web_identity: Option<WebIdentity>,
    sts: Sts,
    container: Option<Container>,
    instance: Option<Instance>,
}

impl Source {
    /// Keys for a region: as configured, else as the environment says where they are.
    pub fn new(configured: Configured, region: &str, environment: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| environment(name).filter(|value| !value.is_empty());
        let secret = |name| get(name).map(Secret::new);
        let keys = get("AWS_ACCESS_KEY_ID").zip(secret("AWS_SECRET_ACCESS_KEY"));
        let keys = keys.map(|(access_key_id, secret_access_key)| AwsKeys {
            access_key_id,
            secret_access_key,
            session_token: secret("AWS_SESSION_TOKEN"),
        });
        Self {
            configured,
            keys,
            profiles: Profiles::new(get),
            profile: get("AWS_PROFILE"),
            web_identity: WebIdentity::new(get),
            sts: Sts::new(region, get),
            container: Container::new(get),
            instance: Instance::new(get),
        }
    }

    /// # Errors
    /// When keys or a profile are configured and cannot be used.
    pub(super) async fn check(&self, files: &Files) -> Result<(), Failed> {
        match &self.configured {
            Configured::Keys { access_key_id, secret_access_key, session_token } => {
                lasting(access_key_id, secret_access_key, session_token.as_ref()).map(drop)
            }
            Configured::Profile(name) => self.named(name, files).await.map(drop),
            Configured::Chain => Ok(()),
        }
    }

    /// Gets keys. Files are read anew.
    pub(super) async fn open(&self, files: &Files) -> Result<Got, Failed> {
        match &self.configured {
            Configured::Keys { access_key_id, secret_access_key, session_token } => {
                lasting(access_key_id, secret_access_key, session_token.as_ref())
            }
            Configured::Profile(name) => self.by(self.named(name, files).await?, files).await,
            Configured::Chain => self.chain(files).await,
        }
    }

    async fn chain(&self, files: &Files) -> Result<Got, Failed> {
        if let Some(keys) = &self.keys {
            let got = lasting(&keys.access_key_id, &keys.secret_access_key, keys.session_token.as_ref());
            return got.map_err(|failed| failed.at("AWS_ACCESS_KEY_ID of the environment"));
        }
        let way = match &self.profile {
            Some(name) => Some(self.named(name, files).await?),
            None => self.profiles.find("default", files).await?.flatten(),
        };
        if let Some(way) = way {
            return self.by(way, files).await;
        }
        if let Some(identity) = &self.web_identity {
            return self.sts.assume(identity, files).await;
        }
        if let Some(container) = &self.container {
            return container.keys(files).await.map_err(|failed| failed.at("the metadata of the container"));
        }
        let nothing = "no AWS keys in the configuration, the environment or a profile";
        match &self.instance {
            Some(instance) => {
                let got = instance.keys().await;
                got.map_err(|failed| failed.at(format!("{nothing}, and the metadata of the instance")))
            }
            None => Err(Failed::new(nothing)),
        }
    }

    /// The way that a profile shows which must be there.
    async fn named(&self, name: &str, files: &Files) -> Result<Way, Failed> {
        let way = self.profiles.find(name, files).await?;
        let failed = |reason: &str| Failed::new(reason).at(format!("AWS profile {name:?}"));
        let way = way.ok_or_else(|| failed("it is in none of the shared files"))?;
        way.ok_or_else(|| failed("it has neither keys nor a web identity"))
    }

    async fn by(&self, way: Way, files: &Files) -> Result<Got, Failed> {
        match way {
            Way::Keys(keys) => {
                let got = lasting(&keys.access_key_id, &keys.secret_access_key, keys.session_token.as_ref());
                got.map_err(|failed| failed.at("an AWS profile"))
            }
            Way::WebIdentity(identity) => self.sts.assume(&identity, files).await,
        }
    }
}

/// Keys that are given as they are. What tells their end, if they have one, is the provider.
fn lasting(id: &str, secret: &Secret, token: Option<&Secret>) -> Result<Got, Failed> {
    let unusable = |what: &str| Failed::new(format!("the {what} is empty, or has characters that none has"));
    let id = sendable(id.to_owned()).ok_or_else(|| unusable("access key id"))?;
    sendable(secret.expose().to_owned()).ok_or_else(|| unusable("secret access key"))?;
    if let Some(token) = token {
        sendable(token.expose().to_owned()).ok_or_else(|| unusable("session token"))?;
    }
    let keys =
        AwsKeys { access_key_id: id, secret_access_key: secret.clone(), session_token: token.cloned() };
    Ok(Got { opened: Opened::Aws(keys), life: None })
}
