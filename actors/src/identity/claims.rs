//! The payload of a token (RFC 7519 §4), read by spans: values keep their spelling. Nothing is believed or decided here.
//!
//! Reading is linear in the payload for each level of nesting, of which there are few, and never recurses.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Deepest nesting of objects and lists, the payload being level 1. Each level is scanned once more.
const MAX_DEPTH: usize = 32;

/// The payload of a token: an object in which no object at any level names a member twice.
pub(super) struct Claims(Vec<(Box<str>, Box<RawValue>)>);

/// What a claim says, as far as it can name someone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nothing: it is not there, or it is null or an object.
    Absent,
    /// A string; or a number as it is written, `true`, `false`.
    Text(Box<str>),
    /// The texts of a list's elements; null, objects and lists within it are left out.
    List(Vec<Box<str>>),
}

/// A claim that is not of the type it must have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongType;

/// The members of a JSON object, no name twice.
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Reads an [`Object`].
struct Members;

/// A JSON string.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Claims {
    /// Reads a payload. `None` when it is anything but UTF-8, one object and nothing behind it, no name twice in an
    /// object at any level, and no more than [`MAX_DEPTH`] levels.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let Object(members) = Object::read(payload)?;
        are_sound(members.iter().map(|(_, value)| *value))?;
        let owned = |(name, value): (Cow<'_, str>, &RawValue)| (name.into(), value.to_owned());
        Some(Self(members.into_iter().map(owned).collect()))
    }

    /// The claim of this name; where there is none, the name is a path, with a dot before each step into an object.
    pub(super) fn find(&self, name: &str) -> Claim {
        self.member(name).or_else(|| self.at_path(name)).map_or(Claim::Absent, Claim::of)
    }

    /// A point in time in seconds, rounded up to the next whole one: never before 0, and never after the largest.
    ///
    /// # Errors
    /// It is there and no number, or one beyond all that a float can hold.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<u64>, WrongType> {
        let Some(value) = self.member(name) else { return Ok(None) };
        let exact = value.get().parse::<u64>().ok();
        // Of all JSON only numbers are floats to Rust. Negative or huge: `as` stops at the ends.
        let float = || value.get().parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        let rounded = || float().map(|seconds| seconds.ceil() as u64);
        exact.or_else(rounded).map(Some).ok_or(WrongType)
    }

    /// A string.
    ///
    /// # Errors
    /// It is there and no string.
    pub(super) fn string(&self, name: &str) -> Result<Option<Cow<'_, str>>, WrongType> {
        self.member(name).map(string).transpose()
    }

    /// A string, or a list of nothing but strings.
    ///
    /// # Errors
    /// It is there and neither.
    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<Cow<'_, str>>>, WrongType> {
        let Some(value) = self.member(name) else { return Ok(None) };
        match elements(value) {
            Some(elements) => elements.into_iter().map(string).collect::<Result<_, _>>().map(Some),
            None => string(value).map(|text| Some(vec![text])),
        }
    }

    fn member(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    fn at_path(&self, path: &str) -> Option<&RawValue> {
        let (first, rest) = path.split_once('.')?;
        let mut value = self.member(first)?;
        for name in rest.split('.') {
            value = Object::read(value.get().as_bytes())?.member(name)?;
        }
        Some(value)
    }
}

impl fmt::Debug for Claims {
    /// Not the values: they may be about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").finish_non_exhaustive()
    }
}

impl Claim {
    fn of(value: &RawValue) -> Self {
        match elements(value) {
            Some(elements) => Self::List(elements.into_iter().filter_map(scalar).collect()),
            None => scalar(value).map_or(Self::Absent, Self::Text),
        }
    }
}

impl<'a> Object<'a> {
    /// Reads an object; `None` when it is none, names a member twice, or is not all there is.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether there is a member of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.member(name).is_some()
    }

    /// A member that is a string.
    ///
    /// # Errors
    /// It is there and no string.
    pub(super) fn string(&self, name: &str) -> Result<Option<Cow<'a, str>>, WrongType> {
        self.member(name).map(string).transpose()
    }

    fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((Text(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        // Sorted: whoever sends thousands of names must not be paid in a quadratic search.
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        match names.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(A::Error::custom("a name stands twice")),
            false => Ok(Object(members)),
        }
    }
}

/// `None` when an object within these values names a member twice, or they are nested too deep. Level by level: there
/// is no recursion to bound.
fn are_sound<'a>(members: impl Iterator<Item = &'a RawValue>) -> Option<()> {
    let is_nested = |value: &&RawValue| value.get().starts_with(['{', '[']);
    let mut level: Vec<_> = members.filter(is_nested).collect();
    let mut depth = 1;
    while !level.is_empty() {
        depth += 1;
        if depth > MAX_DEPTH {
            return None;
        }
        let mut below = Vec::new();
        for value in level {
            let within = match elements(value) {
                Some(elements) => elements,
                None => Object::read(value.get().as_bytes())?.0.into_iter().map(|(_, value)| value).collect(),
            };
            below.extend(within.into_iter().filter(is_nested));
        }
        level = below;
    }
    Some(())
}

/// The elements of a list; `None` for anything else.
fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    value.get().starts_with('[').then(|| serde_json::from_str(value.get()).ok())?
}

/// The text of a string. One with a lone surrogate, which JSON can spell and text cannot hold, is none.
fn string(value: &RawValue) -> Result<Cow<'_, str>, WrongType> {
    serde_json::from_str(value.get()).map(|Text(text)| text).map_err(|_| WrongType)
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The text of a string, a number or a truth value.
fn scalar(value: &RawValue) -> Option<Box<str>> {
    match value.get() {
        text if text.starts_with('"') => string(value).ok().map(Into::into),
        other if is_number(value) || matches!(other, "true" | "false") => Some(other.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
