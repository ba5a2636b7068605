//! `[[server.api_keys]]`: whom a key names. The keys themselves are in no file; their hashes are printed nowhere.

use std::{collections::BTreeSet, ops::Range};

use actors::{ClientId, Group, identity::ApiKey};

use super::Check;
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Entry, View},
    shape::nearest,
};

/// What the holders of keys must agree with.
pub(super) struct Groups<'a> {
    /// `group_values`; empty = any.
    pub(super) listed: &'a BTreeSet<Group>,
    /// Whether it holds more, which could not be read.
    pub(super) unknown: bool,
    /// Whether every caller needs one.
    pub(super) required: bool,
}

/// The keys that are handed out, one for each table.
pub(super) fn api_keys(server: View<'_>, groups: &Groups<'_>, check: &mut Check<'_>) -> Vec<ApiKey> {
    let mut seen: Vec<([u8; 32], Range<usize>)> = Vec::new();
    let mut keys = Vec::new();
    for view in server.tables("api_keys") {
        if groups.required && view.entry("group").is_none() {
            let message = "`group` is missing: every caller needs one";
            let problem = Diagnostic::new(Code::MissingKey, view.span(), message)
                .help("write `group = \"…\"` with one of `group_values`");
            check.report.push(problem);
        }
        let client = view.entry("client").and_then(|entry| client(entry, check));
        let sha256 = view.entry("sha256").and_then(|entry| Some((hash(entry, check)?, &entry.node.span)));
        if let Some((hash, at)) = sha256 {
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == hash) {
                let message = "this API key has another holder";
                let problem = Diagnostic::new(Code::DuplicateApiKey, at.clone(), message)
                    .label(first.clone(), "the other one")
                    .help("make a key for each: `nexus key new`");
                check.report.push(problem);
            }
            seen.push((hash, at.clone()));
        }
        keys.push(ApiKey {
            client: client.unwrap_or_else(|| ClientId::new("")),
            group: view.entry("group").and_then(|entry| group(entry, groups, check)),
            sha256: sha256.map(|(hash, _)| hash).unwrap_or_default(),
        });
    }
    keys
}

fn client(entry: &Entry, check: &mut Check<'_>) -> Option<ClientId> {
    let text = entry.node.text()?;
    if text.is_empty() {
        let help = "write the client id of the holder, for example `client = \"team-a\"`";
        check.at_value(entry, Code::EmptyValue, "`client` is empty", help);
    } else if text.len() > ClientId::MAX_BYTES {
        let message = format!("`client` is longer than {} bytes", ClientId::MAX_BYTES);
        check.at_value(entry, Code::OutOfRange, message, "write a shorter id");
    }
    Some(ClientId::new(text))
}

fn group(entry: &Entry, groups: &Groups<'_>, check: &mut Check<'_>) -> Option<Group> {
    let text = entry.node.text()?;
    let group = Group::new(text);
    if !groups.listed.is_empty() && !groups.unknown && !groups.listed.contains(&group) {
        let message = format!("{} is not in `group_values`", entry.node.quoted());
        let near = nearest(text, groups.listed.iter().map(Group::as_str)).filter(|_| entry.node.quotable);
        let help = near.map_or_else(
            || "add it to `group_values` in [server.client_identification.validation]".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        check.at_value(entry, Code::UnknownGroup, message, help);
    }
    Some(group)
}

fn hash(entry: &Entry, check: &mut Check<'_>) -> Option<[u8; 32]> {
    let hash = sha256(entry.node.text()?);
    if hash.is_none() {
        let help = "`nexus key new` prints a key and this hash of it; of a key of your own: `printf %s KEY | sha256sum`";
        check.at_value(entry, Code::InvalidHash, "`sha256` must be 64 hexadecimal digits", help);
    }
    hash
}

/// 64 hexadecimal digits of any case.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::sha256;

    #[test]
    fn a_hash_is_64_digits_of_any_case_and_nothing_else() {
        let digits = "00FfA1b2".repeat(8);
        assert_eq!(sha256(&digits).map(|hash| hash[..4].to_vec()), Some(vec![0, 0xff, 0xa1, 0xb2]));
        for text in [
            &digits[1..],
            &format!("{digits}0"),
            &digits.replace('F', "g"),
            "",
            &"ä".repeat(32),
            &format!(" {}", &digits[1..]),
        ] {
            assert_eq!(sha256(text), None, "{text}");
        }
    }
}
