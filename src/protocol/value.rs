//! A client's JSON, walked by name: every value knows where it stands, so that what is wrong with it can be told, and every
//! key that nobody asks for is noted.
//!
//! Paths are as in `messages[2].content[0].source`. Nothing here recurses by itself, and nothing knows a wire format.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::{
    chat::{json::Json, request::Unsaid},
    protocol::json::{self, Key, Malformed},
};

/// A value of a body, and its place.
#[derive(Clone, Copy)]
pub(in crate::protocol) struct Value<'a, 'p> {
    raw: &'a str,
    path: Path<'p>,
}

/// An object of a body, its members in their order.
pub(in crate::protocol) struct Object<'a, 'p> {
    path: Path<'p>,
    members: Members<'a>,
    /// The members' names as the client wrote them, where [`Object::spelled`] changed one; else empty.
    written: Vec<Cow<'a, str>>,
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

/// What a request says that the neutral form cannot: as many names as fit into a header beside the losses of a writer, and
/// how much there is beyond them.
#[derive(Default)]
pub(in crate::protocol) struct Notes<'a> {
    names: Vec<Unsaid<'a>>,
    bytes: usize,
    more: usize,
    /// Whether some of what is beyond changes the answer.
    more_matters: bool,
}

type Members<'a> = SmallVec<[(Cow<'a, str>, &'a str); 8]>;

struct MembersVisitor;

/// More members than this has no object that is read here: a catalogue of tags has thousands, and each takes 40 bytes, so
/// that short ones take several times the memory of their text.
const MOST_MEMBERS: usize = 1 << 16;
/// More names than this tell nobody anything.
const MOST_NOTES: usize = 64;
/// The bytes of all names together: what of a header proxies are sure to pass, less what writers lose.
const MOST_BYTES: usize = 3000;
/// The characters of a name; a longer one is cut.
const MOST_CHARACTERS: usize = 100;

impl<'a, 'p> Value<'a, 'p> {
    /// As it is written.
    pub(in crate::protocol) fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it is a string.
    pub(in crate::protocol) fn is_text(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// A string.
    pub(in crate::protocol) fn text(&self) -> Result<Cow<'a, str>, Malformed> {
        json::text(self.raw).ok_or_else(|| self.wrong("a string"))
    }

    /// A media type; see [`is_media_type`].
    pub(in crate::protocol) fn media_type(&self) -> Result<Cow<'a, str>, Malformed> {
        let text = self.text()?;
        if is_media_type(&text) { Ok(text) } else { Err(self.wrong("a media type, such as `image/png`")) }
    }

    /// `true` or `false`.
    pub(in crate::protocol) fn flag(&self) -> Result<bool, Malformed> {
        self.raw.parse().map_err(|_| self.wrong("true or false"))
    }

    /// A whole number, not negative.
    pub(in crate::protocol) fn count(&self) -> Result<u64, Malformed> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a whole number, not negative"))
    }

    /// Any number.
    pub(in crate::protocol) fn number(&self) -> Result<serde_json::Number, Malformed> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a number"))
    }

    /// Whatever it is.
    pub(in crate::protocol) fn json(&self) -> Result<Json<'a>, Malformed> {
        serde_json::from_str(self.raw).map(Json::borrowed).map_err(|_| self.wrong("JSON"))
    }

    /// An object, whose inside is not looked at.
    pub(in crate::protocol) fn object_json(&self) -> Result<Json<'a>, Malformed> {
        if self.raw.starts_with('{') { self.json() } else { Err(self.wrong("an object")) }
    }

    /// An object.
    pub(in crate::protocol) fn object(&self) -> Result<Object<'a, 'p>, Malformed> {
        if !self.raw.starts_with('{') {
            return Err(self.wrong("an object"));
        }
        // The body was read as a whole before, so this is valid.
        let mut members = Members::new();
        for (key, value) in json::cut::members(self.raw).into_iter().flatten() {
            if members.len() == MOST_MEMBERS {
                return Err(self.refuse(format_args!("it has more than {MOST_MEMBERS} members")));
            }
            members.push((key, value));
        }
        Ok(Object { path: self.path, members, written: Vec::new() })
    }

    /// Gives each element of an array to `each`, until one is refused.
    pub(in crate::protocol) fn items(
        &self,
        each: impl FnMut(usize, Value<'a, '_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list("an array", each)
    }

    /// The same where a string may stand as well, which the caller has read then.
    pub(in crate::protocol) fn items_unless_text(
        &self,
        each: impl FnMut(usize, Value<'a, '_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.list("a string or an array", each)
    }

    fn list(
        &self,
        must: &str,
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
        read.ok_or_else(|| self.wrong(must))?;
        result
    }

    /// It is not what it must be.
    pub(in crate::protocol) fn wrong(&self, must: impl fmt::Display) -> Malformed {
        serde_json::Error::custom(format_args!("{} must be {must}", self.path.place())).into()
    }

    /// It cannot be taken, and why.
    pub(in crate::protocol) fn refuse(&self, why: impl fmt::Display) -> Malformed {
        serde_json::Error::custom(format_args!("{}: {why}", self.path.place())).into()
    }
}

impl<'a> Object<'a, 'static> {
    /// A whole body.
    ///
    /// # Errors
    /// What is no JSON object in UTF-8, or nested too deep.
    pub(in crate::protocol) fn body(body: &'a [u8]) -> Result<Self, Malformed> {
        let members = json::read(body, |_| MembersVisitor)?;
        Ok(Self { path: Path { above: None, step: Step::Body }, members, written: Vec::new() })
    }
}

