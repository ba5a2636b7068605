//! `[server.client_identification]`: who is calling. Header identity only; a JWT claim is refused with what to do.

use std::{collections::BTreeSet, ops::Range};

use actors::{
    Group,
    identity::{Rules, Source, Tokens},
};
use http::HeaderName;

use super::Check;
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::View,
};

/// How the group of a caller is named.
pub(super) const GROUP_SOURCE: &str =
    "write `group_id.http_header = \"X-Group-Id\"` in [server.client_identification]";

/// What the rest of the validation must know about callers.
pub(super) struct Callers {
    /// The meaning; `None` when identification is off, or could not be read.
    pub(super) rules: Option<Rules>,
    /// Whether identification is on.
    pub(super) enabled: bool,
    /// `group_id`, where it is written and callers are identified.
    pub(super) group_id: Option<Range<usize>>,
    /// `group_values`.
    pub(super) groups: BTreeSet<Group>,
    /// Whether `group_values` holds more, which could not be read.
    pub(super) groups_unknown: bool,
    /// Whether a call without a group is refused.
    pub(super) require_group: bool,
}

/// A JWT claim that could name someone.
#[derive(Clone, Copy)]
struct Claim {
    /// Where it is written.
    key: &'static str,
    /// What it does.
    written: &'static str,
    /// What names them without a token.
    instead: &'static str,
}

const CLIENT_CLAIM: Claim = Claim {
    key: "client_id",
    written: "a JWT claim names callers",
    instead: "client_id.http_header = \"X-User-Id\"",
};
const GROUP_CLAIM: Claim = Claim {
    key: "group_id",
    written: "a JWT claim names groups",
    instead: "group_id.http_header = \"X-Group-Id\"",
};
/// What the absence of `client_id` means.
const IMPLIED: &str = "without `client_id`, callers are named by the JWT claim `sub`";

/// Who may call.
pub(super) fn callers(server: View<'_>, check: &mut Check<'_>) -> Callers {
    let view = server.table("client_identification");
    let enabled = view.value::<bool>("enabled");
    let client = source(view, "client_id", check);
    let group = source(view, "group_id", check);
    if enabled {
        claims(server, view, check);
    } else if view.exists() && view.entry("enabled").is_none() {
        let problem = Diagnostic::new(
            Code::NoEffect,
            view.span(),
            "client identification is configured, but not enabled",
        )
        .help("write `enabled = true`, or `enabled = false` if that is meant");
        check.report.push(problem);
    }
    let validation = view.table("validation");
    let groups: BTreeSet<_> =
        validation.value::<Vec<String>>("group_values").iter().map(|name| Group::new(name)).collect();
    let groups_unknown = validation.items("group_values").iter().any(|node| node.text().is_none());
    let group_id = view.entry("group_id").filter(|_| enabled).map(|entry| entry.key.clone());
    if enabled && group_id.is_none() {
        groups_without_source(validation, &groups, check);
    }
    let written = validation.get::<bool>("require_group");
    let require_group = written.unwrap_or_else(|| group_id.is_some() && !groups.is_empty());
    let rules = client.filter(|_| enabled).map(|client_header| Rules {
        client: Some(Source::Header(client_header)),
        group: group.map(Source::Header),
        groups: groups.clone(),
        require_group,
        trusted_proxies: view.value("trusted_proxies"),
        tokens: Tokens::Ignored,
        api_keys: Vec::new(),
    });
    Callers { rules, enabled, group_id, groups, groups_unknown, require_group }
}

/// The header a source names, if it names one.
fn source(view: View<'_>, name: &str, check: &mut Check<'_>) -> Option<HeaderName> {
    let entry = view.entry(name)?;
    let source = view.table(name);
    match (source.entry("http_header"), source.entry("jwt_claim")) {
        (Some(header), Some(claim)) => {
            let message = format!("`{name}` has two sources");
            let problem = Diagnostic::new(Code::Conflict, claim.key.clone(), message)
                .label(header.key.clone(), "the other one")
                .help("keep one of `http_header` and `jwt_claim`");
            check.report.push(problem);
        }
        (None, None) if source.exists() => {
            let message = format!("`{name}` has no source");
            check.at_key(entry, Code::MissingKey, message, format!("write `{name}.http_header = \"X-…\"`"));
        }
        _ => kind_agrees(source, check),
    }
    source.get("http_header")
}

