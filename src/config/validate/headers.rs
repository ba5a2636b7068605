//! `[[….headers]]`: which headers go upstream. Values are marked sensitive and printed nowhere.

use http::{HeaderName, HeaderValue};
use regex::bytes::RegexBuilder;

use super::Check;
use crate::config::{
    diagnostic::{Code, Diagnostic},
    file::{Entry, View},
    headers::{
        HeaderRule, Names, Pattern, carries_credentials, is_credential, is_never_forwarded, is_never_set,
    },
    secret::Secret,
};

/// Largest compiled pattern, bytes: a list of names needs a few hundred.
const PATTERN_SIZE: usize = 1 << 16;

/// The rules of a provider or a model, in order.
pub(super) fn rules(view: View<'_>, check: &mut Check<'_>) -> Vec<HeaderRule> {
    view.tables("headers").filter_map(|view| rule(view, check)).collect()
}

/// The values of rules that are secret: those out of `{{ }}`, and those of headers that carry credentials. The others
/// (`X-Region`) are words that a provider may say.
pub(super) fn secrets(view: View<'_>) -> Vec<Secret> {
    let values = view.tables("headers").flat_map(|rule| {
        let named = ["name", "rename"]
            .iter()
            .any(|key| rule.get::<HeaderName>(key).is_some_and(|name| carries_credentials(&name)));
        let values = ["value", "default"].into_iter().filter_map(move |key| rule.entry(key));
        values.filter(move |entry| named || !entry.node.quotable)
    });
    values.filter_map(|entry| entry.node.text()).map(|text| Secret::new(text.to_owned())).collect()
}

fn rule(view: View<'_>, check: &mut Check<'_>) -> Option<HeaderRule> {
    match view.get::<String>("rule")?.as_str() {
        "forward" => {
            forwarded(view, "name", check);
            forwarded(view, "rename", check);
            let (from, default) = (names(view, check), value(view, "default", check));
            default_of_one(view, check);
            Some(HeaderRule::Forward { from: from?, default, rename: view.get("rename") })
        }
        "insert" => {
            required(view, "name", "name = \"X-Source\"", check);
            required(view, "value", "value = \"nexus\"", check);
            inserted(view, check);
            let value = value(view, "value", check);
            Some(HeaderRule::Insert { name: view.get("name")?, value: value? })
        }
        "remove" => names(view, check).map(HeaderRule::Remove),
        "rename_duplicate" => {
            required(view, "name", "name = \"X-Source\"", check);
            required(view, "rename", "rename = \"X-Origin\"", check);
            forwarded(view, "name", check);
            forwarded(view, "rename", check);
            let default = value(view, "default", check);
            Some(HeaderRule::RenameDuplicate {
                name: view.get("name")?,
                rename: view.get("rename")?,
                default,
            })
        }
        _ => None, // reported by its shape
    }
}

/// Which headers a rule is about: exactly one of two keys says it.
fn names(view: View<'_>, check: &mut Check<'_>) -> Option<Names> {
    match (view.entry("name"), view.entry("pattern")) {
        (Some(name), Some(pattern)) => {
            let problem = Diagnostic::new(
                Code::Conflict,
                pattern.key.clone(),
                "the rule has both `name` and `pattern`",
            )
            .label(name.key.clone(), "the other one")
            .help("keep one of them");
            check.report.push(problem);
            None
        }
        (None, None) => {
            let problem = Diagnostic::new(Code::MissingKey, view.span(), "the rule names no header")
                .help("write `name = \"X-Source\"` or `pattern = \"^x-\"`");
            check.report.push(problem);
            None
        }
        (Some(_), None) => view.get("name").map(Names::One),
        (None, Some(entry)) => pattern(entry, check).map(Names::Matching),
    }
}

/// A default stands for one header, not for all that may match.
fn default_of_one(view: View<'_>, check: &mut Check<'_>) {
    if let (Some(default), Some(pattern), None) =
        (view.entry("default"), view.entry("pattern"), view.entry("name"))
    {
        let problem =
            Diagnostic::new(Code::Conflict, default.key.clone(), "`default` stands beside `pattern`")
                .label(pattern.key.clone(), "names no single header")
                .help("write a rule with `name` for the header that needs a default");
        check.report.push(problem);
    }
}

fn pattern(entry: &Entry, check: &mut Check<'_>) -> Option<Pattern> {
    let text = entry.node.text()?;
    if text.is_empty() {
        let help = "write the beginning of the names, for example `pattern = \"^x-\"`";
        check.at_value(entry, Code::EmptyValue, "`pattern` is empty: it would match every header", help);
        return None;
    }
    let built =
        RegexBuilder::new(text).case_insensitive(true).unicode(false).size_limit(PATTERN_SIZE).build();
    built.map(Pattern).map_err(|error| invalid(entry, &error, check)).ok()
}

fn invalid(entry: &Entry, error: &regex::Error, check: &mut Check<'_>) {
    let message = match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        regex::Error::Syntax(text) if entry.node.quotable => {
            let fault = text.rsplit("error: ").next().unwrap_or_default().trim(); // before it, an echo of the pattern
            format!("{} is no regular expression: {fault}", entry.node.quoted())
        }
        _ => "the value is no regular expression".to_owned(),
    };
    let help = "names are matched whatever their case, for example `pattern = \"^x-\"`";
    check.at_value(entry, Code::InvalidPattern, message, help);
}

fn value(view: View<'_>, name: &str, check: &mut Check<'_>) -> Option<HeaderValue> {
    let entry = view.entry(name)?;
    match HeaderValue::from_str(entry.node.text()?) {
        Ok(mut value) => {
            value.set_sensitive(true);
            Some(value)
        }
        Err(_) => {
            let message = format!("`{name}` cannot be sent in a header");
            check.at_value(
                entry,
                Code::InvalidHeaderValue,
                message,
                "write visible ASCII characters and blanks",
            );
            None
        }
    }
}

fn required(view: View<'_>, name: &str, example: &str, check: &mut Check<'_>) {
    if view.entry(name).is_none() {
        let problem = Diagnostic::new(Code::MissingKey, view.span(), format!("`{name}` is missing"))
            .help(format!("write `{example}`"));
        check.report.push(problem);
    }
}

/// What a caller sent never goes upstream under certain names.
fn forwarded(view: View<'_>, key: &str, check: &mut Check<'_>) {
    let Some((entry, name)) = view.entry(key).zip(view.get::<HeaderName>(key)) else { return };
    if is_never_forwarded(&name) {
        forbidden(entry, &name, "never goes upstream from a caller", check);
    }
}

fn inserted(view: View<'_>, check: &mut Check<'_>) {
    let Some((entry, name)) = view.entry("name").zip(view.get::<HeaderName>("name")) else { return };
    if is_never_set(&name) {
        forbidden(entry, &name, "is set by no rule", check);
    }
}

fn forbidden(entry: &Entry, name: &HeaderName, why: &str, check: &mut Check<'_>) {
    let help = match name.as_str() {
        "authorization" | "proxy-authorization" | "x-api-key" | "x-goog-api-key" | "x-provider-api-key" => {
            "a caller's own key for the provider comes in `X-Provider-API-Key`, with `forward_token = true`"
        }
        "cookie" | "cookie2" | "set-cookie" | "set-cookie2" => {
            "cookies belong to a caller and this server alone"
        }
        _ if is_credential(name) => "remove the rule: a credential of the caller is for this server alone",
        _ => "remove the rule: Nexus writes the headers of each connection and body itself",
    };
    let message = format!("{} {why}", entry.node.quoted());
    check.at_value(entry, Code::ForbiddenHeader, message, help);
}
