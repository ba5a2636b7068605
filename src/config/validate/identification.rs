//! `[server.client_identification]`: who is calling, by header, by claim, by certificate or by key.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use actors::{
    Group,
    identity::{ApiKey, CertificateField, Networks, Rules, Source, Tokens},
};

use super::{
    Check,
    api_keys::{Groups, api_keys},
    edge, oauth,
};
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Entry, View},
    headers::is_credential,
    shape::list,
};

/// How the group of a caller is named.
const GROUP_SOURCE: &str = "write `group_id.http_header = \"X-Group-Id\"` in [server.client_identification]";
/// The same where callers have nothing but keys.
const GROUP_OF_KEY: &str = "write `group = \"…\"` in [[server.api_keys]]";

/// What the rest of the validation must know about callers.
pub(super) struct Callers {
    /// The meaning; `None` when nobody has to say who calls.
    pub(super) rules: Option<Rules>,
    /// Whether every caller has a name.
    pub(super) named: bool,
    /// Where the group of a caller is named first, if it is.
    pub(super) group_id: Option<Range<usize>>,
    /// What to write where it is not.
    pub(super) group_remedy: &'static str,
    /// The groups a caller can be of.
    pub(super) groups: BTreeSet<Group>,
    /// Whether `group_values` holds more, which could not be read.
    pub(super) groups_unknown: bool,
    /// Whether a call without a group is refused.
    pub(super) require_group: bool,
}

/// `[server.client_identification]` as far as it is in force.
struct Identification<'a> {
    view: View<'a>,
    enabled: bool,
    client: Option<Source>,
    group: Option<Source>,
}

/// Who may call.
pub(super) fn callers(server: View<'_>, check: &mut Check<'_>) -> Callers {
    let identification = Identification::read(server.table("client_identification"), check);
    if identification.enabled {
        certificates(server, identification.view, check);
    }
    let tokens = tokens(server, &identification, check);
    let Identification { view, enabled, client, group } = identification;
    let validation = view.table("validation");
    let listed: BTreeSet<_> =
        validation.value::<Vec<String>>("group_values").iter().map(|name| Group::new(name)).collect();
    let unknown = validation.items("group_values").iter().any(|node| node.text().is_none());
    let group_id = view.entry("group_id").filter(|_| enabled).map(|entry| entry.key.clone());
    let written = validation.get::<bool>("require_group");
    let required = written.unwrap_or_else(|| group_id.is_some() && !listed.is_empty());
    let keys = api_keys(server, &Groups { listed: &listed, unknown, required }, check);
    let group_of_key =
        server.tables("api_keys").find_map(|key| key.entry("group")).map(|entry| entry.key.clone());
    if enabled && group_id.is_none() {
        groups_without_source(validation, group_of_key.is_none(), check);
    }
    if enabled && !keys.is_empty() {
        forgeable_holder(view, check);
    }
    not_enabled(server, !keys.is_empty(), check);
    let oauth = server.entry("oauth").is_some();
    let by_keys_alone = !enabled && !keys.is_empty();
    let groups = if listed.is_empty() && group_id.is_none() { groups_of(&keys) } else { listed.clone() };
    let rules = (enabled || oauth || !keys.is_empty()).then(|| Rules {
        client: client.filter(|_| enabled),
        group: group.filter(|_| enabled),
        groups: listed,
        require_group: required && enabled,
        trusted_proxies: Networks::new(view.get("trusted_proxies").unwrap_or_default()),
        tokens,
        api_keys: keys,
    });
    Callers {
        rules,
        named: enabled || by_keys_alone && !oauth,
        group_id: group_id.or(group_of_key),
        group_remedy: if by_keys_alone { GROUP_OF_KEY } else { GROUP_SOURCE },
        groups,
        groups_unknown: unknown,
        require_group: required,
    }
}

impl<'a> Identification<'a> {
    fn read(view: View<'a>, check: &mut Check<'_>) -> Self {
        no_proxy(view, check);
        let client = source(view, "client_id", check);
        let group = source(view, "group_id", check);
        let implied = view.entry("client_id").is_none().then(|| Source::Claim("sub".into()));
        Self { view, enabled: view.value("enabled"), client: client.or(implied), group }
    }

