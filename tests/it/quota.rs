//! Token limits: which one holds, for whom, how exactly, and how a refusal reads.
//!
//! "Hello" from a user costs 8 tokens. Most tests use the built-in provider, whose calls succeed, so that everything
//! that is counted is kept; `refunds` is about those that fail.

use std::time::Duration;

use http::StatusCode;

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::{ECHO, IDENTIFIED, group_limit, model_limit, provider_limit},
};

mod cost;
mod durable;
mod refunds;
mod window;

/// The price of [`hello`].
const HELLO: u64 = 8;
const REFUSED: &str = "Rate limit exceeded: Token rate limit exceeded. Please try again later.";
const OVERSIZE: &str = "Rate limit exceeded: Token rate limit exceeded. Request requires more tokens than the configured limit allows and cannot be fulfilled.";

fn hello(client: &str) -> Request {
    Request::chat("echo/m", "Hello").client(client)
}

/// The built-in provider under a limit of `tokens` in `interval`.
async fn limited(tokens: u64, interval: &str) -> Nexus {
    Nexus::start(&format!("{IDENTIFIED}{ECHO}{}", provider_limit("echo", tokens, interval))).await
}

/// Sends the request until it is refused, at most `most` times, and returns how often it was admitted.
async fn admitted(nexus: &Nexus, request: &Request, most: usize) -> usize {
    for count in 0..most {
        let answer = request.clone().send(nexus).await;
        if answer.status == 429 {
            return count;
        }
        answer.fine();
    }
    most
}

/// Asserts the refusal of a call that may come again, and returns after how many seconds.
fn refused_for(answer: &Answer) -> u64 {
    let error = answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(error.message, REFUSED);
    assert_eq!(answer.json()["error"]["limit"], "per_user.input_token_limit");
    assert_ne!(answer.header("x-should-retry"), Some("false"));
    let seconds = answer.number("retry-after");
    assert!(seconds >= 1, "{seconds}");
    seconds
}

#[tokio::test]
async fn a_full_limit_may_be_spent_at_once_and_nothing_beyond_it() {
    let nexus = limited(5 * HELLO, "60s").await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 5);
    refused_for(&hello("alice").send(&nexus).await);
}

#[tokio::test]
async fn a_rest_that_is_too_small_refuses_and_still_serves_smaller_calls() {
    let nexus = limited(2 * HELLO + HELLO - 1, "60s").await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    let empty = Request::chat("echo/m", "").client("alice");
    empty.clone().send(&nexus).await.fine();
    refused_for(&empty.send(&nexus).await);
}

#[tokio::test]
async fn clients_do_not_share_a_limit() {
    let nexus = limited(2 * HELLO, "60s").await;
    for client in ["alice", "bob", "", "Alice", "alice2"] {
        assert_eq!(admitted(&nexus, &hello(client), 20).await, 2, "{client:?}");
    }
}

#[tokio::test]
async fn a_streaming_call_is_refused_as_plain_json() {
    let nexus = limited(HELLO, "60s").await;
    hello("alice").send(&nexus).await.fine();
    let answer = Request::stream("echo/m", "Hello").client("alice").send(&nexus).await;
    refused_for(&answer);
}

#[tokio::test]
async fn every_answer_says_how_the_limit_stands() {
    let nexus = limited(100, "60s").await;
    let answer = hello("alice").send(&nexus).await.fine();
    assert_eq!(answer.number("x-ratelimit-limit-tokens"), 100);
    assert_eq!(answer.number("x-ratelimit-remaining-tokens"), 92);
    assert!(is_duration(answer.header("x-ratelimit-reset-tokens").unwrap()), "{answer:?}");
    let stream = Request::stream("echo/m", "Hello").client("alice").open(&nexus).await;
    assert_eq!(stream.headers["x-ratelimit-remaining-tokens"], "84");
    let last = hello("alice");
    assert_eq!(admitted(&nexus, &last, 20).await, 10);
    let refused = last.send(&nexus).await;
    assert_eq!(refused.number("x-ratelimit-limit-tokens"), 100);
    assert_eq!(refused.number("x-ratelimit-remaining-tokens"), 4);
    assert!(is_duration(refused.header("x-ratelimit-reset-tokens").unwrap()), "{refused:?}");
}

/// `120ms`, `12s`, `6m0s`, `1h0m0s`.
fn is_duration(text: &str) -> bool {
    let units: Vec<&str> =
        text.split(|c: char| c.is_ascii_digit() || c == '.').filter(|unit| !unit.is_empty()).collect();
    text.starts_with(|c: char| c.is_ascii_digit())
        && matches!(units.as_slice(), ["ms"] | ["s"] | ["m", "s"] | ["h", "m", "s"])
}

