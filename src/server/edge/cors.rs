//! CORS (the Fetch standard, "HTTP extensions"): what pages of other origins may send here, and read. The values are built
//! once; an origin is named in an answer only if it is in the list.

use std::{collections::HashSet, fmt::Display};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, VARY,
    },
    request::Parts,
};

use crate::{
    config::edge::{self, Allowed},
    header::Sent,
    server::{body::Content, respond},
};

const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");

const ANY: HeaderValue = HeaderValue::from_static("*");
/// What is served, for who names no methods.
const SERVED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, OPTIONS");
/// To browsers `*` is every header but this one, which has to be named.
const ANY_AND_AUTHORIZATION: HeaderValue = HeaderValue::from_static("*, authorization");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// `[server.cors]`, ready for use.
pub(super) struct Cors {
    origins: Origins,
    /// Allowed methods and headers, and how long that holds: in the answer to every preflight.
    preflight: HeaderMap,
    headers: Headers,
    private_network: bool,
    /// In every other answer.
    expose: Option<HeaderValue>,
    credentials: bool,
}

/// Which headers pages may send.
enum Headers {
    /// What they ask for: nothing is written about it.
    Asked,
    /// All, by a `*`.
    Any,
    /// Those that the answer to every preflight names.
    Listed,
}

/// Which origins may read.
enum Origins {
    Nobody,
    Everybody,
    Listed(Listed),
}

/// Origins as browsers write them.
struct Listed {
    exact: HashSet<Box<str>>,
    globs: Vec<Box<str>>,
}

impl Cors {
    pub(super) fn new(written: &edge::Cors) -> Self {
        let lists = [
            (ACCESS_CONTROL_ALLOW_METHODS, list(written.methods.as_ref()).or(Some(SERVED))),
            (ACCESS_CONTROL_ALLOW_HEADERS, list(written.headers.as_ref())),
            (ACCESS_CONTROL_MAX_AGE, written.max_age.map(|age| age.as_secs().into())),
        ];
        Self {
            origins: Origins::new(written.origins.as_ref()),
            preflight: lists.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            headers: match written.headers {
                None => Headers::Asked,
                Some(Allowed::Any) => Headers::Any,
                Some(Allowed::These(_)) => Headers::Listed,
            },
            private_network: written.allow_private_network,
            expose: list(written.expose.as_ref()),
            credentials: written.allow_credentials,
        }
    }

    /// The answer to a preflight, whatever it asks about: the browser compares. [`Cors::share`] adds the origin.
    pub(super) fn preflight(&self, head: &Parts) -> Option<Response<Content>> {
        if !is_preflight(head) {
            return None;
        }
        let mut response = respond::empty(StatusCode::OK);
        response.headers_mut().clone_from(&self.preflight);
        match self.headers {
            Headers::Asked => self.grant(&head.headers, response.headers_mut()),
            Headers::Any if asks_for_authorization(&head.headers) => {
                response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, ANY_AND_AUTHORIZATION);
            }
            Headers::Any | Headers::Listed => {}
        }
        if self.private_network && head.headers.get(REQUEST_PRIVATE_NETWORK) == Some(&TRUE) {
            response.headers_mut().insert(ALLOW_PRIVATE_NETWORK, TRUE);
        }
        Some(response)
    }

    /// Allows a page the headers that it asks for, if its origin may read.
    fn grant(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("access-control-request-headers"));
        if self.origins.of(asked).is_some() {
            for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter(|names| are_names(names))
            {
                answer.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
    }

    /// Lets the page that sent the request read the answer, if its origin may.
    pub(super) fn share(&self, head: &Parts, answer: &mut HeaderMap) {
        if let Origins::Listed(_) = self.origins {
            answer.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.origins.of(&head.headers) else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        if let Some(expose) = self.expose.as_ref().filter(|_| !is_preflight(head)) {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

fn is_preflight(head: &Parts) -> bool {
    let has = |name| head.headers.contains_key(name);
    head.method == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

fn asks_for_authorization(headers: &HeaderMap) -> bool {
    let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut names = asked.flat_map(|names| names.as_bytes().split(|byte| *byte == b','));
    names.any(|name| name.trim_ascii().eq_ignore_ascii_case(AUTHORIZATION.as_str().as_bytes()))
}

/// Whether nothing but names of headers, commas and blanks is in there.
fn are_names(list: &HeaderValue) -> bool {
    let mut names = list.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.all(|name| name.is_empty() || HeaderName::from_bytes(name).is_ok())
}

/// A list as a header writes it.
fn list<T: Display>(allowed: Option<&Allowed<T>>) -> Option<HeaderValue> {
    match allowed? {
        Allowed::Any => Some(ANY),
        Allowed::These(these) => {
            let names: Vec<String> = these.iter().map(T::to_string).collect();
            // Methods and header names are legal values.
            HeaderValue::try_from(names.join(", ")).ok()
        }
    }
}

impl Origins {
    fn new(allowed: Option<&Allowed<String>>) -> Self {
        match allowed {
            None => Self::Nobody,
            Some(Allowed::Any) => Self::Everybody,
            Some(Allowed::These(origins)) => Self::Listed(Listed::new(origins)),
        }
    }

    /// What an answer to this request says about origins.
    fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Everybody => Some(ANY),
            Self::Listed(listed) => {
                let Sent::Once(origin) = Sent::of(headers, &ORIGIN) else { return None };
                origin.to_str().is_ok_and(|origin| listed.has(origin)).then(|| origin.clone())
            }
        }
    }
}

impl Listed {
    fn new(origins: &[String]) -> Self {
        let (globs, exact): (Vec<_>, Vec<_>) = origins.iter().partition(|origin| origin.contains('*'));
        Self {
            exact: exact.into_iter().map(|origin| origin.as_str().into()).collect(),
            globs: globs.into_iter().map(|glob| glob.as_str().into()).collect(),
        }
    }

    fn has(&self, origin: &str) -> bool {
        self.exact.contains(origin) || self.globs.iter().any(|glob| matches(glob, origin))
    }
}

/// Whether `origin` is what `glob` says: a `*` for the port is any port, one in the host one or more characters of it.
fn matches(glob: &str, origin: &str) -> bool {
    let Some((scheme, host, port)) = taken_apart(glob) else { return false };
    let Some((its_scheme, its_host, its_port)) = taken_apart(origin) else { return false };
    let port_matches = match (port, its_port) {
        (Some("*"), Some(port)) => !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()),
        _ => port == its_port,
    };
    port_matches && scheme == its_scheme && host_matches(host, its_host)
}

/// Scheme, host and port of an origin.
fn taken_apart(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    Some((scheme, host, port))
}

/// Each text between two `*` is taken where it comes first, which leaves the most for those after it. No label of a host
/// that is matched by a `*` is empty.
fn host_matches(glob: &str, host: &str) -> bool {
    let mut between = glob.split('*');
    let Some(mut rest) = host.strip_prefix(between.next().unwrap_or_default()) else { return false };
    let Some(last) = between.next_back() else { return rest.is_empty() };
    for literal in between {
        let Some(at) =
            rest.char_indices().skip(1).map(|(at, _)| at).find(|at| rest[*at..].starts_with(literal))
        else {
            return false;
        };
        if !is_of_host(&rest[..at]) {
            return false;
        }
        rest = &rest[at + literal.len()..];
    }
    rest.strip_suffix(last).is_some_and(is_of_host) && host.split('.').all(|label| !label.is_empty())
}

/// What a `*` may stand for.
fn is_of_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

#[cfg(test)]
mod tests;
