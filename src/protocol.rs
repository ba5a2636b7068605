//! The wire formats clients speak, and which route belongs to which. Pure: no IO, no clock, no actor.
//!
//! A protocol's folder holds what only it knows: how its requests are read, how its answers and streams are edited on
//! their way through, what its errors look like.

pub mod bedrock;
mod call;
mod claude;
pub mod event_stream;
pub mod json;
pub mod openai_chat;
pub mod openai_embeddings;
pub mod splice;
pub mod sse;
pub mod translate;

use std::ops::Range;

use http::Method;

/// An ingress protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's: chat completions, embeddings, models.
    OpenAi,
}

/// What a route asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `HEAD` on a base path: clients use it to see whether anyone is there.
    Probe,
    /// The models this caller may use.
    ListModels,
    /// One of them, by public id.
    ShowModel(String),
    /// Something that is sent on to a provider.
    Call(Call),
}

/// The operations that go upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/embeddings`
    Embeddings,
}

/// Why a path and method have no operation.
#[derive(Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// Nothing lives at the path.
    Unknown,
    /// Something does, for other methods: the `Allow` value.
    Method(&'static str),
}

impl Protocol {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
        }
    }
}

impl Call {
    /// The operation's name in metrics, after the OpenTelemetry `gen_ai.operation.name` values.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
        }
    }
}

/// Finds the operation of a request to the OpenAI protocol, served under `prefixes` and at the root.
///
/// # Errors
/// [`NoRoute`] when nothing is there, or nothing for this method.
pub fn route(prefixes: &[String], method: &Method, path: &str) -> Result<Operation, NoRoute> {
    let under = prefixes.iter().find_map(|prefix| below(path, prefix)).unwrap_or(path);
    match under {
        "" | "/" | "/v1" if *method == Method::HEAD => Ok(Operation::Probe),
        "/v1/chat/completions" => post(method, Call::Chat),
        "/v1/embeddings" => post(method, Call::Embeddings),
        "/v1/models" => get(method).map(|()| Operation::ListModels),
        _ => match under.strip_prefix("/v1/models/").and_then(decode) {
            Some(id) => get(method).map(|()| Operation::ShowModel(id)),
            None => Err(NoRoute::Unknown),
        },
    }
}

/// The rest of `path` below `prefix`, which must end at a segment's end.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn post(method: &Method, call: Call) -> Result<Operation, NoRoute> {
    if *method == Method::POST { Ok(Operation::Call(call)) } else { Err(NoRoute::Method("POST")) }
}

fn get(method: &Method) -> Result<(), NoRoute> {
    if *method == Method::GET || *method == Method::HEAD { Ok(()) } else { Err(NoRoute::Method("GET, HEAD")) }
}

/// A model id out of a path, where its `/` may be written raw or as `%2F`. Empty, ending in `/`, or not UTF-8: none.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| {
            byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
        };
        bytes.push(if byte == b'%' { hex(rest.next())? << 4 | hex(rest.next())? } else { byte });
    }
    let id = String::from_utf8(bytes).ok()?;
    (!id.is_empty() && !id.ends_with('/')).then_some(id)
}

/// Where `part`, a slice of `whole`, stands in it; `None` for any other slice.
fn span_in(whole: &[u8], part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len()).filter(|end| *end <= whole.len())?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: Method, path: &str) -> Result<Operation, NoRoute> {
        route(&["/llm/openai".to_owned(), "/llm".to_owned()], &method, path)
    }

    #[test]
    fn every_route_is_served_under_each_prefix_and_at_the_root() {
        for base in ["", "/llm", "/llm/openai"] {
            assert_eq!(
                at(Method::POST, &format!("{base}/v1/chat/completions")),
                Ok(Operation::Call(Call::Chat))
            );
            assert_eq!(
                at(Method::POST, &format!("{base}/v1/embeddings")),
                Ok(Operation::Call(Call::Embeddings))
            );
            assert_eq!(at(Method::GET, &format!("{base}/v1/models")), Ok(Operation::ListModels));
            assert_eq!(at(Method::HEAD, base), Ok(Operation::Probe));
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        assert_eq!(at(Method::GET, "/llmx/v1/models"), Err(NoRoute::Unknown));
        assert_eq!(at(Method::GET, "/llm/openai/v1/models/"), Err(NoRoute::Unknown));
        assert_eq!(at(Method::POST, "/llm/openai/v1/chat/completions/"), Err(NoRoute::Unknown));
    }

    #[test]
    fn a_model_id_may_be_written_raw_or_escaped() {
        let shown = Ok(Operation::ShowModel("a/b/c:1".to_owned()));
        assert_eq!(at(Method::GET, "/v1/models/a/b/c:1"), shown);
        assert_eq!(at(Method::GET, "/v1/models/a%2Fb%2fc%3A1"), shown);
        for broken in ["%2", "%", "%zz", "a%ff"] {
            assert_eq!(at(Method::GET, &format!("/v1/models/{broken}")), Err(NoRoute::Unknown), "{broken}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        assert_eq!(at(Method::GET, "/v1/chat/completions"), Err(NoRoute::Method("POST")));
        assert_eq!(at(Method::DELETE, "/v1/models"), Err(NoRoute::Method("GET, HEAD")));
        assert_eq!(at(Method::GET, "/llm"), Err(NoRoute::Unknown));
    }
}
