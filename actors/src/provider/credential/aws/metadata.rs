//! Keys of the role that a container or an instance runs under, from the metadata server next to it.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use http::{Method, Uri};

use crate::{
    provider::credential::{Failed, Got, document, files::Files, request::Ask},
    secret::Secret,
};

/// Where ECS gives out keys.
const ECS: &str = "http://169.254.170.2";
/// The servers that may be asked without TLS, besides loopback: ECS, EKS, EKS over IPv6.
const NEXT_DOOR: [&str; 3] = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
/// Where instances are told about themselves, and the same over IPv6.
const INSTANCE: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];
/// An instance's server answers at once, if there is one.
const NEARBY: Duration = Duration::from_secs(1);

/// What a container is told by its environment.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
#[derive(Clone, Debug)]
pub(super) struct Container {
    address: String,
    token: Option<Secret>,
    /// It comes before `token`, and is read anew each time.
    token_file: Option<PathBuf>,
}

/// Instance metadata, version 2.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Without a slash at the end.
    base: String,
}

impl Container {
    pub(super) fn new(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{ECS}{path}"));
        Some(Self {
            address: relative.or_else(|| get("AWS_CONTAINER_CREDENTIALS_FULL_URI"))?,
            token: get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
            token_file: get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
        })
    }

    pub(super) async fn keys(&self, files: &Files) -> Result<Got, Failed> {
        let mut ask = Ask::at(Method::GET, &self.address)?;
        if !is_safe(&self.address) {
            return Err(Failed::new("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor next door"));
        }
        let token = match &self.token_file {
            Some(path) => Some(Secret::new(files.read(path).await?.trim().to_owned())),
            None => self.token.clone(),
        };
        if let Some(token) = token {
            ask = ask.with("authorization", token.expose())?;
        }
        document::keys(&ask.document().await?, SystemTime::now())
    }
}

/// Whether keys may come from there: in the clear only from this machine.
fn is_safe(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("https") || NEXT_DOOR.contains(&host) || is_loopback()
}

impl Instance {
    pub(super) fn new(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        if get("AWS_EC2_METADATA_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return None;
        }
        let mode = get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").unwrap_or_default();
        let usual = || INSTANCE[usize::from(mode.eq_ignore_ascii_case("ipv6"))].to_owned();
        let base = get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(usual);
        Some(Self { base: base.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn keys(&self) -> Result<Got, Failed> {
        let ask = self.ask(Method::PUT, "api/token")?;
        let session = ask.with("x-aws-ec2-metadata-token-ttl-seconds", "21600")?.document().await?;
        let session = text(&session).ok_or_else(|| Failed::new("it gave no session token"))?;
        let roles = self.get("", session).await?;
        // A role is named by letters, digits and a few signs: whatever else this is, it is not asked for.
        let is_name =
            |role: &&str| role.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@-_".contains(&b));
        let role = text(&roles).and_then(|roles| roles.lines().next()).map(str::trim).filter(is_name);
        let role = role.ok_or_else(|| Failed::new("the instance has no role"))?;
        document::keys(&self.get(role, session).await?, SystemTime::now())
    }

    async fn get(&self, role: &str, session: &str) -> Result<bytes::Bytes, Failed> {
        let ask = self.ask(Method::GET, &format!("meta-data/iam/security-credentials/{role}"))?;
        ask.with("x-aws-ec2-metadata-token", session)?.document().await
    }

    fn ask(&self, method: Method, path: &str) -> Result<Ask, Failed> {
        Ok(Ask::at(method, &format!("{}/latest/{path}", self.base))?.connecting_within(NEARBY))
    }
}

/// Text that is not empty.
fn text(body: &[u8]) -> Option<&str> {
    str::from_utf8(body).ok().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
