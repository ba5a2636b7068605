//! How snapshots are written: JSON in lines of a readable length, streams without what every event repeats, and nothing
//! that differs from run to run. Every value is shown as it was spelled.

use std::time::{SystemTime, UNIX_EPOCH};

use super::wire::Ingress;

/// Columns after which a value is broken into lines.
const WIDTH: usize = 110;

/// What a whole answer of Responses repeats of a request that says nothing; told as `…`.
const UNSAID: [&str; 19] = [
    "\"error\":null",
    "\"incomplete_details\":null",
    "\"service_tier\":null",
    "\"background\":false",
    "\"instructions\":null",
    "\"max_output_tokens\":null",
    "\"max_tool_calls\":null",
    "\"metadata\":{}",
    "\"parallel_tool_calls\":true",
    "\"previous_response_id\":null",
    "\"prompt_cache_key\":null",
    "\"reasoning\":{\"effort\":null,\"summary\":null}",
    "\"safety_identifier\":null",
    "\"temperature\":null",
    "\"text\":{\"format\":{\"type\":\"text\"}}",
    "\"tool_choice\":\"auto\"",
    "\"top_p\":null",
    "\"truncation\":\"disabled\"",
    "\"user\":null",
];

/// Characters of the part of an id that is made anew for every answer.
const UNIQUE: usize = 24;

/// JSON in lines; what is no object or list stays as it is.
pub(super) fn json(text: &str) -> String {
    let mut out = String::new();
    lay(&without_unsaid(&compact(text)), 0, &mut out);
    out
}

/// An answer of Responses without what it repeats of a request that said nothing.
fn without_unsaid(value: &str) -> String {
    let parts = members(value);
    let nested = parts.iter().position(|part| part.starts_with("\"response\":{"));
    if let Some(at) = nested {
        let shown = without_unsaid(&parts[at][11..]);
        let (before, after) = (parts[..at].iter(), parts[at + 1..].iter());
        let parts: Vec<_> = before.map(|part| (*part).to_owned()).collect();
        let parts = [parts, vec![format!("\"response\":{shown}")], after.map(|p| (*p).to_owned()).collect()];
        return format!("{{{}}}", parts.concat().join(","));
    }
    if !parts.contains(&"\"object\":\"response\"") || UNSAID.iter().filter(|u| parts.contains(u)).count() < 8
    {
        return value.to_owned();
    }
    let said: Vec<_> = parts.into_iter().filter(|part| !UNSAID.contains(part)).collect();
    format!("{{{},…}}", said.join(","))
}

fn lay(value: &str, depth: usize, out: &mut String) {
    let parts = members(value);
    if value.chars().count() + 2 * depth <= WIDTH || parts.is_empty() {
        out.push_str(value);
        return;
    }
    let (open, close) = (&value[..1], &value[value.len() - 1..]);
    out.push_str(open);
    for (at, part) in parts.iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        let name = if open == "{" { name_length(part) } else { 0 };
        out.push_str(&part[..name]);
        lay(&part[name..], depth + 1, out);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push_str(close);
}

/// The members of an object or list; none of anything else.
fn members(value: &str) -> Vec<&str> {
    if !value.starts_with(['{', '[']) || value.len() < 3 {
        return Vec::new();
    }
    let (mut parts, mut start, mut depth) = (Vec::new(), 1, 0);
    for (at, c) in outside_strings(value) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..value.len() - 1]);
    parts
}

/// How long the name of a member is, with its colon.
fn name_length(member: &str) -> usize {
    outside_strings(member).find(|(_, c)| *c == ':').map_or(0, |(at, _)| at + 1)
}

/// The characters that are in no string, quotes apart.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut inside, mut escaped) = (false, false);
    text.char_indices().filter(move |(_, c)| {
        let was_inside = inside;
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = inside,
            '"' => inside = !inside,
            _ => {}
        }
        !was_inside && *c != '"'
    })
}

/// JSON without white space between its tokens.
pub(super) fn compact(text: &str) -> String {
    let blanks = outside_strings(text).filter(|(_, c)| c.is_ascii_whitespace());
    let blanks: std::collections::BTreeSet<_> = blanks.map(|(at, _)| at).collect();
    text.char_indices().filter(|(at, _)| !blanks.contains(at)).map(|(_, c)| c).collect()
}

