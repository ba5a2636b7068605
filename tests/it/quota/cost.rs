//! What a call costs, read from `x-ratelimit-remaining-tokens`.

use serde_json::{Value, json};

use super::limited;
use crate::support::{
    client::{Answer, CHAT, EMBEDDINGS, Request},
    nexus::Nexus,
    setup::{IDENTIFIED, openai, provider_limit},
    upstream::{Reply, Upstream},
};

const LIMIT: u64 = 1_000_000;

fn spent(answer: &Answer) -> u64 {
    LIMIT - answer.number("x-ratelimit-remaining-tokens")
}

/// The cost of a chat with these members beside the model, each by a client of its own.
async fn cost(nexus: &Nexus, client: &str, members: Value) -> u64 {
    let mut body = members;
    body["model"] = json!("echo/m");
    spent(&Request::post(CHAT, body.to_string()).client(client).send(nexus).await.fine())
}

fn messages(messages: &[(&str, &str)]) -> Value {
    let messages: Vec<Value> =
        messages.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    json!({ "messages": messages })
}

#[tokio::test]
async fn plain_text_costs_what_cl100k_counts() {
    let nexus = limited(LIMIT, "60s").await;
    let hundred = ["hello"; 100].join(" ");
    let cases: [(&[(&str, &str)], u64); 10] = [
        (&[("user", "Hello")], 8),
        (&[("user", "Hi")], 8),
        (&[("user", "")], 7),
        (&[], 3),
        (&[("user", "Hello"), ("assistant", "Hello")], 13),
        (&[("system", "Hello"), ("user", "Hello")], 13),
        (&[("system", "Hello"), ("system", "Hello"), ("user", "Hello")], 18),
        (&[("user", &hundred)], 107),
        (&[("user", concat!("<|", "endoftext", "|>"))], 14),
        (&[("user", "日本語テスト 😀")], 14),
    ];
    for (number, (chat, tokens)) in cases.into_iter().enumerate() {
        assert_eq!(cost(&nexus, &format!("client-{number}"), messages(chat)).await, tokens, "{chat:?}");
    }
}

#[tokio::test]
async fn a_null_content_costs_no_more_than_its_message() {
    let nexus = limited(LIMIT, "60s").await;
    assert_eq!(cost(&nexus, "alice", json!({"messages": [{"role": "user", "content": null}]})).await, 7);
}

#[tokio::test]
async fn several_text_parts_of_a_message_are_summed() {
    let nexus = limited(LIMIT, "60s").await;
    let part = json!({"type": "text", "text": "Hello"});
    let content = json!([part, part]);
    assert_eq!(cost(&nexus, "alice", json!({"messages": [{"role": "user", "content": content}]})).await, 9);
}

#[tokio::test]
async fn an_image_costs_its_flat_price() {
    let nexus = Nexus::start(&format!(
        "[llm.limits]\nimage_tokens = 100\n{IDENTIFIED}{}{}",
        crate::support::setup::ECHO,
        provider_limit("echo", LIMIT, "60s")
    ))
    .await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let content = json!([{"type": "text", "text": "Hello"}, image]);
    assert_eq!(cost(&nexus, "alice", json!({"messages": [{"role": "user", "content": content}]})).await, 108);
}

#[tokio::test]
async fn tools_calls_and_results_cost_unless_switched_off() {
    let tool = json!({"type": "function", "function": {"name": "f", "description": "word ".repeat(50), "parameters": {}}});
    let call =
        json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    let with_tools = json!({"messages": [{"role": "user", "content": "Hello"}], "tools": [tool]});
    let with_call = json!({"messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Hello world result"},
    ]});
    let nexus = limited(LIMIT, "60s").await;
    assert!(cost(&nexus, "a", with_tools.clone()).await > 8 + 50);
    assert!(cost(&nexus, "b", with_call.clone()).await > 19);
    let off = format!(
        "[llm.limits]\ncount_tools = false\n{IDENTIFIED}{}{}",
        crate::support::setup::ECHO,
        provider_limit("echo", LIMIT, "60s")
    );
    let nexus = Nexus::start(&off).await;
    assert_eq!(cost(&nexus, "a", with_tools).await, 8);
    assert_eq!(cost(&nexus, "b", with_call).await, 19);
}

#[tokio::test]
async fn output_and_parameters_cost_nothing() {
    let nexus = limited(LIMIT, "60s").await;
    let mut chat = messages(&[("user", "Hello")]);
    for (name, value) in [
        ("max_tokens", json!(4000)),
        ("temperature", json!(0.5)),
        ("stop", json!(["a", "b"])),
        ("n", json!(3)),
    ] {
        chat[name] = value;
    }
    assert_eq!(cost(&nexus, "alice", chat).await, 8);
}

#[tokio::test]
async fn a_repeated_conversation_costs_the_same_each_time() {
    let nexus = limited(LIMIT, "60s").await;
    let text = "A sentence that is counted once and remembered. ".repeat(40);
    let chat = messages(&[("system", &text), ("user", &text), ("assistant", &text), ("user", "Hello")]);
    let first = cost(&nexus, "a", chat.clone()).await;
    assert!(first > 900, "{first}");
    assert_eq!(cost(&nexus, "b", chat.clone()).await, first);
    assert_eq!(cost(&nexus, "b", chat).await, 2 * first);
}

#[tokio::test]
async fn embeddings_cost_their_input() {
    let upstream = Upstream::always(|| Reply::json(r#"{"object":"list","data":[],"model":"m"}"#)).await;
    let nexus = Nexus::start(&format!(
        "{IDENTIFIED}{}{}",
        openai(&upstream, ""),
        provider_limit("openai", LIMIT, "60s")
    ))
    .await;
    let embed = async |client: &str, input: Value| {
        let body = json!({"model": "openai/gpt-4o", "input": input}).to_string();
        spent(&Request::post(EMBEDDINGS, body).client(client).send(&nexus).await.fine())
    };
    let hundred = json!(["hello"; 100].to_vec().join(" "));
    let text = embed("a", hundred.clone()).await;
    assert!((100..=110).contains(&text), "{text}");
    let texts = embed("b", json!([hundred, hundred])).await;
    assert!((200..=215).contains(&texts), "{texts}");
    let tokens = embed("c", json!(vec![15339; 40])).await;
    assert!((40..=46).contains(&tokens), "token lists by their length: {tokens}");
    let lists = embed("d", json!([vec![1; 30], vec![2; 20]])).await;
    assert!((50..=60).contains(&lists), "{lists}");
}

#[tokio::test]
async fn a_run_of_one_letter_buys_no_more_of_the_server_than_prose() {
    const LENGTH: usize = 256 * 1024;
    let nexus = limited(1 << 40, "60s").await;
    let cost = async |client: &str, text: &str| {
        let before = nexus.cpu();
        Request::chat("echo/m", text).client(client).send(&nexus).await.fine();
        nexus.cpu() - before
    };
    let prose = "It was the best of times, it was the worst of times. ".repeat(LENGTH / 53);
    let usual = cost("prose", &prose).await;
    for run in ["a", " ", "é", "0", "\n"] {
        let taken = cost(run.escape_unicode().to_string().as_str(), &run.repeat(LENGTH / run.len())).await;
        // Quadratic counting would take a thousand times as long.
        assert!(
            taken < 20 * usual + std::time::Duration::from_secs(1),
            "{run:?}: {taken:?}, prose: {usual:?}"
        );
    }
}
