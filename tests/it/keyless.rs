//! Kinds that a key opens, without one: the call goes up without a key, as servers of one's own want it, and what the
//! provider says to that is what the caller reads.

use http::StatusCode;

use crate::support::{
    client::Request,
    nexus::Nexus,
    upstream::{Reply, Upstream},
};

/// Every kind that is opened by a key.
const KINDS: [&str; 4] = ["openai", "anthropic", "google", "azure"];

fn provider(kind: &str, upstream: &Upstream, keys: &str) -> String {
    format!(
        "[llm.providers.p]\ntype = {kind:?}\nbase_url = \"http://{}\"\n{keys}\nmodels.m = {{}}\n",
        upstream.address()
    )
}

#[tokio::test]
async fn a_call_goes_up_without_a_key_and_the_providers_refusal_comes_back() {
    for kind in KINDS {
        for keys in ["", "api_key = \"\""] {
            let upstream = Upstream::always(|| Reply::status(401).body("no key")).await;
            let nexus = Nexus::start(&provider(kind, &upstream, keys)).await;
            let answer = Request::chat("p/m", "Hello").send(&nexus).await;
            let message = answer.refused(StatusCode::UNAUTHORIZED, "authentication_error").message;
            assert!(message.contains("no key"), "{kind}: {message}");
            for name in ["authorization", "x-api-key", "x-goog-api-key", "api-key"] {
                assert_eq!(upstream.last().header(name), None, "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_provider_that_takes_callers_keys_is_not_asked_without_any() {
    for kind in KINDS {
        let upstream = Upstream::always(|| Reply::status(500)).await;
        let nexus = Nexus::start(&provider(kind, &upstream, "forward_token = true")).await;
        let answer = Request::chat("p/m", "Hello").send(&nexus).await;
        let message = answer.refused(StatusCode::UNAUTHORIZED, "authentication_error").message;
        let known = "Authentication failed: Token forwarding is enabled but no API key was provided";
        assert_eq!(message, known, "{kind}");
        assert!(upstream.seen().calls.is_empty());
    }
}
