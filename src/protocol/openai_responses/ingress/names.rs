//! The names of tools: Codex puts tools into namespaces, which no other format has. Each becomes a function of a name that
//! is made of both, and is named back in the answer.

use std::{borrow::Cow, collections::HashMap};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::json;

/// The tools of a request, by the name that the provider knows.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<String, Name>);

/// What the client calls a tool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// Whether it takes free text.
    pub(super) custom: bool,
}

/// An item of the input that adds tools to those of the request, which Codex sends for OpenAI's newer models.
pub(super) const ADDED: &str = "additional_tools";

/// A tool, or an item of the input.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// The longest name that every provider takes.
const LONGEST: usize = 64;

impl Names {
    /// The names in lists of tools as they are written. What is no tool has none.
    pub(super) fn read<'a>(lists: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self::default();
        let mut spaces = Vec::new();
        // A namespace has to give way to a name as it stands, wherever that is in the lists.
        for tools in lists {
            let _ = json::each(tools, |raw| match serde_json::from_str::<Tool<'_>>(raw) {
                Ok(tool) if tool.kind.as_deref() == Some("namespace") => spaces.push(tool),
                Ok(Tool { kind, name: Some(name), .. }) => names.add(None, &name, kind.as_deref()),
                _ => {}
            });
        }
        for Tool { name, tools, .. } in spaces {
            let _ = json::each(tools.map_or("[]", RawValue::get), |raw| {
                if let Ok(Tool { kind, name: Some(tool), .. }) = serde_json::from_str(raw) {
                    names.add(Some(name.as_deref().unwrap_or_default()), &tool, kind.as_deref());
                }
            });
        }
        names
    }

    fn add(&mut self, namespace: Option<&str>, name: &str, kind: Option<&str>) {
        if matches!(kind, None | Some("function" | "custom")) {
            let flat = self.flat(namespace, Cow::Borrowed(name)).into_owned();
            let (namespace, name) = (namespace.map(str::to_owned), name.to_owned());
            let custom = kind == Some("custom");
            self.0.entry(flat).or_insert(Name { namespace, name, custom });
        }
    }

    /// The name that the provider knows of a tool, which need not be in the list.
    pub(super) fn flat<'a>(&self, namespace: Option<&str>, name: Cow<'a, str>) -> Cow<'a, str> {
        let Some(space) = namespace else { return name };
        let flat = joined(space, &name);
        match self.0.get(&flat) {
            Some(other) if other.namespace.as_deref() != namespace || other.name != name => {
                Cow::Owned(shortened(&flat, space, &name))
            }
            _ => Cow::Owned(flat),
        }
    }

    /// What the client calls the tool that the provider calls so; `None` for one that it did not define.
    pub(super) fn of(&self, flat: &str) -> Option<&Name> {
        self.0.get(flat)
    }
}

/// The lists of tools in the input.
pub(super) fn added(input: &str) -> Vec<&RawValue> {
    let mut lists = Vec::new();
    // A text has none.
    let _ = json::each(input, |raw| {
        if let Ok(Tool { kind: Some(kind), tools: Some(tools), .. }) = serde_json::from_str(raw)
            && kind == ADDED
        {
            lists.push(tools);
        }
    });
    lists
}

/// `namespace__name`, as providers take names: `[a-zA-Z0-9_-]`, at most 64 characters.
fn joined(namespace: &str, name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // Codex's own namespaces may end in the bar.
    let bar = if namespace.ends_with("__") { "" } else { "__" };
    let flat = format!("{namespace}{bar}{name}");
    if flat.len() <= LONGEST && flat.chars().all(fits) {
        return flat;
    }
    let clean: String = flat.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    shortened(&clean, namespace, name)
}

/// A name with a hash of what it stands for in place of its end: different tools keep different names.
fn shortened(flat: &str, namespace: &str, name: &str) -> String {
    // FNV-1a, 32 bits: stable across runs and machines. <http://www.isthe.com/chongo/tech/comp/fnv/>
    let bytes = namespace.bytes().chain([0]).chain(name.bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let kept: String = flat.chars().take(LONGEST - 9).collect();
    format!("{kept}_{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: &str = r#"[{"type":"namespace","name":"mcp__git","tools":[{"type":"function","name":"log"},{"name":"x y"},{"type":"custom","name":"edit"}]},
        {"type":"namespace","name":"mcp__fs__","tools":[{"type":"function","name":"read"}]},
        {"type":"function","name":"mcp__git__log"},{"type":"custom","name":"apply_patch"},{"type":"web_search"},5]"#;

    #[test]
    fn a_tool_of_a_namespace_has_one_name_and_is_found_by_it() {
        let names = Names::read([TOOLS]);
        for (namespace, name, custom) in [
            ("mcp__git", "log", false),
            ("mcp__git", "x y", false),
            ("mcp__git", "edit", true),
            ("mcp__fs__", "read", false),
        ] {
            let flat = names.flat(Some(namespace), name.into());
            assert!(flat.len() <= LONGEST && !flat.contains(' '), "{flat}");
            let found = Name { namespace: Some(namespace.to_owned()), name: name.to_owned(), custom };
            assert_eq!(names.of(&flat), Some(&found), "{flat}");
        }
        assert_eq!(names.flat(Some("mcp__git"), "edit".into()), "mcp__git__edit");
        assert_eq!(names.flat(Some("mcp__fs__"), "read".into()), "mcp__fs__read");
    }

    #[test]
    fn a_name_as_it_stands_is_not_taken_away() {
        let names = Names::read([TOOLS]);
        let plain = Name { namespace: None, name: "mcp__git__log".to_owned(), custom: false };
        assert_eq!(names.of("mcp__git__log"), Some(&plain));
        assert_eq!(names.flat(None, "mcp__git__log".into()), "mcp__git__log");
        assert!(names.of("apply_patch").is_some_and(|name| name.custom));
        assert_eq!((names.of("web_search"), names.of("nobody")), (None, None));
    }

    #[test]
    fn long_names_stay_different_and_fit() {
        let names = Names::default();
        let long = "n".repeat(100);
        let (a, b) = (names.flat(Some(&long), "a".into()), names.flat(Some(&long), "b".into()));
        assert!(a.len() == LONGEST && b.len() == LONGEST && a != b);
        assert!(names.flat(Some("é"), "日本語".into()).is_ascii());
    }
}
