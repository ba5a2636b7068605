//! Which groups may use which models.

use http::StatusCode;

use crate::support::{
    client::{Answer, MODELS, Request},
    nexus::Nexus,
    setup::IDENTIFIED,
};

const CATALOGUE: &str = r#"
[llm.providers.echo]
type = "echo"
[llm.providers.echo.models.open]
[llm.providers.echo.models.gold]
allow = ["premium"]
[llm.providers.echo.models.rough]
deny = ["basic"]
[llm.providers.echo.models.both]
allow = ["premium", "basic"]
deny = ["premium"]
[llm.providers.echo.models.shut]
allow = []
"#;

async fn start() -> Nexus {
    Nexus::start(&format!("{IDENTIFIED}{CATALOGUE}")).await
}

fn by(request: Request, group: Option<&str>) -> Request {
    let request = request.client("alice");
    match group {
        Some(group) => request.group(group),
        None => request,
    }
}

async fn listed(nexus: &Nexus, group: Option<&str>) -> Vec<String> {
    let list = by(Request::get(MODELS), group).send(nexus).await.fine().json();
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn chat(nexus: &Nexus, model: &str, group: Option<&str>) -> Answer {
    by(Request::chat(&format!("echo/{model}"), "Hello"), group).send(nexus).await
}

/// Group, and the models it may use.
const RIGHTS: [(Option<&str>, &[&str]); 3] = [
    (Some("premium"), &["gold", "open", "rough"]),
    (Some("basic"), &["both", "open"]),
    (None, &["open", "rough"]),
];

#[tokio::test]
async fn listings_show_what_the_group_may_use() {
    let nexus = start().await;
    for (group, models) in RIGHTS {
        let expected: Vec<String> = models.iter().map(|model| format!("echo/{model}")).collect();
        assert_eq!(listed(&nexus, group).await, expected, "{group:?}");
    }
}

#[tokio::test]
async fn a_model_is_served_to_whom_it_is_listed_and_forbidden_to_others() {
    let nexus = start().await;
    for (group, models) in RIGHTS {
        for model in ["open", "gold", "rough", "both", "shut"] {
            let answer = chat(&nexus, model, group).await;
            if models.contains(&model) {
                answer.fine();
            } else {
                assert_eq!(answer.status, 403, "{group:?} {model}: {answer:?}");
                answer.error();
            }
        }
    }
}

#[tokio::test]
async fn a_forbidden_model_is_not_shown_by_its_id_either() {
    let nexus = start().await;
    let asked = Request::get(&format!("{MODELS}/echo/gold"));
    let answer = by(asked.clone(), Some("basic")).send(&nexus).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    answer.error();
    by(asked, Some("premium")).send(&nexus).await.fine();
}

#[tokio::test]
async fn an_unlisted_model_is_not_found_rather_than_forbidden() {
    let nexus = start().await;
    chat(&nexus, "none", Some("basic")).await.refused(StatusCode::NOT_FOUND, "not_found_error");
}

#[tokio::test]
async fn a_provider_may_name_groups_for_all_its_models() {
    let provider =
        "[llm.providers.echo]\ntype = \"echo\"\nallow = [\"premium\"]\n[llm.providers.echo.models.m]\n";
    let nexus = Nexus::start(&format!("{IDENTIFIED}{provider}")).await;
    chat(&nexus, "m", Some("premium")).await.fine();
    assert_eq!(chat(&nexus, "m", Some("basic")).await.status, 403);
    assert!(listed(&nexus, Some("basic")).await.is_empty());
}
