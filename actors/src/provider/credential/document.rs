//! The JSON documents of credentials: answers that hold keys or tokens, Google's files, and what a service account
//! signs. The only file here that knows JSON. Of a document that is wrong nothing is repeated.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{AwsKeys, Failed, Got, Opened};
use crate::secret::Secret;

/// The answer of a token endpoint (RFC 6749 §5.1), which Google's metadata server gives likewise.
#[derive(Deserialize)]
struct Token {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

/// What says that there is none (§5.2); the numbers are Entra's.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

/// Keys as AWS's container and instance metadata write them. A container's have no `Code`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

/// A file of Google's, of any type.
#[derive(Deserialize)]
struct File {
    r#type: String,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
}

/// Who a file of Google's speaks for.
pub(super) enum Account {
    /// A service account, which signs for itself.
    Service {
        /// Its name.
        email: String,
        /// In PEM.
        private_key: Secret,
        /// Which of its keys.
        key_id: Option<String>,
        /// Where tokens come from.
        token_uri: Option<String>,
    },
    /// A person who has signed in with `gcloud`.
    User {
        /// The application through which.
        client_id: String,
        /// Its secret, which is none really.
        client_secret: Secret,
        /// What tokens are got for.
        refresh_token: Secret,
        /// Where tokens come from.
        token_uri: Option<String>,
    },
}

/// The header of the token that a service account signs.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

/// Its claims; times in unix seconds.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    pub(super) iss: &'a str,
    pub(super) scope: &'a str,
    pub(super) aud: &'a str,
    pub(super) iat: u64,
    pub(super) exp: u64,
}

/// The codes of RFC 6749 §5.2 and the few that Google and Microsoft have beside them: of an answer that says something
/// else only the status is told.
const REFUSALS: [&str; 11] = [
    "access_denied",
    "admin_policy_enforced",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_resource",
    "invalid_scope",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// The types of Google's files that are known and not supported.
const OTHER_TYPES: [&str; 4] = [
    "external_account",
    "external_account_authorized_user",
    "gdch_service_account",
    "impersonated_service_account",
];

/// Reads the answer of a token endpoint.
///
/// # Errors
/// When it holds no token that a header can carry, or no life.
pub(super) fn token(body: &[u8]) -> Result<Got, Failed> {
    let Token { access_token, expires_in } = serde_json::from_slice(body)
        .map_err(|_| Failed::new("the answer is no access token with its `expires_in`"))?;
    let token = sendable(access_token).ok_or_else(|| Failed::new("no header can carry the access token"))?;
    Ok(Got { opened: Opened::Bearer(Secret::new(token)), life: Some(Duration::from_secs(expires_in)) })
}

/// The known word for why a token endpoint gives no token, with Entra's number.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    let Refusal { error, error_codes } = serde_json::from_slice(body).ok()?;
    let known = REFUSALS.iter().find(|known| **known == error)?;
    Some(match error_codes.first() {
        Some(code) => format!("{known}, AADSTS{code}"),
        None => (*known).to_owned(),
    })
}

/// Reads keys as AWS's metadata write them, at this time.
///
/// # Errors
/// When there are none, or no expiry.
pub(super) fn keys(body: &[u8], now: SystemTime) -> Result<Got, Failed> {
    let keys: Keys = serde_json::from_slice(body).map_err(|_| Failed::new("the answer holds no AWS keys"))?;
    if keys.code.is_some_and(|code| code != "Success") {
        return Err(Failed::new(
            "the answer says that the role's keys cannot be had now: see its permissions",
        ));
    }
    aws_keys([keys.access_key_id, keys.secret_access_key, keys.token, keys.expiration], now)
}

/// Keys of AWS that expire, out of an answer: id, secret, session token, and when, as RFC 3339 writes times.
///
/// # Errors
/// When one of them is missing, or no header can carry it.
pub(super) fn aws_keys(
    [id, secret, token, expiration]: [Option<String>; 4],
    now: SystemTime,
) -> Result<Got, Failed> {
    let missing = |what| move || Failed::new(format!("the answer has no usable {what}"));
    let access_key_id = id.and_then(sendable).ok_or_else(missing("access key id"))?;
    let secret = secret.and_then(sendable).ok_or_else(missing("secret access key"))?;
    let token = token.and_then(sendable).ok_or_else(missing("session token"))?;
    let expiration = expiration.and_then(|time| humantime::parse_rfc3339(&time).ok());
    let expiration = expiration.ok_or_else(missing("time of expiry"))?;
    let keys = AwsKeys {
        access_key_id,
        secret_access_key: Secret::new(secret),
        session_token: Some(Secret::new(token)),
    };
    // What has expired already lives no time at all.
    let life = expiration.duration_since(now).unwrap_or_default();
    Ok(Got { opened: Opened::Aws(keys), life: Some(life) })
}

/// Reads a file of Google's.
///
/// # Errors
/// When it is none, of a type that is not supported, or something is missing in it.
pub(super) fn account(content: &str) -> Result<Account, Failed> {
    let file: File =
        serde_json::from_str(content).map_err(|_| Failed::new("it is no file of Google credentials"))?;
    let missing = |what| move || Failed::new(format!("it has no `{what}`"));
    match &*file.r#type {
        "service_account" => Ok(Account::Service {
            email: file.client_email.ok_or_else(missing("client_email"))?,
            private_key: Secret::new(file.private_key.ok_or_else(missing("private_key"))?),
            key_id: file.private_key_id,
            token_uri: file.token_uri,
        }),
        "authorized_user" => Ok(Account::User {
            client_id: file.client_id.ok_or_else(missing("client_id"))?,
            client_secret: Secret::new(file.client_secret.ok_or_else(missing("client_secret"))?),
            refresh_token: Secret::new(file.refresh_token.ok_or_else(missing("refresh_token"))?),
            token_uri: file.token_uri,
        }),
        other => {
            let known = OTHER_TYPES.iter().find(|known| **known == other).copied().unwrap_or("unknown");
            Err(Failed::new(format!(
                "credentials of type {known} are not supported: use those of a service account, or of a user"
            )))
        }
    }
}

/// The first two parts of a token that is signed with RS256, not encoded.
///
/// # Errors
/// Never really: these are strings and numbers.
pub(super) fn unsigned(key_id: Option<&str>, claims: &Claims<'_>) -> Result<[Vec<u8>; 2], Failed> {
    let failed = |_| Failed::new("the claims cannot be written");
    let header = Header { alg: "RS256", typ: "JWT", kid: key_id };
    Ok([serde_json::to_vec(&header).map_err(failed)?, serde_json::to_vec(claims).map_err(failed)?])
}

/// A value that can stand in a header: visible ASCII, and some.
pub(super) fn sendable(value: String) -> Option<String> {
    (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())).then_some(value)
}