impl<'a> Object<'a, '_> {
    /// A member; `null` is as if it were absent.
    pub(in crate::protocol) fn get<'s>(&'s self, key: &'s str) -> Option<Value<'a, 's>> {
        let at = self.members.iter().position(|(name, _)| name == key)?;
        let raw = self.members[at].1;
        (raw != "null").then(|| self.member(self.written(at), raw))
    }

    /// The same with its names spelled as `with` does, for a format that has several spellings; `None` for one that stays.
    /// What is wrong or noted is told under the client's own.
    pub(in crate::protocol) fn spelled(mut self, with: impl Fn(&str) -> Option<String>) -> Self {
        for at in 0..self.members.len() {
            if let Some(name) = with(&self.members[at].0) {
                if self.written.is_empty() {
                    self.written = self.members.iter().map(|(name, _)| name.clone()).collect();
                }
                self.members[at].0 = name.into();
            }
        }
        self
    }

    /// A member, if it is the only one.
    pub(in crate::protocol) fn only<'s>(&'s self, key: &'s str) -> Option<Value<'a, 's>> {
        (self.members.len() == 1).then(|| self.get(key)).flatten()
    }

    /// Whether it has no member.
    pub(in crate::protocol) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A member that must be there.
    pub(in crate::protocol) fn need<'s>(&'s self, key: &'s str) -> Result<Value<'a, 's>, Malformed> {
        self.get(key).ok_or_else(|| self.member(key, "null").refuse("it is missing"))
    }

    /// The text of a member.
    pub(in crate::protocol) fn text(&self, key: &str) -> Result<Option<Cow<'a, str>>, Malformed> {
        self.get(key).map(|value| value.text()).transpose()
    }

    /// The JSON of a member.
    pub(in crate::protocol) fn json(&self, key: &str) -> Result<Option<Json<'a>>, Malformed> {
        self.get(key).map(|value| value.json()).transpose()
    }

    /// Refuses a key of `known` that stands twice: it would be read differently here and by others.
    pub(in crate::protocol) fn once(&self, known: &[&str]) -> Result<(), Malformed> {
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
    pub(in crate::protocol) fn rest(&self, known: &[&str], notes: &mut Notes<'a>) {
        for (at, (key, raw)) in self.members.iter().enumerate() {
            if !is_nothing(raw) && !known.contains(&key.as_ref()) {
                let path = Path { above: Some(&self.path), step: Step::Key(self.written(at)) };
                notes.lose(path.name(), false);
            }
        }
    }

    /// Notes a member that the neutral form has no place for, if it is there.
    pub(in crate::protocol) fn unsaid(&self, key: &str, hint: bool, notes: &mut Notes<'a>) {
        if let Some(value) = self.get(key).filter(|value| !is_nothing(value.raw)) {
            notes.lose(value.path.name(), hint);
        }
    }

    /// The keys.
    pub(in crate::protocol) fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(key, _)| key.as_ref())
    }

    /// A member's name as the client wrote it.
    fn written(&self, at: usize) -> &str {
        self.written.get(at).unwrap_or(&self.members[at].0)
    }

    fn member<'s>(&'s self, key: &'s str, raw: &'a str) -> Value<'a, 's> {
        Value { raw, path: Path { above: Some(&self.path), step: Step::Key(key) } }
    }
}

impl<'a> Notes<'a> {
    /// Notes a name once.
    pub(in crate::protocol) fn lose(&mut self, name: impl Into<Cow<'a, str>>, hint: bool) {
        let mut name = name.into();
        if let Some((end, _)) = name.char_indices().nth(MOST_CHARACTERS) {
            name = name[..end].to_owned().into();
        }
        if self.names.iter().any(|unsaid| unsaid.name == name) {
            return;
        }
        if self.names.len() < MOST_NOTES && self.bytes + name.len() <= MOST_BYTES {
            self.bytes += name.len();
            self.names.push(Unsaid { name, hint });
        } else {
            self.more += 1;
            self.more_matters |= !hint;
        }
    }

    /// All that was noted; the last name may stand for those that are not there: `and-12-more`.
    pub(in crate::protocol) fn into_unsaid(self) -> Vec<Unsaid<'a>> {
        let Self { mut names, more, more_matters, .. } = self;
        if more > 0 {
            names.push(Unsaid { name: format!("and-{more}-more").into(), hint: !more_matters });
        }
        names
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

impl<'de> DeserializeSeed<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members<'de>, D::Error> {
        deserializer.deserialize_map(self)
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
            members.push((key, value.get()));
        }
        Ok(members)
    }
}

