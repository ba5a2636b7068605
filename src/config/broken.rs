//! Lines that are not TOML: what of them may be shown, and how far their damage reaches.

use super::{
    diagnostic::{Code, Report},
    keys::{FILE, Kind},
};

/// Hides what may be a secret in the line of a byte. The parser found no string there to hide, so the rule is: only the
/// value of a known key that is not secret is shown, and only when it stands alone.
pub(super) fn hide(report: &mut Report, byte: usize) {
    let byte = byte.min(report.text.len());
    let from = report.text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
    let to = report.text[byte..].find('\n').map_or(report.text.len(), |newline| byte + newline);
    let line = &report.text[from..to];
    let start = match line.split_once('=') {
        _ if is_head(line) => return,
        None => line.len() - line.trim_start().len(),
        Some((key, rest)) if is_open(key) && !rest.contains(['=', '@']) && !rest.contains("{{") => return,
        Some((key, rest)) => key.len() + 1 + (rest.len() - rest.trim_start().len()),
    };
    let end = line.trim_end().len();
    if start < end {
        report.hidden.push(from + start..from + end);
    }
}

/// Whether the parser cannot know where the damage ends, so that what follows means nothing.
pub(super) fn tears(message: &str) -> bool {
    ["unclosed", "multi-line", "array", "inline table", "header"].iter().any(|word| message.contains(word))
}

/// What to write instead, for the mistakes people make.
pub(super) fn remedy(message: &str) -> Option<&'static str> {
    let words = |all: &[&str]| all.iter().any(|word| message.contains(word));
    if words(&["duplicate"]) {
        Some("keep one of them: a key stands once in a table, and a table's head once in the file")
    } else if words(&[
        "must be quoted",
        "invalid float",
        "invalid integer",
        "invalid boolean",
        "invalid date",
    ]) {
        Some("strings stand in quotes: `key = \"value\"`")
    } else if words(&["unclosed", "invalid basic string", "invalid literal string", "multi-line"]) {
        Some("close the bracket or the quote that is open here")
    } else {
        None
    }
}

/// Whether a problem is that something is not there, which a torn file cannot tell.
pub(super) const fn of_absence(code: Code) -> bool {
    matches!(
        code,
        Code::GroupWithoutLimit
            | Code::JwtWithoutKeys
            | Code::LimitWithoutIdentity
            | Code::MissingGroupId
            | Code::MissingGroupValues
            | Code::MissingKey
            | Code::CostWithoutPrice
            | Code::NoEffect
            | Code::NoModel
            | Code::NoProtocol
            | Code::NoProvider
            | Code::UnknownGroup
            | Code::UnknownModel
            | Code::UnreachableLimit
    )
}

/// `[a.b` without a value in it.
fn is_head(line: &str) -> bool {
    line.trim_start().starts_with('[') && !line.contains(['=', ',', '\'']) && !line.contains("{{")
}

fn is_open(key: &str) -> bool {
    let name = key.rsplit('.').next().unwrap_or(key).trim().trim_matches(['"', '\'']);
    let found: Vec<_> = FILE
        .tree()
        .into_iter()
        .flat_map(|section| section.keys)
        .filter(|known| known.name == name)
        .map(|known| known.kind)
        .collect();
    // What stands in place of a table may be a secret of it.
    if found.iter().any(|kind| matches!(kind, Kind::Table(_) | Kind::Tables(_))) {
        return false;
    }
    !found.is_empty()
        && !found
            .iter()
            .any(|kind| matches!(kind, Kind::Secret | Kind::Any | Kind::Url | Kind::Link | Kind::Links))
}
