//! Addresses, keys and queries of every kind, and what passes back of an answer's headers.

use http::{
    Uri,
    header::{AUTHORIZATION, HOST},
};

use super::*;
use crate::config::{Remote, Vertex, headers::HeaderRule};

/// The headers that a key may stand in.
const KEYS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

fn remote(base_url: &'static str, key: Option<&str>) -> Remote {
    let api_key = key.map(|key| Secret::new(key.to_owned()));
    Remote { base_url: Uri::from_static(base_url), api_key, ca_pem: None }
}

fn server(kind: &ProviderKind) -> Server {
    Server::new(kind, []).expect("an address").expect("over HTTP")
}

fn openai(key: Option<&str>) -> Server {
    let remote = remote("http://h/v1", key);
    server(&ProviderKind::OpenAi { remote, responses: true, stream_usage: true, max_completion_tokens: true })
}

fn anthropic(key: Option<&str>) -> Server {
    server(&ProviderKind::Anthropic { remote: remote("http://h/v1", key) })
}

fn google(key: Option<&str>) -> Server {
    server(&ProviderKind::Google { remote: remote("http://h/v1beta", key), vertex: None })
}

fn vertex(location: &str) -> Server {
    let (project, location) = ("my-project".to_owned(), location.to_owned());
    let vertex = Some(Vertex { project, location, credentials_file: None });
    server(&ProviderKind::Google { remote: remote("http://h/v1", None), vertex })
}

fn azure(base_url: &'static str, version: Option<&str>, key: Option<&str>) -> Server {
    let (remote, api_version) = (remote(base_url, key), version.map(str::to_owned));
    server(&ProviderKind::Azure {
        remote,
        api_version,
        entra: None,
        responses: true,
        stream_usage: true,
        max_completion_tokens: true,
    })
}

/// A server of one kind, by its key.
type OfKey = fn(Option<&str>) -> Server;

/// What a client has to do with a call, apart from its headers.
#[derive(Clone, Copy, Default)]
struct Case<'a> {
    query: Option<&'a str>,
    key: Option<&'a str>,
    token: Option<&'a str>,
    other_protocol: bool,
    stream: bool,
}

fn sent(server: &Server, operation: Operation, model: &str, case: Case<'_>) -> Request<Rope> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let (key, token) = (case.key.map(secret), case.token.map(secret));
    let caller = KEYS.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("the caller's")));
    let client = Client {
        query: case.query,
        headers: &HeaderMap::from_iter(caller),
        request_id: &HeaderValue::from_static("id"),
        key: key.as_ref(),
        opened: token.as_ref().map(Opened::Token),
        same_protocol: !case.other_protocol,
    };
    let request =
        server.request(&Wanted { operation, model, stream: case.stream }, &client, None, Rope::new());
    assert_eq!(request.method(), http::Method::POST);
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(request.headers()[REQUEST_ID], "id");
    assert!(!request.headers().contains_key(HOST), "the connection knows it");
    request
}

#[track_caller]
fn assert_target(server: &Server, operation: Operation, model: &str, case: Case<'_>, target: &str) {
    let request = sent(server, operation, model, case);
    assert_eq!(request.uri().to_string(), format!("http://h{target}"));
}

/// The keys of a request, each with its header.
fn keys(request: &Request<Rope>) -> Vec<(&str, &str)> {
    let keys =
        KEYS.iter().flat_map(|name| request.headers().get_all(*name).iter().map(move |key| (*name, key)));
    keys.map(|(name, key)| {
        assert!(key.is_sensitive());
        (name, key.to_str().expect("text"))
    })
    .collect()
}

