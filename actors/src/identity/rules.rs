//! How callers are identified, as configured. Values only: nothing is decided here.

use std::{collections::BTreeSet, fmt, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, Uri};
pub use jsonwebtoken::Algorithm;

use super::Networks;
use crate::principal::{ClientId, Group};

/// How callers are identified. Never changes: other rules are other actors'.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// What names the client; `None` when only tokens or keys are demanded and nobody is named by them.
    pub client: Option<Source>,
    /// What names the client's group, if groups are used.
    pub group: Option<Source>,
    /// The groups a caller may be of; empty = any.
    pub groups: BTreeSet<Group>,
    /// Whether a caller without a group is refused.
    pub require_group: bool,
    /// Peers whose identity headers and unverified tokens are believed; for others they are absent.
    pub trusted_proxies: Networks,
    /// What becomes of tokens.
    pub tokens: Tokens,
    /// Keys handed out to callers.
    pub api_keys: Vec<ApiKey>,
}

/// Where a part of an identity is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A request header.
    Header(HeaderName),
    /// A claim of the token: a literal name, else a dotted path.
    Claim(Arc<str>),
    /// The certificate of the TLS client, which the listener has verified.
    Certificate(CertificateField),
}

/// A name in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateField {
    /// The one URI among the subject's alternative names (a SPIFFE id, for example).
    SanUri,
    /// The common name of the subject.
    SubjectCn,
}

/// What becomes of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Nobody reads them.
    Ignored,
    /// A proxy in front has verified them: only peers in `trusted_proxies` are believed.
    Unverified,
    /// Every call needs one that these keys verify (or an API key, where there are any).
    Verified(Verification),
}

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Where the keys come from.
    pub keys: KeySource,
    /// Between two fetches of the keys, and two readings of the file; `None` = only when a token names an unknown key.
    pub poll_interval: Option<Duration>,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must be or hold this.
    pub audience: Option<String>,
    /// The algorithms that are accepted; never empty. Symmetric ones only with [`KeySource::File`].
    pub algorithms: Vec<Algorithm>,
}

/// Where keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWKS by HTTP or HTTPS.
    Url(Uri),
    /// A local JWKS.
    File(PathBuf),
}

/// A key handed out to a caller; what is kept is its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The client id of its holder.
    pub client: ClientId,
    /// The group of its holder.
    pub group: Option<Group>,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
}

impl Verification {
    /// Algorithms whose keys may be published.
    pub const ASYMMETRIC: [Algorithm; 9] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// Whether a key of this algorithm signs as well as it verifies: only a local file may hold one.
    pub fn is_symmetric(algorithm: Algorithm) -> bool {
        !Self::ASYMMETRIC.contains(&algorithm)
    }
}

impl fmt::Debug for KeySource {
    /// Of a URL only the host: its path and query may be as good as a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(uri) => f.debug_tuple("Url").field(&uri.host().unwrap_or_default()).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("client", &self.client)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_keys_prints_no_path_and_no_query_of_its_url() {
        let url = KeySource::Url(Uri::from_static("https://id.example/tenant-7/jwks?code=hush"));
        assert_eq!(format!("{url:?}"), r#"Url("id.example")"#);
        assert_eq!(format!("{:?}", KeySource::File("a.json".into())), r#"File("a.json")"#);
    }
}