#[tokio::test]
async fn the_reset_is_when_the_whole_limit_is_back() {
    let nexus = limited(100, "90s").await;
    let answer = hello("alice").send(&nexus).await.fine();
    let reset = answer.header("x-ratelimit-reset-tokens").unwrap();
    assert!(reset.starts_with("1m3") || reset.starts_with("1m29"), "about 90 seconds: {reset}");
}

#[tokio::test]
async fn models_without_a_limit_say_nothing_of_one() {
    let nexus = Nexus::start(&format!(
        "{IDENTIFIED}{ECHO}[llm.providers.echo.models.free]\n{}",
        model_limit("echo", "m", 100, "60s")
    ))
    .await;
    let answer = Request::chat("echo/free", "Hello").client("alice").send(&nexus).await.fine();
    for name in ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"] {
        assert_eq!(answer.header(name), None);
    }
}

#[tokio::test]
async fn a_call_larger_than_the_limit_is_told_not_to_come_again_and_costs_nothing() {
    let nexus = limited(2 * HELLO, "60s").await;
    let large = Request::chat("echo/m", &"hello ".repeat(100)).client("alice");
    for _ in 0..3 {
        let answer = large.clone().send(&nexus).await;
        let error = answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
        assert_eq!(error.message, OVERSIZE);
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    let error = large.send(&nexus).await.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(error.message, OVERSIZE, "however full the window is");
}

#[tokio::test]
async fn a_limit_of_zero_refuses_everything_for_good() {
    let nexus = limited(0, "60s").await;
    let answer = Request::chat("echo/m", "").client("alice").send(&nexus).await;
    let error = answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
    assert_eq!(error.message, OVERSIZE);
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.number("x-ratelimit-limit-tokens"), 0);
}

#[tokio::test]
async fn the_largest_limit_is_exact() {
    let nexus = limited(i64::MAX.unsigned_abs(), "31d").await;
    let answer = hello("alice").send(&nexus).await.fine();
    assert_eq!(answer.number("x-ratelimit-limit-tokens"), i64::MAX.unsigned_abs());
    assert_eq!(answer.number("x-ratelimit-remaining-tokens"), i64::MAX.unsigned_abs() - HELLO);
}

/// Four levels, each with another limit: 50, 37, 25 and 12 calls of 8 tokens.
async fn four_levels() -> Nexus {
    let models = "[llm.providers.echo.models.plain]\n[llm.providers.echo.models.grouped]\n";
    let grouped = "[llm.providers.echo.models.grouped.rate_limits.per_user.groups.premium]\ninput_token_limit = 400\ninterval = \"60s\"\n";
    Nexus::start(&format!(
        "{IDENTIFIED}{ECHO}{models}{}{grouped}{}{}",
        model_limit("echo", "grouped", 300, "60s"),
        provider_limit("echo", 100, "60s"),
        group_limit("echo", "premium", 200, "60s"),
    ))
    .await
}

#[tokio::test]
async fn the_nearest_table_holds_alone() {
    let nexus = four_levels().await;
    for (model, group, limit) in [
        ("grouped", Some("premium"), 400),
        ("grouped", Some("basic"), 300),
        ("grouped", None, 300),
        ("plain", Some("premium"), 200),
        ("plain", Some("basic"), 100),
        ("plain", None, 100),
    ] {
        let client = format!("{model}-{group:?}");
        let request = Request::chat(&format!("echo/{model}"), "Hello").client(&client);
        let request = if let Some(group) = group { request.group(group) } else { request };
        let answer = request.clone().send(&nexus).await.fine();
        assert_eq!(answer.number("x-ratelimit-limit-tokens"), limit, "{client}");
        assert_eq!(
            admitted(&nexus, &request, 60).await,
            usize::try_from(limit / HELLO).unwrap() - 1,
            "{client}"
        );
    }
}

#[tokio::test]
async fn a_model_default_comes_before_a_group_limit_of_the_provider() {
    let nexus = Nexus::start(&format!(
        "{IDENTIFIED}{ECHO}{}{}{}",
        model_limit("echo", "m", 2 * HELLO, "60s"),
        provider_limit("echo", 1000, "60s"),
        group_limit("echo", "premium", 2000, "60s"),
    ))
    .await;
    assert_eq!(admitted(&nexus, &hello("alice").group("premium"), 20).await, 2);
}

#[tokio::test]
async fn both_spellings_of_a_model_limit_mean_the_same() {
    let table =
        "[llm.providers.echo.rate_limits.\"m\".per_user]\ninput_token_limit = 16\ninterval = \"60s\"\n";
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{table}")).await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
}

#[tokio::test]
async fn a_table_of_groups_only_limits_those_groups() {
    let nexus =
        Nexus::start(&format!("{IDENTIFIED}{ECHO}{}", group_limit("echo", "basic", 2 * HELLO, "60s"))).await;
    assert_eq!(admitted(&nexus, &hello("alice").group("basic"), 20).await, 2);
    assert_eq!(admitted(&nexus, &hello("bob").group("premium"), 20).await, 20);
    assert_eq!(admitted(&nexus, &hello("carol"), 20).await, 20);
}