#[test]
fn every_operation_has_its_path() {
    use Operation::{
        BatchEmbed, Chat, Converse, CountMessages, CountTokens, Embeddings, Generate, Messages, Responses,
    };
    let (openai, anthropic, google) = (openai(None), anthropic(None), google(None));
    let azure = azure("http://h", None, None);
    let (whole, stream) = (Case::default(), Case { stream: true, other_protocol: true, ..Case::default() });
    for (server, operation, case, target) in [
        (&openai, Chat, whole, "/v1/chat/completions"),
        (&openai, Embeddings, whole, "/v1/embeddings"),
        (&openai, Responses, stream, "/v1/responses"),
        (&anthropic, Messages, stream, "/v1/messages"),
        (&anthropic, CountMessages, whole, "/v1/messages/count_tokens"),
        (&google, Generate, whole, "/v1beta/models/m:generateContent"),
        (&google, Generate, stream, "/v1beta/models/m:streamGenerateContent?alt=sse"),
        (&google, CountTokens, whole, "/v1beta/models/m:countTokens"),
        (&google, BatchEmbed, whole, "/v1beta/models/m:batchEmbedContents"),
        (&azure, Chat, whole, "/openai/v1/chat/completions"),
        (&azure, Embeddings, whole, "/openai/v1/embeddings"),
        (&azure, Responses, whole, "/openai/v1/responses"),
    ] {
        assert!(server.speaks(operation), "{operation:?}");
        assert_target(server, operation, "m", case, target);
    }
    for server in [&openai, &anthropic, &google, &azure] {
        assert!(!server.speaks(Converse));
    }
    assert!(
        !openai.speaks(Messages)
            && !anthropic.speaks(Chat)
            && !google.speaks(Chat)
            && !azure.speaks(Generate)
    );
    let remote = remote("http://h", None);
    let plain =
        ProviderKind::OpenAi { remote, responses: false, stream_usage: true, max_completion_tokens: true };
    assert!(!server(&plain).speaks(Responses));
    assert_target(&server(&plain), Chat, "m", whole, "/chat/completions");
}

#[test]
fn a_model_is_one_segment_however_it_is_named() {
    let google = google(None);
    for (model, segments) in [
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("a/b?c:d e", "models/a%2Fb%3Fc%3Ad%20e"),
        ("gemini@001", "models/gemini@001"),
    ] {
        let target = format!("/v1beta/{segments}:generateContent");
        assert_target(&google, Operation::Generate, model, Case::default(), &target);
    }
    let azure = azure("http://h", Some("2024-10-21"), None);
    let target = "/openai/deployments/a%2Fb%23c/chat/completions?api-version=2024-10-21";
    assert_target(&azure, Operation::Chat, "a/b#c", Case::default(), target);
    let long = "m".repeat(1 << 16);
    assert_target(&google, Operation::Generate, &long, Case::default(), "/v1beta");
}

#[test]
fn vertex_names_project_and_location_and_has_no_embeddings() {
    let vertex = vertex("europe-west4");
    let below = "/v1/projects/my-project/locations/europe-west4/publishers/google/models";
    let stream = Case { stream: true, other_protocol: true, ..Case::default() };
    assert_target(
        &vertex,
        Operation::Generate,
        "m",
        stream,
        &format!("{below}/m:streamGenerateContent?alt=sse"),
    );
    assert_target(&vertex, Operation::CountTokens, "m", Case::default(), &format!("{below}/m:countTokens"));
    assert!(!vertex.speaks(Operation::BatchEmbed) && vertex.speaks(Operation::Generate));
}

#[test]
fn azure_has_two_kinds_of_paths_and_the_version_is_never_the_callers() {
    let query = Case { query: Some("api-version=1999&a=1"), ..Case::default() };
    for (base, version, target) in [
        ("http://h", Some("2024-10-21"), "/openai/deployments/m/chat/completions?api-version=2024-10-21&a=1"),
        (
            "http://h/openai",
            Some("2024-10-21"),
            "/openai/deployments/m/chat/completions?api-version=2024-10-21&a=1",
        ),
        ("http://h/x", Some("a&b"), "/x/openai/deployments/m/chat/completions?api-version=a%26b&a=1"),
        ("http://h", None, "/openai/v1/chat/completions?a=1"),
        ("http://h", Some("v1"), "/openai/v1/chat/completions?a=1"),
        ("http://h/openai/v1", Some("preview"), "/openai/v1/chat/completions?api-version=preview&a=1"),
    ] {
        assert_target(&azure(base, version, None), Operation::Chat, "m", query, target);
    }
    let dated = azure("http://h", Some("2025-04-01-preview"), None);
    let target = "/openai/responses?api-version=2025-04-01-preview";
    assert_target(&dated, Operation::Responses, "m", Case::default(), target);
    let other = Case { other_protocol: true, ..query };
    assert_target(&azure("http://h", None, None), Operation::Chat, "m", other, "/openai/v1/chat/completions");
}

