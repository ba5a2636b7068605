//! A role of AWS for a token that someone else has issued: what Kubernetes gives its workloads.
//!
//! Wire: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>. The answer is XML of
//! which four elements are wanted; they are found by their names, since their text is all there is in them.

use std::{path::PathBuf, time::SystemTime};

use crate::provider::credential::{
    Failed, Got,
    document::aws_keys,
    files::Files,
    request::{Ask, refused},
};

/// Which role, and where the token is. The token file is written anew by others, and read anew each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebIdentity {
    pub(super) token_file: PathBuf,
    pub(super) role: String,
    pub(super) session: Option<String>,
}

/// Where roles are given out.
#[derive(Clone, Debug)]
pub(super) struct Sts(String);

/// The known codes of refusals: of an answer that says something else only the status is told.
const REFUSALS: [&str; 12] = [
    "AccessDenied",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "IDPRejectedClaim",
    "InvalidAction",
    "InvalidIdentityToken",
    "MalformedPolicyDocument",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
    "ServiceUnavailable",
    "Throttling",
    "ValidationError",
];

impl WebIdentity {
    /// That of the environment.
    pub(super) fn new(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let token_file = get("AWS_WEB_IDENTITY_TOKEN_FILE")?.into();
        Some(Self { token_file, role: get("AWS_ROLE_ARN")?, session: get("AWS_ROLE_SESSION_NAME") })
    }
}

impl Sts {
    /// That of a region, or what the environment puts in its place.
    pub(super) fn new(region: &str, get: impl Fn(&str) -> Option<String>) -> Self {
        let ending = if region.starts_with("cn-") { ".cn" } else { "" };
        let regional = || format!("https://sts.{region}.amazonaws.com{ending}");
        let given = get("AWS_ENDPOINT_URL_STS").or_else(|| get("AWS_ENDPOINT_URL"));
        Self(given.unwrap_or_else(regional))
    }

    /// Keys of the role.
    pub(super) async fn assume(&self, identity: &WebIdentity, files: &Files) -> Result<Got, Failed> {
        let token = files.read(&identity.token_file).await?;
        let got = self.exchange(identity, token.trim()).await;
        got.map_err(|failed| failed.at(format!("AWS STS, for the role {:?}", identity.role)))
    }

    async fn exchange(&self, identity: &WebIdentity, token: &str) -> Result<Got, Failed> {
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", &identity.role),
            ("RoleSessionName", identity.session.as_deref().unwrap_or("nexus")),
            ("WebIdentityToken", token),
        ];
        let address = format!("{}/", self.0.trim_end_matches('/'));
        let answer = Ask::form(&address, &fields)?.send().await?;
        let text = str::from_utf8(answer.body()).unwrap_or_default();
        match answer.status().as_u16() {
            200 => keys(text, SystemTime::now()),
            status => Err(refused(status, refusal(text))),
        }
    }
}

/// Reads the keys out of an answer.
pub(super) fn keys(answer: &str, now: SystemTime) -> Result<Got, Failed> {
    let within = inside(answer, "Credentials");
    let within = within.ok_or_else(|| Failed::new("the answer holds no credentials"))?;
    let names = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"];
    aws_keys(names.map(|name| inside(within, name).and_then(text)), now)
}

/// The known code that a refusal names.
pub(super) fn refusal(answer: &str) -> Option<&'static str> {
    let code = inside(answer, "Code")?.trim();
    REFUSALS.into_iter().find(|known| *known == code)
}

/// What is between the first `<name>` and the next `</name>`.
fn inside<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// Text without elements in it, its references replaced: the five of XML; keys have no others.
fn text(raw: &str) -> Option<String> {
    if raw.contains('<') {
        return None;
    }
    let (mut text, mut rest) = (String::with_capacity(raw.len()), raw.trim());
    while let Some((before, after)) = rest.split_once('&') {
        let (name, behind) = after.split_once(';')?;
        text.push_str(before);
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        });
        rest = behind;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests;
