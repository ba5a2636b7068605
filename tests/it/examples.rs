//! The examples of budgets, each doing what its head says: the very files, but for the provider's address and key.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    client::{Answer, Request},
    nexus::Nexus,
    setup::API_KEY,
    upstream::{Reply, Upstream},
};

/// An example, with a provider that reports this usage for every call.
async fn running(name: &str, usage: Value) -> (Upstream, Nexus) {
    let upstream = Upstream::always(move || {
        let message = json!({"role": "assistant", "content": "Yes."});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        let body = json!({"id": "c", "object": "chat.completion", "choices": choices, "usage": usage});
        Reply::json(body.to_string())
    })
    .await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{name}.toml"));
    let there = format!("api_key = \"{API_KEY}\"\nbase_url = \"http://{}/v1\"", upstream.address());
    let config = fs::read_to_string(path).unwrap();
    let config = config.replace("api_key = \"{{ env.OPENAI_API_KEY }}\"", &there);
    let nexus = Nexus::start(&config.replace("127.0.0.1:9090", "{admin}")).await;
    (upstream, nexus)
}

fn usage(input: u64, output: u64) -> Value {
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

async fn ask(nexus: &Nexus, model: &str, client: &str, group: (&str, &str)) -> Answer {
    Request::chat(model, "Hello").client(client).header(group.0, group.1).send(nexus).await
}

/// The rule that refused.
#[track_caller]
fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status, 429, "{}", answer.text());
    answer.json()["error"]["limit"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tiers_have_limits_of_their_own_and_trials_another_provider() {
    let (_upstream, nexus) = running("tiers", usage(8, 2)).await;
    let long = |group| {
        let text = "word ".repeat(6_000);
        Request::chat("openai/gpt-4o-mini", &text).client("alice").header("X-Tier", group)
    };
    assert_eq!(refused(&long("free").send(&nexus).await), "per_user.input_token_limit");
    long("team").send(&nexus).await.fine();
    assert_eq!(ask(&nexus, "openai/gpt-4o-mini", "bob", ("X-Tier", "trial")).await.status, 403);
    ask(&nexus, "echo/parrot", "bob", ("X-Tier", "trial")).await.fine();
}

#[tokio::test]
async fn a_team_shares_its_pool_and_another_team_has_its_own() {
    const MODEL: &str = "openai/gpt-4o-mini";
    let (_upstream, nexus) = running("team-pools", usage(600_000, 300_000)).await;
    let (research, support) = (("X-Team", "research"), ("X-Team", "support"));
    ask(&nexus, MODEL, "alice", research).await.fine();
    let again = ask(&nexus, MODEL, "alice", research).await;
    assert_eq!(refused(&again), "per_user.total_token_limit", "what was reported counts");
    for client in ["bob", "carol", "dave", "erin", "frank"] {
        ask(&nexus, MODEL, client, research).await.fine();
    }
    let grace = ask(&nexus, MODEL, "grace", research).await;
    assert_eq!(refused(&grace), "per_group.total_token_limit");
    ask(&nexus, MODEL, "heidi", support).await.fine();
}

#[tokio::test]
async fn two_dollars_a_day_are_two_dollars_whatever_the_model_costs() {
    let (_upstream, nexus) = running("money", usage(400_000, 100_000)).await;
    let nobody = ("X-Nobody", "");
    ask(&nexus, "openai/gpt-4o", "alice", nobody).await.fine();
    let told = Request::get("/llm/openai/v1/usage").client("alice").send(&nexus).await.fine().json();
    let [row] = told["limits"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&row["kind"], &row["scope"]), (&json!("cost"), &json!("openai.per_user")));
    assert_eq!(row["used"].as_str().unwrap().parse::<f64>().unwrap(), 2.0, "{told}");
    assert_eq!(refused(&ask(&nexus, "openai/gpt-4o-mini", "alice", nobody).await), "per_user.cost_limit");
    // A sixteenth of the price.
    for _ in 0..10 {
        ask(&nexus, "openai/gpt-4o-mini", "bob", nobody).await.fine();
    }
}

#[tokio::test]
async fn limits_on_trial_refuse_nobody_and_say_whom_they_would() {
    let (_upstream, nexus) = running("shadow", usage(8, 2)).await;
    let long = Request::chat("openai/gpt-4o-mini", &"word ".repeat(15_000)).client("alice");
    for _ in 0..2 {
        long.clone().send(&nexus).await.fine();
    }
    let metrics = Request::get("/metrics").send_to(nexus.admin()).await.fine();
    let line = metrics.text().lines().find(|line| {
        ["nexus_limit_decisions_total{", "shadow_refused", "\"input\""].iter().all(|part| line.contains(part))
    });
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{line:?}");
}
