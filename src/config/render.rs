//! Problems as text for people and as JSON for editors and CI. Text shows the line with carets; what is hidden is printed
//! as `"…"` wherever it stands.

use std::ops::Range;

use serde::Serialize;

use super::diagnostic::{Diagnostic, Label, Report, Severity};

/// Longest excerpt of a line, in characters.
const WIDTH: usize = 160;

/// One problem in JSON.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    line: usize,
    column: usize,
    severity: Severity,
    code: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

/// Escape sequences, or nothing.
struct Paint {
    bold: &'static str,
    red: &'static str,
    yellow: &'static str,
    blue: &'static str,
    off: &'static str,
}

const PLAIN: Paint = Paint { bold: "", red: "", yellow: "", blue: "", off: "" };
const COLOUR: Paint =
    Paint { bold: "\x1b[1m", red: "\x1b[1;31m", yellow: "\x1b[1;33m", blue: "\x1b[34m", off: "\x1b[0m" };

/// All problems, and how many there are; empty when there is none.
pub fn text(report: &Report, colour: bool) -> String {
    let paint = if colour { &COLOUR } else { &PLAIN };
    let mut out: String = report.diagnostics.iter().map(|one| diagnostic(report, one, paint)).collect();
    let errors = report.diagnostics.iter().filter(|d| d.code.severity() == Severity::Error).count();
    let warnings = report.diagnostics.len() - errors;
    let counts: Vec<_> = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if !counts.is_empty() {
        out += &format!("{}: {}\n", report.file.display(), counts.join(", "));
    }
    out
}

/// A JSON array, one object for each problem; `[]` when there is none. Ends with a newline.
pub fn json(report: &Report) -> String {
    let lines: Vec<_> = report
        .diagnostics
        .iter()
        .map(|d| {
            let (line, column) = report.position(d.at.start);
            let file = report.file.display().to_string();
            let (severity, code) = (d.code.severity(), d.code.name());
            Line { file, line, column, severity, code, message: &d.message, help: d.help.as_deref() }
        })
        .collect();
    let text = serde_json::to_string_pretty(&lines).unwrap_or_else(|_| "[]".to_owned());
    text + "\n"
}

fn diagnostic(report: &Report, one: &Diagnostic, paint: &Paint) -> String {
    let (word, tint) = match one.code.severity() {
        Severity::Error => ("error", paint.red),
        Severity::Warning => ("warning", paint.yellow),
    };
    let Paint { bold, blue, off, .. } = paint;
    let (line, column) = report.position(one.at.start);
    let file = report.file.display();
    let margin = " ".repeat(line.to_string().len());
    let mut out = format!("{tint}{word}[{}]{off}{bold}: {}{off}\n", one.code.name(), one.message);
    out += &format!("{margin} {blue}-->{off} {file}:{line}:{column}\n");
    out += &excerpt(report, &one.at, "", tint, paint);
    for Label { at, text } in &one.labels {
        out += &excerpt(report, at, text, blue, paint);
    }
    if let Some(help) = &one.help {
        let help = help.replace('\n', "\n           ");
        out += &format!(" {margin} {blue}={off} {bold}help{off}: {help}\n");
    }
    out + "\n"
}

/// The first line of a range, underlined.
fn excerpt(report: &Report, at: &Range<usize>, label: &str, tint: &str, paint: &Paint) -> String {
    if report.text.is_empty() || *at == (0..0) {
        return String::new(); // of the whole file
    }
    let start = at.start.min(report.text.len());
    let from = report.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let to = report.text[start..].find('\n').map_or(report.text.len(), |newline| start + newline);
    let (shown, carets) = masked(report, from..to, start..at.end.clamp(start, to).max(start + 1));
    let (shown, carets) = window(&shown, carets);
    let number = report.position(start).0.to_string();
    let Paint { blue, off, .. } = paint;
    let blank = " ".repeat(number.len());
    let lead = " ".repeat(carets.start);
    let under = "^".repeat(carets.len().max(1));
    let label = if label.is_empty() { String::new() } else { format!(" {label}") };
    format!(
        " {blue}{blank} |{off}\n {blue}{number} |{off} {shown}\n {blue}{blank} |{off} {lead}{tint}{under}{label}{off}\n"
    )
}

/// A line with what is hidden replaced, and the columns (characters from 0) under which the carets stand.
fn masked(report: &Report, line: Range<usize>, marked: Range<usize>) -> (Vec<char>, Range<usize>) {
    let mut shown: Vec<char> = Vec::new();
    let mut carets: Option<Range<usize>> = None;
    let mut at = line.start;
    while at < line.end {
        let hidden = report.hidden.iter().filter(|h| h.contains(&at)).map(|h| h.end.min(line.end)).max();
        let column = shown.len();
        let next = if let Some(end) = hidden {
            let again =
                shown.ends_with(&['"', '…', '"']) && report.hidden.iter().any(|h| h.contains(&(at - 1)));
            shown.extend(if again { "" } else { "\"…\"" }.chars());
            end
        } else {
            let letter = report.text[at..].chars().next().unwrap_or(' ');
            shown.push(if letter.is_control() { ' ' } else { letter });
            at + letter.len_utf8()
        };
        if at < marked.end && next > marked.start {
            let start = carets.map_or(column, |carets| carets.start);
            carets = Some(start..shown.len());
        }
        at = next;
    }
    let end = shown.len();
    (shown, carets.unwrap_or(end..end))
}

/// The part of a long line around the carets.
fn window(shown: &[char], carets: Range<usize>) -> (String, Range<usize>) {
    let from = if shown.len() <= WIDTH { 0 } else { carets.start.saturating_sub(40) };
    let part: String = shown.iter().skip(from).take(WIDTH).collect();
    (part.trim_end().to_owned(), carets.start - from..(carets.end - from).min(WIDTH).max(carets.start - from))
}
