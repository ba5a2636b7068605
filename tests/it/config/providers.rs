//! Protocols and providers: paths, addresses, keys, and what belongs to which kind.

use nexus::config::{Protocols, Provider, ProviderKind, Remote};

use super::{PROVIDER, World, codes, read, report};

fn protocols(text: &str) -> Protocols {
    read(&[text, PROVIDER].concat()).unwrap().0.protocols
}

/// The one provider of a file, of this type and with these keys.
fn provider(kind: &str, keys: &str) -> Provider {
    let text = format!("[llm.providers.p]\ntype = {kind:?}\n{keys}\nmodels.m = {{}}\n");
    read(&text).unwrap().0.providers.remove(0)
}

/// The problems of one, found or not.
fn problems(kind: &str, keys: &str) -> Vec<&'static str> {
    let text = format!("[llm.providers.p]\ntype = {kind:?}\n{keys}\nmodels.m = {{}}\n");
    codes(&report(&text, &World::default()))
}

fn remote(provider: &Provider) -> &Remote {
    provider.kind.remote().unwrap()
}

#[test]
fn all_three_protocols_are_on_unless_they_are_switched_off() {
    let all = protocols("");
    assert_eq!(all.openai.unwrap(), ["/llm/openai", "/llm"]);
    assert_eq!(all.anthropic.unwrap(), ["/llm/anthropic"]);
    assert_eq!(all.google.unwrap(), ["/llm/google"]);
    let text =
        "[llm.protocols]\nopenai.enabled = false\nanthropic.path = \"/claude\"\ngoogle.enabled = false\n";
    let one = protocols(text);
    assert_eq!((one.openai, one.anthropic.unwrap(), one.google), (None, vec!["/claude".to_owned()], None));
}

#[test]
fn two_protocols_cannot_share_a_path_unless_one_is_off() {
    for (text, good) in [
        ("google.path = \"/llm/anthropic\"", false),
        ("anthropic.path = \"/llm/openai\"", false),
        ("openai.path = \"/llm/google\"", false),
        ("openai.path = \"/a\"\nanthropic.path = \"/a\"\nanthropic.enabled = false", true),
        ("openai.path = \"/a\"\nanthropic.path = \"/a/b\"", true),
    ] {
        let text = format!("[llm.protocols]\n{text}\n{PROVIDER}");
        let expected = if good { vec![] } else { vec!["duplicate-path"] };
        assert_eq!(codes(&report(&text, &World::default())), expected, "{text}");
    }
    let old = format!("[llm]\npath = \"/llm/google\"\n{PROVIDER}");
    assert_eq!(codes(&read(&old).unwrap_err()), ["duplicate-path"]);
}

#[test]
fn the_alias_gives_way_to_a_protocol_that_has_its_path() {
    let text = "[llm.protocols.google]\npath = \"/llm\"\n";
    let found = protocols(text);
    assert_eq!(
        (found.openai.unwrap(), found.google.unwrap()),
        (vec!["/llm/openai".to_owned()], vec!["/llm".to_owned()])
    );
    let off = protocols(&format!("{text}enabled = false\n"));
    assert_eq!((off.openai.unwrap().len(), off.google), (2, None));
}

#[test]
fn the_health_route_lies_under_no_protocol() {
    for path in ["/llm/openai/health", "/llm/x", "/llm/anthropic", "/llm/google/health", "/v1/health"] {
        let text = format!("[server.health]\npath = {path:?}\n{PROVIDER}");
        assert_eq!(codes(&read(&text).unwrap_err()), ["duplicate-path"], "{path}");
    }
    let off = "[llm.protocols]\ngoogle = { enabled = false, path = \"/gemini\" }\n[server.health]\npath = \"/gemini\"\n";
    assert!(read(&[off, PROVIDER].concat()).is_ok());
}

