//! A configuration file that gives no text at all: it is not there, cannot be read, or is not UTF-8. What its text says
//! is not looked at here.

use std::{io, path::Path, string::FromUtf8Error};

use super::{
    SMALLEST, broken,
    diagnostic::{Code, Diagnostic, Report},
};

/// The problem of a file that the system does not hand out.
pub(super) fn unread(file: &Path, error: &io::Error) -> Report {
    let (code, why, help) = match error.kind() {
        io::ErrorKind::NotFound => (Code::MissingFile, error.to_string(), SMALLEST.to_owned()),
        io::ErrorKind::IsADirectory => {
            let help = format!("name the file in it, for example {}", file.join("nexus.toml").display());
            (Code::UnreadableFile, "it is a directory".to_owned(), help)
        }
        _ => {
            let help = "it is there: look at its permissions, and at those of its folders".to_owned();
            (Code::UnreadableFile, error.to_string(), help)
        }
    };
    let mut report = Report::new(file, "");
    let message = format!("the configuration file cannot be read: {why}");
    report.push(Diagnostic::new(code, 0..0, message).help(help));
    report
}

/// The problem of a file that is not UTF-8, at the first byte that is not.
pub(super) fn not_text(file: &Path, error: &FromUtf8Error) -> Report {
    let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let mut report = Report::new(file, "");
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = "the configuration file is UTF-16, and must be UTF-8";
        report.push(Diagnostic::new(Code::NotText, 0..0, message).help("save it as UTF-8"));
        return report;
    }
    // Before its first bad byte the text is the same, so that positions in it are those in the file.
    report.text = String::from_utf8_lossy(bytes).into_owned();
    let byte = bytes.get(at).copied().unwrap_or_default();
    let message = format!("the configuration file is not UTF-8: the byte 0x{byte:02x} at offset {at}");
    let bad = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
    let help = "save it as UTF-8, or write the character as an escape such as \"\\u00e9\"";
    report.push(Diagnostic::new(Code::NotText, bad, message).help(help));
    broken::hide(&mut report, at);
    report
}