/// The redundant `type` must say what is written.
fn kind_agrees(source: View<'_>, check: &mut Check<'_>) {
    let (Some(kind), Some(named)) = (source.entry("type"), source.get::<String>("type")) else { return };
    if matches!(named.as_str(), "http_header" | "jwt_claim") && source.entry(&named).is_none() {
        check.at_value(
            kind,
            Code::Conflict,
            "`type` names another source than the one written",
            "remove `type`",
        );
    }
}

/// Everything about claims of tokens.
fn claims(server: View<'_>, view: View<'_>, check: &mut Check<'_>) {
    let verification = view.entry("jwt_verification");
    let unverified = verification.is_some() && view.get::<String>("jwt_verification").is_some();
    let oauth = server.entry("oauth");
    if let (Some(entry), Some(oauth)) = (verification, oauth) {
        let problem = Diagnostic::new(
            Code::Conflict,
            entry.key.clone(),
            "`jwt_verification = \"none\"` stands beside [server.oauth]",
        )
        .label(oauth.key.clone(), "verifies tokens")
        .help("keep one of the two");
        check.report.push(problem);
    }
    let verifiable = unverified || oauth.is_some();
    let written: Vec<_> = [CLIENT_CLAIM, GROUP_CLAIM]
        .into_iter()
        .filter(|claim| view.table(claim.key).entry("http_header").is_none()) // two sources are reported already
        .filter_map(|claim| Some((claim, view.table(claim.key).entry("jwt_claim")?)))
        .collect();
    for (claim, entry) in &written {
        claim.refuse(claim.written, entry.key.clone(), verifiable, check);
    }
    match (view.entry("client_id"), view.entry("enabled")) {
        (None, Some(_)) => CLIENT_CLAIM.refuse(IMPLIED, view.span(), verifiable, check),
        (Some(_), _) if written.is_empty() => {
            if let Some(entry) = verification {
                let help = "remove it: no `jwt_claim` is used";
                check.at_key(entry, Code::NoEffect, "`jwt_verification` changes nothing", help);
            }
        }
        _ => {}
    }
}

impl Claim {
    /// Refuses it: the way that this version has comes first, then what the claim would need.
    fn refuse(self, what: &str, at: Range<usize>, verifiable: bool, check: &mut Check<'_>) {
        let header = format!("in this version, write `{}`", self.instead);
        let (code, message, help) = if verifiable {
            (Code::NotInThisVersion, format!("{what}, and JWT identity is not in this version"), header)
        } else {
            let help = format!(
                "{header}\na claim needs [server.oauth] with the keys that verify it or, where a proxy has verified \
                 the token, `server.client_identification.jwt_verification = \"none\"`: neither is in this version \
                 yet"
            );
            (Code::JwtWithoutKeys, format!("{what}, but nothing verifies the token"), help)
        };
        check.report.push(Diagnostic::new(code, at, message).help(help));
    }
}

/// Groups are listed or required, but nothing names the group of a caller.
fn groups_without_source(validation: View<'_>, groups: &BTreeSet<Group>, check: &mut Check<'_>) {
    if let Some(entry) = validation.entry("group_values").filter(|_| !groups.is_empty()) {
        let message = "`group_values` changes nothing without `group_id`: no group is read or checked";
        check.at_key(entry, Code::NoEffect, message, GROUP_SOURCE);
    }
    if let (Some(true), Some(entry)) = (validation.get("require_group"), validation.entry("require_group")) {
        let message = "a group is required, but nothing names the group of a caller";
        check.at_key(entry, Code::MissingGroupId, message, GROUP_SOURCE);
    }
}