#[tokio::test]
async fn models_that_fall_to_the_provider_share_its_bucket_and_others_have_their_own() {
    let models =
        "[llm.providers.echo.models.a]\n[llm.providers.echo.models.b]\n[llm.providers.echo.models.own]\n";
    let nexus = Nexus::start(&format!(
        "{IDENTIFIED}{ECHO}{models}{}{}",
        provider_limit("echo", 3 * HELLO, "60s"),
        model_limit("echo", "own", 2 * HELLO, "60s"),
    ))
    .await;
    let to = |model: &str| Request::chat(&format!("echo/{model}"), "Hello").client("alice");
    to("a").send(&nexus).await.fine();
    to("b").send(&nexus).await.fine();
    to("m").send(&nexus).await.fine();
    for model in ["a", "b", "m"] {
        refused_for(&to(model).send(&nexus).await);
    }
    assert_eq!(admitted(&nexus, &to("own"), 20).await, 2);
}

#[tokio::test]
async fn providers_do_not_share_a_bucket() {
    let other = "[llm.providers.other]\ntype = \"echo\"\n[llm.providers.other.models.m]\n";
    let limits = provider_limit("echo", 2 * HELLO, "60s") + &provider_limit("other", 3 * HELLO, "60s");
    let nexus = Nexus::start(&format!("{IDENTIFIED}{ECHO}{other}{limits}")).await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    assert_eq!(admitted(&nexus, &Request::chat("other/m", "Hello").client("alice"), 20).await, 3);
}

#[tokio::test]
async fn a_change_of_group_changes_the_limit_and_not_the_bucket() {
    let nexus = Nexus::start(&format!(
        "{IDENTIFIED}{ECHO}{}{}{}",
        provider_limit("echo", 2 * HELLO, "60s"),
        group_limit("echo", "premium", 4 * HELLO, "60s"),
        group_limit("echo", "basic", HELLO, "60s"),
    ))
    .await;
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    refused_for(&hello("alice").group("basic").send(&nexus).await);
    assert_eq!(admitted(&nexus, &hello("alice").group("premium"), 20).await, 2, "the two from before count");
    refused_for(&hello("alice").send(&nexus).await);
}

#[tokio::test]
async fn what_is_no_admitted_call_costs_nothing() {
    let nexus = limited(2 * HELLO, "60s").await;
    for _ in 0..5 {
        assert_eq!(Request::chat("echo/none", "Hello").client("alice").send(&nexus).await.status, 404);
        assert_eq!(Request::chat("nobody/m", "Hello").client("alice").send(&nexus).await.status, 404);
        assert_eq!(
            Request::post(crate::support::client::CHAT, "{").client("alice").send(&nexus).await.status,
            400
        );
        assert_eq!(hello("alice").without("content-type").send(&nexus).await.status, 415);
        Request::get(crate::support::client::MODELS).client("alice").send(&nexus).await.fine();
    }
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 2);
    for _ in 0..20 {
        refused_for(&hello("alice").send(&nexus).await);
    }
}

#[tokio::test]
async fn at_the_cap_of_clients_a_new_one_is_refused_and_no_known_one_forgotten() {
    let cap = "[server.rate_limits]\nmax_clients = 2\n[actors]\nquota_shards = 1\n";
    let nexus =
        Nexus::start(&format!("{cap}{IDENTIFIED}{ECHO}{}", provider_limit("echo", 2 * HELLO, "60s"))).await;
    hello("alice").send(&nexus).await.fine();
    hello("bob").send(&nexus).await.fine();
    let answer = hello("carol").send(&nexus).await;
    answer.refused(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error");
    assert!(answer.number("retry-after") >= 1);
    assert_eq!(admitted(&nexus, &hello("alice"), 20).await, 1);
    assert_eq!(admitted(&nexus, &hello("bob"), 20).await, 1);
}

#[tokio::test]
async fn a_prompt_that_is_larger_than_the_limit_by_far_is_refused_without_being_counted_to_its_end() {
    let nexus = limited(500, "60s").await;
    // Letters without a blank: many seconds of work, if all of them were counted.
    let letter = |at: u32| char::from(b'a' + (at.wrapping_mul(2_654_435_761) >> 16) as u8 % 26);
    let letters: String = (0..5 << 20).map(letter).collect();
    let mut least = Duration::MAX;
    for number in 0..3 {
        let request = Request::chat("echo/m", &format!("{number} {letters}")).client("alice");
        let before = nexus.cpu();
        let answer = request.send(&nexus).await;
        least = least.min(nexus.cpu() - before);
        let error = answer.refused(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error");
        assert_eq!((error.message.as_str(), answer.header("retry-after")), (OVERSIZE, None));
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!(answer.number("x-ratelimit-remaining-tokens"), 500, "it costs nothing");
    }
    assert!(least < Duration::from_secs(1), "{least:?}");
}