    /// The claims that name someone: which, where, and how that is said.
    fn claims(&self) -> Vec<(&'static str, Range<usize>, &'static str)> {
        let claim = |name| self.view.table(name).entry("jwt_claim").map(|entry| entry.key.clone());
        let alone = |name| self.view.table(name).entry("http_header").is_none(); // two sources are reported already
        let mut claims = Vec::new();
        if self.view.entry("client_id").is_none() {
            let implied = "without `client_id`, callers are named by the JWT claim `sub`";
            claims.push(("client_id.http_header = \"X-User-Id\"", self.view.span(), implied));
        } else if let Some(at) = claim("client_id").filter(|_| alone("client_id")) {
            claims.push(("client_id.http_header = \"X-User-Id\"", at, "a JWT claim names callers"));
        }
        if let Some(at) = claim("group_id").filter(|_| alone("group_id")) {
            claims.push(("group_id.http_header = \"X-Group-Id\"", at, "a JWT claim names groups"));
        }
        claims
    }
}

/// What becomes of tokens.
fn tokens(server: View<'_>, identification: &Identification<'_>, check: &mut Check<'_>) -> Tokens {
    let none = identification.view.entry("jwt_verification");
    if let Some(entry) = server.entry("oauth") {
        if let Some(none) = none {
            let message = "`jwt_verification = \"none\"` stands beside [server.oauth]";
            let problem = Diagnostic::new(Code::Conflict, none.key.clone(), message)
                .label(entry.key.clone(), "verifies tokens")
                .help("keep one of the two");
            check.report.push(problem);
        }
        return oauth::verification(server.table("oauth"), check).map_or(Tokens::Ignored, Tokens::Verified);
    }
    if !identification.enabled {
        return Tokens::Ignored;
    }
    let claims = identification.claims();
    match none {
        Some(entry) if claims.is_empty() => {
            let help = "remove it: no `jwt_claim` is used";
            check.at_key(entry, Code::NoEffect, "`jwt_verification` changes nothing", help);
            Tokens::Ignored
        }
        Some(entry) => {
            unverified(entry, identification.view, check);
            Tokens::Unverified
        }
        None => {
            for (header, at, what) in claims {
                let help = format!(
                    "write [server.oauth] with the keys that verify it or, where a proxy has verified the token, \
                     `server.client_identification.jwt_verification = \"none\"`; without tokens, `{header}`"
                );
                let message = format!("{what}, but nothing verifies the token");
                check.report.push(Diagnostic::new(Code::JwtWithoutKeys, at, message).help(help));
            }
            Tokens::Ignored
        }
    }
}

/// An empty list of proxies would believe everybody, where whoever wrote it means nobody.
fn no_proxy(view: View<'_>, check: &mut Check<'_>) {
    if let Some(entry) = view.entry("trusted_proxies").filter(|entry| entry.node.is_empty_list()) {
        let message = "`trusted_proxies` names no proxy";
        let help = "name the proxies: `trusted_proxies = [\"10.0.0.0/8\"]`; or remove it, if everybody is to be \
                    believed";
        check.at_value(entry, Code::EmptyValue, message, help);
    }
}

/// That tokens are believed unseen is said at every start.
fn unverified(entry: &Entry, view: View<'_>, check: &mut Check<'_>) {
    let (message, help) = if view.items("trusted_proxies").is_empty() {
        (
            "tokens are believed unverified, whoever sends them",
            "name the proxies that have verified them: `trusted_proxies = [\"10.0.0.0/8\"]`",
        )
    } else {
        (
            "tokens are believed unverified when they come from `trusted_proxies`",
            "with [server.oauth] instead, nobody in between needs to be trusted",
        )
    };
    check.at_value(entry, Code::UnverifiedTokens, message, help);
}

/// The source that is written under a name, if one is.
fn source(view: View<'_>, name: &str, check: &mut Check<'_>) -> Option<Source> {
    const SOURCES: [&str; 3] = ["http_header", "jwt_claim", "tls"];
    let entry = view.entry(name)?;
    let source = view.table(name);
    let written: Vec<_> = SOURCES.into_iter().filter_map(|key| Some((key, source.entry(key)?))).collect();
    match written[..] {
        [] if source.exists() => {
            let message = format!("`{name}` has no source");
            check.at_key(entry, Code::MissingKey, message, format!("write `{name}.http_header = \"X-…\"`"));
        }
        [(_, first), (_, second), ..] => {
            let names: Vec<_> = written.iter().map(|(key, _)| *key).collect();
            let problem =
                Diagnostic::new(Code::Conflict, second.key.clone(), format!("`{name}` has two sources"))
                    .label(first.key.clone(), "the other one")
                    .help(format!("keep one of {}", list(&names).replace(" or ", " and ")));
            check.report.push(problem);
        }
        _ => kind_agrees(source, check),
    }
    credential(source, check);
    if let Some(claim) = source.entry("jwt_claim").filter(|claim| claim.node.text() == Some("")) {
        check.at_value(claim, Code::EmptyValue, "`jwt_claim` is empty", "for example `jwt_claim = \"sub\"`");
    }
    let certificate =
        source.get::<String>("tls").filter(|_| name == "client_id").and_then(|field| match &*field {
            "san_uri" => Some(CertificateField::SanUri),
            "subject_cn" => Some(CertificateField::SubjectCn),
            _ => None, // reported by its shape
        });
    let claim = source.get::<String>("jwt_claim").map(Arc::from);
    source
        .get("http_header")
        .map(Source::Header)
        .or_else(|| claim.map(Source::Claim))
        .or_else(|| certificate.map(Source::Certificate))
}

