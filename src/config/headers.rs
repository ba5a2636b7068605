//! Header rules: what of a caller's headers goes to a provider, and what is added; `upstream::headers` applies them. The
//! names that no rule may ever pass on stand here too, for the check of the file and for the application alike.

use http::{HeaderName, HeaderValue};
use regex::bytes::Regex;

/// One `[[llm.providers.NAME.headers]]`. Values from the file are marked sensitive.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderRule {
    /// The caller's header goes upstream.
    Forward {
        /// Which.
        from: Names,
        /// When the caller sent none; only with one name.
        default: Option<HeaderValue>,
        /// Under this name instead.
        rename: Option<HeaderName>,
    },
    /// A header is set.
    Insert {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: HeaderValue,
    },
    /// A header that would go upstream does not.
    Remove(Names),
    /// The caller's header goes upstream under both names.
    RenameDuplicate {
        /// Its own name.
        name: HeaderName,
        /// The other one.
        rename: HeaderName,
        /// When the caller sent none.
        default: Option<HeaderValue>,
    },
}

/// Which headers a rule is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Names {
    /// The one of this name.
    One(HeaderName),
    /// Those whose names match.
    Matching(Pattern),
}

/// A regular expression on the names of headers, whatever their case.
#[derive(Clone, Debug)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What no rule may set, `insert` included: hop-by-hop headers, those that frame or describe the body, and credentials
/// that belong to the caller alone.
const NEVER_SET: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "cookie2",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-provider-api-key",
];

/// What an operator may `insert`, but never takes from a caller: what Nexus says for itself.
const INSERTED_ONLY: &[&str] = &["accept", "accept-charset", "accept-ranges", "origin"];

/// Credentials of a caller, its own and those that proxies add once they know who it is: oauth2-proxy, Google IAP,
/// Cloudflare Access.
const CALLERS_CREDENTIALS: &[&str] = &[
    "api-key",
    "authorization",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "cookie",
    "cookie2",
    "proxy-authorization",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-request-access-token",
    "x-auth-token",
    "x-forwarded-access-token",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-provider-api-key",
];
/// The same by how they begin: tokens of Azure App Service, of the load balancers of AWS.
const CALLERS_CREDENTIALS_BEGIN: &[&str] = &["x-amzn-oidc-", "x-ms-token-"];
/// Beside those tokens, the name of their bearer.
const BEARERS_NAME: &str = "x-amzn-oidc-identity";

/// Whether the caller's header of that name never goes upstream, whatever a rule or its pattern says: credentials,
/// cookies, hop-by-hop headers and framing. Nor may a forwarded header take such a name.
pub fn is_never_forwarded(name: &HeaderName) -> bool {
    is_never_set(name) || is_credential(name) || INSERTED_ONLY.contains(&name.as_str())
}

/// Whether a header of that name holds a credential of the caller: it goes nowhere, and names nobody.
pub fn is_credential(name: &HeaderName) -> bool {
    let name = name.as_str();
    let begins =
        || CALLERS_CREDENTIALS_BEGIN.iter().any(|begin| name.starts_with(begin)) && name != BEARERS_NAME;
    CALLERS_CREDENTIALS.contains(&name) || begins()
}

/// Words in the names of headers that hold a credential, or something as good.
const TELLING: &[&str] = &[
    "api-key",
    "apikey",
    "assertion",
    "auth",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "oidc",
    "password",
    "secret",
    "session",
    "token",
];

/// Whether a header of that name may well hold a credential: no pattern takes it along, only a rule that names it.
pub fn sounds_secret(name: &HeaderName) -> bool {
    TELLING.iter().any(|word| name.as_str().contains(word))
}

/// Whether no rule may set a header of that name.
pub fn is_never_set(name: &HeaderName) -> bool {
    NEVER_SET.contains(&name.as_str())
}

/// Whether a value that an operator sets for a header of that name is a secret. More than what [`sounds_secret`] about
/// callers' headers, among which `idempotency-key` and the like are common.
pub fn carries_credentials(name: &HeaderName) -> bool {
    sounds_secret(name) || ["key", "signature"].iter().any(|word| name.as_str().contains(word))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{carries_credentials, is_credential, is_never_forwarded, is_never_set};

    #[test]
    fn names_of_headers_with_credentials_are_known_by_their_words() {
        for name in
            ["authorization", "api-key", "x-goog-api-key", "x-auth-token", "x-client-secret", "cookie"]
        {
            assert!(carries_credentials(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-region", "x-source", "user-agent", "accept", "traceparent"] {
            assert!(!carries_credentials(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn credentials_of_callers_never_go_upstream_and_those_of_the_operator_may() {
        for name in ["authorization", "x-api-key", "x-goog-api-key", "x-auth-token", "accept"] {
            let name = HeaderName::from_static(name);
            assert!(is_never_forwarded(&name) && !is_never_set(&name), "{name}");
        }
        for name in ["cookie", "proxy-authorization", "x-provider-api-key", "transfer-encoding", "te", "host"]
        {
            let name = HeaderName::from_static(name);
            assert!(is_never_forwarded(&name) && is_never_set(&name), "{name}");
        }
        for name in ["x-source", "user-agent", "traceparent", "anthropic-beta", "x-request-id"] {
            assert!(!is_never_forwarded(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn tokens_that_proxies_add_are_credentials_and_the_names_of_their_bearers_are_not() {
        for name in [
            "x-forwarded-access-token",
            "x-auth-request-access-token",
            "x-goog-iap-jwt-assertion",
            "x-amzn-oidc-data",
            "x-amzn-oidc-accesstoken",
            "x-ms-token-aad-id-token",
            "x-auth-token",
            "cf-access-jwt-assertion",
        ] {
            let name = HeaderName::from_static(name);
            assert!(is_credential(&name) && is_never_forwarded(&name), "{name}");
        }
        for name in [
            "x-amzn-oidc-identity",
            "x-auth-request-user",
            "x-forwarded-user",
            "x-goog-authenticated-user-id",
            "x-ms-client-principal-id",
            "x-user-id",
        ] {
            assert!(!is_credential(&HeaderName::from_static(name)), "{name}");
        }
    }
}