#[test]
fn the_query_goes_up_to_the_same_protocol_and_never_with_a_key() {
    let (openai, anthropic, google) = (openai(None), anthropic(None), google(None));
    for (query, left) in [
        (None, ""),
        (Some("beta=true"), "?beta=true"),
        (Some("a=%31&key=secret&b"), "?a=%31&b"),
        (Some("k%65y=secret"), ""),
        (Some("access_token=secret"), ""),
    ] {
        let case = Case { query, ..Case::default() };
        assert_target(&openai, Operation::Chat, "m", case, &format!("/v1/chat/completions{left}"));
        assert_target(&anthropic, Operation::Messages, "m", case, &format!("/v1/messages{left}"));
        let target = format!("/v1beta/models/m:generateContent{left}");
        assert_target(&google, Operation::Generate, "m", case, &target);
        let other = Case { other_protocol: true, ..case };
        assert_target(&openai, Operation::Chat, "m", other, "/v1/chat/completions");
        assert_target(&anthropic, Operation::Messages, "m", other, "/v1/messages");
        assert_target(&google, Operation::Generate, "m", other, "/v1beta/models/m:generateContent");
    }
}

#[test]
fn how_googles_stream_is_framed_is_up_to_its_own_clients() {
    let (google, stream) = (google(None), "/v1beta/models/m:streamGenerateContent");
    for (query, left) in
        [(None, ""), (Some("key=secret&alt=sse"), "?alt=sse"), (Some("alt=json"), "?alt=json")]
    {
        let case = Case { query, stream: true, ..Case::default() };
        assert_target(&google, Operation::Generate, "m", case, &format!("{stream}{left}"));
    }
}

#[test]
fn the_callers_key_replaces_the_configured_one_and_is_never_printed() {
    let kinds: [(OfKey, &str, &str); 4] = [
        (openai, "authorization", "Bearer "),
        (anthropic, "x-api-key", ""),
        (google, "x-goog-api-key", ""),
        (|key| azure("http://h", None, key), "api-key", ""),
    ];
    for (kind, name, scheme) in kinds {
        for (configured, forwarded, expected) in [
            (Some("own"), None, Some("own")),
            (Some("own"), Some("brought"), Some("brought")),
            (None, Some("brought"), Some("brought")),
            (None, None, None),
            (Some(""), None, None),
            (Some("own"), Some("no\nkey"), None),
        ] {
            let case = Case { key: forwarded, ..Case::default() };
            let request = sent(&kind(configured), Operation::Chat, "m", case);
            let expected = expected.map(|key| format!("{scheme}{key}"));
            let expected: Vec<_> = expected.iter().map(|key| (name, key.as_str())).collect();
            assert_eq!(keys(&request), expected);
            assert!(!request.uri().to_string().contains("own"), "never in the URL");
        }
    }
    assert!(
        Server::new(&ProviderKind::Anthropic { remote: remote("http://h", Some("no\nkey")) }, []).is_err()
    );
}

#[test]
fn a_token_that_expires_is_a_bearer_token_unless_the_caller_brings_a_key() {
    let token = Case { token: Some("fresh"), ..Case::default() };
    let both = Case { key: Some("brought"), ..token };
    let (vertex, azure) = (vertex("global"), azure("http://h", None, None));
    let with = |server, case| sent(server, Operation::Generate, "m", case);
    assert_eq!(keys(&with(&vertex, token)), [("authorization", "Bearer fresh")]);
    assert_eq!(keys(&with(&vertex, both)), [("authorization", "Bearer brought")]);
    assert_eq!(keys(&with(&azure, token)), [("authorization", "Bearer fresh")]);
    assert_eq!(keys(&with(&azure, both)), [("api-key", "brought")]);
    assert_eq!(keys(&with(&vertex, Case::default())), []);
}