#[test]
fn every_kind_is_where_its_vendor_is_unless_it_is_written() {
    for (kind, url) in [
        ("openai", "https://api.openai.com/v1"),
        ("anthropic", "https://api.anthropic.com/v1"),
        ("google", "https://generativelanguage.googleapis.com/v1beta"),
    ] {
        let bare = provider(kind, "");
        assert_eq!((remote(&bare).base_url.to_string(), &remote(&bare).api_key), (url.to_owned(), &None));
        let written = provider(kind, "base_url = \"http://h/x\"\napi_key = \"k\"\nforward_token = true");
        assert_eq!(remote(&written).base_url, "http://h/x");
        assert_eq!(remote(&written).api_key.as_ref().unwrap().expose(), "k");
        assert!(written.forward_token);
        assert!(remote(&provider(kind, "api_key = \"\"")).api_key.is_none());
    }
    assert_eq!(provider("anthropic", "").models[0].max_tokens, 4096);
    let bedrock = provider("bedrock", "region = \"eu-central-1\"");
    assert_eq!(remote(&bedrock).base_url, "https://bedrock-runtime.eu-central-1.amazonaws.com");
    assert_eq!(provider("echo", "").kind.remote(), None);
}

#[test]
fn responses_are_spoken_by_openai_and_azure_unless_the_file_says_otherwise() {
    let responses = |keys: &str| match provider("openai", keys).kind {
        ProviderKind::OpenAi { responses, stream_usage, .. } => (responses, stream_usage),
        other => panic!("{other:?}"),
    };
    for (url, spoken) in [
        ("https://api.openai.com/v1", true),
        ("https://API.openai.com/v1", true),
        ("https://eu.api.openai.com/v1", true),
        ("https://notapi.openai.com/v1", false),
        ("https://api.openai.com.example/v1", false),
        ("http://127.0.0.1:8001/v1", false),
    ] {
        let url = format!("base_url = {url:?}\n");
        assert_eq!(responses(&url), (spoken, true), "{url}");
        assert_eq!(responses(&format!("{url}responses = {}\n", !spoken)).0, !spoken);
    }
    assert_eq!(responses("stream_usage = false"), (true, false));
}

#[test]
fn openai_itself_and_azure_have_no_place_for_details_of_reasoning() {
    let details = |kind: &str, keys: &str| provider(kind, keys).kind.reasoning_details();
    assert!(details("openai", "base_url = \"https://openrouter.ai/api/v1\"\n"));
    assert!(!details("openai", "") && !details("azure", "base_url = \"http://127.0.0.1:8001/v1\"\n"));
    assert!(!details("openai", "base_url = \"https://eu.api.openai.com/v1\"\n"));
}

#[test]
fn the_length_of_an_answer_goes_by_the_name_that_the_server_knows() {
    let newer = |kind: &str, keys: &str| provider(kind, keys).kind.max_completion_tokens();
    let own = "base_url = \"http://127.0.0.1:8001/v1\"\n";
    assert!(newer("openai", "") && newer("azure", own));
    assert!(!newer("openai", own) && !newer("anthropic", ""));
    assert!(newer("openai", &format!("{own}max_tokens_field = \"max_completion_tokens\"")));
    assert!(!newer("openai", "max_tokens_field = \"max_tokens\""));
    assert!(!newer("azure", &format!("{own}max_tokens_field = \"max_tokens\"")));
}

#[test]
fn azure_needs_its_endpoint_and_takes_a_version() {
    let ProviderKind::Azure { remote, api_version, entra, responses, stream_usage, .. } =
        provider("azure", "base_url = \"https://r.openai.azure.com\"\napi_key = \"k\"").kind
    else {
        panic!("azure")
    };
    assert_eq!(remote.base_url, "https://r.openai.azure.com");
    assert_eq!((api_version, entra, responses, stream_usage), (None, None, true, true));
    let dated =
        "base_url = \"https://h\"\napi_version = \"2024-10-21\"\nresponses = false\nstream_usage = false";
    let ProviderKind::Azure { api_version, responses, stream_usage, .. } = provider("azure", dated).kind
    else {
        panic!("azure")
    };
    assert_eq!((api_version.as_deref(), responses, stream_usage), (Some("2024-10-21"), false, false));
    assert_eq!(problems("azure", ""), ["missing-key"]);
    assert_eq!(problems("azure", "base_url = \"https://h\"\napi_version = \"\""), ["empty-value"]);
}