/// What names a caller stands in every line of the log, and a credential must stand in none.
fn credential(source: View<'_>, check: &mut Check<'_>) {
    let (Some(entry), Some(name)) = (source.entry("http_header"), source.get("http_header")) else { return };
    if is_credential(&name) {
        let message = format!("{} holds a credential, which would be logged as a name", entry.node.quoted());
        let help =
            "keys name their holders by [[server.api_keys]], tokens by `jwt_claim`, and neither is logged";
        check.at_value(entry, Code::CredentialAsName, message, help);
    }
}

/// Who has no key can still be called like the holder of one.
fn forgeable_holder(view: View<'_>, check: &mut Check<'_>) {
    let header = view.table("client_id").entry("http_header");
    if let Some(entry) = header.filter(|_| view.items("trusted_proxies").is_empty()) {
        let message = "the client id is believed, whoever sends it: who has none of the API keys can name \
                       a holder of one, and spend what is theirs";
        check.at_key(entry, Code::ForgeableHeader, message, edge::NAME_PROXIES);
    }
}

/// The redundant `type` must say what is written.
fn kind_agrees(source: View<'_>, check: &mut Check<'_>) {
    let (Some(kind), Some(named)) = (source.entry("type"), source.get::<String>("type")) else { return };
    if matches!(named.as_str(), "http_header" | "jwt_claim" | "tls") && source.entry(&named).is_none() {
        check.at_value(
            kind,
            Code::Conflict,
            "`type` names another source than the one written",
            "remove `type`",
        );
    }
}

/// A certificate names callers only where one is asked for.
fn certificates(server: View<'_>, view: View<'_>, check: &mut Check<'_>) {
    if let Some(entry) = view.table("client_id").entry("tls")
        && server.table("tls").entry("client_ca").is_none()
    {
        let message = "certificates name callers, but `server.tls.client_ca` is not set: no client shows one";
        let help = "write `client_ca = \"clients.pem\"` in [server.tls], with the roots of the certificates";
        check.at_key(entry, Code::CertificateWithoutCa, message, help);
    }
}

/// Without it, keys read the groups of the table, and `[server.client_ip]` its proxies.
fn not_enabled(server: View<'_>, keys: bool, check: &mut Check<'_>) {
    let view = server.table("client_identification");
    let addresses = edge::believed(server.table("client_ip")).next().is_some();
    let read = [("validation", keys), ("trusted_proxies", addresses)];
    let unread = ["client_id", "group_id", "jwt_verification"].map(|name| (name, false));
    let mut written = unread.into_iter().chain(read).filter(|(name, _)| view.entry(name).is_some());
    let used = (keys || addresses) && written.all(|(_, read)| read);
    if view.exists() && view.entry("enabled").is_none() && !used {
        let message = "client identification is configured, but not enabled";
        let problem = Diagnostic::new(Code::NoEffect, view.span(), message)
            .help("write `enabled = true`, or `enabled = false` if that is meant");
        check.report.push(problem);
    }
}

/// Groups are listed or required, but nothing names the group of a caller.
fn groups_without_source(validation: View<'_>, nowhere: bool, check: &mut Check<'_>) {
    let listed = !validation.items("group_values").is_empty();
    if let Some(entry) = validation.entry("group_values").filter(|_| listed && nowhere) {
        let message = "`group_values` changes nothing without `group_id`: no group is read or checked";
        check.at_key(entry, Code::NoEffect, message, GROUP_SOURCE);
    }
    if let (Some(true), Some(entry)) = (validation.get("require_group"), validation.entry("require_group")) {
        let message = "a group is required, but nothing names the group of a caller";
        check.at_key(entry, Code::MissingGroupId, message, GROUP_SOURCE);
    }
}

fn groups_of(keys: &[ApiKey]) -> BTreeSet<Group> {
    keys.iter().filter_map(|key| key.group.clone()).collect()
}
