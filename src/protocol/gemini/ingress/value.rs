//! A client's JSON, walked by name: every value knows where it stands, so that what is wrong with it can be told, and every
//! key that nobody asks for is noted.
//!
//! Google takes every name in two spellings, `inlineData` and `inline_data`: here both are the first. Paths are as in
//! `contents[2].parts[0].inlineData`. Nothing here recurses by itself.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    chat::{json::Json, request::Unsaid},
    protocol::json::{self, Key, Malformed},
};

/// A value of a body, and its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a, 'p> {
    raw: &'a str,
    path: Path<'p>,
}

/// An object of a body, its members in their order.
pub(super) struct Object<'a, 'p> {
    path: Path<'p>,
    members: Members<'a>,
}

/// The way to a value.
#[derive(Clone, Copy)]
struct Path<'p> {
    above: Option<&'p Self>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Body,
    Key(&'p str),
    Item(usize),
}

/// What a request says that the neutral form cannot.
#[derive(Default)]
pub(super) struct Notes<'a>(Vec<Unsaid<'a>>);

type Members<'a> = SmallVec<[(Cow<'a, str>, &'a str); 8]>;

struct MembersVisitor;

/// More members than this has no object that is read here.
const MOST_MEMBERS: usize = 1000;
/// More names than this tell nobody anything.
const MOST_NOTES: usize = 64;

impl<'a, 'p> Value<'a, 'p> {
    /// A whole body.
    pub(super) fn body(raw: &'a RawValue) -> Self {
        Self { raw: raw.get(), path: Path { above: None, step: Step::Body } }
    }

    /// As it is written.
    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it is a string.
    pub(super) fn is_text(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// A string.
    pub(super) fn text(&self) -> Result<Cow<'a, str>, Malformed> {
        json::text(self.raw).ok_or_else(|| self.wrong("a string"))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, Malformed> {
        self.raw.parse().map_err(|_| self.wrong("true or false"))
    }

    /// A word out of a list of Google's, in capitals whatever its case is.
    pub(super) fn word(&self) -> Result<String, Malformed> {
        self.text().map(|text| text.to_ascii_uppercase())
    }

    /// A whole number, not negative. Google takes it as a string too, and with zeros behind a point.
    pub(super) fn count(&self) -> Result<u64, Malformed> {
        let digits = self.raw.trim_matches('"');
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let count = whole.parse().ok().filter(|_| rest.bytes().all(|byte| byte == b'0'));
        count.ok_or_else(|| self.wrong("a whole number, not negative"))
    }

    /// Any number.
    pub(super) fn number(&self) -> Result<serde_json::Number, Malformed> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a number"))
    }

