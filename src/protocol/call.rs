//! Ids and inputs of tool calls, for formats that are choosy about them.

use std::{borrow::Cow, collections::VecDeque};

use serde_json::value::RawValue;

use crate::chat::{
    content::{Content, Input},
    json::Json,
    request::Request,
};

/// Gives ids to calls that have none, and to their results: the first result without one is that of the first such call.
/// Some servers write empty ids, and their clients send them back.
pub(super) fn identify(request: &mut Request<'_>) {
    let (mut made, mut open) = (0, VecDeque::new());
    for content in request.messages.iter_mut().flat_map(|message| &mut message.content) {
        match content {
            Content::Call(call) if call.id.is_empty() => {
                call.id = format!("call_without_id_{made}").into();
                made += 1;
                open.push_back((call.id.clone(), call.name.clone()));
            }
            Content::Result(result) if result.id.is_empty() => {
                if let Some((id, name)) = open.pop_front() {
                    (result.id, result.name) = (id, Some(name));
                }
            }
            _ => {}
        }
    }
}

/// The id, or one that is made of it where it does not match `^[a-zA-Z0-9_-]{1,64}$`: the same for the call and its result,
/// and different for different ids. Wire facts §6: `functions.get:0`.
pub(super) fn id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=64).contains(&id.len()) && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let clean: String = id.chars().map(|c| if fits(c) { c } else { '_' }).take(40).collect();
    Cow::Owned(format!("{clean}_{:016x}", hash(id)))
}

/// FNV-1a, 64 bits: stable across runs and machines. <http://www.isthe.com/chongo/tech/comp/fnv/>
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The input of a call where it has to be an object. An object passes as it is; no input is `{}`; another value that is
/// JSON goes under `value`, and what is none under `input`, where custom tools have their text too.
pub(super) fn arguments<'r>(input: &'r Input<'_>) -> Json<'r> {
    let (key, value) = match input {
        Input::Text(text) => ("input", Cow::Owned(quoted(text))),
        Input::Json(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') => return Json::borrowed(raw),
            Ok(raw) => ("value", Cow::Borrowed(raw.get())),
            Err(_) if text.trim().is_empty() => return made("{}".to_owned()),
            Err(_) => ("input", Cow::Owned(quoted(text))),
        },
    };
    made(format!(r#"{{"{key}":{value}}}"#))
}

/// The free text in the arguments of a function that stands for a custom tool, `{"input":"…"}`; whatever else a model
/// wrote, as it is.
pub(super) fn free_text(arguments: Cow<'_, str>) -> Cow<'_, str> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        input: String,
    }
    match serde_json::from_str::<Wrapped>(&arguments) {
        Ok(Wrapped { input }) => Cow::Owned(input),
        Err(_) => arguments,
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON that was put together by a writer, and so is some.
pub(super) fn made(text: String) -> Json<'static> {
    Json::parse(text).unwrap_or_else(|| Json::borrowed(RawValue::NULL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_stays_and_another_is_made_to_fit() {
        assert_eq!(id("toolu_01-aB"), "toolu_01-aB");
        let made = id("functions.get:0");
        assert!(made.starts_with("functions_get_0_") && made.len() <= 64, "{made}");
        assert_ne!(made, id("functions:get.0"));
        assert_eq!(made, id("functions.get:0"));
        for odd in ["é".repeat(500), "a".repeat(65), String::new()] {
            assert!((1..=64).contains(&id(&odd).len()), "{odd}");
        }
    }

    #[test]
    fn calls_without_ids_and_their_results_are_told_apart() {
        use crate::chat::{
            content::{Call, ToolResult},
            request::{Message, Role},
        };
        let call = |id: &'static str, name: &'static str| {
            Content::Call(Call {
                id: id.into(),
                name: name.into(),
                input: Input::Json("{}".into()),
                signature: None,
            })
        };
        let result = |id: &'static str, name: &'static str| {
            let name = (!name.is_empty()).then(|| name.into());
            Content::Result(ToolResult {
                id: id.into(),
                name,
                content: Vec::new(),
                error: false,
                cache: None,
            })
        };
        let message = |role, content| Message { role, content, at: 0 };
        let mut request = Request {
            messages: vec![
                message(Role::Assistant, vec![call("", "a"), call("x", "b"), call("", "c")]),
                message(Role::User, vec![result("", ""), result("x", "b"), result("", ""), result("", "")]),
            ],
            ..Request::default()
        };
        identify(&mut request);
        let (first, second) = ("call_without_id_0", "call_without_id_1");
        assert_eq!(request.messages[0].content, [call(first, "a"), call("x", "b"), call(second, "c")]);
        let results = [result(first, "a"), result("x", "b"), result(second, "c"), result("", "")];
        assert_eq!(request.messages[1].content, results);
    }

    #[test]
    fn the_input_of_a_call_is_an_object_whatever_the_model_wrote() {
        for (written, object) in [
            (r#"{"a": 1.0}"#, r#"{"a": 1.0}"#),
            (" {} ", "{}"),
            ("", "{}"),
            ("null", r#"{"value":null}"#),
            (r#"["x"]"#, r#"{"value":["x"]}"#),
            (r#"{"a":"#, r#"{"input":"{\"a\":"}"#),
        ] {
            assert_eq!(arguments(&Input::Json(written.into())).text(), object, "{written}");
        }
        let text = Input::Text("a\n\"b\"".into());
        let wrapped = arguments(&text);
        assert_eq!(wrapped.text(), r#"{"input":"a\n\"b\""}"#);
        assert_eq!(free_text(wrapped.text().into()), "a\n\"b\"");
        assert_eq!(free_text("{}".into()), "{}");
    }
}