#[test]
fn keys_of_another_kind_are_refused() {
    for (kind, key) in [
        ("anthropic", "responses = true"),
        ("anthropic", "stream_usage = true"),
        ("anthropic", "max_tokens_field = \"max_tokens\""),
        ("google", "api_version = \"v1\""),
        ("openai", "api_version = \"v1\""),
        ("anthropic", "vertex = { project = \"p\", location = \"l\" }"),
        ("openai", "entra = { tenant = \"t\", client_id = \"c\", client_secret = \"s\" }"),
        ("google", "token_delay = \"1s\""),
        ("echo", "api_key = \"sk-of-tests\""),
    ] {
        assert_eq!(problems(kind, key), ["another-type"], "{kind} {key}");
    }
}

#[test]
fn what_opens_vertex_and_azure_is_said_once_and_fits_into_a_url() {
    let with = problems;
    let vertex = "vertex = { project = \"example.com:p-1\", location = \"europe-west4\" }\n";
    assert_eq!(with("google", vertex), [""; 0]);
    assert_eq!(with("google", &format!("{vertex}api_key = \"sk-of-tests\"")), ["conflict"]);
    assert_eq!(with("google", "vertex = { project = \"p\", location = \"h/\" }"), ["invalid-name"]);
    assert_eq!(with("google", "vertex = { project = \"\", location = \"eu\" }"), ["invalid-name"]);
    assert_eq!(with("google", "vertex = { project = \"p\" }"), ["missing-key"]);
    let file = "vertex = { project = \"p\", location = \"eu\", credentials_file = \"none.json\" }";
    assert_eq!(with("google", file), ["missing-file"]);
    let azure =
        "base_url = \"https://h\"\nentra = { tenant = \"t\", client_id = \"c\", client_secret = \"s\" }\n";
    assert_eq!(with("azure", azure), [""; 0]);
    assert_eq!(with("azure", &format!("{azure}api_key = \"sk-of-tests\"")), ["conflict"]);
    assert_eq!(with("azure", &azure.replace("\"t\"", "\"a b\"")), ["invalid-name"]);
}

#[test]
fn bedrock_needs_a_region_and_keys_come_in_pairs() {
    let with = |keys: &str| problems("bedrock", keys);
    let (region, keys) = (
        "region = \"eu-central-1\"\n",
        "access_key_id = \"key-of-tests\"\nsecret_access_key = \"secret-of-tests\"\n",
    );
    for (text, expected) in [
        (region.to_owned(), vec![]),
        (format!("{region}{keys}session_token = \"token-of-tests\"\nbase_url = \"http://h\""), vec![]),
        (format!("{region}profile = \"p\""), vec![]),
        (String::new(), vec!["missing-key"]),
        ("region = \"h/\"".to_owned(), vec!["invalid-name"]),
        (format!("{region}access_key_id = \"key-of-tests\""), vec!["missing-key"]),
        (format!("{region}session_token = \"token-of-tests\""), vec!["missing-key", "missing-key"]),
        (format!("{region}{keys}profile = \"p\""), vec!["conflict"]),
        (format!("{region}api_key = \"sk-of-tests\""), vec!["another-type"]),
    ] {
        assert_eq!(with(&text), expected, "{text}");
    }
}

#[test]
fn the_old_path_key_sets_the_path_and_the_alias_goes_with_the_default() {
    let paths = |text: &str| read(&[text, PROVIDER].concat()).unwrap().0.protocols.openai.unwrap();
    assert_eq!(paths(""), ["/llm/openai", "/llm"]);
    assert_eq!(paths("[llm]\npath = \"/x\"\n"), ["/x"]);
    assert_eq!(paths("[llm.protocols.openai]\npath = \"/ai\"\n"), ["/ai"]);
    for path in ["x", "/", "/x/", "", "/a b", "/a?b", "//a"] {
        let report = read(&format!("[llm]\npath = {path:?}\n{PROVIDER}")).unwrap_err();
        assert_eq!(codes(&report), ["invalid-path"], "{path}");
    }
}

#[test]
fn addresses_of_providers_are_checked_before_the_first_call() {
    for (url, good) in [
        ("http://127.0.0.1:9999/v1", true),
        ("http://[::1]:8080", true),
        ("https://h/v1/", false),
        ("ftp://h/v1", false),
        ("h/v1", false),
        ("https://", false),
        ("https://h/v1?key=1", false),
        ("https://h/v1#x", false),
        ("", false),
    ] {
        let text = PROVIDER.replace("api_key", &format!("base_url = {url:?}\napi_key"));
        assert_eq!(read(&text).is_ok(), good, "{url}");
    }
}