    /// Whatever it is.
    pub(super) fn json(&self) -> Result<Json<'a>, Malformed> {
        serde_json::from_str(self.raw).map(Json::borrowed).map_err(|_| self.wrong("JSON"))
    }

    /// An object, whose inside is not looked at.
    pub(super) fn object_json(&self) -> Result<Json<'a>, Malformed> {
        if self.raw.starts_with('{') { self.json() } else { Err(self.wrong("an object")) }
    }

    /// An object.
    pub(super) fn object(&self) -> Result<Object<'a, 'p>, Malformed> {
        if !self.raw.starts_with('{') {
            return Err(self.wrong("an object"));
        }
        let members = serde_json::Deserializer::from_str(self.raw)
            .deserialize_map(MembersVisitor)
            .map_err(|error| self.refuse(error))?;
        Ok(Object { path: self.path, members })
    }

    /// Gives each element of an array to `each`, or what is no array as if it were one of one element: Google takes that.
    pub(super) fn items_or_one(
        &self,
        mut each: impl FnMut(usize, Value<'a, '_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.raw.starts_with('{') { each(0, *self) } else { self.items(each) }
    }

    /// Gives each element of an array to `each`, until one is refused.
    pub(super) fn items(
        &self,
        mut each: impl FnMut(usize, Value<'a, '_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let (mut index, mut result) = (0, Ok(()));
        let read = json::each(self.raw, |raw| {
            if result.is_ok() {
                let path = Path { above: Some(&self.path), step: Step::Item(index) };
                result = each(index, Value { raw, path });
                index += 1;
            }
        });
        read.ok_or_else(|| self.wrong("an array"))?;
        result
    }

    /// It is not what it must be.
    pub(super) fn wrong(&self, must: impl fmt::Display) -> Malformed {
        serde_json::Error::custom(format_args!("{} must be {must}", self.path.place())).into()
    }

    /// It cannot be taken, and why.
    pub(super) fn refuse(&self, why: impl fmt::Display) -> Malformed {
        serde_json::Error::custom(format_args!("{}: {why}", self.path.place())).into()
    }
}

impl<'a> Object<'a, '_> {
    /// A member; `null` is as if it were absent.
    pub(super) fn get<'s>(&'s self, key: &'s str) -> Option<Value<'a, 's>> {
        let (_, raw) = self.members.iter().find(|(name, _)| name == key)?;
        (*raw != "null").then(|| self.member(key, raw))
    }

    /// The member, if it is the only one.
    pub(super) fn only<'s>(&'s self, key: &'s str) -> Option<Value<'a, 's>> {
        (self.members.len() == 1).then(|| self.get(key)).flatten()
    }

    /// Whether it has no member.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member that must be there.
    pub(super) fn need<'s>(&'s self, key: &'s str) -> Result<Value<'a, 's>, Malformed> {
        self.get(key).ok_or_else(|| self.member(key, "null").refuse("it is missing"))
    }

    /// The text of a member.
    pub(super) fn text(&self, key: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.get(key).map(|value| value.text()).transpose()
    }

    /// Refuses a key of `known` that stands twice: it would be read differently here and by others.
    pub(super) fn once(&self, known: &[&str]) -> Result<(), Malformed> {
        let mut seen = vec![false; known.len()];
        for (name, _) in &self.members {
            if let Some(index) = known.iter().position(|key| key == name)
                && std::mem::replace(&mut seen[index], true)
            {
                return Err(serde_json::Error::custom(format_args!("duplicate field `{name}`")).into());
            }
        }
        Ok(())
    }

    /// Notes every member that is not `known`.
    pub(super) fn rest(&self, known: &[&str], notes: &mut Notes<'a>) {
        for (key, raw) in &self.members {
            if *raw != "null" && !known.contains(&key.as_ref()) {
                let path = Path { above: Some(&self.path), step: Step::Key(key) };
                notes.lose(path.name(), false);
            }
        }
    }

    /// Notes a member that the neutral form has no place for, if it is there.
    pub(super) fn unsaid(&self, key: &str, hint: bool, notes: &mut Notes<'a>) {
        if let Some(value) = self.get(key) {
            notes.lose(value.path.name(), hint);
        }
    }

    fn member<'s>(&'s self, key: &'s str, raw: &'a str) -> Value<'a, 's> {
        Value { raw, path: Path { above: Some(&self.path), step: Step::Key(key) } }
    }
}

impl<'a> Notes<'a> {
    /// Notes a name once.
    pub(super) fn lose(&mut self, name: impl Into<Cow<'a, str>>, hint: bool) {
        let name = name.into();
        if self.0.len() < MOST_NOTES && !self.0.iter().any(|unsaid| unsaid.name == name) {
            self.0.push(Unsaid { name, hint });
        }
    }

    /// All that was noted.
    pub(super) fn into_unsaid(self) -> Vec<Unsaid<'a>> {
        self.0
    }
}

impl Path<'_> {
    /// Where it is, for a message.
    fn place(&self) -> String {
        self.above.map_or_else(|| "the request".to_owned(), |_| format!("`{self}`"))
    }

    /// The dotted name: the path without numbers.
    fn name(&self) -> String {
        let mut name = self.above.map_or_else(String::new, Path::name);
        if let Step::Key(key) = self.step {
            name.push_str(if name.is_empty() { "" } else { "." });
            name.push_str(key);
        }
        name
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Body => Ok(()),
            Step::Key(key) => {
                let dot = if self.above.is_some_and(|above| above.above.is_some()) { "." } else { "" };
                write!(f, "{dot}{key}")
            }
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Members::new();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            if members.len() == MOST_MEMBERS {
                return Err(A::Error::custom(format_args!("it has more than {MOST_MEMBERS} members")));
            }
            members.push((camel(key), value.get()));
        }
        Ok(members)
    }
}

/// A name as Google writes it itself: `inline_data` is `inlineData`.
pub(super) fn camel(name: Cow<'_, str>) -> Cow<'_, str> {
    if !name.contains('_') {
        return name;
    }
    let mut camel = String::with_capacity(name.len());
    let mut words = name.split('_');
    camel.extend(words.next());
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel.into()
}
