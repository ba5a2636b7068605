//! The profile files that all AWS tools share: `~/.aws/config` and `~/.aws/credentials`.
//!
//! Format: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>. Reading is lenient: a line that is
//! nothing is passed over.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{AwsKeys, WebIdentity};
use crate::{
    provider::credential::{Failed, files::Files},
    secret::Secret,
};

/// Where the two files are, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Profiles {
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

/// How a profile gets its keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    Keys(AwsKeys),
    WebIdentity(WebIdentity),
}

/// The properties of one profile, their names in lower case.
pub(super) type Properties = BTreeMap<String, String>;

/// Ways that a profile may ask for and that are not supported, by their properties, and what they are called.
const UNSUPPORTED: [(&str, &str); 4] = [
    ("credential_process", "a program that prints keys"),
    ("sso_session", "single sign-on"),
    ("sso_start_url", "single sign-on"),
    ("login_session", "a console sign-in"),
];

impl Profiles {
    pub(super) fn new(get: impl Fn(&str) -> Option<String>) -> Self {
        let home = get("HOME").map(|home| Path::new(&home).join(".aws"));
        let file = |name, usual| {
            get(name).map(PathBuf::from).or_else(|| home.as_ref().map(|folder| folder.join(usual)))
        };
        Self {
            config: file("AWS_CONFIG_FILE", "config"),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }

    /// The way that the profile shows; inside, `None` if it shows none; outside, if it is not there.
    pub(super) async fn find(&self, name: &str, files: &Files) -> Result<Option<Option<Way>>, Failed> {
        let mut all: Option<Properties> = None;
        // What both files say is taken from the second.
        for (path, is_config) in [(&self.config, true), (&self.credentials, false)] {
            let Some(path) = path else { continue };
            let Some(content) = files.read_if_any(path).await? else { continue };
            if let Some(properties) = properties(&content, name, is_config) {
                all.get_or_insert_default().extend(properties);
            }
        }
        let way = all.map(|properties| way(&properties)).transpose();
        way.map_err(|failed| failed.at(format!("AWS profile {name:?}")))
    }
}

/// The properties of the profile in the file, if it is there. In `config` the sections are called `[profile NAME]`.
pub(super) fn properties(content: &str, name: &str, is_config: bool) -> Option<Properties> {
    let mut found: Option<Properties> = None;
    // Whether lines are of the profile, and whether the last property has its value in indented lines below it.
    let (mut inside, mut nested) = (false, false);
    for line in content.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        if let Some(section) = trimmed.strip_prefix('[').filter(|_| !indented) {
            let section = section.split_once(']').map_or("", |(section, _)| section.trim());
            inside = is_named(section, name, is_config);
            if inside {
                found.get_or_insert_default();
            }
            nested = false;
        } else if let Some((key, value)) = trimmed.split_once('=').filter(|_| inside && !(indented && nested))
        {
            let value = without_comment(value);
            nested = value.is_empty();
            found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.to_owned());
        }
    }
    found
}

fn is_named(section: &str, name: &str, is_config: bool) -> bool {
    let of_profile = || section.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']));
    match is_config {
        true => of_profile().map_or(name == "default" && section == "default", |rest| rest.trim() == name),
        false => section == name,
    }
}

/// A comment begins behind a blank.
fn without_comment(value: &str) -> &str {
    let value = value.trim();
    let starts = [" #", " ;", "\t#", "\t;"];
    starts
        .iter()
        .fold(value, |value, start| value.split_once(start).map_or(value, |(value, _)| value))
        .trim_end()
}

/// How these properties get keys.
///
/// # Errors
/// When they do in a way that is not supported.
pub(super) fn way(properties: &Properties) -> Result<Option<Way>, Failed> {
    let get = |name: &str| properties.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(role) = get("role_arn") {
        let token_file = get("web_identity_token_file").ok_or_else(|| {
            Failed::new(
                "a role by way of another profile is not supported: only by `web_identity_token_file`",
            )
        })?;
        let session = get("role_session_name");
        return Ok(Some(Way::WebIdentity(WebIdentity { token_file: token_file.into(), role, session })));
    }
    if let Some((access_key_id, secret)) = get("aws_access_key_id").zip(get("aws_secret_access_key")) {
        let session_token = get("aws_session_token").map(Secret::new);
        let secret_access_key = Secret::new(secret);
        return Ok(Some(Way::Keys(AwsKeys { access_key_id, secret_access_key, session_token })));
    }
    match UNSUPPORTED.iter().find(|(property, _)| get(property).is_some()) {
        Some((property, what)) => Err(Failed::new(format!("{what} (`{property}`) is not supported"))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