/// Whether a member says nothing that its absence would not: `null`, or an empty list. An empty object may be a switch.
fn is_nothing(raw: &str) -> bool {
    let list = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
    raw == "null" || list.is_some_and(|inside| inside.trim().is_empty())
}

/// Whether it is two names (RFC 6838) with a slash between them, perhaps with parameters, and no comma: in a `data:` URL
/// one would end it, and what stands behind would be taken for the bytes.
pub(in crate::protocol) fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
    };
    let two = essence.split_once('/').is_some_and(|(kind, of)| is_name(kind) && is_name(of));
    two && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_two_names_and_holds_no_comma() {
        for right in
            ["image/png", "image/svg+xml", "text/plain; charset=utf-8", "audio/L16;rate=24000", "image/*"]
        {
            assert!(is_media_type(right), "{right}");
        }
        for wrong in [
            "",
            "png",
            "/",
            "image/",
            "image,png",
            "image/png,AAAA",
            "image/png;a=,",
            "image/png\n",
            "ä/b",
            "a/b/c",
        ] {
            assert!(!is_media_type(wrong), "{wrong}");
        }
    }

    fn object(json: &str) -> Object<'_, 'static> {
        Object::body(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_with_the_way_to_it() {
        let body = object(r#"{"a":[{"b":1},{"b":"x"}],"c":null}"#);
        let wrong = body.need("a").unwrap().items(|_, item| item.object()?.need("b")?.count().map(drop));
        assert_eq!(
            wrong.unwrap_err().to_string(),
            "invalid request body: `a[1].b` must be a whole number, not negative"
        );
        assert!(body.get("c").is_none());
        assert!(body.need("c").err().unwrap().to_string().contains("`c`: it is missing"));
        assert!(Object::body(b"3").is_err() && Object::body(b"{} x").is_err());
        let listed = object(r#"{"a":{}}"#);
        let list = listed.need("a").unwrap();
        assert!(list.items(|_, _| Ok(())).unwrap_err().to_string().ends_with("`a` must be an array"));
        let either = list.items_unless_text(|_, _| Ok(())).unwrap_err().to_string();
        assert!(either.ends_with("`a` must be a string or an array"), "{either}");
    }

    #[test]
    fn what_nobody_asks_for_is_noted_once_by_its_name() {
        let body = object(r#"{"a":[{"x":1},{"x":2,"y":null}],"z":1,"w":[ ],"v":[]}"#);
        let mut notes = Notes::default();
        let list = body.need("a").unwrap();
        list.items(|_, item| {
            item.object()?.rest(&[], &mut notes);
            Ok(())
        })
        .unwrap();
        body.unsaid("z", true, &mut notes);
        body.unsaid("v", false, &mut notes);
        body.rest(&["a", "z", "v"], &mut notes);
        let noted: Vec<_> =
            notes.into_unsaid().into_iter().map(|unsaid| (unsaid.name, unsaid.hint)).collect();
        assert_eq!(noted, [("a.x".into(), false), ("z".into(), true)]);
    }

    #[test]
    fn a_known_key_stands_once() {
        let body = object(r#"{"a":1,"b":1,"b":2}"#);
        assert!(body.once(&["a"]).is_ok());
        assert!(body.once(&["a", "b"]).unwrap_err().to_string().contains("duplicate field `b`"));
    }

    #[test]
    fn there_is_an_end_to_members_and_notes() {
        let members: Vec<_> = (0..MOST_MEMBERS).map(|n| format!("\"{n}\":1")).collect();
        let json = format!("{{{}}}", members.join(","));
        let mut notes = Notes::default();
        object(&json).rest(&[], &mut notes);
        let unsaid = notes.into_unsaid();
        assert_eq!(unsaid.len(), MOST_NOTES + 1, "none beyond the last, which says how many there are");
        let more = format!("and-{}-more", MOST_MEMBERS - MOST_NOTES);
        assert_eq!(unsaid[MOST_NOTES], Unsaid { name: more.into(), hint: false });
        let more = json.replace('}', ",\"x\":1}");
        assert!(Object::body(more.as_bytes()).is_err());
    }

    #[test]
    fn long_names_are_cut_and_fit_into_a_header_together() {
        let mut notes = Notes::default();
        for n in 0..50 {
            notes.lose(format!("{n:02}{}", "é".repeat(5000)), true);
        }
        let unsaid = notes.into_unsaid();
        let (last, names) = unsaid.split_last().unwrap();
        assert!(names.iter().all(|unsaid| unsaid.name.chars().count() == MOST_CHARACTERS));
        assert!(names.iter().map(|unsaid| unsaid.name.len()).sum::<usize>() <= MOST_BYTES);
        let more = format!("and-{}-more", 50 - names.len());
        assert_eq!((last.name.as_ref(), last.hint), (more.as_str(), true));
    }
}
