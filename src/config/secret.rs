//! Secrets of the configuration, and what is looked for in texts so that none of them gets out.

use std::{borrow::Cow, fmt, sync::Arc};

pub use actors::secret::Secret;

/// The secrets that one upstream's texts might tell, in every spelling that is looked for. Made once; clones share it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Option<Needles>);

/// What is looked for, the longest first; never empty.
pub type Needles = Arc<[Arc<str>]>;

/// A shorter key is a dummy for a local server (`none`, `test`), and a common word besides: taking it out of texts would
/// only garble them.
pub(super) const SHORTEST: usize = 8;

/// What is looked for in texts from outside: none for a key that is too short to be one, or that no header can carry.
fn needles(secret: &Secret) -> impl Iterator<Item = String> {
    let value = without_scheme(secret.expose());
    let counts = value.len() >= SHORTEST && value.is_ascii();
    // A server that prints what it was sent in JSON escapes quotes; some escape slashes, as base64 has them, too.
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let slashed = escaped.replace('/', "\\/");
    [value.to_owned(), escaped, slashed].into_iter().filter(move |_| counts)
}

/// What a header says behind a scheme such as `Bearer`: a server may tell the one without the other.
fn without_scheme(value: &str) -> &str {
    match value.split_once(' ') {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) && !rest.contains(' ') => {
            rest
        }
        _ => value,
    }
}

impl Secrets {
    /// These secrets, as far as they are long enough to be some.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self::of(secrets.into_iter().flat_map(needles).map(Into::into).collect())
    }

    /// These and others.
    pub fn and(&self, others: &Self) -> Self {
        match (&self.0, &others.0) {
            (_, None) => self.clone(),
            (None, _) => others.clone(),
            (Some(these), Some(others)) => Self::of(these.iter().chain(&**others).cloned().collect()),
        }
    }

    fn of(mut needles: Vec<Arc<str>>) -> Self {
        // One that is a part of another must not leave the rest of that behind.
        needles.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self((!needles.is_empty()).then(|| needles.into()))
    }

    /// What is looked for in texts from outside, if anything is.
    pub fn needles(&self) -> Option<Needles> {
        self.0.clone()
    }

    /// Whether the bytes hold one of them.
    pub fn are_in(&self, bytes: &[u8]) -> bool {
        let holds = |needle: &str| memchr::memmem::find(bytes, needle.as_bytes()).is_some();
        self.0.iter().flat_map(|needles| needles.iter()).any(|needle| holds(needle))
    }

    /// The text without them.
    pub fn scrub<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.are_in(text.as_bytes()) {
            return text.into();
        }
        let needles = self.0.iter().flat_map(|needles| needles.iter());
        needles.fold(text.to_owned(), |text, needle| text.replace(&**needle, "…")).into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, Secrets};

    fn scrubbed(secrets: &[&str], text: &str) -> String {
        let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
        let shown = (format!("{secrets:?}"), format!("{:?}", Secrets::new(&secrets)));
        assert!(secrets.iter().all(|s| !shown.0.contains(s.expose()) && !shown.1.contains(s.expose())));
        Secrets::new(&secrets).scrub(text).into_owned()
    }

    #[test]
    fn a_key_is_taken_out_of_texts_and_a_dummy_is_not() {
        assert_eq!(scrubbed(&["sk-12345678"], "bad key sk-12345678!"), "bad key …!");
        assert_eq!(scrubbed(&["message"], "{\"message\":1}"), "{\"message\":1}");
        assert_eq!(Secrets::new(&[Secret::new("message".to_owned())]), Secrets::default());
    }

    #[test]
    fn what_follows_a_scheme_is_taken_out_with_it_and_without() {
        for (value, text, left) in [
            ("Bearer sk-12345678", "Bearer sk-12345678, sk-12345678", "Bearer …, …"),
            (
                "Basic dXNlcjpwYXNz",
                "{\"authorization\":\"Basic dXNlcjpwYXNz\"}",
                "{\"authorization\":\"Basic …\"}",
            ),
            ("three words here", "three words here; here", "…; here"),
            ("Bearer short", "Bearer short", "Bearer short"),
        ] {
            assert_eq!(scrubbed(&[value], text), left);
        }
    }

    #[test]
    fn escapes_of_json_hide_nothing() {
        assert_eq!(scrubbed(&[r#"a"b\c/12345"#], r#"a"b\c/12345 a\"b\\c/12345 a\"b\\c\/12345"#), "… … …");
    }

    #[test]
    fn a_secret_that_is_a_part_of_another_leaves_nothing_of_it() {
        assert_eq!(scrubbed(&["12345678", "sk-12345678-end"], "sk-12345678-end 12345678"), "… …");
        let both = Secrets::new(&[Secret::new("12345678".to_owned())])
            .and(&Secrets::new(&[Secret::new("sk-12345678-end".to_owned())]));
        assert_eq!(both.scrub("sk-12345678-end 12345678"), "… …");
    }
}
