//! The files of the matrix.

use std::{
    collections::BTreeMap,
    ops::Deref,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{self, Ingress, Wire};

/// The case of which all others are variations.
pub(super) const DEFAULT: &str = "default";

/// All cases by name.
pub(super) struct Cases(BTreeMap<String, Case>);

/// A case, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it is about.
    pub(super) about: String,
    #[serde(default)]
    request: BTreeMap<Wire, Box<RawValue>>,
    #[serde(default)]
    answer: BTreeMap<Wire, Box<RawValue>>,
    #[serde(default)]
    stream: BTreeMap<Wire, Vec<Box<RawValue>>>,
    status: Option<Each<u16>>,
    headers: Option<Each<BTreeMap<String, String>>>,
}

/// One for all formats, or one of each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Each<T> {
    Of(BTreeMap<Wire, T>),
    All(T),
}

/// Every case.
pub(super) fn all() -> Cases {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), case)
    };
    Cases(files("json").into_iter().map(read).collect())
}

/// The files of the matrix that end so.
pub(super) fn files(extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/matrix");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

impl<T> Each<T> {
    fn of(&self, wire: Wire) -> Option<&T> {
        match self {
            Self::Of(each) => each.get(&wire),
            Self::All(all) => Some(all),
        }
    }
}

impl Case {
    /// Whether providers of this format take part.
    pub(super) fn answers(&self, wire: Wire) -> bool {
        self.status.is_none() || self.answer.contains_key(&wire)
    }

    /// Whether it says what providers answer.
    pub(super) fn is_about_answers(&self) -> bool {
        !self.answer.is_empty() || !self.stream.is_empty()
    }

    /// The status of the answers.
    pub(super) fn status(&self, wire: Wire) -> u16 {
        self.status.as_ref().and_then(|status| status.of(wire)).copied().unwrap_or(200)
    }

    /// Their headers.
    pub(super) fn headers(&self, wire: Wire) -> impl Iterator<Item = (&String, &String)> {
        self.headers.as_ref().and_then(|headers| headers.of(wire)).into_iter().flatten()
    }
}

impl Cases {
    /// What a client asks for.
    pub(super) fn request(&self, name: &str, ingress: Ingress) -> &str {
        let wire = ingress.wire();
        self[name].request.get(&wire).unwrap_or_else(|| &self[DEFAULT].request[&wire]).get()
    }

    /// What a provider answers, whole.
    pub(super) fn answer(&self, name: &str, wire: Wire) -> &str {
        self[name].answer.get(&wire).unwrap_or_else(|| &self[DEFAULT].answer[&wire]).get()
    }

    /// What a provider answers, event by event.
    pub(super) fn stream(&self, name: &str, wire: Wire) -> &[Box<RawValue>] {
        self[name].stream.get(&wire).unwrap_or_else(|| &self[DEFAULT].stream[&wire])
    }

    /// The bytes of an answer as a provider that speaks text says it.
    pub(super) fn said(&self, name: &str, wire: Wire, stream: bool) -> String {
        if stream && self[name].status(wire) == 200 {
            let events = self.stream(name, wire).iter();
            events.filter_map(|event| wire::event(wire, event.get())).collect()
        } else {
            self.answer(name, wire).to_owned()
        }
    }
}

impl Deref for Cases {
    type Target = BTreeMap<String, Case>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
