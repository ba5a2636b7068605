//! What is wrong with a configuration file, as data. Nothing here prints: `render` does.
//!
//! Positions are byte ranges into the text of the file.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// Whether a file with this problem may still be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is served, but does not do what its author may believe.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its kind, stable across versions.
    pub code: Code,
    /// Where; bytes of the file. Empty at 0 for a problem of the whole file.
    pub at: Range<usize>,
    /// What is wrong. Never holds a secret.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that belong to it, each with its word.
    pub labels: Vec<Label>,
}

/// A second place of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where; bytes of the file.
    pub at: Range<usize>,
    /// What is there.
    pub text: String,
}

/// All problems of one file, with what is needed to show them.
#[derive(Clone, Default, PartialEq)]
pub struct Report {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// Ranges of `text` that are never printed.
    pub hidden: Vec<Range<usize>>,
    /// Sorted by position once the file is read.
    pub diagnostics: Vec<Diagnostic>,
}

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $description:literal,)*) => {
        /// The kinds of problems. Their names are stable: editors and CI may rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $description] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that is printed, in kebab case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What the code stands for, in one sentence.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => $description,)* }
            }

            /// Whether a file with it is refused.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

codes! {
    AnotherType "another-type" Error "The key belongs to another `type` of this table.",
    CommonHeader "common-header" Error "Requests carry the header anyway, so that it proves nothing.",
    Conflict "conflict" Error "Two keys say different things about one matter.",
    CertificateWithoutCa "certificate-without-ca" Error "Certificates name callers, but none is verified.",
    CostWithoutPrice "cost-without-price" Error "Money is limited where nobody knows what a token costs.",
    CredentialAsName "credential-as-name" Error "A credential would name callers, in every line of the log.",
    DuplicateAddress "duplicate-address" Error "Two listeners have one address.",
    DuplicateApiKey "duplicate-api-key" Error "Two entries hold the same API key.",
    DuplicatePath "duplicate-path" Error "Two routes have one path.",
    EmptyValue "empty-value" Error "The value must not be empty.",
    ForbiddenHeader "forbidden-header" Error "The header never goes upstream by a rule.",
    ForgeableHeader "forgeable-header" Warning "A header is believed, whoever sends it.",
    GroupWithoutLimit "group-without-limit" Warning "A listed group has no limit of its own where others have.",
    OverriddenLimit "overridden-limit" Warning "A nearer table hides what a farther one limits.",
    InsecureKeys "insecure-keys" Warning "The keys of tokens can be replaced on their way.",
    InvalidAddress "invalid-address" Error "The value is no `ip:port`.",
    InvalidChoice "invalid-choice" Error "The value is none of those that are known.",
    InvalidDuration "invalid-duration" Error "The value is no duration.",
    InvalidHash "invalid-hash" Error "The value is no SHA-256 in hexadecimal.",
    InvalidHeaderName "invalid-header-name" Error "The value cannot be the name of an HTTP header.",
    InvalidHeaderValue "invalid-header-value" Error "The value cannot be sent in an HTTP header.",
    InvalidName "invalid-name" Error "The name cannot be used.",
    InvalidNetwork "invalid-network" Error "The value is neither an address nor a network.",
    InvalidOrigin "invalid-origin" Error "The value is no origin as browsers send it.",
    InvalidPath "invalid-path" Error "The value cannot be the path of a route.",
    InvalidPattern "invalid-pattern" Error "The value is no regular expression.",
    InvalidReference "invalid-reference" Error "What stands inside `{{ }}` is not understood.",
    InvalidSize "invalid-size" Error "The value is no size.",
    InvalidUrl "invalid-url" Error "The value is no URL that can be called.",
    JwtWithoutKeys "jwt-without-keys" Error "A JWT claim names callers, but nothing verifies the token.",
    LimitTwice "limit-twice" Error "One limit is written twice.",
    LimitWithoutIdentity "limit-without-identity" Error "Limits per user need client identification.",
    MissingFile "missing-file" Error "A file that is named cannot be read.",
    MissingGroupId "missing-group-id" Error "Groups are used, but nothing names the group of a caller.",
    MissingGroupValues "missing-group-values" Error "Limits exist and callers name groups, but none is listed.",
    MissingKey "missing-key" Error "A key that must be there is not.",
    MissingVariable "missing-variable" Error "An environment variable is not set.",
    NoEffect "no-effect" Warning "What is written changes nothing.",
    NoModel "no-model" Error "A provider lists no model.",
    NoProtocol "no-protocol" Error "No protocol is served.",
    NoProvider "no-provider" Error "There is nothing to serve.",
    NotSupported "not-supported" Error "The section is of another program of this name, and is not supported.",
    NotText "not-text" Error "The configuration file is not UTF-8.",
    OutOfRange "out-of-range" Error "The number is too small or too large.",
    ShortKey "short-key" Warning "The key is too short to be kept out of a provider's texts.",
    Syntax "syntax" Error "The file is not TOML.",
    UncheckedClaims "unchecked-claims" Warning "Tokens are accepted that were issued for others.",
    UnknownGroup "unknown-group" Error "The group is not listed.",
    UnknownKey "unknown-key" Error "No such key.",
    UnknownModel "unknown-model" Error "The rule is for a model that is not listed.",
    UnreachableLimit "unreachable-limit" Warning "No caller can reach the limit.",
    UnreadableFile "unreadable-file" Error "The configuration file is there, but cannot be read.",
    UnverifiedTokens "unverified-tokens" Warning "Tokens are believed without a look at their signatures.",
    WideOrigin "wide-origin" Warning "The origin admits hosts of strangers.",
    WrongType "wrong-type" Error "The value is of another type.",
}

impl Diagnostic {
    /// A problem at a place.
    pub fn new(code: Code, at: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, at, message: message.into(), help: None, labels: Vec::new() }
    }

    /// With what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a second place.
    #[must_use]
    pub fn label(mut self, at: Range<usize>, text: impl Into<String>) -> Self {
        self.labels.push(Label { at, text: text.into() });
        self
    }
}

impl Report {
    /// No problem yet.
    pub fn new(file: &Path, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), ..Self::default() }
    }

    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether the file is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.code.severity() == Severity::Error)
    }

    /// In the order of the file.
    pub(super) fn sort(&mut self) {
        self.diagnostics.sort_by_key(|d| (d.at.start, d.at.end, d.code));
        self.diagnostics.dedup();
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// The text may hold secrets.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Report");
        out.field("file", &self.file).field("diagnostics", &self.diagnostics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_in_kebab_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        assert!(Code::ALL.iter().all(|code| code.description().ends_with('.')));
    }

    #[test]
    fn columns_count_characters_and_start_at_one() {
        let report = Report::new(Path::new("f"), "a = 1\nä = \"x\"\n");
        assert_eq!(report.position(0), (1, 1));
        assert_eq!(report.position("a = 1\nä = ".len()), (2, 5));
        assert_eq!(report.position(10_000), (3, 1));
    }
}
