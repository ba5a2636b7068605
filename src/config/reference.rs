//! `{{ env.NAME }}`, `{{ env.NAME | default }}` and `{{ file.PATH }}` in string values.
//!
//! What a reference stands for is a secret by assumption: the whole string is hidden, and messages name the variable or
//! the file, never a value.

use std::{ops::Range, path::Path};

use super::{
    diagnostic::{Code, Diagnostic, Report},
    environment::Environment,
};

/// Where references lead.
pub struct References<'a> {
    target: Option<(&'a dyn Environment, &'a Path)>,
}

/// Why a reference has no value.
enum Fault {
    Malformed,
    Unset(String),
    NoFile(String, String),
}

impl<'a> References<'a> {
    /// References of a file in this folder.
    pub const fn new(environment: &'a dyn Environment, folder: &'a Path) -> Self {
        Self { target: Some((environment, folder)) }
    }

    /// For text that holds none.
    pub const fn none() -> Self {
        Self { target: None }
    }

    /// The text with its references replaced; `None` when one has no value. `span` is where the string is written.
    pub(super) fn replace(&self, text: &str, span: &Range<usize>, report: &mut Report) -> Option<String> {
        let Some((environment, folder)) = self.target.filter(|_| text.contains("{{")) else {
            return Some(text.to_owned());
        };
        report.hidden.push(span.clone());
        let (mut out, mut whole, mut rest, mut from) = (String::new(), true, text, span.start);
        while let Some((before, after)) = rest.split_once("{{") {
            out += before;
            let (inside, end) =
                after.split_once("}}").map_or((None, ""), |(inside, end)| (Some(inside), end));
            let at = locate(report, from..span.end, inside.unwrap_or_default());
            from = at.end.max(from);
            match inside.ok_or(Fault::Malformed).and_then(|inside| value(inside, environment, folder)) {
                Ok(value) => out += &value,
                Err(fault) => {
                    whole = false;
                    if !environment.lenient() || matches!(fault, Fault::Malformed) {
                        report.push(fault.diagnostic(at));
                    }
                }
            }
            rest = end;
        }
        whole.then(|| out + rest)
    }
}

impl Fault {
    fn diagnostic(self, at: Range<usize>) -> Diagnostic {
        match self {
            Self::Malformed => {
                Diagnostic::new(Code::InvalidReference, at, "what stands inside `{{ }}` is not understood")
                    .help("write `{{ env.NAME }}`, `{{ env.NAME | default }}` or `{{ file.PATH }}`")
            }
            Self::Unset(name) => Diagnostic::new(
                Code::MissingVariable,
                at,
                format!("the environment variable `{name}` is not set"),
            )
            .help(format!("set it, or give a default: `{{{{ env.{name} | default }}}}`")),
            Self::NoFile(path, why) => {
                Diagnostic::new(Code::MissingFile, at, format!("`{path}` cannot be read: {why}"))
                    .help("paths are relative to the configuration file")
            }
        }
    }
}

/// What one reference stands for.
fn value(inside: &str, environment: &dyn Environment, folder: &Path) -> Result<String, Fault> {
    let (name, default) = match inside.split_once('|') {
        Some((name, default)) => (name.trim(), Some(default.trim())),
        None => (inside.trim(), None),
    };
    if let Some(name) = name.strip_prefix("env.").filter(|name| is_variable(name)) {
        let value = environment.variable(name).or_else(|| default.map(str::to_owned));
        return value.ok_or_else(|| Fault::Unset(name.to_owned()));
    }
    let Some(path) = inside.trim().strip_prefix("file.").filter(|path| !path.is_empty()) else {
        return Err(Fault::Malformed);
    };
    let bytes = environment.file(&folder.join(path)).map_err(|e| e.to_string());
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    let mut text = text.map_err(|why| Fault::NoFile(path.to_owned(), why))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Where a reference is written: exactly, unless escapes hide it; then the whole string.
fn locate(report: &Report, within: Range<usize>, inside: &str) -> Range<usize> {
    let source = report.text.get(within.clone()).unwrap_or_default();
    let wanted = format!("{{{{{inside}}}}}");
    match source.find(&wanted) {
        Some(at) => within.start + at..within.start + at + wanted.len(),
        None => within,
    }
}