#[test]
fn anthropic_is_told_its_version_and_the_others_are_not() {
    for (server, version) in
        [(anthropic(None), Some("2023-06-01")), (openai(None), None), (google(None), None)]
    {
        let request = sent(&server, Operation::Messages, "m", Case::default());
        let sent = request.headers().get("anthropic-version").map(|value| value.to_str().expect("text"));
        assert_eq!(sent, version);
        assert_ne!(request.headers().get(AUTHORIZATION), Some(&HeaderValue::from_static("the caller's")));
    }
}

#[test]
fn the_built_in_provider_has_no_address() {
    let (first_byte_delay, token_delay) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    let server = Server::new(&ProviderKind::Echo { first_byte_delay, token_delay }, []);
    assert!(matches!(server, Ok(None)));
}

#[test]
fn the_list_of_headers_kept_back_is_sorted_for_the_search() {
    assert!(KEPT_BACK.is_sorted());
}

#[test]
fn rate_limits_pass_and_cookies_do_not() {
    let mut upstream = HeaderMap::new();
    for name in
        ["x-ratelimit-remaining-requests", "retry-after", "set-cookie", "content-length", "x-request-id"]
    {
        upstream.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    let passing = passing(upstream, |_| false);
    let mut names: Vec<_> = passing.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["retry-after", "x-ratelimit-remaining-requests", "x-upstream-request-id"]);
}

#[test]
fn the_upstreams_own_id_has_one_name_whatever_the_upstream_calls_it() {
    for (sent, id) in [
        (&[("x-request-id", "1"), ("apim-request-id", "2")][..], Some("1")),
        (&[("request-id", "req_1")], Some("req_1")),
        (&[("x-amzn-requestid", "3")], Some("3")),
        (&[("set-cookie", "4")], None),
    ] {
        let pairs =
            sent.iter().map(|(name, id)| (HeaderName::from_static(name), HeaderValue::from_static(id)));
        let passing = passing(HeaderMap::from_iter(pairs), |_| false);
        let found = passing.get(UPSTREAM_REQUEST_ID).map(|id| id.to_str().expect("text"));
        assert_eq!(found, id);
        assert!(!passing.contains_key(REQUEST_ID), "that one is ours");
        let kept = sent.iter().filter(|(name, _)| name.ends_with("request-id") && !name.starts_with('x'));
        assert!(kept.clone().all(|(name, id)| passing[*name] == *id), "SDKs look for it");
    }
}

#[test]
fn what_the_upstreams_connection_names_ends_here() {
    let mut upstream = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, X-A ,, \u{e9}"),
        ("connection", "x-b"),
        ("x-a", "1"),
        ("x-b", "2"),
        ("x-c", "3"),
    ] {
        upstream.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    let passing = passing(upstream, |_| false);
    assert_eq!(passing.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-c"]);
}

#[test]
fn what_goes_up_and_who_sent_it_print_no_secret() {
    let servers: [OfKey; 4] = [openai, anthropic, google, |key| azure("http://h", None, key)];
    let caller = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer hidden-2"))]);
    let mut value = HeaderValue::from_static("hidden-3");
    value.set_sensitive(true); // as the configuration marks it
    let rule = HeaderRule::Insert { name: HeaderName::from_static("x-rule"), value };
    let rules = HeaderRules::new(&[rule], &[], &[]);
    let wanted = Wanted { operation: Operation::Chat, model: "m", stream: false };
    let (own, token) = (Secret::new("sk-hidden-4".to_owned()), Secret::new("hidden-6".to_owned()));
    for server in servers.map(|of_key| of_key(Some("sk-hidden-1"))) {
        for (key, token) in [(None, None), (Some(&own), None), (None, Some(&token))] {
            let (query, request_id) = (Some("key=hidden-5&a=1"), &HeaderValue::from_static("id"));
            let client = Client {
                query,
                headers: &caller,
                request_id,
                key,
                opened: token.map(Opened::Token),
                same_protocol: true,
            };
            let request = server.request(&wanted, &client, rules.as_ref(), Rope::new());
            let shown = format!("{request:?} {client:?} {server:?} {rules:?}");
            assert!(shown.contains("x-rule") && shown.contains("a=1"), "{shown}");
            assert!(!shown.contains("hidden"), "{shown}");
        }
    }
}