/// The events of a client's stream, one a line; long ones in lines.
pub(super) fn stream(ingress: Ingress, text: &str) -> String {
    let end = if ingress == Ingress::Gemini && text.contains("\r\n") { "\r\n\r\n" } else { "\n\n" };
    let (mut repeated, mut answer) = (None, String::new());
    let mut out = String::new();
    for event in text.split_inclusive(end) {
        let Some(event) = event.strip_suffix(end) else {
            out += &format!("(unfinished) {event:?}\n");
            continue;
        };
        let (name, data) = match event.split_once('\n') {
            Some((name, data)) => (name.strip_prefix("event: ").unwrap_or(name), data),
            None => ("", event),
        };
        let data = data.strip_prefix("data: ").unwrap_or(data);
        if !name.is_empty() {
            out += &format!("{name} ");
        }
        let data = shortened(data, name, &mut repeated);
        // What `in_progress` repeats of `created`.
        let again =
            members(&data).into_iter().find(|part| part.starts_with("\"response\":")).map(str::to_owned);
        out += &match &again {
            Some(again) if *again == answer => json(&data.replace(again.as_str(), "\"response\":…")),
            _ => json(&data),
        };
        answer = again.unwrap_or_default();
        out.push('\n');
    }
    out
}

/// An event without its name, and without the members that every chunk has as the first one had them.
fn shortened(data: &str, name: &str, repeated: &mut Option<Vec<String>>) -> String {
    const ALWAYS: [&str; 6] =
        ["\"id\":", "\"object\":", "\"created\":", "\"model\":", "\"responseId\":", "\"modelVersion\":"];
    if !data.starts_with('{') {
        return data.to_owned();
    }
    let parts = members(data);
    let kind = format!("\"type\":\"{name}\"");
    let begins = |part: &&&str| ALWAYS.iter().any(|name| part.starts_with(name));
    let first = repeated.is_none();
    let repeated =
        repeated.get_or_insert_with(|| parts.iter().filter(begins).map(|p| (*p).to_owned()).collect());
    let all = !first && !repeated.is_empty() && repeated.iter().all(|part| parts.contains(&part.as_str()));
    let kept = parts.iter().filter(|part| **part != kind && !(all && repeated.iter().any(|r| r == **part)));
    let kept: Vec<_> = kept.copied().collect();
    format!("{{{}{}}}", if all { "… " } else { "" }, kept.join(","))
}

/// Of an object in lines, the members that `usual` has not; nothing when there is none.
pub(super) fn news(text: &str, usual: &str) -> String {
    let (text, usual) = (text.trim_end(), usual.trim_end());
    let separators = ["\n  \"", ",\n  \""];
    if text == usual || !text.starts_with("{\n") || !usual.starts_with("{\n") {
        return if text == usual { String::new() } else { format!("{text}\n") };
    }
    let split = |text: &str| {
        let inner =
            text.strip_prefix('{').and_then(|text| text.strip_suffix("\n}")).unwrap_or(text).to_owned();
        let members = inner.replace(separators[1], separators[0]);
        members.split(separators[0]).map(str::to_owned).collect::<Vec<_>>()
    };
    let usual = split(usual);
    let new = split(text).into_iter().filter(|member| !usual.contains(member));
    let new: Vec<_> = new.map(|member| format!("  \"{member}")).collect();
    if new.is_empty() { String::new() } else { format!("{{\n  …\n{}\n}}\n", new.join(",\n")) }
}

/// The text without what differs from run to run: made ids, the time.
pub(super) fn plain(text: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | 'a'..='f')).unwrap_or(rest.len()).max(1);
        let run = &rest[..end];
        let moment = run.len() == 10 && run.parse::<u64>().is_ok_and(|seconds| now.abs_diff(seconds) < 3600);
        match run.len() {
            _ if moment => out.push_str("NOW"),
            UNIQUE.. => {
                out.push_str("UNIQUE");
                out.push_str(&run[UNIQUE..]);
            }
            _ => out.push_str(run),
        }
        rest = &rest[end..];
    }
    out + rest
}
